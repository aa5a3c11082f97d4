"""What a form may say, and how everything that is wrong with it is told at once."""

import json
from datetime import date
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from registration.companies import domain
from registration.companies.domain import Profile, Who
from registration.companies.fields import MAX_LANGUAGES, MAX_SKILLS, MAX_STAYS
from registration.companies.form import CompanyForm, read, read_draft
from registration.companies.profile import profile

from tests.registration.forms import (
    SKILLS,
    TODAY,
    accounts_form,
    company_form,
    offer_form,
    person_form,
    placement_form,
    wrongs,
)

SOMEBODY = UUID("00000000-0000-4000-8000-000000000001")


def held(today: date = TODAY) -> Profile:
    return profile(read(CompanyForm, company_form(), today, SKILLS), lambda name: uuid5(SOMEBODY, name))


def test_a_form_as_it_should_be_has_nothing_wrong():
    assert wrongs(company_form()) == {}


def test_everything_that_is_wrong_is_told_at_once():
    form = company_form(
        name="Acme\x07",
        country="EL",
        nace="62.01",
        languages=[{"language": "xx", "level": "D1"}],
        placements=[
            placement_form(
                window={"first": "2026-08-01", "last": "2026-05-01"},
                min_days=13,
                max_days=63,
                skills_sought=["alchemy"],
                preferred_sectors=["00"],
            ),
            placement_form(destinations=["FR", "XX"], min_days=40, max_days=20),
        ],
        offers=[offer_form(capacity=0), offer_form(capacity=51, window={"first": "1.5.2026", "last": "2026-12-31"})],
        unheard_of=1,
    )
    assert set(wrongs(form)) == {
        "name",
        "country",
        "nace",
        "languages.0.language",
        "languages.0.level",
        "placements.0.window.last",
        "placements.0.min_days",
        "placements.0.max_days",
        "placements.0.skills_sought.0",
        "placements.0.preferred_sectors.0",
        "placements.1.destinations.1",
        "placements.1.max_days",
        "offers.0.capacity",
        "offers.1.capacity",
        "offers.1.window.first",
        "unheard_of",
    }


@pytest.mark.parametrize(
    ("changes", "path", "allowed"),
    [
        ({"name": " \t "}, "name", "1 to 200 characters, none of them a control character"),
        ({"name": "Acme\n"}, "name", "1 to 200 characters, none of them a control character"),
        ({"name": "Acme\u202etxt"}, "name", "1 to 200 characters, none of them a control character"),
        ({"name": "x" * 201}, "name", "1 to 200 characters, none of them a control character"),
        ({"region": "FR1"}, "region", "NUTS level 0 or 1: DE, DE1, DE2, DE3"),
        ({"region": "DE21"}, "region", "NUTS level 0 or 1: DE, DE1, DE2, DE3"),
        ({"nace": "62.1"}, "nace", "a class as in 62.10, or a division as in 62"),
        ({"nace": 62}, "nace", "a class as in 62.10, or a division as in 62"),
        ({"size_class": "huge"}, "size_class", "micro, small, medium, large"),
        ({"languages": []}, "languages", f"1 to {MAX_LANGUAGES} entries"),
        ({"languages": "de"}, "languages", f"1 to {MAX_LANGUAGES} entries"),
        ({"placements": [placement_form()] * (MAX_STAYS + 1)}, "placements", f"0 to {MAX_STAYS} entries"),
        ({"offers": [offer_form()] * 5000}, "offers", f"0 to {MAX_STAYS} entries"),
    ],
)
def test_a_wrong_field_is_told_with_what_is_allowed(changes: dict[str, Any], path: str, allowed: str):
    found = wrongs(company_form(**changes))
    assert list(found) == [path]
    assert (found[path][1] or "").startswith(allowed)


@pytest.mark.parametrize(
    ("changes", "path", "allowed"),
    [
        ({"traveller": person_form() | {"name": ""}}, "traveller.name", "1 to 120 characters"),
        ({"traveller": person_form(email="ana")}, "traveller.email", "an address as in ana@example.org"),
        ({"traveller": person_form(reads="es")}, "traveller.reads", "en, it, de, fr"),
        ({"min_days": 13}, "min_days", "14 to 62 days"),
        ({"max_days": 63}, "max_days", "14 to 62 days"),
        ({"max_days": "30"}, "max_days", "14 to 62 days"),
        ({"max_days": True}, "max_days", "14 to 62 days"),
        ({"min_days": 31, "max_days": 30}, "max_days", "31 to 62 days"),
        ({"destinations": []}, "destinations", "1 to 37 entries"),
        ({"destinations": ["FR", "DE"]}, "destinations.1", "another country of the programme"),
        ({"destinations": ["US"]}, "destinations.0", "ISO 3166-1 alpha-2, one of AL, AT"),
        ({"skills_brought": list(SKILLS)[: MAX_SKILLS + 1]}, "skills_brought", f"0 to {MAX_SKILLS} entries"),
        ({"skills_brought": [], "skills_sought": []}, "skills_sought", "a skill in either"),
        ({"preferred_sectors": ["25.53"]}, "preferred_sectors.0", "the two digits of a division"),
        ({"placement_id": str(uuid4())}, "placement_id", "an id that the company was given"),
        ({"window": {"first": "2026-05-01", "last": "2026-04-30"}}, "window.last", "2026-05-01 or later"),
        ({"window": {"first": "2026-01-01", "last": "2026-03-01"}}, "window.last", "2026-03-02 to 2029-03-01"),
        ({"window": {"first": "2026-05-01", "last": "2036-05-01"}}, "window.last", "2026-03-02 to 2029-03-01"),
        ({"window": {"first": "2026-05-01", "last": "2026-05-13"}}, "window", "14 days or more"),
        ({"window": {"first": "2026-01-01", "last": "2026-03-14"}}, "window", "14 days or more"),
        ({"window": {"first": "2026-05-01", "last": "2026-05-20"}, "min_days": 21}, "min_days", "14 to 20 days"),
        ({"window": {"first": 0, "last": "2026-08-31"}}, "window.first", "a day as in"),
        ({"window": {"first": "1777593600", "last": "2026-08-31"}}, "window.first", "a day as in"),
        ({"window": {"first": "2026-W18-5", "last": "2026-08-31"}}, "window.first", "a day as in"),
        ({"window": {"first": "2026-02-30", "last": "2026-08-31"}}, "window.first", "a day as in"),
    ],
)
def test_a_wrong_placement_is_told_with_what_is_allowed(changes: dict[str, Any], path: str, allowed: str):
    found = wrongs(company_form(placements=[placement_form(), placement_form(**changes)]))
    assert list(found) == [f"placements.1.{path}"]
    assert (found[f"placements.1.{path}"][1] or "").startswith(allowed)


@pytest.mark.parametrize("capacity", [0, 51, -1, 1.5, "2", None])
def test_an_offer_hosts_1_to_50(capacity: Any):
    found = wrongs(company_form(offers=[offer_form(capacity=capacity)]))
    assert {path: allowed for path, (_, allowed) in found.items()} == {"offers.0.capacity": "1 to 50 travellers"}


def test_what_is_named_twice_is_told_beside_what_is_unknown():
    form = company_form(
        languages=[{"language": "de", "level": "C2"}, {"language": "de", "level": "B1"}],
        placements=[placement_form(skills_brought=["welding", "alchemy", "welding"])],
    )
    assert set(wrongs(form)) == {
        "languages.1.language",
        "placements.0.skills_brought.1",
        "placements.0.skills_brought.2",
    }


def test_a_public_body_says_what_it_is_and_how_much_it_holds():
    found = wrongs(
        company_form(
            public_holders=[
                {"body": "university_or_research_centre", "share": 30},
                {"body": "king", "share": 101, "linked": 1, "budget": -1, "inhabitants": 0.5},
            ]
        )
    )
    assert set(found) == {f"public_holders.1.{each}" for each in ("body", "share", "linked", "budget", "inhabitants")}
    assert wrongs(company_form(public_holders=[{"body": "other", "share": 25.5}])) == {}


def test_a_partner_has_a_partners_share_and_accounts_of_the_same_periods():
    related = [
        {"relation": "partner", "share": 60, "accounts": [accounts_form(), accounts_form()]},
        {"relation": "linked", "share": 60, "accounts": [accounts_form(), accounts_form()]},
    ]
    assert set(wrongs(company_form(related=related))) == {"related.0.share"}
    related[0]["share"] = 33.3
    assert wrongs(company_form(related=related)) == {}
    related[1]["accounts"] = [accounts_form()]
    found = wrongs(company_form(related=related))
    assert found == {"related.1.accounts": ("has other periods than the company's accounts", "2 entries")}


@pytest.mark.parametrize(
    ("country", "region", "number"),
    [("DE", "DE2", "136695976"), ("GR", "EL3", "GR 094259216"), ("CH", "CH0", "CHE-107.787.577 IVA")],
)
def test_a_vat_number_is_written_in_one_way(country: str, region: str, number: str):
    form = company_form(country=country, region=region, vat=number, placements=[])
    expected = {"DE": "DE136695976", "GR": "EL094259216", "CH": "CHE107787577IVA"}
    assert read(CompanyForm, form, TODAY, SKILLS).vat == expected[country]


@pytest.mark.parametrize("number", ["DE136695970", "FR40303265045", "1", "DE136695976\u0000"])
def test_what_is_no_vat_number_of_the_country_is_told(number: str):
    assert set(wrongs(company_form(vat=number))) == {"vat"}


def test_a_draft_may_lack_anything_but_what_is_there_has_to_be_right():
    assert read_draft(CompanyForm, {}, TODAY, SKILLS)[1] == [
        "name",
        "country",
        "region",
        "nace",
        "size_class",
        "accounts",
        "learning_only",
        "languages",
        "placements",
        "offers",
    ]
    half = {"name": "Zahnrad", "placements": [{"min_days": 14}]}
    form, missing = read_draft(CompanyForm, half, TODAY, SKILLS)
    assert form is None
    assert {"country", "placements.0.window", "placements.0.max_days"} <= set(missing)
    with pytest.raises(RequestValidationError) as refused:
        read_draft(CompanyForm, half | {"nace": "99.99"}, TODAY, SKILLS)
    assert [one["loc"] for one in refused.value.errors()] == [("body", "nace")]


def test_a_whole_draft_lacks_nothing():
    form, missing = read_draft(CompanyForm, company_form(), TODAY, SKILLS)
    assert (form is not None, missing) == (True, [])


def test_a_nuts_code_for_a_country_is_answered_with_the_iso_one():
    found = wrongs(company_form(country="UK", region="UKI"))
    assert found["country"][0] == "is how NUTS writes it; ISO 3166-1 has GB"
    assert wrongs(company_form(country="GB", region="UKI")) == {}
    assert wrongs(company_form(country="GR", region="EL3")) == {}


def test_a_code_of_the_former_nace_revision_is_named_as_such():
    assert "Rev. 2" in wrongs(company_form(nace="62.01"))["nace"][0]


def test_a_window_that_was_admitted_may_pass_by():
    later = date(2026, 12, 25)
    assert set(wrongs(company_form(), None, later)) == {"placements.0.window.last", "offers.0.window"}
    assert wrongs(company_form(), held(), later) == {}


def test_an_id_is_one_of_the_company_and_named_once():
    known = held()
    ours = placement_form(placement_id=str(known.placements[0].placement_id))
    assert wrongs(company_form(placements=[ours]), known) == {}
    assert set(wrongs(company_form(placements=[ours, ours]), known)) == {"placements.1.placement_id"}
    shouted = placement_form(placement_id=str(known.placements[0].placement_id).upper())
    assert set(wrongs(company_form(placements=[shouted]), known)) == {"placements.0.placement_id"}
    assert set(wrongs(company_form(offers=[offer_form(offer_id=ours["placement_id"])]), known)) == {"offers.0.offer_id"}


@pytest.mark.parametrize("body", [None, [], "form", 7, {}])
def test_what_is_no_form_is_refused(body: Any):
    assert wrongs(body)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["DE", "en", "62", "2026-05-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, part in inner for place in places(part, (*path, name)))]


@given(st.sampled_from(places(company_form())), ANYTHING)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_field_is_valid_or_told(place: tuple[Any, ...], anything: Any):
    whole = {"form": json.loads(json.dumps(company_form()))}
    part: Any = whole
    *outer, last = ("form", *place)
    for name in outer:
        part = part[name]
    part[last] = anything
    try:
        form = read(CompanyForm, whole["form"], TODAY, SKILLS)
    except RequestValidationError as refused:
        assert refused.errors()
    else:
        said = profile(form, lambda name: uuid5(SOMEBODY, name))
        submitted = domain.submit(domain.draft(SOMEBODY, {}), Who.COMPANY, said)
        _, [event] = domain.admit(submitted, Who.PROGRAMME)
        assert type(event).model_validate_json(event.model_dump_json()) == event
