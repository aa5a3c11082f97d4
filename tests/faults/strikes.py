"""Kills and freezes of running processes, at moments and on targets that a seed gives.

What is struck is brought back: a killed process by a new start, as an orchestrator would, a frozen one by waking it up.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from laptop.backing import Backing
from laptop.kafka import KafkaCluster
from laptop.process import Process
from laptop.system import System
from sojourn_contracts.catalogue import emitted_by

DATABASE = "PostgreSQL"
LOOKS, LOOKING = 60, 20.0
"""Times, and seconds, that a relay's leader is frozen for a moment, until it is caught with an open transaction."""


@dataclass(frozen=True)
class Strike:
    """Seconds after the one before; what, how, and for how many seconds."""

    after: float
    target: str
    how: Literal["kill", "freeze", "freeze the leader of"]
    lasts: float

    def __str__(self) -> str:
        return f"+{self.after:.2f} s: {self.how} {self.target} for {self.lasts:.2f} s"


def strikes(
    chance: random.Random, processes: Sequence[str], replicated: Sequence[str], brokers: Sequence[str]
) -> list[Strike]:
    """A round's: a service process is killed, another one frozen for longer than a lease of a second, and so is the leader of a
    replicated service's relay; a broker and the database are struck, one by a kill and the other by a freeze.
    """

    def strike(how: Any, target: str, least: float, most: float) -> Strike:
        return Strike(chance.uniform(0.2, 1.2), target, how, chance.uniform(least, most))

    killed, frozen = chance.sample((chance.choice(brokers), DATABASE), 2)
    drawn = [
        strike("kill", chance.choice(processes), 0.0, 0.5),
        strike("freeze", chance.choice(processes), 1.2, 2.5),
        # registration publishes most, so that its leader is caught most easily
        strike("freeze the leader of", chance.choice((*replicated, "registration")), 1.5, 2.5),
        strike("kill", killed, 0.0, 0.5),
        strike("freeze", frozen, 0.5, 2.5),
    ]
    chance.shuffle(drawn)
    return drawn


class Striking:
    """Strikes a running system."""

    def __init__(self, system: System) -> None:
        assert system.broker is not None
        assert system.server is not None
        self._system = system
        self.brokers = system.broker.brokers if isinstance(system.broker, KafkaCluster) else {"Kafka": system.broker}
        self._backing: dict[str, Backing] = {**self.brokers, DATABASE: system.server}
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.caught = 0
        """Leaders that were frozen inside a Kafka transaction."""

    async def befall(self, drawn: Sequence[Strike]) -> None:
        """All of them, each begun when its time has come, whatever the ones before have come to; all is back at the end."""
        async with asyncio.TaskGroup() as together:
            for strike in drawn:
                await asyncio.sleep(strike.after)
                together.create_task(self._strike(strike))

    async def _strike(self, strike: Strike) -> None:
        if strike.how == "freeze the leader of":
            await self._freeze_leader(strike.target, strike.lasts)
            return
        async with self._one_at_a_time[strike.target]:
            if strike.how == "freeze":
                await self._freeze(strike.target, strike.lasts)
                return
            backing = self._backing.get(strike.target)
            await (backing.kill() if backing else self._system.kill(strike.target))
            await asyncio.sleep(strike.lasts)
            await (backing.start() if backing else self._system.start_service(strike.target))

    async def _freeze(self, target: str, seconds: float) -> None:
        frozen = self._backing.get(target) or self._system.processes[target]
        frozen.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            frozen.thaw()

    async def _freeze_leader(self, service: str, seconds: float) -> None:
        """If it can be, while one of its Kafka transactions is open."""
        leader = await self._leader(service)
        async with self._one_at_a_time[leader]:
            process = self._system.processes[leader]
            try:
                async with _open_transactions(self._system.kafka, service) as is_open:
                    self.caught += await self._catch(process, is_open)
                process.freeze()
                await asyncio.sleep(seconds)
            finally:
                process.thaw()

    async def _catch(self, process: Process, is_open: Callable[[], Awaitable[bool | None]]) -> bool:
        """True when it is left frozen with an open transaction. While the broker is away, there is none to be caught with."""
        looks, deadline = 0, time.monotonic() + LOOKING
        while looks < LOOKS and time.monotonic() < deadline:
            process.freeze()
            found = await is_open()
            if found:
                return True
            process.thaw()
            looks += found is not None
            await asyncio.sleep(random.uniform(0.005, 0.03))
        return False

    async def _leader(self, service: str) -> str:
        """The process that knows how far it has published; any of them if none can be asked."""
        names = [name for name in self._system.processes if name.split("-")[0] == service]
        async with httpx.AsyncClient(timeout=1) as http:
            for name in names:
                try:
                    if (await http.get(self._system.urls[name] + "/status")).json()["published"] is not None:
                        return name
                except (httpx.TransportError, KeyError):
                    continue
        return names[0]


@asynccontextmanager
async def _open_transactions(bootstrap: str, service: str) -> AsyncIterator[Callable[[], Awaitable[bool | None]]]:
    """A question: is a transaction open on the service's topics? None when the broker cannot be asked."""
    partitions = [TopicPartition(topic.name, n) for topic in emitted_by(service) for n in range(topic.partitions)]
    everything, committed = (
        AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=level, enable_auto_commit=False)
        for level in ("read_uncommitted", "read_committed")
    )
    to_start = [everything, committed]

    async def is_open() -> bool | None:
        try:
            async with asyncio.timeout(1):
                while to_start:
                    await to_start[0].start()
                    del to_start[0]
                ends = await everything.end_offsets(partitions)
                # in this order: what was there before, and cannot be read afterwards, is in an open transaction
                readable = await committed.end_offsets(partitions)
        except (KafkaError, OSError, TimeoutError):
            return None
        return any(readable[partition] < end for partition, end in ends.items())

    try:
        yield is_open
    finally:
        await asyncio.gather(everything.stop(), committed.stop())
