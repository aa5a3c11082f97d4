"""What a company may say about itself: every field with its bounds, and the rules between fields.

Whatever is wrong is told in one answer. So a rule between fields stands at the later one of them and does not wait for the whole
form to be valid, and what a rule needs from outside the form is handed in with it.
"""

import json
import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, cast

from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from sojourn_contracts.skills import SKILLS
from sojourn_contracts.vocabulary import MAX_STAY_DAYS, MIN_STAY_DAYS, Level, SizeClass

from registration import programme
from registration.domain import Profile
from registration.wrongs import Allowed, Entries, all_wrongs, refusal, wrong, wrong_at

MAX_STAYS = 20
"""Placements, and hosting offers, that one company can have at a time."""
MAX_SKILLS = 30
MAX_LANGUAGES = 24
MAX_SECTORS = 20
MAX_CAPACITY = 50
MAX_AHEAD = timedelta(days=3 * 365)
"""How far ahead a window can end."""


@dataclass(frozen=True)
class Circumstances:
    """What a form is judged by beside itself."""

    today: date
    """By the programme's clock."""
    country: str | None = None
    """What the form says the company's country is, whether or not that is a valid one."""
    held: Profile | None = None
    """What the company has said so far."""

    def holds(self, window: "WindowForm") -> bool:
        """Whether a stay has this window already: it was admitted in time, and does not become wrong by passing."""
        stays = (*self.held.placements, *self.held.offers) if self.held else ()
        return any((stay.window.first, stay.window.last) == (window.first, window.last) for stay in stays)

    def days_in(self, window: "WindowForm") -> int:
        """Calendar days that a stay can have in the window, from today on."""
        first = window.first if self.holds(window) else max(window.first, self.today)
        return max(0, (window.last - first).days + 1)


def _given(info: ValidationInfo) -> Circumstances:
    return cast(Circumstances, info.context)


def _plain(text: Any) -> Any:
    """Before white space is stripped, which would let a line break at the end pass."""
    if isinstance(text, str) and any(unicodedata.category(character) in _INVISIBLE for character in text):
        raise wrong("has control or invisible characters")
    return unicodedata.normalize("NFC", text) if isinstance(text, str) else text


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _day(text: Any) -> Any:
    """Only as ISO 8601 writes a day: pydantic would also take seconds since 1970."""
    if not isinstance(text, str) or len(text) != len("2027-01-31"):
        raise wrong("is not a day")
    return text


def _programme_country(code: str) -> str:
    if iso := programme.country_of_nuts(code):
        raise wrong(f"is how NUTS writes it; ISO 3166-1 has {iso}")
    if code not in programme.COUNTRIES:
        raise wrong("is not a country of the programme")
    return code


def _not_home(code: str, info: ValidationInfo) -> str:
    if code == _given(info).country:
        raise wrong("is the company's own country", "another country of the programme")
    return code


def _known_language(code: str) -> str:
    if code not in programme.languages():
        raise wrong("is not a language of ISO 639-1")
    return code


def _known_skill(skill: str) -> str:
    if skill not in SKILLS:
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


def _held_placement(text: str | None, info: ValidationInfo) -> str | None:
    held = _given(info).held
    if text is not None and text not in {
        str(placement.placement_id) for placement in (held.placements if held else ())
    }:
        raise wrong("is not one of the company's placements", "an id that the company was given, or none")
    return text


def _held_offer(text: str | None, info: ValidationInfo) -> str | None:
    held = _given(info).held
    if text is not None and text not in {str(offer.offer_id) for offer in (held.offers if held else ())}:
        raise wrong("is not one of the company's offers", "an id that the company was given, or none")
    return text


_NO_CONTROLS = "none of them a control character"

CompanyName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    BeforeValidator(_plain),
    Allowed(f"1 to 200 characters, {_NO_CONTROLS}"),
]
PersonName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=120),
    BeforeValidator(_plain),
    Allowed(f"1 to 120 characters, {_NO_CONTROLS}"),
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


class _Said(BaseModel):
    """A misspelt field would be lost without a word if unknown ones were let pass."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SpokenForm(_Said):
    """A language and how well it is spoken, by CEFR."""

    language: Language
    level: Annotated[Level, Allowed(", ".join(Level))]


class WindowForm(_Said):
    """The first and the last day that a stay can have."""

    first: Day
    last: Day

    @field_validator("last")
    @classmethod
    def _in_order(cls, last: date, info: ValidationInfo) -> date:
        first = info.data.get("first")
        if first and last < first:
            raise wrong("lies before the first day", f"{first} or later")
        return last


Languages = Annotated[list[SpokenForm], Entries(1, MAX_LANGUAGES, "language")]


class _StayForm(_Said):
    languages: Languages
    window: WindowForm
    min_days: StayDays
    max_days: StayDays
    preferred_sectors: Sectors = []

    @field_validator("window")
    @classmethod
    def _leaves_time(cls, window: WindowForm, info: ValidationInfo) -> WindowForm:
        given = _given(info)
        latest = given.today + MAX_AHEAD
        if window.last > latest:
            raise refusal(("last",), "is too far ahead", f"{given.today} to {latest}")
        if window.last < given.today and not given.holds(window):
            raise refusal(("last",), "is over", f"{given.today} to {latest}")
        days = given.days_in(window)
        if days < MIN_STAY_DAYS:
            raise wrong(f"leaves {days} days for a stay", f"{MIN_STAY_DAYS} days or more, today at the earliest")
        return window

    @field_validator("min_days")
    @classmethod
    def _fits_the_window(cls, min_days: int, info: ValidationInfo) -> int:
        window = info.data.get("window")
        if window and min_days > (days := _given(info).days_in(window)):
            raise wrong("is more than the window has", f"{MIN_STAY_DAYS} to {days} days")
        return min_days

    @field_validator("max_days")
    @classmethod
    def _not_below_the_least(cls, max_days: int, info: ValidationInfo) -> int:
        min_days = info.data.get("min_days", MIN_STAY_DAYS)
        if max_days < min_days:
            raise wrong("is less than min_days", f"{min_days} to {MAX_STAY_DAYS} days")
        return max_days


class PlacementForm(_StayForm):
    """An employee whom the company would send abroad; without an id, a new one."""

    placement_id: Annotated[str | None, AfterValidator(_held_placement)] = None
    traveller_name: PersonName
    destinations: Annotated[list[Destination], Entries(1, len(programme.COUNTRIES) - 1)]
    skills_brought: Skills
    skills_sought: Skills

    @field_validator("skills_sought")
    @classmethod
    def _trains_somebody(cls, sought: list[str], info: ValidationInfo) -> list[str]:
        if not sought and info.data.get("skills_brought") == []:
            raise wrong("is empty, and so is skills_brought: every stay includes training", "a skill in either")
        return sought


class OfferForm(_StayForm):
    """Room for travellers from abroad; without an id, a new offer."""

    offer_id: Annotated[str | None, AfterValidator(_held_offer)] = None
    capacity: Capacity
    skills_taught: Skills
    skills_needed: Skills

    @field_validator("skills_needed")
    @classmethod
    def _trains_somebody(cls, needed: list[str], info: ValidationInfo) -> list[str]:
        if not needed and info.data.get("skills_taught") == []:
            raise wrong("is empty, and so is skills_taught: every stay includes training", "a skill in either")
        return needed


class CompanyForm(_Said):
    """All that a company says about itself, whole: what it leaves out is gone."""

    name: CompanyName
    country: Country
    region: Annotated[str, Allowed("a NUTS code of level 0 or 1, as in DE or DE2")]
    nace: Nace
    size_class: Annotated[SizeClass, Allowed(", ".join(SizeClass))]
    languages: Languages
    placements: Annotated[list[PlacementForm], Entries(0, MAX_STAYS, "placement_id")]
    offers: Annotated[list[OfferForm], Entries(0, MAX_STAYS, "offer_id")]

    @field_validator("region")
    @classmethod
    def _in_the_country(cls, region: str, info: ValidationInfo) -> str:
        country = info.data.get("country")
        if country and region not in (known := programme.regions(country)):
            raise wrong("is not a region of the country", f"NUTS level 0 or 1: {', '.join(known)}")
        if region not in programme.all_regions():
            raise wrong("is not a region of the programme", "a NUTS code of level 0 or 1, as in DE or DE2")
        return region

    @field_validator("placements", mode="wrap")
    @classmethod
    def _sent_by_an_sme(cls, value: Any, inner: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        large = info.data.get("size_class") is SizeClass.LARGE and value
        return all_wrongs(value, inner, [wrong_at((), "a large company may only host", "none")] if large else [])


def read(said: Any, today: date, held: Profile | None = None) -> CompanyForm:
    """The form that a client sent, as JSON brought it.

    Raises:
        RequestValidationError: with every wrong field, its path and what is allowed.
    """
    country = said.get("country") if isinstance(said, dict) else None
    try:
        return CompanyForm.model_validate_json(json.dumps(said), context=Circumstances(today, country, held))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found]) from None
