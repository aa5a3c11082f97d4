"""The commands for who operates the mails: which were refused and why, and sending them again."""

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer
from chassis.commands import on_process
from chassis.transaction import Cause, Transaction
from sojourn_contracts.refusal import Refused

from registration.notices import store
from registration.notices.again import send_again
from registration.notices.domain import State

if TYPE_CHECKING:
    from chassis.service import Process, Service

R = TypeVar("R")

NoticeId = Annotated[UUID, typer.Argument(metavar="ID", help="the notice_id that `list` shows")]


def command_line(service: "Service") -> typer.Typer:
    """``registration notices ...``"""
    app = typer.Typer(no_args_is_help=True, help="Notices that people get by e-mail: one JSON object per line.")

    def ask(question: Callable[[Transaction], Coroutine[Any, Any, R]]) -> R:
        async def in_transaction(process: "Process") -> R:
            async with process.open_transaction(Cause()) as tx:
                return await question(tx)

        return on_process(service, in_transaction)

    @app.command("list")
    def list_(
        state: Annotated[State, typer.Option(help="waiting, accepted or refused")] = State.REFUSED,
        template: Annotated[str | None, typer.Option(help="of this template only")] = None,
        after: Annotated[UUID | None, typer.Option(metavar="ID", help="from behind this notice on")] = None,
        limit: Annotated[int, typer.Option(min=1, max=500, help="how many at most")] = 100,
    ) -> None:
        """Those that were refused, or others."""
        for row in ask(lambda tx: store.page(tx, state, template, after, limit)):
            _print(row)

    @app.command()
    def show(notice: NoticeId) -> None:
        """One of them, with what became of each mail."""
        row = ask(lambda tx: store.one(tx, notice))
        if row is None:
            typer.echo(f"no notice {notice}", err=True)
            raise typer.Exit(1)
        _print(row)

    @app.command("send-again")
    def again(notice: NoticeId) -> None:
        """Sends again to whom it was refused."""
        try:
            ask(lambda tx: send_again(tx, notice))
        except Refused as refused:
            typer.echo(str(refused), err=True)
            raise typer.Exit(1) from None
        typer.echo(f"sent again: {notice}")

    return app


def _print(row: dict[str, Any]) -> None:
    typer.echo(json.dumps(row, default=str, ensure_ascii=False))
