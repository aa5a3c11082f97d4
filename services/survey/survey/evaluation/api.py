"""The evaluation over HTTP: of this moment for analysts, live for evaluators, in steps for everybody."""

from datetime import datetime
from typing import Annotated

from chassis.http import OpenTx, Tx
from chassis.identity import Caller, Role, requires
from chassis.openapi import failures
from chassis.problems import FieldError, InvalidFields
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sojourn_contracts.refusal import Unknown

from survey.evaluation import live, store
from survey.evaluation.figures import Figures, decoded_figures
from survey.evaluation.live import Live
from survey.page.access import LiveReader
from survey.questionnaires.published import newest, published
from survey.questionnaires.questionnaire import Questionnaire

routes = APIRouter()

Reader = Annotated[Caller, Depends(requires(Role.ANALYST, Role.EVALUATOR, Role.OPERATOR))]
Version = Annotated[
    str | None, Query(max_length=32, description="of the questionnaire; the newest published one if there is none")
]


class PublishedFigures(BaseModel):
    """Figures as they were published; the same snapshot and code give the same figures again."""

    step: int
    snapshot_id: str
    code_version: str
    threshold: int
    """Answers that a step, and a group that is shown, has at least."""
    published_at: datetime
    figures: Figures


@routes.get("/evaluation")
async def evaluation(_caller: Reader, tx: Tx, questionnaire: Version = None) -> Figures:
    """All figures of this moment, from released answers and all other events; cells of few answers are hidden."""
    _, figures = await live.present(tx, known(questionnaire))
    return figures


@routes.get(
    "/evaluation/live",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events named ``figures``"}},
)
async def follow(
    _caller: LiveReader, open_tx: OpenTx, last_event_id: Annotated[str | None, Header(max_length=32)] = None
) -> StreamingResponse:
    """The same as it changes, at most once a second. Who comes back with ``Last-Event-ID`` gets only what is new."""
    async with open_tx() as tx:
        followed: Live = tx.prepared
        followed.require_room(tx.settings.live_listeners)
    return StreamingResponse(
        followed.events(_version(last_event_id)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@routes.get("/figures", responses=failures(404))
async def figures(tx: Tx, questionnaire: Version = None) -> PublishedFigures:
    """The figures that were published last, for everybody: they move in steps of several answers."""
    found = await store.last_publication(tx, known(questionnaire).version)
    if found is None:
        raise Unknown("nothing_published", "no figures of this questionnaire were published yet")
    return PublishedFigures(
        step=found.step,
        snapshot_id=found.snapshot_id,
        code_version=found.code_version,
        threshold=found.threshold,
        published_at=found.published_at,
        figures=decoded_figures(found.figures),
    )


def known(version: str | None) -> Questionnaire:
    """The newest one if none is named. Raises: InvalidFields: there is no such version."""
    if version is None:
        return newest()
    found = published().get(version)
    if found is None:
        raise InvalidFields([FieldError("questionnaire", "is not a published version", ", ".join(published()))])
    return found


def _version(last_event_id: str | None) -> int | None:
    """What a browser says after a break; anything else than one of our ids starts anew."""
    return int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else None
