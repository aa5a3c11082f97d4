"""What a search makes of the scores: whom to propose first, under which id, until when, and when to search next.

Pure like the domain, and reproducible: every id and every tie is settled by what it is derived from.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from hashlib import sha256
from uuid import UUID, uuid5

from sojourn_contracts.match import MatchProposed
from sojourn_contracts.taxonomy import Kinship, Taxonomy
from sojourn_contracts.vocabulary import Skill

from matching.domain import OpenOffer, OpenPlacement, Parameters, Score

NEARNESS: Mapping[Kinship, int] = {Kinship.NARROWER: 80, Kinship.BROADER: 50, Kinship.SIBLING: 25}
"""Percent of a wish that is covered by a skill which is narrower than the one wished for, broader, or under the same parent.

A starting point: who teaches a case of what is sought teaches most of it, who teaches it in general about half.
"""


def parameters(today: date, taxonomy: Taxonomy) -> Parameters:
    """Those in force: the starting weights, all skills of the taxonomy equally rare, its relations by their nearness."""
    rarity, related = _skills(taxonomy)
    return Parameters(today, rarity, related)


@lru_cache(maxsize=2)
def rules(taxonomy: Taxonomy) -> str:
    """A digest of all that scores go by besides the pair and the day: two processes with the same one score alike."""
    return sha256(repr(parameters(date.min, taxonomy)).encode()).hexdigest()


@lru_cache(maxsize=2)
def _skills(taxonomy: Taxonomy) -> tuple[dict[Skill, int], dict[Skill, dict[Skill, int]]]:
    related = {
        skill: {other: NEARNESS[kinship] for other, kinship in taxonomy.related(skill).items()}
        for skill in taxonomy.skills
    }
    return dict.fromkeys(taxonomy.skills, 1), {skill: others for skill, others in related.items() if others}


MARKET = "market"
"""The subject of due work for all companies, as there is one market."""
_PHASE = timedelta(minutes=30)


def ranked(edges: Iterable[tuple[UUID, UUID, int]]) -> list[tuple[UUID, UUID]]:
    """Pairs (placement, offer, score), each once, best first; what ties is ordered by the ids of placement and offer."""
    scored = {(-score, placement_id, offer_id) for placement_id, offer_id, score in edges}
    return [(placement_id, offer_id) for _, placement_id, offer_id in sorted(scored)]


def match_id(placement_id: UUID, offer_id: UUID, attempt: int) -> UUID:
    """The id of the match, and of the exchange that grows from it."""
    return uuid5(placement_id, f"{offer_id}/{attempt}")


def proposal(
    id_: UUID, placement: OpenPlacement, offer: OpenOffer, fit: Score, expires_at: datetime, initiator: str
) -> MatchProposed:
    """The event that hands the pair to exchange; ``initiator`` is who asked for it."""
    return MatchProposed(
        match_id=id_,
        revision=1,
        placement_id=placement.terms.placement_id,
        offer_id=offer.terms.offer_id,
        sender_id=placement.home.company_id,
        host_id=offer.home.company_id,
        traveller_id=placement.terms.traveller_id,
        sender_country=placement.home.country,
        host_country=offer.home.country,
        sender_sector=placement.home.sector,
        host_sector=offer.home.sector,
        score=fit.value,
        explanation=fit.explanation,
        window=fit.window,
        min_days=fit.min_days,
        max_days=fit.max_days,
        training=fit.training,
        expires_at=expires_at,
        initiator=initiator,
    )


def expiry(now: datetime, days: int) -> datetime:
    """The end of the day that lies so many days ahead: who has until a day has the whole of it."""
    return datetime.combine(now.date() + timedelta(days=days + 1), time(), now.tzinfo)


def next_search(now: datetime, tick_hours: int) -> datetime:
    """When the market is searched next: at once, or at the planner's next tick, strictly later than now.

    Ticks lie on the half hour. Proposals expire, and stays begin and end, at midnight; so no search runs beside what exchange
    does at the same instant of a replay, where time stands still until all is done.
    """
    if tick_hours == 0:
        return now
    period, origin = timedelta(hours=tick_hours), datetime(1970, 1, 1, tzinfo=now.tzinfo) + _PHASE
    return origin + ((now - origin) // period + 1) * period
