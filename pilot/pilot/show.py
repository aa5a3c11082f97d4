"""What one sees while a replay runs: the day, how far people have come, how fast the system goes, what it is doing."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from pilot.outcome import EXCHANGE_STAGES
from pilot.population import PROGRAMME_DAYS, START
from pilot.replay import Progress

DOING = {
    "register": "registering companies",
    "update": "taking in changed profiles",
    "withdraw": "taking out companies that leave",
    "erase": "forgetting who asked for it",
    "accept": "taking in replies to proposals",
    "decline": "taking in replies to proposals",
    "draft": "drafting agreements",
    "sign": "signing agreements",
    "approve": "validating agreements",
    "send_back": "validating agreements",
    "arrive": "recording stays",
    "record": "recording stays",
    "fit": "asking whether stays fit",
    "extend": "extending stays",
    "cancel": "cancelling exchanges",
    "complete": "completing stays, inviting to the survey",
    "tick": "ticking off checklists",
    "confirm": "hearing who is still interested",
    "renew": "hearing who is still interested",
    "answer": "taking in survey answers",
    "decline_survey": "taking in survey answers",
}
DUE = "doing what is due: searching partners, expiring, starting stays, publishing answers"
WINDOW = 5.0
"""Seconds over which events per second are counted."""
EVERY = 0.1
"""Seconds between two pictures on a terminal."""
PATIENCE = 30.0
"""Seconds without a word, elsewhere, after which a line is printed."""
BAR = 48


class Showing:
    """A few lines that change in place on a terminal; elsewhere a line for each month, and now and then."""

    def __init__(self, console: Console, until: datetime) -> None:
        self._console = console
        self._end = min(until, START + timedelta(days=PROGRAMME_DAYS))
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._began = time.monotonic()
        self._told = 0.0
        self._month = ""
        self._acts: Counter[str] = Counter()
        self._said = ""
        self._spinner = Spinner("dots")
        self._recent: deque[tuple[float, int]] = deque()

    def __enter__(self) -> "Showing":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            if kind is None:
                self._tell_past()
            self._live.stop()

    def _tell_past(self) -> None:
        if self._said:
            self._console.print(f"{self._said}: {time.monotonic() - self._began:,.0f} s", style="dim")

    def say(self, what: str) -> None:
        """What the system is being made to do."""
        if self._console.is_terminal:
            self._tell_past()
            self._spinner.update(text=what)
            self._live.update(self._spinner)
        else:
            self._console.print(f"{what} ...", style="dim")
        self._said, self._began = what, time.monotonic()

    def tell(self, progress: Progress) -> None:
        """How far the replay has come."""
        now = time.monotonic()
        self._recent.append((now, progress.events))
        while len(self._recent) > 2 and now - self._recent[0][0] > WINDOW:
            self._recent.popleft()
        self._spinner.update(text=doing(self._acts, progress.acts))
        self._acts = progress.acts.copy()
        if self._console.is_terminal:
            if now - self._told >= EVERY:
                self._told = now
                self._live.update(self._picture(progress))
        elif (month := f"{progress.now:%Y-%m}") != self._month or now - self._told >= PATIENCE:
            self._month, self._told = month, now
            self._console.print(
                f"{progress.now:%Y-%m-%d}: {_told(funnel(progress))}; {self._pace(progress)}", soft_wrap=True
            )

    def _picture(self, progress: Progress) -> Table:
        days, all_days = (progress.now - START).days, (self._end - START).days
        after = " after the programme's end" if progress.now > self._end else ""
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_row("date", f"[bold]{progress.now:%a %d %b %Y}[/]  day {days} of {all_days}{after}")
        table.add_row("", ProgressBar(all_days, min(days, all_days), width=BAR))
        table.add_row("", months(self._end))
        table.add_row("people", _told(funnel(progress)))
        table.add_row("system", self._pace(progress))
        table.add_row("now", self._spinner)
        return table

    def _pace(self, progress: Progress) -> str:
        passed = max(0.001, time.monotonic() - self._began)
        return (
            f"{progress.events:,} events, {self._rate():,.0f}/s, {progress.steps:,} steps of the clock, {passed:,.0f} s"
        )

    def _rate(self) -> float:
        (began, before), (ended, after) = self._recent[0], self._recent[-1]
        return (after - before) / (ended - began) if ended > began else 0.0


def doing(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """What the acts since the last look come to; without any, only what was due was done."""
    done = [name for name in DOING if after.get(name, 0) > before.get(name, 0)]
    return ", ".join(dict.fromkeys(DOING[name] for name in done)) or DUE


def funnel(progress: Progress) -> dict[str, int]:
    """Companies that registered, and exchanges that came at least as far as each stage, as companies have seen them."""
    furthest: dict[str, int] = {}
    for exchange, stage in progress.seen:
        rank = EXCHANGE_STAGES.index(stage) if stage in EXCHANGE_STAGES else 0
        furthest[exchange] = max(rank, furthest.get(exchange, 0))
    reached = {
        stage: sum(far >= rank for far in furthest.values())
        for rank, stage in enumerate(EXCHANGE_STAGES)
        if stage != "drafted"
    }
    return {"registered": progress.acts["register"]} | reached | {"answers": progress.acts["answer"]}


def _told(counts: Mapping[str, int]) -> str:
    return " > ".join(f"{count:,} {name}" for name, count in counts.items())


def months(end: datetime) -> str:
    """The programme's months under its bar, each where it begins."""
    line, all_days = [" "] * BAR, max(1, (end - START).days)
    month = START
    while month < end:
        at = BAR * (month - START).days // all_days
        name = f"{month:%b}"
        if at + len(name) <= BAR and "".join(line[max(0, at - 1) : at + len(name)]).isspace():
            line[at : at + len(name)] = name
        month = (month.replace(day=1) + timedelta(days=32)).replace(day=1)
    return "".join(line)
