"""Payments as CSV: UTF-8, commas, lines that end in LF; amounts in euros with two decimals, a point between."""

from collections.abc import Iterable
from datetime import date

from sojourn_contracts.refusal import Invalid

from exchange.payments.store import Listed

COLUMNS = "payment_id,exchange_id,payee_id,kind,amount_eur,due_day\n"


def lines(payments: Iterable[Listed]) -> str:
    """One line each, without the header."""
    return "".join(
        f"{one.payment_id},{one.exchange_id},{one.payee_id or ''},{one.payment.kind},{euros(one.payment.amount_cents)},"
        f"{one.payment.due_day}\n"
        for one in payments
    )


def euros(cents: int) -> str:
    """-12.05, exactly."""
    sign, cents = "-" if cents < 0 else "", abs(cents)
    return f"{sign}{cents // 100}.{cents % 100:02}"


def require_period(first_day: date, last_day: date, today: date) -> None:
    """Only days that have come are exported: what falls due on them does not change any more.

    Raises:
        Invalid: ``not_yet_due``, ``period_reversed``.
    """
    if last_day > today:
        raise Invalid(
            "not_yet_due", "until", f"payments are exported from the day on which they fall due: {today} or earlier"
        )
    if first_day > last_day:
        raise Invalid("period_reversed", "from", f"has to be {last_day} or earlier, the last day of the period")
