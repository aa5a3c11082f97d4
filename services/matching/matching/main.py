"""The matching service, wired."""

from pathlib import Path

from chassis.service import Service

from matching import api, handlers
from matching.settings import MatchingSettings

service = Service(
    name="matching",
    routes=api.routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=MatchingSettings,
)
command = service.command()
