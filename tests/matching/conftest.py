"""One database for all tests of matching, emptied before each; and as many processes on it as a test asks for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from laptop.roles import Database, drop, provision
from matching.main import service

from tests.chassis_driver import Driver, driving
from tests.migrated import migrated

TABLES = (
    *("companies", "placements", "offers", "matches", "edges", "interests", "plan_asked"),
    *("outbox", "inbox", "erased", "due"),
)

Starting = Callable[..., Awaitable[Driver]]


@pytest.fixture(scope="session")
async def market_database(postgres: Database) -> AsyncIterator[Database]:
    fresh = await provision(postgres.admin_url, postgres.passwords, f"market_{uuid4().hex[:12]}")
    await migrated(fresh, service.name, service.migrations)
    try:
        yield fresh
    finally:
        await drop(fresh)


@pytest.fixture
async def starting(market_database: Database, tmp_path: Path) -> AsyncIterator[Starting]:
    """``await starting(**settings)`` is one more process of matching on the emptied database."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> Driver:
            return await stack.enter_async_context(
                driving(service, market_database.url(service.name), tmp_path, **settings)
            )

        await empty(await start())
        yield start


@pytest.fixture
async def matching(starting: Starting) -> Driver:
    """One process of matching."""
    return await starting()


async def empty(driver: Driver) -> None:
    """As when the first process has started."""
    for table in TABLES:
        await driver.rows(f"delete from {table}")
