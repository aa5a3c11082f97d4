"""Runs two transactions on two connections, one statement of either at a time, in an order that a test chooses.

Every await on a connection is a place where the other transaction can go on: each statement, the beginning, the commit. A
transaction that waits for a lock of the other one cannot be chosen until it is let go, as in life.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from chassis.clock import Clock
from chassis.database import Connection
from chassis.transaction import Cause, Transaction
from exchange import rate_table
from exchange.agreement import Rules
from exchange.payments.domain import PaymentRules
from sojourn_contracts.taxonomy import starter

Work = Callable[["Actor"], Awaitable[Any]]
GATED = frozenset({"execute", "executemany", "fetch", "fetchrow", "fetchval"})
SETTINGS = SimpleNamespace(
    rules=Rules(starter().skills, rate_table.starter()), most_sent=2, payment_rules=PaymentRules(80, 14, 30)
)
PATIENCE = 30.0
"""Seconds until a run that makes no progress is given up."""


class GatedConnection:
    """A connection whose every statement waits for the actor's turn."""

    def __init__(self, connection: Connection, turn: Callable[[], Awaitable[None]]) -> None:
        self._connection = connection
        self._turn = turn

    def __getattr__(self, name: str) -> Any:
        if name not in GATED:
            raise AttributeError(f"{name} has no gate")
        method = getattr(self._connection, name)

        async def gated(*arguments: Any) -> Any:
            await self._turn()
            return await method(*arguments)

        return gated


class Actor:
    """One of the two: a connection, a clock, and what it has come to."""

    def __init__(self, name: str, connection: Connection, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.pid = connection.get_server_pid()
        self.connection = GatedConnection(connection, self._turn)
        self._raw = connection
        self._permit = asyncio.Event()
        self._moved = asyncio.Event()
        self.at_gate = False
        self.outcome: Any = None
        self.done = False

    async def _turn(self) -> None:
        self.at_gate = True
        self._moved.set()
        await self._permit.wait()
        self._permit.clear()

    def go(self) -> None:
        """Lets it do its next statement."""
        self.at_gate = False
        self._moved.clear()
        self._permit.set()

    async def moved(self, seconds: float) -> bool:
        """Whether it reached its next statement, or its end, within this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def run(self, work: Work) -> None:
        try:
            self.outcome = await work(self)
        except Exception as error:
            self.outcome = error
        finally:
            self.done = True
            self._moved.set()

    @asynccontextmanager
    async def open_transaction(self, cause: Cause) -> AsyncIterator[Transaction]:
        """What the chassis does around a handler, with a gate before the beginning and before the commit."""
        await self._turn()
        transaction = self._raw.transaction()
        await transaction.start()
        try:
            tx = Transaction(self.connection, "exchange", self.clock.now(), cause, SETTINGS)  # type: ignore[arg-type]
            yield tx
            await tx.flush()
            await self._turn()
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[GatedConnection]:
        """As a pool does; statements outside a transaction have a gate too."""
        yield self.connection


@dataclass
class Trace:
    """Who was chosen at each step, and whether the other one could have been."""

    chosen: list[int] = field(default_factory=list[int])
    free: list[bool] = field(default_factory=list[bool])
    waits: int = 0
    """How often one waited for a lock of the other."""

    def changes_of_turn(self, upto: int) -> int:
        """How often, up to this step, a turn was taken from an actor that could have gone on."""
        return sum(self.free[step] and self.chosen[step] != self.chosen[step - 1] for step in range(1, upto))


async def interleaved(
    actors: Sequence[Actor], works: Sequence[Work], observer: Connection, schedule: Sequence[int]
) -> Trace:
    """Runs both to their end: by the schedule, and after it whoever had the last turn as long as it can."""
    trace = Trace()
    tasks = [asyncio.create_task(actor.run(work)) for actor, work in zip(actors, works, strict=True)]
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                trace.waits += await _settled(actors, observer)
                ready = [index for index, actor in enumerate(actors) if actor.at_gate and not actor.done]
                if ready:
                    wanted = _wanted(trace, schedule)
                    index = wanted if wanted in ready else ready[0]
                    trace.chosen.append(index)
                    trace.free.append(len(ready) == len(actors))
                    actors[index].go()
                elif all(actor.done for actor in actors):
                    return trace
                else:  # each waits for the other: PostgreSQL ends it, and one of them gets its error
                    await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _wanted(trace: Trace, schedule: Sequence[int]) -> int:
    step = len(trace.chosen)
    if step < len(schedule):
        return schedule[step]
    return trace.chosen[-1] if trace.chosen else 0


async def _settled(actors: Sequence[Actor], observer: Connection) -> int:
    """Waits until each is at a gate, done, or waiting for a lock; returns how many are waiting."""
    waiting = 0
    for actor in actors:
        while not (actor.at_gate or actor.done):
            if await actor.moved(0.002):
                continue
            if await observer.fetchval("select cardinality(pg_blocking_pids($1)) > 0", actor.pid):
                waiting += 1
                break
    return waiting


Run = Callable[[Sequence[int]], Awaitable[Trace]]


async def schedules(run: Run, *, changes: int, at_most: int, seed: int = 7) -> int:
    """Tries schedules with up to so many changes of turn: all of them, or so many of them at random; returns how many.

    The first two are the serial orders. ``run`` does one schedule on fresh state, and judges what it led to.
    """
    source = random.Random(seed)
    serial = [(0,), (1,)]
    frontier: list[tuple[int, ...]] = []
    done = 0
    while (serial or frontier) and done < at_most:
        schedule = serial.pop(0) if serial else frontier.pop(source.randrange(len(frontier)))
        trace = await run(schedule)
        done += 1
        frontier += [
            (*trace.chosen[:step], 1 - trace.chosen[step])
            for step in range(len(schedule), len(trace.chosen))
            if trace.free[step] and trace.changes_of_turn(step) < changes
        ]
    return done
