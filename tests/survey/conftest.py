"""The survey service on a real database, the day after the story's exchange completed."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from chassis.migrations import migrate
from laptop.roles import Database, drop, provision
from survey.main import service

from tests.chassis_driver import Driver, driving
from tests.survey.story import NOON


@pytest.fixture(scope="session")
async def one_survey(postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Driver]:
    database = await provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}")
    await migrate(database.migrator_url, service.name, service.migrations)
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
