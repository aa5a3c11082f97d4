"""Coming late: what is decided without Kafka, and a late subscriber beside an early one once a real broker has compacted."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from random import Random
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError
from sojourn_contracts.kit.backfill import UNREADABLE, Backfill, Present
from sojourn_contracts.kit.history import FORGOTTEN, Record, history, id_of, tombstones

from tests.chassis.waiting import until
from tests.subscribers.samples import TOPICS

COMPANIES = ("CompanyRegistered", "CompanyUpdated", "CompanyWithdrawn")


def state(present: Present) -> dict[str, tuple[str, int]]:
    """Of each subject, the topic and the revision of its newest event."""
    return {
        subject.decode(): (newest.topic, newest.data.get("revision", 1))
        for subject in present
        for newest in [present[subject]]
    }


def after(records: Iterable[Record]) -> Present:
    present = Present()
    present.take(records)
    return present


def test_the_newest_of_each_subject_is_known_whatever_order_and_however_often():
    records = [*history(TOPICS), *tombstones(TOPICS)]
    first = after(records)
    assert state(first)[str(id_of("sender"))] == ("CompanyUpdated", 3)
    assert state(first)[str(id_of("leaver"))] == ("CompanyWithdrawn", 4)
    assert state(first)[str(id_of("declined match"))] == ("MatchDeclined", 3)
    assert state(first)[str(id_of("completed exchange"))] == ("ExchangeCompleted", 7)
    assert {subject.decode() for subject in first.forgotten} == FORGOTTEN
    assert FORGOTTEN.isdisjoint(state(first))
    random = Random(8)
    for _ in range(10):
        again = after(random.sample([*records, *random.sample(records, 20)], len(records) + 20))
        assert (state(again), again.forgotten) == (state(first), first.forgotten)


def test_a_proposal_ranks_below_whatever_is_said_of_its_exchange():
    [proposed, *_] = [record for record in history(["MatchProposed"]) if record.subject == str(id_of("declined match"))]
    later = replace(proposed, value=(proposed.value or b"").replace(b'"revision":1', b'"revision":99'))
    present = after([*history(["MatchDeclined"]), later])
    assert present[proposed.key].topic == "MatchDeclined"


def test_a_log_that_was_restored_goes_on_in_a_later_generation():
    first, second, *_ = [record for record in history(["CompanyUpdated"]) if record.subject == str(id_of("sender"))]
    restored = second.headed(ce_generation="2", ce_sequence="1")
    for order in ([first, restored], [restored, first]):
        assert after(order)[first.key].age == (2, 1)


def test_an_event_is_read_whole_when_it_is_asked_for():
    present = after(history(["CompanyWithdrawn"]))
    told = present[str(id_of("leaver")).encode()]
    envelope = told.read()
    assert (str(envelope.subject), envelope.sequence) == (str(id_of("leaver")), told.age[1])
    assert present.get(b"nobody") is None


def test_what_is_not_ordered_is_set_aside_and_holds_up_nothing():
    company, *rest = history(["CompanyRegistered"])
    updated = history(["CompanyUpdated"])[0]
    strange = [
        company.headed(ce_sequence="first"),
        replace(company, headers=()),
        replace(company, headers=(), value=None),
        replace(company, key=b"somebody else"),
        replace(updated, value=b"[]"),
        replace(updated, value=b'{"revision": "newest"}'),
        replace(updated, value=b"not JSON"),
    ]
    present = after([company, *strange, *rest])
    assert list(present.unreadable) == strange
    assert state(present) == state(after([company, *rest]))
    assert present.forgotten == set()


def test_of_what_is_not_ordered_the_last_ones_are_kept_and_no_more():
    [company, *_] = history(["CompanyRegistered"])
    present = after(company.headed(ce_sequence=f"x{number}") for number in range(UNREADABLE + 3))
    assert len(present.unreadable) == UNREADABLE
    assert dict(present.unreadable[-1].headers)["ce_sequence"] == f"x{UNREADABLE + 2}".encode()


def test_ids_that_were_forgotten_before_a_restart_are_given_back_and_stay_forgotten():
    [company, *_] = history(["CompanyRegistered"])
    present = Present()
    present.forgotten.update({company.key})
    assert present.take([company]) == []
    assert len(present) == 0


# Real compaction: small segments, a cleaner that starts at once, records that may be taken away after a blink.
EAGER = {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.001",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "100",
    "delete.retention.ms": "86400000",
}


@pytest.fixture
async def mirrored(kafka: str) -> AsyncIterator[dict[str, str]]:
    """For the topics of companies, ones like them that are compacted at once, by the topic that they are like."""
    made = {topic: f"{topic}_{uuid4().hex[:8]}" for topic in COMPANIES}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 2, 1, topic_configs=EAGER) for name in made.values()])
        yield made
        await admin.delete_topics(list(made.values()))
    finally:
        await admin.close()


@pytest.fixture
async def publish(kafka: str, mirrored: dict[str, str]):
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"test-{uuid4().hex[:8]}")
    await producer.start()

    async def send(records: Sequence[Record]) -> None:
        async with producer.transaction():
            for record in records:
                await producer.send(
                    mirrored[record.topic], value=record.value, key=record.key, headers=list(record.headers)
                )

    yield send
    await producer.stop()


async def standing(kafka: str, topics: Iterable[str]) -> list[tuple[str, bytes | None, str]]:
    """What a plain reader finds from the beginning: topic, key and event id."""
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=kafka, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    found: list[tuple[str, bytes | None, str]] = []
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=20)).values():
                found += [(each.topic, each.key, dict(each.headers)["ce_id"].decode()) for each in records]
    finally:
        await consumer.stop()
    return found


def fillers(number: int) -> list[Record]:
    """A segment that is written to is never compacted: what comes after it begins the next, on each partition of each topic."""
    return [
        replace(record.headed(ce_id=str(uuid4()), ce_sequence=str(1_000 + number), ce_subject=key), key=key.encode())
        for record in (history([topic])[0] for topic in COMPANIES)
        for key in (str(id_of(f"filler {place}")) for place in range(8))
    ]


async def knows(reading: Backfill, subjects: int) -> None:
    """What a transaction wrote is there once its marker is, a moment after its commit."""
    await until(lambda: _has(reading, subjects))


async def _has(reading: Backfill, subjects: int) -> bool:
    return len(await reading.catch_up()) == subjects


async def test_who_comes_after_compaction_knows_what_who_came_before_knows(kafka: str, mirrored, publish):
    topics, told, erased = list(mirrored.values()), history(COMPANIES), tombstones(COMPANIES)
    async with Backfill({"bootstrap_servers": kafka}, topics) as early:
        await publish(told)
        await knows(early, 4)
        await publish(erased)
        async with asyncio.timeout(20), aclosing(early.live()) as changes:
            while len(early.present.forgotten) < 1:
                await anext(changes)

        kept = {(mirrored[each.topic], each.key): each.event_id for each in [*told, *erased]}
        gone = {each.event_id for each in told} - set(kept.values())
        assert len(gone) == 7
        numbers = count()

        async def compacted() -> bool:
            await publish(fillers(next(numbers)))
            return gone.isdisjoint({event_id for _, _, event_id in await standing(kafka, topics)})

        await until(compacted, within=60, every=0.2)
        there = {(topic, key): event_id for topic, key, event_id in await standing(kafka, topics)}
        assert there.items() >= kept.items(), "tombstones among them"
        async with Backfill({"bootstrap_servers": kafka}, topics) as late:
            for each in (early, late):
                await knows(each, 3 + 8)
            await until(lambda: _at_the_same_place(early, late))
            assert state(late.present) == state(early.present)
            assert late.present.forgotten == early.present.forgotten == {str(id_of("forgotten company")).encode()}


async def _at_the_same_place(early: Backfill, late: Backfill) -> bool:
    for each in (early, late):
        await each.catch_up()
    return early.offsets == late.offsets


async def test_who_kept_offsets_goes_on_from_there(kafka: str, mirrored, publish):
    topics, told = list(mirrored.values()), history(COMPANIES)
    async with Backfill({"bootstrap_servers": kafka}, topics) as before:
        await publish(told[:6])
        await knows(before, 4)
    await publish(told[6:])
    async with Backfill({"bootstrap_servers": kafka}, topics, before.offsets) as again:
        await knows(again, 4)
        assert {again.present[subject].topic for subject in again.present}.isdisjoint({mirrored["CompanyRegistered"]})
    assert sum(again.offsets.values()) > sum(before.offsets.values())


async def test_a_topic_that_is_not_there_is_said(kafka: str):
    with pytest.raises(UnknownTopicOrPartitionError):
        async with Backfill({"bootstrap_servers": kafka, "request_timeout_ms": 500}, ["NeverHeardOf"]):
            pass
