"""The relay: from the outbox over the log to Kafka, one leader per service.

Guarantee 13: every committed event gets one position in its service's log and one sequence in its topic, both dense, in the order
of the outbox; two movers cannot both win.
Guarantee 14: an event stands on its topic exactly once for ``read_committed`` readers, in log order, the newest per key last,
whatever is killed, frozen or cut off, and whenever.
Guarantee 15: a leader that wakes up deposed publishes and moves nothing.
Guarantee 16: a log that was restored to an earlier state is never published again from there: the relay stops and says so.

How: rows move in one autocommitted statement that checks the lease. They are sent in a Kafka transaction under a fixed
id, and the position reached goes into the same transaction as a group offset; what stands on the topics proves it when it is
read. After every doubt the leader forgets what it
knows and takes over anew, from itself if need be: there is one path, ``_lead``.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupLoadInProgressError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.producer import sender
from aiokafka.structs import OffsetAndMetadata
from sojourn_contracts import catalogue, envelope
from sojourn_contracts.access import relay_of
from sojourn_contracts.catalogue import POSITION_TOPIC

from chassis import spans
from chassis.brokers import Brokers
from chassis.database import Connection, Pool, ear, listening, require_open
from chassis.failures import backoff
from chassis.lease import Lease, LeaseLost
from chassis.tails import Newest, newest

logger = structlog.get_logger(__name__)

POSITION = TopicPartition(POSITION_TOPIC, 0)
BATCH = 2_000
POLL = 0.2
"""Seconds between looks into the outbox, when nothing wakes the relay."""
LONGEST = 10.0
"""Seconds a Kafka transaction may stay open: an open one stalls ``read_committed`` readers."""
RECOMMIT = 86_400.0
"""Seconds after which an idle position is committed again: brokers forget idle offsets after a week."""
DOUBT = 3
"""Lease times for which log and Kafka must disagree, whoever asks again, before the relay stops for good."""
REST = 0.02
"""At most so many seconds, and no longer than the last transaction took, the relay rests without a backlog: what is committed
meanwhile goes in one transaction, so that a machine with much to do has the fewer of them."""
RETRY_MS = 1
"""Kafka refuses a transaction's first request while the markers of the last one are being written: a matter of milliseconds."""

sender.BACKOFF_OVERRIDE = RETRY_MS / 1000  # aiokafka's own constant, 20 ms, would be most of an event's way


class Restored(Exception):  # noqa: N818 - it is what happened
    """What Kafka knows to be published and what the log holds do not agree; publishing would repeat or lose events."""


@dataclass(frozen=True)
class Published:
    """How far the log stands on Kafka: a position, its generation, and the id of the event there as a check."""

    position: int
    generation: int
    event_id: str

    def as_offset(self) -> OffsetAndMetadata:
        return OffsetAndMetadata(self.position, json.dumps([self.generation, self.event_id]))


ROW = (
    "position, generation, topic, sequence, event_id::text, type, dataschema, subject::text, time, data,"
    " correlation_id, causation_id, traceparent"
)
"""What ``record`` takes of the log."""

MOVE = f"""
with held as (
    select from lease where name = 'relay' and holder = $1 and epoch = $2 and until > clock_timestamp() for share
), gone as (
    delete from outbox
    where ctid = any(array(select ctid from outbox where exists (select from held) order by id limit $3))
    returning *
), topics as materialized (
    select topic, coalesce((select max(sequence) from event_log where event_log.topic = moved.topic), 0) as last
    from (select distinct topic from gone) as moved
), numbered as (
    select gone.*, row_number() over (order by id) as step, row_number() over (partition by topic order by id) as topic_step
    from gone
), told as (
    select numbered.*, case when revision is null or not data::jsonb ? 'revision' then data else
        jsonb_set(data::jsonb, '{{revision}}', to_jsonb((data::jsonb->>'revision')::bigint + revision))::text end as said
    from numbered left join raised using (subject)
)
insert into event_log (position, generation, topic, sequence, event_id, type, dataschema, subject, time, data,
                       correlation_id, causation_id, traceparent, written_at)
select (select coalesce(max(position), 0) from event_log) + step, (select generation from log_generation), topic,
       topics.last + topic_step, event_id, type, dataschema, subject, time, said,
       correlation_id, causation_id, traceparent, written_at
from told join topics using (topic)
returning {ROW}
"""  # noqa: S608


class Relay:
    """Publishes one service's events. Every process of the service runs one; the lease lets one at a time lead."""

    def __init__(
        self,
        service: str,
        pool: Pool,
        brokers: Brokers,
        lease_seconds: float,
        batch: int = BATCH,
        grown: Callable[[], None] = lambda: None,
        direct: Pool | None = None,
    ) -> None:
        """``grown`` is called after events were moved to the log; ``direct``: see ``database.ear``."""
        self._service = service
        self._pool = pool
        self._brokers = brokers
        self._lease_seconds = lease_seconds
        self._batch = batch
        self._grown = grown
        self._direct = direct
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._group = relay_of(service)
        self.leading = False
        self.halted = False
        self.published: int | None = None
        """The position that this process knows to be published; None while it does not lead."""
        self._doubts_since: float | None = None
        self._unpublished_since: float | None = None

    @property
    def seconds_unpublished(self) -> float:
        """For how long this process may have had events of the log to publish; 0 when it has none.

        Who holds the lease and does not lead yet does not know what is published: it takes it that something is not.
        """
        return 0.0 if self._unpublished_since is None else time.monotonic() - self._unpublished_since

    def wake(self) -> None:
        """Makes a leading relay look into the outbox at once."""
        self._wake.set()

    def stop(self) -> None:
        """Ends ``run`` after the transaction in hand."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Leads whenever it can, until stopped; trouble backs off and takes over anew."""
        attempt = 0
        lease = Lease(self._pool, "relay", self._lease_seconds)
        try:
            while not self._stopping.is_set():
                try:
                    if lease.held:  # trouble: what was sent to the database and is still on its way must not arrive now
                        await lease.begin_anew()
                    elif not await lease.acquire():
                        self._doubts_since = self._unpublished_since = None
                        await self._pause(self._lease_seconds / 4)
                        continue
                    self._some_unpublished()
                    await self._hold_and_lead(lease)
                    attempt = 0
                except Restored as restored:
                    # a broker that is just back may tell a position from before, or none
                    self._doubts_since = self._doubts_since or time.monotonic()
                    if time.monotonic() - self._doubts_since < DOUBT * self._lease_seconds:
                        logger.warning("relay in doubt", reason=str(restored))
                        await self._pause(self._lease_seconds / 4)
                        continue
                    self.halted = True
                    logger.critical(
                        "relay stopped: nothing is published until an operator decides",
                        reason=str(restored),
                        runbook="docs/runbooks/restore.md",
                    )
                    return
                except LeaseLost:
                    logger.info("relay deposed")
                except Exception as error:
                    if refusal := self._brokers.refusal(error):
                        self.halted = True
                        logger.critical(
                            "relay stopped: nothing is published until that is granted and the process starts again",
                            reason=refusal,
                        )
                        return
                    attempt += 1
                    logger.warning("relay takes over anew", error=repr(error)[:300])
                    await self._pause(backoff(attempt, longest=2.0))
        finally:
            await lease.release()

    def _some_unpublished(self) -> None:
        self._unpublished_since = self._unpublished_since or time.monotonic()

    async def _hold_and_lead(self, lease: Lease) -> None:
        """Leads while the lease is kept up beside it; whichever ends first ends the other."""
        keeping = asyncio.create_task(lease.keep())
        leading = asyncio.create_task(self._lead(lease))
        try:
            done, _ = await asyncio.wait((keeping, leading), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.cancelled():
                    raise RuntimeError("cancelled from within")  # by a library: it must not pass for our own stop
                task.result()
        finally:
            for task in (keeping, leading):
                task.cancel()
            await asyncio.gather(keeping, leading, return_exceptions=True)
            self.leading, self.published = False, None

    async def _lead(self, lease: Lease) -> None:
        """The one path: fence, read the position, check the lease, compare the log, move and send.

        The lease is checked after the position was read: held without a break, it says that nobody else published since.
        """
        producer = self.producer()
        try:
            async with asyncio.timeout(LONGEST * 2):
                await producer.start()
                await self._brokers.admit(
                    [POSITION_TOPIC, *(topic.name for topic in catalogue.emitted_by(self._service))]
                )
            async with self._pool.acquire() as connection:
                published = await self.position()
                async with asyncio.timeout(LONGEST):
                    on_topics = await newest(self._brokers, self._service)
                async with connection.transaction():
                    await lease.check(connection)
                    await _compare(connection, published, on_topics)
                    first = Published(0, await connection.fetchval("select generation from log_generation"), "")
                if published is None:  # so that a missing position later is known to be a loss
                    published = first
                    await self.send(producer, [], first)
                self.leading, self.published, self._doubts_since = True, published.position, None
                logger.info("relay leads", epoch=lease.epoch, position=published.position)
                published = await self._publish_log(connection, producer, published)
                async with ear(connection, self._direct) as hears, listening(hears, channel(self._service), self.wake):
                    await self._publish(connection, producer, lease, published, hears)
        finally:
            self.leading = False
            await _discard(producer)

    def producer(self) -> AIOKafkaProducer:
        """Starting it fences whoever publishes for this service, and makes Kafka finish or abort what was open."""
        return AIOKafkaProducer(
            **self._brokers.client(),
            client_id=self._group,
            transactional_id=self._group,
            transaction_timeout_ms=int(LONGEST * 1000),
            request_timeout_ms=int(LONGEST * 1000),
            max_request_size=catalogue.MAX_RECORD_BYTES + 50_000,
            max_batch_size=256_000,
            retry_backoff_ms=RETRY_MS,
            linger_ms=0,
        )

    async def position(self) -> Published | None:
        """The published position, None if there is none; read after fencing, since an open transaction might have moved it.

        A coordinator that is about to load its groups answers with an error that aiokafka passes over: the partition is not in
        the answer then, while one without an offset is, with -1.
        """
        admin = AIOKafkaAdminClient(**self._brokers.client(), request_timeout_ms=int(LONGEST * 1000))
        async with asyncio.timeout(LONGEST):
            try:
                await admin.start()
                offsets = await admin.list_consumer_group_offsets(self._group, partitions=[POSITION])
            except GroupAuthorizationFailedError:
                raise GroupAuthorizationFailedError(self._group) from None  # aiokafka's own has a sentence for the name
            finally:
                await admin.close()
        found = offsets.get(POSITION)
        if found is None:
            raise GroupLoadInProgressError(self._group)
        if found.offset < 0:
            return None
        try:
            generation, event_id = cast("tuple[int, str]", json.loads(found.metadata))
        except ValueError:
            raise Restored(f"the published position, {found.offset}, was not set by a relay") from None
        return Published(found.offset, generation, event_id)

    async def _publish_log(self, connection: Connection, producer: AIOKafkaProducer, published: Published) -> Published:
        """Sends what an earlier leader moved and did not publish; returns what is published then."""
        while True:
            rows = await connection.fetch(
                f"select {ROW} from event_log where position > $1 order by position limit $2",  # noqa: S608
                published.position,
                self._batch,
            )
            if not rows:
                self._unpublished_since = None
                return published
            published = _reached(rows, published)
            await self.send(producer, rows, published)

    async def _publish(
        self, connection: Connection, producer: AIOKafkaProducer, lease: Lease, last: Published, hears: Connection
    ) -> None:
        """Moves and sends until stopped; in a backlog the next rows move while the last ones are sent."""
        committed = time.monotonic()
        rows = await self._move(connection, lease)
        while rows or not self._stopping.is_set():
            if rows:
                self._some_unpublished()
                last, committed = _reached(rows, last), time.monotonic()
                backlog = len(rows) == self._batch
                moving = asyncio.create_task(self._move(connection, lease)) if backlog else None
                try:
                    await self.send(producer, rows, last)
                except BaseException:
                    if moving is not None:
                        moving.cancel()
                        await asyncio.gather(moving, return_exceptions=True)
                    raise
                self._unpublished_since = None
                if moving is not None:
                    rows = await moving
                    continue
                await asyncio.sleep(min(time.monotonic() - committed, REST))
            elif time.monotonic() - committed > RECOMMIT:
                await self.send(producer, [], last)
                committed = time.monotonic()
            await self._pause(POLL)
            require_open(hears)
            rows = await self._move(connection, lease)

    async def _move(self, connection: Connection, lease: Lease) -> list[asyncpg.Record]:
        """Moves rows from the outbox to the log, in one statement that takes effect only while the lease is held."""
        self._wake.clear()
        if not lease.held:
            raise LeaseLost("relay")
        rows = await connection.fetch(MOVE, lease.holder, lease.epoch, self._batch)
        if rows:
            self._grown()
        return sorted(rows, key=lambda row: row["position"])

    async def send(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record], reached: Published) -> None:
        """One Kafka transaction: the rows, and the position that they reach.

        Every delivery is awaited before the commit: a refused record would otherwise vanish while the commit succeeds.
        """
        carried = ((row["topic"], row["traceparent"]) for row in rows)
        async with spans.publishing(carried), asyncio.timeout(LONGEST):
            await producer.begin_transaction()
            deliveries: list[asyncio.Future[Any]] = []
            try:
                for row in rows:
                    deliveries.append(await self._deliver(producer, row))  # noqa: PERF401 - kept when one fails
                await self._commit_position(producer, reached)
                for delivery in deliveries:
                    await delivery
            except BaseException:
                for delivery in deliveries:
                    delivery.cancel()
                await asyncio.gather(*deliveries, return_exceptions=True)
                raise
            await producer.commit_transaction()
        self.published = reached.position

    async def _commit_position(self, producer: AIOKafkaProducer, reached: Published) -> None:
        try:
            await producer.send_offsets_to_transaction({POSITION: reached.as_offset()}, self._group)
        except KafkaError as error:
            if isinstance(error.__cause__, TopicAuthorizationFailedError):
                raise TopicAuthorizationFailedError(POSITION_TOPIC) from None  # aiokafka's own names none
            raise

    async def _deliver(self, producer: AIOKafkaProducer, row: asyncpg.Record) -> "asyncio.Future[Any]":
        key, value, headers = record(self._service, row)
        return await producer.send(row["topic"], value=value, key=key, headers=headers)

    async def _pause(self, seconds: float) -> None:
        if self._stopping.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()


async def _compare(connection: Connection, published: Published | None, on_topics: Sequence[Newest]) -> None:
    """Makes sure that the log is the one that was published from, and that nothing beyond the position was."""
    generation = await connection.fetchval("select generation from log_generation")
    for event in (event for event in on_topics if event.generation == generation):
        row = await connection.fetchrow(
            "select position, event_id::text from event_log where topic = $1 and sequence = $2",
            event.topic,
            event.sequence,
        )
        if row is None or row["event_id"] != event.event_id:
            raise Restored(f"the log does not hold event {event.event_id}, which stands on {event.topic}")
        if published is not None and row["position"] > published.position:
            raise Restored(f"position {published.position} is told, but {row['position']} stands on {event.topic}")
    if published is None:
        if await connection.fetchval("select exists (select from event_log)"):
            raise Restored(
                "Kafka has no published position, but the log holds events: publishing might repeat all of them"
            )
        return
    if published.position == 0:
        return
    row = await connection.fetchrow(
        "select generation, event_id::text from event_log where position = $1", published.position
    )
    if row is None:
        raise Restored(f"the log ends before position {published.position}, which is published")
    if (row["generation"], row["event_id"]) != (published.generation, published.event_id):
        raise Restored(
            f"position {published.position} holds {row['event_id']}, but {published.event_id} was published from there"
        )


class Gap(RuntimeError):  # noqa: N818 - it is what was found
    """The rows do not follow on what is published: some were moved by a statement whose answer never came."""


def _reached(rows: Sequence[asyncpg.Record], published: Published) -> Published:
    """What is published once these rows are.

    Raises:
        Gap: the log has rows in between; a takeover reads it anew and sends them first.
    """
    if rows[0]["position"] != published.position + 1:
        raise Gap(f"position {rows[0]['position']} does not follow on {published.position}")
    return Published(rows[-1]["position"], rows[-1]["generation"], rows[-1]["event_id"])


def record(service: str, row: asyncpg.Record) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of a row of the log; type and schema are those of the code that emitted the event."""
    value = None if row["data"] is None else row["data"].encode()
    headers = envelope.headers(
        id_=row["event_id"],
        source=f"sojourn/{service}",
        type_=row["type"],
        dataschema=row["dataschema"],
        subject=row["subject"],
        time=row["time"],
        sequence=row["sequence"],
        generation=row["generation"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        traceparent=row["traceparent"],
    )
    return row["subject"].encode(), value, headers


def channel(service: str) -> str:
    """The NOTIFY channel on which a service's processes wake its relay."""
    return f"{service}_outbox"


async def _discard(producer: AIOKafkaProducer) -> None:
    """Lets go of a producer whatever its state.

    With Kafka away, it would wait until it has sent what nobody wants from it any more, and look for Kafka all the while.
    """
    stopping = asyncio.create_task(producer.stop())
    try:
        await asyncio.wait((stopping,), timeout=3)
    finally:
        if not stopping.done():
            stopping.cancel()
            if (sending := producer._sender.sender_task) is not None:
                sending.cancel()
            await producer.client.close()
        elif (error := stopping.exception()) is not None:
            logger.info("a producer did not stop cleanly", error=repr(error)[:300])
