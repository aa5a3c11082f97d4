"""The Kafka side of the inbox: one consumer group per service over all its topics, one batch subscriber.

Guarantee 12: positions are committed only after everything before them was handled or set aside; whatever ends a batch early
rewinds to its first record. So a record is seen at least once, and the inbox makes that once. They are committed now and
then, not after each batch: a commit costs Kafka as much as a batch, and what comes again after a crash costs the inbox a look.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from sojourn_contracts import catalogue

from chassis.batch import Batches, Halted
from chassis.brokers import Brokers
from chassis.failures import backoff
from chassis.inbox import Arrival, Inbox, arrival
from chassis.metrics import Metrics

logger = structlog.get_logger(__name__)

PATIENCE = 60.0
"""Seconds that a batch is tried again in place; then it is rewound, long before ``max_poll_interval_ms`` (five minutes)."""
HEARTBEAT_MS = 1_000
"""A member learns of a rebalance by its next heartbeat; until the last one has, nobody reads what a member that left had."""
MAX_RECORDS = 4_000
COMMIT_EVERY = 0.2
"""Seconds between two commits of positions; a stop, a halt and a rebalance do not wait for them."""
REST = 0.02
"""At most so many seconds, and no longer than the batch took, it rests after a batch: what comes meanwhile is one batch, so
that a machine with much to do has the fewer of them."""


async def _bare(records: Sequence[ConsumerRecord]) -> KafkaMessage:
    """FastStream's message around bare records: headers are read later, where a bad one becomes a dead letter."""
    return KafkaMessage(body=b"", raw_message=tuple(records), message_id=str(records[0].offset), consumer=FAKE_CONSUMER)


async def _records(message: KafkaMessage) -> Sequence[ConsumerRecord]:
    return cast("Sequence[ConsumerRecord]", message.raw_message)


class Consumer(ConsumerRebalanceListener):
    """Feeds a service's inbox from its topics."""

    def __init__(
        self,
        service: str,
        inbox: Inbox,
        brokers: Brokers,
        metrics: Metrics,
        session_timeout_ms: int,
    ) -> None:
        self._inbox = inbox
        self._metrics = metrics
        self._batches = Batches[Arrival](inbox.handle, inbox.set_aside)
        self._stopping = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._halting: asyncio.Task[None] | None = None
        self._handled: dict[TopicPartition, int] = {}
        self._uncommitted = asyncio.Event()
        self._committing: asyncio.Task[None] | None = None
        self.topics = [topic.name for topic in catalogue.consumed_by(service)]
        self._brokers = brokers
        self._refused = False
        self._ends: AIOKafkaConsumer | None = None
        self.in_hand = 0
        self.done = 0
        self._level_at = time.time()
        self.broker = KafkaBroker(
            brokers.servers.split(","),  # aiokafka splits them, but FastStream takes a string for one address
            security=brokers.security(),
            client_id=service,
            allow_auto_create_topics=False,
            graceful_timeout=10,
            logger=None,
            apply_types=False,
        )
        if self.topics:
            self._subscriber = self.broker.subscriber(
                *self.topics,
                batch=True,
                group_id=service,
                auto_offset_reset="earliest",
                ack_policy=AckPolicy.MANUAL,
                isolation_level="read_committed",
                partition_assignment_strategy=(RangePartitionAssignor,),
                session_timeout_ms=session_timeout_ms,
                heartbeat_interval_ms=max(100, min(HEARTBEAT_MS, session_timeout_ms // 3)),
                max_records=MAX_RECORDS,
                batch_timeout_ms=10,
                max_partition_fetch_bytes=4 * 1024 * 1024,
                fetch_max_wait_ms=100,
                no_reply=True,
                parser=_bare,
                decoder=_records,
                listener=self,
            )
            self._subscriber(self._receive)
            self._fetch = self._subscriber.get_msg
            self._subscriber.get_msg = self._fetch_or_halt

    @property
    def halted(self) -> bool:
        """Ten records in a row became dead letters, see guarantee 5; or Kafka refuses a topic or the group."""
        return self._batches.halted or self._refused

    def start(self) -> None:
        """Connects in the background, for as long as it takes; does not wait for it."""
        if self.topics:
            self._starting = asyncio.create_task(self._connect())
            self._committing = asyncio.create_task(self._commit_now_and_then())

    async def _connect(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                await self.broker.start()
                ends = AIOKafkaConsumer(
                    **self._brokers.client(), isolation_level="read_committed", enable_auto_commit=False
                )
                try:
                    await ends.start()
                except BaseException:  # a stop may come just now
                    await ends.stop()
                    raise
                self._ends = ends
            except Exception as error:
                if self._is_refused(error):
                    await self.broker.stop()
                    return
                logger.warning("waiting for Kafka", error=repr(error)[:300])
                with suppress(Exception):
                    await self._disconnect()  # else each attempt leaves a consumer behind
                attempt += 1
                await self._pause(backoff(attempt))
            else:
                return

    async def stop(self) -> None:
        """Finishes the batch in hand, commits the positions and leaves the group."""
        self._stopping.set()
        for task in (self._starting, self._committing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._commit()
        if self._ends is not None:
            await self._ends.stop()
        await self._disconnect()

    async def _disconnect(self) -> None:
        try:
            async with asyncio.timeout(12):
                await self.broker.stop()
        finally:
            # with Kafka away the group cannot be left: what is cut short there has not come to closing its connections
            if self.topics and (consumer := self._subscriber.consumer) is not None:
                await consumer._client.close()

    async def _receive(self, records: Sequence[ConsumerRecord]) -> None:
        began = time.monotonic()
        self.in_hand = len(records)
        self._level_at = min(record.timestamp for record in records) / 1000
        done = False
        try:
            done = await self._handle(deque(arrival(record) for record in records))
        finally:
            consumer = self._subscriber.consumer
            if consumer is not None and not done:
                _rewind(consumer, records)
        try:
            if consumer is not None and done:
                self._handled = {place: await consumer.position(place) for place in consumer.assignment()}
                self._uncommitted.set()
                if self._stopping.is_set():
                    await self._commit()
        except KafkaError as error:
            # the group has moved on: as for a failed commit
            logger.warning("positions not known", error=repr(error)[:300])
        finally:
            self.done += len(records)
            self.in_hand = 0
        await asyncio.sleep(min(time.monotonic() - began, REST))

    async def _commit(self) -> None:
        """What was handled by now, never the batch in hand."""
        handled, self._handled = self._handled, {}
        consumer = self._subscriber.consumer if self.topics else None
        try:
            if consumer is not None and handled:
                await consumer.commit(handled)
        except Exception as error:
            # the group has moved on, or Kafka is away; the records come again and the inbox knows them
            logger.warning("positions not committed", error=repr(error)[:300])

    async def _commit_now_and_then(self) -> None:
        while await self._uncommitted.wait():
            self._uncommitted.clear()
            await self._commit()
            await asyncio.sleep(COMMIT_EVERY)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """The last moment at which the positions of this assignment can be committed."""
        await self._commit()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to do: the positions are the group's."""

    async def _fetch_or_halt(self, consumer: AIOKafkaConsumer) -> Any:
        """FastStream passes over what it is refused, and asks again for ever."""
        try:
            return await self._fetch(consumer)
        except KafkaError as error:
            if not self._refused and self._is_refused(error):
                self._halting = asyncio.create_task(self._halt())
            raise

    def _is_refused(self, error: Exception) -> bool:
        if refusal := self._brokers.refusal(error):
            self._refused = True
            logger.critical("consuming stopped until that is granted and the process starts again", reason=refusal)
        return self._refused

    async def _halt(self) -> None:
        await self._commit()
        await self._subscriber.stop()

    async def _handle(self, waiting: deque[Arrival]) -> bool:
        """True when all is handled or set aside; False when the records are to come again."""
        patience = time.monotonic() + PATIENCE
        attempt = 0
        while not self._stopping.is_set():
            try:
                await self._batches.run(waiting)
            except Halted as halted:
                logger.critical("consuming halted; a restart resumes", reason=str(halted))
                self._halting = asyncio.create_task(self._halt())
                return False
            except Exception as error:
                logger.warning("events wait", error=repr(error)[:300], waiting=len(waiting))
                self._metrics.failed(waiting[0].name if waiting else "event", "trouble")
                attempt += 1
                if time.monotonic() > patience:
                    return False
                await self._pause(backoff(attempt))
            else:
                return True
        return False

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def lag(self) -> int | None:
        """Records that a ``read_committed`` reader could see and that this process was not given yet; None if not known.

        Asked on a connection of its own: on the group's one the question would wait behind the fetch that is under way.
        """
        consumer = self._subscriber.consumer if self.topics else None
        if consumer is None:
            return None if self.topics else 0
        if self._ends is None:
            return None
        mine = list(consumer.assignment())
        try:
            async with asyncio.timeout(1):
                ends = await self._ends.end_offsets(mine) if mine else {}
                return sum([max(0, ends[place] - await consumer.position(place)) for place in mine])
        except (TimeoutError, KafkaError):
            return None

    def seconds_behind(self, lag: int | None) -> float:
        """Wall-clock age of the oldest record that waits, where ``lag`` is what was found just now; 0 when none does.

        Of a record that was not read yet nothing is known but that it came after those that were, or after the last time that
        none waited. While it is not known whether records wait, with Kafka away or after a halt, they are taken to.
        """
        if lag == 0 and not self.in_hand:
            self._level_at = time.time()
            return 0.0
        return max(0.0, time.time() - self._level_at)


def _rewind(consumer: AIOKafkaConsumer, records: Sequence[ConsumerRecord]) -> None:
    """Back to each partition's first record; without an await, so that no rebalance comes between check and seek."""
    first: dict[TopicPartition, int] = {}
    for record in records:
        place = TopicPartition(record.topic, record.partition)
        first[place] = min(record.offset, first.get(place, record.offset))
    for place, offset in first.items():
        if place in consumer.assignment():
            consumer.seek(place, offset)
