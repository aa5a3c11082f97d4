"""Notices over HTTP, for operators: what became of them, and sending again what was refused. Nobody's address is shown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from chassis.http import Tx
from chassis.identity import Caller, Role, requires
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from sojourn_contracts.refusal import Unknown

from registration.notices import store
from registration.notices.again import send_again
from registration.notices.domain import Reason, State

routes = APIRouter()

Operator = Annotated[Caller, Depends(requires(Role.OPERATOR))]


class MailView(BaseModel):
    person_id: UUID
    state: State
    reason: Reason | None
    tried_since: datetime
    """By the wall clock."""
    answered_at: datetime | None
    attempts: int
    """Of those that are not over; 0 once it was accepted or refused."""


class NoticeView(BaseModel):
    notice_id: UUID
    asked_by: str
    recipient_id: UUID
    template: str
    parameters: Mapping[str, str]
    asked_at: datetime
    revision: int
    state: State
    reason: Reason | None
    answered_at: datetime | None
    mails: list[MailView]


class Counted(BaseModel):
    """How many mails of a template there are in each state; a notice for a company has a mail to each who speaks for it."""

    template: str
    notices: int
    waiting: int
    accepted: int
    refused: int


@routes.get("/notices")
async def list_notices(
    _operator: Operator,
    tx: Tx,
    state: Annotated[State | None, Query(description="with a mail in this state, or refused as a whole")] = None,
    template: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[UUID | None, Query(description="the last notice_id of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[NoticeView]:
    """In the order of their ids."""
    return [NoticeView.model_validate(row) for row in await store.page(tx, state, template, after, limit)]


@routes.get("/notices/counts")
async def count_notices(_operator: Operator, tx: Tx) -> list[Counted]:
    return [Counted.model_validate(row) for row in await store.counts(tx)]


@routes.get("/notices/{notice_id}")
async def show_notice(notice_id: UUID, _operator: Operator, tx: Tx) -> NoticeView:
    row = await store.one(tx, notice_id)
    if row is None:
        raise Unknown("unknown_notice", "There is no notice under this id")
    return NoticeView.model_validate(row)


@routes.post("/notices/{notice_id}/sending", status_code=204)
async def send_notice_again(notice_id: UUID, _operator: Operator, tx: Tx) -> None:
    """Sends again to whom it was refused; 409 ``nothing_refused`` where all was accepted or still waits."""
    await send_again(tx, notice_id)
