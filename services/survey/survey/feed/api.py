"""Released submissions for analysts, as JSON Lines, from where they left off.

A reader who follows the cursors gets every record and none twice, whoever writes meanwhile: the relay gives each event the
next number of its topic in one statement that no other can overtake, so what can be seen is always the log's beginning
without a hole. A cursor is the number of the last record that was read, and the log's generation there: if the log was restored
to an earlier state, what was read from it may stand there no more, and the reader is told so.
"""

import json
import re
from typing import Annotated

from chassis.http import Tx, link_to_next
from chassis.identity import Caller, Role, requires
from chassis.problems import Problem
from fastapi import APIRouter, Depends, Query, Request, Response

from survey.feed import store
from survey.feed.store import Logged

routes = APIRouter()

Analyst = Annotated[Caller, Depends(requires(Role.ANALYST))]
JSON_LINES = "application/x-ndjson"
START = "1-0"
CURSOR = r"^[0-9]{1,9}-[0-9]{1,18}$"


def cursor(record: Logged) -> str:
    return f"{record.generation}-{record.sequence}"


@routes.get(
    "/submissions", response_class=Response, responses={200: {"content": {JSON_LINES: {"schema": {"type": "string"}}}}}
)
async def submissions(
    _caller: Analyst,
    tx: Tx,
    request: Request,
    after: Annotated[str, Query(pattern=CURSOR, description="the cursor of the last record that was read")] = START,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> Response:
    """What was released after a cursor, oldest first: one record a line, each with its own cursor.

    A line with ``"erased": true`` says that this record is to be forgotten. The ``Link`` header leads on; a page with fewer
    lines than ``limit`` was the last for now, and its link is where to ask again later.
    """
    generation, sequence = map(int, after.split("-"))
    if sequence and await store.generation_at(tx, sequence) != generation:
        detail = "The log was restored since, and lacks what this cursor stands for: read again from the start"
        raise Problem(410, "cursor_gone", detail)
    records = await store.logged_after(tx, sequence, limit)
    response = Response("".join(map(line, records)), media_type=JSON_LINES)
    link_to_next(request, response, after=cursor(records[-1]) if records else after, limit=limit)
    return response


def line(record: Logged) -> str:
    """The event's own JSON as it was published, with the cursor and the event's id before it."""
    own = {"cursor": cursor(record), "event_id": record.event_id}
    if record.data is None:
        return json.dumps(own | {"record_id": record.subject, "erased": True}) + "\n"
    return json.dumps(own)[:-1] + ", " + re.sub(r"^\s*\{", "", record.data) + "\n"
