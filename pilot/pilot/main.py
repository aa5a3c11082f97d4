"""``pilot demo``: the companies play the whole journey through the real system, in minutes instead of months.

``pilot load``: they all register, as fast as the system takes them.
"""

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import ClientError
from aiokafka.errors import KafkaError
from asyncpg import PostgresError
from httpx import HTTPError
from laptop.process import StartError
from laptop.system import UncleanStopError
from laptop.topics import TopicsError
from rich.console import Console

from pilot import load, report
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
    OSError,
)


@command.callback()
def pilot() -> None:
    """Plays the companies of the programme."""


@command.command()
def demo(
    companies: Annotated[int, typer.Option(envvar="COMPANIES", min=1, max=100_000, help="how many take part")] = 40,
    seed: Annotated[int, typer.Option(envvar="SEED", help="another seed is another story")] = 7,
    until: Annotated[
        datetime, typer.Option(envvar="UNTIL", formats=["%Y-%m-%d"], help="programme day on which the replay ends")
    ] = datetime(2017, 12, 31),
    folder: Annotated[Path, typer.Option(help="where data, logs and the report go")] = Path("build/demo"),
) -> None:
    """Start the system, replay the companies, report, stop. Fails if an invariant is broken."""
    end = until.replace(tzinfo=UTC)
    if end <= START:
        raise typer.BadParameter(
            f"{end:%Y-%m-%d} is not after the programme's start, {START:%Y-%m-%d}", param_hint="UNTIL"
        )
    story, run = Story(companies, seed, end), folder / "run"
    with _alone(folder), _told_plainly(run), Showing(out, story.until) as showing:
        made = asyncio.run(demonstrate(story, run, showing.say, showing.tell))
    report.write(made, folder / "report.json")
    report.show(made, out)
    _judge(made, folder)


@command.command(name="load")
def put_under_load(
    companies: Annotated[int, typer.Option(envvar="COMPANIES", min=1, max=100_000, help="how many register")] = 2_000,
    seed: Annotated[int, typer.Option(envvar="SEED", help="another seed is another population")] = 7,
    rate: Annotated[
        float | None, typer.Option(envvar="RATE", min=0.1, max=10_000, help="registrations a second; else all they can")
    ] = None,
    folder: Annotated[Path, typer.Option(help="where data, logs and the report go")] = Path("build/load"),
) -> None:
    """Start the system, register companies as fast as it takes them, report, stop. Fails if an invariant is broken."""
    run = folder / "run"
    with _alone(folder), _told_plainly(run):
        made = asyncio.run(load.load(companies, seed, rate, run, lambda text: out.print(f"{text} ...", style="dim")))
    report.write(made, folder / "report.json")
    for name, text in load.lines(made):
        out.print(f"{name:<34} {text}")
    _judge(made, folder)


@contextmanager
def _told_plainly(run: Path) -> Iterator[None]:
    """Whatever ends it early is told in a few lines, with where the data is."""
    try:
        yield
    except KeyboardInterrupt:
        raise _failed(f"Interrupted; everything that was started is stopped. Data and logs: {run}", code=130) from None
    except FAULTS as fault:
        notes = "\n".join(getattr(fault, "__notes__", []))
        raise _failed(
            f"It failed, and everything that was started is stopped. Data and logs: {run}\n"
            f"{type(fault).__name__}: {fault}\n{notes}"
        ) from None


def _judge(made: report.Report, folder: Path) -> None:
    broken = [each["invariant"] for each in made["invariants"] if not each["holds"]]
    out.print(f"\nreport: {folder / 'report.json'}   logs: {folder / 'run' / 'logs'}")
    if broken:
        raise _failed(f"{len(broken)} of {len(made['invariants'])} invariants are broken: {'; '.join(broken)}.")


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
