"""Forms as a company would send them, on the day that tests take place."""

from datetime import date
from typing import Any

from chassis.problems import FieldError
from fastapi.exceptions import RequestValidationError
from registration.companies.domain import Profile
from registration.companies.form import CompanyForm, read
from sojourn_contracts.taxonomy import starter

TODAY = date(2026, 3, 2)
SKILLS = starter().skills
Form = dict[str, Any]


def person_form(name: str = "Ana Kovač", **changes: Any) -> Form:
    return {"name": name, "email": f"{name.split()[0].lower()}@zahnrad.example", "reads": "de", **changes}


def placement_form(**changes: Any) -> Form:
    return {
        "traveller": person_form(),
        "languages": [{"language": "en", "level": "B2"}],
        "window": {"first": "2026-05-01", "last": "2026-08-31"},
        "min_days": 14,
        "max_days": 30,
        "destinations": ["FR", "IT"],
        "skills_brought": ["welding"],
        "skills_sought": ["cnc-machining", "lean-production"],
        "preferred_sectors": ["25"],
        **changes,
    }


def offer_form(**changes: Any) -> Form:
    return {
        "languages": [{"language": "de", "level": "C2"}, {"language": "en", "level": "C1"}],
        "window": {"first": "2026-04-01", "last": "2026-12-31"},
        "min_days": 30,
        "max_days": 62,
        "capacity": 2,
        "skills_taught": ["cnc-machining"],
        "skills_needed": [],
        "preferred_sectors": [],
        **changes,
    }


def accounts_form(**changes: Any) -> Form:
    return {"headcount": 30, "turnover": 4_000_000, "balance_sheet": 3_000_000, **changes}


def company_form(**changes: Any) -> Form:
    return {
        "name": "Zahnrad Müller GmbH",
        "country": "DE",
        "region": "DE2",
        "nace": "25.53",
        "size_class": "small",
        "accounts": [accounts_form(), accounts_form()],
        "related": [],
        "vat": None,
        "learning_only": True,
        "languages": [{"language": "de", "level": "C2"}, {"language": "en", "level": "B2"}],
        "placements": [placement_form()],
        "offers": [offer_form()],
        **changes,
    }


def registration_form(**changes: Any) -> Form:
    return {**company_form(), "contact": person_form("Uwe Müller"), **changes}


def wrongs(form: Any, held: Profile | None = None, today: date = TODAY) -> dict[str, tuple[str, str | None]]:
    """Path to detail and what is allowed, for all that is wrong with a form; empty if nothing is."""
    try:
        read(CompanyForm, form, today, SKILLS, held)
    except RequestValidationError as error:
        return {
            ".".join(map(str, one["loc"][1:])): (one["msg"], one.get("ctx", {}).get("allowed"))
            for one in error.errors()
        }
    return {}


def named(errors: list[dict[str, Any]]) -> dict[str, FieldError]:
    """The entries of a problem, by their paths."""
    return {error["path"]: FieldError(**error) for error in errors}
