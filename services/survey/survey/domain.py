"""The survey's rules: what counts of what others tell."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated, Stage
from sojourn_contracts.match import MatchDeclined, MatchProposed

REGISTERED = "registered"
"""What comes before an exchange's first stage: its sender was admitted."""
_LIFE = (
    REGISTERED,
    *(stage for stage in Stage if (stage is Stage.COMPLETED or not stage.ended) and not stage.detour),
)
Profile = CompanyRegistered | CompanyUpdated
ExchangeEvent = MatchDeclined | ExchangeUpdated | ExchangeAgreed | ExchangeCancelled | ExchangeCompleted


@dataclass(frozen=True)
class Company:
    """What is known of a company; it starts blank, since any of its events may come first."""

    company_id: UUID
    profile: Profile | None = None
    withdrawn: bool = False
    registered_at: datetime | None = None
    """When it was admitted, once that was heard."""

    @property
    def revision(self) -> int:
        return 0 if self.profile is None else self.profile.revision


def update(company: Company, profile: Profile) -> Company:
    """The profile of the highest revision counts, in whatever order they come."""
    return replace(company, profile=profile) if profile.revision > company.revision else company


def without(company: Company, erased: Set[UUID]) -> Company:
    """A traveller who is erased leaves what their company said of others."""
    return company if company.profile is None else replace(company, profile=company.profile.without(erased))


def admitted(company: Company, at: datetime) -> Company:
    """The first time counts, in whatever order they come."""
    return replace(company, registered_at=min(at, company.registered_at or at))


def withdraw(company: Company) -> Company:
    """A company that left does not come back; its profile stays, since its last exchanges are still surveyed."""
    return replace(company, withdrawn=True)


@dataclass(frozen=True)
class Exchange:
    """How far an exchange came; it starts blank, since any of its events may come first."""

    exchange_id: UUID
    newest: MatchProposed | ExchangeEvent | None = None
    furthest: Stage | None = None
    """The latest stage of life that was ever reached, whatever came after."""
    reached: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    """When it was first at a stage, and when its sender registered, as far as that was heard."""

    @property
    def days(self) -> dict[str, int]:
        """Whole days that each stage came after the one before it, of those that are known."""
        times = [(stage, self.reached[stage]) for stage in _LIFE if stage in self.reached]
        return {stage: max(0, (at - before).days) for (_, before), (stage, at) in pairwise(times)}

    @property
    def stage(self) -> Stage | None:
        return None if self.newest is None else stage_of(self.newest)


def stage_of(event: MatchProposed | ExchangeEvent) -> Stage:
    """Where the exchange stands after the event."""
    match event:
        case MatchProposed():
            return Stage.PROPOSED
        case MatchDeclined():
            return Stage(event.reason.value)
        case _:
            return event.stage


def follow(exchange: Exchange, event: MatchProposed | ExchangeEvent) -> Exchange:
    """The highest revision says where an exchange stands, and a proposal ranks below every stage, in whatever order."""
    furthest = max(filter(None, (exchange.furthest, _reached(event))), key=lambda stage: stage.rank)
    newest = event if exchange.newest is None or _order(event) > _order(exchange.newest) else exchange.newest
    followed = replace(exchange, newest=newest, furthest=furthest)
    match event:
        case MatchProposed() | MatchDeclined():
            return followed
        case _:
            return reached(followed, event.stage, event.changed_at)


def reached(exchange: Exchange, stage: str, at: datetime) -> Exchange:
    """The first time at a stage counts, in whatever order they come."""
    if stage not in _LIFE:
        return exchange
    first = min(at, exchange.reached.get(stage, at))
    return replace(exchange, reached={**exchange.reached, str(stage): first})


def after_registration(exchange: Exchange, registered_at: datetime | None) -> Exchange:
    """Told to an exchange that was proposed, when its sender's registration is known."""
    return exchange if registered_at is None else reached(exchange, REGISTERED, registered_at)


def _reached(event: MatchProposed | ExchangeEvent) -> Stage:
    """The furthest stage of life that this event proves; an end other than completion proves nothing beyond itself."""
    match event:
        case ExchangeCancelled():
            return event.cancelled_at_stage
        case MatchProposed() | MatchDeclined():
            return Stage.PROPOSED
        case _:
            return event.stage


def _order(event: MatchProposed | ExchangeEvent) -> tuple[bool, int]:
    """Revisions of the proposal are matching's, all others the exchange's: the two do not compare."""
    return not isinstance(event, MatchProposed), event.revision
