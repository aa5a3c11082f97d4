"""Released submissions for analysts as JSON Lines: the feed of the one topic that the survey shows, in another form."""

import json
import re

from chassis.feed import After, Limit, Reader, TheFeed
from chassis.http import link_to_next
from chassis.logged import START, Entry, cursor
from chassis.openapi import failures
from fastapi import APIRouter, Request, Response
from sojourn_contracts.survey import SurveySubmitted

routes = APIRouter()

JSON_LINES = "application/x-ndjson"


@routes.get(
    "/submissions",
    response_class=Response,
    responses={200: {"content": {JSON_LINES: {"schema": {"type": "string"}}}}, **failures(410)},
)
async def submissions(
    caller: Reader,
    feed: TheFeed,
    request: Request,
    after: After = START,
    limit: Limit = 1_000,
) -> Response:
    """What was released after a cursor, oldest first: one record a line, each with its own cursor.

    A line with ``"erased": true`` says that this record is to be forgotten. The ``Link`` header leads on; a page with fewer
    lines than ``limit`` was the last for now, and its link is where to ask again later.
    """
    page = await feed.page(feed.reading(caller, SurveySubmitted.topic()), cursor(after), limit)
    response = Response("".join(map(line, page.entries)), media_type=JSON_LINES)
    link_to_next(request, response, after=page.reached, limit=limit)
    return response


def line(record: Entry) -> str:
    """The event's own JSON as it was published, with the cursor and the event's id before it."""
    attributes = json.loads(record.attributes)
    own = {"cursor": str(record.cursor), "event_id": attributes["id"]}
    if record.data is None:
        return json.dumps(own | {"record_id": attributes["subject"], "erased": True}) + "\n"
    return json.dumps(own)[:-1] + ", " + re.sub(r"^\s*\{", "", record.data) + "\n"
