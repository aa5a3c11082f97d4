"""Waits for what will be so, for a bounded time, and says what it waited for when it is not."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

Condition = Callable[[], bool | Awaitable[bool]]


async def until(condition: Condition, within: float = 15.0, every: float = 0.01) -> None:
    deadline = time.monotonic() + within
    while True:
        holds = condition()
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within} s: {inspect.getsource(condition).strip()}")
        await asyncio.sleep(every)
