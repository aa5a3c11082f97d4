"""One process that we started: its log, its signals, its end.

Everything that runs on the laptop, the broker, the database and the services, is started here, in a session of its own, so that
Ctrl-C reaches the one who started it and not the process itself.
"""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from laptop import leash

_SPEAKS_OF_AN_ERROR = re.compile(r"\b(ERROR|FATAL|error|\w*Exception|\w*Error)\b")


class StartError(RuntimeError):
    """Something did not come up. The message says what, and ends with the end of its log."""


@dataclass(frozen=True)
class Running:
    """What one needs to find a process again, also from another command: its number alone may have passed to somebody else."""

    name: str
    pid: int
    started: float
    stop_signal: int = signal.SIGTERM

    def find(self) -> psutil.Process | None:
        """The process, or None when it has ended (a zombie nobody fetches has ended, too)."""
        try:
            process = psutil.Process(self.pid)
            ours = abs(process.create_time() - self.started) < 2 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if ours else None

    def family(self) -> list[psutil.Process]:
        """The process and all it started, itself first."""
        process = self.find()
        if process is None:
            return []
        try:
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return [process]

    async def stop(self, within: float) -> bool:
        """Ask it to end; False when it had to be killed because it did not within that many seconds."""
        family = self.family()
        if not family:
            return True
        _signal(family[:1], self.stop_signal)
        _signal(family, signal.SIGCONT)
        if await _gone(family[:1], within):
            return await _gone(family, 5)
        await self.kill()
        return False

    async def kill(self) -> None:
        """End it and all it started at once (SIGKILL), and return when none is left."""
        family = self.family()
        _signal(family, signal.SIGKILL)
        await _gone(family, 30)


class Process:
    """A command with its environment and its log; it may be started, ended and started again."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | os.PathLike[str]],
        *,
        log: Path,
        environment: Mapping[str, str],
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        """It ends with us at the latest, however we end, unless it is let go."""
        self.name = name
        self.log = log
        self.running: Running | None = None
        self._command = command
        self._environment = environment
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[Any] | None = None
        self._log_from = 0

    @property
    def pid(self) -> int:
        if self.running is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.running.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs (and before its start); negative: the signal that ended it."""
        return None if self._child is None else self._child.poll()

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def spawn(self) -> None:
        """Start it; it need not be ready when this returns."""
        if self.alive:
            raise RuntimeError(f"{self.name} is running already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            try:
                child = subprocess.Popen(  # noqa: S603 - our own commands
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise StartError(f"{self.name} could not be started: {error}") from error
        self._child = child
        self.running = Running(self.name, child.pid, psutil.Process(child.pid).create_time(), self._stop_signal)
        leash.hold(self.running.pid, self.running.started)

    def log_end(self, lines: int = 15) -> str:
        """The last lines of what it wrote since its latest start, and before them those that speak of errors."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(self._log_from, log.seek(0, os.SEEK_END) - 200_000))
            written = log.read().decode(errors="replace").splitlines()
        errors = [line for line in written[:-lines] if _SPEAKS_OF_AN_ERROR.search(line)]
        return "\n".join([*errors[-lines:], *(["..."] if errors else []), *written[-lines:]])

    def failure(self, what: str) -> StartError:
        """What went wrong, and the end of its log."""
        end = self.log_end().strip() or "(empty)"
        return StartError(f"{self.name} {what}; the end of {self.log}:\n{end}")

    def require_alive(self) -> None:
        """Raise, with the end of its log, when it has ended."""
        if self.exit_code is not None:
            raise self.failure(f"ended with {self.exit_code}")

    async def stop(self, within: float = 20) -> int | None:
        """Ask it to end and return its exit code; past that many seconds it is killed. None when it was not started."""
        if self.running is not None:
            await self.running.stop(within)
        return self._ended()

    async def kill(self) -> None:
        """SIGKILL, also to all it started; none of them is left when this returns."""
        if self.running is not None:
            await self.running.kill()
        self._ended()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its sockets, locks and leases, and does nothing. Ended by ``thaw``, ``stop`` or ``kill``."""
        if self.running is not None:
            _signal(self.running.family(), signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on where it was."""
        if self.running is not None:
            _signal(self.running.family(), signal.SIGCONT)

    def let_go(self) -> None:
        """From now on it outlives us."""
        if self.running is not None:
            leash.release(self.running.pid)

    def _ended(self) -> int | None:
        if self._child is None:
            return None
        code = self._child.wait()
        if self.running is not None:
            leash.release(self.running.pid)
        self.running = None
        return code


def _signal(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


async def _gone(processes: Sequence[psutil.Process], within: float) -> bool:
    """Whether all of them end within that many seconds. Zombies count as ended: whoever started them fetches them."""
    return await until(lambda: not any(_is_there(process) for process in processes), within)


async def until(holds: Callable[[], bool], within: float) -> bool:
    """Wait until it holds, at most that many seconds; whether it did."""
    deadline = asyncio.get_running_loop().time() + within
    while not holds():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


async def together(*works: Coroutine[Any, Any, Any]) -> None:
    """Do them side by side. The first failure cancels the others, is waited for, and raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _is_there(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
