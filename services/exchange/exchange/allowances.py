"""What a stay is supported with: a monthly rate by host country, paid by the day.

The rates are a starter table in six steps, within the EUR 530 to 1,100 a month that MobiliseSME 2 granted by host
country; a programme that pays sets its own.
"""

from sojourn_contracts.vocabulary import Country

_COUNTRIES_BY_MONTHLY_EUR = {
    1_100: "CH DK LI NO",
    1_000: "FI GB IE IS SE",
    900: "AT BE DE FR IT LU NL",
    800: "CY ES GR PT",
    700: "EE HR HU MT SI TR",
    600: "BG CZ LT LV PL RO SK",
}

MONTHLY_EUR: dict[Country, int] = {
    country: rate for rate, countries in _COUNTRIES_BY_MONTHLY_EUR.items() for country in countries.split()
}

LOWEST_MONTHLY_EUR = 530
"""For a host country that the table does not have."""

DAYS_IN_A_MONTH = 30
"""Whatever the calendar says, so that equal stays are worth the same all year."""


def allowance_cents(host_country: Country, days: int) -> int:
    """EUR cents for the whole stay: days times a thirtieth of the monthly rate, rounded once, half a cent upwards."""
    monthly_cents = MONTHLY_EUR.get(host_country, LOWEST_MONTHLY_EUR) * 100
    return (2 * monthly_cents * days + DAYS_IN_A_MONTH) // (2 * DAYS_IN_A_MONTH)
