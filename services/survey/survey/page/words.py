"""The words of a page in each language, and how it writes shares, numbers and countries."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.numbers import format_decimal, format_percent

from survey.questionnaires.questionnaire import LANGUAGES

MINUS = "−"  # noqa: RUF001 - the sign, not a hyphen


@dataclass(frozen=True, eq=False)
class Words:
    """One language."""

    language: str
    locale: Locale
    texts: dict[str, Any]

    def __getitem__(self, path: str) -> str:
        """By section and key: ``indicators.title``.

        Raises:
            KeyError: there is no such text.
        """
        section, key = path.split(".")
        return self.texts[section][key].strip()

    def named(self, section: str, code: str) -> str:
        """What a code of a closed or growing list is called; a code that has no name here stands for itself."""
        return self.texts[section].get(code, code)

    def number(self, value: float) -> str:
        """At most one digit behind the separator."""
        return format_decimal(value, "#,##0.#", locale=self.locale)

    def share(self, value: float) -> str:
        """From 0 to 1, as whole per cent."""
        return format_percent(value, locale=self.locale)

    def interval(self, low: float, high: float) -> str:
        return self["say.interval"].format(low=self.share(low), high=self.share(high))

    def points(self, difference: float) -> str:
        """A difference of shares in percentage points, with its sign."""
        rounded = round(difference * 100)
        sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
        return sign + format_decimal(abs(rounded), locale=self.locale)

    def country(self, code: str) -> str:
        return self.locale.territories.get(code, code)


@cache
def words(language: str) -> Words:
    """``language``: one of the questionnaires' ``LANGUAGES``."""
    if language not in LANGUAGES:
        raise KeyError(language)
    texts = tomllib.loads((Path(__file__).parent / "words" / f"{language}.toml").read_text("utf-8"))
    return Words(language, Locale.parse(texts["locale"]), texts)
