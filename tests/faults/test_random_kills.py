"""Real kills and freezes at random moments under load, of every part; afterwards nothing is lost and nothing is there twice.

A round draws its strikes and its story from a seed. ``SEED`` in the environment repeats one; ``FULL=1`` plays 60 rounds.
"""

import asyncio
import os
import random
import secrets
from collections import UserDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from laptop.system import System
from sojourn_contracts.catalogue import SERVICES

from tests.faults import aftermath
from tests.faults.embedded import embedded
from tests.faults.judges import Aftermath, breaches
from tests.faults.public import Public
from tests.faults.story import START, Promises, Story
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
    found: Aftermath | None = None
    """What was found after the latest round."""


@pytest.fixture(scope="module")
async def struck(backing_folder: Path) -> AsyncIterator[Struck]:
    replicas = dict.fromkeys(REPLICATED, 2)
    system = embedded(backing_folder / "struck", stopped_at=START, environment=SETTINGS, replicas=replicas)
    async with system:
        yield Struck(system, Striking(system))


@pytest.mark.parametrize("number", ROUNDS)
async def test_every_event_stands_once_and_has_its_effect_once_whatever_is_struck(struck: Struck, number: int):
    if not struck.sound:
        pytest.skip("a round before this one left the system broken")
    struck.sound = False
    seed, system = f"{SEED}/{number}", struck.system
    drawn = strikes(random.Random(seed), list(system.processes), REPLICATED)
    urls = {
        service: [url for name, url in system.urls.items() if name.split("-")[0] == service] for service in SERVICES
    }
    try:
        system.clock.set(system.clock.now + timedelta(days=1))
        async with Public(urls, random.Random(seed)) as public:
            story = Story(public, system.clock, struck.promises, seed)
            await _played(story, struck.striking, drawn, number)
            assert public.mistakes == []
        found = await aftermath.read(system)
        assert breaches(found, struck.promises)[:20] == []
    except BaseException as error:
        error.add_note(f"SEED={SEED}, round {number}: " + "; ".join(map(str, drawn)))
        raise
    struck.sound, struck.found = True, found
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


def _without(rows: Sequence[Any], number: int) -> list[Any]:
    return [row for index, row in enumerate(rows) if index != number]


def _broken(found: Aftermath) -> Iterator[tuple[str, Aftermath]]:
    """One thing at a time that a kill might have broken, and what is to be told of it."""
    world, topic = found.world, found.world.logs["exchange"][0].topic
    records, log = world.topics[topic], world.logs["exchange"]

    def with_topic(records: Sequence[Any]) -> Aftermath:
        return replace(found, world=replace(world, topics={**world.topics, topic: records}))

    def with_row(table: str, **changes: Any) -> Aftermath:
        row, *others = found.tables[table]
        # the order of the columns counts: the first one is the id
        return replace(found, tables={**found.tables, table: [_Row(row, changes), *others]})

    yield "is missing", with_topic(_without(records, 0))
    yield "stands there 2 times", with_topic([*records, records[0]])
    yield "positions", replace(found, world=replace(world, logs={**world.logs, "exchange": _without(log, 1)}))
    for service in ("matching", "exchange", "survey"):
        handled = found.inboxes[service]
        yield "not handled", replace(found, inboxes={**found.inboxes, service: _without(handled, 0)})
        yield "on no topic", replace(found, inboxes={**found.inboxes, service: [*handled, str(uuid4())]})
    yield "registration has", with_row("registration.company", revision=99)
    yield "matching has", with_row("matching.companies", payload="{}")
    yield "exchange has", with_row("exchange.company", profile="{}")
    yield "survey has", with_row("survey.company", profile="{}")
    yield "matching has erased", with_row("matching.matches", state="erased")
    yield "it is", with_row("exchange.exchange", revision=99)
    yield "waits for", replace(found, tables={**found.tables, "exchange.due": []})
    yield "survey has", with_row("survey.exchange", payload="{}")
    yield "too few", replace(found, tables={**found.tables, "survey.invitation": []})
    for table, rows in found.tables.items():
        if table not in ("survey.invitation", "exchange.due"):
            yield "", replace(found, tables={**found.tables, table: _without(rows, 0)})


class _Row(UserDict[str, Any]):
    """A row with changes, whose first column can still be had by its number."""

    def __init__(self, row: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
        super().__init__(dict(row) | dict(changes))

    def __getitem__(self, key: Any) -> Any:
        return next(iter(self.data.values())) if key == 0 else self.data[key]


def test_what_a_kill_might_break_would_be_seen(struck: Struck):
    if struck.found is None:
        pytest.skip("there was no sound round")
    assert breaches(struck.found, struck.promises) == []
    for told, broken in _broken(struck.found):
        assert any(told in breach for breach in breaches(broken, struck.promises)), told
    lost = replace(struck.promises, names=[*struck.promises.names, "Lost"], companies={})
    assert breaches(struck.found, lost) != []
