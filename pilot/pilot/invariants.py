"""What must hold whatever happened: each invariant a sentence, and what breaks it, in words.

The judges of one invariant are plain functions over the services' logs, the topics and a few counts, so that tests can
show them a broken world.
"""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from laptop import vies
from laptop.mails import kept
from sojourn_contracts.catalogue import BY_NAME, SERVICES

from pilot.logs import STORY, Logged, Published, handled, logged, published

FOREVER = datetime.max.replace(tzinfo=UTC)
MAIL_FIGURES = ("notices", "waiting", "accepted", "refused")
MOST_SENT = 2
"""The setting that exchange has in a demonstration."""
SHOWN = 5
"""Breaches that are told in full."""


@dataclass(frozen=True)
class Leftovers:
    """What a service still holds when all should be over."""

    outbox: int
    dead_letters: int
    parked: int
    """Due work that was given up."""


@dataclass(frozen=True)
class Surveys:
    """As the survey's store holds them."""

    submitted: int
    released: int
    withheld: int


@dataclass(frozen=True)
class Mails:
    """The mails of notices, as registration and the mail catcher hold them."""

    by_template: Mapping[str, Mapping[str, int]]
    """Template to how many notices there are, and how many of their mails wait, were accepted and were refused."""
    accepted: frozenset[str]
    """Notice and person of each that the mail server accepted, as a Message-ID begins with them."""
    caught: Mapping[str, int]
    """The same of each that was caught, with how often it was."""


@dataclass(frozen=True)
class World:
    """All that the invariants are judged by."""

    logs: Mapping[str, Sequence[Logged]]
    """By service, in the log's order."""
    topics: Mapping[str, Sequence[Published]]
    """By topic; per partition in its order."""
    leftovers: Mapping[str, Leftovers]
    surveys: Surveys
    handled: Mapping[str, Mapping[UUID, datetime]]
    """By service, each event that it handled with the time of day."""
    mails: Mails
    decisions: Sequence[Mapping[str, Any]]
    """Registration's chain of decisions, company by company."""
    undecided: Sequence[str]
    """Companies that wait for the register of VAT numbers."""
    vies: Mapping[str, Sequence[str]]
    """VAT number to what the register's stand-in answered about it, in order."""

    def said(self, name: str) -> list[Logged]:
        """All events of this name, in the log's order, whose data was not erased."""
        type_ = f"{name}.v1"
        return [event for log in self.logs.values() for event in log if event.type == type_ and event.data]


@dataclass(frozen=True)
class Verdict:
    """Whether one invariant holds."""

    invariant: str
    breaches: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.breaches

    def told(self) -> dict[str, Any]:
        """As it stands in a report."""
        return {"invariant": self.invariant, "holds": self.holds, "breaches": list(self.breaches)}


async def read(admin_url: str, bootstrap_servers: str, folder: Path) -> World:
    """Reads the world while nothing happens in it.

    The administrator's URL is that of the services' database, the folder that of the run, where mails are caught.
    """
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        logs = {service: await logged(connection, service) for service in SERVICES}
        leftovers = {service: await _leftovers(connection, service) for service in SERVICES}
        surveys = await _surveys(connection)
        inboxes = {service: await handled(connection, service) for service in SERVICES}
        mails = await _mails(connection, folder)
        decisions = [json.loads(row["content"]) for row in await connection.fetch(_DECISIONS)]
        undecided = [str(row["company_id"]) for row in await connection.fetch(_UNDECIDED)]
    finally:
        await connection.close(timeout=10)
    topics = await published(bootstrap_servers, [topic.name for topic in STORY])
    return World(logs, topics, leftovers, surveys, inboxes, mails, decisions, undecided, vies.answered(folder))


_DECISIONS = "select content from registration.decision order by company_id, number"
_UNDECIDED = """
    select company_id from registration.company
    where (status = 'submitted' or (status = 'admitted' and said <> profile))
      and not exists (select from registration.review where review.company_id = company.company_id)
    order by company_id
"""


async def _leftovers(connection: asyncpg.Connection, service: str) -> Leftovers:
    row = await connection.fetchrow(
        f"""
        select (select count(*) from {service}.outbox where topic = any ($1)) as outbox,
               (select count(*) from {service}.dead_letter where state = 'dead') as dead_letters,
               (select count(*) from {service}.due where parked_at is not null) as parked
        """,  # noqa: S608 - the service is one of the catalogue's
        [topic.name for topic in STORY],
    )
    assert row is not None  # noqa: S101 - such a select has always one row
    return Leftovers(**row)


async def _surveys(connection: asyncpg.Connection) -> Surveys:
    row = await connection.fetchrow(
        """
        select (select count(*) from survey.invitation where state = 'submitted')
               + (select coalesce(sum(submitted), 0)::bigint from survey.unlinked) as submitted,
               (select count(*) from survey.released) as released,
               (select count(*) from survey.waiting)
               + (select coalesce(sum(never_released), 0)::bigint from survey.unlinked) as withheld
        """
    )
    assert row is not None  # noqa: S101 - such a select has always one row
    return Surveys(**row)


async def _mails(connection: asyncpg.Connection, folder: Path) -> Mails:
    counts = await connection.fetch(
        """
        select template, count(distinct notice_id) as notices,
               count(*) filter (where mail.state = 'waiting') as waiting,
               count(*) filter (where mail.state = 'accepted') as accepted,
               count(*) filter (where mail.state = 'refused' or mail.notice_id is null) as refused
        from registration.notice left join registration.mail using (notice_id)
        group by template order by template
        """
    )
    accepted = await connection.fetch("select notice_id, person_id from registration.mail where state = 'accepted'")
    return Mails(
        {row["template"]: {name: row[name] for name in MAIL_FIGURES} for row in counts},
        frozenset(f"{row['notice_id']}.{row['person_id']}" for row in accepted),
        Counter(mail.message_id.strip("<>").partition("@")[0] for mail in kept(folder)),
    )


def judged(world: World) -> list[Verdict]:
    """All invariants, in the order in which a report shows them."""
    judges: dict[str, Callable[[World], Iterable[str]]] = {
        "No placement is in two exchanges at a time": placements_booked_twice,
        "No offer holds more travellers than it has room for": offers_overbooked,
        "No traveller is in two places on a day": travellers_in_two_places,
        "No company has more than two people away on a day": too_many_sent,
        "No offer has more guests on a day than it has room for": too_many_hosted,
        "Every completed exchange was agreed by all three before": completed_without_agreement,
        "Every event of a log stands exactly once on its topic, as it was written": events_lost_or_repeated,
        "Topics keep the order of the log, the newest event of each key last": events_out_of_order,
        "No dead letter and no due work given up": dead_letters,
        "Every outbox is empty": outboxes_not_empty,
        "Every erasure that was asked for was done by every service": erasures_undone,
        "Every survey that was submitted is released or withheld": surveys_that_differ,
        "Every notice that was asked for was accepted or refused, and was told so once": notices_untold,
        "Every mail that was accepted was caught": mails_lost,
    }
    return [Verdict(text, tuple(judge(world))) for text, judge in judges.items()]


@dataclass(frozen=True)
class Booking:
    """What a match takes of a placement and an offer, from its proposal to its end."""

    match_id: str
    placement_id: str
    offer_id: str
    since: datetime
    until: datetime
    completed: bool


def bookings(world: World) -> list[Booking]:
    ends: dict[str, tuple[datetime, bool]] = {}
    for name, completed in (("MatchDeclined", False), ("ExchangeCancelled", False), ("ExchangeCompleted", True)):
        for event in world.said(name):
            ends[str(event.subject)] = (event.time, completed)
    found: list[Booking] = []
    for event in world.said("MatchProposed"):
        until, completed = ends.get(str(event.subject), (FOREVER, False))
        said = event.content
        found.append(Booking(str(event.subject), said["placement_id"], said["offer_id"], event.time, until, completed))
    return found


def placements_booked_twice(world: World) -> Iterable[str]:
    of_placement: dict[str, list[Booking]] = defaultdict(list)
    for booking in bookings(world):
        of_placement[booking.placement_id].append(booking)
    for placement, all_of_it in of_placement.items():
        in_order = sorted(all_of_it, key=lambda booking: (booking.since, booking.until))
        for one, next_ in itertools.pairwise(in_order):
            if next_.since < one.until:
                yield f"placement {placement}: match {next_.match_id} was proposed while {one.match_id} was live"
        taken = [booking.match_id for booking in in_order if booking.completed]
        if len(taken) > 1:
            yield f"placement {placement} was carried out more than once: {', '.join(taken)}"


def _capacities(world: World) -> dict[str, int]:
    """The most that each offer ever had."""
    capacity: dict[str, int] = defaultdict(int)
    for name in ("CompanyRegistered", "CompanyUpdated"):
        for event in world.said(name):
            for offer in event.content["offers"]:
                capacity[offer["offer_id"]] = max(capacity[offer["offer_id"]], offer["capacity"])
    return capacity


def offers_overbooked(world: World) -> Iterable[str]:
    """At a time: a match takes a place from its proposal to its end, however it ends."""
    capacity = _capacities(world)
    changes: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for booking in bookings(world):
        changes[booking.offer_id] += [(booking.since, 1), (booking.until, -1)]
    for offer, all_of_it in changes.items():
        held, most = 0, 0
        for _, change in sorted(all_of_it):
            held += change
            most = max(most, held)
        if most > capacity[offer]:
            yield f"offer {offer} has room for {capacity[offer]} and held {most}"


@dataclass(frozen=True)
class Visit:
    """One part of a stay that took place, or is to."""

    first: date
    last: date
    exchange_id: str
    traveller_id: str
    sender_id: str
    offer_id: str


def visits(world: World) -> list[Visit]:
    """As the latest agreement has them; what was cancelled is not among them, what ended early is shorter."""
    cancelled = {event.subject for event in world.said("ExchangeCancelled")}
    ended = {event.subject: event.content["last_day"] for event in world.said("ExchangeCompleted")}
    latest = {event.subject: event.content for event in world.said("ExchangeAgreed") if event.subject not in cancelled}
    found: list[Visit] = []
    for id_, said in latest.items():
        last_day = ended.get(id_, said["last_day"])
        for part in said["parts"]:
            if part["first"] <= last_day:
                days = date.fromisoformat(part["first"]), date.fromisoformat(min(part["last"], last_day))
                whose = (said[name] for name in ("traveller_id", "sender_id", "offer_id"))
                found.append(Visit(*days, str(id_), *whose))
    return found


def travellers_in_two_places(world: World) -> Iterable[str]:
    of_traveller: dict[str, list[Visit]] = defaultdict(list)
    for visit in visits(world):
        of_traveller[visit.traveller_id].append(visit)
    for traveller, all_of_them in of_traveller.items():
        in_order = sorted(all_of_them, key=lambda visit: (visit.first, visit.last))
        for one, other in itertools.pairwise(in_order):
            if other.first <= one.last:
                both = f"{one.exchange_id} and {other.exchange_id}"
                yield f"traveller {traveller} is in the exchanges {both} on {other.first}"


def too_many_sent(world: World) -> Iterable[str]:
    for sender, most in _most_at_a_time((visit.sender_id, visit) for visit in visits(world)).items():
        if most > MOST_SENT:
            yield f"company {sender} has {most} people away on a day"


def too_many_hosted(world: World) -> Iterable[str]:
    capacity = _capacities(world)
    for offer, most in _most_at_a_time((visit.offer_id, visit) for visit in visits(world)).items():
        if most > capacity[offer]:
            yield f"offer {offer} has room for {capacity[offer]} and {most} guests on a day"


def _most_at_a_time(visits: Iterable[tuple[str, Visit]]) -> dict[str, int]:
    people: dict[str, dict[date, set[str]]] = defaultdict(lambda: defaultdict(set))
    for whose, visit in visits:
        for ahead in range((visit.last - visit.first).days + 1):
            people[whose][visit.first + timedelta(days=ahead)].add(visit.traveller_id)
    return {whose: max(map(len, days.values())) for whose, days in people.items()}


def completed_without_agreement(world: World) -> Iterable[str]:
    agreed = {event.subject: event for event in world.said("ExchangeAgreed")}
    for event in world.said("ExchangeCompleted"):
        before = agreed.get(event.subject)
        if before is None or before.position > event.position:
            yield f"exchange {event.subject} was completed and not agreed before"
        elif set(before.content["signed_by"]) != {"sender", "host", "traveller"}:
            yield f"exchange {event.subject} was agreed with the signatures of {before.content['signed_by']} only"


def events_lost_or_repeated(world: World) -> Iterable[str]:
    """A topic may have several services' events."""
    of_topic: dict[str, dict[str, tuple[str, Logged]]] = {topic.name: {} for topic in STORY}
    for service, log in world.logs.items():
        for event in log:
            if not BY_NAME[event.type.rpartition(".v")[0]].is_of_manifests:
                of_topic.setdefault(event.topic, {})[str(event.event_id)] = service, event
    for topic, known in of_topic.items():
        records = world.topics.get(topic, ())
        times = Counter(record.headers.get("ce_id") for record in records)
        for id_, count in times.items():
            if count > 1:
                yield f"{topic}: event {id_} stands there {count} times"
        for id_, (service, event) in known.items():
            if not times[id_]:
                yield f"{topic}: event {id_}, position {event.position} of {service}, is missing"
        erased = {UUID(event.content["erased_id"]) for event in world.said("ErasureRequested")}
        for record in records:
            id_, place = record.headers.get("ce_id", ""), f"{topic}/{record.partition}/{record.offset}"
            if id_ not in known:
                yield f"{place}: event {id_} stands in no log"
            elif wrong := _differs(known[id_][1], record, erased):
                yield f"{place}: event {id_} has another {wrong} than in the log"


def _differs(event: Logged, record: Published, erased: set[UUID]) -> str | None:
    """Name of the first part that is not as the log has it; the log has lost who is erased."""
    wanted = {
        "key": (str(event.subject), record.key),
        "type": (event.type, record.headers.get("ce_type")),
        "subject": (str(event.subject), record.headers.get("ce_subject")),
        "sequence": (f"{event.sequence:018}", record.headers.get("ce_sequence")),
        "generation": (str(event.generation), record.headers.get("ce_generation")),
        "data": (event.data, _without(erased, event, record.value) if event.data is not None else None),
    }
    return next((part for part, (ours, theirs) in wanted.items() if ours != theirs), None)


def _without(erased: set[UUID], event: Logged, value: str | None) -> str | None:
    """What the topic keeps until it is compacted, without who is erased."""
    if value is None or not any(str(whom) in value for whom in erased):
        return value
    said = BY_NAME[event.type.rpartition(".v")[0]].event.model_validate_json(value)
    left = said.without(erased)
    return value if left is said else left and left.model_dump_json()


def events_out_of_order(world: World) -> Iterable[str]:
    """Per partition a service's positions rise; so its newest event of a key, which has but one partition, is its last."""
    logged_at = {str(event.event_id): (service, event.position) for service, log in world.logs.items() for event in log}
    for topic in STORY:
        latest: dict[tuple[str, int], int] = {}
        partitions: dict[str, int] = {}
        for record in world.topics.get(topic.name, ()):
            service, position = logged_at.get(record.headers.get("ce_id", ""), ("no log", 0))
            place = f"{topic.name}/{record.partition}/{record.offset}"
            before = latest.get((service, record.partition), 0)
            if position <= before:
                yield f"{place}: position {position} of {service} follows {before}"
            latest[service, record.partition] = position
            if partitions.setdefault(record.key or "", record.partition) != record.partition:
                yield f"{place}: key {record.key} also stands in partition {partitions[record.key or '']}"


def erasures_undone(world: World) -> Iterable[str]:
    done: dict[str, set[str]] = defaultdict(set)
    for event in world.said("ErasureDone"):
        done[str(event.subject)].add(event.content["done_by"])
    for event in world.said("ErasureRequested"):
        for service in sorted({*BY_NAME["ErasureDone"].producers} - done[str(event.subject)]):
            yield f"erasure {event.subject} was not done by {service}"


def dead_letters(world: World) -> Iterable[str]:
    for service, left in world.leftovers.items():
        if left.dead_letters:
            yield f"{service} has {left.dead_letters} dead letters: `{service} dead-letters list`"
        if left.parked:
            yield f"{service} gave up {left.parked} works: `{service} due list`"


def outboxes_not_empty(world: World) -> Iterable[str]:
    for service, left in world.leftovers.items():
        if left.outbox:
            yield f"{service} has {left.outbox} events in its outbox"


def surveys_that_differ(world: World) -> Iterable[str]:
    counts = world.surveys
    if counts.submitted != counts.released + counts.withheld:
        yield f"{counts.submitted} submitted, but {counts.released} released and {counts.withheld} withheld"
    said = len([event for event in world.logs["survey"] if event.type == "SurveySubmitted.v1"])
    if said != counts.released:
        yield f"{counts.released} released, but SurveySubmitted was said {said} times"


def notices_untold(world: World) -> Iterable[str]:
    answers: defaultdict[str, list[int]] = defaultdict(list)
    for event in world.said("NoticeSent"):
        answers[str(event.subject)].append(event.content["revision"])
    for notice in dict.fromkeys(str(event.subject) for event in world.said("NoticeDue")):
        told = answers[notice]
        if told.count(max(told, default=0)) != 1:
            yield f"notice {notice} was answered {len(told)} times, with the revisions {sorted(told)}"
    for template, figures in world.mails.by_template.items():
        if figures["waiting"]:
            yield f"{figures['waiting']} mails of {template} were neither accepted nor refused"


def mails_lost(world: World) -> Iterable[str]:
    for mail in sorted(world.mails.accepted - world.mails.caught.keys()):
        yield f"mail {mail} was accepted, and nobody caught it"
