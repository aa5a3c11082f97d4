"""Replaces the processes of a service one after the other, as a Deployment of Kubernetes does, while a balancer sends requests.

A new process is started first (``maxSurge: 1``, ``maxUnavailable: 0``). One that is to go stays as it is for a while, until
everybody knows (``preStop``), and is then told to stop.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from laptop.system import System

DRAIN = 2.0
"""Seconds between the moment at which a process is to go and the one at which it is told to."""
LEARNT = 1.0
"""Seconds of these in which it still gets requests, since not everybody knows yet."""
PROBED_EVERY = 1.0


class Balancer:
    """Says which process gets the next request: each that was ready when it was last asked, in turn."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._leaving: set[str] = set()
        self._ready = set(system.urls)
        self._turn = itertools.count()

    def url(self, service: str) -> str:
        """Raises LookupError when none is ready, and that is a request that fails."""
        urls = self._system.urls
        names = [name for name in urls if name in self._ready and name.split("-")[0] == service]
        if not names:
            raise LookupError(f"no process of {service} is ready")
        return urls[names[next(self._turn) % len(names)]]

    def leave(self, name: str) -> None:
        """It gets no request any more, whatever it answers to probes."""
        self._leaving.add(name)
        self._ready.discard(name)

    @asynccontextmanager
    async def probing(self) -> AsyncIterator["Balancer"]:
        """Asks each process around the block, every second, whether it is ready."""
        async with httpx.AsyncClient(timeout=3) as http:
            probes = asyncio.create_task(self._probe(http))
            try:
                yield self
            finally:
                probes.cancel()
                await asyncio.gather(probes, return_exceptions=True)

    async def _probe(self, http: httpx.AsyncClient) -> None:
        while True:
            await asyncio.gather(*(self._look(http, name, url) for name, url in self._system.urls.items()))
            await asyncio.sleep(PROBED_EVERY)

    async def _look(self, http: httpx.AsyncClient, name: str, url: str) -> None:
        try:
            ready = (await http.get(url + "/ready")).is_success
        except httpx.TransportError:
            ready = False
        if ready and name not in self._leaving:
            self._ready.add(name)
        else:
            self._ready.discard(name)


async def roll(system: System, balancer: Balancer, service: str, programs: Path | None = None) -> None:
    """Replace each process of the service by a new one, of the commands in that folder if it is given."""
    for name in [name for name in system.processes if name.split("-")[0] == service]:
        await system.add(service, programs)
        await asyncio.sleep(LEARNT)
        balancer.leave(name)
        await asyncio.sleep(DRAIN - LEARNT)
        await system.remove(name)
