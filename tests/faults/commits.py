"""Commits at which PostgreSQL can be killed: held before they are done, or done while nobody gets to hear of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from laptop.ports import HOST
from laptop.postgres import Postgres

COMMITTING = """
    select count(*) from pg_stat_activity
    where usename = 'sojourn_registration' and query ilike 'commit%' and wait_event = 'advisory'
"""


@asynccontextmanager
async def commits_held(owner_url: str) -> AsyncIterator[None]:
    """Transactions that decide about a company stay within their commit: a deferred trigger waits for a lock that we hold."""
    connection = await asyncpg.connect(owner_url)
    await connection.execute(
        """
        create function registration.held() returns trigger language plpgsql set lock_timeout = 0
        as 'begin perform pg_advisory_xact_lock(42); return null; end';
        create constraint trigger held after insert on registration.decision
        deferrable initially deferred for each row execute function registration.held();
        select pg_advisory_lock(42);
        """
    )
    try:
        yield
    finally:
        connection.terminate()
        connection = await asyncpg.connect(owner_url)
        await connection.execute("drop function registration.held() cascade")
        await connection.close()


class Wire:
    """A way to PostgreSQL on which the answer to a commit can be lost, since the server is killed once it was given."""

    COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self.kills_after_a_commit = False
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Wire":
        self._listening = await asyncio.start_server(self._connected, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def through(self, url: str) -> str:
        parts = urlsplit(url)
        port = self._listening.sockets[0].getsockname()[1]
        return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{HOST}:{port}"))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(HOST, self._server.port)
        except OSError:
            writer.close()
            return
        for pump in (self._pump(reader, there[1]), self._pump(there[0], writer, answers=True)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool = False) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if answers and self.kills_after_a_commit and self.COMMITTED in data:
                    self.kills_after_a_commit = False
                    await self._server.kill()
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
