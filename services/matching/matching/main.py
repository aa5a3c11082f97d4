"""The matching service, wired."""

from pathlib import Path

from chassis.service import Service
from fastapi import APIRouter

from matching import api, candidates, handlers, replica, report
from matching.settings import MatchingSettings

routes = APIRouter()
routes.include_router(api.routes)
routes.include_router(candidates.routes)
routes.include_router(report.routes)

service = Service(
    name="matching",
    routes=routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=MatchingSettings,
    prepare=replica.following,
)
command = service.command()
