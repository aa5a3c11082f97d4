"""How a pair becomes a match: looked at again under its locks, reserved, and handed to exchange."""

from dataclasses import replace
from itertools import count
from typing import cast
from uuid import UUID

from chassis.transaction import Transaction
from sojourn_contracts.refusal import Invalid, Refused
from sojourn_contracts.vocabulary import Side

from matching import domain, planning, store
from matching.domain import Obstacle, OpenOffer, OpenPlacement, Parameters
from matching.settings import MatchingSettings

SEARCH = "matching"
"""Who asked for a match that no side did."""

_WHY_NOT = {
    Obstacle.SAME_COUNTRY: "both companies are in the same country",
    Obstacle.DESTINATION: "the placement's destinations leave out the host's country",
    Obstacle.LANGUAGE: "the two share no language at B1 or better",
    Obstacle.WINDOW: "the two windows share too few days from today on",
    Obstacle.LENGTH: "no length of stay suits both within the days that they share",
    Obstacle.TRAINING: "neither would train the other in a skill that it wishes for",
    Obstacle.TAKEN: "the placement's stay took place",
    Obstacle.CAPACITY: "the offer has no places",
    Obstacle.MET: "the two were matched before, and it came to nothing",
}


async def propose(
    tx: Transaction, placement: OpenPlacement, offer: OpenOffer, parameters: Parameters, initiator: str = SEARCH
) -> UUID | None:
    """Reserves the slot and emits the match. None if somebody was faster, which the locks should prevent.

    Under the first attempt's id, unless that was erased: nobody would hear of a match under an erased id.
    """
    fit = domain.score(placement, offer, parameters)
    if fit is None:
        return None
    settings = cast(MatchingSettings, tx.settings)
    expires_at = planning.expiry(tx.now, settings.proposal_days)
    for attempt in count(1):
        match_id = planning.match_id(placement.terms.placement_id, offer.terms.offer_id, attempt)
        proposal = planning.proposal(match_id, placement, offer, fit, expires_at, initiator)
        if await store.reserve(tx, proposal):
            tx.emit(proposal)
            return match_id
        if not await store.knows_match(tx, match_id):
            return None
    raise AssertionError


async def ask_for(tx: Transaction, placement_id: UUID, offer_id: UUID, side: Side) -> UUID | None:
    """A company proposes a pair itself: the match. None while the slot is somebody else's; then the wish is kept.

    A repeat changes nothing more.

    Raises:
        Refused: a hard constraint forbids the pair; the rule is the obstacle's name.
        Invalid: one of the two is not on the market.
    """
    pair = await store.locked_pair(tx, placement_id, offer_id)
    if pair is None:
        path = "offer_id" if side is Side.SENDER else "placement_id"
        raise Invalid("not_on_the_market", path, "one of the two is not on the market any more, or never was")
    live = await store.live_match(tx, placement_id, offer_id)
    if live is not None:
        return live
    placement, offer = pair
    parameters = planning.parameters(tx.now.date())
    forever = domain.obstacle(replace(placement, taken=False), replace(offer, held=0), parameters)
    if forever is None and await store.fulfilled(tx, placement_id):
        forever = Obstacle.TAKEN
    if forever is not None:
        raise Refused(forever.value, _WHY_NOT[forever])
    match_id = None
    if domain.obstacle(placement, offer, parameters) is None:
        match_id = await propose(tx, placement, offer, parameters, side.value)
    if match_id is None:
        await store.keep_interest(tx, placement_id, offer_id, side)
    return match_id
