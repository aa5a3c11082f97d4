"""What is paid for a stay, and when: an advance before it, the rest after its end. Pure.

The rules:

- The advance is a share of the agreed allowance, half a cent upwards, and falls due some days before the first day.
- What was earned is known when the exchange ends: the agreed allowance by the days that took place, pro rata, half a cent
  upwards. A stay that ended early or was broken off is paid until its last day, however short it was; days of interruption
  are not paid; a stay that never began, or that nobody confirmed, earned nothing.
- The final payment is what was earned less the advance, exactly. Where the advance was more, the difference is to be paid
  back: a recovery, with a negative amount. So the payments of an exchange always sum to what it earned.
- A payment stands from two days before it falls due: it is not changed and not dropped any more, and none is added that falls due
  sooner. So what fell due until today can be exported, and an export of the same days is always the same.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from sojourn_contracts.exchange import Stage

from exchange.agreement import Agreement
from exchange.allowances import rounded
from exchange.during import UNCONFIRMED
from exchange.state import Exchange, day_of
from exchange.stay import counted_days

STANDS_AHEAD = timedelta(days=2)

_IDS = UUID("8a0b5a0e-6c35-4f0f-8f0e-3b1f2d9c7c11")


class Kind(StrEnum):
    ADVANCE = "advance"
    FINAL = "final"
    RECOVERY = "recovery"
    """To be paid back."""


@dataclass(frozen=True)
class Payment:
    """To the sending company; in EUR cents, negative where it is to be paid back."""

    kind: Kind
    amount_cents: int
    due_day: date

    def stands(self, today: date) -> bool:
        """It is not changed any more."""
        return self.due_day < today + STANDS_AHEAD


@dataclass(frozen=True)
class Earned:
    """What an exchange that has ended was worth, and the day on which that was known."""

    cents: int
    known_on: date


@dataclass(frozen=True)
class Claim:
    """What the payments for an agreed stay follow from."""

    agreed_cents: int
    first_day: date
    earned: Earned | None = None
    """None until the exchange has ended."""


@dataclass(frozen=True)
class PaymentRules:
    """As the programme's settings say."""

    advance_percent: int
    advance_days_ahead: int
    final_payment_days: int
    """At least those that a payment stands ahead."""


def id_of(exchange_id: UUID, kind: Kind) -> UUID:
    """An exchange has one payment of a kind at most."""
    return uuid5(_IDS, f"{exchange_id} {kind}")


def earned_cents(agreed_cents: int, agreed_days: int, paid_days: int) -> int:
    """Pro rata; all of it where all of the days took place."""
    return rounded(agreed_cents * paid_days, agreed_days)


def planned(claim: Claim, before: tuple[Payment, ...], rules: PaymentRules, today: date) -> tuple[Payment, ...]:
    """All payments of the exchange as they are now to be: those that stand, unchanged, and those that follow from the claim."""
    standing = tuple(payment for payment in before if payment.stands(today))
    rest = _rest(claim, standing, rules, today)
    return (*standing, *((rest,) if rest and rest.amount_cents else ()))


def _rest(claim: Claim, standing: tuple[Payment, ...], rules: PaymentRules, today: date) -> Payment | None:
    if claim.earned is None:
        if standing:
            return None
        due_day = max(claim.first_day - timedelta(days=rules.advance_days_ahead), today + STANDS_AHEAD)
        return Payment(Kind.ADVANCE, rounded(claim.agreed_cents * rules.advance_percent, 100), due_day)
    due_day = claim.earned.known_on + timedelta(days=rules.final_payment_days)
    rest = claim.earned.cents - sum(payment.amount_cents for payment in standing)
    return Payment(Kind.FINAL if rest > 0 else Kind.RECOVERY, rest, due_day)


def claim_of(exchange: Exchange) -> Claim | None:
    """None for an exchange that was not agreed."""
    last = exchange.ending.at_stage if exchange.ending else exchange.stage
    if last.rank < Stage.AGREED.rank:
        return None
    agreed = exchange.drafted
    earned = Earned(_earned_cents(exchange, agreed), day_of(exchange.changed_at)) if exchange.stage.ended else None
    return Claim(agreed.allowance_cents, agreed.terms.first_day, earned)


def _earned_cents(exchange: Exchange, agreed: Agreement) -> int:
    if exchange.stage is Stage.COMPLETED:
        return earned_cents(agreed.allowance_cents, agreed.terms.days, exchange.counted_days)
    unconfirmed = exchange.ending is not None and exchange.ending.reason == UNCONFIRMED
    if not exchange.begun or unconfirmed:
        return 0
    broken_off_on = day_of(exchange.changed_at)
    last_day = min(exchange.stay.ended_on or broken_off_on, broken_off_on)
    took_place = counted_days(agreed.terms.parts, replace(exchange.stay, ended_on=last_day))
    return earned_cents(agreed.allowance_cents, agreed.terms.days, took_place)
