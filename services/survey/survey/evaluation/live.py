"""Live figures for evaluators: one look a second while somebody follows, whoever and how many follow.

The figures of a moment are whole, so a slow reader misses some and never falls behind; nothing is queued for anybody.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from chassis.failures import backoff
from chassis.problems import Problem
from chassis.service import Process
from chassis.transaction import Cause, Transaction

from survey.evaluation import store
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import Figures, encoded
from survey.evaluation.steps import suppressed
from survey.questionnaires.published import newest, published
from survey.questionnaires.questionnaire import Questionnaire

logger = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two looks at whether a number changed."""
HEARTBEAT = 15.0
"""Seconds without a change after which a comment is sent, so that what stands between does not hang up."""
LONGEST = 900.0
"""Seconds that one answer lasts at most; who goes on following shows the token again."""


async def present(tx: Transaction, questionnaire: Questionnaire) -> tuple[int, Figures]:
    """The figures of this moment with their version: constant work, however much is stored. Small cells are hidden."""
    version = await store.summed(tx)
    counts = suppressed(await store.counts(tx, questionnaire.version), tx.settings.disclosure_threshold)
    return version, evaluate(counts, questionnaire)


@dataclass(frozen=True)
class Moment:
    version: int
    figures: bytes


class Live:
    """What one process tells those who follow."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._listeners = 0
        self._moment: Moment | None = None
        self._changed = asyncio.Condition()
        self._looking: asyncio.Task[None] | None = None

    def require_room(self, limit: int) -> None:
        """Raises: Problem: 503, so many follow already."""
        if self._listeners >= limit:
            detail = f"{limit} follow the live figures here; try again"
            raise Problem(503, "too_many_listeners", detail, {"Retry-After": "30"})

    @asynccontextmanager
    async def _following(self) -> AsyncGenerator[None]:
        self._listeners += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="live figures")
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                await self.close()

    async def events(self, last: int | None) -> AsyncGenerator[bytes]:
        """Server-sent events: whole figures, at once unless ``last`` is what they still are, then at each change.

        As in the HTML Standard, section 9.2; ends when the process is to stop, or after a quarter of an hour.
        """
        end = asyncio.get_running_loop().time() + LONGEST
        async with self._following():
            yield b"retry: 3000\n\n"
            while not self._process.stopping and asyncio.get_running_loop().time() < end:
                moment = await self._next(last)
                if moment is None:
                    yield b": nothing new\n\n"
                    continue
                last = moment.version
                yield b"id: %d\nevent: figures\ndata: %b\n\n" % (moment.version, moment.figures.rstrip(b"\n"))

    async def _next(self, last: int | None) -> Moment | None:
        """What is not ``last``; None if that does not change for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT), self._changed:
                await self._changed.wait_for(
                    lambda: self._process.stopping or (self._moment is not None and self._moment.version != last)
                )
        return self._moment if self._moment is not None and self._moment.version != last else None

    async def _look(self) -> None:
        attempt = 0
        while not self._process.stopping:
            try:
                await self._renew()
                attempt = 0
            except Exception as error:
                attempt += 1
                logger.warning("live figures wait", error=repr(error)[:300])
            await asyncio.sleep(max(EVERY, backoff(attempt) if attempt else 0.0))
        async with self._changed:
            self._changed.notify_all()

    async def _renew(self) -> None:
        async with self._process.open_transaction(Cause()) as tx:
            version = await store.version(tx)
            if self._moment is not None and self._moment.version == version and not await store.changed(tx):
                return
            version, figures = await present(tx, newest())
        async with self._changed:
            self._moment = Moment(version, encoded(figures))
            self._changed.notify_all()

    async def close(self) -> None:
        """Nobody follows any more: nothing is looked at."""
        looking, self._looking, self._moment = self._looking, None, None
        if looking is not None:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking


@asynccontextmanager
async def preparing(process: Process) -> AsyncGenerator[Live]:
    """What each process of the survey keeps in memory: those who follow its figures."""
    await asyncio.to_thread(published)  # a faulty file is told at the start, not to who asks first
    live = Live(process)
    try:
        yield live
    finally:
        await live.close()
