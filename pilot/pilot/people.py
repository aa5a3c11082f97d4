"""What a company or a traveller means to do about what they see. Pure: what they do about it is in ``replay``."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from typing import Any

from pilot.choices import Choices, Reply
from pilot.office import office_hour
from pilot.sessions import Session

View = dict[str, Any]
"""An exchange, or an invitation, as the service shows it."""


class Does(IntEnum):
    """The order counts among acts of the same instant on the same subject: who looks, looks before anybody acts."""

    LOOK = 0
    REGISTER = 1
    UPDATE = 2
    WITHDRAW = 3
    DECLINE = 4
    CANCEL = 5
    COMPLETE = 6
    ACCEPT = 7
    DRAFT = 8
    SIGN = 9
    ANSWER = 10

    @property
    def changes_a_company(self) -> bool:
        """It can end exchanges that others are at; so what follows from it must be over before anybody acts on one."""
        return self in (Does.UPDATE, Does.WITHDRAW)


@dataclass(frozen=True, order=True)
class Act:
    """Somebody does something at some time. Acts have a total order that knows nothing of how answers arrive."""

    at: datetime
    does: Does
    person: tuple[int, int]
    subject: str = ""
    """Exchange or invitation."""
    count: int = 0
    """Version to sign, or how many times it was answered before."""
    seen: View = field(default_factory=dict, compare=False)
    """What they looked at when they made up their mind."""


@dataclass
class Person:
    """A company, or one of its travellers."""

    number: tuple[int, int]
    """The company's index, and 0 for itself or its traveller's number from 1 on."""
    id: str
    session: Session
    since: datetime
    """When it came to the programme."""
    looks_every: timedelta
    """How often it looks at its news."""
    decided: set[tuple[Any, ...]] = field(default_factory=set)
    """What it has made up its mind about."""
    gone: bool = False
    """Its company has left the programme."""
    will_look: bool = False
    """It has news that it did not look at yet."""

    @property
    def is_company(self) -> bool:
        return self.number[1] == 0

    def next_look(self, now: datetime) -> datetime:
        """When news that comes now is looked at."""
        return office_hour(self.since + ((now - self.since) // self.looks_every + 1) * self.looks_every)

    def party(self, view: View) -> str:
        """Who they are in an exchange: sender, host or traveller."""
        if not self.is_company:
            return "traveller"
        return "sender" if view["sender_id"] == self.id else "host"

    def decides(self, *what: Any) -> bool:
        """True the first time only."""
        if what in self.decided:
            return False
        self.decided.add(what)
        return True


def about_exchange(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    """The acts that somebody decides on when they see an exchange at this stage for the first time."""
    match view["stage"]:
        case "proposed":
            return _about_proposal(person, view, now, choices)
        case "accepted":
            return _about_drafting(person, view, now, choices)
        case "drafted":
            return _about_signing(person, view, now, choices)
        case "agreed" | "ongoing":
            return _about_the_stay(person, view, now, choices)
        case _:
            return []


def about_invitation(person: Person, invitation: View, now: datetime, choices: Choices) -> list[Act]:
    """Some answer, a few of them twice."""
    id_, party, p = invitation["invitation_id"], invitation["party"], choices.p
    if invitation["state"] != "open" or not person.decides("answer", id_):
        return []
    if not choices.happens(p.answer_survey[party], "answers", id_):
        return []
    at = office_hour(now + choices.after(p.days_to_answer, "answer", id_))
    acts = [Act(at, Does.ANSWER, person.number, id_, 0, invitation)]
    if choices.happens(p.answer_twice, "answers twice", id_):
        acts.append(Act(office_hour(at + timedelta(days=1)), Does.ANSWER, person.number, id_, 1, invitation))
    return acts


def _about_proposal(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    id_, side = view["exchange_id"], person.party(view)
    if side == "traveller" or side in view["accepted_by"] or not person.decides("reply", id_):
        return []
    reply = choices.reply(id_, side)
    if reply is Reply.SILENCE:
        return []
    at = office_hour(now + choices.after(choices.p.days_to_reply, "reply", id_, side))
    return [Act(at, Does.ACCEPT if reply is Reply.ACCEPT else Does.DECLINE, person.number, id_, 0, view)]


def _about_drafting(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    id_ = view["exchange_id"]
    if person.party(view) != "sender" or not person.decides("draft", id_):
        return []
    at = office_hour(now + choices.after(choices.p.days_to_draft, "draft", id_))
    return [Act(at, Does.DRAFT, person.number, id_, 1, view)]


def _about_signing(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    id_, version, party, p = view["exchange_id"], view["agreement_version"], person.party(view), choices.p
    if party in view["signed_by"] or not person.decides("sign", id_, version):
        return []
    at = office_hour(now + choices.after(p.days_to_sign, "sign", id_, party, version))
    if party == "host" and version == 1 and choices.happens(p.redraft, "redraft", id_):
        return [Act(at, Does.DRAFT, person.number, id_, 2, view)]
    acts = [Act(at, Does.SIGN, person.number, id_, version)]
    if version > 1 and choices.happens(p.sign_a_stale_version, "stale", id_, party):
        acts.append(Act(office_hour(now + timedelta(hours=1)), Does.SIGN, person.number, id_, version - 1))
    return acts


def _about_the_stay(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    id_, side, p = view["exchange_id"], person.party(view), choices.p
    if side == "traveller" or not person.decides("stay", id_):
        return []
    by = choices.by("stay", id_)
    canceller, completer = by.choice(("sender", "host")), by.choice(("sender", "host"))
    after_last_day = midnight(view["last_day"]) + timedelta(days=1)
    acts: list[Act] = []
    if side == canceller and choices.happens(p.cancel, "cancels", id_):
        at = office_hour(now + by.random() * max(after_last_day - now, timedelta()))
        acts.append(Act(at, Does.CANCEL, person.number, id_))
    if side == completer and not choices.happens(p.forget_completion, "forgets", id_):
        at = office_hour(max(now, after_last_day) + choices.after(p.days_to_complete, "complete", id_))
        acts.append(Act(at, Does.COMPLETE, person.number, id_, 0, view))
    return acts


def stay(view: View, now: datetime, choices: Choices, version: int) -> tuple[date, date] | None:
    """First and last day that a company writes into an agreement; None if the window has no room for them any more."""
    opens, closes = (date.fromisoformat(view["window"][end]) for end in ("first", "last"))
    first = max(opens, now.date() + timedelta(days=choices.p.days_ahead))
    by = choices.by("dates", view["exchange_id"], version)
    spare = (closes - first).days + 1 - view["min_days"]
    if spare < 0:
        return None
    first += timedelta(days=by.randint(0, min(spare, 21)))
    room = (closes - first).days + 1
    return first, first + timedelta(days=by.randint(view["min_days"], min(view["max_days"], room)) - 1)


def midnight(day: str) -> datetime:
    """The beginning of a programme day."""
    return datetime.combine(date.fromisoformat(day), time(), UTC)
