"""Real kills and freezes at random moments under load, of every part; afterwards nothing is lost and nothing is there twice.

A round draws its strikes and its story from a seed. ``SEED`` in the environment repeats one; ``FULL=1`` plays 60 rounds.
"""

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from laptop.system import System

from tests.faults import aftermath
from tests.faults.story import START, Promises, Public, Story
from tests.faults.strikes import Striking, strikes

SEED = os.environ.get("SEED") or secrets.token_hex(4)
SHORT, LONG = 4, 60
ROUNDS = [
    *range(SHORT),
    *(
        pytest.param(number, marks=pytest.mark.full)
        for number in range(SHORT, LONG if os.environ.get("FULL") else SHORT)
    ),
]
REPLICATED = ("registration", "matching", "exchange")
SETTINGS = {"LEASE_SECONDS": "1", "GROUP_SESSION_TIMEOUT_MS": "1000", "RELEASE_MINIMUM": "2"}
"""So that what is struck is replaced soon."""


@dataclass
class Struck:
    """One system for all rounds, and all that it has promised so far."""

    system: System
    striking: Striking
    promises: Promises = field(default_factory=Promises)
    sound: bool = True


@pytest.fixture(scope="module")
async def struck(backing_folder: Path) -> AsyncIterator[Struck]:
    with pytest.MonkeyPatch.context() as environment:
        # Only servers of our own can be killed.
        environment.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
        environment.delenv("DATABASE_URL", raising=False)
        replicas = dict.fromkeys(REPLICATED, 2)
        folder = backing_folder / "struck"
        async with System(folder, stopped_at=START, environment=SETTINGS, replicas=replicas) as system:
            yield Struck(system, Striking(system))


@pytest.mark.parametrize("number", ROUNDS)
async def test_every_event_stands_once_and_has_its_effect_once_whatever_is_struck(struck: Struck, number: int):
    if not struck.sound:
        pytest.skip("a round before this one left the system broken")
    struck.sound = False
    seed, system = f"{SEED}/{number}", struck.system
    drawn = strikes(random.Random(seed), list(system.processes), REPLICATED)
    urls = {
        service: [url for name, url in system.urls.items() if name.split("-")[0] == service]
        for service in aftermath.SERVICES
    }
    try:
        system.clock.set(system.clock.now + timedelta(days=1))
        async with Public(urls, random.Random(seed)) as public:
            story = Story(public, system.clock, struck.promises, seed)
            await _played(story, struck.striking, drawn, number)
            assert public.mistakes == []
        found = await aftermath.read(system)
        assert aftermath.breaches(found, struck.promises)[:20] == []
    except BaseException as error:
        error.add_note(f"SEED={SEED}, round {number}: " + "; ".join(map(str, drawn)))
        raise
    struck.sound = True
    logs = {service: len(log) for service, log in found.world.logs.items()}
    print(f"SEED={SEED} round {number}: answers {dict(public.answers)}, logs {logs}, caught {struck.striking.caught}")


async def _played(story: Story, striking: Striking, drawn: list, number: int) -> None:
    """The story, its turns and the strikes side by side; it is over when both of the latter are."""
    async with asyncio.TaskGroup() as together:
        together.create_task(story.play(number))
        async with asyncio.TaskGroup() as turns:
            turns.create_task(striking.befall(drawn))
            turns.create_task(story.turn())
        story.over.set()
