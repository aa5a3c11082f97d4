"""The log's end, as one process follows it: read once, whoever and how many follow.

The reader keeps what it read last; who lags behind that, because it is slow or only begins, reads the log. So nothing is queued
for anybody, and a slow one holds up nobody.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from chassis.database import Connection, Pool, ear, listening, require_open
from chassis.failures import backoff
from chassis.logged import Cursor, Entry, Log

CHUNK = 500
"""Events that are read at once for who follows."""
POLL = 0.5
"""Seconds between looks into the log while somebody follows, when nothing wakes the reader."""
REST = 0.02
"""Seconds between two looks at least: what is written meanwhile reaches everybody in one go."""
HEARTBEAT = 15.0
"""Seconds without an event after which a comment is sent, so that what stands between does not hang up."""
LONGEST = 900.0
"""Seconds that one answer lasts at most; who goes on following shows the token again."""
KEPT_SECONDS = 10.0
KEPT_CHARACTERS = 8_000_000
"""What the reader keeps for who lags behind. No longer: an erasure that empties the log does not reach it."""

logger = structlog.get_logger(__name__)


class Tail:
    """A log's end, as this process follows it while anybody does: read once, whoever and how many follow."""

    def __init__(
        self, log: Log, pool: Pool, channel: str, stopping: Callable[[], bool], direct: Pool | None = None
    ) -> None:
        """``direct``: see ``database.ear``."""
        self._log = log
        self._pool = pool
        self._direct = direct
        self._channel = channel
        self._stopping = stopping
        self._kept: deque[tuple[float, Entry]] = deque()
        self._characters = 0
        self._begin = 0
        """All later places up to the end are kept."""
        self._end: Cursor | None = None
        self._restores = 0
        self._look = asyncio.Event()
        self._grown = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self.followers = 0

    def wake(self) -> None:
        """Makes the reader look at once: the log may have grown."""
        self._look.set()

    async def follow(
        self, after: Cursor, topics: Sequence[str], within: float = math.inf
    ) -> AsyncGenerator[list[Entry]]:
        """What comes after a cursor, as it comes; an empty list where nothing did for a while.

        Ends after ``within`` seconds or a quarter of an hour, when the process is to stop, and when the log is restored to an
        earlier state.
        """
        now = asyncio.get_running_loop().time
        until, restores, at = now() + min(within, LONGEST), self._restores, after.place
        async with self._following():
            while not self._stopping() and restores == self._restores and (left := until - now()) > 0:
                grown, end = self._grown, self._end
                if end is not None and at >= self._begin:
                    entries = self._kept_after(at, topics)
                    at = max(at, end.place)
                else:
                    async with self._pool.acquire() as connection:
                        page = await self._log.after(connection, topics, after._replace(place=at), CHUNK)
                    entries, seen = page.entries, end.place if end is not None and page.ended else 0
                    at = max(page.reached.place, seen)
                if entries:
                    yield entries
                elif end is None or at >= end.place:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(left, HEARTBEAT)):
                            await grown.wait()
                            continue
                    yield []

    def _kept_after(self, place: int, topics: Sequence[str]) -> list[Entry]:
        found: list[Entry] = []
        for _, entry in reversed(self._kept):
            if entry.cursor.place <= place:
                break
            if entry.topic in topics:
                found.append(entry)
        return found[::-1]

    @asynccontextmanager
    async def _following(self) -> AsyncGenerator[None]:
        self.followers += 1
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="feed")
        try:
            yield
        finally:
            # the reader ends by itself: who hangs up is cancelled, and could not wait for it
            self.followers -= 1
            self.wake()

    async def _read(self) -> None:
        attempt = 0
        while self._wanted():
            try:
                async with (
                    self._pool.acquire() as connection,
                    ear(connection, self._direct) as hears,
                    listening(hears, self._channel, self.wake),
                ):
                    while self._wanted():
                        require_open(hears)
                        await self._read_on(connection)
                        attempt = 0
            except Exception as error:
                attempt += 1
                logger.warning("the feed waits", error=repr(error)[:300])
                await asyncio.sleep(backoff(attempt, longest=2.0))
        self._reading = None
        self._forget(None)
        self._tell()

    def _wanted(self) -> bool:
        return self.followers > 0 and not self._stopping()

    async def _read_on(self, connection: Connection) -> None:
        """Reads what is new, tells everybody, and waits until there may be more."""
        self._look.clear()
        if self._end is None or not await self._log.holds(connection, self._end):
            self._restores += self._end is not None
            self._end = await self._log.end(connection)
            self._forget(self._end)
            self._tell()
        page = await self._log.after(connection, self._log.topics, self._end, CHUNK)
        self._keep(page.entries)
        if page.entries:
            self._tell()
        if page.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._look.wait()
            await asyncio.sleep(REST)

    def _keep(self, entries: Sequence[Entry]) -> None:
        now = asyncio.get_running_loop().time()
        for entry in entries:
            self._kept.append((now, entry))
            self._characters += len(entry.event)
            self._end = entry.cursor
        while self._kept and (self._kept[0][0] < now - KEPT_SECONDS or self._characters > KEPT_CHARACTERS):
            _, gone = self._kept.popleft()
            self._characters -= len(gone.event)
            self._begin = gone.cursor.place

    def _forget(self, end: Cursor | None) -> None:
        self._kept.clear()
        self._characters, self._end, self._begin = 0, end, end.place if end else 0

    def _tell(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
