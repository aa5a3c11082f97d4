"""What a company or a traveller means to do about what they see. Pure: what they do about it is in ``replay``."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from typing import Any

from sojourn_contracts.vocabulary import MAX_STAY_DAYS

from pilot.choices import Choices, Reply, Tick
from pilot.office import office_hour
from pilot.sessions import Session

LOOKS_BACK_AFTER = timedelta(days=186)
"""After the stay: six months are 184 days at most, and the mail has a day."""
View = dict[str, Any]
"""An exchange, or an invitation, as the service shows it."""


class Does(IntEnum):
    """The order counts among acts of the same instant on the same subject: who looks, looks before anybody acts."""

    LOOK = 0
    REGISTER = 1
    SUBMIT = 2
    REVIEW = 3
    """A contact point decides about the company."""
    UPDATE = 4
    WITHDRAW = 5
    DECLINE = 6
    CANCEL = 7
    END_EARLY = 8
    INTERRUPT = 9
    RESUME = 10
    ARRIVE = 11
    RECORD = 12
    FIT = 13
    COMPLETE = 14
    ACCEPT = 15
    DRAFT = 16
    EXTEND = 17
    SEND_BACK = 18
    ACKNOWLEDGE = 19
    SIGN = 20
    APPROVE = 21
    ANSWER = 22
    ERASE = 23
    """A traveller or a company that left wants to be forgotten."""
    TICK = 24
    """Somebody says that an item of the checklist is done."""
    CONFIRM = 25
    """A company that is asked says that it is still interested."""
    RENEW = 26
    """It offers its places for another year."""
    OVERSEE = 27
    """A contact point asks what is late; before anybody else acts."""
    DECLINE_SURVEY = 28

    @property
    def is_about_one_company(self) -> bool:
        """It has to do with no other one."""
        return self in (Does.REGISTER, Does.SUBMIT, Does.REVIEW, Does.CONFIRM)

    @property
    def changes_a_company(self) -> bool:
        """It can end exchanges that others are at; so what follows from it must be over before anybody acts on one."""
        return self in (Does.UPDATE, Does.WITHDRAW, Does.ERASE, Does.RENEW)

    @property
    def may_agree(self) -> bool:
        """It can take days that another exchange then cannot have: which of two comes first decides."""
        return self in (Does.SIGN, Does.APPROVE)

    @property
    def of_the_stay(self) -> bool:
        """Who does it has a look at the exchange before."""
        return self in _OF_THE_STAY


_OF_THE_STAY = {
    Does.END_EARLY,
    Does.INTERRUPT,
    Does.RESUME,
    Does.ARRIVE,
    Does.RECORD,
    Does.FIT,
    Does.COMPLETE,
    Does.EXTEND,
}


@dataclass(frozen=True, order=True)
class Act:
    """Somebody does something at some time. Acts have a total order that knows nothing of how answers arrive."""

    at: datetime
    does: Does
    person: tuple[int, int]
    subject: str = ""
    """Exchange or invitation."""
    count: int = 0
    """Version to sign or draft, day of the training, place on the checklist, or how many times it was answered before."""
    seen: View = field(default_factory=dict, compare=False)
    """What they looked at when they made up their mind."""


@dataclass
class Person:
    """A company, or one of its travellers."""

    number: tuple[int, int]
    """The company's index, and 0 for itself or its traveller's number from 1 on; a contact point's is negative."""
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

    @property
    def is_contact_point(self) -> bool:
        """Its id is its country."""
        return self.number[0] < 0

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
        case "agreed" | "ongoing" | "interrupted":
            return [
                *_about_an_extension(person, view, now, choices),
                *_about_calling_off(person, view, now, choices),
                *(_about_the_stay(person, view, now, choices) if view["stage"] != "agreed" else ()),
            ]
        case "completed":
            return [
                *about_forgetting(person, view["exchange_id"], now, choices.p.erase_traveller, choices),
                *_about_looking_back(person, view),
            ]
        case _:
            return []


def about_forgetting(person: Person, why: str, now: datetime, share: float, choices: Choices) -> list[Act]:
    """Some want to be forgotten once all is over: a traveller after a stay, a company after it left."""
    if (why != person.id and person.is_company) or not person.decides("erase"):
        return []
    if not choices.happens(share, "is forgotten", person.id):
        return []
    at = office_hour(now + choices.after(choices.p.days_to_erase, "erase", person.id))
    return [Act(at, Does.ERASE, person.number)]


def about_invitation(person: Person, invitation: View, now: datetime, choices: Choices) -> list[Act]:
    """Some answer, a few of them twice; of the others, some say that they would rather not."""
    id_, party, p = invitation["invitation_id"], invitation["party"], choices.p
    if invitation["state"] != "open" or not person.decides("answer", id_):
        return []
    at = office_hour(now + choices.after(p.days_to_answer, "answer", id_))
    if not choices.happens(p.answer_survey[party], "answers", id_):
        declines = choices.happens(p.decline_survey, "declines the survey", id_)
        return [Act(at, Does.DECLINE_SURVEY, person.number, id_, 0, invitation)] if declines else []
    acts = [Act(at, Does.ANSWER, person.number, id_, 0, invitation)]
    if choices.happens(p.answer_twice, "answers twice", id_):
        acts.append(Act(office_hour(at + timedelta(days=1)), Does.ANSWER, person.number, id_, 1, invitation))
    return acts


def verdict(review: View) -> tuple[str, str, list[dict[str, str]]]:
    """What a contact point decides about a company in its queue, with its reason, and its remarks on fields."""
    unclear = {(finding["rule"], finding["reason"]) for finding in review["unclear"]}
    if ("a_large_company_only_hosts", "large") in unclear:
        return "reject", "With its group it is a large company, and may only host.", []
    remarks = {
        ("learning_only_declared", "not_declared"): ("learning_only", "Please declare that stays are for learning."),
        ("one_person_has_a_vat_number", "no_number"): ("vat", "A firm of one person needs a VAT number."),
        ("vat_number_registered", "invalid"): ("vat", "The Union's register does not know this number."),
    }
    told = [{"path": path, "remark": remark} for why, (path, remark) in remarks.items() if why in unclear]
    if told:
        return "needs_changes", "Something is missing; see the remarks.", told
    return "admit", "It grew in one period alone, or its number could not be looked up: nothing speaks against it.", []


def about_checklist(person: Person, view: View, items: list[View], now: datetime, choices: Choices) -> list[Act]:
    """Who is reminded of an item is who says that it is done: most in time, some late, some never."""
    id_, acts = view["exchange_id"], list[Act]()
    for number, item in enumerate(items):
        tick = choices.tick(id_, item["item"])
        if item["who"][0] != person.party(view) or item["state"] == "done" or tick is Tick.NEVER:
            continue
        over = midnight(item["deadline"]) + timedelta(days=1)
        at = now + choices.by("tick when", id_, item["item"]).random() * max(over - now, timedelta())
        if tick is Tick.LATE:
            at = max(now, over) + choices.after(choices.p.days_late, "late", id_, item["item"])
        acts.append(Act(office_hour(at), Does.TICK, person.number, id_, number, item))
    return acts


def about_interest(person: Person, offers: int, now: datetime, choices: Choices) -> list[Act]:
    """Of those that are asked after a year, some say that they are still interested, and offer their places again."""
    if not choices.happens(choices.p.still_interested, "still interested", person.id):
        return []
    at = office_hour(now + choices.after(choices.p.days_to_say, "still interested", person.id))
    acts = [Act(at, Does.CONFIRM, person.number)]
    if choices.happens(choices.p.offer_again, "offers again", person.id):
        acts += [Act(at, Does.RENEW, person.number, count=number) for number in range(offers)]
    return acts


def _about_looking_back(person: Person, view: View) -> list[Act]:
    """Six months after the stay all three are asked what came of it: an e-mail of which no public topic tells."""
    if not person.decides("look back", view["exchange_id"]):
        return []
    return [Act(office_hour(midnight(view["last_day"]) + LOOKS_BACK_AFTER), Does.LOOK, person.number)]


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
    if view["latest_sent_back"]:
        if party != "sender" or not person.decides("draft again", id_, version):
            return []
        at = office_hour(now + choices.after(p.days_to_draft, "draft", id_, version))
        return [Act(at, Does.DRAFT, person.number, id_, version + 1, view)]
    if party in view["signed_by"] or not person.decides("sign", id_, version):
        return []
    at = office_hour(now + choices.after(p.days_to_sign, "sign", id_, party, version))
    if party == "host" and version == 1 and choices.happens(p.redraft, "redraft", id_):
        return [Act(at, Does.DRAFT, person.number, id_, 2, view)]
    acts = [Act(at, Does.SIGN, person.number, id_, version, view)]
    if version > 1 and choices.happens(p.sign_a_stale_version, "stale", id_, party):
        acts.append(Act(office_hour(now + timedelta(hours=1)), Does.SIGN, person.number, id_, version - 1, view))
    return acts


def about_validation(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    """A contact point approves what it is asked about; of some it wants another version than the first."""
    id_, version = view["exchange_id"], view["latest_version"]
    if person.id not in view["awaits_approval_of"] or not person.decides("validate", id_, version):
        return []
    at = office_hour(now + choices.after(choices.p.days_to_validate, "validate", id_, person.id, version))
    sends_back = version == 1 and choices.happens(choices.p.send_back, "send back", id_, person.id)
    return [Act(at, Does.SEND_BACK if sends_back else Does.APPROVE, person.number, id_, version, view)]


def about_alert(person: Person, alert: View, now: datetime, choices: Choices) -> list[Act]:
    """A contact point sees to it."""
    id_ = alert["alert_id"]
    if not person.decides("acknowledge", id_):
        return []
    at = office_hour(now + choices.after(choices.p.days_to_acknowledge, "acknowledge", id_, person.id))
    return [Act(at, Does.ACKNOWLEDGE, person.number, id_, 0, alert)]


def _about_an_extension(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    """All three sign a version that is to follow the one in force."""
    id_, version, party = view["exchange_id"], view["latest_version"], person.party(view)
    is_open = version > view["agreement_version"] and not view["latest_sent_back"]
    if not is_open or party in view["latest_signed_by"] or not person.decides("sign", id_, version):
        return []
    at = office_hour(now + choices.after(choices.p.days_to_sign, "sign", id_, party, version))
    return [Act(at, Does.SIGN, person.number, id_, version, view)]


def _about_calling_off(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    id_, side = view["exchange_id"], person.party(view)
    if side == "traveller" or not person.decides("stay", id_):
        return []
    if side != choices.by("stay", id_).choice(("sender", "host")) or not choices.happens(
        choices.p.cancel, "cancels", id_
    ):
        return []
    rest = max(midnight(view["last_day"]) + timedelta(days=1) - now, timedelta())
    return [
        Act(office_hour(now + choices.by("cancel when", id_).random() * rest), Does.CANCEL, person.number, id_, 0, view)
    ]


def _about_the_stay(person: Person, view: View, now: datetime, choices: Choices) -> list[Act]:
    """Who takes part looks as soon as it has begun, and again at each news of it."""
    id_, party, p = view["exchange_id"], person.party(view), choices.p
    stay_, day = view["stay"], timedelta(days=1)
    first, last = midnight(view["first_day"]), midnight(view["last_day"])
    acts: list[Act] = []

    def does(what: Does, at: datetime, count: int = 0) -> None:
        acts.append(Act(office_hour(max(now, at)), what, person.number, id_, count, view))

    def somewhere(what: str, after: float, until: float) -> datetime:
        return first + (after + choices.by(what, id_).random() * (until - after)) * (last - first)

    if person.decides("during", id_):
        if party != "sender":
            does(Does.ARRIVE, first + day)
        if party == "host":
            for number, ahead in enumerate(range(1, (last - first).days, 7), start=1):
                does(Does.RECORD, first + ahead * day, number)
        if party == "traveller" and choices.happens(p.interrupt, "interrupts", id_):
            does(Does.INTERRUPT, somewhere("interrupt when", 0.2, 0.7))
        if party == "sender" and choices.happens(p.extend, "extends", id_):
            does(Does.EXTEND, somewhere("extend when", 0.3, 0.6), view["latest_version"] + 1)
        if party == choices.by("end early by", id_).choice(("sender", "host")) and choices.happens(
            p.end_early, "ends early", id_
        ):
            does(Does.END_EARLY, somewhere("end early when", 0.3, 0.9))
    if (
        view["stage"] == "interrupted"
        and party == "traveller"
        and person.decides("resume", id_, len(stay_["interruptions"]))
    ):
        does(Does.RESUME, now + choices.after(p.days_interrupted, "resume", id_))
    asked = stay_["asked_at"] and party != "sender" and person.decides("fit", id_)
    if asked and choices.happens(p.answer_fit, "answers whether it fits", id_, party):
        does(Does.FIT, now + choices.after(p.days_to_reply, "fit", id_, party))
    confirms = party != "traveller" and view["stage"] == "ongoing"
    confirms = confirms and person.decides("complete", id_, view["last_day"], len(stay_["interruptions"]))
    if confirms and not choices.happens(p.forget_completion, "forgets", id_, party):
        does(Does.COMPLETE, last + day + choices.after(p.days_to_complete, "complete", id_, party))
    return acts


def still_means(person: Person, act: Act, view: View, today: date) -> bool:
    """What people see right before they act on a stay: whether there is still anything to do."""
    stay_, over = view["stay"], today > date.fromisoformat(view["last_day"])
    if stay_ is None or view["stage"] not in ("ongoing", "interrupted"):
        return False
    match act.does:
        case Does.COMPLETE:
            confirmed = person.party(view) in stay_["confirmed_by"]
            return over and view["stage"] == "ongoing" and bool(stay_["record"]) and not confirmed
        case Does.RESUME:
            return view["stage"] == "interrupted"
        case Does.RECORD:
            return not stay_["confirmed_by"] and training_day(act, view) is not None
        case Does.FIT:
            return True
        case Does.ARRIVE:
            return view["stage"] == "ongoing"
        case Does.EXTEND:
            has_room = view["latest_version"] == view["agreement_version"] and view["days"] < MAX_STAY_DAYS
            return has_room and not over and stay_["ended_on"] is None
        case Does.INTERRUPT:
            return view["stage"] == "ongoing" and not over and stay_["ended_on"] is None
        case _:
            return stay_["ended_on"] is None and today < date.fromisoformat(view["last_day"])


def training_day(act: Act, view: View) -> date | None:
    """The day of the stay that an entry of the record is for: the last one before it is written, if it is of a part."""
    day = act.at.date() - timedelta(days=1)
    parts = [(date.fromisoformat(part["first"]), date.fromisoformat(part["last"])) for part in view["parts"]]
    last = date.fromisoformat(view["last_day"])
    return day if day <= last and any(first <= day <= end for first, end in parts) else None


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


PAUSE = timedelta(days=7)
"""Days at home between the two parts of a stay."""


def agreement(view: View, days: tuple[date, date], choices: Choices, version: int) -> dict[str, Any]:
    """What a company writes into an agreement."""
    id_, (first, last) = view["exchange_id"], days
    closes = date.fromisoformat(view["window"]["last"])
    parts = [(first, last)]
    if choices.happens(choices.p.split, "splits", id_) and last + PAUSE <= closes:
        half = first + timedelta(days=(last - first).days // 2)
        parts = [(first, half), (half + PAUSE + timedelta(days=1), last + PAUSE)]
    training, hours = view["training"], choices.training_hours(id_, (last - first).days + 1)
    items = [_item(training["direction"], training["skills"], hours)]
    if choices.happens(choices.p.both_learn, "both learn", id_):
        other = "host_staff" if training["direction"] == "traveller" else "traveller"
        items.append(_item(other, training["skills"][-1:], max(1, hours // 3)))
    return {
        "goals": f"What the traveller is to bring home, version {version}.",
        "training": items,
        "tasks": ["Takes part in the work of the host"],
        "working_language": "en",
        "parts": [{"first_day": first.isoformat(), "last_day": last.isoformat()} for first, last in parts],
        "workplace": "The host's site",
        "supervision": "A mentor of the host, every week",
        "insurance": {"health": "sender", "accident": "sender", "liability": "host"},
    }


def _item(learner: str, skills: list[str], hours: int) -> dict[str, Any]:
    giver = "host" if learner == "traveller" else "traveller"
    return {"learner": learner, "skills": skills, "hours": hours, "given_by": giver}


def extended(content: dict[str, Any], view: View, choices: Choices) -> dict[str, Any]:
    """The agreement in force with a longer last part: by a week or two, and no more than the rules have."""
    more = min(choices.by("extend", view["exchange_id"]).choice((7, 14)), MAX_STAY_DAYS - view["days"])
    *before, last = content["parts"]
    later = date.fromisoformat(last["last_day"]) + timedelta(days=more)
    return content | {"parts": [*before, last | {"last_day": later.isoformat()}]}


def midnight(day: str) -> datetime:
    """The beginning of a programme day."""
    return datetime.combine(date.fromisoformat(day), time(), UTC)
