"""The exchange service, put together."""

from pathlib import Path

from chassis.service import Service
from fastapi import APIRouter

from exchange import api, erasure, handlers
from exchange.settings import ExchangeSettings

routes = APIRouter()
for router in (api.routes, erasure.HELD.routes()):
    routes.include_router(router)

service = Service(
    name="exchange",
    routes=routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=ExchangeSettings,
    kept=erasure.KEPT,
)
command = service.command()
