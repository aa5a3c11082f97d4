"""The survey's rules: what counts of what others tell, who is invited, what a submission must be, what it comes to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import sqrt
from statistics import NormalDist
from uuid import UUID, uuid5

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated, Stage
from sojourn_contracts.match import MatchDeclined, MatchProposed
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import Party, TrainingDirection

from survey.questionnaire import DONT_KNOW, MISSING, NOT_APPLICABLE, Indicator, Question

TIME_TO_ANSWER = timedelta(days=60)

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


class InvitationState(StrEnum):
    OPEN = "open"
    SUBMITTED = "submitted"
    CLOSED = "closed"


@dataclass(frozen=True)
class Invitation:
    """One party is asked about one exchange in one wave."""

    invitation_id: UUID
    exchange_id: UUID
    party: Party
    wave: int
    questionnaire: str
    company_id: UUID
    """The sending or hosting company; for a traveller, the sending one."""
    respondent_id: UUID
    """Who may answer: the company, or the traveller."""
    days: int
    training_direction: TrainingDirection
    invited_at: datetime
    closes_at: datetime
    state: InvitationState = InvitationState.OPEN

    @property
    def programme_year(self) -> int:
        """The year in which the exchange ended; clusters are told apart within it."""
        return self.invited_at.astimezone(UTC).year


def invite(event: ExchangeCompleted, wave: int, questionnaire: str, erased: Collection[UUID]) -> list[Invitation]:
    """Sender, host and traveller are asked; nobody is asked for a company that was erased."""
    asked = {
        Party.SENDER: (event.sender_id, event.sender_id),
        Party.HOST: (event.host_id, event.host_id),
        Party.TRAVELLER: (event.sender_id, event.traveller_id),
    }
    return [
        Invitation(
            invitation_id=uuid5(event.exchange_id, f"{party}/{wave}"),
            exchange_id=event.exchange_id,
            party=party,
            wave=wave,
            questionnaire=questionnaire,
            company_id=company_id,
            respondent_id=respondent_id,
            days=event.days,
            training_direction=event.training.direction,
            invited_at=event.changed_at,
            closes_at=event.changed_at + TIME_TO_ANSWER,
        )
        for party, (company_id, respondent_id) in asked.items()
        if company_id not in erased
    ]


def submit(invitation: Invitation, respondent_id: UUID, now: datetime) -> Invitation:
    """An invitation is answered once, by the party that was invited, while it is open.

    Raises:
        NotYours: somebody else was invited.
        Refused: ``already_submitted``, or ``invitation_closed``.
    """
    if invitation.respondent_id != respondent_id:
        raise NotYours("not_invited", "somebody else was invited")
    if invitation.state is InvitationState.SUBMITTED:
        raise Refused("already_submitted", "this invitation was answered")
    if state_at(invitation, now) is InvitationState.CLOSED:
        raise Refused("invitation_closed", f"answers were taken until {invitation.closes_at.isoformat()}")
    return replace(invitation, state=InvitationState.SUBMITTED)


def close(invitation: Invitation) -> Invitation:
    """Its time is over; an answered one stays answered."""
    if invitation.state is not InvitationState.OPEN:
        return invitation
    return replace(invitation, state=InvitationState.CLOSED)


def state_at(invitation: Invitation, now: datetime) -> InvitationState:
    """The due work that closes an invitation may be late; the time limit is not."""
    return close(invitation).state if now >= invitation.closes_at else invitation.state


@dataclass(frozen=True)
class WrongAnswer:
    question: str
    detail: str
    allowed: str | None = None


def wrong_answers(questions: Sequence[Question], answers: Mapping[str, str]) -> list[WrongAnswer]:
    """All that is wrong with the answers: missing ones, unknown codes, questions that this party is not asked."""
    asked = {question.code: question for question in questions}
    wrong = [
        WrongAnswer(code, "is required", ", ".join(question.answers))
        for code, question in asked.items()
        if question.required and code not in answers
    ]
    for code, answer in answers.items():
        if code not in asked:
            wrong.append(WrongAnswer(code, "is not asked of this party", ", ".join(asked)))
        elif answer not in asked[code].answers:
            wrong.append(WrongAnswer(code, "is not an answer to this question", ", ".join(asked[code].answers)))
    return wrong


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
    pilot: float
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
