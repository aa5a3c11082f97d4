"""The survey service's wiring, as data."""

from pathlib import Path

from chassis.service import Service
from fastapi import APIRouter

from survey import erasure, handlers
from survey.answering import api as answering
from survey.evaluation import api as evaluation
from survey.evaluation import live
from survey.feed import api as feed
from survey.page import api as page
from survey.questionnaires import api as questionnaires
from survey.settings import SurveySettings

routes = APIRouter()
for router in (
    answering.routes,
    questionnaires.routes,
    evaluation.routes,
    page.routes,
    feed.routes,
    erasure.HELD.routes(),
):
    routes.include_router(router)

service = Service(
    name="survey",
    routes=routes,
    doors=handlers.DOORS,
    migrations=Path(__file__).parent / "migrations",
    settings=SurveySettings,
    unlinked=("/invitations",),
    kept=erasure.KEPT,
    prepare=live.preparing,
)
command = service.command()
