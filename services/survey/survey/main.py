"""The survey service's wiring, as data."""

from pathlib import Path

from chassis.service import Service

from survey import api, handlers
from survey.settings import SurveySettings

service = Service(
    name="survey",
    routes=api.routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=SurveySettings,
)
command = service.command()
