"""A service's outbox and log, a name on the broker that nobody used before, and relays that publish under it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import chassis.relay
from chassis.brokers import Brokers
from chassis.database import Pool
from chassis.lease import Lease
from chassis.relay import MOVE, POSITION, Relay
from sojourn_contracts.event import Event
from sojourn_contracts.match import MatchDeclined
from uuid_utils.compat import uuid7

from chassis import database as databases
from tests.chassis.elsewhere import Elsewhere
from tests.chassis.given import SERVICE, cancelled, declined, transaction
from tests.chassis.topics import set_position
from tests.chassis.waiting import until

TOPICS = ("MatchDeclined", "ExchangeCancelled")


@dataclass
class World:
    """What a relay works on."""

    pool: Pool
    url: str
    kafka: str
    name: str = ""
    emitted: int = 0
    lease_seconds: float = 1.0
    keys: list[UUID] = field(default_factory=lambda: [uuid7(), uuid7()])

    @property
    def source(self) -> str:
        return f"sojourn/{self.name}"

    @property
    def group(self) -> str:
        return f"{self.name}.relay"

    async def begin(self, left_behind: bool = False) -> None:
        """Events wait in the outbox, and in the log, too, if an earlier leader died before it published them."""
        self.name, self.emitted = f"relay-{uuid4().hex[:8]}", 0
        await self.pool.execute("delete from outbox; delete from event_log; delete from lease")
        if left_behind:
            await self.emit(3)
            await self.move()
            await set_position(self.kafka, self.group, POSITION, 0, '[1, ""]')
        await self.emit(4)

    async def emit(self, count: int) -> None:
        """Two keys on two topics, again and again, and a tombstone."""
        async with transaction(self.pool) as tx:
            for number in range(self.emitted, self.emitted + count - 1):
                kind = (declined, cancelled)[number % 2]
                tx.emit(kind(self.keys[number % 4 // 2], revision=number + 1))
            tx.erase(MatchDeclined, self.keys[0])
        self.emitted += count

    async def emit_these(self, *events: Event) -> None:
        async with transaction(self.pool) as tx:
            tx.emit(*events)
        self.emitted += len(events)

    async def move(self) -> None:
        """As a leader does that dies before it publishes."""
        lease = Lease(self.pool, "relay", 5)
        assert await lease.acquire()
        await self.pool.fetch(MOVE, lease.holder, lease.epoch, 1_000)
        await lease.release()

    def relay(self, pool: Pool | None = None) -> Relay:
        return Relay(self.name, pool or self.pool, Brokers(self.kafka), self.lease_seconds, batch=3)

    async def expire_the_lease(self) -> None:
        await self.pool.execute("update lease set until = clock_timestamp() where until > clock_timestamp()")

    async def published(self, relay: Relay) -> None:
        await until(lambda: relay.published == self.emitted)

    @asynccontextmanager
    async def one_leads(self) -> AsyncGenerator[Relay]:
        """A relay leads until the end of the block."""
        relay = self.relay()
        leading = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            relay.stop()
            await leading

    @asynccontextmanager
    async def another_leads(self) -> AsyncGenerator[Relay]:
        """The same, and has published all before the block."""
        async with self.one_leads() as relay:
            await self.published(relay)
            yield relay


class Leader:
    """A relay elsewhere, held at one of its steps."""

    def __init__(self, world: World, at: int | str | None) -> None:
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
        return steps.has_gone_on and not steps.under_way("_lead") and steps.places[-1].startswith("_pause")

    def stop(self) -> None:
        if self.relay is not None:
            self.elsewhere.call(self.relay.stop)
