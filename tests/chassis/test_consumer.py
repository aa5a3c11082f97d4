"""The consumer on real Kafka and PostgreSQL: nothing is lost, nothing is doubled, nothing stands in the way."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError
from chassis.brokers import Brokers
from chassis.consumer import Consumer
from chassis.database import Pool
from chassis.inbox import Inbox
from chassis.metrics import Metrics
from chassis.transaction import Transaction
from laptop.kafka import Kafka
from laptop.roles import Database
from sojourn_contracts import catalogue
from sojourn_contracts.company import CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.refusal import Refused
from uuid_utils.compat import uuid7

from chassis import consumer as consumers
from tests.chassis.given import SERVICE, declined, note, withdrawn
from tests.chassis.receiving import PLACES, Gate, Group, Receiver, a_group
from tests.chassis.waiting import until
from tests.chassis_driver import Record, record
from tests.conftest import with_topics

TOPIC = CompanyWithdrawn.topic()


@pytest.fixture(scope="module")
async def kafka(backing_folder: Path) -> AsyncIterator[str]:
    """A broker of these tests' own: what they leave on the topics is nothing for others to read."""
    async with with_topics(Kafka(backing_folder / "kafka-consumer")) as broker:
        yield broker.bootstrap


@pytest.fixture
async def group(kafka: str) -> AsyncIterator[Group]:
    async with a_group(kafka) as group:
        yield group


@pytest.fixture
def receiver(pool: Pool) -> Receiver:
    return Receiver(pool)


@pytest.mark.parametrize("service", catalogue.SERVICES)
def test_the_topics_that_faststream_consumes_are_the_catalogues(service: str):
    inbox = Inbox(service, (), Receiver.open, Metrics(service))  # type: ignore[arg-type]
    consumer = Consumer(service, inbox, Brokers("127.0.0.1:1"), Metrics(service), session_timeout_ms=6_000)
    consumed = [topic for subscriber in consumer.broker.subscribers for topic in subscriber.topic_names_for_subscribe]  # type: ignore[attr-defined]
    assert sorted(consumed) == sorted(topic.name for topic in catalogue.consumed_by(service))
    assert all(subscriber.group_id == service for subscriber in consumer.broker.subscribers)  # type: ignore[attr-defined]


async def test_every_malformed_record_becomes_a_dead_letter_with_its_cause_and_the_partition_moves_on(
    pool: Pool, group: Group
):
    receiver = Receiver(pool, withdrawal=note_the_comment)
    cases, goods = malformed(), []
    for bad, _, _ in cases:
        good = withdrawn()
        goods.append(good.subject)
        await group.send(bad, record(good))
    erased = withdrawn()
    await group.send(record(erased), record(CompanyWithdrawn, erased.subject))

    async def erased_at_last() -> bool:
        return await receiver.notes(erased.subject) == ["erased"]

    async with group.consuming(receiver) as consumer:
        await until(lambda: all_noted(receiver, goods))
        await until(erased_at_last)
        await until(lambda: not consumer.in_hand)
    assert await receiver.notes(*goods) == ["CompanyWithdrawn"] * len(goods)
    assert await receiver.notes(erased.subject) == ["erased"], "a null value with our headers"
    letters = {letter["value"]: letter for letter in await receiver.letters()}
    by_place = {(letter["topic"], letter["value"], letter["key"]): letter for letter in await receiver.letters()}
    assert len(by_place) == len(cases), [letter["detail"] for letter in letters.values()]
    for bad, cause, detail in cases:
        letter = by_place[bad.topic, bad.value, bad.key]
        assert (letter["cause"], letter["detail"][: len(detail)]) == (cause, detail)
    assert await group.committed(TOPIC) == await group.end(TOPIC)


async def test_of_several_brokers_to_begin_with_one_may_be_away(group: Group, receiver: Receiver):
    event = withdrawn()
    await group.send(record(event))
    async with replace(group, kafka=f"127.0.0.1:1,{group.kafka}").consuming(receiver):
        await until(lambda: all_noted(receiver, [event.subject]))


async def test_ten_dead_letters_in_a_row_halt_it_and_a_restart_resumes(
    group: Group, receiver: Receiver, caplog: pytest.LogCaptureFixture
):
    """Guarantee 5; also when they cannot be read: those that are dead letters by then do not count again."""
    bad = [replace(record(withdrawn()), value=b"{%d" % number) for number in range(13)]
    last = withdrawn()
    await group.send(*bad, record(last))
    async with group.consuming(receiver) as consumer:
        await until(lambda: consumer.halted)
        await until(lambda: not assigned(consumer))
        assert "consuming halted" in caplog.text
        assert len(await receiver.letters()) == 10
    assert await receiver.notes(last.subject) == []
    receiver = Receiver(receiver._pool)  # pyright: ignore[reportPrivateUsage]
    async with group.consuming(receiver) as consumer:
        await until(lambda: all_noted(receiver, [last.subject]))
        assert not consumer.halted
    assert len(await receiver.letters()) == 13


async def test_a_missing_column_is_trouble_and_its_return_resumes(group: Group, receiver: Receiver, database: Database):
    events = [withdrawn() for _ in range(20)]
    async with a_column_less(database):
        await group.send(*map(record, events))
        consumer = group.member(receiver)
        consumer.start()
        await until(lambda: troubles(receiver) >= 2)
    await until(lambda: all_noted(receiver, [event.subject for event in events]))
    await until(lambda: not consumer.in_hand)
    await consumer.stop()
    assert await receiver.notes(*[event.subject for event in events]) == ["CompanyWithdrawn"] * 20
    assert await receiver.letters() == []


async def test_positions_are_committed_only_after_everything_before_them_was_handled_or_set_aside(
    group: Group, receiver: Receiver, database: Database, monkeypatch: pytest.MonkeyPatch
):
    """Guarantee 12: a batch that is given up is rewound to its first record."""
    monkeypatch.setattr(consumers, "PATIENCE", 0.0)
    events = [withdrawn() for _ in range(20)]
    start = await group.committed(TOPIC)
    async with a_column_less(database):
        await group.send(*(replace(record(event), partition=number % 2) for number, event in enumerate(events)))
        consumer = group.member(receiver)
        consumer.start()
        await until(lambda: consumer.done > 20)
        assert await group.committed(TOPIC) == start
    await until(lambda: all_noted(receiver, [event.subject for event in events]))
    await until(lambda: not consumer.in_hand)
    await consumer.stop()
    assert await receiver.notes(*[event.subject for event in events]) == ["CompanyWithdrawn"] * 20
    assert await group.committed(TOPIC) == await group.end(TOPIC)


async def test_a_commit_while_a_batch_is_in_hand_is_of_those_before_it(
    pool: Pool, group: Group, monkeypatch: pytest.MonkeyPatch
):
    """Guarantee 12; and positions are committed while it runs, not only at its end."""
    monkeypatch.setattr(consumers, "COMMIT_EVERY", 1000)
    gate, first, second, third = Gate(), withdrawn(), withdrawn(), withdrawn()
    gate.open()
    receiver = Receiver(pool, withdrawal=gate.handle)

    async def committed_to_the_end() -> bool:
        return await group.committed(TOPIC) == await group.end(TOPIC)

    async with group.consuming(receiver) as consumer:
        await group.send(record(first))
        await until(lambda: all_noted(receiver, [first.subject]))
        await until(committed_to_the_end)
        await group.send(record(second))
        await until(lambda: all_noted(receiver, [second.subject]))
        await until(lambda: not consumer.in_hand)
        handled = await group.end(TOPIC)
        gate.shut()
        await group.send(record(third))
        await until(gate.reached.is_set)
        await consumer._commit()  # pyright: ignore[reportPrivateUsage]
        assert await group.committed(TOPIC) == handled
        gate.open()
    await until(committed_to_the_end)


async def test_whatever_ends_a_batch_early_its_records_come_again(
    group: Group, receiver: Receiver, database: Database, monkeypatch: pytest.MonkeyPatch
):
    """Guarantee 12: also what nobody foresaw."""
    events, later, ended = [withdrawn() for _ in range(5)], withdrawn(), asyncio.Event()

    def unforeseen(_: int) -> float:
        ended.set()
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(consumers, "backoff", unforeseen)
    async with a_column_less(database):
        await group.send(*map(record, events))
        consumer = group.member(receiver)
        consumer.start()
        await until(ended.is_set)
    await group.send(record(later))
    await until(lambda: all_noted(receiver, [later.subject]))
    await until(lambda: not consumer.in_hand)
    await consumer.stop()
    assert await receiver.notes(*[event.subject for event in events]) == ["CompanyWithdrawn"] * 5


async def test_every_partition_is_rewound_to_its_first_record_but_those_that_went_elsewhere(kafka: str):
    """Guarantee 12."""
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        mine = [TopicPartition(TOPIC, 1), TopicPartition(TOPIC, 3)]
        consumer.assign(mine)
        first = await consumer.end_offsets(mine)
        elsewhere, *here = (replace(record(withdrawn()), partition=number, offset=0) for number in (2, 1, 3))
        batch = [replace(one, offset=first[place] + n) for one, place in zip(here, mine, strict=True) for n in (0, 1)]
        consumers._rewind(consumer, [elsewhere, *batch])  # pyright: ignore[reportPrivateUsage]
        assert {place: await consumer.position(place) for place in mine} == first


async def test_a_group_without_a_position_begins_with_the_first_record(kafka: str, receiver: Receiver):
    """Guarantee 12: what was published before the service first ran is seen, too."""
    event = withdrawn()
    async with a_group(kafka, place := TopicPartition(TOPIC, 5)) as group:
        await group.send(replace(record(event), partition=place.partition))
        async with group.consuming(receiver):
            await until(lambda: all_noted(receiver, [event.subject]))


async def test_what_a_kafka_transaction_took_back_has_no_effect(kafka: str, group: Group, receiver: Receiver):
    aborted, later = withdrawn(), withdrawn()
    async with AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=group.name) as producer:
        await producer.begin_transaction()
        await replace(group, producer=producer).send(record(aborted))
        await producer.abort_transaction()
    await group.send(record(later))
    async with group.consuming(receiver):
        await until(lambda: all_noted(receiver, [later.subject]))
    assert await receiver.notes(aborted.subject) == []


async def test_a_stop_during_trouble_is_quick_and_loses_nothing(group: Group, receiver: Receiver, database: Database):
    events = [withdrawn() for _ in range(5)]
    async with a_column_less(database):
        await group.send(*map(record, events))
        consumer = group.member(receiver)
        consumer.start()
        await until(lambda: troubles(receiver) >= 3)
        began = time.monotonic()
        await consumer.stop()
        assert time.monotonic() - began < 3
    async with group.consuming(receiver):
        await until(lambda: all_noted(receiver, [event.subject for event in events]))
    assert await receiver.notes(*[event.subject for event in events]) == ["CompanyWithdrawn"] * 5


async def test_a_commit_of_the_transaction_whose_answer_is_lost_has_its_effect_once(group: Group, receiver: Receiver):
    events = [withdrawn() for _ in range(5)]
    receiver.answers_lost = 2
    await group.send(*map(record, events))
    async with group.consuming(receiver):
        await until(lambda: all_noted(receiver, [event.subject for event in events]))
        await until(lambda: not receiver.answers_lost)
    assert await receiver.notes(*[event.subject for event in events]) == ["CompanyWithdrawn"] * 5


async def test_a_commit_of_positions_that_fails_is_harmless(
    group: Group, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    first, second, failed = withdrawn(), withdrawn(), asyncio.Event()
    start = await group.committed(TOPIC)

    async def fail(*_: object) -> None:
        failed.set()
        raise CommitFailedError

    async with group.consuming(receiver) as consumer:
        await until(lambda: consumer._subscriber.consumer is not None)  # pyright: ignore[reportPrivateUsage]
        with monkeypatch.context() as patch:
            patch.setattr(consumer._subscriber.consumer, "commit", fail)  # pyright: ignore[reportPrivateUsage]
            await group.send(record(first))
            await until(failed.is_set)
        assert await group.committed(TOPIC) == start
    async with group.consuming(receiver):
        await group.send(record(second))
        await until(lambda: all_noted(receiver, [second.subject]))
    assert await receiver.notes(first.subject, second.subject) == ["CompanyWithdrawn"] * 2


async def test_a_second_member_that_joins_in_the_middle_of_a_batch_neither_loses_nor_doubles(pool: Pool, group: Group):
    gate, events, start = Gate(), [withdrawn() for _ in range(30)], await group.committed(TOPIC)
    one, two = Receiver(pool, withdrawal=gate.handle), Receiver(pool)
    await group.send(*map(record, events[:15]))
    async with group.consuming(one) as first:
        await until(gate.reached.is_set)
        async with group.consuming(two) as second:
            await until(lambda: assigned(second) and assigned(first) and not assigned(first) & assigned(second))
            assert await group.committed(TOPIC) == start, "what is in hand is not handled"
            gate.open()
            await group.send(*map(record, events[15:]))
            await until(lambda: all_noted(one, [event.subject for event in events]))
            await until(lambda: not first.in_hand and not second.in_hand)
    assert await one.notes(*[event.subject for event in events]) == ["CompanyWithdrawn"] * 30
    assert await group.committed(TOPIC) == await group.end(TOPIC)


async def test_what_a_member_that_leaves_had_is_read_by_others_soon_however_long_a_session_lasts(
    group: Group, receiver: Receiver
):
    patient = replace(group, session_timeout_ms=30_000)
    async with patient.consuming(receiver) as first:
        async with patient.consuming(receiver) as second:
            await until(lambda: assigned(second) and assigned(first) and not assigned(first) & assigned(second))
        began = time.monotonic()
        await until(lambda: len(assigned(first)) == len(PLACES))
        assert time.monotonic() - began < 4


async def test_kafka_away_at_the_start_does_not_keep_it_from_stopping(receiver: Receiver):
    consumer = Consumer(SERVICE, receiver.inbox, Brokers("127.0.0.1:1"), receiver.metrics, session_timeout_ms=6_000)
    consumer.start()
    await until(lambda: consumer._starting is not None)  # pyright: ignore[reportPrivateUsage]
    began = time.monotonic()
    await consumer.stop()
    assert time.monotonic() - began < 3


def malformed() -> list[tuple[Record, str, str]]:
    """Records nobody can handle, each with the cause and the beginning of the detail of its dead letter."""

    def bad(value: bytes | None = None, key: bytes | None = None, drop: str = "", **headers: Any) -> Record:
        good = record(withdrawn())
        kept = [(name, headers.pop(name, text)) for name, text in good.headers if name != drop]
        value = good.value if value is None else value.replace(b"ID", good.key or b"")
        return replace(good, value=value, key=key or good.key, headers=[*kept, *headers.items()])

    mismatch = str(uuid7()).encode()
    other = record(declined())
    return [
        (bad(b"{"), "Malformed", "data: Invalid JSON"),
        (bad(b'{"company_id": "ID", "reason": "left"}'), "Malformed", "data.revision: Field required"),
        (
            bad(b'{"company_id": "ID", "reason": "left", "revision": "x"}'),
            "Malformed",
            "data.revision: Input should be",
        ),
        (bad(ce_type=b"Nothing.v1"), "UnknownType", "ce_type: 'Nothing.v1' is not in the catalogue"),
        (bad(ce_type=b"No\0thing.v1"), "UnknownType", "ce_type: "),
        (bad(ce_type=b"CompanyWithdrawn.v9"), "UnknownVersion", "ce_type: 'CompanyWithdrawn.v9' is not a version"),
        (bad(ce_source=b"\xff\xfe"), "Malformed", "ce_source: is not UTF-8 text"),
        (bad(ce_time=None), "Malformed", "ce_time: is not UTF-8 text"),
        (bad(drop="ce_id"), "Malformed", "ce_id: is missing"),
        (replace(bad(), value=None, headers=[]), "Malformed", "ce_specversion: missing"),
        (replace(other, topic=TOPIC), "Malformed", f"ce_type: MatchDeclined.v1 does not belong on the topic {TOPIC}"),
        (bad(key=mismatch), "Malformed", "key: is not the subject's id"),
        (bad(b"[" + b"1," * 499_000 + b"1]"), "Malformed", "data: "),
        (
            bad(b'{"company_id": "ID", "reason": "left", "comment": "a\\u0000b", "revision": 1}'),
            "CharacterNotInRepertoireError",
            "invalid",
        ),
        (bad(b'{"company_id": "ID", "reason": "refused", "revision": 1}'), "not_here", "not_here: \\0 \\udcff"),
        (replace(bad(), topic=CompanyUpdated.topic()), "Malformed", "ce_type: CompanyWithdrawn.v1 does not belong"),
    ]


async def note_the_comment(event: CompanyWithdrawn, tx: Transaction) -> None:
    """Writes a text of the event's; refuses in words that PostgreSQL takes for no text."""
    if event.reason == "refused":
        raise Refused("not_here", "\0 \udcff")
    await note(event, tx)
    await tx.connection.execute("select $1::text", (event.model_extra or {}).get("comment"))


async def all_noted(receiver: Receiver, subjects: list[UUID]) -> bool:
    return all([await receiver.notes(subject) for subject in subjects])


def troubles(receiver: Receiver) -> float:
    value = receiver.metrics.registry.get_sample_value
    labels = {"service": SERVICE, "event": "CompanyWithdrawn", "kind": "trouble"}
    return value("sojourn_failed_total", labels) or 0


def assigned(consumer: Consumer) -> set[Any]:
    kafka = consumer._subscriber.consumer  # pyright: ignore[reportPrivateUsage]
    return set(kafka.assignment()) if kafka is not None else set()


class a_column_less:  # noqa: N801 - reads as what it is
    """Within the block, a column that the handler writes is not there."""

    def __init__(self, database: Database) -> None:
        self._url = database.migrator_url

    async def _rename(self, one: str, other: str) -> None:
        migrator = await asyncpg.connect(self._url)
        try:
            await migrator.execute(f"alter table {SERVICE}.effect rename {one} to {other}")
        finally:
            await migrator.close()

    async def __aenter__(self) -> None:
        await self._rename("note", "away")

    async def __aexit__(self, *_: object) -> None:
        await self._rename("away", "note")
