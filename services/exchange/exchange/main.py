"""The exchange service, put together."""

from pathlib import Path

from chassis.service import Service
from chassis.settings import Settings

from exchange import api, handlers

service = Service(
    name="exchange",
    routes=api.routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=Settings,
)
command = service.command()
