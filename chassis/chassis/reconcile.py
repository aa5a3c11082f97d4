"""After a restore of the database: what this service published and has forgotten is taken back from its topics.

Guarantee 25: after a restore to an earlier state and ``reconcile``, the log holds whatever stands on the service's topics, under
the same ids, sequences and generations; what comes next has later sequences, and later revisions than anything that was told of
its subject; and every event that the service may have forgotten comes to its inbox again.

What cannot be taken back is state: an event is told of what a handler of ``Service.adopts`` does not bring back, and an operator
decides. It may be killed and called again at any moment: it is done once it says so, and repeats nothing. Nobody else may work
for the service meanwhile, and Kafka refuses it while somebody does.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid5

import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from sojourn_contracts import catalogue
from sojourn_contracts.envelope import Malformed, decode

from chassis.brokers import Brokers
from chassis.database import Connection
from chassis.lease import Lease, LeaseLost
from chassis.relay import Published, Relay, Restored
from chassis.tails import newest
from chassis.transaction import EMPTY_LOG, UNLINKED, Cause, Transaction

if TYPE_CHECKING:
    from chassis.service import Process, Service

LAGGED = timedelta(days=1)
"""By how much a service may have been behind when the backup's last moment was: so much earlier its group begins anew."""
CLOCKS = timedelta(hours=1)
"""By how much the clocks of Kafka's clients and the database may differ."""
LOST = UUID("6d0a5a5c-2f50-4c43-a3cf-0d6f0d3a9b52")
"""Namespace of the ids that stand in the log for events of which nothing is left."""
NOBODY = UUID(int=0)
"""Their subject: what says nothing of nobody changes nothing for whoever reads it."""
FETCH_MS = 100

COLUMNS = (
    "position", "generation", "topic", "sequence", "event_id", "type", "dataschema", "subject", "time", "data",
    "correlation_id", "causation_id", "traceparent", "written_at", "adopted",
)  # fmt: skip


class NotReconciled(ValueError):  # noqa: N818 - it says what was not done
    """Nothing was changed in the database; the text says why."""


@dataclass(frozen=True)
class Forgotten:
    """An event that stands on a topic and not in the log; without a record, that it did is known from its sequence alone."""

    topic: str
    sequence: int
    generation: int
    event_id: UUID
    subject: UUID
    published_at: datetime
    record: ConsumerRecord | None = None

    @property
    def data(self) -> dict[str, Any] | None:
        return json.loads(self.record.value) if self.record is not None and self.record.value is not None else None

    @property
    def revision(self) -> int | None:
        found = (self.data or {}).get("revision")
        return found if isinstance(found, int) else None

    def row(self, position: int, adopted: int) -> tuple[Any, ...]:
        """As the log holds it."""
        event = catalogue.BY_NAME[self.topic.partition(".v")[0]].event
        said = {name: value.decode() for name, value in self.record.headers} if self.record is not None else {}
        return (
            position,
            self.generation,
            self.topic,
            self.sequence,
            self.event_id,
            said.get("ce_type", event.type()),
            said.get("ce_dataschema", event.dataschema()),
            self.subject,
            datetime.fromisoformat(said["ce_time"]) if said else self.published_at,
            None if self.record is None or self.record.value is None else self.record.value.decode(),
            said.get("ce_correlationid"),
            said.get("ce_causationid"),
            said.get("ce_traceparent"),
            self.published_at,
            adopted,
        )


@dataclass(frozen=True)
class Reconciled:
    """What was found and done."""

    forgotten: Sequence[Forgotten]
    brought_back: Collection[str]
    """Topics whose events ``Service.adopts`` has a handler for."""
    generation: int
    position: int
    heard_since: datetime | None
    """From when on the group hears everything again; None: from the beginning."""

    def lines(self) -> list[dict[str, Any]]:
        """For the operator: the last word on each subject that was forgotten, then what is gone, then that it is done."""
        last = {(each.topic, each.subject): each for each in self.forgotten if each.record is not None}
        said: list[dict[str, Any]] = [
            {
                "forgotten": each.topic,
                "subject": each.subject,
                "revision": each.revision,
                "erased": each.data is None,
                "published_at": each.published_at,
                "brought_back": each.topic in self.brought_back,
            }
            for each in sorted(last.values(), key=lambda each: (each.published_at, each.topic, each.sequence))
        ]
        said += [{"gone": each.topic, "sequence": each.sequence} for each in self.forgotten if each.record is None]
        said.append(
            {
                "done": True,
                "taken_back": sum(each.record is not None for each in self.forgotten),
                "generation": self.generation,
                "position": self.position,
                "heard_since": self.heard_since,
            }
        )
        return said


async def reconcile(process: "Process", since: datetime | None = None) -> Reconciled:
    """Makes the service go on from what it and everybody else knows.

    ``since``: from when on its group hears everything again; unset, from a day before the last event that it knows of.

    Raises:
        NotReconciled: somebody works for the service, or the log is not an earlier state of what was published.
    """
    service, brokers = process.service.name, process.settings.brokers
    async with process.pool.acquire() as connection:
        heard = await connection.fetchval("select max(handled_at) from inbox")
    heard_since = since or (heard and heard - LAGGED)
    await _hear_again(brokers, service, heard_since)
    async with alone(process) as lease:
        producer = process.relay.producer()
        try:
            await producer.start()
            published = await _position(process.relay)
            async with process.pool.acquire() as connection:
                known, generation = await _known(connection, service)
                end: int = await connection.fetchval("select coalesce(max(position), 0) from event_log")
            records = await _read(brokers, service, {topic: written for topic, (_, written) in known.items()})
            async with process.pool.acquire() as connection:
                await _must_agree(connection, records)
            forgotten = _in_order(records, {topic: last for topic, (last, _) in known.items()})
            behind = bool(forgotten) or (published is not None and published.position > end)
            if behind:
                generations = [each.generation for each in forgotten]
                generation = max(generation, published.generation if published else 0, *generations) + 1
            rows = [each.row(end + step, generation) for step, each in enumerate(forgotten, 1)]
            if forgotten:
                reached = Published(end + len(rows), forgotten[-1].generation, str(forgotten[-1].event_id))
            else:
                reached = await _reached(process, published, generation)
            # first: killed in between, the log ends before what is published, which no relay passes
            if reached != published:
                await process.relay.send(producer, [], reached)
            if behind:
                async with process.open_transaction(Cause()) as tx:
                    await lease.check(tx.connection)
                    await _take_back(tx, forgotten, rows, generation)
                    await _bring_back(process.service, tx, forgotten)
        except LeaseLost:
            raise NotReconciled("the lease was lost meanwhile: call it again") from None
        finally:
            await producer.stop()
    brought_back = {door.event.topic() for door in process.service.adopts}
    return Reconciled(forgotten, brought_back, generation, reached.position, heard_since)


@asynccontextmanager
async def alone(process: "Process") -> AsyncGenerator[Lease]:
    """Leads in place of every relay, without publishing."""
    lease = Lease(process.pool, "relay", process.settings.lease_seconds)
    if not await lease.acquire():
        raise NotReconciled("a relay leads: stop all processes of the service, and wait until its lease is over")
    keeping = asyncio.create_task(lease.keep())
    try:
        yield lease
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await lease.release()


async def _position(relay: Relay) -> Published | None:
    try:
        return await relay.position()
    except Restored:  # somebody set it who is no relay
        return None


async def _hear_again(brokers: Brokers, service: str, since: datetime | None) -> None:
    """Sets the group back to what was published since then; never forward, and nothing is lost if it was not set yet.

    Raises:
        NotReconciled: the group has members.
    """
    places = await brokers.partitions([topic.name for topic in catalogue.consumed_by(service)])
    if not places:
        return
    consumer = AIOKafkaConsumer(
        **brokers.client(), group_id=service, client_id=f"{service}.reconcile", enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign(places)
        begins = await consumer.beginning_offsets(places)
        wanted = begins if since is None else await _since(consumer, places, since)
        reached = {place: at for place in places if (at := await consumer.committed(place)) is not None}
        back = {place: min(wanted[place], at) for place, at in reached.items()}
        # also where nothing is to be set: it tells whether somebody consumes
        await consumer.commit(back or {places[0]: begins[places[0]]})
    except (CommitFailedError, UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError) as error:
        raise NotReconciled(f"{service} is running: stop all its processes first") from error
    finally:
        await consumer.stop()


async def _since(
    consumer: AIOKafkaConsumer, places: Sequence[TopicPartition], since: datetime
) -> dict[TopicPartition, int]:
    """Of each partition the first offset that was written then or later; its end, if none was."""
    ends = await consumer.end_offsets(places)
    found = await consumer.offsets_for_times({place: int(since.timestamp() * 1000) for place in places})
    return {place: at.offset if (at := found[place]) else ends[place] for place in places}


async def _known(connection: Connection, service: str) -> tuple[dict[str, tuple[int, datetime | None]], int]:
    """Of each topic the last sequence that the log has, and when that was written; and the log's generation."""
    rows = await connection.fetch(
        """
        select topic, coalesce(sequence, 0) as sequence, written_at from unnest($1::text[]) as wanted(topic)
        left join lateral (
            select sequence, written_at from event_log where event_log.topic = wanted.topic order by sequence desc limit 1
        ) as last on true
        """,
        [topic.name for topic in catalogue.emitted_by(service)],
    )
    known = {row["topic"]: (row["sequence"], row["written_at"]) for row in rows}
    return known, await connection.fetchval("select generation from log_generation")


async def _read(brokers: Brokers, service: str, since: Mapping[str, datetime | None]) -> list[Forgotten]:
    """What the service put on its topics since, as ``read_committed`` readers see it."""
    source = f"sojourn/{service}".encode()
    places = await brokers.partitions([topic.name for topic in catalogue.emitted_by(service)])
    consumer = AIOKafkaConsumer(
        **brokers.client(),
        client_id=f"{service}.reconcile",
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_MS,
    )
    found: list[Forgotten] = []
    try:
        await consumer.start()
        consumer.assign(places)
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        times = {
            place: int((at - CLOCKS).timestamp() * 1000)
            for place in places
            if (at := since.get(place.topic)) is not None
        }
        later = await consumer.offsets_for_times(times) if times else {}
        begins |= {place: at.offset if (at := later[place]) else ends[place] for place in times}
        for place in places:
            consumer.seek(place, begins[place])
        reading = [place for place in places if begins[place] < ends[place]]
        while reading:
            for records in (await consumer.getmany(*reading, timeout_ms=FETCH_MS)).values():
                found += [_forgotten(record) for record in records if ("ce_source", source) in record.headers]
            reading = [place for place in reading if await consumer.position(place) < ends[place]]
    finally:
        await consumer.stop()
    return found


def _forgotten(record: ConsumerRecord) -> Forgotten:
    said = dict(record.headers)
    return Forgotten(
        record.topic,
        int(said["ce_sequence"]),
        int(said["ce_generation"]),
        UUID(said["ce_id"].decode()),
        UUID(said["ce_subject"].decode()),
        datetime.fromtimestamp(record.timestamp / 1000, UTC),
        record,
    )


async def _must_agree(connection: Connection, records: Sequence[Forgotten]) -> None:
    rows = await connection.fetch(
        """
        select topic, sequence, event_id, told.id from event_log
        join unnest($1::text[], $2::bigint[], $3::uuid[]) as told(topic, sequence, id) using (topic, sequence)
        where event_id <> told.id limit 1
        """,
        [each.topic for each in records],
        [each.sequence for each in records],
        [each.event_id for each in records],
    )
    for row in rows:
        raise NotReconciled(
            f"the log is not an earlier state of what was published: {row['topic']} {row['sequence']} is"
            f" {row['event_id']} here, and {row['id']} on the topic"
        )


def _in_order(records: Sequence[Forgotten], known: Mapping[str, int]) -> list[Forgotten]:
    """Those that the log lacks, in an order that they may have had: each topic's own, the topics' by time.

    Raises:
        NotReconciled: two events have the same sequence.
    """
    by_place: dict[tuple[str, int], Forgotten] = {}
    for each in records:
        other = by_place.setdefault((each.topic, each.sequence), each)
        if other.event_id != each.event_id:
            raise NotReconciled(f"{each.topic} holds {other.event_id} and {each.event_id} under {each.sequence}")
    ordered: list[tuple[datetime, Forgotten]] = []
    for topic, last in known.items():
        lacking = {sequence: each for (of, sequence), each in by_place.items() if of == topic and sequence > last}
        before: Forgotten | None = None
        for sequence in range(last + 1, max(lacking, default=last) + 1):
            each = lacking.get(sequence) or _gone(topic, sequence, before or lacking[min(lacking)])
            at = max(each.published_at, ordered[-1][0]) if before else each.published_at
            ordered.append((at, each))
            before = each
    return [each for _, each in sorted(ordered, key=lambda pair: pair[0])]


def _gone(topic: str, sequence: int, beside: Forgotten) -> Forgotten:
    """Compacted away, or deleted by age: the log holds its place, and says nothing there."""
    return Forgotten(
        topic, sequence, beside.generation, uuid5(LOST, f"{topic}/{sequence}"), NOBODY, beside.published_at
    )


async def _reached(process: "Process", published: Published | None, generation: int) -> Published:
    """What is published of a log that lacks nothing: what is told, if the log agrees, else what stands on the topics."""
    on_topics = await newest(process.settings.brokers, process.service.name)
    async with process.pool.acquire() as connection:
        if published is not None and published.position:
            row = await connection.fetchrow(
                "select position, generation, event_id::text from event_log where position = $1", published.position
            )
            if row and Published(*row) == published:
                return published
        row = await connection.fetchrow(
            "select position, generation, event_id::text from event_log join unnest($1::text[], $2::bigint[])"
            " as told(topic, sequence) using (topic, sequence) order by position desc limit 1",
            [each.topic for each in on_topics],
            [each.sequence for each in on_topics],
        )
    return Published(*row) if row else Published(0, generation, "")


async def _take_back(
    tx: Transaction, forgotten: Sequence[Forgotten], rows: Sequence[tuple[Any, ...]], generation: int
) -> None:
    """Into the log; and with it what follows from the events themselves, whatever they say."""
    raised: dict[UUID, int] = {}
    for each in forgotten:
        if each.revision is not None:
            raised[each.subject] = max(each.revision, raised.get(each.subject, 0))
        if each.record is not None and each.data is None:
            tx.caused_by(UNLINKED).schedule(EMPTY_LOG, each.subject, tx.now)
    await tx.connection.copy_records_to_table("event_log", columns=COLUMNS, records=rows)
    await tx.connection.execute("update log_generation set generation = $1", generation)
    # those that waited in the restored outbox have gone out since
    await tx.connection.execute("delete from outbox where event_id = any ($1)", [each.event_id for each in forgotten])
    await tx.connection.execute(
        "insert into raised (subject, revision) select subject, revision from unnest($1::uuid[], $2::bigint[])"
        " as told(subject, revision) on conflict (subject) do update"
        " set revision = greatest(raised.revision, excluded.revision)",
        list(raised),
        list(raised.values()),
    )
    await _note_manifests(tx.connection, forgotten)


async def _note_manifests(connection: Connection, forgotten: Sequence[Forgotten]) -> None:
    """The next manifest follows on the last that was issued, so that all of the former generation gets one."""
    issued = [
        data for each in forgotten if catalogue.BY_NAME[each.topic].is_of_manifests and (data := each.data) is not None
    ]
    await connection.executemany(
        "insert into manifest (topic, generation, hour, last_sequence, manifest_id) values ($1, $2, $3, $4, $5)"
        " on conflict (topic) do update set generation = excluded.generation, hour = excluded.hour,"
        " last_sequence = excluded.last_sequence, manifest_id = excluded.manifest_id"
        " where manifest.last_sequence < excluded.last_sequence",
        [
            (
                data["topic_name"],
                data["generation"],
                datetime.fromisoformat(data["hour"]),
                data["last_sequence"],
                UUID(data["manifest_id"]),
            )
            for data in issued
        ],
    )


async def _bring_back(service: "Service", tx: Transaction, forgotten: Sequence[Forgotten]) -> None:
    handlers = {door.event.topic(): door.handle for door in service.adopts}
    for each in forgotten:
        if each.topic in handlers and each.record is not None and each.record.value is not None:
            envelope = decode(each.record.value, each.record.headers)
            cause = Cause(envelope.correlation_id or str(envelope.id), str(envelope.id), envelope.traceparent)
            await handlers[each.topic](envelope.data, tx.caused_by(cause))


def command(service: "Service") -> Callable[..., None]:
    """The command ``reconcile`` of a service."""
    from chassis.commands import failed, on_process

    def reconcile_(
        since: Annotated[
            datetime | None,
            typer.Option(
                help="hear again what was published since, in UTC; unset, since a day before what it knows last"
            ),
        ] = None,
    ) -> None:
        """After a restore of the database: takes back from the topics what this service published and has forgotten.

        All its processes must be stopped. Tells as JSON, a line each, what was last told of what it has forgotten.
        """
        at = since.replace(tzinfo=UTC) if since is not None and since.tzinfo is None else since
        try:
            done = on_process(service, lambda process: reconcile(process, at))
        except (NotReconciled, Malformed) as reason:
            raise failed(f"not reconciled: {reason}") from None
        except KafkaError as error:
            raise failed(f"Kafka cannot be asked: {type(error).__name__}: {error}") from None
        for line in done.lines():
            typer.echo(json.dumps(line, default=str))

    return reconcile_
