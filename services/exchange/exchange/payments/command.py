"""``exchange payments export``: what whoever pays gets."""

import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from chassis.commands import on_process
from chassis.service import Process, Service
from chassis.transaction import Cause
from sojourn_contracts.refusal import Invalid

from exchange.payments import csv, store
from exchange.state import day_of

PAGE = 5_000


def commands(service: Service) -> typer.Typer:
    """The subcommand ``payments``."""
    app = typer.Typer(no_args_is_help=True, help="Advances, final payments and recoveries of allowances.")

    @app.callback()
    def payments() -> None:  # pyright: ignore[reportUnusedFunction]
        """Keeps ``export`` a command of its own name while it is the only one."""

    @app.command()
    def export(  # pyright: ignore[reportUnusedFunction]
        first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="first due day")],
        last: Annotated[
            datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="last due day, today at the latest")
        ],
        output: Annotated[Path | None, typer.Option(help="file to write; unset, standard output")] = None,
    ) -> None:
        """Writes what falls due on these days as CSV, by due day and id; the same days give the same bytes again."""

        async def write(process: Process) -> None:
            csv.require_period(first.date(), last.date(), day_of(process.clock.now()))
            target = output.open("w", encoding="utf-8", newline="\n") if output else nullcontext(sys.stdout)
            with target as file:
                file.write(csv.COLUMNS)
                async for text in pages(process, first.date(), last.date()):
                    file.write(text)

        try:
            on_process(service, write)
        except Invalid as wrong:
            typer.echo(f"--{wrong.path}: {wrong.detail}", err=True)
            raise typer.Exit(2) from None

    return app


async def pages(process: Process, first_day: date, last_day: date) -> AsyncIterator[str]:
    """A transaction each: none stays open while somebody reads slowly."""
    wanted = store.Page(first_day, last_day, None, PAGE)
    while True:
        async with process.open_transaction(Cause()) as tx:
            found = await store.page(tx, wanted)
        yield csv.lines(found)
        if len(found) < PAGE:
            return
        wanted = store.Page(found[-1].payment.due_day, last_day, found[-1].payment_id, PAGE)
