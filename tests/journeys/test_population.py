"""The simulated companies: seeded, independent of each other, and such that the programme admits and matches them."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from pilot.choices import Choices, Parameters
from pilot.marginals import COUNTRIES, SECTORS
from pilot.office import office_hour
from pilot.population import PROGRAMME_DAYS, START, changed, population, unknown_to_vies, vat_number
from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.skills import SKILLS
from sojourn_contracts.vocabulary import MAX_STAY_DAYS, MIN_STAY_DAYS
from stdnum.eu import vat

ID = {"placement_id": "00000000-0000-4000-8000-000000000001", "offer_id": "00000000-0000-4000-8000-000000000002"}


PLAIN = {"kind": "scale", "asked_if": None}


def test_the_same_seed_makes_the_same_companies():
    assert population(20, seed=7) == population(20, seed=7)


def test_another_seed_makes_other_companies_under_other_keys():
    one, other = population(20, seed=7), population(20, seed=8)
    assert one != other
    assert not {company.key for company in one} & {company.key for company in other}


def test_a_larger_population_begins_with_the_smaller_one():
    assert population(40, seed=7)[:10] == population(10, seed=7)


def test_the_marginals_have_as_many_countries_and_sectors_as_the_pilot():
    assert len(COUNTRIES) == 16
    assert len({nace[:2] for nace in SECTORS}) == 23


@pytest.mark.parametrize("seed", range(3))
def test_every_company_can_be_admitted(seed: int):
    end = START.date() + timedelta(days=PROGRAMME_DAYS)
    for company in population(60, seed):
        form = company.form
        assert form["placements"] or form["offers"]
        assert not (form["size_class"] == "large" and form["placements"])
        assert form["region"] in COUNTRIES[form["country"]].regions
        for stay in form["placements"] + form["offers"]:
            first, last = (date.fromisoformat(stay["window"][end]) for end in ("first", "last"))
            assert company.registers_at.date() < first < last <= end
            assert MIN_STAY_DAYS <= stay["min_days"] <= stay["max_days"] <= MAX_STAY_DAYS
            assert stay["min_days"] <= (last - first).days + 1
        for placement in form["placements"]:
            assert form["country"] not in placement["destinations"]
            assert {*placement["skills_sought"], *placement["skills_brought"]} <= SKILLS.keys()
            Placement.model_validate(placement | ID | {"traveller_id": ID["offer_id"]})
        for offer in form["offers"]:
            assert {*offer["skills_taught"], *offer["skills_needed"]} <= SKILLS.keys()
            HostingOffer.model_validate(offer | ID)


def test_some_are_not_clear_at_first_and_nothing_else_differs():
    """A declaration forgotten, a group behind the company, a year of growth, a number missing or mistyped."""
    companies = population(300, seed=7)
    unclear = [company for company in companies if company.first != company.form]
    assert 20 < len(unclear) < 100
    assert {name for company in unclear for name in company.form if company.first.get(name) != company.form[name]} == {
        "vat",
        "learning_only",
        "related",
        "accounts",
    }


def test_every_country_has_numbers_with_the_right_check_digits_and_one_way_of_writing():
    for country in COUNTRIES:
        number = vat_number(country, Random(country))
        assert vat.validate(number) == number


def test_firms_of_one_person_have_a_number_in_the_end_and_some_have_none_at_first():
    alone = [company for company in population(300, seed=7) if company.form["accounts"][0]["headcount"] == 1]
    assert len(alone) > 5
    assert all("vat" in company.form for company in alone)
    assert 0 < sum("vat" not in company.first for company in alone) < len(alone) / 2


def test_what_vies_does_not_know_is_given_at_first_alone():
    companies = population(300, seed=7)
    unknown = unknown_to_vies(companies)
    assert len(unknown) == sum(company.first.get("vat") in unknown for company in companies) > 3
    assert not {company.form.get("vat") for company in companies} & unknown


def test_a_changed_profile_keeps_its_ids_and_changes_something():
    for company in population(40, seed=7):
        ids = {
            "placements": [{"placement_id": f"p{number}"} for number, _ in enumerate(company.form["placements"])],
            "offers": [{"offer_id": f"o{number}"} for number, _ in enumerate(company.form["offers"])],
        }
        form = changed(company.form, ids, Choices(7).by("update", company.key))
        assert [placement["placement_id"] for placement in form["placements"]] == [
            made["placement_id"] for made in ids["placements"]
        ]
        assert form == changed(company.form, ids, Choices(7).by("update", company.key))
        bare = [
            {name: value for name, value in stay.items() if name not in ID}
            for stay in form["placements"] + form["offers"]
        ]
        assert bare != company.form["placements"] + company.form["offers"]


def test_people_act_at_two_hours_of_working_days():
    friday_night = datetime(2016, 11, 4, 23, 10, tzinfo=UTC)
    assert office_hour(friday_night) == datetime(2016, 11, 7, 8, tzinfo=UTC)
    assert office_hour(datetime(2016, 11, 2, 8, 1, tzinfo=UTC)) == datetime(2016, 11, 2, 13, tzinfo=UTC)
    assert office_hour(datetime(2016, 11, 2, 13, tzinfo=UTC)) == datetime(2016, 11, 2, 13, tzinfo=UTC)


def test_a_choice_depends_on_its_subjects_and_not_on_the_choices_before_it():
    one, other = Choices(7), Choices(7)
    one.reply("exchange-1", "host")
    assert one.reply("exchange-2", "host") == other.reply("exchange-2", "host")
    assert one.decline_reason("exchange-2", "host") == other.decline_reason("exchange-2", "host")


def test_answers_are_taken_from_those_that_are_offered():
    scale = {code: code for code in ("1", "2", "3", "4", "5", "98", "99")}
    questions = [
        {**PLAIN, "code": "SEND_MATCH", "answers": scale, "required": True},
        {**PLAIN, "code": "NEWPROD", "answers": {"yes": "yes", "no": "no"}, "required": True},
        {**PLAIN, "code": "DURATION", "answers": {"short": "", "right": "", "long": ""}, "required": False},
    ]
    for invitation in map(str, range(200)):
        answers = Choices(7).answers(invitation, questions)
        assert {"SEND_MATCH", "NEWPROD"} <= answers.keys()
        for question in questions:
            assert answers.get(question["code"], "right") in question["answers"] or question["code"] not in answers


def test_the_share_of_favourable_answers_is_a_parameter_and_not_an_outcome_that_is_forced():
    questions = [
        {**PLAIN, "code": "SEND_MATCH", "answers": dict.fromkeys(("1", "2", "3", "4", "5"), ""), "required": True}
    ]
    never = Choices(7, Parameters(favourable={"SEND_MATCH": 0.0}))
    always = Choices(7, Parameters(favourable={"SEND_MATCH": 1.0}))
    for invitation in map(str, range(50)):
        assert never.answers(invitation, questions)["SEND_MATCH"] in {"1", "2", "3"}
        assert always.answers(invitation, questions)["SEND_MATCH"] in {"4", "5"}
