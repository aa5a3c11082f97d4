"""What is answered with success is committed, and what is not may be asked again: with PostgreSQL killed around a commit, with
PostgreSQL or Kafka away, and with a process that is told to stop.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from chassis.transaction import Cause, Transaction
from laptop.kafka import Kafka
from laptop.postgres import Postgres
from laptop.process import together
from laptop.system import System
from pilot.logs import published
from registration.main import service as registration
from sojourn_contracts.company import CompanyRegistered

from tests.chassis_driver import NOON, Driver, driving
from tests.faults.commits import COMMITTING, Wire, commits_held
from tests.faults.embedded import embedded
from tests.registration.forms import registration_form

PROCESSES = ("registration", "matching")
SETTINGS = {"LEASE_SECONDS": "1", "GROUP_SESSION_TIMEOUT_MS": "1000"}
SOON = 60.0
"""Seconds within which what must come by itself has come, on a busy machine."""


@dataclass(frozen=True)
class House:
    """Two services as processes, with a broker and a database that are killed."""

    system: System
    broker: Kafka
    server: Postgres

    async def registered(self, name: str) -> int:
        """How many companies of this name are admitted."""
        return await self.value(
            "select count(*) from registration.company where name = $1 and status = 'admitted'", name
        )

    async def told(self, name: str) -> int:
        """How many events of such a company were committed, published or not."""
        return await self.value(
            "select (select count(*) from registration.outbox where subject = company_id)"
            " + (select count(*) from registration.event_log where subject = company_id)"
            " from registration.company where name = $1",
            name,
        )

    async def value(self, query: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.system.database.owner_url, timeout=5)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close(timeout=5)


@pytest.fixture(scope="module")
async def house(backing_folder: Path) -> AsyncIterator[House]:
    system = embedded(backing_folder / "commit", stopped_at=NOON, environment=SETTINGS, services=PROCESSES)
    async with system:
        assert system.broker is not None
        assert system.server is not None
        yield House(system, system.broker, system.server)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


async def draft(http: httpx.AsyncClient, url: str, name: str) -> httpx.Response:
    """With a key that is the name's own."""
    headers = {"Idempotency-Key": f"the-registration-of-{name}".replace(" ", "-")}
    return await http.post(url + "/companies", json=registration_form(name=name, placements=[]), headers=headers)


async def submit(http: httpx.AsyncClient, url: str, draft: httpx.Response) -> httpx.Response:
    made = draft.json()
    headers = {"Authorization": f"Bearer {made['access_token']}"}
    return await http.post(f"{url}/companies/{made['company_id']}/submission", headers=headers)


async def register(http: httpx.AsyncClient, url: str, name: str) -> httpx.Response:
    """Drafts and submits; the answer is the draft's, or the submission's if that failed."""
    drafted = await draft(http, url, name)
    if drafted.status_code != 201:
        return drafted
    submitted = await submit(http, url, drafted)
    return drafted if submitted.status_code == 200 else submitted


async def soon(holds: Callable[[], Awaitable[Any]]) -> bool:
    """Whether it comes to hold; asking may fail until then."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        with suppress(OSError, httpx.TransportError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if await holds():
                return True
        await asyncio.sleep(0.05)
    return False


async def test_postgres_killed_after_the_handler_and_before_its_commit_is_a_503_without_effect(
    house: House, tmp_path: Path
):
    name = "Killed before the commit"
    async with driving(registration, house.system.database.url("registration"), tmp_path) as driver:
        handled: list[str] = []
        drafted = await draft(driver.http, "", name)

        @asynccontextmanager
        async def killed_before_the_commit(cause: Cause) -> AsyncIterator[Transaction]:
            async with driver.process.open_request(cause) as tx:
                yield tx
                handled.append(await tx.connection.fetchval("select status from company where name = $1", name))
                await house.server.kill()

        driver.process.app.state.open_transaction = killed_before_the_commit
        answer = await submit(driver.http, "", drafted)
        assert handled == ["admitted"]
        await _away_then_asked_again(house, driver, answer, drafted, name, found=0)


async def test_postgres_killed_while_it_commits_is_a_503_without_effect(house: House, http: httpx.AsyncClient):
    name, url = "Killed in the commit", house.system.urls["registration"]
    drafted = await draft(http, url, name)
    async with commits_held(house.system.database.owner_url):
        asked = asyncio.create_task(submit(http, url, drafted))
        assert await soon(lambda: house.value(COMMITTING))
        await house.server.kill()
        answer = await asked
        await house.server.start()
    assert answer.status_code == 503
    assert answer.json()["rule"] == "unavailable"
    assert await house.registered(name) == 0
    assert await soon(lambda: _accepted(http, url, name))
    assert (await house.registered(name), await house.told(name)) == (1, 1)


async def test_a_commit_whose_answer_is_lost_is_a_503_and_a_repeat_gets_its_answer(house: House, tmp_path: Path):
    name = "Killed after the commit"
    url = house.system.database.url("registration")
    async with Wire(house.server) as wire, driving(registration, wire.through(url), tmp_path) as driver:
        drafted = await draft(driver.http, "", name)
        wire.kills_after_a_commit = True
        answer = await submit(driver.http, "", drafted)
        assert wire.kills_after_a_commit is False
        await _away_then_asked_again(house, driver, answer, drafted, name, found=1)


async def _away_then_asked_again(
    house: House, driver: Driver, lost: httpx.Response, drafted: httpx.Response, name: str, found: int
) -> None:
    """After a restart there are ``found`` of it that were admitted; a repeat admits it or finds that it is."""
    assert lost.status_code == 503
    assert lost.json()["rule"] == "unavailable"
    await house.server.start()
    assert (await house.registered(name), await house.told(name) or 0) == (found, found)
    driver.process.app.state.open_transaction = driver.process.open_request
    answers = [await submit(driver.http, "", drafted) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({answer.json()["revision"] for answer in answers}) == 1
    assert (await house.registered(name), await house.told(name)) == (1, 1)


async def _accepted(http: httpx.AsyncClient, url: str, name: str) -> bool:
    return (await register(http, url, name)).status_code == 201


async def test_without_postgres_a_process_is_live_not_ready_and_ready_by_itself(house: House, http: httpx.AsyncClient):
    urls = [house.system.urls[name] for name in PROCESSES]
    pids = [house.system.processes[name].pid for name in PROCESSES]

    async def answered(path: str, status: int) -> bool:
        return {(await http.get(url + path)).status_code for url in urls} == {status}

    await house.server.kill()
    assert await answered("/live", 200)
    assert await answered("/ready", 503)
    assert (await draft(http, urls[0], "While the database is away")).status_code == 503
    await house.server.start()
    assert await soon(lambda: answered("/ready", 200))
    assert await soon(lambda: _accepted(http, urls[0], "While the database is away"))
    assert await soon(lambda: _arrived(house, "While the database is away"))
    assert pids == [house.system.processes[name].pid for name in PROCESSES]


async def _arrived(house: House, name: str) -> bool:
    """Whether matching has heard of it, over Kafka."""
    return await house.value(
        "select exists (select from matching.companies join registration.company using (company_id)"
        " where name = $1 and payload is not null)",
        name,
    )


async def test_without_kafka_registrations_are_accepted_and_published_once_it_is_back(
    house: House, http: httpx.AsyncClient
):
    url = house.system.urls["registration"]
    names = [f"Without Kafka {number}" for number in range(5)]
    await house.broker.kill()
    made = [await register(http, url, name) for name in names]
    assert [answer.status_code for answer in made] == [201] * len(names)
    assert (await http.get(url + "/ready")).status_code == 200
    await house.broker.start()
    for name in names:
        assert await soon(lambda name=name: _arrived(house, name))
    (records,) = (await published(house.system.kafka, [CompanyRegistered.topic()])).values()
    keys = [record.key for record in records]
    assert [keys.count(answer.json()["company_id"]) for answer in made] == [1] * len(names)


@dataclass
class _Load:
    """Companies that register one after the other, until nobody answers any more."""

    url: str
    accepted: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    async def run(self, http: httpx.AsyncClient, worker: int) -> None:
        for number in range(10_000):
            name = f"Under load {worker}.{number}"
            try:
                answer = await register(http, self.url, name)
            except httpx.TransportError:
                self.unanswered.append(name)
                return
            assert answer.status_code == 201
            self.accepted.append(name)


async def test_a_process_that_is_told_to_stop_under_load_ends_with_0_and_has_kept_what_it_accepted(
    house: House, http: httpx.AsyncClient
):
    load = _Load(house.system.urls["registration"])
    process = house.system.processes["registration"]
    async with asyncio.TaskGroup() as group:
        for worker in range(4):
            group.create_task(load.run(http, worker))
        assert await soon(lambda: _at_least(20, load.accepted))
        began = time.monotonic()
        assert await process.stop(within=SOON) == 0
        assert time.monotonic() - began < 15
    await house.system.start_service("registration")
    kept = await house.value(
        "select array_agg(name) from registration.company where name like 'Under load%' and status = 'admitted'"
    )
    assert len(kept) == len(set(kept))
    assert set(load.accepted) <= set(kept) <= {*load.accepted, *load.unanswered}
    for name in load.unanswered:
        assert (await register(http, load.url, name)).status_code == 201
        assert (await house.registered(name), await house.told(name)) == (1, 1)


async def _at_least(count: int, names: list[str]) -> bool:
    return len(names) >= count


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_process_without_kafka_and_postgres_still_stops(house: House, how: str):
    backing = (house.broker, house.server)
    processes = [house.system.processes[name] for name in PROCESSES]
    if how == "killed":
        await together(*(each.kill() for each in backing))
    else:
        for each in backing:
            each.freeze()
    began = time.monotonic()
    try:
        codes = await asyncio.gather(*(process.stop(within=SOON) for process in processes))
        took = time.monotonic() - began
    finally:
        for each in backing:
            each.thaw()
        if how == "killed":
            await together(*(each.start() for each in backing))
        await together(*(house.system.start_service(name) for name in PROCESSES))
    assert codes == [0, 0]
    assert took < 20
