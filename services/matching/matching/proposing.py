"""How a pair becomes a match: looked at again under its locks, reserved, and handed to exchange."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import cast
from uuid import UUID

from chassis.outbox import emitted_at
from chassis.transaction import Transaction
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Invalid, Refused
from sojourn_contracts.vocabulary import Side

from matching import domain, planning, store
from matching.domain import Obstacle, OpenOffer, OpenPlacement, Score
from matching.settings import MatchingSettings, taxonomy

SEARCH = "matching"
"""Who asked for a match that no side did."""

PROPOSAL_SECONDS = "proposal_seconds"
DURATIONS = {
    PROPOSAL_SECONDS: "Time from what led to a search until it proposes; what waits for a tick, from the tick on"
}

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


@dataclass(frozen=True)
class Wanted:
    """A pair that fits, looked at under its locks, and who asked for it; ``tx`` works for what led to it."""

    tx: Transaction
    placement: OpenPlacement
    offer: OpenOffer
    fit: Score
    initiator: str = SEARCH
    due: datetime | None = None
    """When a search had to propose it; None where a side asked for it."""

    def proposal(self, attempt: int) -> MatchProposed:
        settings = cast(MatchingSettings, self.tx.settings)
        match_id = planning.match_id(self.placement.terms.placement_id, self.offer.terms.offer_id, attempt)
        expires_at = planning.expiry(self.tx.now, settings.proposal_days)
        return planning.proposal(match_id, self.placement, self.offer, self.fit, expires_at, self.initiator)


async def propose(wanted: Sequence[Wanted]) -> list[UUID | None]:
    """Reserves slots, emits the matches and gives their ids; None where somebody was faster, which the locks should prevent.

    A match gets the first attempt's id, unless that was erased: nobody would hear of a match under an erased id.
    """
    made = dict[int, UUID]()
    left = dict(enumerate(wanted))
    for attempt in count(1):
        if not left:
            break
        tx = wanted[0].tx
        proposals = {number: each.proposal(attempt) for number, each in left.items()}
        reserved = await store.reserve(tx, list(proposals.values()))
        for number, proposal in proposals.items():
            if proposal.match_id in reserved:
                wanted[number].tx.emit(proposal)
                _measure(wanted[number])
                made[number] = proposal.match_id
        refused = {number: each.match_id for number, each in proposals.items() if each.match_id not in reserved}
        known = await store.known_matches(tx, list(refused.values())) if refused else set[UUID]()
        left = {number: wanted[number] for number, match_id in refused.items() if match_id in known}
    return [made.get(number) for number in range(len(wanted))]


def _measure(proposed: Wanted) -> None:
    """By the wall clock, from which the programme's differs in a replay alone."""
    if proposed.due is not None:
        caused = proposed.tx.cause.causation_id
        emitted = emitted_at(UUID(caused)) if caused else None
        since = max(emitted or 0.0, proposed.due.timestamp())
        proposed.tx.lasted(PROPOSAL_SECONDS, max(0.0, time.time() - since))


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
    parameters = planning.parameters(tx.now.date(), taxonomy(tx))
    forever = domain.obstacle(replace(placement, taken=False), replace(offer, held=0), parameters)
    if forever is None and await store.fulfilled(tx, placement_id):
        forever = Obstacle.TAKEN
    if forever is not None:
        raise Refused(forever.value, _WHY_NOT[forever])
    fit = domain.score(placement, offer, parameters)
    [match_id] = await propose([Wanted(tx, placement, offer, fit, side.value)]) if fit else [None]
    if match_id is None:
        await store.keep_interest(tx, placement_id, offer_id, side)
    return match_id
