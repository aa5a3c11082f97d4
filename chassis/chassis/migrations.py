"""Migrations: plain SQL, applied by a command as the role that owns the schemas, never by a serving process.

Guarantee 19: two that run at the same moment, of one service or of several, do not disturb each other; the second one of
a service waits, and gives up with a clear error.

Each file is one transaction unless it says otherwise, and then it may be begun anew. It waits for a lock a second at most, since
whoever comes after it waits as well; then it lets them pass and tries again. An index that is built or dropped ``concurrently``
makes nobody wait, so that waits as long as there is patience. Old code runs on a newer schema, so a process is ready once every
migration it knows is applied, whatever else is.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.migration import Migration, read_sql_migration, strip_comments, topological_sort
from pogo_core.util import migrate as pogo
from pogo_core.util import sql as pogo_sql

from chassis.database import Connection, read_anew

if TYPE_CHECKING:
    Owner = asyncpg.Connection[asyncpg.Record]
else:
    Owner = asyncpg.Connection

logger = logging.getLogger(__name__)

OWN = Path(__file__).parent / "migrations"
"""The chassis' tables, which every service's schema has."""

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")
_LOCKS = 0x50_6A
"""First half of our advisory locks' keys: they share one space with everybody else's in this database."""


class MigrationError(Exception):
    """The schema could not be migrated; what was applied before the failing file stays applied."""


async def migrate(
    url: str, service: str, directory: Path, *, password_file: Path | None = None, patience: float = 60.0
) -> list[str]:
    """Applies what is missing, the chassis' files first, and gives their names.

    It also grants the runtime role (see ``roles``) all that it needs in this schema, if there is one.

    Raises:
        MigrationError: another one runs, or somebody keeps a lock, for longer than ``patience`` seconds, a file failed, or a
            pooler is between.
    """
    if not _NAME.match(service):
        raise ValueError(f"{service!r} is no name for a schema")
    connect = partial(
        asyncpg.connect,
        url,
        password=read_anew(password_file),
        timeout=10,
        statement_cache_size=0,
    )
    connection = await connect()
    try:
        # what a session is set and locks here, a pooler that shares it would hand on to others
        if connection.get_server_pid() != await connection.fetchval("select pg_backend_pid()"):
            raise MigrationError("a pooler stands before PostgreSQL: MIGRATOR_DATABASE_URL should lead past it")
        async with _watched(connect, connection.get_server_pid()) as waits:
            return await _migrate(connection, waits, service, directory, time.monotonic() + patience)
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"the role of this URL may not migrate {service}: {error}") from error
    finally:
        await connection.close(timeout=5)


async def _migrate(connection: Owner, waits: "_Waits", service: str, directory: Path, until: float) -> list[str]:
    await connection.execute(f"{_BRIEFLY}; set idle_in_transaction_session_timeout = 0")
    async with _locked(connection, "the database's list of migrations", until):
        await pogo_sql.ensure_pogo_sync(connection)
    async with _locked(connection, service, until):
        if not await connection.fetchval("select to_regnamespace($1) is not null", service):
            await connection.execute(f'create schema "{service}"')
        await connection.execute(f'set search_path = "{service}"')
        before = await pogo_sql.get_applied_migrations(connection, schema_name=service)
        for files in (OWN, directory):
            for migration in await _to_apply(connection, service, files):
                await _patiently(waits, until, partial(_apply, connection, service, migration, until))
        after = await pogo_sql.get_applied_migrations(connection, schema_name=service)
        await _patiently(waits, until, partial(_show_and_grant, connection, service))
    return sorted(after - before)


async def _patiently(waits: "_Waits", until: float, step: Callable[[], Awaitable[None]]) -> None:
    """Does it again, for as long as it gives up for want of a lock."""
    while True:
        waits.for_whom = "nobody any more"
        try:
            await step()
        except (MigrationError, asyncpg.LockNotAvailableError) as error:
            cause = error.__cause__ if isinstance(error, MigrationError) else error
            if not isinstance(cause, asyncpg.LockNotAvailableError):
                raise
            if time.monotonic() > until:
                raise MigrationError(f"{error}; locks are held by {waits.for_whom}") from error
            logger.warning("%s is tried again; locks are held by %s", error, waits.for_whom)
            await asyncio.sleep(0.5)
        else:
            return


@dataclass
class _Waits:
    """For whom a migration was last seen to wait, since it was begun."""

    for_whom: str = "nobody any more"


@asynccontextmanager
async def _watched(connect: Callable[[], Awaitable[Owner]], pid: int) -> AsyncGenerator[_Waits]:
    """Looks, on a connection of its own, for whom a session waits: once its time is up, it waits for nobody any more."""
    waits = _Waits()
    beside = await connect()

    async def watch() -> None:
        while True:
            waits.for_whom = await beside.fetchval(_BLOCKING, pid) or waits.for_whom
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield waits
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await beside.close(timeout=5)


_BLOCKING = """
    select string_agg(distinct coalesce(usename, backend_type) || ' (pid ' || pid || ')'
                      || coalesce(' on ' || wanted.relation::regclass, ', whose transaction is open'), '; ')
    from unnest(pg_blocking_pids($1)) as blocking (pid) join pg_stat_activity using (pid),
        (select relation from pg_locks where pid = $1 and not granted) as wanted
"""
_BRIEFLY = "set lock_timeout = '1s'"
_CONCURRENT = re.compile(r"^\s*(create\s+(unique\s+)?|drop\s+|re)index\s+(\w+\s+)?concurrently\b", re.IGNORECASE)
_BUILT = re.compile(r"\bcreate\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(\w+)", re.IGNORECASE)


async def _to_apply(connection: Owner, service: str, files: Path) -> list[Migration]:
    try:
        found = await pogo_sql.read_migrations(files, connection, schema_name=service)
        return [each for each in topological_sort([each.load() for each in found]) if not each.applied]
    except BadMigrationError as error:
        raise MigrationError(f"{service}: {error}") from error


async def _apply(connection: Owner, service: str, migration: Migration, until: float) -> None:
    try:
        logger.warning("Applying %s", migration.id)
        async with pogo.transaction(connection, migration):
            if migration.use_transaction:
                await migration.apply(connection)
            else:
                *_, statements, _ = read_sql_migration(migration.path)
                await _apply_each(connection, statements, until)
            await pogo_sql.migration_applied(connection, migration.id, migration.hash, schema_name=service)
    except Exception as error:
        raise MigrationError(f"{service}: Failed to apply {migration.id}: {error}") from error


async def _apply_each(connection: Owner, statements: Iterable[str], until: float) -> None:
    """Outside of a transaction."""
    for statement in filter(None, map(strip_comments, statements)):
        if _CONCURRENT.match(statement):
            await _concurrently(connection, statement, until)
        else:
            await connection.execute(statement)


async def _concurrently(connection: Owner, statement: str, until: float) -> None:
    """What a build that fails leaves, which nobody reads and every write maintains, goes at once, if whom it waited for lets
    that be, and else before it is begun anew.
    """
    built = _BUILT.search(statement)
    index = built and built[1]
    await connection.execute(f"set lock_timeout = {max(1_000, round(1_000 * (until - time.monotonic())))}")
    try:
        await _drop_if_invalid(connection, index)
        await connection.execute(statement)
    finally:
        if not connection.is_closed():
            await connection.execute(_BRIEFLY)
            with suppress(asyncpg.LockNotAvailableError):
                await _drop_if_invalid(connection, index)


async def _drop_if_invalid(connection: Owner, index: str | None) -> None:
    if await connection.fetchval("select not indisvalid from pg_index where indexrelid = to_regclass($1)", index):
        await connection.execute(f"drop index concurrently {index}")


async def _show_and_grant(connection: Owner, service: str) -> None:
    """The view of what is applied, and the runtime role's rights: to the rows of its own schema, not to its shape.

    Of a table with the comment ``insert-only``, it may add and read rows, and nothing else but what the comment says further:
    ``insert-only, but for update (data)``.
    """
    async with connection.transaction():
        await connection.execute(
            # "distinct" makes the view one that cannot be written through, whatever rights come by default.
            "create or replace view schema_version as"  # noqa: S608 - a view takes no parameters; the name is checked
            f" select distinct migration_id from public._pogo_migration where schema_name = '{service}'"
        )
        role = runtime_role(service)
        if await connection.fetchval("select to_regrole($1) is not null", role):
            await connection.execute(
                f"""
                grant usage on schema "{service}" to {role};
                grant select, insert, update, delete on all tables in schema "{service}" to {role};
                grant usage on all sequences in schema "{service}" to {role};
                """
            )
            for table in await connection.fetch(
                "select oid::regclass::text as name, substring(comment from '^insert-only, but for (.*)$') as further"
                " from pg_class, obj_description(oid, 'pg_class') as comment"
                " where relnamespace = to_regnamespace($1) and relkind = 'r' and comment ~ '^insert-only(, but for .*)?$'",
                service,
            ):
                await connection.execute(f"revoke update, delete, truncate on {table['name']} from {role}")
                if table["further"] is not None:
                    await connection.execute(f"grant {table['further']} on {table['name']} to {role}")


def runtime_role(service: str) -> str:
    """What a service connects as; roles belong to the whole database server, hence the prefix."""
    return f"sojourn_{service}"


@asynccontextmanager
async def _locked(connection: Owner, name: str, until: float) -> AsyncGenerator[None]:
    """Asks again and again: one that waited inside a statement would hold a snapshot, and ``create index concurrently``
    of the one that is ahead would wait for it for ever.
    """
    key = (_LOCKS, crc32(name.encode()) - 2**31)
    while not await connection.fetchval("select pg_try_advisory_lock($1, $2)", *key):
        if time.monotonic() > until:
            raise MigrationError(f"another migration holds the lock of {name}; it is still running, or its session is")
        await asyncio.sleep(0.2)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("select pg_advisory_unlock($1, $2)", *key)


def known(directory: Path) -> list[str]:
    """The migrations that this code comes with."""
    return sorted(file.stem for files in (OWN, directory) for file in files.glob("*.sql"))


async def missing(connection: Connection, directory: Path) -> list[str]:
    """The migrations that this code needs and the schema lacks; those that only the schema knows do not matter."""
    try:
        rows = await connection.fetch("select migration_id from schema_version")
    except asyncpg.UndefinedTableError:
        return known(directory)
    applied = {row["migration_id"] for row in rows}
    return [name for name in known(directory) if name not in applied]
