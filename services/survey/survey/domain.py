"""The survey's rules: what counts of what others tell, and what answers come to."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist
from uuid import UUID

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated, Stage
from sojourn_contracts.match import MatchDeclined, MatchProposed

from survey.questionnaires.questionnaire import DECLINED, DONT_KNOW, NOT_APPLICABLE, Indicator

MISSING = frozenset({DECLINED, DONT_KNOW, NOT_APPLICABLE})
"""Answers that are counted apart and never as valid ones."""

Profile = CompanyRegistered | CompanyUpdated
ExchangeEvent = MatchDeclined | ExchangeUpdated | ExchangeAgreed | ExchangeCancelled | ExchangeCompleted


@dataclass(frozen=True)
class Company:
    """What is known of a company; it starts blank, since any of its events may come first."""

    company_id: UUID
    profile: Profile | None = None
    withdrawn: bool = False

    @property
    def revision(self) -> int:
        return 0 if self.profile is None else self.profile.revision


def update(company: Company, profile: Profile) -> Company:
    """The profile of the highest revision counts, in whatever order they come."""
    return replace(company, profile=profile) if profile.revision > company.revision else company


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
    return replace(exchange, newest=newest, furthest=furthest)


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


def wilson(favourable: int, valid: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a share, which stays within 0 and 1 and holds at small counts.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (158), 1927, pp. 209-212.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = favourable / valid
    centre = share + z**2 / (2 * valid)
    half = z * sqrt(share * (1 - share) / valid + z**2 / (4 * valid**2))
    return max(0.0, (centre - half) / (1 + z**2 / valid)), min(1.0, (centre + half) / (1 + z**2 / valid))


@dataclass(frozen=True)
class Estimate:
    """An indicator as counted, with its 95% interval; shares from 0 to 1, None while there is no valid answer."""

    code: str
    count: int
    """Favourable answers."""
    valid: int
    share: float | None
    low: float | None
    high: float | None
    pilot: float | None
    dont_know: int
    not_applicable: int


def estimate(indicator: Indicator, answers: Mapping[str, int]) -> Estimate:
    """Favourable over valid answers; "don't know" and "not applicable" are no valid answers and stand apart."""
    valid = sum(number for answer, number in answers.items() if answer not in MISSING)
    count = sum(number for answer, number in answers.items() if answer in indicator.favourable)
    low, high = wilson(count, valid) if valid else (None, None)
    return Estimate(
        code=indicator.code,
        count=count,
        valid=valid,
        share=count / valid if valid else None,
        low=low,
        high=high,
        pilot=indicator.pilot,
        dont_know=answers.get(DONT_KNOW, 0),
        not_applicable=answers.get(NOT_APPLICABLE, 0),
    )


def funnel(registered: int, left: int, exchanges: Mapping[tuple[Stage, Stage], int]) -> dict[str, int]:
    """How many companies registered, how many exchanges came at least as far as each stage, and how the others ended.

    ``exchanges`` counts them by furthest stage and present stage.
    """
    ends = [stage for stage in Stage if stage.ended and stage is not Stage.COMPLETED]
    life = [stage for stage in Stage if stage not in ends and not stage.detour]
    reached = {
        str(stage): sum(number for (furthest, _), number in exchanges.items() if furthest.rank >= stage.rank)
        for stage in life
    }
    ended = {str(end): sum(number for (_, stage), number in exchanges.items() if stage is end) for end in ends}
    return {"registered": registered, "left": left} | reached | ended
