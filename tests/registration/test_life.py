"""A company's life, as the domain decides it."""

from dataclasses import replace
from uuid import UUID, uuid5

import pytest
from registration.companies.domain import Company, Profile, Reason, Status, register, update, withdraw
from registration.companies.form import CompanyForm, read
from registration.companies.profile import profile
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.refusal import Refused

from tests.registration.forms import SKILLS, TODAY, company_form

COMPANY_ID = UUID("00000000-0000-4000-8000-000000000001")


def a_profile() -> Profile:
    return profile(read(CompanyForm, company_form(), TODAY, SKILLS), lambda name: uuid5(COMPANY_ID, name))


def a_company() -> Company:
    return register(COMPANY_ID, a_profile())[0]


def test_a_company_registers_at_its_first_revision():
    company, events = register(COMPANY_ID, a_profile())
    assert (company.status, company.revision) == (Status.ADMITTED, 1)
    assert events == [company.as_registered()]
    assert isinstance(events[0], CompanyRegistered)


def test_others_get_to_know_the_division_and_no_name():
    told = a_company().as_registered()
    assert told.sector == "25"
    assert told.region == "DE2"
    text = told.model_dump_json()
    assert "Müller" not in text
    assert "Kovač" not in text
    assert "25.53" not in text


def test_an_update_is_told_whole_at_a_later_revision():
    given = a_company()
    then, events = update(given, replace(given.profile, offers=()))
    assert then.revision == 2
    assert events == [then.as_updated()]
    assert isinstance(events[0], CompanyUpdated)
    assert events[0].offers == ()
    assert events[0].placements == given.profile.placements


def test_an_update_that_changes_nothing_is_no_new_revision():
    given = a_company()
    assert update(given, a_profile()) == (given, [])


def test_a_company_leaves_once():
    gone, events = withdraw(a_company(), Reason.LEFT)
    assert gone.status is Status.WITHDRAWN
    assert events == [CompanyWithdrawn(company_id=COMPANY_ID, revision=2, reason="left")]
    assert withdraw(gone, Reason.EXCLUDED) == (gone, [])


def test_a_company_that_left_cannot_be_updated():
    gone, _ = withdraw(a_company(), Reason.EXCLUDED)
    with pytest.raises(Refused) as refused:
        update(gone, replace(gone.profile, name="Another name"))
    assert refused.value.rule == "company_withdrawn"
