"""What exchange does on each event it consumes, and when something falls due.

Events may come in any order and more than once: what is decided on the way may differ, that no exchange lives on without
both of its ends does not.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from chassis.doors import Door, OnAllDue, Work, consumes, erases, locks_first, on_all_due, on_due
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.erasure import ErasureRequested
from sojourn_contracts.event import Event
from sojourn_contracts.match import MatchProposed

from exchange import companies, domain, during, erasure, notices, store
from exchange.domain import Decision
from exchange.state import Exchange


@locks_first
async def hold_companies(envelopes: Sequence[Envelope], tx: Transaction) -> None:
    """All companies of the batch, before its handlers look at them one by one, in whatever order the batch has.

    Of somebody who is to be forgotten it is not known yet whose exchanges they are at: then all that there are.
    """
    if any(envelope.data is None or envelope.event is ErasureRequested for envelope in envelopes):
        await store.hold_all_companies(tx)
    if company_ids := {company_id for envelope in envelopes for company_id in _companies(envelope.data)}:
        await store.hold_companies(tx, company_ids)


def _companies(event: Event | None) -> Iterator[UUID]:
    match event:
        case MatchProposed():
            yield from (event.sender_id, event.host_id)
        case CompanyRegistered() | CompanyUpdated() | CompanyWithdrawn():
            yield event.company_id
        case _:
            pass


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
    """Ends what the company takes part in, and keeps no more of it than its id and that it is gone."""
    (company,) = await store.companies_locked_or_blank(tx, event.company_id)
    await store.save_company(tx, companies.left(company))
    for exchange in await store.live_and_locked(tx, company.id):
        await store.save(tx, exchange, domain.company_gone(exchange, tx.now))


@erases(MatchProposed)
async def forget_exchange(match_id: UUID, tx: Transaction) -> None:
    """An exchange is erased with its match, here and on every topic that it was told on."""
    exchange = await store.locked_if_held(tx, match_id)
    if exchange is not None:
        await erasure.forget(exchange, tx)


def _brings(kind: str, decide: Callable[[Exchange, datetime], Decision]) -> OnAllDue:
    """All that is due at once: a night may bring thousands."""

    async def handle(works: Sequence[tuple[Work, Transaction]]) -> None:
        await store.save_all(
            [store.Change(tx, exchange, decide(exchange, tx.now)) for tx, exchange in await store.free(works)]
        )

    return on_all_due(kind)(handle)


@on_due(notices.NOTIFY)
async def notify(work: Work, tx: Transaction) -> None:
    for _, exchange in await store.free([(work, tx)]):
        tx.emit(*notices.fallen_due(exchange, tx.now))


DOORS: tuple[Door, ...] = (
    hold_companies,
    open_exchange,
    consumes(CompanyRegistered)(hear),
    consumes(CompanyUpdated)(hear),
    let_go,
    erases(CompanyRegistered)(erasure.forget_company),
    erases(CompanyUpdated)(erasure.forget_company),
    erases(CompanyWithdrawn)(erasure.forget_company),
    forget_exchange,
    _brings("expire", domain.expire),
    _brings("start", domain.start),
    _brings("ask", during.ask),
    _brings("close", during.close),
    notify,
    *erasure.DOORS,
)
