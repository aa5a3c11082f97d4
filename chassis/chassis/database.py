"""The connection pool: bounded, and with the time limits that keep a frozen process from holding rows for long."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

TIME_LIMITS = {
    "idle_in_transaction_session_timeout": "5s",
    "transaction_timeout": "30s",
    "lock_timeout": "5s",
}
"""Set on every role when it is made, and again by every connection of ours.

A process that is frozen between the two halves of a statement (prepare, execute) is not idle to PostgreSQL, which waits
for the rest: only the limit on the whole transaction ends that.
"""

SHORT_STATEMENTS = {"max_parallel_workers_per_gather": "0", "jit": "off"}
"""Ours last milliseconds: starting workers, or compiling, takes longer than what is then saved."""


BY_ROLE = {"TimeZone": "UTC", **TIME_LIMITS, **SHORT_STATEMENTS}
"""What every role's sessions begin with. Through a pooler that shares connections, no connection of ours may set it for itself:
there the role's own is all there is, and the pooler is told to pass over ours (``ignore_startup_parameters``).
"""

STATEMENTS = 100
"""Prepared statements that a connection keeps."""


def pool(url: str, service: str, size: int, password_file: Path | None = None, *, statements: int = STATEMENTS) -> Any:
    """A pool on the service's schema; awaiting it connects. JSON columns stay text: models read and write them whole.

    Each connection reads the files anew that the URL names (``sslrootcert``), and that of the password. With no ``statements``
    kept, none has a name: PgBouncer before 1.21 knows nothing of those.
    """
    return asyncpg.create_pool(
        url,
        password=read_anew(password_file),
        min_size=0,
        max_size=size,
        timeout=5,
        command_timeout=30,
        statement_cache_size=statements,
        server_settings={
            "search_path": service,
            "application_name": service,
            "timezone": "UTC",
            **TIME_LIMITS,
            **SHORT_STATEMENTS,
        },
        reset=_nothing_to_reset,
    )


def read_anew(password_file: Path | None) -> Callable[[], str] | None:
    """What asyncpg asks for the password of each connection that it makes; without a file None, and then it is the URL's."""
    return None if password_file is None else lambda: password_file.read_text().strip()


async def _nothing_to_reset(connection: Any) -> None:
    """Saves a round trip after each piece of work: what we set is set for a transaction, or for as long as the session lives.

    An open transaction is rolled back before this is called, by asyncpg itself.
    """


class OldestTransaction:
    """How long the oldest open transaction that writes was seen to be open, whoever's it is, in any database of the server.

    By snapshots, which count all of them: views of activity show a role no more than its own. So it is as old as the first look
    at it, and one that only reads is not seen.
    """

    def __init__(self) -> None:
        self._oldest = 0
        self._since = 0.0

    async def seconds(self, connection: Connection) -> float:
        """0 when none was open at two looks in a row."""
        row = await connection.fetchrow(
            "select pg_snapshot_xmin(seen)::text::bigint as oldest, pg_snapshot_xmax(seen)::text::bigint as next"
            " from pg_current_snapshot() as seen"
        )
        now = time.monotonic()
        if row is not None and (row["oldest"] != self._oldest or row["oldest"] == row["next"]):
            self._oldest, self._since = row["oldest"], now
        return now - self._since


@asynccontextmanager
async def ear(own: Connection, direct: Pool | None) -> AsyncGenerator[Connection]:
    """A connection to listen on: one that no pooler shares, where there are such, else the one that the listener has anyway."""
    if direct is None:
        yield own
        return
    async with direct.acquire() as connection:
        yield connection


def require_open(connection: Connection) -> None:
    """Raises ConnectionError where a listener would hear nothing any more."""
    if connection.is_closed():
        raise ConnectionError("the connection that listens is closed")


@asynccontextmanager
async def listening(connection: Connection, channel: str, heard: Callable[[], None]) -> AsyncGenerator[None]:
    """Calls ``heard`` at each NOTIFY on a channel, until the end of the block."""

    def notified(*_: object) -> None:
        heard()

    await connection.add_listener(channel, notified)
    try:
        yield
    finally:
        with suppress(Exception):
            await connection.remove_listener(channel, notified)
