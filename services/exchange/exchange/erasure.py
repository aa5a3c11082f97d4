"""What exchange holds on people and companies, and how it forgets them.

An exchange is about three: with one of them it goes as a whole, here and on every topic that it was told on. One that lives is
called off first, so that payments come out right. Those are kept, since public money has to be accounted for: under the
exchange's bare id, and of a payee who is erased without the id.
"""

from datetime import timedelta
from uuid import UUID

from chassis.holdings import Holding, Holdings, about
from chassis.retention import Kept
from chassis.transaction import Transaction
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.match import MatchDeclined

from chassis import erasure
from exchange import companies, domain, notices, store
from exchange.payments import store as payments
from exchange.state import Exchange

_AT_IT = "(sender_id = {id} or host_id = {id} or traveller_id = {id})"
_EXCHANGES = f"select exchange_id from exchange where {_AT_IT}"  # noqa: S608
_OF_EXCHANGES = f"exchange_id in ({_EXCHANGES})"
HELD = Holdings(
    (
        about(
            "exchange",
            "exchange_id, revision, stage, sender_id, host_id, traveller_id, proposal, accepted_by, agreement, amendment,"
            " stay, sender_country, host_country, ending, changed_at",
            _AT_IT,
        ),
        about("former_version", "exchange_id, version, agreement", _OF_EXCHANGES),
        about("held_days", "exchange_id, traveller_id, sender_id, offer_id, days", _OF_EXCHANGES),
        about(
            "alert",
            "alert_id, exchange_id, raised_by, raised_at, sender_country, host_country, acknowledged_by",
            _OF_EXCHANGES,
        ),
        about(
            "checklist_item",
            "exchange_id, item, deadline, sender_country, host_country, done_by, done_at, reminded_on, over",
            _OF_EXCHANGES,
        ),
        about("certificate", "exchange_id, code", _OF_EXCHANGES),
        about(
            "payment",
            "payment_id, exchange_id, payee_id, kind, amount_cents, due_day",
            f"payee_id = {{id}} or {_OF_EXCHANGES}",
        ),
        Holding(
            "company",
            "company_id, profile, dropped, gone",
            person="position({id}::text in profile::text) > 0",
            company="company_id = {id} and profile is not null",
        ),
    ),
    subjects=_EXCHANGES,
)
NOBODY: dict[str, str] = {}


async def forget_company(company_id: UUID, tx: Transaction) -> None:
    (company,) = await store.companies_locked_or_blank(tx, company_id)
    await store.save_company(tx, companies.left(company))
    await _forget_exchanges(company_id, tx)
    await payments.forget_payee(tx, company_id)


async def forget_person(person_id: UUID, tx: Transaction) -> None:
    await store.forget_traveller(tx, person_id)
    await _forget_exchanges(person_id, tx)


async def _forget_exchanges(party_id: UUID, tx: Transaction) -> None:
    for exchange in await store.all_of_party_locked(tx, party_id):
        await forget(exchange, tx, party_id)


async def forget(exchange: Exchange, tx: Transaction, erased: UUID | None = None) -> None:
    """All that is held of an exchange, but for its payments. The others are told that a stay is called off, if it is."""
    ended = exchange
    if not exchange.stage.ended:
        ended = await store.save(tx, exchange, domain.company_gone(exchange, tx.now))
        tx.emit(*notices.called_off(exchange, erased))
    await store.forget(tx, ended)
    for told in (MatchDeclined, ExchangeUpdated, ExchangeAgreed, ExchangeCancelled, ExchangeCompleted):
        tx.erase(told, exchange.id)


async def forget_ended(tx: Transaction, age: timedelta, limit: int) -> int:
    """Exchanges that ended so long ago, by the programme's time."""
    ended = await store.ended_before_locked(tx, tx.now - age, limit)
    for exchange in ended:
        await forget(exchange, tx)
    return len(ended)


async def forget_payments(tx: Transaction, age: timedelta, limit: int) -> int:
    """Payments that fell due so long ago, of exchanges that are forgotten."""
    return await payments.forget_due_before(tx, (tx.now - age).date(), limit)


DOORS = erasure.doors({"person": forget_person, "company": forget_company}, HELD)
KEPT = (Kept("exchange_days", forget_ended), Kept("payment_days", forget_payments))
