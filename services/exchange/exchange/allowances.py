"""What a stay is supported with: a monthly rate by host country, paid by the day. Pure, as the domain is.

The rules, which the table's source leaves open:

- A day is worth a thirtieth of the monthly rate that is valid on it, in every month, so that equal stays are worth the same
  all year. A stay over the first day of new rates is paid by the old ones until then.
- First and last day are paid, interruptions are not.
- Amounts are whole EUR cents, reckoned exactly in thirtieths of a cent and rounded once, half a cent upwards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sojourn_contracts.vocabulary import Country

DAYS_IN_A_MONTH = 30


@dataclass(frozen=True)
class Period:
    """The monthly rates, in EUR cents, from a day on until the next period begins."""

    valid_from: date
    monthly_cents: Mapping[Country, int]
    elsewhere_cents: int
    """For a host country that the table does not name."""


@dataclass(frozen=True, eq=False)
class Rates:
    """A version of the table of rates."""

    version: str
    source: str
    """Where the figures come from."""
    periods: tuple[Period, ...]
    """At least one, by their first days; the first one holds for the days before it too."""

    def monthly_cents(self, host_country: Country, day: date) -> int:
        """The rate that is valid on this day."""
        valid = self.periods[0]
        for period in self.periods[1:]:
            if period.valid_from <= day:
                valid = period
        return valid.monthly_cents.get(host_country, valid.elsewhere_cents)

    def allowance_cents(self, host_country: Country, days: Iterable[date]) -> int:
        """EUR cents for these days, in all."""
        return rounded(sum(self.monthly_cents(host_country, day) for day in days), DAYS_IN_A_MONTH)


def rounded(dividend: int, divisor: int) -> int:
    """The quotient of two numbers that are not negative, half upwards, without a detour over inexact numbers."""
    return (2 * dividend + divisor) // (2 * divisor)
