"""One database for all tests of exchange, emptied for each."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from exchange.main import service
from laptop.roles import Database, drop, provision

from tests import chassis_driver
from tests.chassis_driver import NOON, Driver
from tests.migrated import migrated


@pytest.fixture(scope="session")
async def exchange_database(postgres: Database) -> AsyncIterator[Database]:
    fresh = await provision(postgres.admin_url, postgres.passwords, "t_exchange")
    await migrated(fresh, service.name, service.migrations)
    owner = await asyncpg.connect(fresh.owner_url)
    # Nothing here survives its test: no commit has to wait for the disk.
    await owner.execute("alter database t_exchange set synchronous_commit = off")
    await owner.close()
    try:
        yield fresh
    finally:
        await drop(fresh)


@pytest.fixture(scope="session")
async def shared_driver(exchange_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Driver]:
    folder = tmp_path_factory.mktemp("exchange")
    async with chassis_driver.driving(service, exchange_database.url(service.name), folder) as driver:
        yield driver


@pytest.fixture
async def driver(shared_driver: Driver) -> Driver:
    await emptied(shared_driver)
    return shared_driver


async def emptied(driver: Driver) -> None:
    """As if nothing had ever happened, at the hour the tests begin."""
    driver.clock.now_is(NOON)
    async with driver.process.pool.acquire() as connection:
        await connection.execute(
            "delete from exchange; delete from company; delete from outbox; delete from inbox; delete from erased;"
            " delete from due; delete from answer; delete from payment"
        )
