"""The fields of a form: each with its bounds, and with what is told when it is wrong."""

import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Protocol, cast

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo
from sojourn_contracts.vocabulary import MAX_STAY_DAYS, MIN_STAY_DAYS

from registration import programme
from registration.companies.domain import Profile
from registration.wrongs import NO_CONTROLS, Allowed, Entries, plain, wrong

MAX_STAYS = 20
"""Placements, and hosting offers, that one company can have at a time."""
MAX_SKILLS = 30
MAX_LANGUAGES = 24
MAX_SECTORS = 20
MAX_CAPACITY = 50
MAX_AHEAD = timedelta(days=3 * 365)
"""How far ahead a window can end."""


class Window(Protocol):
    """What a form or the profile says about when."""

    @property
    def first(self) -> date: ...
    @property
    def last(self) -> date: ...


@dataclass(frozen=True)
class Circumstances:
    """What a form is judged by beside itself."""

    today: date
    """By the programme's clock."""
    skills: Container[str]
    """Ids of the taxonomy in force."""
    country: str | None = None
    """What the form says the company's country is, whether or not that is a valid one."""
    held: Profile | None = None
    """What the company has said so far."""
    least_days: int = MIN_STAY_DAYS
    """That a window has to leave for a stay."""

    def holds(self, window: Window) -> bool:
        """Whether a stay has this window already: it was admitted in time, and does not become wrong by passing."""
        stays = (*self.held.placements, *self.held.offers) if self.held else ()
        return any((stay.window.first, stay.window.last) == (window.first, window.last) for stay in stays)

    def days_in(self, window: Window) -> int:
        """Calendar days that a stay can have in the window, from today on."""
        first = window.first if self.holds(window) else max(window.first, self.today)
        return max(0, (window.last - first).days + 1)


def circumstances(info: ValidationInfo) -> Circumstances:
    return cast(Circumstances, info.context)


_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(text: Any) -> Any:
    """Only as ISO 8601 writes a day: pydantic would also take seconds since 1970."""
    if not isinstance(text, str) or not _ISO_DAY.fullmatch(text):
        raise wrong("is not a day")
    return text


def _programme_country(code: str) -> str:
    if iso := programme.country_of_nuts(code):
        raise wrong(f"is how NUTS writes it; ISO 3166-1 has {iso}")
    if code not in programme.COUNTRIES:
        raise wrong("is not a country of the programme")
    return code


def _not_home(code: str, info: ValidationInfo) -> str:
    if code == circumstances(info).country:
        raise wrong("is the company's own country", "another country of the programme")
    return code


def _known_language(code: str) -> str:
    if code not in programme.languages():
        raise wrong("is not a language of ISO 639-1")
    return code


def _known_skill(skill: str, info: ValidationInfo) -> str:
    if skill not in circumstances(info).skills:
        raise wrong("is not a skill of the taxonomy")
    return skill


def _known_division(code: str) -> str:
    if not programme.is_division(code):
        raise wrong("is not a division of NACE Rev. 2.1")
    return code


def _known_nace(text: str) -> str:
    code = programme.nace_code(text)
    if code is None:
        raise wrong(
            "is a code of NACE Rev. 2, and of no class or division of Rev. 2.1"
            if programme.was_nace(text)
            else "is not a class or division of NACE Rev. 2.1"
        )
    return code


def held_placement(text: str | None, info: ValidationInfo) -> str | None:
    held = circumstances(info).held
    if text is not None and text not in {
        str(placement.placement_id) for placement in (held.placements if held else ())
    }:
        raise wrong("is not one of the company's placements", "an id that the company was given, or none")
    return text


def held_offer(text: str | None, info: ValidationInfo) -> str | None:
    held = circumstances(info).held
    if text is not None and text not in {str(offer.offer_id) for offer in (held.offers if held else ())}:
        raise wrong("is not one of the company's offers", "an id that the company was given, or none")
    return text


CompanyName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    BeforeValidator(plain),
    Allowed(f"1 to 200 characters, {NO_CONTROLS}"),
]
Country = Annotated[
    str,
    AfterValidator(_programme_country),
    Allowed(f"ISO 3166-1 alpha-2, one of {', '.join(programme.COUNTRIES)}"),
]
Destination = Annotated[Country, AfterValidator(_not_home)]
Language = Annotated[str, AfterValidator(_known_language), Allowed("ISO 639-1, as in en")]
Nace = Annotated[str, AfterValidator(_known_nace), Allowed("a class as in 62.10, or a division as in 62")]
Sector = Annotated[str, AfterValidator(_known_division), Allowed("the two digits of a division, as in 62")]
Skill = Annotated[str, AfterValidator(_known_skill), Allowed("an id that GET /skills lists")]
Day = Annotated[date, BeforeValidator(_day), Allowed("a day as in 2027-01-31")]
StayDays = Annotated[
    int,
    Field(ge=MIN_STAY_DAYS, le=MAX_STAY_DAYS, strict=True),
    Allowed(f"{MIN_STAY_DAYS} to {MAX_STAY_DAYS} days"),
]
Capacity = Annotated[int, Field(ge=1, le=MAX_CAPACITY, strict=True), Allowed(f"1 to {MAX_CAPACITY} travellers")]
Skills = Annotated[list[Skill], Entries(0, MAX_SKILLS)]
Sectors = Annotated[list[Sector], Entries(0, MAX_SECTORS)]
MOST_EUROS = 10**13
Euros = Annotated[int, Field(ge=0, le=MOST_EUROS, strict=True), Allowed(f"whole euros, 0 to {MOST_EUROS:,}")]
Headcount = Annotated[
    float, Field(ge=0, le=10_000_000, allow_inf_nan=False), Allowed("annual work units, 0 to 10,000,000")
]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), Allowed("percent, 0 to 100")]
MAX_INHABITANTS = 10**9
Inhabitants = Annotated[int, Field(ge=0, le=MAX_INHABITANTS, strict=True), Allowed(f"people, 0 to {MAX_INHABITANTS:,}")]
MAX_RELATED = 50
"""Partner and linked enterprises, and public bodies, that a company can name."""


def _sound_vat(text: str, info: ValidationInfo) -> str:
    """Without a country, nothing can be said."""
    country = info.data.get("country")
    if country is None:
        return text
    number = programme.vat_number(country, text)
    if number is None:
        raise wrong(f"is not a VAT number of {country}", "with or without the country's prefix, as in DE136695976")
    return number


Vat = Annotated[
    str,
    AfterValidator(_sound_vat),
    StringConstraints(strip_whitespace=True, min_length=4, max_length=24),
    BeforeValidator(plain),
    Allowed("4 to 24 characters, with or without the country's prefix, as in DE136695976"),
]
