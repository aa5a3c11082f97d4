"""Migrations: plain SQL, applied by a command as the role that owns the schemas, never by a serving process.

Guarantee 19: two that run at the same moment, of one service or of several, do not disturb each other; the second one of
a service waits, and gives up with a clear error.

Each file is one transaction unless it says otherwise, and then it may be begun anew. It waits for a lock a second at most, since
whoever comes after it waits as well; then it lets them pass and tries again. Old code runs on a newer schema, so a process is
ready once every migration it knows is applied, whatever else is.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import asyncpg
from pogo_core.util import migrate as pogo
from pogo_core.util import sql as pogo_sql

from chassis.database import Connection

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
    connection = await asyncpg.connect(
        url,
        password=None if password_file is None else lambda: password_file.read_text().strip(),
        timeout=10,
        statement_cache_size=0,
    )
    try:
        # what a session is set and locks here, a pooler that shares it would hand on to others
        if connection.get_server_pid() != await connection.fetchval("select pg_backend_pid()"):
            raise MigrationError("a pooler stands before PostgreSQL: MIGRATOR_DATABASE_URL should lead past it")
        return await _migrate(connection, service, directory, time.monotonic() + patience)
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"the role of this URL may not migrate {service}: {error}") from error
    finally:
        await connection.close(timeout=5)


async def _migrate(connection: Owner, service: str, directory: Path, until: float) -> list[str]:
    await connection.execute("set lock_timeout = '1s'; set idle_in_transaction_session_timeout = 0")
    async with _locked(connection, "the database's list of migrations", until):
        await pogo_sql.ensure_pogo_sync(connection)
    async with _locked(connection, service, until):
        if not await connection.fetchval("select to_regnamespace($1) is not null", service):
            await connection.execute(f'create schema "{service}"')
        await connection.execute(f'set search_path = "{service}"')
        before = await pogo_sql.get_applied_migrations(connection, schema_name=service)
        for files in (OWN, directory):
            await _patiently(connection, service, until, partial(_apply, connection, service, files))
        after = await pogo_sql.get_applied_migrations(connection, schema_name=service)
        await _patiently(connection, service, until, partial(_show_and_grant, connection, service))
    return sorted(after - before)


async def _patiently(connection: Owner, service: str, until: float, step: Callable[[], Awaitable[None]]) -> None:
    """Does it again, for as long as it gives up for want of a lock."""
    while True:
        try:
            await step()
        except (MigrationError, asyncpg.LockNotAvailableError) as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, asyncpg.LockNotAvailableError):
                cause = cause.__cause__
            if cause is None:
                raise
            holders = await connection.fetch(_HOLDERS, service)
            held = "; ".join(f"{row['who']} (pid {row['pid']}) on {row['tables']}" for row in holders)
            if time.monotonic() > until:
                raise MigrationError(f"{error}; locks are held by {held or 'nobody any more'}") from error
            logger.warning("%s is tried again; locks are held by %s", error, held or "nobody any more")
            await asyncio.sleep(0.5)
        else:
            return


_HOLDERS = """
    select pid, coalesce(usename, backend_type) as who,
           string_agg(distinct relation::regclass::text, ', ' order by relation::regclass::text) as tables
    from pg_locks join pg_class on pg_class.oid = relation join pg_stat_activity using (pid)
    where granted and relnamespace = to_regnamespace($1) and relkind = 'r' and pid <> pg_backend_pid()
        and database = (select oid from pg_database where datname = current_database())
    group by pid, coalesce(usename, backend_type)
"""


async def _apply(connection: Owner, service: str, files: Path) -> None:
    try:
        await pogo.apply(connection, files, schema_name=service, logger=logger)
    except Exception as error:
        raise MigrationError(f"{service}: {error}: {error.__cause__}") from error


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
