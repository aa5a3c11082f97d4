"""``pilot demo``: the companies play the whole journey through the real system, in minutes instead of months.

``pilot load``: they all register, as fast as the system takes them.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import ClientError
from aiokafka.errors import KafkaError
from asyncpg import PostgresError
from httpx import HTTPError, RequestError
from laptop.process import StartError
from laptop.system import UncleanStopError, terminated_like_ctrl_c
from laptop.topics import TopicsError
from rich.console import Console

from pilot import load, printed, report
from pilot.demo import NotFresh, Story, demonstrate
from pilot.population import START
from pilot.programme import UnexpectedAnswer
from pilot.show import Showing
from pilot.steps import NotSettled

command = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=__doc__)
out = Console(highlight=False)
FAULTS = (
    StartError,
    UncleanStopError,
    TopicsError,
    NotFresh,
    NotSettled,
    UnexpectedAnswer,
    HTTPError,
    ClientError,
    KafkaError,
    PostgresError,
    TimeoutError,
    OSError,
)
MOST = 100_000
"""Companies."""


@command.callback()
def pilot() -> None:
    """Plays the companies of the programme."""


def _companies(given: str) -> int:
    if not given.strip().isdecimal() or not 1 <= int(given) <= MOST:
        raise _failed(f'COMPANIES must be a whole number from 1 to {MOST:,}, not "{given}".', code=2)
    return int(given)


def _seed(given: str) -> int:
    try:
        return int(given)
    except ValueError:
        raise _failed(f'SEED must be a whole number, not "{given}".', code=2) from None


def _rate(given: str) -> float | None:
    try:
        rate = float(given)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 10_000:
        raise _failed(f'RATE must be a number of registrations a second from 0 to 10,000, not "{given}".', code=2)
    return rate or None


def _until(given: str) -> datetime:
    try:
        end = datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise _failed(f'UNTIL must be a day such as 2017-06-30, not "{given}".', code=2) from None
    if end <= START:
        raise _failed(f"UNTIL must be a day after the programme's start, {START:%Y-%m-%d}, not {given}.", code=2)
    return end


@command.command()
def demo(
    companies: Annotated[str, typer.Option(envvar="COMPANIES", help=f"how many take part, 1 to {MOST:,}")] = "400",
    seed: Annotated[str, typer.Option(envvar="SEED", help="another seed is another story")] = "7",
    until: Annotated[str, typer.Option(envvar="UNTIL", help="programme day on which the replay ends")] = "2018-03-31",
    folder: Annotated[Path, typer.Option(help="where data, logs and the report go")] = Path("build/demo"),
) -> None:
    """Start the system, replay the companies, report, stop. Fails if an invariant is broken."""
    story = Story(_companies(companies), _seed(seed), _until(until))
    with _alone(folder), _told_when_it_fails(folder / "run"):
        for former in ("report.json", "report.html", "evaluation.html", "evaluation.pdf"):
            (folder / former).unlink(missing_ok=True)
        with Showing(out, story.until) as showing:
            made, reports = asyncio.run(demonstrate(story, folder / "run", showing.say, showing.tell))
            report.write(made, folder / "report.json")
            showing.say("drawing the page")
            from pilot.page import page  # a second, which nobody has to wait who only mistyped a parameter

            report.replace_whole(folder / "report.html", page(made))
        width = min(out.width, printed.WIDTH) if out.is_terminal else printed.WIDTH
        printed.show(made, Console(highlight=False, width=width))
    out.print(
        f"report: {folder / 'report.html'}, {folder / 'report.json'}   data, logs: {folder / 'run'}", soft_wrap=True
    )
    if reports:
        out.print(f"the survey's: {', '.join(map(str, reports))}   open one with a browser", soft_wrap=True)
    _fail_if_broken(made)


@command.command(name="load")
def put_under_load(
    companies: Annotated[str, typer.Option(envvar="COMPANIES", help=f"how many register, 1 to {MOST:,}")] = "2000",
    seed: Annotated[str, typer.Option(envvar="SEED", help="another seed is another population")] = "7",
    rate: Annotated[str, typer.Option(envvar="RATE", help="registrations a second; 0: as many as it takes")] = "0",
    folder: Annotated[Path, typer.Option(help="where data, logs and the report go")] = Path("build/load"),
) -> None:
    """Start the system, register companies as fast as it takes them, report, stop. Fails if an invariant is broken."""
    count, seeded, paced, run = _companies(companies), _seed(seed), _rate(rate), folder / "run"
    with _alone(folder), _told_when_it_fails(run):
        made = asyncio.run(load.load(count, seeded, paced, run, lambda text: out.print(f"{text} ...", style="dim")))
        report.write(made, folder / "report.json")
    for name, text in load.lines(made):
        out.print(f"{name:<34} {text}", soft_wrap=True)
    out.print(f"report: {folder / 'report.json'}   data, logs: {run}", soft_wrap=True)
    _fail_if_broken(made)


def _fail_if_broken(made: report.Report) -> None:
    if broken := report.broken(made):
        raise _failed(f"{len(broken)} of {len(made['invariants'])} invariants are broken: " + "; ".join(broken))


@contextmanager
def _told_when_it_fails(run: Path) -> Iterator[None]:
    """Whatever was started has been stopped by the time an error gets here."""
    try:
        with terminated_like_ctrl_c():
            yield
    except KeyboardInterrupt:
        raise _failed(f"Interrupted; everything that was started is stopped. {_left(run)}", code=130) from None
    except FAULTS as fault:
        if isinstance(fault, RequestError):
            fault.add_note(f"It was asked for {fault.request.method} {fault.request.url}; logs of all: {run / 'logs'}")
        notes = "\n".join(getattr(fault, "__notes__", []))
        raise _failed(
            f"It failed, and everything that was started is stopped. {_left(run)}\n"
            f"{type(fault).__name__}: {fault}\n{notes}"
        ) from None


def _left(run: Path) -> str:
    """What is left where."""
    left = f"Data and logs: {run}." if run.exists() else "Nothing is left."
    given = [name for name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL") if os.environ.get(name)]
    return left + (f" Topics and schemas stay in what {' and '.join(given)} name." if given else "")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One demo at a time in a folder: the second would remove the first one's data."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _failed(f"Another demo is running in {folder}.") from None
        yield


def _failed(text: str, code: int = 1) -> typer.Exit:
    Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(text.rstrip())
    return typer.Exit(code)


if __name__ == "__main__":
    command()
