"""Whom a placement or a hosting offer fits, and why; and a company's own wish for one of them."""

from collections.abc import Mapping
from typing import Annotated, cast
from uuid import UUID

from chassis.http import Tx, link_to_next
from chassis.identity import Caller, Role, requires
from chassis.problems import Problem
from chassis.transaction import Transaction
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sojourn_contracts.match import Explanation
from sojourn_contracts.taxonomy import Concept
from sojourn_contracts.vocabulary import Country, Sector, Side, Skill, Training, Window

from matching import planning, reasons, store
from matching.api import CompanyOrOperator, only_for
from matching.domain import Obstacle, OpenOffer, OpenPlacement, Parameters, Score, score, sentence
from matching.proposing import ask_for
from matching.replica import Replica
from matching.settings import taxonomy

routes = APIRouter()

Company = Annotated[Caller, Depends(requires(Role.COMPANY))]

FARTHEST = 1_000
"""Candidates that a page may pass over."""
CLOSED = "closed"
"""Why an end that left the market has no candidates."""


class Page(BaseModel):
    """So many, after so many better ones."""

    limit: int = Field(20, ge=1, le=100)
    offset: int = Field(0, ge=0, le=FARTHEST)


class CandidateView(BaseModel):
    """A placement or hosting offer that fits, and why."""

    id: UUID
    country: Country
    sector: Sector
    score: int
    explanation: Explanation
    in_words: str
    """The explanation as a sentence or two, in English."""
    window: Window
    min_days: int
    max_days: int
    training: Training

    @classmethod
    def of(cls, end: OpenPlacement | OpenOffer, fit: Score, skills: Mapping[Skill, Concept]) -> "CandidateView":
        return cls(
            id=end.id,
            country=end.home.country,
            sector=end.home.sector,
            score=fit.value,
            explanation=fit.explanation,
            in_words=sentence(fit, lambda skill: skills[skill].label()),
            window=fit.window,
            min_days=fit.min_days,
            max_days=fit.max_days,
            training=fit.training,
        )


class Candidates(BaseModel):
    """Best first. Where there are none, why."""

    candidates: list[CandidateView]
    reason: str | None = None
    """What about the end itself leaves nobody: ``closed`` if it left the market, or the constraint that it breaks with all."""
    reasons: dict[Obstacle, int] | None = None
    """How many of the other side each hard constraint takes away, each by the first one that it breaks."""


class OfferWanted(BaseModel):
    """Which hosting offer a company wants for its placement."""

    offer_id: UUID


class PlacementWanted(BaseModel):
    """Which placement a company wants for its hosting offer."""

    placement_id: UUID


class Interest(BaseModel):
    """What became of it: ``proposed`` with the match, or ``waiting`` for a slot that somebody else has."""

    state: str
    match_id: UUID | None

    @classmethod
    def of(cls, match_id: UUID | None) -> "Interest":
        return cls(state="proposed" if match_id else "waiting", match_id=match_id)


@routes.get("/placements/{placement_id}/candidates")
async def candidates_of_placement(
    placement_id: UUID,
    caller: CompanyOrOperator,
    tx: Tx,
    page: Annotated[Page, Query()],
    request: Request,
    response: Response,
) -> Candidates:
    """The hosting offers that fit the placement, best first. A ``Link`` header leads to the next page."""
    only_for(await store.owner_of_placement(tx, placement_id), caller)
    return await _candidates(tx, placement_id, page, request, response)


@routes.get("/offers/{offer_id}/candidates")
async def candidates_of_offer(
    offer_id: UUID,
    caller: CompanyOrOperator,
    tx: Tx,
    page: Annotated[Page, Query()],
    request: Request,
    response: Response,
) -> Candidates:
    """The placements that fit the hosting offer, best first. A ``Link`` header leads to the next page."""
    only_for(await store.owner_of_offer(tx, offer_id), caller)
    return await _candidates(tx, offer_id, page, request, response)


@routes.post("/placements/{placement_id}/interest")
async def ask_for_offer(placement_id: UUID, body: OfferWanted, caller: Company, tx: Tx) -> Interest:
    """Proposes this hosting offer for the caller's placement; while the slot is taken, the wish is kept."""
    only_for(await store.owner_of_placement(tx, placement_id), caller)
    return Interest.of(await ask_for(tx, placement_id, body.offer_id, Side.SENDER))


@routes.post("/offers/{offer_id}/interest")
async def ask_for_placement(offer_id: UUID, body: PlacementWanted, caller: Company, tx: Tx) -> Interest:
    """Proposes this placement for the caller's hosting offer; while the slot is taken, the wish is kept."""
    only_for(await store.owner_of_offer(tx, offer_id), caller)
    return Interest.of(await ask_for(tx, body.placement_id, offer_id, Side.HOST))


async def _candidates(tx: Transaction, end_id: UUID, page: Page, request: Request, response: Response) -> Candidates:
    """Scored anew as the rows are now: what the index does not know yet is not shown as fitting."""
    ends = await store.ends(tx.connection, [end_id])
    if not ends:
        return Candidates(candidates=[], reason=CLOSED)
    end, parameters = ends[0], planning.parameters(tx.now.date(), taxonomy(tx))
    replica = cast(Replica | None, tx.prepared)
    if replica is None:
        raise Problem(503, "unavailable", "The market is still being read; try again soon", {"Retry-After": "2"})
    await replica.catch_up(tx.connection)
    found = await replica.candidates([end_id], page.offset + page.limit + 1, parameters.today)
    best = found[end_id][page.offset :]
    if len(best) > page.limit and page.offset + page.limit <= FARTHEST:
        link_to_next(request, response, offset=page.offset + page.limit, limit=page.limit)
    others = {other.id: other for other in await store.ends(tx.connection, [each.id for each in best[: page.limit]])}
    fitting = [
        CandidateView.of(other, fit, taxonomy(tx).skills)
        for other in (others.get(each.id) for each in best[: page.limit])
        if other is not None and (fit := _fit(end, other, parameters))
    ]
    if fitting or page.offset:
        return Candidates(candidates=fitting)
    return Candidates(
        candidates=[],
        reason=reasons.of_itself(end, parameters),
        reasons=await store.obstacles(tx, end, parameters),
    )


def _fit(end: OpenPlacement | OpenOffer, other: OpenPlacement | OpenOffer, parameters: Parameters) -> Score | None:
    if isinstance(end, OpenPlacement) and isinstance(other, OpenOffer):
        return score(end, other, parameters)
    if isinstance(end, OpenOffer) and isinstance(other, OpenPlacement):
        return score(other, end, parameters)
    return None
