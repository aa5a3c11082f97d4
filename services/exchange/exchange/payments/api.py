"""Payments over HTTP, for operators."""

from datetime import date
from typing import Annotated
from uuid import UUID

from chassis.http import Tx, link_to_next
from chassis.identity import Caller, Role, requires
from fastapi import APIRouter, Depends, Query, Request, Response

from exchange.payments import csv, store
from exchange.state import day_of

routes = APIRouter()

Operator = Annotated[Caller, Depends(requires(Role.OPERATOR))]

MOST_AT_ONCE = 10_000


class Csv(Response):
    media_type = "text/csv"


@routes.get("/payments", response_class=Csv)
async def payments(
    caller: Operator,
    tx: Tx,
    request: Request,
    first_day: Annotated[date, Query(alias="from")],
    last_day: Annotated[date, Query(alias="until")],
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 1_000,
) -> Csv:
    """What falls due from one day to another, as CSV, by due day and id; of the first day only what comes ``after`` that id.

    A ``Link`` header leads to the next page; only the first has the columns' names, so that all of them in a row are one file.
    """
    csv.require_period(first_day, last_day, day_of(tx.now))
    wanted = store.Page(first_day, last_day, after, limit + 1)
    found = await store.page(tx, wanted)
    shown = found[:limit]
    answer = Csv(("" if after else csv.COLUMNS) + csv.lines(shown))
    if len(found) > limit:
        last = shown[-1]
        link_to_next(request, answer, **{"from": last.payment.due_day}, after=last.payment_id)
    return answer
