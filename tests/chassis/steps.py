"""Counts the awaits of a coroutine, and does something to it at the n-th: freezes it, ends it, lets it fail.

A step is a moment at which the event loop gets the turn: what was asked for is under way, its answer was not looked at. The
moments before and after an await are the steps around it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any

Act = Callable[[], Awaitable[None]]
"""What happens at the step; what it raises is raised at that await."""


class Steps:
    """The steps of all coroutines that it is put over, counted together."""

    def __init__(self, *modules: ModuleType, at: int | str | None = None, act: Act | None = None) -> None:
        """``modules``: whose lines name the steps; the task factory steps the tasks of the first.

        ``at``: the number of a step, or how its place begins.
        """
        self._own = modules[0].__file__ if modules else None
        self._files = {module.__file__ for module in modules}
        self._at = at
        self.held_at: str | None = None
        """Where it was held."""
        self._held: int | None = None
        self._act = act
        self.places: list[str] = []
        """Where each step was: function and line in one of the modules."""
        self._under_way: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return len(self.places)

    @property
    def has_gone_on(self) -> bool:
        """It made further steps since it was held."""
        return self._held is not None and self.count > self._held

    def under_way(self, name: str) -> bool:
        """A coroutine of this name runs."""
        return self._under_way[name] > 0

    async def over(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs the coroutine, step by step."""
        name = coroutine.__name__
        self._under_way[name] += 1
        try:
            return await _Stepped(self, coroutine)
        finally:
            self._under_way[name] -= 1

    def task_factory(self, loop: Any, coroutine: Any, *, context: Any = None) -> "asyncio.Task[Any]":
        """For ``loop.set_task_factory``: tasks that run a coroutine function of the first module go step by step."""
        code = getattr(coroutine, "cr_code", None)
        if code is None or code.co_filename != self._own:
            return asyncio.Task(coroutine, loop=loop, context=context)
        task = asyncio.Task(self.over(coroutine), loop=loop, context=context)
        task.add_done_callback(lambda _: coroutine.close())  # it never began if the task was cancelled before
        return task

    def make(self, coroutine: Coroutine[Any, Any, Any]) -> Awaitable[None] | None:
        """Notes a step; what is to be done there, if anything."""
        self.places.append(self._place(coroutine))
        if self._act is None or self._held is not None:
            return None
        if self.count != self._at and not (isinstance(self._at, str) and self.places[-1].startswith(self._at)):
            return None
        self._held, self.held_at = self.count, self.places[-1]
        return self._act()

    def _place(self, awaited: Any) -> str:
        place = "?"
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
            if frame is not None and frame.f_code.co_filename in self._files:
                place = f"{frame.f_code.co_name}:{frame.f_lineno}"
            awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
        return place


@dataclass
class _Stepped:
    """Drives a coroutine by hand."""

    steps: Steps
    coroutine: Coroutine[Any, Any, Any]

    def __await__(self) -> Generator[Any, Any, Any]:
        resume: Callable[[], Any] = lambda: self.coroutine.send(None)  # noqa: E731
        while True:
            try:
                waits_for = resume()
            except StopIteration as done:
                return done.value
            try:
                happens = self.steps.make(self.coroutine)
                if happens is not None:
                    yield from happens.__await__()
                yield waits_for
            except BaseException as error:
                resume = _raising(self.coroutine, error)
            else:
                resume = lambda: self.coroutine.send(None)  # noqa: E731


def _raising(coroutine: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: coroutine.throw(error)


def sample(places: list[str], size: int, source: Random) -> list[int]:
    """Numbers of so many steps, from as many different places as there are: first one per place, then any."""
    by_place: dict[str, list[int]] = {}
    for number, place in enumerate(places, 1):
        by_place.setdefault(place, []).append(number)
    groups = list(by_place.values())
    source.shuffle(groups)
    chosen = [source.choice(group) for group in groups[:size]]
    rest = [number for number in range(1, len(places) + 1) if number not in chosen]
    return sorted(chosen + source.sample(rest, min(len(rest), size - len(chosen))))
