"""Somebody who wants to know who gave which answers: what they hold, what they try, and how well they would do by chance."""

import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fractions import Fraction
from itertools import product
from math import factorial
from typing import Any
from uuid import UUID, uuid5

from survey.release import duration_band, section

UUID_OR_TRACE = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
HEX = re.compile(r"[0-9a-f]{16,}")
TEXT = re.compile(r'"([^"]{12,})"')
"""What may name something: ids, hashes, spans, and whatever else is long enough."""

Class = tuple[str, ...]
"""The coarse dimensions, which a record tells, and which are known of everybody who was asked."""


@dataclass(frozen=True)
class Record:
    """As it stands on a topic; ``timestamp`` is the broker's, in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str
    value: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return json.dumps([self.key, self.value, self.headers])

    @property
    def classed(self) -> Class:
        names = ("party", "wave", "country", "sector_section", "size_class", "duration_band", "training_direction")
        return tuple(str(self.value[name]) for name in names)


@dataclass(frozen=True)
class Person:
    """Somebody who was asked, as the other topics tell it."""

    exchange_id: UUID
    party: str
    company_id: UUID
    respondent_id: UUID
    classed: Class
    noticed: tuple[Record, ...]
    """The invitation, then reminders."""

    @property
    def invitation_id(self) -> UUID:
        return uuid5(self.exchange_id, f"{self.party}/1")

    @property
    def ids(self) -> tuple[UUID, ...]:
        return self.exchange_id, self.company_id, self.respondent_id, self.invitation_id

    @property
    def reminded_on(self) -> date | None:
        return datetime.fromisoformat(self.noticed[1].headers["ce_time"]).date() if self.noticed[1:] else None


@dataclass(frozen=True)
class Holdings:
    """All that the attacker has: every topic, the services' log, what is public."""

    records: Sequence[Record]
    """Of the survey."""
    others: Sequence[Record]
    lines: Sequence[Mapping[str, Any]]
    tables: Sequence[Any] = ()

    @property
    def people(self) -> list[Person]:
        profiles = {each.key: each.value for each in self.others if each.topic == "CompanyRegistered"}
        notices = defaultdict[str, list[Record]](list)
        for each in self.others:
            if each.topic == "NoticeDue":
                notices[each.value["parameters"]["invitation_id"]].append(each)
        return [
            _person(event.value, party, profiles, notices)
            for event in self.others
            if event.topic == "ExchangeCompleted"
            for party in ("sender", "host", "traveller")
        ]


def _person(
    exchange: Mapping[str, Any], party: str, profiles: Mapping[str, Any], notices: Mapping[str, list[Record]]
) -> Person:
    company = exchange["host_id" if party == "host" else "sender_id"]
    profile, exchange_id = profiles[company], UUID(exchange["exchange_id"])
    return Person(
        exchange_id,
        party,
        UUID(company),
        UUID(exchange["traveller_id"] if party == "traveller" else company),
        (
            party,
            "1",
            profile["country"],
            section(profile["sector"]),
            profile["size_class"],
            duration_band(exchange["days"]),
            exchange["training"]["direction"],
        ),
        tuple(
            sorted(
                notices[str(uuid5(exchange_id, f"{party}/1"))], key=lambda notice: int(notice.headers["ce_sequence"])
            )
        ),
    )


Guess = Mapping[str, tuple[UUID, str]]
"""Record to exchange and party."""
Cell = tuple[object, ...]


@dataclass(frozen=True)
class Known:
    """What the attacker has found out beyond the dimensions, by which records and people fall into the same cell."""

    of_record: Callable[[Record], Cell] = lambda _: ()
    of_person: Callable[[Person], Cell] = lambda _: ()
    answered_at: Mapping[tuple[UUID, str], datetime] | None = None


def cells(held: Holdings, known: Known) -> list[tuple[list[Record], list[Person]]]:
    """Who may have given which records. With as many people as records, since everybody answers here."""
    records, people = defaultdict[Cell, list[Record]](list), defaultdict[Cell, list[Person]](list)
    for record in held.records:
        records[(*record.classed, *known.of_record(record))].append(record)
    for person in held.people:
        people[(*person.classed, *known.of_person(person))].append(person)
    return [(records[cell], people[cell]) for cell in sorted(records, key=str)]


def chance_of(held: Holdings, known: Known, right: int) -> float:
    """How often somebody who guesses by chance within the cells has so many right, or more: fixed points of permutations."""
    found = [Fraction(1)]
    for records, _ in cells(held, known):
        size = len(records)
        fixed = [Fraction(_derangements(size - k), factorial(k) * factorial(size - k)) for k in range(size + 1)]
        together = [Fraction(0)] * (len(found) + size)
        for (a, p), (b, q) in product(enumerate(found), enumerate(fixed)):
            together[a + b] += p * q
        found = together
    return float(sum(found[right:]))


def _derangements(size: int) -> int:
    before, now = 1, 0
    for n in range(1, size):
        before, now = now, n * (before + now)
    return before if size == 0 else now


def guesses(held: Holdings, known: Known) -> Iterator[tuple[str, Guess]]:
    """All that is tried, each with its name."""
    told = by_the_log(held)
    orders = orders_of_people(known, told)
    within = cells(held, known)
    for (record_order, of_record), (person_order, of_person) in product(ORDERS.items(), orders.items()):
        for backwards in (False, True):
            guess: dict[str, tuple[UUID, str]] = {}
            for records, people in within:
                by_record = sorted(records, key=of_record)
                by_person = sorted(people, key=of_person, reverse=backwards)
                guess |= {
                    record.key: (person.exchange_id, person.party)
                    for record, person in zip(by_record, by_person, strict=False)
                }
            yield f"{record_order} by {person_order}{' backwards' if backwards else ''}", guess
    yield "joins", joined(held)
    yield "guessed keys and derived ids", derived(held)


ORDERS: Mapping[str, Callable[[Record], Any]] = {
    "sequence": lambda record: int(record.headers["ce_sequence"]),
    "broker's time": lambda record: (record.timestamp, record.partition, record.offset),
    "partition and offset": lambda record: (record.partition, record.offset),
    "event's time": lambda record: (record.headers["ce_time"], int(record.headers["ce_sequence"])),
    "event id": lambda record: record.headers["ce_id"],
    "record id": lambda record: record.key,
    "exchange's cluster": lambda record: record.value["exchange_cluster"],
    "company's cluster": lambda record: record.value["company_cluster"],
}


def orders_of_people(known: Known, told: Mapping[tuple[UUID, str], datetime]) -> dict[str, Callable[[Person], Any]]:
    orders: dict[str, Callable[[Person], Any]] = {
        "exchange": lambda person: person.exchange_id,
        "company": lambda person: person.company_id,
        "respondent": lambda person: person.respondent_id,
        "invitation": lambda person: person.invitation_id,
        "place of the invitation's notice": lambda person: int(person.noticed[0].headers["ce_sequence"]),
        "id of the last notice": lambda person: person.noticed[-1].headers["ce_id"],
    }
    if known.answered_at is not None:
        seen = known.answered_at
        orders["when they were seen to answer"] = lambda person: seen[person.exchange_id, person.party]
    if told:
        last = max(told.values())
        orders["when the log says they answered"] = lambda person: told.get((person.exchange_id, person.party), last)
    return orders


def tokens(text: str) -> set[str]:
    return {token for pattern in (UUID_OR_TRACE, HEX, TEXT) for token in pattern.findall(text)}


def _mentioned(text: str, by_id: Mapping[str, list[Person]]) -> list[Person]:
    return [person for token in sorted(tokens(text)) for person in by_id.get(token, ())]


def _by_id(people: Iterable[Person]) -> dict[str, list[Person]]:
    found = defaultdict[str, list[Person]](list)
    for person in people:
        for each in person.ids:
            found[str(each)].append(person)
            found[each.hex].append(person)
    return found


def by_the_log(held: Holdings) -> dict[tuple[UUID, str], datetime]:
    """When who answered, where a line of an answering request shares an id with anything that names its respondent."""
    by_id = defaultdict[str, list[Person]](list)
    for person in held.people:
        by_id[str(person.respondent_id)].append(person)
    names = defaultdict[str, list[Person]](list)
    for text in (*(each.text for each in held.others), *map(json.dumps, held.lines)):
        found = _mentioned(text, by_id)
        for token in tokens(text):
            names[token] += found
    told: dict[tuple[UUID, str], datetime] = {}
    for line in held.lines:
        if str(line.get("route", "")).endswith("/submission") and line.get("status") == 201:
            for token in sorted(tokens(json.dumps(line))):
                for person in names[token] if len({each.respondent_id for each in names[token]}) == 1 else ():
                    told.setdefault((person.exchange_id, person.party), datetime.fromisoformat(line["timestamp"]))
    return told


def joined(held: Holdings) -> Guess:
    """By an id, hash, trace or anything else that a record shares with something that names somebody, directly or over a line."""
    by_id = _by_id(held.people)
    others = [*(each.text for each in held.others), *map(json.dumps, held.lines), *map(json.dumps, held.tables)]
    holding = defaultdict[str, list[str]](list)
    for text in others:
        for token in tokens(text):
            holding[token].append(text)
    common = {token for record in held.records[:1] for token in tokens(record.text)}
    for record in held.records[1:]:
        common &= tokens(record.text)
    guess: dict[str, tuple[UUID, str]] = {}
    for record in held.records:
        near = [text for token in tokens(record.text) - common for text in holding[token]]
        far = [text for each in sorted(set(near))[:5] for token in tokens(each) for text in holding[token][:5]]
        for text in (record.text, *near, *far):
            for person in _mentioned(text, by_id):
                if person.classed == record.classed:
                    guess.setdefault(record.key, (person.exchange_id, person.party))
    return guess


KEYS = (b"", bytes(16), bytes(32), b"0", b"survey", b"sojourn", b"cluster", b"secret", b"exchange", b"company", b"2026")


def derived(held: Holdings) -> Guess:
    """By hashes of known ids under keys that one might think of, and by ids that might be made from them."""
    guess: dict[str, tuple[UUID, str]] = {}
    thought_of: dict[tuple[str, Class], tuple[UUID, str]] = {}
    public = [each.headers["ce_id"].encode() for each in held.records[:3]]
    for person in held.people:
        whose = person.exchange_id, person.party
        for each, key, kind in product(person.ids, (*KEYS, *public), (b"", b"exchange", b"company")):
            for message in (kind + each.bytes, kind + str(each).encode(), kind + each.hex.encode()):
                thought_of[hmac.digest(key, message, "sha256").hex(), person.classed] = whose
                thought_of[hashlib.sha256(key + message).hexdigest(), person.classed] = whose
        for each, name in product(person.ids, ("record", "survey", "submission", "SurveySubmitted", person.party, "")):
            thought_of[str(uuid5(each, name)), person.classed] = whose
    for record in held.records:
        for told in (record.value["exchange_cluster"], record.value["company_cluster"], *_ids(record)):
            if (told, record.classed) in thought_of:
                guess[record.key] = thought_of[told, record.classed]
    return guess


def _ids(record: Record) -> tuple[str, str]:
    return record.key, record.headers["ce_id"]


def planted(held: Holdings, change: Callable[[Record], Record]) -> Holdings:
    """The same holdings, had the service done otherwise."""
    return replace(held, records=[change(record) for record in held.records])
