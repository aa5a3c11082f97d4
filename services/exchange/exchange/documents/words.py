"""The words of the documents in each language, and how it writes days, amounts, countries and languages."""

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal
from sojourn_contracts.vocabulary import Country


class DocumentLanguage(StrEnum):
    """ISO 639-1."""

    EN = "en"
    IT = "it"
    DE = "de"
    FR = "fr"


@dataclass(frozen=True, eq=False)
class Words:
    """One language."""

    language: DocumentLanguage
    locale: Locale
    texts: dict[str, Any]

    def __getitem__(self, path: str) -> str:
        """By section and key: ``agreement.title``."""
        section, key = path.split(".")
        return self.texts[section][key].strip()

    def day(self, day: date) -> str:
        """2 March 2026."""
        written = format_date(day, "long", locale=self.locale)
        if self.language is DocumentLanguage.FR and day.day == 1:
            return f"1er{written[1:]}"  # CLDR leaves the ordinal out
        return written

    def time(self, instant: datetime) -> str:
        return instant.strftime("%H:%M")

    def euros(self, cents: int) -> str:
        """€1,026.67."""
        return format_currency(Decimal(cents) / 100, "EUR", locale=self.locale)

    def days(self, count: int) -> str:
        return self["amount.days"].format(count=count)

    def hours(self, count: int) -> str:
        return self["amount.hour"] if count == 1 else self["amount.hours"].format(count=self.number(count))

    def number(self, count: int) -> str:
        return format_decimal(count, locale=self.locale)

    def country(self, code: Country) -> str:
        return self.locale.territories.get(code, code)

    def named_language(self, code: str) -> str:
        """The name of a language, in this one."""
        return self.locale.languages.get(code, code)


@cache
def words(language: DocumentLanguage) -> Words:
    texts = tomllib.loads((Path(__file__).parent / "words" / f"{language}.toml").read_text("utf-8"))
    return Words(language, Locale.parse(texts["locale"]), texts)
