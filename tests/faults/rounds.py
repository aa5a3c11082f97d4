"""Rounds of a story during which every part of one system is struck, each judged once all is back.

A round draws its strikes and its story from a seed. ``SEED`` in the environment repeats one.
"""

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from laptop.system import System
from sojourn_contracts.catalogue import SERVICES

from tests.faults import aftermath
from tests.faults.embedded import embedded
from tests.faults.judges import Aftermath, breaches
from tests.faults.public import Public
from tests.faults.story import START, Promises, Story
from tests.faults.strikes import Strike, Striking, strikes

SEED = os.environ.get("SEED") or secrets.token_hex(4)
REPLICATED = ("registration", "matching", "exchange")
SETTINGS = {
    "LEASE_SECONDS": "1",
    "GROUP_SESSION_TIMEOUT_MS": "1000",
    "RELEASE_MINIMUM": "2",
    "SIGN_INS_PER_ADDRESS": "1000",
}
"""So that what is struck is replaced soon."""


@dataclass
class Struck:
    """One system for all rounds, and all that it has promised so far."""

    system: System
    striking: Striking
    promises: Promises = field(default_factory=Promises)
    sound: bool = True
    found: Aftermath | None = None
    """What was found after the latest round."""

    async def play(self, number: int) -> None:
        """One round.

        Raises:
            AssertionError: something is lost or there twice, or a promise is broken.
        """
        if not self.sound:
            pytest.skip("a round before this one left the system broken")
        self.sound = False
        seed, system = f"{SEED}/{number}", self.system
        drawn = strikes(random.Random(seed), list(system.processes), REPLICATED, list(self.striking.brokers))
        urls = {
            service: [url for name, url in system.urls.items() if name.split("-")[0] == service] for service in SERVICES
        }
        try:
            system.clock.set(system.clock.now + timedelta(days=1))
            async with Public(urls, random.Random(seed)) as public:
                story = Story(public, system.folder, system.clock, self.promises, seed)
                await _played(story, self.striking, drawn, number)
                assert public.mistakes == []
            found = await aftermath.read(system)
            broken = breaches(found, self.promises)[:20]
            assert not broken, broken
        except BaseException as error:
            error.add_note(f"SEED={SEED}, round {number}: " + "; ".join(map(str, drawn)))
            raise
        self.sound, self.found = True, found
        logs = {service: len(log) for service, log in found.world.logs.items()}
        print(f"SEED={SEED} round {number}: answers {dict(public.answers)}, logs {logs}, caught {self.striking.caught}")


@asynccontextmanager
async def struck_system(folder: Path, **given: Any) -> AsyncIterator[Struck]:
    """A system of its own, some of whose services have two processes."""
    replicas = dict.fromkeys(REPLICATED, 2)
    async with embedded(folder, stopped_at=START, environment=SETTINGS, replicas=replicas, **given) as system:
        yield Struck(system, Striking(system))


async def _played(story: Story, striking: Striking, drawn: Sequence[Strike], number: int) -> None:
    """The story, its turns and the strikes side by side; it is over when both of the latter are."""
    async with asyncio.TaskGroup() as together:
        together.create_task(story.play(number))
        async with asyncio.TaskGroup() as turns:
            turns.create_task(striking.befall(drawn))
            turns.create_task(story.turn())
        story.over.set()
