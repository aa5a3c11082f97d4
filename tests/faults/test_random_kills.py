"""Real kills and freezes at random moments under load, of every part; afterwards nothing is lost and nothing is there twice.

``SEED`` in the environment repeats the rounds of a run; ``FULL=1`` plays 60.
"""

import os
from collections import UserDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.faults.judges import Aftermath, breaches
from tests.faults.rounds import Struck, struck_system

# aiokafka leaves a connection behind that it was making when the broker went
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SHORT, LONG = 2, 60
ROUNDS = [
    *range(SHORT),
    *(
        pytest.param(number, marks=pytest.mark.full)
        for number in range(SHORT, LONG if os.environ.get("FULL") else SHORT)
    ),
]


@pytest.fixture(scope="module")
async def struck(backing_folder: Path) -> AsyncIterator[Struck]:
    async with struck_system(backing_folder / "struck") as struck:
        yield struck


@pytest.mark.parametrize("number", ROUNDS)
async def test_every_event_stands_once_and_has_its_effect_once_whatever_is_struck(struck: Struck, number: int):
    await struck.play(number)


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
