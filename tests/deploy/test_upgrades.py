"""The former release runs on this one's schema, beside it, and instead of it again: no request fails, no event is lost."""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from chassis.migrations import OWN
from laptop.process import together
from laptop.rolling import Balancer, roll
from laptop.system import System
from sojourn_contracts.catalogue import SERVICES

from tests.deploy.former import REPOSITORY, Former, compiled, former_release, later_migrations
from tests.faults import aftermath
from tests.faults.embedded import embedded
from tests.faults.judges import breaches
from tests.faults.public import Public
from tests.faults.rounds import SETTINGS
from tests.faults.story import START, Promises, Story

pytestmark = pytest.mark.installed

OURS = Path(sys.executable).parent


class Balanced(Public):
    """Asks whom a balancer says. Nobody asks again in vain: what is not answered the first time has failed."""

    def __init__(self, balancer: Balancer) -> None:
        super().__init__({}, random.Random(0), within=30)
        self.url = balancer.url

    @property
    def failed(self) -> dict[str, int]:
        return {answer: n for answer, n in self.answers.items() if answer == "lost" or int(answer) >= 500}


@pytest.fixture(scope="module")
def former() -> Former:
    return former_release()


@pytest.fixture(scope="module")
async def upgrading(former: Former, backing_folder: Path) -> AsyncIterator[System]:
    """The former release, two processes of each service, on today's schema."""
    compiled(OURS)
    replicas = dict.fromkeys(SERVICES, 2)
    folder = backing_folder / "upgrades"
    async with embedded(
        folder, stopped_at=START, environment=SETTINGS, replicas=replicas, programs=former.programs
    ) as system:
        yield system


def todays_migrations() -> set[str]:
    own = {f"{file.parents[1].name}/{file.stem}" for file in REPOSITORY.glob("services/*/*/migrations/*.sql")}
    return own | {f"{service}/{file.stem}" for service in SERVICES for file in OWN.glob("*.sql")}


def test_the_former_release_has_another_schema_of_which_todays_is_a_continuation(former: Former):
    later = todays_migrations() - former.migrations
    assert later
    assert former.migrations < todays_migrations()
    assert {each.partition("/")[2] for each in later} == {file.stem for file in later_migrations()}, "see former.toml"


def programs_that_run(system: System) -> set[Path]:
    """The folders that all processes have their commands from."""
    return {Path(psutil.Process(process.pid).cmdline()[1]).parent for process in system.processes.values()}


@contextmanager
def complaints_told(system: System) -> Generator[None]:
    """Whoever waits for the story learns how far it got; that a column was missed, or something else, the processes' logs say."""
    try:
        yield
    except BaseException as error:
        for complaint, times in Counter(complaints(system)).most_common(10):
            error.add_note(f"{complaint} ({times} times)")
        raise


def complaints(system: System) -> Iterator[str]:
    for log in sorted(system.logs.glob("*.log")):
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}") and (error := json.loads(line).get("error")):
                yield f"{log.stem}: {error}"


async def test_services_roll_to_this_release_and_back_under_load_without_a_failed_request_or_a_lost_event(
    upgrading: System, former: Former
):
    system, promises = upgrading, Promises()
    with complaints_told(system):
        await rolled_to_and_back(system, former, promises)
        found = await aftermath.read(system)
    print({service: len(log) for service, log in found.world.logs.items()})
    assert breaches(found, promises) == []
    assert promises.submitted, "the survey was answered, too"


async def rolled_to_and_back(system: System, former: Former, promises: Promises) -> None:
    async with Balancer(system).probing() as balancer, Balanced(balancer) as public:
        assert programs_that_run(system) == {former.programs}
        for number, programs in enumerate((OURS, former.programs)):
            story = Story(public, system.folder, system.clock, promises, f"upgrade/{number}")
            async with asyncio.TaskGroup() as playing:
                playing.create_task(story.play(number))
                await together(story.turn(), *(roll(system, balancer, service, programs) for service in SERVICES))
                story.over.set()
            assert programs_that_run(system) == {programs}
            assert public.failed == {}
            system.clock.set(system.clock.now + timedelta(days=1))
        print(dict(public.answers))
