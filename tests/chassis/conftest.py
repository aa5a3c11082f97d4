"""Log lines go to pytest's own capture: structlog's default draws every variable of a traceback, which takes seconds."""

from collections.abc import AsyncIterator

import pytest
import structlog
from chassis.database import Pool
from chassis.migrations import migrate
from laptop.roles import Database

from chassis import database as databases
from tests.chassis.given import MIGRATIONS, SERVICE


@pytest.fixture(scope="session", autouse=True)
def plain_lines():
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


@pytest.fixture
async def url(database: Database) -> str:
    """A database of this test's own, migrated for ``given.SERVICE``."""
    await migrate(database.migrator_url, SERVICE, MIGRATIONS)
    return database.url(SERVICE)


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    async with databases.pool(url, SERVICE, 10) as pool:
        yield pool
