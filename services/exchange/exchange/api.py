"""What companies and travellers do with an exchange over HTTP, and what they see of it."""

from typing import Annotated
from uuid import UUID

from chassis.http import Tx
from chassis.identity import Caller, Role, requires
from chassis.problems import FieldError, InvalidFields
from fastapi import APIRouter, Depends, Query, Request, Response
from sojourn_contracts.exchange import Stage
from sojourn_contracts.vocabulary import Party

from exchange import domain, store
from exchange.agreement import WrongTerms
from exchange.forms import AgreementForm, Cancellation, Completion, Decline, Signature, View
from exchange.state import Exchange

routes = APIRouter()

CompanyCaller = Annotated[Caller, Depends(requires(Role.COMPANY))]
SigningCaller = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER))]
ReadingCaller = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER, Role.OPERATOR))]

MOST_AT_ONCE = 1_000


@routes.get("/exchanges")
async def exchanges(
    caller: ReadingCaller,
    tx: Tx,
    request: Request,
    response: Response,
    stage: Stage | None = None,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 500,
) -> list[View]:
    """The caller's own, in the order of their ids; an operator's are all. A ``Link`` header leads to the next page."""
    page = store.Page(stage, after, limit + 1)
    found = await _those_of(caller, tx, page)
    if len(found) > limit:
        following = request.url.include_query_params(after=found[limit - 1].id, limit=limit)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return [View.of(exchange) for exchange in found[:limit]]


async def _those_of(caller: Caller, tx: Tx, page: store.Page) -> list[Exchange]:
    match caller.role:
        case Role.OPERATOR:
            return await store.of_all(tx, page)
        case Role.TRAVELLER:
            return await store.of_traveller(tx, caller.person_id, page)
        case _:
            return await store.of_company(tx, caller.company_id, page)


@routes.get("/exchanges/{exchange_id}")
async def exchange(exchange_id: UUID, caller: ReadingCaller, tx: Tx) -> View:
    """The whole state, for its three parties and for operators."""
    found = await store.read(tx, exchange_id)
    if caller.role is not Role.OPERATOR:
        _party(found, caller)
    return View.of(found)


@routes.post("/exchanges/{exchange_id}/acceptance")
async def accept(exchange_id: UUID, caller: CompanyCaller, tx: Tx) -> View:
    """Accepts the proposal for the caller's side."""
    before = await store.locked(tx, exchange_id)
    decision = domain.accept(before, before.side_of(caller.company_id), tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/decline")
async def decline(exchange_id: UUID, body: Decline, caller: CompanyCaller, tx: Tx) -> View:
    """Declines for the caller's side, until all have signed."""
    before = await store.locked(tx, exchange_id)
    decision = domain.decline(before, before.side_of(caller.company_id), body.reason, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.put("/exchanges/{exchange_id}/agreement")
async def draft(exchange_id: UUID, body: AgreementForm, caller: CompanyCaller, tx: Tx) -> View:
    """Puts a version of the agreement in force and voids the signatures under the one before; equal terms change nothing."""
    before = await store.locked(tx, exchange_id)
    before.side_of(caller.company_id)
    try:
        decision = domain.draft(before, body.terms, tx.settings.taxonomy.skills, tx.now)
    except WrongTerms as wrong:
        raise InvalidFields([FieldError(fault.path, fault.detail, fault.allowed) for fault in wrong.faults]) from wrong
    return View.of(await store.save(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/signatures")
async def sign(exchange_id: UUID, body: Signature, caller: SigningCaller, tx: Tx) -> View:
    """Signs the version in force for the caller; the third signature makes the agreement."""
    before = await store.locked(tx, exchange_id)
    return View.of(await store.save(tx, before, domain.sign(before, _party(before, caller), body.version, tx.now)))


@routes.post("/exchanges/{exchange_id}/completion")
async def complete(exchange_id: UUID, body: Completion, caller: CompanyCaller, tx: Tx) -> View:
    """Reports, from the last day on, that the stay took place."""
    before = await store.locked(tx, exchange_id)
    decision = domain.complete(before, before.side_of(caller.company_id), body.training_hours, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/cancellation")
async def cancel(exchange_id: UUID, body: Cancellation, caller: CompanyCaller, tx: Tx) -> View:
    """Calls an agreed or ongoing stay off."""
    before = await store.locked(tx, exchange_id)
    decision = domain.cancel(before, before.side_of(caller.company_id), body.reason, tx.now)
    return View.of(await store.save(tx, before, decision))


def _party(exchange: Exchange, caller: Caller) -> Party:
    """Who speaks for a company is a person as well, who signs for it and not for the traveller."""
    return exchange.party_of(caller.company_id, caller.person_id if caller.role is Role.TRAVELLER else None)
