"""One transaction behind each of the three doors: what application code gets to work with, and all that it gets.

Guarantee 1: state, inbox rows, emitted events and due work of one piece of work are committed together or not at all.
Application code never commits, publishes or acknowledges; it loads, decides, saves, and says here what is to follow.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sojourn_contracts.event import Event
from uuid_utils.compat import uuid7

from chassis import outbox
from chassis.database import Connection


@dataclass(frozen=True)
class Cause:
    """What a piece of work descends from; carried into every event and due work that it leaves behind."""

    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


UNLINKED = Cause()
EMPTY_LOG = "empty_log"
RETENTION = "retention"
MANIFESTS = "manifests"
"""Due work that every service does: see ``erasure.py``, ``retention.py`` and ``manifests.py``."""


@dataclass(frozen=True)
class Scheduled:
    """A durable note: do ``kind`` for ``subject`` at or after ``at`` (programme time) and ``not_before`` (wall time)."""

    kind: str
    subject: str
    at: datetime
    not_before: datetime | None
    data: Mapping[str, Any]
    cause: Cause


@dataclass
class Effects:
    """What a transaction leaves behind besides state; written in one go before the commit."""

    events: list[outbox.Entry] = field(default_factory=list[outbox.Entry])
    due: dict[tuple[str, str], Scheduled | None] = field(default_factory=dict[tuple[str, str], Scheduled | None])
    counts: Counter[str] = field(default_factory=Counter[str])
    durations: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])


@dataclass(frozen=True)
class Transaction:
    """The open transaction of one piece of work: a connection, the programme's time, and what is to follow.

    Everything said here takes effect with the commit, and only then.
    """

    connection: Connection
    service: str
    now: datetime
    """Programme time, fixed when the transaction began."""
    cause: Cause
    settings: Any = None
    """The service's own settings."""
    prepared: Any = None
    """What the service's ``prepare`` made for this process."""
    effects: Effects = field(default_factory=Effects)

    def emit(self, *events: Event) -> None:
        """Puts events into the outbox, in this order.

        Raises:
            ValueError: the catalogue names other producers, or none yet, or the record is larger than any topic takes.
        """
        self.effects.events.extend(outbox.entry(self.service, event, uuid7(), self.now, self.cause) for event in events)

    def emit_unlinked(self, *events: Event) -> None:
        """The same without a trace of their origin: a random id, the day as the finest time, no cause of any kind."""
        day = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        self.effects.events.extend(outbox.entry(self.service, event, uuid4(), day, UNLINKED) for event in events)

    def erase(self, event: type[Event], subject: UUID) -> None:
        """Puts a tombstone into the outbox: ``subject`` is erased for good, and its rows in the log are emptied soon after."""
        self.effects.events.append(outbox.tombstone(self.service, event, subject, uuid7(), self.now, self.cause))
        self.caused_by(UNLINKED).schedule(EMPTY_LOG, subject, self.now)

    def schedule(
        self,
        kind: str,
        subject: UUID | str,
        at: datetime,
        *,
        not_before: datetime | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Asks for due work; the same kind and subject replaces what was asked for before."""
        work = Scheduled(kind, str(subject), at, not_before, data or {}, self.cause)
        self.effects.due[kind, work.subject] = work

    def unschedule(self, kind: str, subject: UUID | str) -> None:
        """Takes due work back; it is no error if there is none."""
        self.effects.due[kind, str(subject)] = None

    def count(self, name: str, count: int = 1) -> None:
        """Raises one of the service's own counters, once this is committed."""
        self.effects.counts[name] += count

    def lasted(self, name: str, seconds: float) -> None:
        """Adds to one of the service's own durations, once this is committed."""
        self.effects.durations.append((name, seconds))

    def caused_by(self, cause: Cause) -> "Transaction":
        """The same transaction, working for another cause: one event of a batch."""
        return replace(self, cause=cause)

    async def flush(self) -> None:
        """Writes what is to follow. The chassis calls it as the last thing before the commit."""
        if self.effects.events:
            await outbox.write(self.connection, self.effects.events)
        if self.effects.due:
            await _write_due(self.connection, self.effects.due)


async def _write_due(connection: Connection, due: Mapping[tuple[str, str], Scheduled | None]) -> None:
    """In the order of their keys, so that two transactions cannot wait for each other."""
    dropped = sorted(key for key, work in due.items() if work is None)
    if dropped:
        await connection.execute(
            "delete from due using unnest($1::text[], $2::text[]) as gone(kind, subject)"
            " where due.kind = gone.kind and due.subject = gone.subject",
            [kind for kind, _ in dropped],
            [subject for _, subject in dropped],
        )
    wanted = [work for _, work in sorted(due.items()) if work is not None]
    if wanted:
        await connection.execute(
            """
            insert into due (id, kind, subject, at, not_before, data, correlation_id, causation_id, traceparent)
            select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[],
                                 $6::text[]::jsonb[], $7::text[], $8::text[], $9::text[])
            on conflict (kind, subject) do update
            set id = excluded.id, at = excluded.at, not_before = excluded.not_before, data = excluded.data,
                correlation_id = excluded.correlation_id, causation_id = excluded.causation_id,
                traceparent = excluded.traceparent, attempts = 0, parked_at = null, cause = null, claimed_until = null
            """,
            [uuid7() for _ in wanted],
            [work.kind for work in wanted],
            [work.subject for work in wanted],
            [work.at for work in wanted],
            [work.not_before for work in wanted],
            [json.dumps(work.data, default=str) for work in wanted],
            [work.cause.correlation_id for work in wanted],
            [work.cause.causation_id for work in wanted],
            [work.cause.traceparent for work in wanted],
        )


OpenTransaction = Callable[[Cause], AbstractAsyncContextManager[Transaction]]
"""Opens a transaction for a cause; leaving the block writes its effects and commits, an exception rolls back."""
