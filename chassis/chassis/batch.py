"""The runner that events and due work share: a batch is one transaction, and one bad item costs only itself.

Guarantee 4: a batch takes effect whole. When it fails by poison it is rolled back and its items are done one by one, so that
only the poisonous one is set aside, and the rest takes effect exactly once.
Guarantee 5: after ten items set aside in a row the runner halts, and says so; a restart resumes.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from sojourn_contracts.envelope import Malformed

from chassis.failures import is_trouble

T = TypeVar("T")

LONG_ENOUGH = 0.05
"""Seconds that a transaction should last; in a backlog it may grow to four times as much."""
TRIES = 3
IN_A_ROW = 10


class Halted(Exception):  # noqa: N818 - a state, not a fault of the program
    """Ten items in a row were set aside: more likely something is wrong here than with each of them."""


class Batches(Generic[T]):
    """Runs items in transactions of a length that adapts to how long they take."""

    def __init__(
        self,
        do: Callable[[Sequence[T]], Awaitable[None]],
        set_aside: Callable[[T, Exception], Awaitable[None]],
        longest: int = 5_000,
    ) -> None:
        """``do`` runs items in one transaction and commits; ``set_aside`` marks one handled and keeps it for an operator."""
        self._do = do
        self._set_aside = set_aside
        self._longest = longest
        self._size = 10
        self._in_a_row = 0
        self.halted = False

    async def run(self, waiting: deque[T]) -> None:
        """Does all items, in order, and takes each from ``waiting`` once it is done or set aside.

        Raises:
            Halted: see guarantee 5.
            Exception: trouble; ``waiting`` holds what is still to be done.
        """
        while waiting:
            part = list(islice(waiting, self._size))
            started = time.monotonic()
            try:
                await self._do(part)
            except Exception as error:
                if is_trouble(error):
                    raise
                for _ in part:
                    await self._one(waiting[0])
                    waiting.popleft()
                    self._check()
            else:
                for _ in part:
                    waiting.popleft()
                self._in_a_row = 0
                self._pace(len(part), time.monotonic() - started, backlog=bool(waiting))

    async def _one(self, item: T) -> None:
        for attempt in range(TRIES):
            try:
                await self._do([item])
            except Exception as error:
                if is_trouble(error):
                    raise
                if attempt + 1 < TRIES and not isinstance(error, Malformed):
                    await asyncio.sleep(0.02 * 2**attempt)
                    continue
                await self._set_aside(item, error)
                self._in_a_row += 1
            else:
                self._in_a_row = 0
            return

    def _check(self) -> None:
        if self._in_a_row >= IN_A_ROW:
            self._in_a_row = 0
            self.halted = True
            raise Halted(f"{IN_A_ROW} items in a row were set aside")

    def _pace(self, done: int, seconds: float, backlog: bool) -> None:
        wanted = LONG_ENOUGH * (4 if backlog else 1)
        if done == self._size or seconds > wanted:
            self._size = max(1, min(self._longest, int(done * min(2.0, wanted / max(seconds, 0.001)))))
