"""Erasure over HTTP: of a person by themself, of a company by its admin, of either by an operator; and the proof that it is done.

An admin does not erase the company's people one by one: what they answered the survey would go with them.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from chassis.holdings import ItsAdmin, Themselves, its_admin_only, themselves_only
from chassis.http import Tx
from chassis.identity import Caller, Role, requires
from fastapi import APIRouter, Depends
from pydantic import BaseModel

from registration.erasure import forgetting, store
from registration.erasure.domain import Erasure, Kind

routes = APIRouter()

Operator = Annotated[Caller, Depends(requires(Role.OPERATOR))]


class ErasureView(BaseModel):
    """Where an erasure stands. It says nothing of who was erased: whoever asked knows, and keeps its id."""

    erasure_id: UUID
    kind: Kind
    requested_at: datetime
    answers: dict[str, datetime]
    """Service to when it had found nothing left."""
    outstanding: list[str]
    done_at: datetime | None
    age_seconds: float
    """From the request until all had answered, or until now."""

    @classmethod
    def of(cls, erasure: Erasure, now: datetime) -> "ErasureView":
        return cls(
            erasure_id=erasure.erasure_id,
            kind=erasure.kind,
            requested_at=erasure.requested_at,
            answers=dict(erasure.answers),
            outstanding=erasure.outstanding,
            done_at=erasure.done_at,
            age_seconds=erasure.age(now).total_seconds(),
        )


@routes.post("/people/{person_id}/erasure", status_code=202)
async def erase_person(person_id: UUID, caller: Themselves, tx: Tx) -> ErasureView:
    """Everybody forgets a person. A live stay of theirs ends with it."""
    themselves_only(person_id, caller)
    erasure = await forgetting.erase_person(tx, person_id, admins_count=caller.role is not Role.OPERATOR)
    return ErasureView.of(erasure, tx.now)


@routes.post("/companies/{company_id}/erasure", status_code=202)
async def erase_company(company_id: UUID, caller: ItsAdmin, tx: Tx) -> ErasureView:
    """Everybody forgets a company and its people. Live stays of theirs end with it."""
    its_admin_only(company_id, caller)
    return ErasureView.of(await forgetting.erase_company(tx, company_id), tx.now)


@routes.get("/erasures/{erasure_id}")
async def erasure(erasure_id: UUID, tx: Tx) -> ErasureView:
    """For whoever has the id: who was erased has no token any more, and nothing in it is about them."""
    return ErasureView.of(await store.found(tx, erasure_id), tx.now)


@routes.get("/erasures")
async def open_erasures(_: Operator, tx: Tx) -> list[ErasureView]:
    """Those that are not done, the oldest first."""
    return [ErasureView.of(each, tx.now) for each in await store.open_ones(tx.connection)]
