"""What exchange does on each event it consumes, and when something falls due.

Events may come in any order and more than once: what is decided on the way may differ, that no exchange lives on without
both of its ends does not.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from chassis.doors import Door, Work, consumes, erases, on_due
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.match import MatchDeclined, MatchProposed

from exchange import companies, domain, store
from exchange.domain import Decision
from exchange.state import Exchange


@consumes(MatchProposed)
async def open_exchange(event: MatchProposed, tx: Transaction) -> None:
    """An end of it may have gone before the proposal gets here: then the exchange is withdrawn as it opens."""
    sender_and_host = await store.companies_locked_or_blank(tx, event.sender_id, event.host_id)
    before = await store.locked_or_blank(tx, event.match_id)
    ends_there = all(company.still_has(event) for company in sender_and_host)
    exchange, events = domain.open(before, event, ends_there, tx.now)
    await store.save(tx, exchange, before)
    tx.emit(*events)


@consumes(CompanyRegistered)
async def hear_of_registered(event: CompanyRegistered, tx: Transaction) -> None:
    await _hear(event, tx)


@consumes(CompanyUpdated)
async def hear_of_updated(event: CompanyUpdated, tx: Transaction) -> None:
    await _hear(event, tx)


async def _hear(profile: companies.Profile, tx: Transaction) -> None:
    """Withdraws what lost its placement or its offer by this state."""
    (before,) = await store.companies_locked_or_blank(tx, profile.company_id)
    company = companies.heard(before, profile)
    await store.save_company(tx, company)
    for exchange in await store.live_and_locked(tx, company.id):
        if not company.still_has(exchange.match):
            await _save(tx, exchange, domain.withdraw(exchange, tx.now))


@consumes(CompanyWithdrawn)
async def let_go(event: CompanyWithdrawn, tx: Transaction) -> None:
    await _let_go(event.company_id, tx)


@erases(CompanyRegistered)
async def forget_registered(company_id: UUID, tx: Transaction) -> None:
    await _let_go(company_id, tx)


@erases(CompanyUpdated)
async def forget_updated(company_id: UUID, tx: Transaction) -> None:
    await _let_go(company_id, tx)


@erases(CompanyWithdrawn)
async def forget_withdrawn(company_id: UUID, tx: Transaction) -> None:
    await _let_go(company_id, tx)


async def _let_go(company_id: UUID, tx: Transaction) -> None:
    """Ends what the company takes part in, and keeps no more than its id and that it is gone."""
    (company,) = await store.companies_locked_or_blank(tx, company_id)
    await store.save_company(tx, companies.left(company))
    for exchange in await store.live_and_locked(tx, company_id):
        await _save(tx, exchange, domain.company_gone(exchange, tx.now))


@erases(MatchProposed)
async def forget_exchange(match_id: UUID, tx: Transaction) -> None:
    """An exchange is erased with its match, here and on every topic that it was told on."""
    exchange = await store.locked_if_held(tx, match_id)
    if exchange is None:
        return
    await store.forget(tx, exchange)
    for told in (MatchDeclined, ExchangeUpdated, ExchangeAgreed, ExchangeCancelled, ExchangeCompleted):
        tx.erase(told, match_id)


@on_due("expire")
async def expire(work: Work, tx: Transaction) -> None:
    await _when_due(work, tx, domain.expire)


@on_due("start")
async def start(work: Work, tx: Transaction) -> None:
    await _when_due(work, tx, domain.start)


@on_due("close")
async def close(work: Work, tx: Transaction) -> None:
    await _when_due(work, tx, domain.close)


async def _when_due(work: Work, tx: Transaction, decide: Callable[[Exchange, datetime], Decision]) -> None:
    """Never waits for an exchange that somebody is acting on, who may be waiting for this due work: it comes back instead."""
    exchange_id = UUID(work.subject)
    exchange = await store.locked_if_free(tx, exchange_id)
    if exchange is not None:
        await _save(tx, exchange, decide(exchange, tx.now))
    elif await store.is_held(tx, exchange_id):
        tx.schedule(work.kind, exchange_id, work.at)


async def _save(tx: Transaction, before: Exchange, decision: Decision) -> None:
    exchange, events = decision
    await store.save(tx, exchange, before)
    tx.emit(*events)


DOORS: tuple[Door, ...] = (
    open_exchange,
    hear_of_registered,
    hear_of_updated,
    let_go,
    forget_registered,
    forget_updated,
    forget_withdrawn,
    forget_exchange,
    expire,
    start,
    close,
)
