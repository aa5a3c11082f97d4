"""The exchange service, put together."""

from pathlib import Path

import typer
from chassis.service import Service

from exchange import api, diagram, handlers
from exchange.settings import ExchangeSettings

service = Service(
    name="exchange",
    routes=api.routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=ExchangeSettings,
)
command = service.command()


@command.command("life-cycle")
def life_cycle() -> None:
    """Prints the life cycle of an exchange as a Mermaid diagram."""
    typer.echo(diagram.mermaid())
