"""The door for events: records in, each with its effect exactly once.

Guarantee 8: an event has its effect once, however often its record comes: its id goes into the inbox in the transaction of its
effect. Repeats older than the inbox's 30 days meet the revision or the natural key in the store.
Guarantee 9: a tombstone is final, and so is a request to forget somebody. The bare id is kept, and no event about it has an
effect afterwards, neither as its subject nor as one of those whom it names, whatever order they come in and whichever members
they meet.
"""

import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

import structlog
from sojourn_contracts.envelope import Envelope, Malformed, decode
from sojourn_contracts.event import Event

from chassis import dead_letters, erased, log, spans
from chassis.dead_letters import Record
from chassis.doors import BatchHandler, Door, Locks, LocksFirst, OnErasure, OnEvent, OnEvents, Received
from chassis.metrics import Metrics
from chassis.outbox import emitted_at
from chassis.transaction import Cause, OpenTransaction, Transaction

logger = structlog.get_logger(__name__)

RECORDS = UUID("8f5c2f0a-5a0e-4e0f-9d1f-0d6a7a1f3b11")
"""Namespace of the ids of records that carry no readable ``ce_id``."""


@dataclass(frozen=True)
class Arrival:
    """A record and what it says, or why it says nothing."""

    record: Record
    event_id: UUID
    envelope: Envelope | None
    malformed: Malformed | None

    @property
    def name(self) -> str:
        """The event's name for metrics and logs: one of the catalogue's, or ``unreadable``."""
        return self.envelope.event.__name__ if self.envelope else "unreadable"


def arrival(record: Record) -> Arrival:
    """Reads a record; what cannot be read is kept, to become a dead letter."""
    try:
        envelope = _read(record)
    except Malformed as malformed:
        return Arrival(record, _id_of(record), None, malformed)
    return Arrival(record, envelope.id, envelope, None)


def _id_of(record: Record) -> UUID:
    """The id that a malformed record says it has; its place where it says none that can be read."""
    for name, value in record.headers:
        if name == "ce_id":
            with suppress(ValueError, AttributeError):
                return UUID(value.decode())
    return uuid5(RECORDS, f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}")


def _read(record: Record) -> Envelope:
    envelope = decode(record.value, record.headers)
    if envelope.event.topic() != record.topic:
        raise Malformed("ce_type", f"{envelope.event.type()} does not belong on the topic {record.topic}")
    if record.key != str(envelope.subject).encode():
        raise Malformed("key", "is not the subject's id")
    return envelope


class Inbox:
    """Hands events to the service's handlers."""

    def __init__(
        self, service: str, doors: Iterable[Door], open_transaction: OpenTransaction, metrics: Metrics
    ) -> None:
        self._service = service
        self._open = open_transaction
        self._metrics = metrics
        self._locks: list[Locks] = []
        self._each: dict[type[Event], OnEvent] = {}
        self._together: dict[type[Event], OnEvents] = {}
        self._erasures: dict[type[Event], OnErasure] = {}
        for door in doors:
            match door:
                case LocksFirst():
                    self._locks.append(door.lock)
                case OnEvent():
                    self._each[door.event] = door
                case OnEvents():
                    self._together[door.event] = door
                case OnErasure():
                    self._erasures[door.event] = door
                case _:
                    pass

    @property
    def events(self) -> set[type[Event]]:
        """What this service handles."""
        return set(self._each) | set(self._together)

    async def handle(self, arrivals: Sequence[Arrival]) -> None:
        """Handles a batch in one transaction; raises what a handler raises, and Malformed for what cannot be read."""
        envelopes = [each.envelope for each in arrivals if each.envelope is not None]
        async with self._open(Cause()) as tx:
            await _hold_erasures(tx, envelopes)
            new = await _mark_handled(tx, [each.event_id for each in arrivals])
            for each in arrivals:
                if each.malformed is not None and each.event_id in new:  # else it is a dead letter already
                    raise each.malformed
            fresh: dict[UUID, Envelope] = {}
            for envelope in envelopes:
                if envelope.id in new:
                    fresh.setdefault(envelope.id, envelope)
            await self._effects(tx, list(fresh.values()))
        self._count(envelopes, fresh)

    async def set_aside(self, arrival: Arrival, error: Exception) -> None:
        """Makes a dead letter of a record and marks its event handled, in one transaction; a repeat changes nothing."""
        async with self._open(Cause()) as tx:
            new = await _mark_handled(tx, [arrival.event_id])
            if new:
                await dead_letters.write(tx.connection, arrival.record, arrival.event_id, error)
        if not new:
            return
        self._metrics.dead_lettered(arrival.name)
        with _told_of(arrival.envelope):
            logger.error(
                "dead letter",
                event_id=str(arrival.event_id),
                topic=arrival.record.topic,
                partition=arrival.record.partition,
                offset=arrival.record.offset,
                cause=type(error).__name__,
                detail=str(error)[:500],
            )

    async def replay(self, letter_id: UUID) -> bool:
        """Runs a dead letter through its handler, past the inbox's mark; False if no such letter waits.

        Raises:
            Exception: what the handler raises; the letter waits on.
        """
        async with self._open(Cause()) as tx:
            record = await dead_letters.locked(tx.connection, letter_id)
            if record is None:
                return False
            again = arrival(record)
            if again.envelope is None:
                raise again.malformed or Malformed("record", "cannot be read")
            await _hold_erasures(tx, [again.envelope])
            if again.event_id:
                await _mark_handled(tx, [again.event_id])
            await self._effects(tx, [again.envelope])
            await dead_letters.settle(tx.connection, letter_id, "replayed")
        return True

    async def _effects(self, tx: Transaction, envelopes: list[Envelope]) -> None:
        """Erasures first: an event of the same batch that names who is erased then finds them gone."""
        erasing = [whom for envelope in envelopes if (whom := _erased_by(envelope))]
        if erasing:
            await erased.keep(tx.connection, erasing)
        named = {id_ for envelope in envelopes if envelope.data is not None for id_ in envelope.data.named()}
        gone = await erased.among(tx.connection, named) if named else set[UUID]()
        left = [each for envelope in envelopes if (each := _without(envelope, gone)) is not None]
        locks = list(self._locks)

        async def lock_first() -> None:
            """Before the first handler, in its span: of an event that comes alone, also a lock that fails is told there."""
            while locks:
                await locks.pop(0)(left, tx)

        for envelope in left:
            erasure = self._erasures.get(envelope.event)
            if envelope.data is None and erasure is not None:
                with _working_for(envelope) as cause:
                    await lock_first()
                    await erasure.handle(envelope.subject, tx.caused_by(cause))
        together: dict[BatchHandler, list[Received[Any]]] = defaultdict(list)
        for envelope in left:
            data = envelope.data
            if data is None:
                continue
            all_at_once = self._together.get(envelope.event)
            if all_at_once is not None:
                work = tx.caused_by(_cause(envelope, envelope.traceparent))
                together[all_at_once.handle].append(Received(data, envelope, work))
                continue
            door = self._each.get(envelope.event)
            if door is None:
                raise Malformed("ce_type", f"{envelope.event.type()} is not consumed by {self._service}")
            with _working_for(envelope) as cause, self._metrics.handling(envelope.event.__name__):
                await lock_first()
                await door.handle(data, tx.caused_by(cause))
        for handle, received in together.items():
            with ExitStack() as observed:
                for event in sorted({each.envelope.event for each in received}, key=lambda event: event.__name__):
                    envelopes = [each.envelope for each in received if each.envelope.event is event]
                    observed.enter_context(spans.process_all(event, envelopes))
                    observed.enter_context(self._metrics.handling(event.__name__))
                await lock_first()
                await handle(received)

    def _count(self, envelopes: Sequence[Envelope], fresh: dict[UUID, Envelope]) -> None:
        now = time.time()
        of_event: defaultdict[str, list[UUID]] = defaultdict(list)
        for envelope in fresh.values():
            of_event[envelope.event.__name__].append(envelope.id)
        for event, ids in of_event.items():
            self._metrics.handled(event, len(ids))
            if emitted := [at for at in map(emitted_at, ids) if at is not None]:
                self._metrics.delivered(event, [max(0.0, now - at) for at in emitted])
        repeats = len(envelopes) - len(fresh)
        if repeats:
            for envelope in envelopes:
                if envelope.id not in fresh:
                    self._metrics.duplicate(envelope.event.__name__)


def _cause(envelope: Envelope, traceparent: str | None) -> Cause:
    return Cause(envelope.correlation_id or str(envelope.id), str(envelope.id), traceparent)


@contextmanager
def _working_for(envelope: Envelope) -> Generator[Cause]:
    with spans.process(envelope) as traceparent:
        cause = _cause(envelope, traceparent)
        with log.bound(correlation_id=cause.correlation_id, event_id=str(envelope.id)):
            yield cause


@contextmanager
def _told_of(envelope: Envelope | None) -> Generator[None]:
    """Lines inside have the ids of what led to the event; of one that cannot be read, none are known."""
    if envelope is None:
        yield
        return
    cause = _cause(envelope, envelope.traceparent)
    with spans.given_up(cause.traceparent), log.bound(correlation_id=cause.correlation_id):
        yield


def _without(envelope: Envelope, gone: set[UUID]) -> Envelope | None:
    """Without those who are gone; None where nothing may be said any more."""
    if envelope.data is None:
        return envelope
    data = envelope.data.without(gone)
    if data is envelope.data:
        return envelope
    return None if data is None else replace(envelope, data=data)


def _erased_by(envelope: Envelope) -> UUID | None:
    """Who is erased by this: a tombstone's subject, or whom a request names."""
    if envelope.data is None:
        return envelope.subject
    return getattr(envelope.data, envelope.event.erases) if envelope.event.erases else None


async def _hold_erasures(tx: Transaction, envelopes: Sequence[Envelope]) -> None:
    """Batches run side by side; one that erases runs alone, so that no event slips past it on another member."""
    if any(_erased_by(envelope) for envelope in envelopes):
        await erased.alone(tx.connection)
    else:
        await erased.side_by_side(tx.connection)


async def _mark_handled(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    """Puts ids into the inbox, sorted, so that two members cannot wait for each other; returns those that were new."""
    rows = await tx.connection.fetch(
        "insert into inbox (event_id) select distinct id from unnest($1::uuid[]) as ids(id) order by id"
        " on conflict do nothing returning event_id",
        ids,
    )
    return {row["event_id"] for row in rows}
