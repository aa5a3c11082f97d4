"""The market in the memory of one process: a copy of what PostgreSQL holds, which is built from it and follows it.

What is committed before :meth:`Replica.catch_up` is asked is in the index once it has answered. So a search that comes after
the commit of a company's event sees every company that was committed before, and of two that come at once, one sees the other.

The copy goes by transactions, not by the numbers of the log: a number is given before the commit, and a reader that goes on from
the highest it has seen passes over what is committed late. It remembers a snapshot, and reads what that did not show.

The index is asked and changed in a thread of its own, one thing after the other: it needs a core for most of a search's time, and
not Python's lock, so PostgreSQL and the next events get on meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from typing import TypeVar, cast
from uuid import UUID

import structlog
from chassis.database import Connection, Pool
from chassis.service import Process
from chassis.transaction import Cause
from sojourn_contracts.taxonomy import Taxonomy

from matching import planning, store
from matching.domain import OpenOffer, OpenPlacement
from matching.index import Candidate, Copying, Index
from matching.index.compilation import compile_all
from matching.settings import MatchingSettings

logger = structlog.get_logger(__name__)

T = TypeVar("T")

RESCORE = "rescore"
"""Due work of a market that was scored by other rules."""
EVERY = 1.0
"""Seconds between two looks at what changed, when nobody asks."""
FORGETTING = 60.0
"""Seconds between two removals of old changes."""
PORTION = 16_000_000
"""Bytes of rows that are taken in together when all is read, while PostgreSQL sends on."""


class Replica:
    """An index, and the moment that it is known to stand for."""

    def __init__(self, index: Index, moment: str, taxonomy: Taxonomy) -> None:
        self._index = index
        self._moment = moment
        self._current_at = time.monotonic()
        self._taxonomy = taxonomy
        self.rules = planning.rules(taxonomy)
        self._one_at_a_time = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "index")
        self._lost = asyncio.Event()

    def __len__(self) -> int:
        return len(self._index)

    @property
    def age(self) -> float:
        """Seconds since the index was last known to show all that was committed."""
        return time.monotonic() - self._current_at

    async def candidates(self, end_ids: Sequence[UUID], k: int, today: date) -> dict[UUID, list[Candidate]]:
        """The ``k`` that fit each end best, best first, ties by id; none for an id that is not known."""
        return await self._in_thread(lambda: self._index.candidates_of_each(end_ids, k, today))

    async def catch_up(self, connection: Connection) -> bool:
        """Takes in what was committed up to now, by a connection that has not changed the market itself.

        False when the log does not reach back to what is known: the index answers on, and is read anew meanwhile.
        """
        async with self._one_at_a_time:
            asked_at = time.monotonic()
            news = await store.changed_since(connection, self._moment)
            if news.ids is None:
                self._lost.set()
                return False
            if news.ids:
                await self._take_in(connection, news.ids)
            self._moment, self._current_at = news.moment, asked_at
            return True

    async def _take_in(self, connection: Connection, ids: Sequence[UUID]) -> None:
        placements, offers = bytearray(), bytearray()
        await store.copy_out(connection, _gathering(placements), _gathering(offers), ids)
        meetings = await store.meetings(connection, ids)
        index = self._index

        def replace() -> None:
            """In one go: in between a question would miss them."""
            index.remove(*ids)
            copies = index.copying(OpenPlacement), index.copying(OpenOffer)
            for copying, rows in zip(copies, (placements, offers), strict=True):
                copying.take(bytes(rows))
            _complete(index, copies, meetings)

        await self._in_thread(replace)

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, do)

    async def follow(self, pool: Pool) -> None:
        """Keeps up while nobody asks, and reads all anew where that is not possible; until cancelled."""
        forgot = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._lost.wait()
            try:
                if self._lost.is_set():
                    await self._begin_anew(pool)
                async with pool.acquire() as connection:
                    await self.catch_up(connection)
                    if time.monotonic() - forgot > FORGETTING:
                        forgot = time.monotonic()
                        await store.forget_changes(connection)
            except Exception as error:
                logger.warning("the index does not follow", error=repr(error)[:300])
                await asyncio.sleep(EVERY)

    async def _begin_anew(self, pool: Pool) -> None:
        logger.warning("the index is read anew: the log of changes does not reach back to it")
        async with pool.acquire() as connection:
            await store.begin_log(connection)
        index, moment = await read(pool, self._taxonomy)
        async with self._one_at_a_time:
            self._index, self._moment = index, moment
            self._lost.clear()


@asynccontextmanager
async def following(process: Process) -> AsyncGenerator[Replica]:
    """A replica that follows the market during the block. Its rules are in force from now on: what was scored by others before
    is scored anew, while it is what is gone by.
    """
    taxonomy = cast(MatchingSettings, process.settings).taxonomy
    replica = Replica(*await read(process.pool, taxonomy), taxonomy)
    async with process.open_transaction(Cause()) as tx:
        if await store.put_in_force(tx, replica.rules):
            tx.schedule(RESCORE, planning.MARKET, tx.now)
    task = asyncio.create_task(replica.follow(process.pool), name="replica")
    try:
        yield replica
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def read(pool: Pool, taxonomy: Taxonomy) -> tuple[Index, str]:
    """All that is on the market at one moment, and that moment."""
    await asyncio.to_thread(compile_all)
    began = time.monotonic()
    index = Index(planning.parameters(datetime.now(UTC).date(), taxonomy))
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        moment = await store.moment(connection)
        copies = index.copying(OpenPlacement), index.copying(OpenOffer)
        with ThreadPoolExecutor(1, "index") as thread:
            placements, offers = (_Taking(copying, thread) for copying in copies)
            await store.copy_out(connection, placements, offers)
            await placements.end()
            await offers.end()
        _complete(index, copies, await store.meetings(connection))
    logger.info("index read", ends=len(index), seconds=round(time.monotonic() - began, 3))
    return index, moment


class _Taking:
    """Has rows taken in by a thread while the next ones come."""

    def __init__(self, copying: Copying, thread: ThreadPoolExecutor) -> None:
        self._copying, self._thread = copying, thread
        self._rows = bytearray()
        self._taken: asyncio.Future[None] | None = None

    async def __call__(self, chunk: bytes) -> None:
        self._rows += chunk
        if len(self._rows) > PORTION:
            await self._begin()

    async def end(self) -> None:
        await (await self._begin())

    async def _begin(self) -> "asyncio.Future[None]":
        """With what has come up to now, after what came before."""
        if self._taken is not None:
            await self._taken
        rows, self._rows = bytes(self._rows), bytearray()
        self._taken = asyncio.get_running_loop().run_in_executor(self._thread, self._copying.take, rows)
        return self._taken


def _complete(index: Index, copies: Sequence[Copying], meetings: Iterable[tuple[UUID, list[UUID]]]) -> None:
    """What the columns of a COPY do not tell, and what did not fit is told."""
    for placement_id, offer_ids in meetings:
        index.meet(placement_id, offer_ids)
    if left_out := sum(copying.left_out for copying in copies):
        logger.error(
            "ends are left out of the index: they have too many skills, languages and countries", ends=left_out
        )


def _gathering(rows: bytearray) -> store.Chunks:
    async def gather(chunk: bytes) -> None:
        rows.extend(chunk)

    return gather
