"""Migrations of a large installation lock nobody out: meanwhile everybody gets at every large table within a second.

An index that is built concurrently keeps nobody waiting, so it waits itself, for whoever has a transaction open.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from chassis.migrations import OWN, MigrationError, migrate
from laptop.roles import Database
from sojourn_contracts.catalogue import SERVICES

from tests.deploy.former import REPOSITORY, later_migrations

pytestmark = pytest.mark.installed

ROWS = 1_000_000
LARGE = {
    "registration.company": {},
    "matching.matches": {},
    "exchange.exchange": {},
    "exchange.event_log": {},
    "exchange.due": {},
    "survey.invitation": {"state": "'open'"},
}
"""What grows of each service, and of the chassis in one of them; and how a column is filled that does not take anything."""
FILLED = {
    "uuid": "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid",
    "text": "'text ' || n",
    "integer": "n",
    "bigint": "n",
    "timestamp with time zone": "now()",
    "jsonb": """'{"what": "a large installation keeps", "of": ["each", "one", "of", "them"]}'""",
}


def migrations(service: str) -> Path:
    return REPOSITORY / "services" / service / service / "migrations"


@pytest.fixture
async def large(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """What the former release has left behind."""
    with monkeypatch.context() as former:
        former.setattr("chassis.migrations.OWN", former_files(OWN, tmp_path / "chassis"))
        for service in SERVICES:
            await migrate(database.migrator_url, service, former_files(migrations(service), tmp_path / service))
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute("set session_replication_role = replica; set maintenance_work_mem = '256MB'")
        for table, given in LARGE.items():
            await fill(owner, table, given)
    finally:
        await owner.close()
    yield database


def former_files(files: Path, copy: Path) -> Path:
    shutil.copytree(files, copy)
    for later in later_migrations():
        if later.parent == files:
            (copy / later.name).unlink()
    return copy


async def fill(owner: asyncpg.Connection, table: str, given: dict[str, str]) -> None:
    schema, name = table.split(".")
    columns = await owner.fetch(
        "select column_name as name, data_type as type from information_schema.columns where table_schema = $1"
        " and table_name = $2 and column_default is null and is_nullable = 'NO' and is_generated = 'NEVER'",
        schema,
        name,
    )
    values = {column["name"]: given.get(column["name"]) or FILLED[column["type"]] for column in columns}
    indexes = await owner.fetch(
        "select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as made_by from pg_index"
        " where indrelid = $1::text::regclass and not exists (select from pg_constraint where conindid = indexrelid)",
        table,
    )
    for index in indexes:  # built at once, they take a third of the time
        await owner.execute(f"drop index {index['name']}")
    await owner.execute(
        f"insert into {table} ({', '.join(values)}) select {', '.join(values.values())} from generate_series(1, {ROWS}) as n"
    )
    for index in indexes:
        await owner.execute(index["made_by"])


@dataclass
class Others:
    """Everybody else, as they get at the tables meanwhile."""

    longest: float = 0
    """Seconds that somebody waited."""
    locked_out: set[str] = field(default_factory=set)
    """Tables that somebody did not get at within a second."""


@asynccontextmanager
async def others(database: Database) -> AsyncIterator[Others]:
    """Read, write and change a row of each large table, again and again, around the block."""
    found = Others()
    working = [asyncio.create_task(_works(database, table, found)) for table in LARGE]
    try:
        yield found
        await asyncio.sleep(1.5)  # whoever waits at the end still says so
    finally:
        for task in working:
            task.cancel()
        outcomes = await asyncio.gather(*working, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes


async def _works(database: Database, table: str, found: Others) -> None:
    connection = await asyncpg.connect(database.owner_url, server_settings={"lock_timeout": "1s"})
    try:
        while True:
            began = time.monotonic()
            try:
                async with connection.transaction():
                    await connection.execute(f"lock table {table} in row exclusive mode")
                    await connection.execute(f"select from {table} limit 1 for update")
            except asyncpg.LockNotAvailableError:
                found.locked_out.add(table)
            found.longest = max(found.longest, time.monotonic() - began)
            await asyncio.sleep(0.02)
    finally:
        connection.terminate()


BAD = {
    "a default that each row is given anew": "alter table company add column code uuid not null default gen_random_uuid();",
    "many rows changed at once": "update company set revision = revision + 1 where ctid < '(10000, 0)';",
}


async def test_migrations_of_a_million_rows_lock_nobody_out_for_a_second_and_one_that_does_is_caught(
    large: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.ERROR, "chassis.migrations")
    async with others(large) as meanwhile:
        applied = [await migrate(large.migrator_url, service, migrations(service)) for service in SERVICES]
    later = later_migrations()
    assert sum(map(len, applied)) == sum(len(SERVICES) if file.parent == OWN else 1 for file in later)
    assert meanwhile.locked_out == set(), meanwhile.longest
    print(f"longest wait {meanwhile.longest:.2f} s")

    for number, (what, sql) in enumerate(BAD.items()):
        directory = tmp_path / f"bad-{number}"
        shutil.copytree(migrations("registration"), directory)
        (directory / f"9{number}-bad.sql").write_text(
            f"-- {what}\n-- depends:\n\n-- migrate: apply\n{sql}\n-- migrate: rollback\nselect 1;\n"
        )
        async with others(large) as meanwhile:
            await migrate(large.migrator_url, "registration", directory)
        assert meanwhile.locked_out == {"registration.company"}, what


FIRST = "-- first\n-- depends:\n\n-- migrate: apply\ncreate table stay (id int, day date);\n-- migrate: rollback\n"
INDEX = """-- index
-- depends: 0001-first
-- transaction: false

-- migrate: apply

-- A reason.
create index concurrently stay_day on stay (day);

-- migrate: rollback
"""
WRITES = "read_committed", "insert into survey.stay values (1)"
"""Who has it written to is waited for by the first step of a build, and by the removal of what that leaves."""
READS = "repeatable_read", "select from survey.inbox"
"""Whatever it reads: what it would see is waited for by the last step."""
BRIEFLY = 1.0
"""Seconds that a migration waits for a lock while others wait behind it."""


@pytest.fixture
async def indexing(database: Database, tmp_path: Path) -> Path:
    """Migrations of which all but one are applied: it builds an index."""
    (tmp_path / "0001-first.sql").write_text(FIRST)
    await migrate(database.migrator_url, "survey", tmp_path)
    (tmp_path / "0002-index.sql").write_text(INDEX)
    return tmp_path


@asynccontextmanager
async def open_transaction(database: Database, isolation: Any, does: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.owner_url)
    try:
        async with connection.transaction(isolation=isolation):
            await connection.execute(does)
            yield connection
    finally:
        await connection.close()


async def indexes(database: Database) -> dict[str, bool]:
    """Those of the table, and whether they are valid."""
    owner = await asyncpg.connect(database.owner_url)
    try:
        rows = await owner.fetch(
            "select indexrelid::regclass::text as name, indisvalid from pg_index where indrelid = 'survey.stay'::regclass"
        )
    finally:
        await owner.close()
    return {row["name"]: row["indisvalid"] for row in rows}


@pytest.mark.parametrize("meanwhile", [WRITES, READS], ids=["writes", "reads"])
async def test_an_index_is_built_once_however_long_others_have_their_transactions_open_and_locks_nobody_out(
    database: Database, indexing: Path, meanwhile: tuple[str, str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, "chassis.migrations")
    async with open_transaction(database, *meanwhile):
        migrating = asyncio.create_task(migrate(database.migrator_url, "survey", indexing))
        until = time.monotonic() + 3 * BRIEFLY
        while time.monotonic() < until:
            async with asyncio.timeout(BRIEFLY), open_transaction(database, *WRITES):
                pass
            await asyncio.sleep(0.05)
        assert not migrating.done()
    assert await migrating == ["0002-index"]
    assert await indexes(database) == {"survey.stay_day": True}
    assert caplog.text.count("0002-index") == 1, "it was begun once"


async def test_an_index_that_is_given_up_is_not_left_behind_and_who_was_in_the_way_is_named(
    database: Database, indexing: Path
):
    async with open_transaction(database, *READS) as reader:
        whom = rf"locks are held by \w+ \(pid {reader.get_server_pid()}\), whose transaction is open$"
        with pytest.raises(MigrationError, match=whom):
            await migrate(database.migrator_url, "survey", indexing, patience=0.1)
        assert await indexes(database) == {}


async def test_what_is_left_of_an_index_while_somebody_has_the_table_is_dropped_before_it_is_built_anew(
    database: Database, indexing: Path
):
    async with open_transaction(database, *WRITES):
        with pytest.raises(MigrationError):
            await migrate(database.migrator_url, "survey", indexing, patience=0.1)
        assert await indexes(database) == {"survey.stay_day": False}
    assert await migrate(database.migrator_url, "survey", indexing) == ["0002-index"]
    assert await indexes(database) == {"survey.stay_day": True}
