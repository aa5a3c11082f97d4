"""One demonstration: starts the system, replays the companies, asks the services, judges the invariants, stops it all."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from laptop.process import Process
from laptop.system import System, UncleanStopError
from laptop.vies import Register
from sojourn_contracts.catalogue import SERVICES

from pilot import admission, checklists, evaluation, interest, invariants, surveys
from pilot.choices import Choices
from pilot.invariants import Verdict, World
from pilot.marginals import COUNTRIES
from pilot.news import News
from pilot.population import START, Company, population, unknown_to_vies
from pilot.programme import Programme
from pilot.replay import Progress, Replay
from pilot.report import Evaluated, Report, report
from pilot.sessions import Session
from pilot.steps import Steps, TopicEnds

READ = {"en", "it", "de", "fr"}
"""Languages of mails."""
VALIDATING = ("DE", "ES", "IT", "PL")
"""Countries whose contact points validate agreements."""
SETTINGS = {
    "PLANNER_TICK_HOURS": "24",
    "LOG_LEVEL": "warning",
    "TAXONOMY": "",
    "VALIDATING_COUNTRIES": " ".join(VALIDATING),
    "VIES_URL": "",
    "VIES_PAUSE_SECONDS": "0.5",
    "INTEREST_DAYS": str(interest.ASKED_AFTER.days),
    "INTEREST_ANSWER_DAYS": str(interest.ANSWERED_WITHIN.days),
    "CONTACT_POINTS": json.dumps(
        {
            country: {
                "email": f"contact-point@{country.lower()}.example",
                "language": language if language in READ else "en",
            }
            for country, land in COUNTRIES.items()
            for language in land.languages[:1]
        }
    ),
}
"""The market is searched once a day, so that nothing depends on the order in which matching hears of companies. The skills are
the starter set's, which the population names, whatever is in force elsewhere. The Union's VAT register is not asked: a replay
talks to nobody outside, but to a stand-in where it has one; that is asked again soon, since the clock waits for its answer.
"""
VIES_AWAY = (datetime(2016, 11, 14, tzinfo=UTC), datetime(2016, 11, 19, tzinfo=UTC))
"""The week in which the register's stand-in is away."""


LOOKS_EVERY = 0.2
"""Seconds between two looks whether all processes live."""

T = TypeVar("T")


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
) -> tuple[Report, list[Path]]:
    """Everything that is started is stopped when this returns or raises; data and logs stay in ``folder``, and beside it the
    survey's own reports, which are named with what came of it all.

    Raises:
        StartError: broker, database or a service did not start, or ended meanwhile.
        NotFresh: the backing services were given, and hold data.
        NotSettled: a step of the clock does not come to an end.
    """
    shutil.rmtree(folder, ignore_errors=True)
    companies = population(story.companies, story.seed)
    seconds: dict[str, float] = {}
    made: Report | None = None
    reports: list[Path] = []
    began = time.monotonic()
    try:
        register = Register(unknown_to_vies(companies), VIES_AWAY)
        async with System(folder, stopped_at=START, environment=SETTINGS, vies=register, say=say) as system:
            seconds["start"] = time.monotonic() - began
            say("replaying the companies")
            began = time.monotonic()
            progress, evaluated = await played(system, companies, Choices(story.seed), story.until, tell)
            seconds["replay"] = time.monotonic() - began
            say("drawing the survey's report")
            reports = await evaluation.reported(system, folder.parent)
            say("stopping the services and judging the invariants")
            began = time.monotonic()
            verdicts, world = await judged(system, progress, evaluated)
            seconds["judging"] = time.monotonic() - began
            made = report(companies, story.seed, story.until, progress, evaluated, world, verdicts, seconds)
    except UncleanStopError:
        if made is None:
            raise
    return made, reports


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
        Programme({service: system.urls[service] for service in SERVICES}, system.folder) as programme,
    ):
        if (await steps.settled(system.clock.now)).changes:
            raise NotFresh("Kafka and PostgreSQL hold another story already: give fresh ones, or none")
        contact_points = await _contact_points(
            system, sorted({*VALIDATING, *(company.form["country"] for company in companies)})
        )
        replay = Replay(companies, choices, programme, steps, news, contact_points, until, tell)
        progress = await while_all_live(system, replay.play())
        operator = Session.of_token((await system.run("registration", "token", "--role", "operator")).strip())
        return progress, Evaluated(
            evaluation=await programme.get("survey", "/evaluation", operator),
            exchanges=await programme.pages("exchange", "/exchanges", operator),
        )


async def _contact_points(system: System, countries: Sequence[str]) -> dict[str, Session]:
    """The session of each country's contact point."""
    options = [option for country in countries for option in ("--country", country)]
    tokens = await system.run("registration", "token", "--role", "contact_point", *options)
    return dict(zip(countries, map(Session.of_token, tokens.split()), strict=True))


async def while_all_live(system: System, work: Coroutine[Any, Any, T]) -> T:
    """The work's result. A process that dies meanwhile ends it at once, and is named with the end of its log.

    Raises:
        StartError: it does not run any more.
    """
    doing = asyncio.create_task(work)
    try:
        while not doing.done():
            await asyncio.wait({doing}, timeout=LOOKS_EVERY)
            await _require_all_alive(system)
        if doing.exception() is not None:
            await asyncio.sleep(LOOKS_EVERY)  # whoever hears of a death first may hear it before it is known
            await _require_all_alive(system)
        return doing.result()
    finally:
        doing.cancel()
        await asyncio.wait({doing})


async def _require_all_alive(system: System) -> None:
    """Broker and database first: of several that died, they took the others with them."""
    servers = [each for each in (system.broker, system.server) if each is not None]
    backing = [part for server in servers for part in server.parts if isinstance(part, Process)]
    beside = [process for process in (system.vies, system.sink) if process is not None]
    for process in (*backing, *beside, *system.processes.values()):
        if process.exit_code is not None:
            death = process.failure(f"ended with {process.exit_code}")
            await process.stop()  # so that the system does not tell of it again when it stops
            raise death


async def judged(system: System, progress: Progress, evaluated: Evaluated) -> tuple[list[Verdict], World]:
    """Stops the services, reads the logs and the topics, and judges all invariants."""
    verdicts, world = await aftermath(system)
    return [
        *verdicts,
        surveys.counts_agree(world, progress.acts["answer"], evaluated.evaluation),
        checklists.shown_what_is_late(progress.checklists, world),
        interest.silence_closes(progress.interest, world, progress.now),
    ], world


async def aftermath(system: System) -> tuple[list[Verdict], World]:
    """The same without what only a replay knows."""
    unclean = await system.stop_services()
    world = await invariants.read(system.database.owner_url, system.kafka, system.folder)
    verdicts = [*invariants.judged(world), *admission.judged(world)]
    return [*verdicts, Verdict("Every service stopped cleanly", tuple(unclean))], world
