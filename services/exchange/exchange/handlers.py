"""What exchange does on each event it consumes, and when something falls due.

Events may come in any order and more than once: what is decided on the way may differ, that no exchange lives on without
both of its ends does not.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.doors import Door, Work, consumes, erases, on_due
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.match import MatchDeclined, MatchProposed

from exchange import companies, domain, notices, store
from exchange.domain import Decision
from exchange.state import Exchange

SHORTLY = timedelta(milliseconds=100)
"""Of wall time, until due work comes back whose exchange somebody else had."""


@consumes(MatchProposed)
async def open_exchange(event: MatchProposed, tx: Transaction) -> None:
    """An end of it may have gone before the proposal gets here: then the exchange is withdrawn as it opens."""
    sender_and_host = await store.companies_locked_or_blank(tx, event.sender_id, event.host_id)
    before = await store.locked_or_blank(tx, event.match_id)
    ends_there = all(company.still_has(event) for company in sender_and_host)
    await store.save(tx, before, domain.open(before, event, ends_there, tx.now))


async def hear(profile: companies.Profile, tx: Transaction) -> None:
    """Withdraws what lost its placement or its offer by this state of a company."""
    (before,) = await store.companies_locked_or_blank(tx, profile.company_id)
    company = companies.heard(before, profile)
    await store.save_company(tx, company)
    for exchange in await store.live_and_locked(tx, company.id):
        if not company.still_has(exchange.match):
            await store.save(tx, exchange, domain.withdraw(exchange, tx.now))


@consumes(CompanyWithdrawn)
async def let_go(event: CompanyWithdrawn, tx: Transaction) -> None:
    await forget_company(event.company_id, tx)


async def forget_company(company_id: UUID, tx: Transaction) -> None:
    """Ends what the company takes part in, and keeps no more of it than its id and that it is gone."""
    (company,) = await store.companies_locked_or_blank(tx, company_id)
    await store.save_company(tx, companies.left(company))
    for exchange in await store.live_and_locked(tx, company_id):
        await store.save(tx, exchange, domain.company_gone(exchange, tx.now))


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


@on_due(notices.NOTIFY)
async def notify(work: Work, tx: Transaction) -> None:
    exchange = await _held(work, tx)
    if exchange is not None:
        tx.emit(*notices.fallen_due(exchange, tx.now))


async def _when_due(work: Work, tx: Transaction, decide: Callable[[Exchange, datetime], Decision]) -> None:
    exchange = await _held(work, tx)
    if exchange is not None:
        await store.save(tx, exchange, decide(exchange, tx.now))


async def _held(work: Work, tx: Transaction) -> Exchange | None:
    """The work's exchange, locked; None where it is gone, or where the work comes back.

    Does not wait for an exchange that somebody is acting on: they may be waiting to take this very work back.
    """
    exchange_id = UUID(work.subject)
    exchange = await store.locked_if_free(tx, exchange_id)
    if exchange is None and await store.is_held(tx, exchange_id):
        tx.schedule(work.kind, exchange_id, work.at, not_before=datetime.now(UTC) + SHORTLY)
    return exchange


DOORS: tuple[Door, ...] = (
    open_exchange,
    consumes(CompanyRegistered)(hear),
    consumes(CompanyUpdated)(hear),
    let_go,
    erases(CompanyRegistered)(forget_company),
    erases(CompanyUpdated)(forget_company),
    erases(CompanyWithdrawn)(forget_company),
    forget_exchange,
    expire,
    start,
    close,
    notify,
)
