"""Real Kafka and PostgreSQL for every test that asks for them: embedded, started once per run, nothing left behind."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from chassis.migrations import migrate
from chassis.service import Service
from laptop.kafka import Kafka
from laptop.postgres import Postgres
from laptop.roles import Database, drop, kept_passwords, provision
from laptop.topics import create_topics

from tests import chassis_driver
from tests.chassis_driver import Driver

Driving = Callable[..., Awaitable[Driver]]

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def backing_folder(request: pytest.FixtureRequest):
    """Data and logs of this run's servers; kept when a test failed."""
    folder = REPOSITORY / "build" / "tests" / str(os.getpid())
    folder.mkdir(parents=True)
    yield folder
    if not request.session.testsfailed:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def postgres(backing_folder: Path) -> AsyncIterator[Database]:
    """A provisioned database server: ``admin_url``, ``migrator_url``, ``url(service)``."""
    server = Postgres(backing_folder / "postgres")
    await server.start()
    try:
        yield await provision(server.admin_url, kept_passwords(backing_folder / "passwords.json"))
    finally:
        await server.stop()


@pytest.fixture(scope="session")
async def kafka(backing_folder: Path) -> AsyncIterator[str]:
    """Bootstrap address of a broker with the catalogue's topics."""
    broker = Kafka(backing_folder / "kafka")
    await broker.start()
    try:
        await create_topics(broker.bootstrap)
        yield broker.bootstrap
    finally:
        await broker.stop()


@pytest.fixture
async def database(postgres: Database) -> AsyncIterator[Database]:
    """A database of this test's own, provisioned but not migrated."""
    fresh = await provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}")
    try:
        yield fresh
    finally:
        await drop(fresh)


@pytest.fixture
async def driving(database: Database, tmp_path: Path) -> AsyncIterator[Driving]:
    """``await driving(service, **settings)`` is a ``Driver`` of the service on this test's database."""
    async with AsyncExitStack() as stack:

        async def start(service: Service, **settings: object) -> Driver:
            await migrate(database.migrator_url, service.name, service.migrations)
            url = database.url(service.name)
            return await stack.enter_async_context(chassis_driver.driving(service, url, tmp_path, **settings))

        yield start
