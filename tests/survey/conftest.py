"""The survey service on a real database, the day after the story's exchange completed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from laptop.roles import Database, drop, provision
from laptop.topics import create_topics
from survey.main import service

from tests.chassis_driver import Driver, driving
from tests.migrated import migrated
from tests.survey.sinking import TOPIC, Place
from tests.survey.story import NOON


@pytest.fixture(scope="session")
async def one_survey(postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Driver]:
    database = await provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}")
    await migrated(database, service.name, service.migrations)
    async with driving(service, database.url(service.name), tmp_path_factory.mktemp("survey")) as driver:
        yield driver
    await drop(database)


async def empty(survey: Driver) -> None:
    """Faster than a database for each test."""
    tables = await survey.rows(
        "select table_name from information_schema.tables"
        " where table_schema = 'survey' and table_type = 'BASE TABLE' and table_name <> 'log_generation'"
    )
    counted_last = sorted((row["table_name"] for row in tables), key=lambda name: name.startswith("tally"))
    async with survey.process.pool.acquire() as connection:
        await connection.execute("; ".join(f"delete from {table}" for table in counted_last))


@pytest.fixture
async def survey(one_survey: Driver) -> Driver:
    await empty(one_survey)
    one_survey.clock.now_is(NOON)
    return one_survey


@pytest.fixture
async def sink_place(
    kafka: str, postgres: Database, templates: dict[tuple[str, Path], Database], tmp_path: Path
) -> AsyncIterator[Place]:
    """An empty topic, an empty warehouse, and a database of this test's own."""
    database = await provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}")
    await migrated(database, service.name, service.migrations)
    await emptied(kafka)
    place = Place(kafka, database.url("survey"), tmp_path / "warehouse")
    yield place
    place.catalog.engine.dispose()
    await drop(database)


async def emptied(kafka: str) -> None:
    """A compacted topic cannot be emptied but by making it anew."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([TOPIC])
        async with asyncio.timeout(30):
            while TOPIC in await admin.list_topics():
                await asyncio.sleep(0.02)
    finally:
        await admin.close()
    await create_topics(kafka)
