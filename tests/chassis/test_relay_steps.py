"""The relay's whole path, await by await: frozen, killed, cancelled, failing and cut off at each of them.

Whatever happened: every committed event stands exactly once on its topic, in log order, the newest per key last, and
sequences and positions are dense.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from uuid import uuid4

import chassis.relay
import pytest
from chassis.database import Pool
from chassis.lease import Lease
from chassis.migrations import migrate
from chassis.relay import MOVE, POSITION, Relay
from laptop.roles import Database
from uuid_utils.compat import uuid7

from chassis import database as databases
from tests.chassis.elsewhere import Elsewhere
from tests.chassis.given import MIGRATIONS, SERVICE, cancelled, declined, transaction
from tests.chassis.steps import sample
from tests.chassis.topics import Reader, assert_published, reading, set_position
from tests.chassis.waiting import until

FULL = "FULL" in os.environ
SEED = int(os.environ.get("SEED", Random().randrange(10**6)))
POINTS = 3
"""Steps per way to be disturbed and per beginning, unless all are tried."""


@dataclass
class World:
    """A service's outbox and log, under a name that the broker has not heard of."""

    pool: Pool
    url: str
    kafka: str
    name: str = ""
    emitted: int = 0

    async def begin(self, left_behind: bool) -> None:
        """Events wait in the outbox, and in the log, too, if an earlier leader died before it published them."""
        self.name, self.emitted = f"relay-{uuid4().hex[:8]}", 0
        await self.pool.execute("delete from outbox; delete from event_log; delete from lease")
        if left_behind:
            await self.emit(3)
            lease = Lease(self.pool, "relay", 5)
            await lease.acquire()
            await self.pool.fetch(MOVE, lease.holder, lease.epoch, 3)
            await lease.release()
            await set_position(self.kafka, f"{self.name}.relay", POSITION, 0, '[1, ""]')
        await self.emit(4)

    async def emit(self, count: int) -> None:
        """Two keys on two topics, again and again, and a tombstone."""
        async with transaction(self.pool) as tx:
            for number in range(self.emitted, self.emitted + count - 1):
                kind = (declined, cancelled)[number % 2]
                tx.emit(kind(KEYS[number % 4 // 2], revision=number + 1))
            tx.erase(type(declined()), KEYS[0])
        self.emitted += count

    def relay(self, pool: Pool) -> Relay:
        return Relay(self.name, pool, self.kafka, lease_seconds=1.0, batch=3)

    async def expire_the_lease(self) -> None:
        await self.pool.execute("update lease set until = clock_timestamp() where until > clock_timestamp()")

    async def published(self, relay: Relay) -> None:
        await until(lambda: relay.published == self.emitted)

    @asynccontextmanager
    async def another_leads(self) -> AsyncGenerator[Relay]:
        relay = self.relay(self.pool)
        leading = asyncio.create_task(relay.run())
        try:
            await self.published(relay)
            yield relay
        finally:
            relay.stop()
            await leading


KEYS = [uuid7(), uuid7()]


class Leader:
    """A relay elsewhere, held at one of its steps."""

    def __init__(self, world: World, at: int | None) -> None:
        self._world = world
        self.relay: Relay | None = None
        self.elsewhere = Elsewhere(self._main, chassis.relay, at=at)

    async def _main(self) -> None:
        async with databases.pool(self._world.url, SERVICE, 4) as pool:
            self.relay = self._world.relay(pool)
            await asyncio.create_task(self.relay.run())

    @property
    def has_published(self) -> bool:
        return self.relay is not None and self.relay.published == self._world.emitted

    @property
    def is_deposed(self) -> bool:
        """It has been through all that it was about to do, and waits to lead again."""
        steps = self.elsewhere.steps
        return steps.passed and not steps.under_way("_lead") and steps.places[-1].startswith("_pause")

    def stop(self) -> None:
        if self.relay is not None:
            self.elsewhere.call(self.relay.stop)


async def frozen(world: World, leader: Leader) -> None:
    await world.expire_the_lease()
    async with world.another_leads() as other:
        leader.elsewhere.thaw()
        await until(lambda: leader.is_deposed)
        await world.emit(2)
        await world.published(other)
    leader.stop()


async def killed(world: World, leader: Leader) -> None:
    leader.elsewhere.kill()
    await world.expire_the_lease()
    async with world.another_leads():
        pass


async def stopped(world: World, leader: Leader) -> None:
    leader.elsewhere.cancel()
    async with world.another_leads():
        pass


async def failing(world: World, leader: Leader) -> None:
    leader.elsewhere.fail(ConnectionResetError("gone"))
    await until(lambda: leader.has_published)
    leader.stop()


async def cut_off(world: World, leader: Leader) -> None:
    leader.elsewhere.cut()
    await until(lambda: leader.has_published)
    leader.stop()


Disturbance = Callable[[World, Leader], Awaitable[None]]


async def undisturbed(world: World, left_behind: bool) -> list[str]:
    """The steps of a leader that nobody disturbs."""
    await world.begin(left_behind)
    leader = Leader(world, None)
    async with leader.elsewhere:
        await until(lambda: leader.has_published)
        leader.stop()
    return leader.elsewhere.steps.places


async def disturbed(world: World, reader: Reader, left_behind: bool, at: int, disturb: Disturbance) -> bool:
    """False when the path ended before this step."""
    await world.begin(left_behind)
    leader = Leader(world, at)
    async with leader.elsewhere:
        await until(lambda: leader.elsewhere.held or leader.has_published)
        reached = leader.elsewhere.held
        if reached:
            await disturb(world, leader)
        leader.stop()
    await assert_published(world.pool, await reader.all(f"sojourn/{world.name}"), world.emitted)
    return reached


@pytest.fixture
async def world(database: Database, kafka: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[World]:
    monkeypatch.setitem(databases.TIME_LIMITS, "idle_in_transaction_session_timeout", "200ms")
    await migrate(database.migrator_url, SERVICE, MIGRATIONS)
    url = database.url(SERVICE)
    async with databases.pool(url, SERVICE, 4) as pool:
        yield World(pool, url, kafka)


@pytest.mark.parametrize("left_behind", [False, True], ids=["from-nothing", "with-a-log"])
@pytest.mark.parametrize("disturb", [frozen, killed, stopped, failing, cut_off])
async def test_a_leader_disturbed_at_any_await_loses_and_doubles_nothing(
    world: World, kafka: str, disturb: Disturbance, left_behind: bool
):
    places = await undisturbed(world, left_behind)
    at = range(1, 10_000) if FULL else sample(places, POINTS, Random(SEED))
    async with reading(kafka, "MatchDeclined", "ExchangeCancelled") as reader:
        for step in at:
            try:
                if not await disturbed(world, reader, left_behind, step, disturb):
                    break
            except Exception as error:
                error.add_note(
                    f"{disturb.__name__} at step {step} of {len(places)}, {places[step - 1 : step]}, SEED={SEED}"
                )
                raise
