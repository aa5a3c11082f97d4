"""The exchange service, put together."""

from pathlib import Path

from chassis.service import Service

from exchange import api, handlers
from exchange.settings import ExchangeSettings

service = Service(
    name="exchange",
    routes=api.routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=ExchangeSettings,
)
command = service.command()
