"""A process that freezes at any await of its work, while another one is given the same, and then goes on: once all the same.

The relay's freezes stand in ``test_relay_steps.py``, for real kills see ``tests/faults``.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import chassis.batch
import chassis.dead_letters
import chassis.inbox
import chassis.transaction
import pytest
from chassis.clock import SystemClock
from chassis.database import Pool
from chassis.doors import Errand, OnDue, Work
from chassis.due import DueWork
from chassis.failures import is_trouble
from chassis.inbox import Arrival, arrival
from chassis.transaction import Transaction
from uuid_utils.compat import uuid7

from chassis import database as databases
from chassis import due
from tests.chassis.given import SERVICE, declined, note, transaction, withdrawn
from tests.chassis.receiving import Receiver
from tests.chassis.steps import Steps, sample
from tests.chassis.waiting import until
from tests.chassis_driver import record

FULL = "FULL" in os.environ
SEED = int(os.environ.get("SEED", Random().randrange(10**6)))
POINTS = 6
MODULES = (chassis.inbox, chassis.dead_letters, chassis.due, chassis.batch, chassis.transaction)
PAST = datetime(2026, 1, 1, tzinfo=UTC)


async def have_all_effects(event: Any, tx: Transaction) -> None:
    """State, an event and due work."""
    await note(event, tx)
    tx.emit(declined(event.subject))
    tx.schedule("later", event.subject, datetime.max.replace(tzinfo=UTC))


async def do(work: Work, tx: Transaction) -> None:
    await store(work, work.kind, tx)


async def call(work: Work) -> str:
    await asyncio.sleep(0)
    return work.kind


async def store(work: Work, result: str, tx: Transaction) -> None:
    await tx.connection.execute("insert into effect (subject, note) values ($1, $2)", UUID(work.subject), result)
    tx.emit(declined(UUID(work.subject)))
    tx.schedule("later", work.subject, datetime.max.replace(tzinfo=UTC))


@dataclass
class Job:
    """Work that two processes are given, one of them frozen in the middle of it."""

    pool: Pool
    subjects: list[UUID] = field(default_factory=lambda: [uuid7() for _ in range(3)])

    async def ask(self) -> None:
        """Before anybody begins."""

    def do(self, process: int) -> Coroutine[Any, Any, Any]:
        raise NotImplementedError

    async def is_done(self) -> bool:
        return True

    async def counts(self) -> list[int]:
        """Effects, events and due work of this job."""
        row = await self.pool.fetchrow(
            "select (select count(*) from effect where subject = any($1::uuid[])),"
            " (select count(*) from outbox where subject = any($1::uuid[])),"
            " (select count(*) from due where kind = 'later' and subject = any($1::uuid[]::text[])),"
            " (select count(*) from due where kind <> 'later')",
            self.subjects,
        )
        return list(row or ())

    async def is_right(self) -> None:
        assert await self.counts() == [3, 3, 3, 0]


class Events(Job):
    """A batch from the inbox."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._records = [record(withdrawn(subject)) for subject in self.subjects]
        self._receivers = [Receiver(pool, withdrawal=have_all_effects) for _ in range(2)]

    def do(self, process: int) -> Coroutine[Any, Any, Any]:
        return self._receivers[process].handle(*self._records)


class DeadLetters(Job):
    """A record that is set aside."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._arrival: Arrival = arrival(record(withdrawn()))
        self._receivers = [Receiver(pool) for _ in range(2)]

    def do(self, process: int) -> Coroutine[Any, Any, Any]:
        return self._receivers[process].inbox.set_aside(self._arrival, ValueError("no"))

    async def is_right(self) -> None:
        event_id = self._arrival.event_id
        assert await self.pool.fetchval("select count(*) from dead_letter where event_id = $1", event_id) == 1
        assert await self.pool.fetchval("select count(*) from inbox where event_id = $1", event_id) == 1


class Due(Job):
    """A batch of due work."""

    doors: Any = (OnDue("work", do),)

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        receiver = Receiver(pool)
        self._runners = [DueWork(self.doors, pool, SystemClock(), receiver.open, receiver.metrics) for _ in range(2)]

    async def ask(self) -> None:
        async with transaction(self.pool) as tx:
            for subject in self.subjects:
                tx.schedule("work", subject, PAST)

    def do(self, process: int) -> Coroutine[Any, Any, Any]:
        return self._runners[process].round()

    async def is_done(self) -> bool:
        return not await self.pool.fetchval("select exists (select from due where kind = 'work')")


class Errands(Due):
    """Work that talks to the outside. What the frozen one heard there is dropped, if the other's outcome is stored."""

    doors: Any = (Errand("work", call, store),)


@pytest.fixture
async def pools(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    """Transactions that stand still end soon, and so does an errand's claim."""
    monkeypatch.setitem(databases.TIME_LIMITS, "idle_in_transaction_session_timeout", "100ms")
    monkeypatch.setitem(databases.TIME_LIMITS, "transaction_timeout", "500ms")
    monkeypatch.setattr(due, "LONGEST_CALL", 0.1)
    async with databases.pool(url, SERVICE, 6) as pool:
        yield pool


async def places(job: Job) -> list[str]:
    """The steps of a process that nobody disturbs."""
    await job.ask()
    steps = Steps(*MODULES)
    await steps.over(job.do(0))
    await job.is_right()
    return steps.places


async def frozen(job: Job, at: int) -> bool:
    """One process freezes at this step, the other one does the work, and the first goes on; False past the last step."""
    held, thawed = asyncio.Event(), asyncio.Event()

    async def freeze() -> None:
        held.set()
        await thawed.wait()

    await job.ask()
    first = asyncio.create_task(Steps(*MODULES, at=at, act=freeze).over(job.do(0)))
    arrived = asyncio.create_task(held.wait())
    await asyncio.wait((first, arrived), return_when=asyncio.FIRST_COMPLETED)
    arrived.cancel()
    if held.is_set():
        await until(lambda: goes_through(lambda: job.do(1), job.is_done))
        thawed.set()
    await asyncio.gather(first, return_exceptions=True)
    error = first.exception()
    assert error is None or is_trouble(error), repr(error)
    await until(lambda: goes_through(lambda: job.do(0), job.is_done))  # its records come again, it looks again
    await job.is_right()
    return held.is_set()


async def goes_through(work: Callable[[], Awaitable[Any]], is_done: Callable[[], Awaitable[bool]]) -> bool:
    try:
        await work()
    except Exception as error:
        assert is_trouble(error), repr(error)
        return False
    return await is_done()


@pytest.mark.parametrize("kind", [Events, DeadLetters, Due, Errands])
async def test_work_that_two_processes_do_since_one_froze_at_any_await_takes_effect_once(
    pools: Pool, kind: Callable[[Pool], Job]
):
    found = await places(kind(pools))
    for step in range(1, 10_000) if FULL else sample(found, POINTS, Random(SEED)):
        try:
            if not await frozen(kind(pools), step):
                break
        except BaseException as error:
            error.add_note(f"frozen at step {step}, SEED={SEED}; {found}")
            raise
