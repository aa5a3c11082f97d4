"""Migrations on a real database: together, one after the other, by whom, and for whom."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from chassis.migrations import MigrationError, known, migrate, missing
from laptop.roles import Database

FIRST = """-- companies
-- depends:

-- migrate: apply
create table company (id uuid primary key, number bigserial);
-- migrate: rollback
drop table company;
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "0001-companies.sql").write_text(FIRST)
    return tmp_path


@asynccontextmanager
async def connected(url: str, service: str = "registration") -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, server_settings={"search_path": service})
    try:
        yield connection
    finally:
        await connection.close()


async def test_migrating_again_applies_nothing_and_a_new_file_is_applied_alone(database: Database, directory: Path):
    assert await migrate(database.migrator_url, "registration", directory) == ["0001-companies", *known(directory)[1:]]
    assert await migrate(database.migrator_url, "registration", directory) == []
    second = FIRST.replace("company", "offer").replace("-- depends:", "-- depends: 0001-companies")
    (directory / "0002-offers.sql").write_text(second)
    assert await migrate(database.migrator_url, "registration", directory) == ["0002-offers"]


async def test_services_and_replicas_that_migrate_a_fresh_database_at_once_all_succeed(
    database: Database, directory: Path
):
    services = ("registration", "matching", "exchange", "survey")
    applied = await asyncio.gather(
        *(migrate(database.migrator_url, service, directory) for service in services for _ in range(2))
    )
    assert sorted(applied) == [[]] * 4 + [known(directory)] * 4


async def test_a_second_migration_of_a_service_waits_and_gives_up_with_a_clear_error(
    database: Database, directory: Path
):
    slow = FIRST.replace("create table", "select pg_sleep(1.5); create table")
    (directory / "0001-companies.sql").write_text(slow)
    first = asyncio.create_task(migrate(database.migrator_url, "registration", directory))
    async with connected(database.owner_url) as connection:
        running = "select true from pg_stat_activity where query like '%pg_sleep(1.5)%' and pid <> pg_backend_pid()"
        while not await connection.fetchval(running):
            await asyncio.sleep(0.02)
    with pytest.raises(MigrationError, match="another migration holds the lock of registration"):
        await migrate(database.migrator_url, "registration", directory, patience=0.1)
    assert await migrate(database.migrator_url, "matching", directory) == known(directory)
    assert await migrate(database.migrator_url, "registration", directory) == []
    assert await first == known(directory)


async def test_a_waiting_migration_does_not_stop_an_index_that_is_built_concurrently(
    database: Database, directory: Path
):
    (directory / "0002-index.sql").write_text(
        "-- index\n-- depends: 0001-companies\n-- transaction: false\n\n-- migrate: apply\nselect pg_sleep(0.5);\n"
        "create index concurrently company_number on company (number);\n-- migrate: rollback\ndrop index company_number;\n"
    )
    async with asyncio.timeout(30):
        applied = await asyncio.gather(*(migrate(database.migrator_url, "registration", directory) for _ in range(2)))
    assert sorted(applied) == [[], known(directory)]


async def test_a_file_that_fails_leaves_no_trace_and_is_applied_once_it_is_right(database: Database, directory: Path):
    (directory / "0002-wrong.sql").write_text(
        "-- wrong\n-- depends:\n\n-- migrate: apply\ncreate table half (id int);\nselect 1/0;\n-- migrate: rollback\n"
    )
    with pytest.raises(MigrationError, match=r"registration: Failed to apply 0002-wrong: division by zero"):
        await migrate(database.migrator_url, "registration", directory)
    async with connected(database.migrator_url) as connection:
        assert await connection.fetchval("select to_regclass('half')") is None
    (directory / "0002-wrong.sql").write_text(FIRST.replace("company", "half"))
    assert "0002-wrong" in await migrate(database.migrator_url, "registration", directory)


async def test_the_runtime_role_works_with_rows_and_changes_neither_shape_nor_versions(
    database: Database, directory: Path
):
    await migrate(database.migrator_url, "registration", directory)
    await migrate(database.migrator_url, "matching", directory)
    async with connected(database.url("registration")) as runtime:
        await runtime.execute("insert into company (id) values (gen_random_uuid())")
        await runtime.execute("insert into outbox (event_id, topic, type, dataschema, subject, time) values"
                              " (gen_random_uuid(), 't', 't', 't', gen_random_uuid(), now())")  # fmt: skip
        for forbidden in (
            "create table more (id int)",
            "drop table company",
            "truncate company",
            "select * from matching.company",
            "select * from public._pogo_migration",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await runtime.execute(forbidden)
        for written in ("insert into schema_version values ('0009')", "delete from schema_version"):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
                await runtime.execute(written)


async def test_a_role_that_may_not_migrate_is_told_so(database: Database, directory: Path):
    with pytest.raises(MigrationError, match="may not migrate registration"):
        await migrate(database.url("registration"), "registration", directory)


async def test_what_is_missing_is_named_and_a_later_schema_is_fine(database: Database, directory: Path, tmp_path: Path):
    async with connected(database.url("registration")) as runtime:
        assert await missing(runtime, directory) == known(directory)
        await migrate(database.migrator_url, "registration", directory)
        assert await missing(runtime, directory) == []
        (directory / "0002-offers.sql").write_text(FIRST.replace("company", "offer"))
        assert await missing(runtime, directory) == ["0002-offers"]
        await migrate(database.migrator_url, "registration", directory)
        (directory / "0002-offers.sql").unlink()
        assert await missing(runtime, directory) == []


async def test_a_name_that_is_no_schema_is_refused_before_anything_happens(directory: Path):
    with pytest.raises(ValueError, match="no name for a schema"):
        await migrate("postgresql://nowhere", 'x"; drop schema public; --', directory)


@asynccontextmanager
async def somebody_reading(url: str) -> AsyncGenerator[None]:
    """In a transaction that does not end before the block does."""
    async with connected(url) as other, other.transaction():
        await other.execute("select from company")
        yield


WAITS_FOR_ALL = """-- more
-- depends: 0001-companies

-- migrate: apply
alter table company add column more int;
-- migrate: rollback
"""


async def test_a_migration_that_waits_for_a_lock_lets_others_pass_and_is_applied_once_it_is_free(
    database: Database, directory: Path
):
    await migrate(database.migrator_url, "registration", directory)
    (directory / "0002-more.sql").write_text(WAITS_FOR_ALL)
    async with somebody_reading(database.url("registration")), connected(database.url("registration")) as third:
        migrating = asyncio.create_task(migrate(database.migrator_url, "registration", directory))
        waits = "select exists (select from pg_locks where mode = 'AccessExclusiveLock' and not granted)"
        while not await third.fetchval(waits):
            await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            await third.execute("insert into company (id) values (gen_random_uuid())")
    assert await migrating == ["0002-more"]


async def test_a_migration_that_gets_no_lock_gives_up_and_names_whom_it_waits_for_and_nobody_else(
    database: Database, directory: Path
):
    await migrate(database.migrator_url, "registration", directory)
    (directory / "0002-more.sql").write_text(WAITS_FOR_ALL)
    async with (
        somebody_reading(database.url("registration")),
        connected(database.owner_url) as beside,
        beside.transaction(),
    ):
        await beside.execute("select from registration.inbox")
        with pytest.raises(
            MigrationError,
            match=r"0002-more: .*lock timeout; locks are held by sojourn_registration \(pid \d+\) on registration.company$",
        ):
            await migrate(database.migrator_url, "registration", directory, patience=0.1)
    assert await migrate(database.migrator_url, "registration", directory) == ["0002-more"]


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("chassis.migrations").setLevel(logging.ERROR)
