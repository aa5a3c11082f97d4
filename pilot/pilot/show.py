"""What one sees while a replay runs: the day, what people have done so far, and how fast the system goes."""

import time
from datetime import datetime
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pilot.population import START
from pilot.replay import Progress

SHOWN_ACTS = ("register", "accept", "decline", "draft", "sign", "cancel", "complete", "answer")


class Showing:
    """A few lines that change in place on a terminal; elsewhere a line for each month of the programme."""

    def __init__(self, console: Console, until: datetime) -> None:
        self._console = console
        self._until = until
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._began = time.monotonic()
        self._month = ""

    def __enter__(self) -> "Showing":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, what: str) -> None:
        """What the system is being made to do."""
        self._console.print(f"{what} ...", style="dim")
        self._began = time.monotonic()

    def tell(self, progress: Progress) -> None:
        """How far the replay has come."""
        if self._console.is_terminal:
            self._live.update(self._table(progress))
        elif (month := f"{progress.now:%Y-%m}") != self._month:
            self._month = month
            self._console.print(f"{progress.now:%Y-%m-%d}: {_acts(progress)}; {self._pace(progress)}")

    def _table(self, progress: Progress) -> Table:
        days, all_days = (progress.now - START).days, (self._until - START).days
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_row("programme day", f"[bold]{progress.now:%a %d %b %Y}[/]  (day {days} of at most {all_days})")
        table.add_row("people", _acts(progress))
        table.add_row("system", self._pace(progress))
        return table

    def _pace(self, progress: Progress) -> str:
        passed = max(0.001, time.monotonic() - self._began)
        rate = progress.events / passed
        return f"{progress.events:,} events, {rate:,.0f}/s, {progress.steps:,} steps of the clock, {passed:.0f} s"


def _acts(progress: Progress) -> str:
    done = [f"{progress.acts[name]} {name}" for name in SHOWN_ACTS if progress.acts[name]]
    return ", ".join(done) or "nobody has come yet"
