"""What may happen to exchanges, told a second time and otherwise than the service tells it: days are sets, and all is one table.

Written from the issue and the docstrings, not from the code: where the two differ, one of them is wrong.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

Parts = tuple[tuple[date, date], ...]
Days = frozenset[date]

DAY = timedelta(days=1)
SIDES, PARTIES, COUNTRIES = ("sender", "host"), ("sender", "host", "traveller"), ("PT", "DK")
CALLERS = (*SIDES, "stranger", "traveller", "colleague", *COUNTRIES, "DE", "operator")
"""The third country has no company in these exchanges; the colleague travels in the second one, or in none."""

OPEN = ("proposed", "accepted", "drafted", "in_validation")
BEGUN = ("ongoing", "interrupted")
STANDING = ("agreed", *BEGUN)

FIRST_POSSIBLE, LAST_POSSIBLE = date(2026, 4, 1), date(2026, 7, 31)
"""The window of the matches, which ask for 21 to 45 days."""
OPEN_FOR = timedelta(days=14)
"""That a proposal can be accepted."""

TRAININGS: Mapping[str, frozenset[str] | None] = {
    "cheese": frozenset({"cheese-making"}),
    "both": frozenset({"cheese-making", "brewing"}),
    "unknown skill": None,
    "teaches herself": None,
    "none": None,
}
"""What a draft may say of the training: the skills in it, or None if that is no training the programme knows."""


class No(Exception):
    """The command is to be refused, with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Ask(NamedTuple):
    """One command of one caller."""

    who: str
    what: str
    about: str
    said: tuple[object, ...] = ()

    def __str__(self) -> str:
        said = " ".join(map(_plain, self.said))
        return f"{self.who}: {self.what} of {self.about} {said}".rstrip()


def _plain(said: object) -> str:
    if isinstance(said, tuple):
        return "+".join(f"{first}..{last}" for first, last in said) or "no part"
    return str(said)


@dataclass(frozen=True)
class Version:
    number: int
    parts: Parts
    training: str
    validators: frozenset[str]
    signed: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()
    sent_back_by: str | None = None

    @property
    def days(self) -> Days:
        return days_of(self.parts)

    @property
    def settled(self) -> bool:
        return self.signed >= set(PARTIES) and self.approved >= self.validators and not self.sent_back_by


@dataclass(frozen=True)
class Exchange:
    traveller: str
    expires: datetime
    stage: str = "proposed"
    accepted: frozenset[str] = frozenset()
    version: Version | None = None
    """In force, or to be."""
    following: Version | None = None
    """To follow the one in force."""
    arrivals: Mapping[str, date] = field(default_factory=dict[str, date])
    asked: bool = False
    fits: Mapping[str, bool] = field(default_factory=dict[str, bool])
    lost: Days = frozenset()
    """Days of interruptions that are over."""
    resumed: bool = False
    """Once or more."""
    since: date | None = None
    record: Mapping[tuple[date, str], tuple[int, str]] = field(default_factory=dict[tuple[date, str], tuple[int, str]])
    ended_on: date | None = None
    confirmed: frozenset[str] = frozenset()
    ending: tuple[str, str | None, str | None] | None = None
    """From which stage, by whom, why."""
    told: tuple[tuple[object, ...], ...] = ()
    """One entry for each event: what it has to say."""

    @property
    def latest(self) -> Version | None:
        return self.following or self.version

    @property
    def begun(self) -> bool:
        return (self.ending[0] if self.ending else self.stage) in BEGUN

    @property
    def days(self) -> Days:
        """Of the version in force, up to an early end."""
        days = self.version.days if self.version else frozenset[date]()
        return frozenset(day for day in days if self.ended_on is None or day <= self.ended_on)

    @property
    def counted(self) -> int:
        return len([day for day in self.days - self.lost if self.since is None or day < self.since])

    @property
    def last_day(self) -> date:
        return max(self.days)

    @property
    def held(self) -> Days:
        return self.days if self.stage in STANDING else frozenset()

    @property
    def open_until(self) -> datetime:
        over = midnight(LAST_POSSIBLE + DAY)
        return min(self.expires, over) if self.stage == "proposed" else over


@dataclass(frozen=True)
class Company:
    """Which placements and offers it has by its latest state, and had by any."""

    revision: int = 0
    has: frozenset[str] = frozenset()
    had: frozenset[str] = frozenset()
    gone: bool = False


@dataclass(frozen=True)
class World:
    now: datetime
    validators: frozenset[str]
    most_sent: int
    room: int
    """Of the offer, which is the same one in all exchanges."""
    companies: Mapping[str, Company]
    exchanges: Mapping[str, Exchange] = field(default_factory=dict[str, Exchange])

    @property
    def today(self) -> date:
        return self.now.date()

    def having(self, name: str, exchange: Exchange) -> "World":
        return replace(self, exchanges={**self.exchanges, name: exchange})

    def lost(self, name: str) -> bool:
        """An end of this exchange is known to have gone."""
        sender, host = (self.companies[side] for side in SIDES)
        return sender.gone or host.gone or name in sender.had - sender.has or "offer" in host.had - host.has


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def days_of(parts: Parts) -> Days:
    return frozenset(first + DAY * ahead for first, last in parts for ahead in range((last - first).days + 1))


def party(exchange: Exchange, who: str) -> str | None:
    return who if who in SIDES else "traveller" if who == exchange.traveller else None


# What people do ------------------------------------------------------------------------------------------------------


def does(world: World, ask: Ask) -> World:
    """The world afterwards: the very same one if nothing changes.

    Raises:
        No: it is to be refused.
    """
    exchange = world.exchanges[ask.about]
    command = COMMANDS[ask.what]
    by = ask.who if ask.who in COUNTRIES else party(exchange, ask.who)
    if by not in command.by:
        raise No(403)
    after = command.does(world, exchange, by, *ask.said)
    if after is exchange:
        return world
    if after.held != exchange.held:
        _room(world, ask.about, after)
    return world.having(ask.about, after)


def _need(condition: object, otherwise: int = 409) -> None:
    if not condition:
        raise No(otherwise)


def _updated(exchange: Exchange, **changes: object) -> Exchange:
    return _tell(replace(exchange, **changes), "ExchangeUpdated")  # pyright: ignore[reportArgumentType]


def _tell(exchange: Exchange, event: str) -> Exchange:
    version = exchange.version
    whole = (
        exchange.stage,
        tuple(sorted(exchange.accepted)),
        version.number if version else 0,
        tuple(sorted(version.signed)) if version else (),
        len(exchange.days & exchange.lost) if version and exchange.begun else None,
    )
    return replace(exchange, told=(*exchange.told, (event, *whole)))


def _end(exchange: Exchange, by: str | None, why: str | None, before_agreement: str = "") -> Exchange:
    stage = "cancelled" if exchange.stage in STANDING else before_agreement
    ended = replace(exchange, stage=stage, ending=(exchange.stage, by, why), following=None)
    cancelled = ("ExchangeCancelled", by, exchange.stage, why)
    return replace(ended, told=(*ended.told, cancelled if stage == "cancelled" else ("MatchDeclined", stage, by, why)))


def _complete(exchange: Exchange, by: str | None) -> Exchange:
    if exchange.counted < 14:
        return _end(exchange, by, "too_short")
    done = replace(exchange, stage="completed", ending=(exchange.stage, by, None), following=None)
    hours = sum(hours for hours, _ in exchange.record.values())
    return replace(done, told=(*done.told, ("ExchangeCompleted", exchange.counted, exchange.last_day, hours)))


def _ended_by(exchange: Exchange, stage: str, by: str) -> bool:
    return exchange.stage == stage and exchange.ending is not None and exchange.ending[1] == by


def _side(by: str) -> str:
    return "host" if by == "host" else "sender"


def _accept(world: World, exchange: Exchange, by: str) -> Exchange:
    if by in exchange.accepted:
        return exchange
    _need(exchange.stage == "proposed" and world.now < exchange.open_until)
    accepted = exchange.accepted | {by}
    return _updated(exchange, accepted=accepted, stage="accepted" if accepted == set(SIDES) else "proposed")


def _decline(world: World, exchange: Exchange, by: str, why: str) -> Exchange:
    if _ended_by(exchange, "declined", by):
        return exchange
    _need(exchange.stage in OPEN)
    return _end(exchange, by, why, "declined")


def _cancel(world: World, exchange: Exchange, by: str, why: str) -> Exchange:
    if _ended_by(exchange, "cancelled", by):
        return exchange
    _need(exchange.stage in STANDING)
    return _end(exchange, by, why)


def _draft(world: World, exchange: Exchange, by: str, parts: Parts, training: str) -> Exchange:
    _need(exchange.stage in (*OPEN[1:], *STANDING))
    latest, standing = exchange.latest, exchange.stage in STANDING
    if latest and (latest.parts, latest.training) == (parts, training) and not latest.sent_back_by:
        return exchange
    if standing:
        _need(not _over(world, exchange))
    _need(TRAININGS[training] and _fits(world, exchange, parts), 422)
    drafted = Version(latest.number + 1 if latest else 1, parts, training, world.validators)
    return _updated(exchange, following=drafted) if standing else _updated(exchange, version=drafted, stage="drafted")


def _over(world: World, exchange: Exchange) -> bool:
    return exchange.ended_on is not None or world.today > exchange.last_day


def _fits(world: World, exchange: Exchange, parts: Parts) -> bool:
    """Days that can be drafted today."""
    if not parts or any(last < first for first, last in parts):
        return False
    lengths = [len(days_of((part,))) for part in parts]
    days = sorted(days_of(parts))
    split = len(parts) > 1
    if list(parts) != sorted(parts) or sum(lengths) != len(days) or (split and min(lengths) < 7):
        return False
    if days[-1] - days[0] > timedelta(days=365):
        return False
    if exchange.stage not in STANDING:
        in_window = days[0] >= FIRST_POSSIBLE and days[-1] <= LAST_POSSIBLE
        return in_window and days[0] >= world.today and 21 <= len(days) <= 45
    assert exchange.version
    in_force = exchange.version
    near = days[-1] <= min(in_force.days) + timedelta(days=365)
    return near and 14 <= len(days) <= 62 and _keeps_the_past(world, in_force.parts, parts)


def _keeps_the_past(world: World, before: Parts, after: Parts) -> bool:
    """What has begun keeps its first day and may only become longer; nothing else begins in the past."""
    begun = [part for part in before if part[0] <= world.today]
    if len(after) < len(begun) or any(first < world.today for first, _ in after[len(begun) :]):
        return False
    for (first, last), (new_first, new_last) in zip(begun, after, strict=False):
        if new_first != first or new_last < last or (last < world.today and new_last != last):
            return False
    return True


def _sign(world: World, exchange: Exchange, by: str, number: int) -> Exchange:
    latest = exchange.latest
    _need(latest is None or latest.number == number)
    if latest and by in latest.signed:
        return exchange
    _need(latest and exchange.stage in ("drafted", *STANDING) and not latest.sent_back_by)
    assert latest
    _need(_in_time(world, exchange, latest))
    return _signed_or_approved(exchange, replace(latest, signed=latest.signed | {by}))


def _in_time(world: World, exchange: Exchange, version: Version) -> bool:
    if exchange.following is None:
        return min(version.days) >= world.today
    assert exchange.version
    return not _over(world, exchange) and _keeps_the_past(world, exchange.version.parts, version.parts)


def _signed_or_approved(exchange: Exchange, version: Version) -> Exchange:
    if exchange.following:
        if not version.settled:
            return _updated(exchange, following=version)
        return _tell(replace(exchange, version=version, following=None), "ExchangeAgreed")
    if version.settled:
        return _tell(replace(exchange, version=version, stage="agreed"), "ExchangeAgreed")
    return _updated(exchange, version=version, stage="in_validation" if version.signed >= set(PARTIES) else "drafted")


def _approve(world: World, exchange: Exchange, by: str, number: int) -> Exchange:
    latest = _asked_of(exchange, by, number)
    if by in latest.approved:
        return exchange
    _reviewable(exchange, latest)
    _need(_in_time(world, exchange, latest))
    return _signed_or_approved(exchange, replace(latest, approved=latest.approved | {by}))


def _send_back(world: World, exchange: Exchange, by: str, number: int) -> Exchange:
    latest = _asked_of(exchange, by, number)
    if latest.sent_back_by == by:
        return exchange
    _need(by not in latest.approved)
    _reviewable(exchange, latest)
    back = replace(latest, sent_back_by=by)
    return (
        _updated(exchange, following=back) if exchange.following else _updated(exchange, version=back, stage="drafted")
    )


def _asked_of(exchange: Exchange, by: str, number: int) -> Version:
    _need(exchange.latest and exchange.latest.number == number)
    assert exchange.latest
    _need(by in exchange.latest.validators, 403)
    return exchange.latest


def _reviewable(exchange: Exchange, latest: Version) -> None:
    _need(exchange.stage in ("in_validation", *STANDING))
    _need(latest.signed >= set(PARTIES) and not latest.sent_back_by)


def _arrive(world: World, exchange: Exchange, by: str, day: date) -> Exchange:
    if exchange.arrivals.get(_side(by)) == day:
        return exchange
    _need(exchange.stage == "ongoing")
    assert exchange.version
    _need(min(exchange.version.days) <= day <= world.today, 422)
    return _updated(exchange, arrivals={**exchange.arrivals, _side(by): day})


def _say_if_it_fits(world: World, exchange: Exchange, by: str, fits: bool) -> Exchange:
    said = exchange.fits.get(_side(by))
    if said is fits:
        return exchange
    _need(exchange.stage in BEGUN and said is None and exchange.asked)
    return _updated(exchange, fits={**exchange.fits, _side(by): fits})


def _record(world: World, exchange: Exchange, by: str, day: date, skill: str, hours: int, given_by: str) -> Exchange:
    if exchange.record.get((day, skill)) == (hours, given_by):
        return exchange
    _need(exchange.stage in BEGUN and not exchange.confirmed)
    assert exchange.version
    _need(day <= world.today and day in exchange.days, 422)
    _need(skill in (TRAININGS[exchange.version.training] or ()), 422)
    return _updated(exchange, record={**exchange.record, (day, skill): (hours, given_by)})


def _interrupt(world: World, exchange: Exchange, by: str, why: str) -> Exchange:
    if exchange.stage == "interrupted":
        return exchange
    _need(exchange.stage == "ongoing" and not _over(world, exchange))
    return _updated(exchange, stage="interrupted", since=world.today)


def _resume(world: World, exchange: Exchange, by: str) -> Exchange:
    if exchange.stage == "ongoing" and exchange.resumed:
        return exchange
    _need(exchange.stage == "interrupted")
    return _updated(exchange, stage="ongoing", resumed=True, **_counting_again(exchange, world.today))


def _counting_again(exchange: Exchange, today: date) -> dict[str, object]:
    if exchange.since is None:
        return {}
    lost = frozenset(exchange.since + DAY * ahead for ahead in range(max(0, (today - exchange.since).days)))
    return {"since": None, "lost": exchange.lost | lost}


def _end_early(world: World, exchange: Exchange, by: str) -> Exchange:
    if exchange.ended_on is not None or (_ended_by(exchange, "cancelled", by) and exchange.ending[2] == "too_short"):  # pyright: ignore[reportOptionalSubscript]
        return exchange
    _need(exchange.stage == "interrupted" or (exchange.stage == "ongoing" and world.today < exchange.last_day))
    last_day = min(world.today, exchange.since - DAY) if exchange.since else world.today
    cut = replace(exchange, ended_on=last_day)
    if cut.counted < 14:
        return _end(exchange, by, "too_short")
    again = _counting_again(exchange, last_day)
    return _updated(exchange, stage="ongoing", ended_on=last_day, following=None, **again)


def _confirm(world: World, exchange: Exchange, by: str) -> Exchange:
    if by in exchange.confirmed:
        return exchange
    _need(exchange.stage == "ongoing" and world.today > exchange.last_day and exchange.record)
    confirmed = replace(exchange, confirmed=exchange.confirmed | {by})
    return _complete(confirmed, by) if confirmed.confirmed == set(SIDES) else _tell(confirmed, "ExchangeUpdated")


def _room(world: World, name: str, after: Exchange) -> None:
    """Nobody is in two places on a day, the sender sends only so many at a time, and the host has only so much room."""
    others = [each for its, each in world.exchanges.items() if its != name]
    _need(not any(after.held & other.held for other in others if other.traveller == after.traveller))
    host = world.companies["host"]
    most = min(world.most_sent, world.room if "offer" in host.has and not host.gone else 1_000)
    for day in after.held:
        _need(len({other.traveller for other in others if day in other.held} - {after.traveller}) < most)


class Command(NamedTuple):
    by: tuple[str, ...]
    does: Callable[..., Exchange]


COMMANDS: Mapping[str, Command] = {
    "acceptance": Command(SIDES, _accept),
    "decline": Command(SIDES, _decline),
    "agreement": Command(SIDES, _draft),
    "signatures": Command(PARTIES, _sign),
    "approval": Command(COUNTRIES, _approve),
    "sending-back": Command(COUNTRIES, _send_back),
    "cancellation": Command(SIDES, _cancel),
    "arrival": Command(PARTIES, _arrive),
    "fit": Command(PARTIES, _say_if_it_fits),
    "training-record": Command(PARTIES, _record),
    "interruption": Command(PARTIES, _interrupt),
    "resumption": Command(PARTIES, _resume),
    "early-end": Command(SIDES, _end_early),
    "completion": Command(SIDES, _confirm),
}


# What comes with time, and from elsewhere ----------------------------------------------------------------------------


def proposed(world: World, name: str, traveller: str, initiator: str) -> World:
    """A side that proposes it has accepted with that, if it comes in time."""
    if name in world.exchanges:
        return world
    exchange = Exchange(traveller, world.now + OPEN_FOR)
    if world.lost(name):
        exchange = _end(exchange, None, None, "withdrawn")
    elif initiator in SIDES and world.now < exchange.open_until:
        exchange = _accept(world, exchange, initiator)
    return world.having(name, exchange)


def turns(exchange: Exchange) -> Iterator[tuple[datetime, str]]:
    """What time brings, and when, if nobody acts."""
    if exchange.stage in OPEN:
        yield exchange.open_until, "expire"
    if exchange.stage == "agreed":
        yield midnight(min(exchange.days)), "start"
    if exchange.stage in BEGUN:
        days = exchange.version.days if exchange.version else frozenset[date]()
        if not exchange.asked and exchange.ended_on is None:
            yield midnight(min(days) + (max(days) - min(days)) // 2), "ask"
        yield midnight(exchange.last_day + 30 * DAY), "close"


def time_has_come(world: World) -> World:
    """All that is due now, in its order, with what that makes due."""
    while due := sorted(
        (at, what, name) for name, each in world.exchanges.items() for at, what in turns(each) if at <= world.now
    ):
        _, what, name = due[0]
        world = world.having(name, _turned(world.exchanges[name], what))
    return world


def _turned(exchange: Exchange, what: str) -> Exchange:
    match what:
        case "expire":
            return _end(exchange, None, None, "expired")
        case "start":
            return _updated(exchange, stage="ongoing")
        case "ask":
            return _updated(exchange, asked=True)
        case _ if exchange.confirmed:
            return _complete(exchange, None)
        case _:
            return _end(exchange, None, "unconfirmed")


def heard(world: World, side: str, revision: int, has: frozenset[str]) -> World:
    """The latest state counts, whatever comes when; what lost an end before it was agreed is withdrawn."""
    company = world.companies[side]
    if company.gone:
        return world
    latest = revision > company.revision
    after = Company(revision if latest else company.revision, has if latest else company.has, company.had | has)
    world = replace(world, companies={**world.companies, side: after})
    for name, exchange in world.exchanges.items():
        if exchange.stage in OPEN and world.lost(name):
            world = world.having(name, _end(exchange, None, None, "withdrawn"))
    return world


def left(world: World, side: str) -> World:
    """Whatever it takes part in ends."""
    world = replace(world, companies={**world.companies, side: Company(gone=True)})
    for name, exchange in world.exchanges.items():
        if exchange.stage in (*OPEN, *STANDING):
            why = "company_gone" if exchange.stage in STANDING else None
            world = world.having(name, _end(exchange, None, why, "withdrawn"))
    return world
