"""The commands for what other systems prove themselves with. What they may read stands in the file of grants."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer
from chassis.commands import failed, on_process
from chassis.transaction import Cause, Transaction

from registration.clients import secret, store
from registration.clients.granted import granted
from registration.settings import RegistrationSettings

if TYPE_CHECKING:
    from chassis.service import Process, Service

R = TypeVar("R")

Name = Annotated[str, typer.Argument(metavar="CLIENT", help="as the file of grants calls it")]


def command_line(service: "Service") -> typer.Typer:
    """``registration clients ...``"""
    app = typer.Typer(no_args_is_help=True, help="Other systems, and what they get their tokens with.")

    def ask(question: Callable[["Process", Transaction], Coroutine[Any, Any, R]]) -> R:
        async def in_transaction(process: "Process") -> R:
            async with process.open_transaction(Cause()) as tx:
                return await question(process, tx)

        return on_process(service, in_transaction)

    @app.command("new-secret")
    def new_secret(client: Name) -> None:
        """Prints a secret, once; the client's former one is good for nothing from now on."""

        async def make(process: "Process", tx: Transaction) -> str:
            file = cast(RegistrationSettings, process.settings).grants
            if file is None or granted(file).caller(client) is None:
                raise failed(f"{client} has no grant over HTTP: there is none in GRANTS")
            return await secret.made(tx, client)

        typer.echo(ask(make))

    @app.command("remove-secret")
    def remove_secret(client: Name) -> None:
        """From now on the client gets no token; those that it has end within ten minutes."""
        if not ask(lambda _, tx: store.remove(tx, client)):
            raise failed(f"{client} has no secret")
        typer.echo(f"{client} has no secret any more")

    return app
