"""What matching answers: the matches of a placement or an offer to whom it belongs, and the market's figures to operators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from chassis.http import Tx
from chassis.identity import Caller, Role, requires
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sojourn_contracts.match import Explanation
from sojourn_contracts.refusal import NotYours, Unknown
from sojourn_contracts.vocabulary import Training, Window

from matching import store
from matching.heard import State
from matching.store import KnownMatch

routes = APIRouter()

CompanyOrOperator = Annotated[Caller, Depends(requires(Role.COMPANY, Role.OPERATOR))]
Operator = Annotated[Caller, Depends(requires(Role.OPERATOR))]


class MatchView(BaseModel):
    """A match; what it was proposed with is missing once that was erased, or when matching itself has lost it."""

    match_id: UUID
    state: State
    placement_id: UUID
    offer_id: UUID
    sender_id: UUID
    host_id: UUID
    proposed_at: datetime | None
    expires_at: datetime | None = None
    score: int | None = None
    explanation: Explanation | None = None
    window: Window | None = None
    min_days: int | None = None
    max_days: int | None = None
    training: Training | None = None


class Market(BaseModel):
    """Placements that wait for a match, places that are free, matches that hold one."""

    open_placements: int
    free_places: int
    live_matches: int


@routes.get("/placements/{placement_id}/matches")
async def matches_of_placement(placement_id: UUID, caller: CompanyOrOperator, tx: Tx) -> list[MatchView]:
    """The placement's matches, oldest first."""
    only_for(await store.owner_of_placement(tx, placement_id), caller)
    return [_view(match) for match in await store.matches_of_placement(tx, placement_id)]


@routes.get("/offers/{offer_id}/matches")
async def matches_of_offer(offer_id: UUID, caller: CompanyOrOperator, tx: Tx) -> list[MatchView]:
    """The hosting offer's matches, oldest first."""
    only_for(await store.owner_of_offer(tx, offer_id), caller)
    return [_view(match) for match in await store.matches_of_offer(tx, offer_id)]


@routes.get("/market")
async def market(_: Operator, tx: Tx) -> Market:
    """What the market holds now."""
    return Market.model_validate(await store.market(tx))


def only_for(owner: UUID | None, caller: Caller) -> None:
    """Lets pass the company whose it is, and operators.

    Raises:
        Unknown: nothing is known of it.
        NotYours: it is another company's.
    """
    if owner is None:
        raise Unknown("unknown", "Nothing is known under this id")
    if caller.role is not Role.OPERATOR and caller.company_id != owner:
        raise NotYours("not_yours", "This belongs to another company")


def _view(match: KnownMatch) -> MatchView:
    known = {name: value for name, value in vars(match).items() if name != "proposal"}
    proposal = match.proposal
    if proposal is None:
        return MatchView(**known)
    return MatchView(
        **known,
        expires_at=proposal.expires_at,
        score=proposal.score,
        explanation=proposal.explanation,
        window=proposal.window,
        min_days=proposal.min_days,
        max_days=proposal.max_days,
        training=proposal.training,
    )
