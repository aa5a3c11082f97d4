"""The matching service, wired."""

from pathlib import Path

from chassis.service import Service

from matching import api, handlers, replica
from matching.settings import MatchingSettings

service = Service(
    name="matching",
    routes=api.routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=MatchingSettings,
    prepare=replica.following,
)
command = service.command()
