"""One demonstration: starts the system, replays the companies, asks the services, judges the invariants, stops it all."""

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from laptop.system import System, UncleanStopError
from sojourn_contracts.catalogue import SERVICES

from pilot import invariants
from pilot.choices import Choices
from pilot.invariants import Verdict, World
from pilot.news import News
from pilot.population import START, Company, population
from pilot.programme import Programme
from pilot.replay import Progress, Replay
from pilot.report import Evaluated, Report, report, wall_clock
from pilot.steps import Steps, TopicEnds

SETTINGS = {"PLANNER_TICK_HOURS": "24", "LOG_LEVEL": "warning"}
"""The market is searched once a day, so that nothing depends on the order in which matching hears of companies."""


class NotFresh(RuntimeError):  # noqa: N818 - a state of the backing services
    """Kafka or PostgreSQL hold another story already."""


@dataclass(frozen=True)
class Story:
    """What is replayed."""

    companies: int
    seed: int
    until: datetime


async def demonstrate(
    story: Story, folder: Path, say: Callable[[str], None], tell: Callable[[Progress], None]
) -> Report:
    """Everything that is started is stopped when this returns or raises; data and logs stay in ``folder``.

    Raises:
        StartError: broker, database or a service did not start, or ended meanwhile.
        NotFresh: the backing services were given, and hold data.
        NotSettled: a step of the clock does not come to an end.
    """
    shutil.rmtree(folder, ignore_errors=True)
    companies = population(story.companies, story.seed)
    seconds: dict[str, float] = {}
    made: Report | None = None
    began = time.monotonic()
    try:
        async with System(folder, stopped_at=START, environment=SETTINGS, say=say) as system:
            seconds["start"] = time.monotonic() - began
            say("replaying the companies")
            began = time.monotonic()
            progress, evaluated = await played(system, companies, Choices(story.seed), story.until, tell)
            seconds["replay"] = time.monotonic() - began
            say("stopping the services and judging the invariants")
            began = time.monotonic()
            verdicts, world = await judged(system)
            seconds["judging"] = time.monotonic() - began
            figures = wall_clock(progress, seconds)
            made = report(companies, story.seed, story.until, progress, evaluated, world, verdicts, figures)
    except UncleanStopError:
        if made is None:
            raise
    return made


async def played(
    system: System,
    companies: Sequence[Company],
    choices: Choices,
    until: datetime,
    tell: Callable[[Progress], None] = lambda _: None,
) -> tuple[Progress, Evaluated]:
    """Replays the companies on a running system whose clock stands still, and asks the services what came of it."""
    async with (
        TopicEnds(system.kafka) as ends,
        News(system.kafka) as news,
        Steps(system.clock.set, system.urls, ends) as steps,
        Programme({service: system.urls[service] for service in SERVICES}) as programme,
    ):
        if (await steps.settled(system.clock.now)).changes:
            raise NotFresh("Kafka and PostgreSQL hold another story already: give fresh ones, or none")
        try:
            progress = await Replay(companies, choices, programme, steps, news, until, tell).play()
        except httpx.TransportError:
            await asyncio.sleep(0.2)  # until a process that died has become known as dead
            for process in system.processes.values():
                process.require_alive()
            raise
        operator = (await system.run("registration", "token", "--role", "operator")).strip()
        return progress, Evaluated(
            evaluation=await programme.get("survey", "/evaluation", operator),
            exchanges=await programme.pages("exchange", "/exchanges", operator),
        )


async def judged(system: System) -> tuple[list[Verdict], World]:
    """Stops the services, reads the logs and the topics, and judges all invariants."""
    unclean = await system.stop_services()
    world = await invariants.read(system.database.owner_url, system.kafka)
    return [*invariants.judged(world), Verdict("Every service stopped cleanly", tuple(unclean))], world
