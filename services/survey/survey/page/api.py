"""The evaluation as pages: live for evaluators, as it was published for everybody."""

from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs

from chassis.http import Tx
from chassis.openapi import failures
from chassis.problems import FieldError, InvalidFields
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sojourn_contracts.refusal import Unknown

from survey.evaluation import live
from survey.evaluation.api import known
from survey.page import drawings, html, store
from survey.page.access import COOKIE, LiveReader, admitted
from survey.page.exhibits import document
from survey.page.words import words
from survey.questionnaires.language import Reads
from survey.questionnaires.published import newest

routes = APIRouter()

OfVersion = Annotated[
    str | None,
    Query(max_length=32, description="of the questionnaire; what was published last of any if there is none"),
]


SCRIPT = (Path(__file__).parent / "live.js").read_text("utf-8")


@routes.get("/evaluation/page", response_class=HTMLResponse)
async def live_page(_caller: LiveReader, tx: Tx, language: Reads) -> HTMLResponse:
    """The figures of this moment; a browser follows them as they change, and shows them as they are now without a script."""
    questionnaire = newest()
    _, figures = await live.present(tx, questionnaire)
    told = document(figures, questionnaire, words(language), None, lead="page.live")
    drawn = {exhibit.code: svg for exhibit in told.exhibits if (svg := drawings.drawn(exhibit)) is not None}
    script = html.Script(SCRIPT, words(language)["page.ended"])
    return HTMLResponse(
        html.page(told, drawn, script), headers={**html.headers(html.policy(SCRIPT)), "Cache-Control": "no-store"}
    )


@routes.get("/evaluation/sign-in", response_class=HTMLResponse)
async def sign_in_form(language: Reads) -> HTMLResponse:
    """Asks for the token that a browser shows from then on."""
    return HTMLResponse(html.form(words(language)), headers=html.headers(html.policy(posts="'self'")))


@routes.post(
    "/evaluation/sign-in",
    status_code=303,
    response_class=RedirectResponse,
    responses=failures(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["token"],
                        "properties": {"token": {"type": "string", "description": "as registration gave it"}},
                    }
                }
            },
        }
    },
)
async def sign_in(request: Request, language: Reads) -> RedirectResponse:
    """Keeps the token in a cookie that no script can read, which is good for reading under ``/evaluation`` and nothing else."""
    sent = parse_qs((await request.body()).decode("utf-8", "replace"))
    token = sent.get("token", [""])[0].strip()
    if not token:
        raise InvalidFields([FieldError("token", "is required")])
    await admitted(request, token)
    response = RedirectResponse(f"page?language={language}", 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        COOKIE, token, path="/evaluation", secure=request.url.scheme == "https", httponly=True, samesite="strict"
    )
    return response


@routes.get("/figures/page", response_class=HTMLResponse, responses=failures(HTTPStatus.NOT_FOUND))
async def published_page(tx: Tx, language: Reads, questionnaire: OfVersion = None) -> HTMLResponse:
    """The last publication, for everybody, as it was drawn when it was published."""
    page = await store.last_page(tx, questionnaire and known(questionnaire).version, language)
    if page is None:
        raise Unknown("nothing_published", "no figures were published yet")
    return HTMLResponse(page, headers=html.headers(html.STORED))
