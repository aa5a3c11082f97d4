"""A notice and its mails: one to the person it is for, or one to each who speaks for the company it is for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sojourn_contracts.notice import NoticeSent
from sojourn_contracts.refusal import Refused

TEMPLATES: Mapping[str, frozenset[str]] = {
    "sign_in": frozenset({"link"}),
    "invited": frozenset({"link"}),
    "new_address": frozenset({"link"}),
    "admitted": frozenset(),
    "needs_changes": frozenset(),
    "rejected": frozenset(),
    "still_interested": frozenset(),
    "match_proposed": frozenset(
        {
            "exchange_id",
            "side",
            "country",
            "language",
            "language_level",
            "window_first",
            "window_last",
            "min_days",
            "max_days",
            "answer_by",
        }
    ),
    "accepted_by_other": frozenset({"exchange_id", "next"}),
    "agreement_to_sign": frozenset({"exchange_id", "version", "first_day", "last_day"}),
    "agreement_signed": frozenset({"exchange_id", "first_day", "last_day"}),
    "reminder": frozenset({"exchange_id", "step", "act_by"}),
    "checklist_reminder": frozenset({"exchange_id", "step", "deadline"}),
    "stay_ahead": frozenset({"exchange_id", "first_day", "last_day"}),
    "does_it_fit": frozenset({"exchange_id"}),
    "does_not_fit": frozenset({"exchange_id", "raised_by", "sender_country", "host_country"}),
    "validation_waits": frozenset(
        {"exchange_id", "version", "sender_country", "host_country", "first_day", "last_day"}
    ),
    "agreement_approved": frozenset({"exchange_id", "first_day", "last_day"}),
    "agreement_sent_back": frozenset({"exchange_id", "version"}),
    "stay_called_off": frozenset({"first_day", "last_day"}),
    "review_waits": frozenset(),
    "survey_open": frozenset({"invitation_id", "closes_on"}),
    "survey_open_later": frozenset({"invitation_id", "closes_on"}),
    "survey_reminder": frozenset({"invitation_id", "closes_on"}),
}
"""Template to the parameters that it cannot do without; lists are numbered, as in ``learns_1``, and may be empty."""

FOR_CONTACT_POINTS = frozenset({"does_not_fit", "validation_waits", "review_waits"})
"""Templates that greet a contact point."""
WITH_LINK = frozenset(template for template, needs in TEMPLATES.items() if "link" in needs)
"""Templates whose link carries a secret; somebody waits for them before a screen."""


class State(StrEnum):
    """Where a mail stands."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    """By the mail server, which does not say that it arrived."""
    REFUSED = "refused"


class Reason(StrEnum):
    """Why a mail was refused."""

    ADDRESS_REFUSED = "address_refused"
    MESSAGE_REFUSED = "message_refused"
    RECIPIENT_UNKNOWN = "recipient_unknown"
    GAVE_UP = "gave_up"


@dataclass(frozen=True)
class Mail:
    """A notice's mail to one person."""

    state: State = State.WAITING
    reason: Reason | None = None


@dataclass(frozen=True)
class Notice:
    """Somebody is to be told something."""

    notice_id: UUID
    asked_by: str
    """A service."""
    recipient_id: UUID
    template: str
    parameters: Mapping[str, str]
    asked_at: datetime
    revision: int = 0
    """How often it was answered; rises when what was refused is sent again."""
    mails: Mapping[UUID, Mail] = field(default_factory=dict[UUID, Mail])
    """By the ids of the people written to."""

    @property
    def waiting(self) -> list[UUID]:
        return [person for person, mail in self.mails.items() if mail.state is State.WAITING]

    @property
    def state(self) -> State:
        """Accepted where one mail was: of those who speak for a company, somebody has been told."""
        states = {mail.state for mail in self.mails.values()} or {State.REFUSED}
        return next(state for state in State if state in states)

    @property
    def reason(self) -> Reason | None:
        """Why it was refused."""
        if self.state is not State.REFUSED:
            return None
        return next((mail.reason for mail in self.mails.values() if mail.reason), Reason.RECIPIENT_UNKNOWN)

    def as_sent(self, now: datetime) -> NoticeSent:
        return NoticeSent(
            notice_id=self.notice_id,
            revision=self.revision,
            asked_by=self.asked_by,
            recipient_id=self.recipient_id,
            template=self.template,
            outcome=self.state.value,
            reason=self.reason and self.reason.value,
            answered_at=now,
        )


def require_known(template: str, parameters: Mapping[str, str]) -> None:
    """Raises: Refused, ``unknown_template`` or ``missing_parameters``."""
    if template not in TEMPLATES:
        raise Refused("unknown_template", f"there is no template {template}")
    if missing := sorted(TEMPLATES[template] - parameters.keys()):
        raise Refused("missing_parameters", f"{template} takes {', '.join(missing)}")


def addressed(notice: Notice, people: Collection[UUID]) -> Notice:
    """The notice with a mail for each of these people who has none, answered at once where there is nobody."""
    mails = {**dict.fromkeys(people, Mail()), **notice.mails}
    return _answered_if_settled(replace(notice, mails=mails))


def settled(notice: Notice, person_id: UUID, mail: Mail) -> Notice:
    """The notice once this mail was accepted or refused; the last one to be answers the notice."""
    return _answered_if_settled(replace(notice, mails={**notice.mails, person_id: mail}))


def without(notice: Notice, person_id: UUID) -> Notice:
    """The notice of a company without somebody whose mail still waits; if only theirs did, it is answered."""
    left = {person: mail for person, mail in notice.mails.items() if person != person_id}
    return _answered_if_settled(replace(notice, mails=left))


def send_again(notice: Notice, people: Collection[UUID]) -> Notice:
    """What was refused is sent again, to whoever is to be told by now; what was accepted is not.

    Raises:
        Refused: ``nothing_refused``, all that was asked for was accepted or still waits.
    """
    kept = {person: mail for person, mail in notice.mails.items() if mail.state is not State.REFUSED}
    if len(kept) == len(notice.mails) and kept:
        raise Refused("nothing_refused", "no mail of this notice was refused")
    return addressed(replace(notice, mails=kept), people)


def _answered_if_settled(notice: Notice) -> Notice:
    return notice if notice.waiting else replace(notice, revision=notice.revision + 1)
