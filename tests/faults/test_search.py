"""A process killed between the transaction that hears of a company and the one that searches partners for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from laptop.system import System

from tests.chassis_driver import NOON
from tests.faults.embedded import embedded
from tests.registration.forms import registration_form

SETTINGS = {"LEASE_SECONDS": "1", "GROUP_SESSION_TIMEOUT_MS": "1000"}
SOON = 60.0
"""Seconds within which what must come by itself has come, on a busy machine."""
PAIRS = 5


@pytest.fixture
async def system(backing_folder: Path):
    services = ("registration", "matching")
    async with embedded(backing_folder / "search", stopped_at=NOON, environment=SETTINGS, services=services) as running:
        yield running


async def soon(holds: Callable[[], Awaitable[Any]]) -> None:
    deadline = time.monotonic() + SOON
    while not await holds():
        assert time.monotonic() < deadline, "not so in time"
        await asyncio.sleep(0.05)


async def register(system: System, **form: Any) -> None:
    async with httpx.AsyncClient(timeout=20) as http:
        answer = await http.post(
            system.urls["registration"] + "/companies",
            json=registration_form(**form),
            headers={"Idempotency-Key": f"registration-of-{form['name']}".replace(" ", "-")},
        )
        made = answer.json()
        headers = {"Authorization": f"Bearer {made['access_token']}"}
        path = f"/companies/{made['company_id']}/submission"
        answer = await http.post(system.urls["registration"] + path, headers=headers)
    assert answer.json()["status"] == "admitted"


async def test_a_process_killed_before_its_search_is_done_loses_no_search_and_doubles_no_proposal(system: System):
    owner = await asyncpg.connect(system.database.owner_url)
    watcher = await asyncpg.connect(system.database.owner_url)

    async def value(query: str) -> Any:
        return await watcher.fetchval(query)

    async def searching() -> bool:
        """All are heard of, and a search stands where it keeps what it found."""
        waiting = "select count(*) from pg_locks where relation = 'matching.edges'::regclass and not granted"
        return await value("select count(*) from matching.companies") == 2 * PAIRS and await value(waiting)

    try:
        holding = owner.transaction()
        await holding.start()
        await owner.execute("set local idle_in_transaction_session_timeout = 0; lock table matching.edges")
        for number in range(PAIRS):
            await register(system, name=f"Sender {number}", offers=[])
            await register(system, name=f"Host {number}", country="FR", region="FR1", placements=[])
        await soon(searching)
        await system.kill("matching")
        await holding.rollback()
        await soon(lambda: value("select not exists (select from pg_stat_activity where usename = 'sojourn_matching')"))
        assert await value("select count(*) from matching.matches") == 0
        assert await value("select count(*) from matching.due where kind = 'search'") == 2 * PAIRS
        await system.start_service("matching")
        await soon(lambda: value("select not exists (select from matching.due where kind = 'search')"))
        assert await value("select count(*) from matching.matches where live") == PAIRS
        told = "select count(*) from (select subject from matching.outbox union all select subject from matching.event_log) t"
        assert await value(told) == PAIRS
    finally:
        await owner.close()
        await watcher.close()
