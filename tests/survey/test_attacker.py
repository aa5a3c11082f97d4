"""Who holds all topics, logs and timestamps does no better than chance among records of the same coarse dimensions.

Twenty-four exchanges of two kinds end on one day; their 72 people answer over real HTTP, half of them after a reminder, on six
days, two of a class on each. Their clients carry on the trace and the correlation id of their company's registration. Who gave
which record is known to the test alone, by the answers.
"""

import hmac
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from chassis.identity import Caller, Role, issue
from joserfc.jwk import OKPKey
from laptop.signing import kept_keys
from laptop.system import System
from sojourn_contracts import envelope
from sojourn_contracts.catalogue import TOPICS
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeCompleted
from uuid_utils.compat import uuid7

from tests.chassis.waiting import until
from tests.survey.attacker import Holdings, Known, Record, chance_of, guesses, planted
from tests.survey.story import example

ENDED = datetime(2026, 3, 2, 9, tzinfo=UTC)
KINDS = (("DE", "62", "PT", "10"), ("FR", "41", "IT", "25"))
"""Country and sector of sender and host."""
EXCHANGES = 12
"""Of each kind."""
DAYS = (1, 2, 3, 16, 17, 18)
"""After the end, on which people answer: before and after the first reminder."""
NEVER = 1e-9
"""What is rarer than this among some hundreds of attempts is no chance."""

Whose = tuple[UUID, str]


@dataclass(frozen=True)
class Run:
    """What the attacker holds, and the truth."""

    held: Holdings
    truth: Mapping[str, Whose]
    answered_at: Mapping[Whose, datetime]
    """Programme time."""
    ids: Mapping[Whose, tuple[str, str]]
    """Correlation and trace id that the client has carried on since its company was registered."""

    def right(self, guess: Mapping[str, Whose]) -> int:
        return sum(self.truth[record] == whose for record, whose in guess.items())

    def found(self, held: Holdings, known: Known) -> list[str]:
        """Attempts that do better than chance."""
        people = held.people
        assert len(people) == len(held.records) == len(self.truth)
        chances: dict[int, float] = {}
        better: list[str] = []
        for name, guess in guesses(held, known):
            right = self.right(guess)
            if right not in chances:
                chances[right] = chance_of(held, known, right)
            if chances[right] < NEVER:
                better.append(f"{name}: {right} of {len(self.truth)}")
        return better

    @property
    def reminders(self) -> Known:
        """Who was reminded had not answered by then: it cannot be kept from who sees reminders, and halves each class."""
        [day] = {person.reminded_on for person in self.held.people} - {None}
        assert day is not None
        return Known(
            lambda record: (record.value["released_on"] > day.isoformat(),),
            lambda person: (person.reminded_on is not None,),
        )

    @property
    def watching(self) -> Known:
        """Who sees who answers when, as at a gateway or in traces, knows on which night each one's record was released."""
        nights = {whose: (at.date() + timedelta(days=1)).isoformat() for whose, at in self.answered_at.items()}
        return Known(
            lambda record: (record.value["released_on"],),
            lambda person: (nights[person.exchange_id, person.party],),
            self.answered_at,
        )


def exchanges() -> list[tuple[ExchangeCompleted, list[CompanyRegistered]]]:
    made: list[tuple[ExchangeCompleted, list[CompanyRegistered]]] = []
    for sender_country, sender_sector, host_country, host_sector in KINDS:
        for _ in range(EXCHANGES):
            sender, host = uuid4(), uuid4()
            companies = [
                example(CompanyRegistered, company_id=company, country=country, sector=sector, placements=[], offers=[])
                for company, country, sector in (
                    (sender, sender_country, sender_sector),
                    (host, host_country, host_sector),
                )
            ]
            parties = {"exchange_id": uuid4(), "sender_id": sender, "host_id": host, "traveller_id": uuid4()}
            made.append((example(ExchangeCompleted, changed_at=ENDED, **parties), companies))
    return made


class World:
    """The services beside the survey, and people's browsers."""

    def __init__(self, system: System, producer: AIOKafkaProducer, http: httpx.AsyncClient) -> None:
        self._system = system
        self._producer = producer
        self._http = http
        self._key = OKPKey.import_key(json.loads(kept_keys(system.folder).private.read_text()))
        self._sequences = defaultdict[str, int](int)
        self.ids: dict[UUID, tuple[str, str]] = {}

    async def says(self, source: str, event: Event, company_id: UUID) -> None:
        """Emits an event as that service does, caused by the company."""
        correlation, trace = self.ids.setdefault(company_id, (str(uuid7()), uuid4().hex))
        self._sequences[event.topic()] += 1
        key, value, headers = envelope.encode(
            Envelope(
                uuid7(),
                f"sojourn/{source}",
                type(event),
                event.subject,
                ENDED,
                event,
                sequence=self._sequences[event.topic()],
                correlation_id=correlation,
                traceparent=f"00-{trace}-{uuid4().hex[:16]}-01",
            )
        )
        await self._producer.send_and_wait(event.topic(), value=value, key=key, headers=headers)

    def _headers(self, party: str, company_id: UUID, respondent_id: UUID) -> dict[str, str]:
        caller = (
            Caller(Role.TRAVELLER, str(respondent_id), company_id, respondent_id)
            if party == "traveller"
            else Caller(Role.COMPANY, str(company_id), company_id)
        )
        correlation, trace = self.ids[company_id]
        return {
            "Authorization": f"Bearer {issue(self._key, caller, timedelta(hours=1))}",
            "Idempotency-Key": str(uuid4()),
            "X-Correlation-ID": correlation,
            "traceparent": f"00-{trace}-{uuid4().hex[:16]}-01",
        }

    async def answers(self, party: str, event: ExchangeCompleted, number: int) -> dict[str, str]:
        """What somebody answers: by their number, others of their class differently. Also after having waited to be asked."""
        company = event.host_id if party == "host" else event.sender_id
        headers = self._headers(party, company, event.traveller_id if party == "traveller" else company)
        invited: list[Any] = []

        async def asked() -> bool:
            answer = await self._http.get("/invitations", headers=headers)
            assert answer.status_code == 200, answer.text
            invited[:] = [each for each in answer.json() if each["exchange_id"] == str(event.exchange_id)]
            return bool(invited)

        await until(asked, within=30)
        given: dict[str, str] = {}
        for question in invited[0]["questions"]:
            condition = question["asked_if"]
            if question["answers"] and (not condition or given.get(condition["question"]) in condition["answers"]):
                number, rest = divmod(number, len(question["answers"]))
                given[question["code"]] = list(question["answers"])[rest]
        path = f"/invitations/{invited[0]['invitation_id']}/submission"
        answer = await self._http.post(path, json={"answers": given}, headers=headers)
        assert answer.status_code == 201, answer.text
        return given

    async def is_at_rest(self) -> bool:
        status = (await self._http.get("/status")).json()
        busy = status["due"]["ready"] or status["in_flight"] or status["outbox"] or status["lag"]
        return (
            not busy
            and status["published"] == status["log_end"]
            and datetime.fromisoformat(status["clock"]) == self._system.clock.now
        )

    async def figures(self) -> Any:
        token = issue(self._key, Caller(Role.ANALYST, "analyst"), timedelta(hours=1))
        return (await self._http.get("/evaluation", headers={"Authorization": f"Bearer {token}"})).json()


async def topics(bootstrap: str) -> list[Record]:
    """Everything that stands on every topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    found: list[Record] = []
    try:
        partitions = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [
                    Record(
                        each.topic,
                        each.partition,
                        each.offset,
                        each.timestamp,
                        each.key.decode(),
                        json.loads(each.value),
                        {name: value.decode() for name, value in each.headers},
                    )
                    for each in records
                ]
    finally:
        await consumer.stop()
    return found


@pytest.fixture(scope="module")
async def run(backing_folder: Path) -> AsyncIterator[Run]:
    folder = backing_folder / "attacked"
    async with System(folder, stopped_at=ENDED, services=("survey",)) as system:
        producer = AIOKafkaProducer(bootstrap_servers=system.kafka)
        await producer.start()
        try:
            async with httpx.AsyncClient(base_url=system.urls["survey"], timeout=30) as http:
                yield await played(system, World(system, producer, http))
        finally:
            await producer.stop()


async def played(system: System, world: World) -> Run:
    made = exchanges()
    random.shuffle(made)
    for event, companies in made:
        for company in companies:
            await world.says("registration", company, company.company_id)
        await world.says("exchange", event, event.sender_id)
    days = {
        (kind, party): random.sample([day for day in DAYS for _ in range(EXCHANGES // len(DAYS))], EXCHANGES)
        for kind in (kind[0] for kind in KINDS)
        for party in ("sender", "host", "traveller")
    }
    agenda = [
        (days[companies[0].country, party].pop(), random.random(), party, event)
        for event, companies in made
        for party in ("sender", "host", "traveller")
    ]
    answered_at: dict[Whose, datetime] = {}
    given: dict[Whose, dict[str, str]] = {}
    numbers = dict(zip(((each[3].exchange_id, each[2]) for each in agenda), range(len(agenda)), strict=True))
    tables: list[Any] = []
    before = 0
    for day, _, party, event in sorted(agenda, key=lambda act: act[:2]):
        if day != before:
            await comes(system, world, midnight(system.clock.now))
            await comes(system, world, ENDED + timedelta(days=day))
            tables.append(await world.figures())
            before = day
        system.clock.set(system.clock.now + timedelta(seconds=random.randrange(60, 600)))
        whose = event.exchange_id, party
        answered_at[whose] = system.clock.now
        given[whose] = await world.answers(party, event, numbers[whose])
    await comes(system, world, midnight(system.clock.now))
    tables.append(await world.figures())
    await system.stop_services()

    everything = await topics(system.kafka)
    records = [record for record in everything if record.topic == "SurveySubmitted"]
    gave = {(whose[1], json.dumps(answers, sort_keys=True)): whose for whose, answers in given.items()}
    assert len(gave) == len(given), "answers name who gave them"
    lines = [json.loads(line) for line in (system.logs / "survey.log").read_text().splitlines() if line.startswith("{")]
    assert sum(str(line.get("route", "")).endswith("/submission") for line in lines) == len(given)
    return Run(
        Holdings(records, [record for record in everything if record.topic != "SurveySubmitted"], lines, tables),
        {each.key: gave[each.value["party"], json.dumps(each.value["answers"], sort_keys=True)] for each in records},
        answered_at,
        {
            (event.exchange_id, party): world.ids[company_of(event, party)]
            for event, _ in made
            for party in ("sender", "host", "traveller")
        },
    )


def company_of(event: ExchangeCompleted, party: str) -> UUID:
    return event.host_id if party == "host" else event.sender_id


async def comes(system: System, world: World, now: datetime) -> None:
    """All that is due by then is done, and what it emits is published."""
    system.clock.set(now)
    await until(world.is_at_rest, within=30, every=0.05)


def midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0) + timedelta(days=1)


NOTHING = Known()


def test_who_holds_topics_logs_and_tables_does_no_better_than_chance(run: Run):
    assert run.found(run.held, NOTHING) == []


def test_reminders_halve_a_class_and_tell_no_more(run: Run):
    """Half of the people of each class were reminded, as the topic of notices tells."""
    assert sum(person.reminded_on is not None for person in run.held.people) == len(run.truth) // 2
    assert run.found(run.held, run.reminders) == []


def test_who_sees_who_answers_when_knows_the_night_and_no_more(run: Run):
    assert run.found(run.held, run.watching) == []


def test_a_log_does_not_tell_who_answered_although_clients_carry_their_ids_on(run: Run):
    carried = {each for ids in run.ids.values() for each in ids}
    assert any(each in record.text for record in run.held.others for each in carried)
    answering = [line for line in run.held.lines if "/invitations" in str(line.get("route"))]
    assert not [line for line in answering if carried & set(map(str, line.values()))]


Leak = Callable[[Run], Holdings]


def numbered(held: Holdings, order: Callable[[Record], Any]) -> Holdings:
    """The records of a night have the night's places by this order."""
    nights = defaultdict[str, list[Record]](list)
    for record in held.records:
        nights[record.value["released_on"]].append(record)
    records: list[Record] = []
    for night in nights.values():
        places = sorted(int(record.headers["ce_sequence"]) for record in night)
        records += [
            replace(record, offset=place, headers={**record.headers, "ce_sequence": str(place)})
            for place, record in zip(places, sorted(night, key=order), strict=True)
        ]
    return replace(held, records=records)


def as_they_came(run: Run) -> Holdings:
    return numbered(run.held, lambda record: run.answered_at[run.truth[record.key]])


def by_invitation(run: Run) -> Holdings:
    """As they are read from the database."""
    ids = {(person.exchange_id, person.party): person.invitation_id for person in run.held.people}
    nightly = numbered(run.held, lambda record: ids[run.truth[record.key]])
    order = sorted(nightly.records, key=lambda record: ids[run.truth[record.key]])
    places = {record.key: str(place) for place, record in enumerate(order)}
    return planted(run.held, lambda each: replace(each, headers={**each.headers, "ce_sequence": places[each.key]}))


def one_at_a_time(run: Run) -> Holdings:
    def at_once(record: Record) -> Record:
        return replace(record, timestamp=int(run.answered_at[run.truth[record.key]].timestamp() * 1000))

    return planted(run.held, at_once)


def time_of_day_kept(run: Run) -> Holdings:
    def timed(record: Record) -> Record:
        return replace(
            record, headers={**record.headers, "ce_time": run.answered_at[run.truth[record.key]].isoformat()}
        )

    return planted(run.held, timed)


def correlation_kept(run: Run) -> Holdings:
    def caused(record: Record) -> Record:
        return replace(record, headers={**record.headers, "ce_correlationid": run.ids[run.truth[record.key]][0]})

    return planted(run.held, caused)


def trace_kept(run: Run) -> Holdings:
    def traced(record: Record) -> Record:
        trace = f"00-{run.ids[run.truth[record.key]][1]}-{uuid4().hex[:16]}-01"
        return replace(record, headers={**record.headers, "traceparent": trace})

    return planted(run.held, traced)


def callers_in_the_log(run: Run) -> Holdings:
    """The line of a request to answer names who made it, and the records stand as they came."""
    respondents = {(person.exchange_id, person.party): str(person.respondent_id) for person in run.held.people}
    lines = [dict(line) for line in run.held.lines]
    answering = [line for line in lines if str(line.get("route", "")).endswith("/submission")]
    in_order = sorted(run.answered_at, key=lambda whose: run.answered_at[whose])
    for line, whose in zip(answering, in_order, strict=True):
        line["caller"] = respondents[whose]
    return replace(as_they_came(run), lines=lines)


def a_key_that_can_be_guessed(run: Run) -> Holdings:
    def hashed(record: Record) -> Record:
        exchange_id, _ = run.truth[record.key]
        guessable = hmac.digest(bytes(32), b"exchange" + exchange_id.bytes, "sha256").hex()
        return replace(record, value={**record.value, "exchange_cluster": guessable})

    return planted(run.held, hashed)


def an_id_made_of_the_invitations(run: Run) -> Holdings:
    def made(record: Record) -> Record:
        exchange_id, party = run.truth[record.key]
        return replace(
            record, headers={**record.headers, "ce_id": str(uuid5(uuid5(exchange_id, f"{party}/1"), "record"))}
        )

    return planted(run.held, made)


@pytest.mark.parametrize(
    "leak",
    [
        by_invitation,
        correlation_kept,
        trace_kept,
        callers_in_the_log,
        a_key_that_can_be_guessed,
        an_id_made_of_the_invitations,
    ],
)
def test_the_attacker_finds_a_leak(run: Run, leak: Leak):
    assert run.found(leak(run), NOTHING)


@pytest.mark.parametrize("leak", [as_they_came, one_at_a_time, time_of_day_kept])
def test_who_sees_who_answers_when_finds_a_leak(run: Run, leak: Leak):
    assert run.found(leak(run), run.watching)
