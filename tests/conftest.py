"""Real Kafka and PostgreSQL for every test that asks for them: embedded, started once per run, nothing left behind."""

import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil
import pytest
import structlog
from chassis.service import Service
from laptop.kafka import Kafka
from laptop.postgres import Postgres
from laptop.roles import Database, drop, kept_passwords, open_to_our_roles_only, provision
from laptop.topics import create_topics
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from chassis import telemetry
from tests import chassis_driver
from tests.chassis_driver import Driver
from tests.migrated import migrated
from tests.recorded import Recorded

Driving = Callable[..., Awaitable[Driver]]

REPOSITORY = Path(__file__).parent.parent


COMPACTS_SOON = {"log.cleaner.backoff.ms": "100"}
"""Of a broker: what is to be compacted is so soon, where a test asks for it."""


@asynccontextmanager
async def with_topics(broker: Kafka) -> AsyncIterator[Kafka]:
    """The broker runs, and has the catalogue's topics, for as long as the block lasts."""
    await broker.start()
    try:
        await create_topics(broker.bootstrap)
        yield broker
    finally:
        await broker.stop()


@pytest.fixture(scope="session")
def backing_folder(request: pytest.FixtureRequest):
    """Data and logs of this run's servers; kept for an hour when a test failed."""
    runs = REPOSITORY / "build" / "tests"
    folder = runs / str(os.getpid())
    folder.mkdir(parents=True)
    for former in runs.glob("[0-9]*"):
        if time.time() - former.stat().st_mtime > 3600 and not psutil.pid_exists(int(former.name)):
            shutil.rmtree(former, ignore_errors=True)
    yield folder
    if not request.session.testsfailed:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def postgres(backing_folder: Path) -> AsyncIterator[Database]:
    """A provisioned database server: ``admin_url``, ``migrator_url``, ``url(service)``."""
    server = Postgres(backing_folder / "postgres", settings={"fsync": "off"})
    await server.start()
    try:
        yield await provision(server.admin_url, kept_passwords(backing_folder / "passwords.json"))
    finally:
        await server.stop()


@pytest.fixture(scope="session")
async def kafka(backing_folder: Path) -> AsyncIterator[str]:
    """Bootstrap address of a broker with the catalogue's topics, which compacts soon."""
    async with with_topics(Kafka(backing_folder / "kafka", settings=COMPACTS_SOON)) as broker:
        yield broker.bootstrap


@pytest.fixture
async def database(postgres: Database) -> AsyncIterator[Database]:
    """A database of this test's own, provisioned but not migrated."""
    async with _copy(postgres, postgres.name) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def templates() -> dict[tuple[str, Path], Database]:
    """A migrated database per service, made when it is first needed; tests work on copies."""
    return {}


@pytest.fixture
async def driving(
    postgres: Database, templates: dict[tuple[str, Path], Database], tmp_path: Path
) -> AsyncIterator[Driving]:
    """``await driving(service, **settings)`` is a ``Driver`` of the service on a database of this test's own."""
    async with AsyncExitStack() as stack:

        async def start(service: Service, **settings: object) -> Driver:
            template_of = (service.name, service.migrations)
            if template_of not in templates:
                template = await provision(postgres.admin_url, postgres.passwords, f"template_{len(templates)}")
                await migrated(template, service.name, service.migrations)
                templates[template_of] = template
            fresh = await stack.enter_async_context(_copy(postgres, templates[template_of].name))
            url = fresh.url(service.name)
            return await stack.enter_async_context(chassis_driver.driving(service, url, tmp_path, **settings))

        yield start


@pytest.fixture
async def recorded() -> AsyncIterator[Recorded]:
    """The spans of this test: until its end, they are recorded."""
    kept = Recorded()
    telemetry.record("service", SimpleSpanProcessor(kept.exporter))
    yield kept
    await telemetry.switch_off(5)


@pytest.fixture(autouse=True)
def whoever_logs_next() -> Iterator[None]:
    """A command that a test called in this process has set up its log on a stream that is gone after it."""
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if type(handler) is logging.StreamHandler]:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)


@pytest.fixture
def only_logging() -> Iterator[Callable[[int], None]]:
    """``only_logging(level)``: until the test ends. A line for each of thousands of requests would hide what failed."""
    before = structlog.get_config()
    yield lambda level: structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    structlog.configure(**before)


@asynccontextmanager
async def _copy(server: Database, template: str) -> AsyncIterator[Database]:
    copy = replace(server, name=f"t_{uuid4().hex[:12]}")
    admin = await asyncpg.connect(server.admin_url)
    try:
        await admin.execute(f'create database "{copy.name}" template "{template}"')
    finally:
        await admin.close()
    try:
        await open_to_our_roles_only(copy)
        yield copy
    finally:
        await drop(copy)
