"""A service's inbox on a real database: fed by hand, or by a consumer under a group that nobody used before."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from chassis.batch import Batches
from chassis.brokers import Brokers
from chassis.consumer import Consumer
from chassis.database import Pool
from chassis.doors import Door
from chassis.inbox import Arrival, Inbox, arrival
from chassis.metrics import Metrics
from chassis.transaction import Cause, Transaction
from sojourn_contracts import catalogue

from tests.chassis.given import SERVICE, a_service, note, note_the_erasure, transaction
from tests.chassis_driver import Record

TOPICS = [topic.name for topic in catalogue.consumed_by(SERVICE)]
PLACES = [TopicPartition(topic.name, number) for topic in catalogue.consumed_by(SERVICE) for number in range(6)]


class Receiver:
    """One process' inbox; several on one pool are several members."""

    def __init__(self, pool: Pool, *doors: Door, withdrawal: Any = note) -> None:
        self._pool = pool
        self.metrics = Metrics(SERVICE)
        self.inbox = Inbox(SERVICE, a_service(*doors, withdrawal=withdrawal).doors, self.open, self.metrics)
        self.batches = Batches[Arrival](self.inbox.handle, self.inbox.set_aside)
        self.answers_lost = 0
        """How many commits more succeed without anybody hearing of it."""

    @asynccontextmanager
    async def open(self, cause: Cause) -> AsyncGenerator[Transaction]:
        async with transaction(self._pool, cause) as tx:
            yield tx
        if self.answers_lost:
            self.answers_lost -= 1
            raise ConnectionResetError("the answer to the commit is lost")

    async def handle(self, *records: Record) -> None:
        """One transaction."""
        await self.inbox.handle([arrival(record) for record in records])

    async def run(self, *records: Record) -> None:
        """As the consumer does it: batches, and dead letters for what cannot be handled."""
        await self.batches.run(deque(arrival(record) for record in records))

    async def notes(self, *subjects: UUID) -> list[str]:
        """The effects on these subjects, one after the other, in the order in which they were made."""
        rows = await self._pool.fetch("select subject, note from effect order by place")
        return [row["note"] for subject in subjects for row in rows if row["subject"] == subject]

    async def letters(self) -> list[Any]:
        return await self._pool.fetch("select * from dead_letter order by dead_at, id")

    async def handled(self, *ids: UUID) -> int:
        return await self._pool.fetchval("select count(*) from inbox where event_id = any($1::uuid[])", ids)

    async def waiting_for_a_lock(self, number: int) -> bool:
        """So many at this moment, in this database."""
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return await self._pool.fetchval(waiting) == number


class Gate:
    """A handler that stops half-way, its effect made, until it is let through; the first time only."""

    def __init__(self) -> None:
        self.reached, self._opened = asyncio.Event(), asyncio.Event()

    async def handle(self, event: Any, tx: Transaction) -> None:
        await note(event, tx)
        self.reached.set()
        await self._opened.wait()

    async def erase(self, subject: UUID, tx: Transaction) -> None:
        """The same for a tombstone."""
        await note_the_erasure(subject, tx)
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()

    def shut(self) -> None:
        """The next one stops again."""
        self.reached.clear()
        self._opened.clear()


@dataclass
class Group:
    """A consumer group of this test's own, on the catalogue's topics, from where they end now."""

    kafka: str
    producer: AIOKafkaProducer
    name: str

    session_timeout_ms: int = 1_000

    def member(self, receiver: Receiver) -> Consumer:
        """Reads what the service reads, under the group's name."""
        topics = catalogue.consumed_by(SERVICE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(catalogue, "consumed_by", lambda _: topics)
            return Consumer(self.name, receiver.inbox, Brokers(self.kafka), receiver.metrics, self.session_timeout_ms)

    @asynccontextmanager
    async def consuming(self, receiver: Receiver) -> AsyncGenerator[Consumer]:
        """A member, from here to the end of the block."""
        consumer = self.member(receiver)
        consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    async def send(self, *records: Record) -> None:
        """In this order, to the partitions that they name: 0 if nothing else is said."""
        for record in records:
            await self.producer.send(
                *(record.topic, record.value, record.key),
                partition=record.partition,
                headers=record.headers,
                timestamp_ms=None,
            )
        await self.producer.flush()

    async def committed(self, topic: str) -> int:
        """The group's position on partition 0."""
        async with _reader(self.kafka, self.name) as reader:
            return await reader.committed(TopicPartition(topic, 0)) or 0

    async def end(self, topic: str) -> int:
        async with _reader(self.kafka) as reader:
            place = TopicPartition(topic, 0)
            return (await reader.end_offsets([place]))[place]


@asynccontextmanager
async def _reader(kafka: str, group: str | None = None) -> AsyncGenerator[AIOKafkaConsumer]:
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


@asynccontextmanager
async def a_group(kafka: str, *new_to: TopicPartition) -> AsyncGenerator[Group]:
    """``new_to``: where it has no position, as a service that nobody ran before."""
    name = f"{SERVICE}-{uuid4().hex[:8]}"
    known = [place for place in PLACES if place not in new_to]
    async with _reader(kafka, name) as reader:
        reader.assign(known)
        ends = await reader.end_offsets(known)
        await reader.commit({place: OffsetAndMetadata(end, "") for place, end in ends.items()})
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=1_100_000) as producer:
        yield Group(kafka, producer, name)
