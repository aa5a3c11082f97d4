"""What an operator does about erasures at the command line; one JSON object per line."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer
from chassis.commands import on_process
from chassis.transaction import Cause, Transaction
from sojourn_contracts.refusal import Refused

from registration.erasure import forgetting, store
from registration.erasure.api import ErasureView
from registration.erasure.domain import Erasure, Kind

if TYPE_CHECKING:
    from chassis.service import Process, Service

T = TypeVar("T")
Whom = Annotated[UUID, typer.Argument(metavar="ID")]


def add_to(command: typer.Typer, service: "Service") -> None:
    """Adds ``erase`` and ``erasures``."""
    app = typer.Typer(no_args_is_help=True, help="Erasures of people and companies, and who has done them.")

    def in_transaction(work: Callable[[Transaction], Awaitable[T]]) -> tuple[T, datetime]:
        async def run(process: "Process") -> tuple[T, datetime]:
            async with process.open_transaction(Cause()) as tx:
                return await work(tx), tx.now

        try:
            return on_process(service, run)
        except Refused as refused:
            typer.echo(refused.detail, err=True)
            raise typer.Exit(1) from None

    def tell(erasure: Erasure, now: datetime) -> None:
        typer.echo(ErasureView.of(erasure, now).model_dump_json())

    @command.command()
    def erase(kind: Kind, whom: Whom) -> None:  # pyright: ignore[reportUnusedFunction]
        """Has everybody forget a person, or a company with its people. Live stays of theirs end with it."""

        async def ask(tx: Transaction) -> Erasure:
            if kind is Kind.COMPANY:
                return await forgetting.erase_company(tx, whom)
            return await forgetting.erase_person(tx, whom, admins_count=False)

        tell(*in_transaction(ask))

    @app.command()
    def show(erasure: Annotated[UUID, typer.Argument(metavar="ID", help="the id that `erase` gave")]) -> None:  # pyright: ignore[reportUnusedFunction]
        """One of them: what each service answered, and what is outstanding."""
        tell(*in_transaction(lambda tx: store.found(tx, erasure)))

    @app.command("list")
    def list_() -> None:  # pyright: ignore[reportUnusedFunction]
        """Those that are not done, the oldest first."""
        erasures, now = in_transaction(lambda tx: store.open_ones(tx.connection))
        for each in erasures:
            tell(each, now)

    command.add_typer(app, name="erasures")
