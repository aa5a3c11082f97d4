"""What the services said, read twice: from their logs in PostgreSQL, and from the topics as a subscriber reads them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from sojourn_contracts import catalogue

STORY = tuple(topic for topic in catalogue.TOPICS if not topic.is_of_manifests)
"""The topics of what happens in the programme. How many manifests there are depends on the hours of the day that pass meanwhile;
one may be issued at any moment, also while the rest is read.
"""
PATIENCE = 60.0
"""Seconds within which the topics must be read to their ends."""


@dataclass(frozen=True)
class Logged:
    """One row of a service's log."""

    position: int
    generation: int
    topic: str
    sequence: int
    event_id: UUID
    type: str
    subject: UUID
    time: datetime
    """Programme time."""
    written_at: datetime
    """Time of day at which its transaction wrote it."""
    data: str | None

    @property
    def content(self) -> dict[str, Any]:
        """The event's data; empty where it was erased."""
        return json.loads(self.data) if self.data else {}


@dataclass(frozen=True)
class Published:
    """One record of a topic, headers that are not text left out."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: str | None
    headers: dict[str, str]


async def logged(connection: asyncpg.Connection, service: str) -> list[Logged]:
    """A service's log, in its order."""
    rows = await connection.fetch(
        f"""
        select position, generation, topic, sequence, event_id, type, subject, time, written_at, data
        from {service}.event_log order by position
        """  # noqa: S608 - the service is one of the catalogue's
    )
    return [Logged(**row) for row in rows]


async def handled(connection: asyncpg.Connection, service: str) -> dict[UUID, datetime]:
    """Each event that a service handled, and the time of day at which the transaction of its effect took it in."""
    rows = await connection.fetch(
        f"select event_id, handled_at from {service}.inbox"  # noqa: S608 - the service is one of the catalogue's
    )
    return {row["event_id"]: row["handled_at"] for row in rows}


async def published(bootstrap_servers: str, topics: Sequence[str]) -> dict[str, list[Published]]:
    """Every committed record of these topics, by topic; per partition in its order."""
    records: dict[str, list[Published]] = {topic: [] for topic in topics}
    async with _reader(bootstrap_servers) as consumer:
        partitions = [
            TopicPartition(topic.name, partition)
            for topic in catalogue.TOPICS
            if topic.name in records
            for partition in range(topic.partitions)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        deadline = time.monotonic() + PATIENCE
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            if time.monotonic() > deadline:
                raise TimeoutError("the topics could not be read to their ends: is a transaction still open?")
            for batch in (await consumer.getmany(timeout_ms=100)).values():
                for record in batch:
                    records[record.topic].append(_published(record))
    return records


@asynccontextmanager
async def _reader(bootstrap_servers: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_poll_records=5_000,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await asyncio.shield(consumer.stop())


def _published(record: ConsumerRecord) -> Published:
    return Published(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=None if record.key is None else record.key.decode(errors="replace"),
        value=None if record.value is None else record.value.decode(errors="replace"),
        headers={name: value.decode(errors="replace") for name, value in record.headers},
    )
