"""Who can take part, and in which words: countries, regions, languages and sectors that the programme knows.

Countries go by ISO 3166-1, regions by NUTS 2024 (with the statistical regions outside the Union, and the United Kingdom as
of 2018), sectors by NACE Rev. 2.1, languages by ISO 639-1. NUTS writes EL and UK where ISO writes GR and GB.
"""

from collections.abc import Mapping
from functools import cache, lru_cache

import pycountry
from stdnum import get_cc_module
from stdnum.eu import nace, vat
from stdnum.exceptions import ValidationError

_NUTS_1: Mapping[str, str] = {
    # The European Union
    "AT": "123",
    "BE": "123",
    "BG": "34",
    "CY": "0",
    "CZ": "0",
    "DE": "123456789ABCDEFG",
    "DK": "0",
    "EE": "0",
    "ES": "1234567",
    "FI": "12",
    "FR": "1BCDEFGHIJKLMY",
    "GR": "3456",
    "HR": "0",
    "HU": "123",
    "IE": "0",
    "IT": "CFGHI",
    "LT": "0",
    "LU": "0",
    "LV": "0",
    "MT": "0",
    "NL": "1234",
    "PL": "2456789",
    "PT": "123",
    "RO": "1234",
    "SE": "123",
    "SI": "0",
    "SK": "0",
    # The rest of the European Economic Area, Switzerland and the United Kingdom
    "IS": "0",
    "LI": "0",
    "NO": "0",
    "CH": "0",
    "GB": "CDEFGHIJKLMN",
    # Candidates for the Union that the pilot's successor admitted
    "AL": "0",
    "BA": "0",
    "ME": "0",
    "MK": "0",
    "RS": "12",
    "TR": "123456789ABC",
}
"""Country of the programme to the last characters of its NUTS 1 codes."""

_NUTS_COUNTRY = {"GR": "EL", "GB": "UK"}
_ISO_COUNTRY = {nuts: iso for iso, nuts in _NUTS_COUNTRY.items()}

COUNTRIES: Mapping[str, str] = {
    country.alpha_2: country.name
    for country in sorted(pycountry.countries, key=lambda country: country.alpha_2)
    if country.alpha_2 in _NUTS_1
}
"""ISO code to English name of every country of the programme."""


def regions(country: str) -> tuple[str, ...]:
    """The NUTS codes of level 0 and 1 in a country of the programme: for ``GR``, ``EL`` and ``EL3`` to ``EL6``."""
    prefix = _NUTS_COUNTRY.get(country, country)
    return (prefix, *(prefix + last for last in _NUTS_1[country]))


@cache
def all_regions() -> frozenset[str]:
    """The NUTS codes of level 0 and 1 in all countries of the programme."""
    return frozenset(region for country in COUNTRIES for region in regions(country))


def country_of_nuts(prefix: str) -> str | None:
    """What ISO writes for a country code of NUTS that differs from it."""
    return _ISO_COUNTRY.get(prefix)


@cache
def languages() -> frozenset[str]:
    """The ISO 639-1 codes."""
    return frozenset(language.alpha_2 for language in pycountry.languages if hasattr(language, "alpha_2"))


@lru_cache(maxsize=4096)  # the library searches its list line by line
def nace_code(text: str) -> str | None:
    """A NACE class or division as it is written, ``62.10`` or ``62``; None if Rev. 2.1 has no such class or division."""
    try:
        number = nace.validate(text)
    except ValidationError:
        return None
    return nace.format(number) if len(number) in (2, 4) else None


def was_nace(text: str) -> bool:
    """Whether this is a code of NACE Rev. 2, the revision before; many registers still have those."""
    return nace.is_valid(text, revision="2.0")


def is_division(code: str) -> bool:
    """Whether this is a NACE division, two digits."""
    return len(code) == 2 and nace_code(code) == code


def is_in_vies(country: str) -> bool:
    """Whether the Union's register of VAT numbers knows those of this country: a member state's."""
    return country.lower() in vat.MEMBER_STATES


def vat_number(country: str, text: str) -> str | None:
    """A country's VAT number in one way of writing, a member state's with its prefix; None if it is none.

    A country without such a number in python-stdnum takes any of 4 to 20 letters and digits.
    """
    compact = "".join(text.split()).replace("-", "").replace(".", "").upper()
    if is_in_vies(country):
        prefix = _NUTS_COUNTRY.get(country, country)  # the VAT directive writes EL for Greece, as NUTS does
        number = prefix + compact.removeprefix(prefix).removeprefix(country)
        return vat.compact(number) if vat.is_valid(number) else None
    module = get_cc_module(country, "vat")
    if module is None:
        return compact if compact.isascii() and compact.isalnum() and 4 <= len(compact) <= 20 else None
    return module.compact(compact) if module.is_valid(compact) else None
