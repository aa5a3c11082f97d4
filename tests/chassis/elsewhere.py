"""A process of its own, as far as the others can tell: an event loop in a thread, frozen whole or cut off from the world at
any of its awaits. What the loop did not do by then, it does after the thaw, with what it believed before.
"""

import asyncio
import gc
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import Any, Self

from tests.chassis.steps import Steps


class MortalLoop(asyncio.SelectorEventLoop):
    """An event loop whose connections can be cut, for once or for good."""

    dead = False

    def cut(self) -> None:
        """Breaks every connection; what was not sent is never sent."""
        for transport in list(self._transports.values()):  # type: ignore[attr-defined]
            transport.abort()

    def die(self) -> None:
        self.dead = True
        self.cut()

    def _make_socket_transport(self, sock: socket.socket, *arguments: Any, **named: Any) -> Any:
        if self.dead:
            sock.close()
            raise ConnectionResetError("this process is dead")
        return super()._make_socket_transport(sock, *arguments, **named)  # type: ignore[misc]


class Elsewhere:
    """Runs ``main`` in its own loop and stops the whole loop at step ``at`` until one of the verbs says how it goes on."""

    def __init__(self, main: Callable[[], Awaitable[Any]], *modules: ModuleType, at: int | str | None = None) -> None:
        self._main = main
        self._loop = MortalLoop()
        self.steps = Steps(*modules, at=at, act=self._hold)
        self._loop.set_task_factory(self.steps.task_factory)
        self._loop.set_exception_handler(lambda *_: None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._held, self._go_on = threading.Event(), threading.Event()
        self._then: Callable[[], None] = lambda: None
        self._task: asyncio.Task[Any] | None = None
        self.error: BaseException | None = None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._body())
        except BaseException as error:
            self.error = error
        finally:
            while tasks := asyncio.all_tasks(self._loop):
                for task in tasks:
                    task.cancel()
                self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()

    async def _body(self) -> None:
        self._task = asyncio.create_task(self._main())  # type: ignore[arg-type]
        with suppress(asyncio.CancelledError):
            await self._task

    async def _hold(self) -> None:
        """Blocks the thread, and so the whole loop."""
        self._held.set()
        self._go_on.wait(60)
        self._then()

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended with {self.error!r}"
        return f"elsewhere: {state}, held at {self.steps.held_at}, last steps {self.steps.places[-12:]}"

    @property
    def held(self) -> bool:
        return self._held.is_set()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def thaw(self) -> None:
        """It goes on as if nothing had happened."""
        self._go_on.set()

    def kill(self) -> None:
        """Its connections end here, and nothing that it does from here on reaches anybody."""

        def end() -> None:
            self._loop.die()
            self._cancel()

        self._end_with(end)

    def cut(self) -> None:
        """Its connections break; it lives."""
        if self.held:
            self._end_with(self._loop.cut)
        else:
            self.call(self._loop.cut)

    def fail(self, error: BaseException) -> None:
        """What it waits for fails."""

        def end() -> None:
            raise error

        self._end_with(end)

    def cancel(self) -> None:
        """Its main task is cancelled, as by a stop that takes too long."""
        self._end_with(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end_with(self, then: Callable[[], None]) -> None:
        self._then = then
        self._go_on.set()

    def call(self, function: Callable[[], None]) -> None:
        """Calls it in the loop over there."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(function)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        """Waits for its end; hurries it when something went wrong here."""
        self._go_on.set()
        if kind is not None:
            self.call(self._cancel)
        await asyncio.to_thread(self._thread.join, 30)
        assert not self._thread.is_alive(), "it does not end"
        gc.collect()  # its remains belong to this test
