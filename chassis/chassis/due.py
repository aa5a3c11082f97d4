"""The door for time: durable notes to do something at or after an instant, done in transactions like events.

Guarantee 10: due work is done once: its row goes in the transaction of its effect. A row that another process has claimed is
left to it. Work that its handler asks for again is a new row.
Guarantee 11: an errand, which talks to the outside, holds no transaction while it does. It may be called more than once, after
a crash or when it lasted longer than its claim; only the latest attempt's outcome is stored, and that one once.

Errands run beside the rest, so many of a kind at once: a slow outside, or a burst of one kind, holds up errands of that kind at
most, and no work of our own.
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
from uuid_utils.compat import uuid7

from chassis import log, spans
from chassis.batch import Batches, Halted
from chassis.clock import Clock
from chassis.database import Connection, Pool
from chassis.doors import Door, Errand, OnAllDue, OnDue, Work
from chassis.failures import backoff, cause_of, is_trouble
from chassis.metrics import Metrics
from chassis.transaction import MANIFESTS, RETENTION, Cause, OpenTransaction, Transaction

logger = structlog.get_logger(__name__)

POLL = 0.1
"""Seconds between looks at what is due, when nothing wakes the runner."""
LONGEST_CALL = 30.0
"""Seconds that an errand's call may take; its claim lasts twice as long."""
ERRANDS = 20
"""Errands of a kind side by side, per process."""
CALLS = 500
"""Calls of an errand before it is parked for an operator: two and a half to three and a half days of trouble."""
LONGEST_PAUSE = 600.0
"""Seconds between two calls of an errand at most, so also until it is called once the outside is back."""
STANDING = {RETENTION: "tables", MANIFESTS: "topics"}
"""Work that is always there, by kind, with its subject: each look plans the next, by the wall clock. It is no part of a replay's
story: no step of the programme's clock waits for it."""

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
        self._errands = [kind for kind, door in self._doors.items() if isinstance(door, Errand)]
        self._wake = asyncio.Event()
        self._wake_errands = {kind: asyncio.Event() for kind in self._errands}
        self._stopping = False
        self._works_in_hand = 0
        self._errands_in_hand = dict.fromkeys(self._errands, 0)
        self.done = 0

    @property
    def in_hand(self) -> int:
        """Works that are being done."""
        return self._works_in_hand + sum(self._errands_in_hand.values())

    @property
    def halted(self) -> bool:
        """Ten works in a row were parked; see guarantee 5."""
        return self._batches.halted

    def wake(self) -> None:
        """Makes the runner look at once: something may be due."""
        for wake in (self._wake, *self._wake_errands.values()):
            wake.set()

    def stop(self) -> None:
        """Ends ``run`` after the batch and the errands in hand."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Does due work until stopped; trouble waits and resumes."""
        async with asyncio.TaskGroup() as all_of_it:
            all_of_it.create_task(self._run_works())
            for kind in self._errands:
                all_of_it.create_task(self._run_errands(kind))

    async def round(self) -> int:
        """Does what is due now: at most a few thousand works, then so many errands; returns how many were found."""
        found = await self._works()
        listed = await self._listed(self._errands, ERRANDS)
        for one in listed:
            for work in await self._claimed([one]):
                await self._errand(work)
        return found + len(listed)

    async def _run_works(self) -> None:
        attempt = 0
        while not self._stopping:
            self._wake.clear()
            try:
                found = await self._works()
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

    async def _run_errands(self, kind: str) -> None:
        """Starts errands as they fall due and as others end; the longest of them holds up nothing but its own place."""
        attempt = 0
        async with asyncio.TaskGroup() as running:
            while not self._stopping:
                self._wake_errands[kind].clear()
                found = 0
                try:
                    if free := ERRANDS - self._errands_in_hand[kind]:
                        listed = await self._listed([kind], free)
                        found = len(listed)
                        for work in await self._claimed(listed):
                            running.create_task(self._errand(work))
                    attempt = 0
                except Exception as error:
                    logger.warning("errands wait", error=repr(error)[:300])
                    self._metrics.failed("due", "trouble")
                    attempt += 1
                if not found:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(backoff(attempt) if attempt else POLL):
                            await self._wake_errands[kind].wait()

    async def _listed(self, kinds: Sequence[str], limit: int) -> list[Work]:
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS} from due where {_READY} and kind = any($2) order by at, kind, subject limit $3",  # noqa: S608
                self.clock.now(),
                kinds,
                limit,
            )
        return [_work(row) for row in rows]

    async def _works(self) -> int:
        """Does what is due now and is no errand, at most a few thousand; returns how many works were found."""
        works = await self._listed([kind for kind in self._doors if kind not in self._errands], 5_000)
        self._works_in_hand = len(works)
        try:
            await self._batches.run(deque(works))
            self.done += len(works)
        finally:
            self._works_in_hand = 0
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
        if not parked:
            return
        self._metrics.dead_lettered(f"due {work.kind}")
        ids = {"correlation_id": work.cause.correlation_id, "event_id": work.cause.causation_id}
        with spans.given_up(work.cause.traceparent), log.bound(**ids):
            logger.error(
                "due work parked", kind=work.kind, subject=work.subject, cause=cause_of(error), detail=str(error)[:500]
            )

    async def _claimed(self, listed: Sequence[Work]) -> list[Work]:
        """Those of the errands, all of one kind, that are still due and no other process has, with this attempt's number.

        They count as in hand from before they are claimed until ``_errand`` is done with them.
        """
        if not listed:
            return []
        kind = listed[0].kind
        self._errands_in_hand[kind] += len(listed)
        claimed: list[Work] = []
        try:
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(
                    f"""
                    update due set attempts = attempts + 1, claimed_until = clock_timestamp() + $3 * interval '1 second'
                    where id in (select id from due where id = any($2) and {_READY} for update skip locked)
                    returning {_COLUMNS}
                    """,  # noqa: S608
                    self.clock.now(),
                    [work.id for work in listed],
                    2 * LONGEST_CALL,
                )
            claimed = [_work(row) for row in rows]
        finally:
            self._errands_in_hand[kind] -= len(listed) - len(claimed)
        return claimed

    async def _errand(self, work: Work) -> None:
        """Runs what is claimed. Where not even its failure can be stored, it is called again once its claim is over."""
        door = self._doors[work.kind]
        try:
            if isinstance(door, Errand):
                await self._run(door, work)
            self.done += 1
        except Exception as error:
            logger.warning("an errand's end is not stored", kind=work.kind, error=repr(error)[:300])
            self._metrics.failed("due", "trouble")
        finally:
            self._errands_in_hand[work.kind] -= 1
            self._wake_errands[work.kind].set()

    async def _run(self, errand: Errand, work: Work) -> None:
        try:
            with _working_for(work) as cause, self._metrics.handling(f"due {work.kind}"):
                mine = await self._loaded(errand, replace(work, cause=cause))
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

    async def _loaded(self, errand: Errand, work: Work) -> Work:
        if errand.load is None:
            return work
        async with self._open(work.cause) as tx:
            return replace(work, loaded=await errand.load(work, tx))

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
                backoff(work.attempts, longest=LONGEST_PAUSE),
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

    Standing work is no part of it.
    """
    row = await connection.fetchrow(
        f"""
        select count(*) filter (where {_READY}) as ready,
               count(*) filter (where parked_at is null and at <= $1 and not ({_READY})) as backing_off,
               coalesce(extract(epoch from $1 - min(at) filter (where {_READY})), 0)::float as late,
               (select min(at) from due where parked_at is null and at > $1) as next_at
        from due where parked_at is null and at <= $1 and kind <> all ($2)
        """,  # noqa: S608
        now,
        list(STANDING),
    )
    return dict(row) if row else {}


async def begin(connection: Connection, kind: str) -> None:
    """The first look of standing work, if none is planned yet."""
    await connection.execute(
        "insert into due (id, kind, subject, at, data) values ($1, $2, $3, 'epoch', '{}') on conflict do nothing",
        uuid7(),
        kind,
        STANDING[kind],
    )


async def begin_when_possible(pool: Pool, kinds: Iterable[str]) -> None:
    """The same of several, for as long as it takes PostgreSQL to be there."""
    attempt = 0
    while True:
        try:
            async with pool.acquire() as connection:
                for kind in kinds:
                    await begin(connection, kind)
                return
        except Exception as error:
            attempt += 1
            logger.warning("standing work is not planned yet", error=repr(error)[:300])
            await asyncio.sleep(backoff(attempt))


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
