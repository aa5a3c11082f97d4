"""What matching hears from others about companies and matches: whatever order it comes in, the same is known after it.

A match belongs to exchange from its proposal on: its slot is free again only when exchange says how it ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted
from sojourn_contracts.match import MatchDeclined
from sojourn_contracts.vocabulary import Skill

CompanyEvent = CompanyRegistered | CompanyUpdated | CompanyWithdrawn
MatchEvent = MatchDeclined | ExchangeAgreed | ExchangeCancelled | ExchangeCompleted


@dataclass(frozen=True)
class Company:
    """How far a company is known; blank before the first word of it."""

    company_id: UUID
    revision: int = 0
    withdrawn: bool = False
    """It left, was excluded or was erased: for good."""


def hear_of(company: Company, event: CompanyEvent) -> Company:
    """Takes in a state of a company: a later revision counts, and of one that is gone only a later word of its going."""
    going = isinstance(event, CompanyWithdrawn)
    if (going, event.revision) <= (company.withdrawn, company.revision):
        return company
    return Company(company.company_id, event.revision, going)


def skills_of(event: CompanyRegistered | CompanyUpdated) -> Iterator[Skill]:
    """All that its placements and offers name."""
    for placement in event.placements:
        yield from (*placement.skills_sought, *placement.skills_brought)
    for offer in event.offers:
        yield from (*offer.skills_taught, *offer.skills_needed)


class State(StrEnum):
    """Where a match stands, as far as the market is concerned."""

    BLANK = "blank"
    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    ERASED = "erased"

    @property
    def rank(self) -> int:
        """What comes later in life ranks higher; the three ends are equal, and erasure is final."""
        return {State.BLANK: 0, State.PROPOSED: 1, State.AGREED: 2, State.ERASED: 4}.get(self, 3)

    @property
    def ended(self) -> bool:
        """The slot is free."""
        return self.rank >= State.COMPLETED.rank


_STATE_AFTER: dict[type[MatchEvent], State] = {
    MatchDeclined: State.DECLINED,
    ExchangeAgreed: State.AGREED,
    ExchangeCancelled: State.CANCELLED,
    ExchangeCompleted: State.COMPLETED,
}


@dataclass(frozen=True)
class Match:
    """A match as matching made it or, after a restore, as exchange tells of it; blank before either."""

    match_id: UUID
    state: State = State.BLANK
    revision: int = 0
    """Of the exchange with this id; 0 until it is heard of."""
    placement_id: UUID | None = None
    offer_id: UUID | None = None
    sender_id: UUID | None = None
    host_id: UUID | None = None

    @property
    def companies(self) -> list[UUID]:
        """Those at its two ends, as far as known."""
        return [company for company in (self.sender_id, self.host_id) if company]


def hear(match: Match, event: MatchEvent) -> Match:
    """Takes in what exchange says: the later stage counts, within a stage the higher revision."""
    state = _STATE_AFTER[type(event)]
    if (state.rank, event.revision) <= (match.state.rank, match.revision):
        return match
    return replace(
        match,
        state=state,
        revision=event.revision,
        placement_id=event.placement_id,
        offer_id=event.offer_id,
        sender_id=event.sender_id,
        host_id=event.host_id,
    )


def erase(match: Match) -> Match:
    """Keeps the bare id. What is erased has ended: nothing that could end it later will be heard."""
    return Match(match.match_id, State.ERASED)
