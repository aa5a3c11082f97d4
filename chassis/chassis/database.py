"""The connection pool: bounded, and with the time limits that keep a frozen process from holding rows for long."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
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


def pool(url: str, service: str, size: int) -> Any:
    """A pool on the service's schema; awaiting it connects. JSON columns stay text: models read and write them whole."""
    return asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=5,
        command_timeout=30,
        server_settings={
            "search_path": service,
            "application_name": service,
            "timezone": "UTC",
            **TIME_LIMITS,
            **SHORT_STATEMENTS,
        },
        reset=_nothing_to_reset,
    )


async def _nothing_to_reset(connection: Any) -> None:
    """Saves a round trip after each piece of work: what we set is set for a transaction, or for as long as the session lives.

    An open transaction is rolled back before this is called, by asyncpg itself.
    """


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
