"""Registers companies as fast as the system takes them, or so many a second, and times what comes of it.

Programme time stands still and matching searches at every change. A request's correlation id leads to every event that follows
from it, so the topics themselves tell when a registration had come to its proposal.
"""

import asyncio
import json
import shutil
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer
from laptop.process import together
from laptop.system import System
from sojourn_contracts.catalogue import SERVICES
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.match import MatchProposed

from pilot.demo import aftermath, while_all_live
from pilot.population import START, Company, population
from pilot.programme import UnexpectedAnswer
from pilot.report import Report
from pilot.steps import Steps, TopicEnds

CONNECTIONS = 16
"""Requests on their way at a time, when no rate is given."""
SETTINGS = {"PLANNER_TICK_HOURS": "0", "LOG_LEVEL": "warning", "TAXONOMY": "", "VIES_URL": ""}
PATIENCE = 3600.0
"""Seconds in which what follows from all registrations must be over."""
CORRELATION = b"ce_correlationid"


@dataclass
class Timings:
    """Wall-clock instants (monotonic seconds), each by the correlation id of a registration's request."""

    asked: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    registered: dict[str, float] = field(default_factory=dict)
    """When CompanyRegistered could be read from its topic."""
    proposed: dict[str, float] = field(default_factory=dict)
    """When the first proposal of the search that the registration caused could be."""

    @property
    def registrations_per_second(self) -> float:
        lasted = max(self.answered.values()) - min(self.asked.values())
        return len(self.answered) / max(lasted, 1e-9)

    def milliseconds(self, what: Mapping[str, float]) -> dict[str, float]:
        """Since the request was sent: how many came to it, p50, p99 and the longest."""
        waits = sorted(1000 * (at - self.asked[id_]) for id_, at in what.items() if id_ in self.asked)
        if len(waits) < 2:
            return {"count": len(waits)}
        cuts = statistics.quantiles(waits, n=100, method="inclusive")
        return {"count": len(waits), "p50": cuts[49], "p99": cuts[98], "longest": waits[-1]}


async def register(url: str, companies: Sequence[Company], timings: Timings, rate: float | None = None) -> None:
    """Drafts and submits for every company once: ``rate`` a second, evenly, or each as soon as an earlier one is answered.

    Raises:
        UnexpectedAnswer: one was not created, or not admitted by the rules alone.
    """
    waiting = iter([(company.key, json.dumps(company.form).encode()) for company in companies])
    began = time.monotonic()
    sent = 0

    async def ask(http: aiohttp.ClientSession, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
        async with http.post(path, data=body, headers=headers) as answer:
            text = await answer.read()
            if answer.status not in (200, 201):
                raise UnexpectedAnswer(f"registration answered {answer.status}: {text[:500].decode()}")
            return json.loads(text)

    async def send(http: aiohttp.ClientSession, key: str, body: bytes) -> None:
        headers = {"Idempotency-Key": key, "X-Correlation-ID": key, "Content-Type": "application/json"}
        timings.asked[key] = time.monotonic()
        made = await ask(http, f"{url}/companies", body, headers)
        mine = {"Authorization": f"Bearer {made['access_token']}", "X-Correlation-ID": key}
        submitted = await ask(http, f"{url}/companies/{made['company_id']}/submission", b"", mine)
        if submitted["status"] != "admitted":
            raise UnexpectedAnswer(f"the company is {submitted['status']}")
        timings.answered[key] = time.monotonic()

    async def one_after_the_other(http: aiohttp.ClientSession) -> None:
        nonlocal sent
        for key, body in waiting:
            if rate is not None:
                sent += 1
                await asyncio.sleep(began + sent / rate - time.monotonic())
            await send(http, key, body)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as http:
        await together(*(one_after_the_other(http) for _ in range(CONNECTIONS)))


@asynccontextmanager
async def listening(bootstrap_servers: str, timings: Timings) -> AsyncGenerator[None]:
    """Notes when registrations and proposals can be read, around the block."""
    consumer = AIOKafkaConsumer(
        CompanyRegistered.topic(),
        MatchProposed.topic(),
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )

    async def note() -> None:
        async for record in consumer:
            id_ = dict(record.headers).get(CORRELATION.decode(), b"").decode()
            found = timings.proposed if record.topic == MatchProposed.topic() else timings.registered
            found.setdefault(id_, time.monotonic())

    await consumer.start()
    await consumer.seek_to_end()
    noting = asyncio.create_task(note())
    try:
        yield
    finally:
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
        await consumer.stop()


async def load(
    count: int, seed: int, rate: float | None, folder: Path, say: Callable[[str], None] = lambda _: None
) -> Report:
    """Starts the system, registers the companies, waits until all is over, judges the invariants, stops the system."""
    shutil.rmtree(folder, ignore_errors=True)
    companies, timings = population(count, seed), Timings()
    async with System(folder, stopped_at=START, environment=SETTINGS, services=SERVICES, say=say) as system:
        async with (
            listening(system.kafka, timings),
            TopicEnds(system.kafka) as ends,
            Steps(system.clock.set, system.urls, ends) as steps,
        ):
            await steps.settled(START)
            say(f"registering {count:,} companies")
            began = time.monotonic()
            await while_all_live(system, register(system.urls["registration"], companies, timings, rate))
            say(f"{timings.registrations_per_second:,.0f} registrations/s; waiting for what follows from them")
            standing = await while_all_live(system, steps.settled(START, PATIENCE))
            lasted = time.monotonic() - began
        say("stopping the services and judging the invariants")
        verdicts, _ = await aftermath(system)
    return {
        "companies": count,
        "seed": seed,
        "rate": rate,
        "wall_clock": {
            "registrations_per_second": timings.registrations_per_second,
            "events": standing.changes,
            "events_per_second": standing.changes / lasted,
            "seconds_until_all_was_over": lasted,
            "milliseconds_to_answer": timings.milliseconds(timings.answered),
            "milliseconds_to_company_registered": timings.milliseconds(timings.registered),
            "milliseconds_to_match_proposed": timings.milliseconds(timings.proposed),
        },
        "invariants": [verdict.told() for verdict in verdicts],
    }


def lines(made: Report) -> list[tuple[str, Any]]:
    """The figures of a load, a name and a text each."""
    found: list[tuple[str, Any]] = []
    for name, figure in made["wall_clock"].items():
        text = (
            ", ".join(f"{part} {value:,.0f}" for part, value in figure.items())
            if isinstance(figure, dict)
            else f"{figure:,.1f}"
        )
        found.append((name.replace("_", " "), text))
    return found
