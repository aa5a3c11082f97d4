"""What stands on the topics, as a ``read_committed`` reader sees it, and whether that is what the log says."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from chassis.database import Pool

from tests.chassis.waiting import until


class Reader:
    """Reads topics from where they ended when it was opened."""

    def __init__(self, committed: AIOKafkaConsumer, uncommitted: AIOKafkaConsumer) -> None:
        self._committed = committed
        self._uncommitted = uncommitted
        self._read: list[ConsumerRecord] = []

    async def all(self, source: str | None = None) -> list[ConsumerRecord]:
        """All records so far, of one source if wanted. Waits until no transaction is open."""
        await until(self._at_the_end)
        return [record for record in self._read if source is None or ("ce_source", source.encode()) in record.headers]

    async def _at_the_end(self) -> bool:
        """Up to the last record that anybody wrote, whether its transaction was ended or not."""
        found = await self._committed.getmany(timeout_ms=20)
        self._read += [record for records in found.values() for record in records]
        ends = await self._uncommitted.end_offsets(list(self._committed.assignment()))
        return all([await self._committed.position(place) >= end for place, end in ends.items()])


@asynccontextmanager
async def reading(kafka: str, *topics: str, partitions: int = 6) -> AsyncGenerator[Reader]:
    async with AsyncExitStack() as stack:
        committed, uncommitted = [
            await _started(
                stack, AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level=level, fetch_max_wait_ms=20)
            )
            for level in ("read_committed", "read_uncommitted")
        ]
        places = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
        committed.assign(places)
        for place, end in (await uncommitted.end_offsets(places)).items():
            committed.seek(place, end)
        yield Reader(committed, uncommitted)


async def _started(stack: AsyncExitStack, consumer: AIOKafkaConsumer) -> AIOKafkaConsumer:
    stack.push_async_callback(consumer.stop)
    await consumer.start()
    return consumer


async def set_position(kafka: str, group: str, place: TopicPartition, offset: int, metadata: str = "") -> None:
    """Commits a group's offset from outside."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.commit({place: OffsetAndMetadata(offset, metadata)})
    finally:
        await consumer.stop()


def header(record: ConsumerRecord, name: str) -> str | None:
    return next((value.decode() for key, value in record.headers if key == name), None)


async def assert_published(pool: Pool, records: Sequence[ConsumerRecord], emitted: int) -> None:
    """Every event that was emitted is in the log and exactly once on its topic, in log order, and nothing else is."""
    log = await pool.fetch(
        "select position, topic, sequence, event_id::text, subject::text from event_log order by position"
    )
    assert [row["position"] for row in log] == list(range(1, emitted + 1)), "positions are dense"
    assert await pool.fetchval("select count(*) from outbox") == 0
    for topic in {row["topic"] for row in log} | {record.topic for record in records}:
        rows = [row for row in log if row["topic"] == topic]
        there = [record for record in records if record.topic == topic]
        assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1)), "sequences are dense"
        assert sorted(_stamp(record) for record in there) == [(row["sequence"], row["event_id"]) for row in rows]
        _assert_order(rows, there)


def _assert_order(rows: Sequence[Any], there: Sequence[ConsumerRecord]) -> None:
    for partition in {record.partition for record in there}:
        here = sorted((record.offset, _stamp(record)[0]) for record in there if record.partition == partition)
        assert all(one[1] < two[1] for one, two in pairwise(here)), f"not in log order: {here}"
    newest_in_log = {row["subject"]: row["event_id"] for row in rows}
    newest = {
        record.key.decode(): header(record, "ce_id")
        for record in sorted(there, key=lambda record: record.offset)
        if record.key
    }
    assert newest == newest_in_log, "the newest per key stands last"


def _stamp(record: ConsumerRecord) -> tuple[int, str]:
    return int(header(record, "ce_sequence") or 0), header(record, "ce_id") or ""
