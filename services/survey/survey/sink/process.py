"""The sink: from Kafka into the table, each event exactly once, in a process of its own.

Where to go on from is what the newest snapshot says, never what Kafka was told: that is for whoever looks at the lag. At the
start, and after every doubt, the same steps are done: look at the table's files, take the offsets from its snapshot, read from
there. There is no other path.
"""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import structlog
import uvicorn
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from chassis.bounds import serving
from chassis.failures import backoff
from chassis.health import Probes
from chassis.metrics import Gauged, Metrics, Observed
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from sojourn_contracts.survey import SurveySubmitted
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from chassis import health, http
from survey.sink import aside, files, recovery, snapshots
from survey.sink.records import Batch, Reader
from survey.sink.settings import SinkSettings
from survey.sink.table import DATABASE_SCHEMA, catalog

logger = structlog.get_logger(__name__)

T = TypeVar("T")

GROUP = "survey-sink"
"""Of the offsets that are told to Kafka, for lag."""
TOPIC = SurveySubmitted.topic()
SLICE = 0.2
"""Seconds after which who waits for records looks whether it is to stop."""
LOOKS_EVERY = 2.0
"""Seconds between two questions to Kafka about how much is left."""
UPKEEP_EVERY = 3_600.0
"""Seconds after which files that nobody names are looked for, also when little is appended."""
PURGES_AGAIN = 5.0
"""Seconds after which it is tried again to remove what may still hold something erased."""
ANSWERS_WITHIN = 10.0

COUNTERS = {
    "sink_rows": "Rows appended",
    "sink_appends": "Batches that were written and committed",
    "sink_erased": "Tombstones that were followed",
    "sink_set_aside": "Records that broke the contract and were set aside",
    "sink_conflicts": "Commits that failed since another sink had written",
    "sink_broken_files": "Files of the warehouse that were found broken",
    "sink_compacted_files": "Small files that were put together",
}
GAUGES = {
    "sink_working": Gauged("1 while nothing keeps the sink from working"),
    "sink_table_rows": Gauged("Rows in the table"),
    "sink_set_aside_open": Gauged("Records that were set aside and wait"),
    "sink_snapshot_timestamp_seconds": Gauged("When the newest snapshot was made, in seconds since 1970"),
}


@dataclass
class Sink:
    """The loop, and what is known about it."""

    settings: SinkSettings
    metrics: Metrics = field(default_factory=lambda: Metrics(GROUP, COUNTERS, gauges=GAUGES))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    waiting_for: str | None = "its first look at Kafka and the table"
    """What keeps it from working, in words; None while it works."""
    lag: int | None = None
    offsets: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._catalog: SqlCatalog | None = None
        self._table: Table | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._reader = Reader()
        self._sound: set[tuple[str, int]] = set()
        self._appends = 0
        self._upkeep_at = 0.0
        self._looked_at = 0.0
        self._seconds_behind = 0.0

    @property
    def table(self) -> Table:
        if self._table is None:
            raise RuntimeError("the table is not open")
        return self._table

    @property
    def consumer(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("there is no consumer")
        return self._consumer

    async def run(self) -> None:
        """Until told to stop; whatever is in the way is waited for."""
        attempt = 0
        while not self.stopping.is_set():
            try:
                await self._open()
                while not self.stopping.is_set():
                    await self._round()
                    attempt = 0
            except CommitFailedException:
                self.metrics.count("sink_conflicts", 1)
                logger.warning("another sink has written meanwhile: looking again where to go on from")
            except Exception as error:
                self.waiting_for = self.settings.brokers.refusal(error) or _in_words(error)
                logger.warning("the sink waits", error=self.waiting_for)
                if not isinstance(error, KafkaError | OperationalError):
                    self._sound.clear()  # it may be the warehouse
                attempt += 1
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), backoff(attempt))
            finally:
                await self._close()

    async def _open(self) -> None:
        await self._in_thread(self._open_table)
        consumer = AIOKafkaConsumer(
            **self.settings.brokers.client(),
            client_id=GROUP,
            group_id=GROUP,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=100,
        )
        self._consumer = consumer
        await asyncio.wait_for(consumer.start(), ANSWERS_WITHIN)
        await self._assign()
        await self._look()
        self.waiting_for = None
        logger.info("the sink goes on", offsets=self.offsets, snapshot=self.table.metadata.current_snapshot_id)

    async def _assign(self) -> None:
        async with asyncio.timeout(ANSWERS_WITHIN):
            await self.settings.brokers.admit([TOPIC])
            await self.consumer.beginning_offsets([TopicPartition(TOPIC, 0)])  # asks how many there are
        numbers = self.consumer.partitions_for_topic(TOPIC) or {0}
        places = [TopicPartition(TOPIC, number) for number in sorted(numbers)]
        self.consumer.assign(places)
        first = await self.consumer.beginning_offsets(places)
        ends = await self.consumer.end_offsets(places)
        for place in places:
            offset = self.offsets.setdefault(place.partition, first[place])
            if offset > ends[place]:
                raise RuntimeError(
                    f"the table holds partition {place.partition} up to {offset}, but Kafka has {ends[place]} records there:"
                    " this is another topic, or it was restored"
                )
            if offset < first[place]:
                logger.critical(
                    "Kafka has dropped events that the table lacks", partition=place.partition, lost_from=offset
                )
            self.consumer.seek(place, max(offset, first[place]))

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(Exception):
                await asyncio.wait_for(consumer.stop(), 5)

    async def _round(self) -> None:
        records = await self._collected()
        if records:
            upto = self.offsets | {record.partition: record.offset + 1 for record in records}
            await self._in_thread(self._write, records, upto)
            self.offsets = upto
            await self._tell_kafka()
        if self._appends >= self.settings.maintain_every or time.monotonic() >= self._upkeep_at:
            await self._in_thread(self._keep_up)
        if time.monotonic() - self._looked_at >= LOOKS_EVERY:
            await self._look()

    async def _collected(self) -> list[ConsumerRecord]:
        """Up to a batch of records; as many as there are, when the first has waited long enough, or when told to stop."""
        records: list[ConsumerRecord] = []
        until = time.monotonic() + SLICE
        while not self.stopping.is_set() and len(records) < self.settings.batch_events and time.monotonic() < until:
            wait = min(SLICE, max(0.0, until - time.monotonic()))
            found = await self.consumer.getmany(
                timeout_ms=int(wait * 1000), max_records=self.settings.batch_events - len(records)
            )
            if found and not records:
                until = time.monotonic() + self.settings.batch_seconds
            records += [record for some in found.values() for record in some]
        return records

    async def _look(self) -> None:
        """How much is left; raises when Kafka does not answer."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            ends = await self.consumer.end_offsets(sorted(self.consumer.assignment()))
        lag = 0
        for place, end in ends.items():
            lag += max(0, end - await self.consumer.position(place))
        self.lag = lag
        self._looked_at = time.monotonic()
        self.metrics.consumer_lag(lag, self._seconds_behind if lag else 0)

    async def _tell_kafka(self) -> None:
        """For lag only: a failure is of no consequence."""
        try:
            await self.consumer.commit(
                {TopicPartition(TOPIC, partition): offset for partition, offset in self.offsets.items()}
            )
        except KafkaError as error:
            logger.warning("Kafka was not told how far the sink is", error=repr(error)[:300])

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Never given up half way: what is told to stop waits for the commit in hand."""
        return await asyncio.shield(asyncio.to_thread(work, *arguments))

    def _open_table(self) -> None:
        if self._catalog is None:
            self._catalog = catalog(self.settings)
        self._table, broken = recovery.recovered(self._catalog, self._sound)
        if broken:
            self.metrics.count("sink_broken_files", len(broken))
        self.offsets = snapshots.offsets(self._table)
        self._try_again_what_was_set_aside()
        self._upkeep_at = time.monotonic()

    def _write(self, records: Sequence[ConsumerRecord], upto: dict[int, int]) -> None:
        batch = self._reader.read(records, snapshots.more_columns(self.table))
        self._keep_aside(batch)
        snapshots.write(self.table, batch, upto)
        self._appends += 1
        self._seconds_behind = max(0.0, time.time() - records[-1].timestamp / 1000)
        self.metrics.count("sink_appends", 1)
        self.metrics.count("sink_rows", len(batch.rows))
        if batch.erased:
            self.metrics.count("sink_erased", len(batch.erased))
            self._upkeep_at = 0.0

    def _keep_aside(self, batch: Batch) -> None:
        assert self._catalog is not None  # noqa: S101 - for the type checker
        aside.keep(self._catalog.engine, batch.unreadable)
        aside.erase(self._catalog.engine, batch.erased)
        for each in batch.unreadable:
            logger.error(
                "a record breaks the contract and was set aside",
                partition=each.record.partition,
                offset=each.record.offset,
                cause=each.cause,
            )
        if batch.unreadable:
            self.metrics.count("sink_set_aside", len(batch.unreadable))

    def _try_again_what_was_set_aside(self) -> None:
        """This version may be able to read what an earlier one could not, and what was read may have gone with its file.

        Only what stands below the offsets: the rest comes from Kafka.
        """
        assert self._catalog is not None  # noqa: S101 - for the type checker
        engine = self._catalog.engine
        passed = [each for each in aside.kept(engine) if each.offset < self.offsets.get(each.partition, 0)]
        batch = self._reader.read(passed, snapshots.more_columns(self.table))
        still = {(each.record.partition, each.record.offset) for each in batch.unreadable}
        done = [(each.partition, each.offset) for each in passed if (each.partition, each.offset) not in still]
        if not done:
            return
        aside.erase(engine, batch.erased)
        new = snapshots.without_known(self.table, batch)
        if len(new.rows) or new.erased:
            snapshots.write(self.table, new, self.offsets)
            logger.info("what had been set aside was brought in", rows=len(new.rows), erased=len(new.erased))
        aside.were_read(engine, done)

    def _keep_up(self) -> None:
        """Small files, old snapshots, files that nobody names, and before all what has to be gone after an erasure."""
        youngest = timedelta(seconds=self.settings.orphan_seconds)
        compacted = snapshots.compact(self.table)
        former = files.named(self.table)
        if (before := snapshots.purge_before(self.table)) is not None:
            snapshots.expire_all(self.table)
        else:
            snapshots.expire(self.table, self.settings.snapshots_kept)
        left = files.sweep(self.table, former, youngest)
        self._upkeep_at = time.monotonic() + UPKEEP_EVERY
        if before is not None:
            if any(written <= before for written in left):
                self._upkeep_at = time.monotonic() + PURGES_AGAIN
            else:
                snapshots.purged(self.table)
                logger.info("what was erased is in no file any more")
        self._appends = 0
        if compacted:
            self.metrics.count("sink_compacted_files", compacted)

    async def missing_migrations(self) -> list[str]:
        """Raises what the catalog raises when it cannot be reached."""
        if self._catalog is None:
            raise ConnectionError("the catalog has not answered yet")
        engine = self._catalog.engine

        def ask() -> bool:
            with engine.connect() as connection:
                return connection.execute(
                    text("select to_regclass(:name) is not null"), {"name": f"{DATABASE_SCHEMA}.set_aside"}
                ).scalar_one()

        return [] if await asyncio.to_thread(ask) else ["0006-sink"]

    async def status(self) -> dict[str, Any]:
        """How far it is. ``waiting_for`` is None while it works."""
        snapshot = None if self._table is None else self._table.current_snapshot()
        return {
            "service": GROUP,
            "waiting_for": self.waiting_for,
            "lag": self.lag,
            "offsets": self.offsets,
            "snapshot": None if snapshot is None else str(snapshot.snapshot_id),
            "rows": _rows(self._table),
            "stopping": self.stopping.is_set(),
        }

    async def observe(self) -> None:
        """Brings the gauges up to date."""
        found = [
            Observed("sink_working", float(self.waiting_for is None)),
            Observed("sink_table_rows", float(_rows(self._table))),
        ]
        if self._catalog is not None:
            waiting = await asyncio.to_thread(aside.count, self._catalog.engine)
            found.append(Observed("sink_set_aside_open", float(waiting)))
        snapshot = None if self._table is None else self._table.current_snapshot()
        if snapshot is not None:
            found.append(Observed("sink_snapshot_timestamp_seconds", snapshot.timestamp_ms / 1000))
        self.metrics.observed(found)


def _rows(table: Table | None) -> int:
    snapshot = None if table is None else table.current_snapshot()
    if snapshot is None or snapshot.summary is None:
        return 0
    return int(snapshot.summary.additional_properties.get("total-records", 0))


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"Kafka, which does not answer within {ANSWERS_WITHIN:.0f} s"
    return f"{type(error).__name__}: {error}"[:500]


def run(settings: SinkSettings) -> None:
    """Runs the sink, and HTTP beside it, until told to stop."""
    asyncio.run(_serve(settings))


async def _serve(settings: SinkSettings) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ended_already)
    sink = Sink(settings)
    probes = Probes(
        missing_migrations=sink.missing_migrations,
        stopping=sink.stopping.is_set,
        prepared=lambda: sink.waiting_for is None,
        status=sink.status,
        observe=sink.observe,
        metrics=sink.metrics,
    )
    app = http.application(GROUP, (health.routes(probes),), sink.metrics, lifespan=lambda _: _running(sink))
    await uvicorn.Server(serving(app, settings.http_host, settings.http_port)).serve()


@asynccontextmanager
async def _running(sink: Sink) -> AsyncGenerator[None]:
    working = asyncio.create_task(sink.run())
    try:
        yield
    finally:
        sink.stopping.set()
        await working
        logger.info("stopped", offsets=sink.offsets)


def _ended_already(number: int, frame: FrameType | None) -> None:
    """What is left to do on a signal that uvicorn has acted upon: nothing."""
