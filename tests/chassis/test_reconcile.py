"""What a restored log takes back, and what a group hears again; ``tests/deploy/test_restore.py`` restores a running system."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from chassis.brokers import Brokers
from chassis.manifest_keys import read
from chassis.reconcile import (
    NOBODY,
    Forgotten,
    NotReconciled,
    _forgotten,
    _hear_again,
    _in_order,
    _must_agree,
    _take_back,
)
from chassis.relay import ROW, record
from chassis.transaction import Cause
from sojourn_contracts.completeness import Received, Stream, verify
from sojourn_contracts.manifest import trusted_keys
from sojourn_contracts.match import MatchDeclined
from uuid_utils.compat import uuid7

from tests.chassis.given import cancelled, declined
from tests.chassis.manifesting import hours_ago, issued, look, move, published
from tests.chassis_driver import Driver

SOURCE = "sojourn/exchange"


@dataclass
class Record:
    """As a consumer of aiokafka gives it."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: int


async def told(driver: Driver) -> list[Forgotten]:
    """What stands on the topics if the whole log is published."""
    rows = await driver.rows(f"select {ROW}, written_at from event_log order by position")
    found: list[Forgotten] = []
    for row in rows:
        of_record = Record(row["topic"], *record("exchange", row), int(row["written_at"].timestamp() * 1000))
        found.append(_forgotten(cast("ConsumerRecord", of_record)))
    return found


async def restore(driver: Driver, position: int) -> list[Forgotten]:
    """Takes the log back to there, and what it has of manifests; gives what had been told."""
    before = await told(driver)
    await driver.process.pool.execute(f"delete from event_log where position > {position}; delete from manifest")
    return before


async def take_back(driver: Driver, records: list[Forgotten], without: int | None = None) -> list[Forgotten]:
    rows = await driver.rows("select topic, max(sequence) as last from event_log group by topic")
    known = {row["topic"]: row["last"] for row in rows}
    forgotten = _in_order(
        [each for number, each in enumerate(records) if number != without],
        {topic: known.get(topic, 0) for topic in sorted({each.topic for each in records})},
    )
    end = (await driver.rows("select coalesce(max(position), 0) as end from event_log"))[0]["end"]
    async with driver.process.open_transaction(Cause()) as tx:
        await _take_back(tx, forgotten, [each.row(end + n, 2) for n, each in enumerate(forgotten, 1)], 2)
    return forgotten


async def whole_log(driver: Driver) -> list[Any]:
    return await driver.rows(
        "select topic, sequence, generation, event_id, type, dataschema, subject, time, data, correlation_id from event_log"
        " order by topic, sequence"
    )


async def test_the_log_takes_back_each_event_as_it_was_told(driver: Driver):
    await published(driver, hours_ago(3), declined(), cancelled(), declined())
    async with driver.process.open_transaction(Cause("c-1")) as tx:
        tx.emit(declined())
        tx.erase(MatchDeclined, uuid7())
    await move(driver)
    before = await whole_log(driver)
    records = await restore(driver, 1)
    await take_back(driver, records)
    assert await whole_log(driver) == before
    positions = await driver.rows("select position from event_log order by position")
    assert [row["position"] for row in positions] == [1, 2, 3, 4, 5]


async def test_what_waited_in_the_restored_outbox_and_was_told_since_is_not_told_again(driver: Driver):
    await published(driver, hours_ago(3), declined())
    await published(driver, hours_ago(2), event := declined(), unmoved=True)
    waiting = await driver.rows("select event_id from outbox")
    await move(driver)
    records = await restore(driver, 1)
    async with driver.process.open_transaction(Cause()) as tx:
        tx.emit(event)
    await driver.rows("update outbox set event_id = $1", waiting[0]["event_id"])
    await take_back(driver, records)
    assert await driver.rows("select event_id from outbox") == []


async def test_what_is_told_next_of_a_subject_has_a_later_revision_and_of_others_its_own(driver: Driver):
    subject, other = uuid7(), uuid7()
    await published(driver, hours_ago(3), declined(subject, revision=3), declined(other, revision=3))
    await published(driver, hours_ago(2), *(cancelled(subject, revision=number) for number in (4, 7)))
    records = await restore(driver, 2)
    await take_back(driver, records)
    await published(driver, hours_ago(1), declined(subject, revision=4), declined(other, revision=4))
    await published(driver, hours_ago(1), declined(subject, revision=5))
    said = await driver.rows("select subject, data from event_log where generation = 2 order by position")
    revisions = [(row["subject"], json.loads(row["data"])["revision"]) for row in said]
    assert revisions == [(subject, 11), (other, 4), (subject, 12)]
    last = json.loads(said[-1]["data"])
    assert last | {"revision": 5} == json.loads(declined(subject, revision=5).model_dump_json())


async def test_of_an_event_that_is_gone_the_log_has_the_place(driver: Driver):
    await published(driver, hours_ago(3), declined(), declined(), declined())
    records = await restore(driver, 0)
    forgotten = await take_back(driver, records, without=1)
    assert [(each.sequence, each.record is None) for each in forgotten] == [(1, False), (2, True), (3, False)]
    (row,) = await driver.rows("select subject, data from event_log where sequence = 2")
    assert (row["subject"], row["data"]) == (NOBODY, None)
    await published(driver, hours_ago(1), declined())
    rows = await driver.rows("select sequence, generation from event_log order by position")
    assert [tuple(row) for row in rows] == [(1, 1), (2, 1), (3, 1), (4, 2)]


async def test_two_events_under_one_sequence_are_taken_for_no_earlier_state(driver: Driver):
    await published(driver, hours_ago(3), declined(), declined())
    records = await told(driver)
    with pytest.raises(NotReconciled, match="MatchDeclined holds"):
        _in_order(
            [*records, records[0].__class__(**{**records[0].__dict__, "event_id": uuid7()})], {"MatchDeclined": 0}
        )
    await driver.rows("update event_log set event_id = $1 where sequence = 1", uuid7())
    async with driver.process.pool.acquire() as connection:
        with pytest.raises(NotReconciled, match="not an earlier state"):
            await _must_agree(connection, records)


def test_each_topics_order_is_kept_though_a_clock_was_set_back():
    def at(topic: str, sequence: int, second: int) -> Forgotten:
        moment = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=second)
        return Forgotten(topic, sequence, 1, UUID(int=sequence), NOBODY, moment, cast("ConsumerRecord", object()))

    told = [at("A", 1, 5), at("A", 2, 3), at("B", 1, 4), at("B", 2, 6)]
    ordered = [(each.topic, each.sequence) for each in _in_order(told, {"A": 0, "B": 0})]
    assert ordered == [("B", 1), ("A", 1), ("A", 2), ("B", 2)]


async def test_who_received_everything_proves_it_over_the_restore(driver: Driver, manifest_key: Path):
    await published(driver, hours_ago(6), declined(), declined())
    await look(driver)
    await move(driver)
    await published(driver, hours_ago(5), declined(), cancelled())
    await look(driver)
    await move(driver)
    await published(driver, hours_ago(4, 30), declined())  # no manifest was issued of this one
    records = await restore(driver, 3)
    await take_back(driver, records)
    await published(driver, hours_ago(3, 30), declined())
    await look(driver)
    await move(driver)
    found = Received()
    for row in await driver.rows("select topic, generation, sequence, event_id, subject, written_at from event_log"):
        if not row["topic"].endswith("ManifestIssued"):
            stream = Stream(row["topic"], SOURCE, row["generation"])
            found.add(stream, row["sequence"], row["event_id"], row["subject"], row["written_at"])
    manifests = await issued(driver)
    for topic in {each.topic_name for each in manifests}:
        of_topic = sorted(
            (each for each in manifests if each.topic_name == topic), key=lambda each: each.first_sequence
        )
        assert [each.previous for each in of_topic] == [None, *(each.manifest_id for each in of_topic[:-1])]
        assert [each.first_sequence for each in of_topic] == [1, *(each.last_sequence + 1 for each in of_topic[:-1])]
    keys = trusted_keys(read(manifest_key).document(SOURCE))
    verdict = verify(found, manifests, keys, read_at=datetime.now(UTC))
    assert verdict.complete
    assert {(each.stream.generation, each.unproven, each.missing) for each in verdict.streams} == {
        (1, 0, ()),
        (2, 0, ()),
    }


async def test_a_group_is_set_back_and_never_forward_and_not_at_all_while_somebody_consumes(kafka: str):
    """Under the group of a service that no test on this broker runs."""
    at, brokers, place = datetime.now(UTC), Brokers(kafka), TopicPartition("NoticeSent", 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id="survey", enable_auto_commit=False)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await consumer.start()
    await producer.start()
    try:
        for _ in range(3):
            await producer.send_and_wait(place.topic, b"", key=b"", partition=place.partition)
        consumer.assign([place])
        begin = (await consumer.beginning_offsets([place]))[place]
        for reached, since, then in (
            (begin + 2, at + timedelta(days=1), begin + 2),
            (begin, at - timedelta(days=1), begin),
            (begin + 2, None, begin),
        ):
            await consumer.commit({place: reached})
            await _hear_again(brokers, "survey", since)
            assert await consumer.committed(place) == then
        member = AIOKafkaConsumer(place.topic, bootstrap_servers=kafka, group_id="survey", enable_auto_commit=False)
        await member.start()
        try:
            with pytest.raises(NotReconciled, match="survey is running"):
                await _hear_again(brokers, "survey", at)
        finally:
            await member.stop()
    finally:
        await producer.stop()
        await consumer.stop()
