"""Who is asked what and when, and what an answer must be. Pure."""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from sojourn_contracts.exchange import ExchangeCompleted
from sojourn_contracts.notice import NoticeDue
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import Party, TrainingDirection

from survey.questionnaires.questionnaire import END_OF_STAY, Kind, Question

TIME_TO_ANSWER = timedelta(days=60)
REMINDED_AFTER = (timedelta(days=14), timedelta(days=40))
"""After the invitation, for as long as it is open."""
MONTHS_BETWEEN_WAVES = 6

OPEN, OPEN_LATER, REMINDER = "survey_open", "survey_open_later", "survey_reminder"
"""Templates of e-mails."""


class InvitationState(StrEnum):
    OPEN = "open"
    SUBMITTED = "submitted"
    DECLINED = "declined"
    """Whoever was invited would rather not answer."""
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
    programme_year: int
    """The year in which the exchange ended, in whatever wave: clusters are told apart within it."""
    invited_at: datetime
    closes_at: datetime
    state: InvitationState = InvitationState.OPEN
    started: bool = False
    """A draft was saved, or all was submitted at once."""

    @property
    def opening(self) -> str:
        """Template of the e-mail that invites."""
        return OPEN if self.wave == END_OF_STAY else OPEN_LATER

    @property
    def notice_id(self) -> UUID:
        """Of the e-mail that invites."""
        return uuid5(self.invitation_id, self.opening)

    def reminds_at(self, number: int) -> datetime:
        """When it is reminded of the first time, 1, or the second, 2."""
        return self.invited_at + REMINDED_AFTER[number - 1]

    def invites(self) -> NoticeDue:
        """Asks that whoever may answer be told."""
        return self._notice(self.notice_id, self.opening)

    def reminds(self, number: int) -> NoticeDue:
        name = REMINDER if number == 1 else f"{REMINDER}/{number}"
        return self._notice(uuid5(self.invitation_id, name), REMINDER)

    def _notice(self, notice_id: UUID, template: str) -> NoticeDue:
        """Nothing here says what anybody answered."""
        closes_on = self.closes_at.astimezone(UTC).date().isoformat()
        parameters = {"invitation_id": str(self.invitation_id), "closes_on": closes_on}
        return NoticeDue(notice_id=notice_id, recipient_id=self.respondent_id, template=template, parameters=parameters)


def invite(event: ExchangeCompleted, wave: int, questionnaire: str, now: datetime) -> list[Invitation]:
    """Sender, host and traveller are asked, and have as long from now to answer."""
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
            programme_year=event.changed_at.astimezone(UTC).year,
            invited_at=now,
            closes_at=now + TIME_TO_ANSWER,
        )
        for party, (company_id, respondent_id) in asked.items()
    ]


def second_wave_at(last_day: date) -> datetime:
    """Six months after the end of the stay, on the same day of the month or on its last one."""
    years, month = divmod(last_day.month - 1 + MONTHS_BETWEEN_WAVES, 12)
    year = last_day.year + years
    day = min(last_day.day, monthrange(year, month + 1)[1])
    return datetime.combine(date(year, month + 1, day), time(), UTC)


def remind(invitation: Invitation, number: int, now: datetime) -> list[NoticeDue]:
    """Who has not answered by then is asked again, while there is time to."""
    return [invitation.reminds(number)] if state_at(invitation, now) is InvitationState.OPEN else []


def save_draft(invitation: Invitation, respondent_id: UUID, answers: Mapping[str, str], now: datetime) -> Invitation:
    """What was answered so far is kept, as often as somebody likes, while the invitation is open.

    Raises: as ``submit``.
    """
    _require_open(invitation, respondent_id, answers, now)
    return replace(invitation, started=True)


def submit(invitation: Invitation, respondent_id: UUID, answers: Mapping[str, str], now: datetime) -> Invitation:
    """An invitation is answered once, by the party that was invited, while it is open.

    Raises:
        NotYours: somebody else was invited.
        Refused: ``already_submitted``, ``invitation_declined`` or ``invitation_closed``; the codes of the questions whose
            answers are not taken stand beside it as ``questions``.
    """
    _require_open(invitation, respondent_id, answers, now)
    return replace(invitation, state=InvitationState.SUBMITTED, started=True)


def decline(invitation: Invitation, respondent_id: UUID, now: datetime) -> Invitation:
    """Whoever would rather not answer is asked no more; to say so again changes nothing.

    Raises:
        NotYours: somebody else was invited.
        Refused: ``already_submitted`` or ``invitation_closed``.
    """
    if invitation.respondent_id == respondent_id and invitation.state is InvitationState.DECLINED:
        return invitation
    _require_open(invitation, respondent_id, {}, now)
    return replace(invitation, state=InvitationState.DECLINED)


def _require_open(invitation: Invitation, respondent_id: UUID, answers: Mapping[str, str], now: datetime) -> None:
    _require_invited(invitation, respondent_id)
    rules = {
        InvitationState.SUBMITTED: ("already_submitted", "this invitation was answered"),
        InvitationState.DECLINED: ("invitation_declined", "whoever was invited declined to answer"),
        InvitationState.CLOSED: ("invitation_closed", f"answers were taken until {invitation.closes_at.isoformat()}"),
    }
    if rule := rules.get(state_at(invitation, now)):
        members = {"questions": ", ".join(answers)} if answers else {}
        raise Refused(*rule, members)


def _require_invited(invitation: Invitation, respondent_id: UUID) -> None:
    if invitation.respondent_id != respondent_id:
        raise NotYours("not_invited", "somebody else was invited")


def seen_by(invitation: Invitation, respondent_id: UUID) -> Invitation:
    """The invitation for whoever was invited.

    Raises:
        NotYours: somebody else was.
    """
    _require_invited(invitation, respondent_id)
    return invitation


def close(invitation: Invitation) -> Invitation:
    """Its time is over; an answered one stays answered, a declined one declined."""
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


def wrong_in_draft(questions: Sequence[Question], answers: Mapping[str, str]) -> list[WrongAnswer]:
    """Unknown codes, and questions that this party is not asked; a draft may have gaps, and what will not be asked after all."""
    asked = {question.code: question for question in questions}
    wrong: list[WrongAnswer] = []
    for code, answer in answers.items():
        if code not in asked:
            wrong.append(WrongAnswer(code, "is not asked of this party", ", ".join(asked)))
        elif asked[code].kind is not Kind.TEXT and answer not in asked[code].codes:
            wrong.append(WrongAnswer(code, "is not an answer to this question", ", ".join(asked[code].codes)))
    return wrong


def wrong_answers(questions: Sequence[Question], answers: Mapping[str, str]) -> list[WrongAnswer]:
    """All that is wrong with a submission: what is wrong in a draft, missing answers, and answers that nobody was to give."""
    wrong: list[WrongAnswer] = []
    for question in questions:
        if question.routing and answers.get(question.routing.question) not in question.routing.answers:
            if question.code in answers:
                to = f"{question.routing.question}: {', '.join(sorted(question.routing.answers))}"
                wrong.append(WrongAnswer(question.code, "is asked only of those who answered another question so", to))
        elif question.required and question.code not in answers:
            wrong.append(WrongAnswer(question.code, "is required", ", ".join(question.codes)))
    return wrong + wrong_in_draft(questions, answers)


def in_own_words(questions: Sequence[Question], answers: Mapping[str, str]) -> dict[str, str]:
    """The answers without codes, which are never released."""
    free = {question.code for question in questions if question.kind is Kind.TEXT}
    return {code: answer for code, answer in answers.items() if code in free}


def readable_on(now: datetime) -> date:
    """The first day of the next month, so that when a text can be read first does not say when, and with what, it was given."""
    today = now.astimezone(UTC).date()
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1)
