"""All the SQL about payments. Those of an exchange change only while its row is locked."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from chassis.transaction import Transaction

from exchange.payments import domain
from exchange.payments.domain import Kind, Payment
from exchange.state import Exchange, day_of


@dataclass(frozen=True)
class Listed:
    """A payment as it is exported."""

    payment_id: UUID
    exchange_id: UUID
    payee_id: UUID | None
    """None once the payee is erased; the accounts know them by the payment's id."""
    payment: Payment


@dataclass(frozen=True)
class Page:
    """Payments that fall due on these days, of the first day only those after this id (None: all), so many at most."""

    first_day: date
    last_day: date
    after: UUID | None
    limit: int


async def follow(tx: Transaction, before: Exchange | None, exchange: Exchange) -> None:
    """Brings the payments of an exchange in line with its new state."""
    claim = domain.claim_of(exchange)
    if claim is None or (before is not None and claim == domain.claim_of(before)):
        return
    known = await _of(tx, exchange.id)
    planned = domain.planned(claim, known, tx.settings.payment_rules, day_of(tx.now))
    if planned != known:
        await _replace(tx, exchange, planned)


async def page(tx: Transaction, wanted: Page) -> list[Listed]:
    """In the order of due day and id."""
    rows = await tx.connection.fetch(
        """
        select payment_id, exchange_id, payee_id, kind, amount_cents, due_day from payment
        where due_day between $1 and $2 and ($3::uuid is null or (due_day, payment_id) > ($1, $3))
        order by due_day, payment_id limit $4
        """,
        wanted.first_day,
        wanted.last_day,
        wanted.after,
        wanted.limit,
    )
    return [Listed(row["payment_id"], row["exchange_id"], row["payee_id"], _payment(row)) for row in rows]


async def _of(tx: Transaction, exchange_id: UUID) -> tuple[Payment, ...]:
    rows = await tx.connection.fetch(
        "select kind, amount_cents, due_day from payment where exchange_id = $1 order by due_day, kind", exchange_id
    )
    return tuple(_payment(row) for row in rows)


async def _replace(tx: Transaction, exchange: Exchange, payments: tuple[Payment, ...]) -> None:
    kinds = [payment.kind.value for payment in payments]
    await tx.connection.execute(
        "delete from payment where exchange_id = $1 and kind <> all($2::text[])", exchange.id, kinds
    )
    await tx.connection.execute(
        """
        insert into payment (payment_id, exchange_id, payee_id, kind, amount_cents, due_day)
        select payment_id, $2, $3, kind, amount_cents, due_day
        from unnest($1::uuid[], $4::text[], $5::int[], $6::date[]) as one(payment_id, kind, amount_cents, due_day)
        on conflict (payment_id) do update set amount_cents = excluded.amount_cents, due_day = excluded.due_day
        """,
        [domain.id_of(exchange.id, payment.kind) for payment in payments],
        exchange.id,
        exchange.match.sender_id,
        kinds,
        [payment.amount_cents for payment in payments],
        [payment.due_day for payment in payments],
    )


def _payment(row: Any) -> Payment:
    return Payment(Kind(row["kind"]), row["amount_cents"], row["due_day"])


async def forget_payee(tx: Transaction, payee_id: UUID) -> None:
    """What has fallen due is kept without the id; nobody is left to pay what has not."""
    await tx.connection.execute("delete from payment where payee_id = $1 and due_day > $2", payee_id, day_of(tx.now))
    await tx.connection.execute("update payment set payee_id = null where payee_id = $1", payee_id)


async def forget_due_before(tx: Transaction, day: date, limit: int) -> int:
    """At most so many, of exchanges that are not there any more."""
    gone = await tx.connection.execute(
        "delete from payment where payment_id in (select payment_id from payment where due_day < $1"
        " and not exists (select from exchange where exchange.exchange_id = payment.exchange_id) limit $2)",
        day,
        limit,
    )
    return int(gone.rpartition(" ")[2])
