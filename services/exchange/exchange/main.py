"""The exchange service, put together."""

from pathlib import Path

import typer
from chassis.service import Service
from fastapi import APIRouter

from exchange import api, diagram, handlers
from exchange.checklist import api as checklist
from exchange.checklist import handlers as reminders
from exchange.documents import api as documents
from exchange.payments import api as payments
from exchange.payments.command import commands
from exchange.settings import ExchangeSettings

routes = APIRouter()
for router in (api.routes, checklist.routes, payments.routes, documents.routes):
    routes.include_router(router)

service = Service(
    name="exchange",
    routes=routes,
    doors=(*handlers.DOORS, *reminders.DOORS),
    migrations=Path(__file__).parent / "migrations",
    settings=ExchangeSettings,
)
command = service.command()
command.add_typer(commands(service), name="payments")


@command.command("life-cycle")
def life_cycle() -> None:
    """Prints the life cycle of an exchange as a Mermaid diagram."""
    typer.echo(diagram.mermaid())
