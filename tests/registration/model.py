"""What may happen to a company in the programme, told a second time and otherwise than the service tells it.

Written from the issue and the docstrings, not from the code: where the two differ, one of them is wrong. Ids are numbers here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

ASKED_AFTER, ANSWERS_WITHIN = timedelta(days=365), timedelta(days=30)

CALLERS = ("company", "another company", "traveller", "DE", "FR", "PT", "operator")
ITSELF, STAFF = ("company", "operator"), ("DE", "FR", "PT", "operator")
"""Who may ask at all; a contact point then has to be that of the company's country."""
GONE = ("withdrawn", "excluded")
VERDICTS = {"admit": "admit", "needs_changes": "send_back", "reject": "reject"}


class No(Exception):
    """The command is to be refused, with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Form(NamedTuple):
    """What a company may say."""

    name: str | None = "Zahnrad"
    """None: left out."""
    country: str = "DE"
    learning: bool = True
    """The declaration without which the rules are not clear."""
    sends: bool = True
    offer: str | None = "wide"
    """Its window."""
    keeps: int | None = None
    """The offer is said by its id."""
    wrong: bool = False

    @property
    def facts(self) -> tuple[object, ...]:
        """What the rules look at."""
        return self.country, self.learning, self.sends


class Ask(NamedTuple):
    """One command of one caller."""

    who: str
    what: str
    said: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"{self.who}: {self.what} {' '.join(map(str, self.said))}".rstrip()


@dataclass(frozen=True)
class Stay:
    """A placement or a hosting offer."""

    number: int
    what: str
    """Placement or offer, with all that is said of it but its id."""
    window: str
    rest: str | None = None


@dataclass(frozen=True)
class Said:
    name: str
    facts: tuple[object, ...]
    stays: tuple[Stay, ...]

    @property
    def open(self) -> tuple[Stay, ...]:
        return tuple(stay for stay in self.stays if stay.rest is None)

    def stay(self, number: int) -> Stay | None:
        return next((stay for stay in self.stays if stay.number == number), None)


@dataclass(frozen=True)
class Company:
    draft: Form | None
    status: str = "draft"
    revision: int = 1
    said: Said | None = None
    """Submitted last."""
    in_force: Said | None = None
    given: int = 0
    """Ids of stays so far."""
    asked_at: datetime | None = None
    closes_at: datetime | None = None
    told: tuple[tuple[object, ...], ...] = ()
    """One entry for each event."""
    rows: tuple[tuple[object, ...], ...] = ()
    """One for each decision: command, who, of which revision, before, after."""
    last: tuple[int, str, str] | None = None
    """Revision, command and caller of the last decision."""

    @property
    def undecided(self) -> bool:
        return self.status == "submitted" or (self.status == "admitted" and self.said != self.in_force)

    @property
    def countries(self) -> set[object]:
        return {said.facts[0] for said in (self.said, self.in_force) if said}

    @property
    def deciding(self) -> set[object]:
        """A company that moves is decided about where it moves to."""
        return {self.said.facts[0]} if self.said else set()


def does(company: Company, ask: Ask, now: datetime) -> Company:
    """The company afterwards: the very same if nothing of it changes.

    Raises:
        No: it is to be refused.
    """
    command = COMMANDS[ask.what]
    _need(ask.who in command.by, 403)
    if ask.what == "decision" and _decided_already(company, ask.who, *ask.said):
        return company
    theirs = company.deciding if ask.what == "decision" else company.countries
    _need(ask.who in (*ITSELF, *theirs), 403)
    return _of_one_name(command.does(company, ask.who, now, *ask.said))


def _of_one_name(company: Company) -> Company:
    """No rule looks at a name and nobody else is told it: it is in force at once, whatever becomes of the rest."""
    if company.said is None or company.in_force is None or company.in_force.name == company.said.name:
        return company
    return replace(company, in_force=replace(company.in_force, name=company.said.name))


def _need(condition: object, otherwise: int = 409) -> None:
    if not condition:
        raise No(otherwise)


def _whole(form: Form, company: Company) -> bool:
    return form.name is not None and _right(form, company)


def _right(form: Form, company: Company) -> bool:
    kept = form.keeps is None or (company.said is not None and _offer_of(company.said, form.keeps) is not None)
    return kept and not form.wrong


def _offer_of(said: Said, number: int) -> Stay | None:
    stay = said.stay(number)
    return stay if stay and stay.what == "offer" else None


def _read(form: Form, company: Company) -> tuple[Said, int]:
    """What is said again keeps its id, unless it was closed; with the number of ids given by then."""
    held, given, stays = company.said, company.given, list[Stay]()
    wanted = [Stay(0, f"placement from {form.country}", "wide")] if form.sends else []
    wanted += [Stay(form.keeps or 0, "offer", form.offer)] if form.offer else []
    for stay in wanted:
        before = held.stays if held else ()
        if stay.number:
            known = next(each for each in before if each.number == stay.number)
            stays.append(replace(known, window=stay.window))
            continue
        known = next((each for each in before if replace(each, number=0, rest=None) == stay), None)
        if known is None or known.rest == "closed":
            given += 1
            known = replace(stay, number=given)
        stays.append(known)
    return Said(form.name or "", form.facts, tuple(stays)), given


def _clear(said: Said) -> bool:
    _, learning, _ = said.facts
    return bool(learning)


def _row(before: Company, after: Company, command: str, who: str) -> Company:
    kind = "contact_point" if who in ("DE", "FR", "PT") else who
    row = (command, kind, before.revision, before.status, after.status)
    return replace(after, rows=(*after.rows, row), last=(before.revision, command, who))


def _tell(before: Company, after: Company) -> Company:
    """Others hear of what is in force when it changes."""
    if after.in_force is None or after.in_force == before.in_force:
        return after
    kind = "CompanyUpdated" if before.in_force else "CompanyRegistered"
    said = after.in_force
    open_stays = tuple(sorted((stay.what.partition(" ")[0], stay.window) for stay in said.open))
    return replace(after, told=(*after.told, (kind, after.revision, said.facts[0], open_stays)))


def _heard_from(company: Company, now: datetime) -> Company:
    return replace(company, asked_at=now + ASKED_AFTER, closes_at=None)


def _admitted(company: Company, who: str, now: datetime) -> Company:
    after = replace(company, revision=company.revision + 1, status="admitted", in_force=company.said)
    after = _row(company, _tell(company, after), "admit", who)
    return after if company.status == "admitted" else _heard_from(after, now)


def _judged(company: Company, now: datetime) -> Company:
    """The rules decide where all is clear."""
    if not company.undecided or company.said is None:
        return company
    if _clear(company.said):
        return _admitted(company, "programme", now)
    return _row(company, company, "refer", "programme")


def _edit(company: Company, who: str, now: datetime, form: Form) -> Company:
    if company.status != "admitted":
        _need(_right(form, company), 422)
        _need(company.status in ("draft", "needs_changes"))
        return company if form == company.draft else replace(company, draft=form, revision=company.revision + 1)
    _need(_whole(form, company), 422)
    said, given = _read(form, company)
    if said == company.said:
        return _heard_from(company, now)
    after = replace(company, said=said, given=given, revision=company.revision + 1)
    assert company.in_force
    if said.facts == company.in_force.facts:
        return _heard_from(_tell(company, replace(after, in_force=said)), now)
    return _heard_from(_judged(after, now), now)


def _submit(company: Company, who: str, now: datetime) -> Company:
    if company.draft is None and company.status in ("submitted", "admitted"):
        return company
    _need(company.status in ("draft", "needs_changes") and company.draft)
    assert company.draft
    _need(_whole(company.draft, company), 422)
    said, given = _read(company.draft, company)
    submitted = replace(company, draft=None, said=said, given=given, status="submitted", revision=company.revision + 1)
    return _judged(_row(company, submitted, "submit", who), now)


def _decided_already(company: Company, who: str, verdict: object, revision: object) -> bool:
    return company.last == (revision, VERDICTS[str(verdict)], who) and not company.undecided


def _decide(company: Company, who: str, now: datetime, verdict: str, revision: int) -> Company:
    command = VERDICTS[verdict]
    _need(revision == company.revision and company.undecided)
    if command == "admit":
        return _admitted(company, who, now)
    stays = company.status == "admitted"
    after = replace(
        company,
        revision=company.revision + 1,
        status="admitted" if stays else "needs_changes" if command == "send_back" else "rejected",
        said=company.in_force if stays else company.said,
    )
    return _row(company, after, command, who)


def _leave(company: Company, who: str, status: str) -> Company:
    after = replace(company, status=status, draft=None, revision=company.revision + 1, asked_at=None, closes_at=None)
    after = _row(company, after, {"withdrawn": "withdraw", "excluded": "exclude"}[status], who)
    if company.in_force is None:
        return after
    why = {"withdrawn": "left", "excluded": "excluded"}[status]
    return replace(after, told=(*after.told, ("CompanyWithdrawn", after.revision, why)))


def _withdraw(company: Company, who: str, now: datetime) -> Company:
    if company.status in GONE:
        return company
    _need(company.status != "rejected")
    return _leave(company, who, "withdrawn")


def _exclude(company: Company, who: str, now: datetime) -> Company:
    return company if company.status in GONE else _leave(company, who, "excluded")


def _stays(company: Company, change: Callable[[Stay], Stay], now: datetime) -> Company:
    """In what is in force and in what waits alike."""
    assert company.said and company.in_force
    said, in_force = (replace(each, stays=tuple(map(change, each.stays))) for each in (company.said, company.in_force))
    if (said, in_force) != (company.said, company.in_force):
        after = replace(company, said=said, in_force=in_force, revision=company.revision + 1)
        company = _tell(company, after)
    return _heard_from(company, now)


def _known(company: Company, number: int) -> Stay:
    _need(company.status == "admitted")
    assert company.in_force
    stay = company.in_force.stay(number)
    _need(stay, 404)
    assert stay
    return stay


def _pause(company: Company, who: str, now: datetime, number: int) -> Company:
    _need(_known(company, number).rest != "closed")
    return _stays(company, lambda stay: replace(stay, rest="paused") if stay.number == number else stay, now)


def _close(company: Company, who: str, now: datetime, number: int) -> Company:
    _known(company, number)
    return _stays(company, lambda stay: replace(stay, rest="closed") if stay.number == number else stay, now)


def _renew(company: Company, who: str, now: datetime, number: int, window: str) -> Company:
    _need(_known(company, number).rest != "closed")
    _need(window != "too short", 422)
    return _stays(company, lambda stay: replace(stay, rest=None, window=window) if stay.number == number else stay, now)


def _interested(company: Company, who: str, now: datetime) -> Company:
    _need(company.status == "admitted")
    return _heard_from(company, now)


class Command(NamedTuple):
    by: tuple[str, ...]
    does: Callable[..., Company]


COMMANDS: Mapping[str, Command] = {
    "edit": Command(ITSELF, _edit),
    "submission": Command(ITSELF, _submit),
    "decision": Command(STAFF, _decide),
    "withdrawal": Command(ITSELF, _withdraw),
    "exclusion": Command(STAFF, _exclude),
    "pause": Command(ITSELF, _pause),
    "closure": Command(ITSELF, _close),
    "renewal": Command(ITSELF, _renew),
    "interest": Command(ITSELF, _interested),
}


def turn(company: Company) -> datetime | None:
    """When time brings something if nobody acts."""
    return min((at for at in (company.asked_at, company.closes_at) if at), default=None)


def time_has_come(company: Company, now: datetime) -> Company:
    """A company is asked once a year, and its stays close if it does not answer within a month."""
    while (at := turn(company)) and at <= now:
        if company.closes_at is None:
            company = replace(company, asked_at=None, closes_at=now + ANSWERS_WITHIN)
            continue
        closed = _stays(company, lambda stay: replace(stay, rest="closed"), now)
        company = _heard_from(_row(company, closed, "close_stays", "programme"), now)
    return company
