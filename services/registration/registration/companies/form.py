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
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.vocabulary import MAX_STAY_DAYS, MIN_STAY_DAYS, Level, SizeClass

from registration import programme
from registration.companies.domain import Profile
from registration.companies.eligibility import PublicBody, Relation
from registration.companies.fields import (
    MAX_AHEAD,
    MAX_LANGUAGES,
    MAX_RELATED,
    MAX_STAYS,
    Capacity,
    Circumstances,
    CompanyName,
    Country,
    Day,
    Destination,
    Euros,
    Headcount,
    Inhabitants,
    Language,
    Nace,
    Percent,
    Sectors,
    Skills,
    StayDays,
    Vat,
    circumstances,
    held_offer,
    held_placement,
)
from registration.people.form import PersonForm
from registration.wrongs import Allowed, Entries, refusal, wrong

F = TypeVar("F", bound="CompanyForm")
S = TypeVar("S", bound=BaseModel)


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


def _leaves_time(window: WindowForm, info: ValidationInfo) -> WindowForm:
    given = circumstances(info)
    latest = given.today + MAX_AHEAD
    if window.last > latest:
        raise refusal(("last",), "is too far ahead", f"{given.today} to {latest}")
    if window.last < given.today and not given.holds(window):
        raise refusal(("last",), "is over", f"{given.today} to {latest}")
    days = given.days_in(window)
    if days < given.least_days:
        raise wrong(f"leaves {days} days for a stay", f"{given.least_days} days or more, today at the earliest")
    return window


StayWindow = Annotated[WindowForm, AfterValidator(_leaves_time)]


class RenewalForm(_Said):
    """The days between which the stay can lie from now on."""

    window: StayWindow


class _StayForm(_Said):
    languages: Languages
    window: StayWindow
    min_days: StayDays
    max_days: StayDays
    preferred_sectors: Sectors = []

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


class AccountsForm(_Said):
    """A closed accounting period of twelve months; in a first year, an estimate made in good faith."""

    headcount: Headcount
    turnover: Euros
    balance_sheet: Euros


class RelatedForm(_Said):
    """An enterprise that owns or is owned, with its accounts of the company's periods.

    Partners hold or are held by 25 to 50%, linked enterprises by more; what is in turn tied to one of them belongs into its
    accounts.
    """

    relation: Annotated[Relation, Allowed(", ".join(Relation))]
    share: Percent
    accounts: Annotated[list[AccountsForm], Entries(1, 2)]

    @field_validator("share")
    @classmethod
    def _makes_a_partner(cls, share: float, info: ValidationInfo) -> float:
        if info.data.get("relation") is Relation.PARTNER and not 25 <= share <= 50:
            raise wrong("is not a partner's", "25 to 50 percent; above, the enterprise is linked, below, on its own")
        return share


class PublicHolderForm(_Said):
    """A public body that controls a part of the company, directly or indirectly; it is not named in ``related`` as well."""

    body: Annotated[PublicBody, Allowed(", ".join(PublicBody))]
    share: Percent
    """Of capital or voting rights, whichever is more."""
    linked: Annotated[bool, Field(strict=True)] = False
    """It controls the company though its share is no majority."""
    budget: Euros | None = None
    """Yearly; this and ``inhabitants`` are a local authority's, which counts as a small one only if it says both."""
    inhabitants: Inhabitants | None = None


class CompanyForm(_Said):
    """All that a company says about itself, whole: what it leaves out is gone."""

    name: CompanyName
    country: Country
    region: Annotated[str, Allowed("a NUTS code of level 0 or 1, as in DE or DE2")]
    nace: Nace
    size_class: Annotated[SizeClass, Allowed(", ".join(SizeClass))]
    """What the company was before the periods of ``accounts``; if these agree with each other, they alone decide."""
    accounts: Annotated[list[AccountsForm], Entries(1, 2)]
    """The last period first, then the one before; one alone in a company's first year."""
    related: Annotated[list[RelatedForm], Entries(0, MAX_RELATED)] = []
    public_holders: Annotated[list[PublicHolderForm], Entries(0, MAX_RELATED)] = []
    """Public bodies with a part in the company; none, unless it says so."""
    vat: Vat | None = None
    learning_only: Annotated[bool, Field(strict=True)]
    """Declares that stays are for learning, and fill no gap in anybody's staff."""
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

    @field_validator("related")
    @classmethod
    def _of_the_same_periods(cls, related: list[RelatedForm], info: ValidationInfo) -> list[RelatedForm]:
        periods = len(info.data.get("accounts", ()))
        for place, each in enumerate(related):
            if periods and len(each.accounts) != periods:
                raise refusal(
                    (place, "accounts"), "has other periods than the company's accounts", f"{periods} entries"
                )
        return related


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
    country = said.get("country") if isinstance(said, dict) else None
    return _read(form, said, Circumstances(today, skills, country, held))


def read_renewal(said: Any, today: date, stay: Placement | HostingOffer) -> RenewalForm:
    """Another window for a stay, which has to leave time for the shortest one that it can be.

    Raises:
        RequestValidationError: as ``read``.
    """
    return _read(RenewalForm, said, Circumstances(today, (), least_days=stay.min_days))


def _read(form: type[S], said: Any, given: Circumstances) -> S:
    require_json(said)
    try:
        return form.model_validate_json(json.dumps(said), context=given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found]) from None


def read_draft(
    form: type[F], said: Any, today: date, skills: Container[str], held: Profile | None = None
) -> tuple[F | None, list[str]]:
    """The form if it is whole, and the paths of what it still lacks. What is there must be right, who is written to be there.

    Raises:
        RequestValidationError: with every field that is wrong.
    """
    try:
        return read(form, said, today, skills, held), []
    except RequestValidationError as error:
        found = error.errors()
        wrong = [one for one in found if one["type"] != "missing" or one["loc"][:2] == ("body", "contact")]
        if wrong:
            raise RequestValidationError(wrong) from None
        return None, [".".join(map(str, one["loc"][1:])) for one in found]
