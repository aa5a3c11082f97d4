"""Log lines go to pytest's own capture: structlog's default draws every variable of a traceback, which takes seconds."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from chassis.database import Pool
from laptop.roles import Database

from chassis import database as databases
from tests.chassis.given import MIGRATIONS, SERVICE, a_service
from tests.chassis.manifesting import a_key
from tests.chassis.relays import World
from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.migrated import migrated


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
    await migrated(database, SERVICE, MIGRATIONS)
    return database.url(SERVICE)


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    async with databases.pool(url, SERVICE, 10) as pool:
        yield pool


@pytest.fixture
async def world(url: str, pool: Pool, kafka: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """What a relay works on: an outbox, a log, a name. A frozen transaction ends soon."""
    monkeypatch.setitem(databases.TIME_LIMITS, "idle_in_transaction_session_timeout", "200ms")
    monkeypatch.setitem(databases.TIME_LIMITS, "transaction_timeout", "1s")
    return World(pool, url, kafka, name=f"relay-{uuid4().hex[:8]}")


@pytest.fixture
def manifest_key(tmp_path: Path) -> Path:
    return a_key(tmp_path)


@pytest.fixture
async def driver(driving: Driving, manifest_key: Path) -> Driver:
    """Of the service of ``given``, which issues manifests."""
    return await driving(a_service(), manifest_key=manifest_key)
