"""The checklist of an exchange over HTTP, and what is late, for contact points."""

from datetime import date
from typing import Annotated
from uuid import UUID

from chassis.http import Tx, link_to_next
from chassis.identity import Caller, Role, requires
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel
from sojourn_contracts.refusal import Invalid, NotYours
from sojourn_contracts.vocabulary import Country, Party

from exchange import store as exchanges
from exchange.checklist import domain, store
from exchange.checklist.domain import Item, Listed, State
from exchange.checklist.store import Late
from exchange.state import Exchange, day_of

routes = APIRouter()

PartyCaller = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER))]
ReadingCaller = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER, Role.CONTACT_POINT, Role.OPERATOR))]
OverseeingCaller = Annotated[Caller, Depends(requires(Role.CONTACT_POINT, Role.OPERATOR))]

MOST_AT_ONCE = 1_000
_CURSOR = r"^\d{4}-\d{2}-\d{2}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[a-z0-9_]{1,32}$"


class EntryView(BaseModel):
    item: Item
    deadline: date
    """The last day on which it is done in time."""
    state: State
    who: tuple[Party, ...]
    """Who may say that it is done; the first of them is reminded."""
    done_by: Party | None
    done_at: AwareDatetime | None


class ChecklistView(BaseModel):
    """By deadline; empty until the exchange is agreed."""

    exchange_id: UUID
    notice: str
    items: tuple[EntryView, ...]


class RiskView(BaseModel):
    """Something that is late."""

    exchange_id: UUID
    item: Item
    deadline: date
    days_late: int
    sender_country: Country
    host_country: Country
    who: tuple[Party, ...]


@routes.get("/exchanges/{exchange_id}/checklist")
async def checklist(exchange_id: UUID, caller: ReadingCaller, tx: Tx) -> ChecklistView:
    """What has to be done before the stay; for its parties, the contact points of both countries, and operators."""
    exchange = await exchanges.read(tx, exchange_id)
    _require_reader(exchange, caller)
    return _view(exchange, await store.of(tx, exchange_id), day_of(tx.now))


@routes.post("/exchanges/{exchange_id}/checklist/{item}/done")
async def done(exchange_id: UUID, item: Item, caller: PartyCaller, tx: Tx) -> ChecklistView:
    """Says that it is done; who said it first stays."""
    exchange = await exchanges.locked(tx, exchange_id)
    party = _party(exchange, caller)
    listed = await store.entry(tx, exchange_id, item)
    return await _changed(tx, exchange, listed, domain.done(listed, party, exchange.stage, tx.now))


@routes.delete("/exchanges/{exchange_id}/checklist/{item}/done")
async def undone(exchange_id: UUID, item: Item, caller: PartyCaller, tx: Tx) -> ChecklistView:
    """Takes it back."""
    exchange = await exchanges.locked(tx, exchange_id)
    party = _party(exchange, caller)
    listed = await store.entry(tx, exchange_id, item)
    return await _changed(tx, exchange, listed, domain.undone(listed, party, exchange.stage))


@routes.get("/risks")
async def risks(
    caller: OverseeingCaller,
    tx: Tx,
    request: Request,
    response: Response,
    after: Annotated[str | None, Query(pattern=_CURSOR, description="as the Link header gives it")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
) -> list[RiskView]:
    """What is late in exchanges with a company in the contact point's country, the longest first; for operators, in all.

    A ``Link`` header leads to the next page.
    """
    country = caller.country if caller.role is Role.CONTACT_POINT else None
    found = await store.late(tx, store.Page(country, _position(after), limit + 1))
    if len(found) > limit:
        last = found[limit - 1]
        position = f"{last.entry.deadline}.{last.exchange_id}.{last.entry.item}"
        link_to_next(request, response, after=position, limit=limit)
    return [_risk(late, day_of(tx.now)) for late in found[:limit]]


async def _changed(tx: Tx, exchange: Exchange, before: Listed, after: Listed) -> ChecklistView:
    if after != before:
        await store.save_done(tx, exchange.id, after)
    all_listed = await store.of(tx, exchange.id)
    if after != before:
        store.set_reminder(tx, exchange.id, all_listed)
    return _view(exchange, all_listed, day_of(tx.now))


def _party(exchange: Exchange, caller: Caller) -> Party:
    return exchange.party_of(caller.company_id, caller.person_id if caller.role is Role.TRAVELLER else None)


def _require_reader(exchange: Exchange, caller: Caller) -> None:
    if caller.role is Role.CONTACT_POINT:
        if caller.country not in (exchange.match.sender_country, exchange.match.host_country):
            raise NotYours("not_your_exchange", "neither company is in the caller's country")
    elif caller.role is not Role.OPERATOR:
        _party(exchange, caller)


def _position(after: str | None) -> tuple[date, UUID, Item] | None:
    if after is None:
        return None
    deadline, exchange_id, item = after.split(".")
    try:
        return date.fromisoformat(deadline), UUID(exchange_id), Item(item)
    except ValueError:
        raise Invalid("invalid", "after", "is none that a Link header gave") from None


def _view(exchange: Exchange, all_listed: list[Listed], today: date) -> ChecklistView:
    return ChecklistView(
        exchange_id=exchange.id,
        notice=domain.NOT_LEGAL_ADVICE,
        items=tuple(
            EntryView(
                item=listed.entry.item,
                deadline=listed.entry.deadline,
                state=domain.state_of(listed, exchange.stage, today),
                who=domain.WHO[listed.entry.item],
                done_by=listed.done.by if listed.done else None,
                done_at=listed.done.at if listed.done else None,
            )
            for listed in all_listed
        ),
    )


def _risk(late: Late, today: date) -> RiskView:
    return RiskView(
        exchange_id=late.exchange_id,
        item=late.entry.item,
        deadline=late.entry.deadline,
        days_late=(today - late.entry.deadline).days,
        sender_country=late.sender_country,
        host_country=late.host_country,
        who=domain.WHO[late.entry.item],
    )
