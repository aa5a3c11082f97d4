"""What companies and travellers do with an exchange over HTTP, and what they see of it."""

from datetime import date
from typing import Annotated
from uuid import UUID

from chassis.http import Tx, link_to_next
from chassis.identity import Caller, Role, requires
from chassis.problems import FieldError, InvalidFields
from chassis.transaction import Transaction
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sojourn_contracts.exchange import Stage
from sojourn_contracts.refusal import NotYours
from sojourn_contracts.vocabulary import SKILL_ID, Country, Party

from exchange import domain, during, limits, store
from exchange.agreement import WrongTerms
from exchange.forms import (
    AgreementForm,
    AlertView,
    Approval,
    ArrivalForm,
    Cancellation,
    Decline,
    DeliveryForm,
    FitForm,
    Interrupting,
    SendingBack,
    Signature,
    VersionView,
    View,
)
from exchange.state import Exchange

routes = APIRouter()

CompanyCaller = Annotated[Caller, Depends(requires(Role.COMPANY))]
SigningCaller = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER))]
ReadingCaller = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER, Role.CONTACT_POINT, Role.OPERATOR))]
ContactPointCaller = Annotated[Caller, Depends(requires(Role.CONTACT_POINT))]

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
    """The caller's own, in the order of their ids: a contact point's are those of its country, an operator's all.

    A ``Link`` header leads to the next page.
    """
    page = store.Page(stage, after, limit + 1)
    found = await _those_of(caller, tx, page)
    if len(found) > limit:
        link_to_next(request, response, after=found[limit - 1].id, limit=limit)
    return [View.of(exchange) for exchange in found[:limit]]


async def _those_of(caller: Caller, tx: Tx, page: store.Page) -> list[Exchange]:
    match caller.role:
        case Role.OPERATOR:
            return await store.of_all(tx, page)
        case Role.CONTACT_POINT:
            return await store.of_country(tx, caller.country, page)
        case Role.TRAVELLER:
            return await store.of_traveller(tx, caller.person_id, page)
        case _:
            return await store.of_company(tx, caller.company_id, page)


@routes.get("/exchanges/{exchange_id}")
async def exchange(exchange_id: UUID, caller: ReadingCaller, tx: Tx) -> View:
    """The whole state, for its three parties, the contact points of both countries, and operators."""
    found = await store.read(tx, exchange_id)
    _may_read(found, caller)
    return View.of(found)


@routes.post("/exchanges/{exchange_id}/acceptance")
async def accept(exchange_id: UUID, caller: CompanyCaller, tx: Tx) -> View:
    """Accepts the proposal for the caller's side."""
    before = await store.locked(tx, exchange_id)
    decision = domain.accept(before, before.side_of(caller.company_id), tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/decline")
async def decline(exchange_id: UUID, body: Decline, caller: CompanyCaller, tx: Tx) -> View:
    """Declines for the caller's side, until the exchange is agreed."""
    before = await store.locked(tx, exchange_id)
    decision = domain.decline(before, before.side_of(caller.company_id), body.reason, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.put("/exchanges/{exchange_id}/agreement")
async def draft(exchange_id: UUID, body: AgreementForm, caller: CompanyCaller, tx: Tx) -> View:
    """Drafts a version that voids the signatures under the one before; equal terms change nothing.

    Of an agreed exchange the version in force stays so until all three have signed the new one: so is a stay extended.
    """
    before = await store.locked(tx, exchange_id)
    side = before.side_of(caller.company_id)
    try:
        decision = domain.draft(before, side, body.terms, tx.settings.rules, tx.now)
    except WrongTerms as wrong:
        raise InvalidFields([FieldError(fault.path, fault.detail, fault.allowed) for fault in wrong.faults]) from wrong
    return View.of(await store.save(tx, before, decision))


@routes.get("/exchanges/{exchange_id}/agreement/versions")
async def versions(exchange_id: UUID, caller: ReadingCaller, tx: Tx) -> list[VersionView]:
    """All versions of the learning agreement, the first one first, with what was signed, approved and sent back."""
    found = await store.read(tx, exchange_id)
    _may_read(found, caller)
    return [VersionView.of(version, found) for version in await store.versions(tx, found)]


@routes.post("/exchanges/{exchange_id}/signatures")
async def sign(exchange_id: UUID, body: Signature, caller: SigningCaller, tx: Tx) -> View:
    """Signs the latest version for the caller; with the third signature it is in force, or goes to the contact points."""
    before = await store.locked_with_companies(tx, exchange_id)
    decision = domain.sign(before, _party(before, caller), body.version, tx.now, caller.person_id)
    return View.of(await _save_within_limits(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/approval")
async def approve(exchange_id: UUID, body: Approval, caller: ContactPointCaller, tx: Tx) -> View:
    """Approves, for the contact point of one of the countries, the version that all three have signed."""
    before = await store.locked_with_companies(tx, exchange_id)
    decision = domain.approve(before, _country(before, caller), body.version, tx.now)
    return View.of(await _save_within_limits(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/sending-back")
async def send_back(exchange_id: UUID, body: SendingBack, caller: ContactPointCaller, tx: Tx) -> View:
    """Sends the version that all three have signed back with remarks: it takes a new one."""
    before = await store.locked(tx, exchange_id)
    decision = domain.send_back(before, _country(before, caller), body.version, body.remarks, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.put("/exchanges/{exchange_id}/arrival")
async def confirm_arrival(exchange_id: UUID, body: ArrivalForm, caller: SigningCaller, tx: Tx) -> View:
    """Says on which day the traveller arrived, for the host or for the sending side."""
    before = await store.locked(tx, exchange_id)
    decision = during.confirm_arrival(before, _party(before, caller), body.day, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.put("/exchanges/{exchange_id}/fit")
async def say_if_it_fits(exchange_id: UUID, body: FitForm, caller: SigningCaller, tx: Tx) -> View:
    """Answers in the middle of the stay whether it fits, for the host or for the sending side; a no alerts contact points."""
    before = await store.locked(tx, exchange_id)
    decision = during.say_if_it_fits(before, _party(before, caller), body.fits, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.put("/exchanges/{exchange_id}/training-record/{day}/{skill}")
async def record_training(
    exchange_id: UUID,
    day: date,
    skill: Annotated[str, Path(pattern=SKILL_ID)],
    body: DeliveryForm,
    caller: SigningCaller,
    tx: Tx,
) -> View:
    """Records what training was given on a day of the stay; there is one entry for a day and a skill."""
    before = await store.locked(tx, exchange_id)
    party = _party(before, caller)
    decision = during.record_training(before, party, day, skill, body.hours, body.given_by, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/interruption")
async def interrupt(exchange_id: UUID, body: Interrupting, caller: SigningCaller, tx: Tx) -> View:
    """Interrupts the stay: from today on days do not count. The last day stays where it is."""
    before = await store.locked(tx, exchange_id)
    decision = during.interrupt(before, _party(before, caller), body.reason, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/resumption")
async def resume(exchange_id: UUID, caller: SigningCaller, tx: Tx) -> View:
    """Resumes the stay: today counts again."""
    before = await store.locked(tx, exchange_id)
    return View.of(await store.save(tx, before, during.resume(before, _party(before, caller), tx.now)))


@routes.post("/exchanges/{exchange_id}/early-end")
async def end_early(exchange_id: UUID, caller: CompanyCaller, tx: Tx) -> View:
    """Makes today the last day. If fewer than 14 days count, the exchange is cancelled."""
    before = await store.locked(tx, exchange_id)
    return View.of(await store.save(tx, before, during.end_early(before, before.side_of(caller.company_id), tx.now)))


@routes.post("/exchanges/{exchange_id}/completion")
async def complete(exchange_id: UUID, caller: CompanyCaller, tx: Tx) -> View:
    """Confirms, after the last day, that the stay took place with the training recorded; it is completed once both have."""
    before = await store.locked(tx, exchange_id)
    decision = during.confirm_completion(before, before.side_of(caller.company_id), tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.post("/exchanges/{exchange_id}/cancellation")
async def cancel(exchange_id: UUID, body: Cancellation, caller: CompanyCaller, tx: Tx) -> View:
    """Calls an agreed or ongoing stay off."""
    before = await store.locked(tx, exchange_id)
    decision = domain.cancel(before, before.side_of(caller.company_id), body.reason, tx.now)
    return View.of(await store.save(tx, before, decision))


@routes.get("/alerts")
async def alerts(
    caller: ContactPointCaller,
    tx: Tx,
    request: Request,
    response: Response,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 500,
) -> list[AlertView]:
    """Those of the caller's country that it did not acknowledge, by their ids. A ``Link`` header leads to the next page."""
    found = await store.alerts(tx, _of(caller), after=after, limit=limit + 1)
    if len(found) > limit:
        link_to_next(request, response, after=found[limit - 1].alert.id, limit=limit)
    return [AlertView.of(raised) for raised in found[:limit]]


@routes.post("/alerts/{alert_id}/acknowledgement")
async def acknowledge(alert_id: UUID, caller: ContactPointCaller, tx: Tx) -> AlertView:
    """Says that the contact point of the caller's country sees to it; that of the other country has its own say."""
    return AlertView.of(await store.acknowledge(tx, alert_id, _of(caller)))


async def _save_within_limits(tx: Transaction, before: Exchange, decision: domain.Decision) -> Exchange:
    """Both companies are locked: nobody else's days are agreed on meanwhile."""
    after = decision[0]
    if domain.days_held(after) != domain.days_held(before):
        held = await store.held_beside(tx, after)
        limits.check(after, held, tx.settings.most_sent, await store.capacity(tx, after))
    return await store.save(tx, before, decision)


def _may_read(exchange: Exchange, caller: Caller) -> None:
    match caller.role:
        case Role.OPERATOR:
            return
        case Role.CONTACT_POINT:
            _country(exchange, caller)
        case _:
            _party(exchange, caller)


def _of(caller: Caller) -> Country:
    """A contact point's country: no token of theirs is valid without one."""
    if caller.country is None:
        raise NotYours("not_your_exchange", "the token names no country")
    return caller.country


def _country(exchange: Exchange, caller: Caller) -> Country:
    """The caller's, which is one of the two."""
    country = _of(caller)
    if country not in (exchange.match.sender_country, exchange.match.host_country):
        raise NotYours("not_your_exchange", "no company of the caller's country takes part in this exchange")
    return country


def _party(exchange: Exchange, caller: Caller) -> Party:
    """Who speaks for a company is a person as well, who signs for it and not for the traveller."""
    return exchange.party_of(caller.company_id, caller.person_id if caller.role is Role.TRAVELLER else None)
