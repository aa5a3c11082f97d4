"""What exchange holds on people and companies, and how it forgets them.

An exchange is about three: with one of them it goes as a whole, also while it lives, here and on every topic that it was told on.
What was granted for a stay is kept, since public money has to be accounted for, under the exchange's bare id and without
anybody's.
"""

from datetime import timedelta
from uuid import UUID

from chassis.holdings import Holding, Holdings, about
from chassis.retention import Kept
from chassis.transaction import Transaction
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.match import MatchDeclined

from chassis import erasure
from exchange import companies, store
from exchange.state import Exchange

_AT_IT = "(sender_id = {id} or host_id = {id} or traveller_id = {id})"
HELD = Holdings(
    (
        about(
            "exchange",
            "exchange_id, revision, stage, sender_id, host_id, traveller_id, proposal, accepted_by, agreement,"
            " training_hours, ending, changed_at",
            _AT_IT,
        ),
        Holding(
            "company",
            "company_id, profile, dropped, gone",
            person="position({id}::text in profile::text) > 0",
            company="company_id = {id} and profile is not null",
        ),
    ),
    subjects=f"select exchange_id from exchange where {_AT_IT}",  # noqa: S608
)
NOBODY = {"grant_kept": "what was granted for stays whose parties are erased, under the exchange's bare id"}


async def forget_company(company_id: UUID, tx: Transaction) -> None:
    (company,) = await store.companies_locked_or_blank(tx, company_id)
    await store.save_company(tx, companies.left(company))
    await _forget_exchanges(company_id, tx)


async def forget_person(person_id: UUID, tx: Transaction) -> None:
    await store.forget_traveller(tx, person_id)
    await _forget_exchanges(person_id, tx)


async def _forget_exchanges(party_id: UUID, tx: Transaction) -> None:
    for exchange in await store.all_of_party_locked(tx, party_id):
        await forget(exchange, tx)


async def forget(exchange: Exchange, tx: Transaction) -> None:
    """All that is held of an exchange, but for what was granted if all had signed."""
    agreement = exchange.agreement
    if agreement is not None and agreement.signed_by_all:
        await store.keep_grant(tx, exchange, agreement)
    await store.forget(tx, exchange)
    for told in (MatchDeclined, ExchangeUpdated, ExchangeAgreed, ExchangeCancelled, ExchangeCompleted):
        tx.erase(told, exchange.id)


async def forget_ended(tx: Transaction, age: timedelta, limit: int) -> int:
    """Exchanges that ended so long ago, by the programme's time."""
    ended = await store.ended_before_locked(tx, tx.now - age, limit)
    for exchange in ended:
        await forget(exchange, tx)
    return len(ended)


async def forget_grants(tx: Transaction, age: timedelta, limit: int) -> int:
    """What was granted for stays whose last day was so long ago."""
    return await store.forget_grants(tx, (tx.now - age).date(), limit)


DOORS = erasure.doors({"person": forget_person, "company": forget_company}, HELD)
KEPT = (Kept("exchange_days", forget_ended), Kept("grant_days", forget_grants))
