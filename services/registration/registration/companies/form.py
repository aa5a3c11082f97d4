"""What a company may say about itself, and the rules between its fields.

Whatever is wrong is told in one answer. So a rule between fields stands at the later one of them and does not wait for the whole
form to be valid, and what a rule needs from outside the form is handed in with it.
"""

import json
from collections.abc import Container
from datetime import date
from typing import Annotated, Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from sojourn_contracts.vocabulary import MAX_STAY_DAYS, MIN_STAY_DAYS, Level, SizeClass

from registration import programme
from registration.companies.domain import Profile
from registration.companies.fields import (
    MAX_AHEAD,
    MAX_LANGUAGES,
    MAX_STAYS,
    Capacity,
    Circumstances,
    CompanyName,
    Country,
    Day,
    Destination,
    Language,
    Nace,
    Sectors,
    Skills,
    StayDays,
    circumstances,
    held_offer,
    held_placement,
)
from registration.people.form import PersonForm
from registration.wrongs import Allowed, Entries, all_wrongs, refusal, wrong, wrong_at

F = TypeVar("F", bound="CompanyForm")


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
        given = circumstances(info)
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
        if window and min_days > (days := circumstances(info).days_in(window)):
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

    placement_id: Annotated[str | None, AfterValidator(held_placement)] = None
    traveller: PersonForm
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

    offer_id: Annotated[str | None, AfterValidator(held_offer)] = None
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


class RegistrationForm(CompanyForm):
    """What a company says to join: about itself, and who speaks for it first."""

    contact: PersonForm


def require_json(said: Any) -> None:
    """A body of another content type comes as bytes.

    Raises:
        RequestValidationError: it does.
    """
    if isinstance(said, bytes):
        wrong = {
            "type": "json_type",
            "loc": ("body",),
            "msg": "Input should be JSON, as Content-Type: application/json",
        }
        raise RequestValidationError([wrong])


def read(form: type[F], said: Any, today: date, skills: Container[str], held: Profile | None = None) -> F:
    """The form that a client sent, as JSON brought it; ``skills`` are those of the taxonomy in force.

    Raises:
        RequestValidationError: with every wrong field, its path and what is allowed.
    """
    require_json(said)
    country = said.get("country") if isinstance(said, dict) else None
    try:
        return form.model_validate_json(json.dumps(said), context=Circumstances(today, skills, country, held))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found]) from None
