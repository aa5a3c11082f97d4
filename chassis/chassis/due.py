"""The door for time: durable notes to do something at or after an instant, done in transactions like events.

Guarantee 10: due work is done once: its row goes in the transaction of its effect. A row that another process has claimed is
left to it. Work that its handler asks for again is a new row.
Guarantee 11: an errand, which talks to the outside, holds no transaction while it does. It may be called more than once, after
a crash or when it lasted longer than its claim; only the latest attempt's outcome is stored, and that one once.
"""

import asyncio
import json
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from chassis import log, spans
from chassis.batch import Batches, Halted
from chassis.clock import Clock
from chassis.database import Connection, Pool
from chassis.doors import Door, Errand, OnAllDue, OnDue, Work
from chassis.failures import backoff, cause_of, is_trouble
from chassis.metrics import Metrics
from chassis.transaction import RETENTION, Cause, OpenTransaction, Transaction

logger = structlog.get_logger(__name__)

POLL = 0.1
"""Seconds between looks at what is due, when nothing wakes the runner."""
LONGEST_CALL = 30.0
"""Seconds that an errand's call may take; its claim lasts twice as long."""
ERRANDS = 5
"""Errands between two looks at what else is due: a slow outside delays that by so many calls at most."""
CALLS = 10
"""Calls of an errand before it is parked for an operator."""

_COLUMNS = "id, kind, subject, at, data, correlation_id, causation_id, traceparent, attempts"
_READY = (
    "parked_at is null and at <= $1 and (not_before is null or not_before <= clock_timestamp())"
    " and (claimed_until is null or claimed_until <= clock_timestamp())"
)


def _work(row: asyncpg.Record) -> Work:
    return Work(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        at=row["at"],
        data=json.loads(row["data"]),
        cause=Cause(row["correlation_id"], row["causation_id"], row["traceparent"]),
        attempts=row["attempts"],
    )


@contextmanager
def _working_for(work: Work) -> Generator[Cause]:
    with spans.due(work.kind, work.cause.traceparent) as traceparent:
        cause = replace(work.cause, traceparent=traceparent)
        with log.bound(correlation_id=cause.correlation_id, event_id=cause.causation_id):
            yield cause


class DueWork:
    """Does what is due in this service's schema; any number of processes may run one."""

    def __init__(
        self,
        doors: Iterable[Door],
        pool: Pool,
        clock: Clock,
        open_transaction: OpenTransaction,
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self.clock = clock
        self._open = open_transaction
        self._metrics = metrics
        self._doors = {door.kind: door for door in doors if isinstance(door, OnDue | OnAllDue | Errand)}
        self._batches = Batches[Work](self._do, self._park)
        self._wake = asyncio.Event()
        self._stopping = False
        self.in_hand = 0
        self.done = 0

    @property
    def halted(self) -> bool:
        """Ten works in a row were parked; see guarantee 5."""
        return self._batches.halted

    def wake(self) -> None:
        """Makes the runner look at once: something may be due."""
        self._wake.set()

    def stop(self) -> None:
        """Ends ``run`` after the batch in hand."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Does due work until stopped; trouble waits and resumes."""
        attempt = 0
        while not self._stopping:
            self._wake.clear()
            try:
                found = await self.round()
                attempt = 0
            except Halted as halted:
                logger.critical("due work halted; a restart resumes", reason=str(halted))
                return
            except Exception as error:
                logger.warning("due work waits", error=repr(error)[:300])
                self._metrics.failed("due", "trouble")
                found, attempt = 0, attempt + 1
            if not found:
                with suppress(TimeoutError):
                    async with asyncio.timeout(backoff(attempt) if attempt else POLL):
                        await self._wake.wait()

    async def round(self) -> int:
        """Does what is due now, at most a few thousand; returns how many works were found."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS} from due where {_READY} and kind = any($2) order by at, kind, subject limit 5000",  # noqa: S608
                self.clock.now(),
                list(self._doors),
            )
        works = [_work(row) for row in rows]
        self.in_hand = len(works)
        try:
            await self._batches.run(deque(work for work in works if not isinstance(self._doors[work.kind], Errand)))
            errands = [work for work in works if isinstance(self._doors[work.kind], Errand)]
            for work in errands[:ERRANDS]:
                door = self._doors[work.kind]
                if isinstance(door, Errand) and not self._stopping:
                    await self._run_errand(work, door)
            self.done += len(works)
        finally:
            self.in_hand = 0
        return len(works)

    async def _do(self, works: Sequence[Work]) -> None:
        async with self._open(Cause()) as tx:
            claimed = await tx.connection.fetch(
                f"""
                delete from due using (
                    select id from due where id = any($2) and {_READY} for update skip locked
                ) as mine
                where due.id = mine.id
                returning due.id
                """,  # noqa: S608
                self.clock.now(),
                [work.id for work in works],
            )
            mine = {row["id"] for row in claimed}
            together: dict[str, list[tuple[Work, Transaction]]] = {}
            for work in works:
                if work.id not in mine:
                    continue
                door = self._doors[work.kind]
                if isinstance(door, OnAllDue):
                    together.setdefault(work.kind, []).append((work, tx.caused_by(work.cause)))
                elif isinstance(door, OnDue):
                    await self._handle(door, work, tx)
            for kind, all_of_it in together.items():
                door = self._doors[kind]
                if isinstance(door, OnAllDue):
                    causes = spans.all_due(kind, [work.cause.traceparent for work, _ in all_of_it])
                    with causes, self._metrics.handling(f"due {kind}"):
                        await door.handle(all_of_it)
        for work in works:
            if work.id in mine:
                self._metrics.handled(f"due {work.kind}")

    async def _handle(self, door: OnDue, work: Work, tx: Transaction) -> None:
        with _working_for(work) as cause, self._metrics.handling(f"due {work.kind}"):
            await door.handle(work, tx.caused_by(cause))

    async def _park(self, work: Work, error: Exception) -> None:
        async with self._pool.acquire() as connection:
            parked = await park(connection, work, error)
        if parked:
            self._metrics.dead_lettered(f"due {work.kind}")
            logger.error(
                "due work parked", kind=work.kind, subject=work.subject, cause=cause_of(error), detail=str(error)[:500]
            )

    async def _run_errand(self, listed: Work, errand: Errand) -> None:
        work = await self._claim(listed)
        if work is None:
            return
        try:
            with _working_for(work) as cause, self._metrics.handling(f"due {work.kind}"):
                mine = replace(work, cause=cause)
                async with asyncio.timeout(LONGEST_CALL):
                    result: Any = await errand.call(mine)
                done = await self._store(mine, errand, result)
        except Exception as error:
            if work.attempts >= CALLS or not is_trouble(error):
                await self._park(work, error)
            else:
                self._metrics.failed(f"due {work.kind}", "trouble")
                await self._back_off(work)
        else:
            if done:
                self._metrics.handled(f"due {work.kind}")

    async def _claim(self, work: Work) -> Work | None:
        """The work with the number of this attempt, or None if another process has it or it is not due any more."""
        async with self._pool.acquire() as connection:
            attempt = await connection.fetchval(
                f"""
                update due set attempts = attempts + 1, claimed_until = clock_timestamp() + $3 * interval '1 second'
                where id = $2 and {_READY}
                returning attempts
                """,  # noqa: S608
                self.clock.now(),
                work.id,
                2 * LONGEST_CALL,
            )
        return None if attempt is None else replace(work, attempts=attempt)

    async def _store(self, work: Work, errand: Errand, result: Any) -> bool:
        """False if a later attempt has the work: this one's outcome is dropped."""
        async with self._open(work.cause) as tx:
            mine = await tx.connection.fetchval(
                "delete from due where id = $1 and attempts = $2 returning true", work.id, work.attempts
            )
            if mine:
                await errand.outcome(work, result, tx)
        return bool(mine)

    async def _back_off(self, work: Work) -> None:
        async with self._pool.acquire() as connection:
            await connection.execute(
                "update due set claimed_until = null, not_before = clock_timestamp() + $3 * interval '1 second'"
                " where id = $1 and attempts = $2",
                work.id,
                work.attempts,
                backoff(work.attempts, longest=600),
            )


async def park(connection: Connection, work: Work, error: Exception) -> bool:
    """Sets due work aside for an operator, with its cause; False if it is gone or a later attempt has it."""
    return bool(
        await connection.fetchval(
            "update due set parked_at = clock_timestamp(), claimed_until = null, cause = $3"
            " where id = $1 and attempts = $2 returning true",
            work.id,
            work.attempts,
            f"{cause_of(error)}: {error}".replace("\x00", "\\0")[:4000],
        )
    )


async def figures(connection: Connection, now: datetime) -> dict[str, Any]:
    """How much is ready, how much backs off, how late the oldest is (seconds of programme time), and when the next is due.

    What is forgotten by the wall clock is no part of it.
    """
    row = await connection.fetchrow(
        f"""
        select count(*) filter (where {_READY}) as ready,
               count(*) filter (where parked_at is null and at <= $1 and not ({_READY})) as backing_off,
               coalesce(extract(epoch from $1 - min(at) filter (where {_READY})), 0)::float as late,
               (select min(at) from due where parked_at is null and at > $1) as next_at
        from due where parked_at is null and at <= $1 and kind <> $2
        """,  # noqa: S608
        now,
        RETENTION,
    )
    return dict(row) if row else {}


async def listing(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """Parked work first, then what is due soonest."""
    rows = await connection.fetch(
        "select id, kind, subject, at, not_before, attempts, parked_at, cause from due"
        " order by parked_at is null, at, id limit $1",
        limit,
    )
    return [dict(row) for row in rows]


async def retry(connection: Connection, work_id: UUID) -> bool:
    """Makes parked work due again; False if there is none under this id."""
    return bool(
        await connection.fetchval(
            "update due set parked_at = null, cause = null, attempts = 0, not_before = null, claimed_until = null"
            " where id = $1 and parked_at is not null returning true",
            work_id,
        )
    )


async def discard(connection: Connection, work_id: UUID) -> bool:
    """Drops parked work; False if there is none under this id."""
    return bool(
        await connection.fetchval("delete from due where id = $1 and parked_at is not null returning true", work_id)
    )
