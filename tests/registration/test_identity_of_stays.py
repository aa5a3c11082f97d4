"""Which placement and offer of a form is one that the company has already."""

from uuid import UUID, uuid5

from registration.companies.domain import Profile
from registration.companies.form import CompanyForm, read
from registration.companies.profile import profile

from tests.registration.forms import (
    SKILLS,
    TODAY,
    Form,
    company_form,
    offer_form,
    person_form,
    placement_form,
)

BEFORE = UUID("00000000-0000-4000-8000-00000000000a")
AFTER = UUID("00000000-0000-4000-8000-00000000000b")


def said(form: Form, by: UUID = BEFORE, held: Profile | None = None) -> Profile:
    return profile(read(CompanyForm, form, TODAY, SKILLS, held), lambda name: uuid5(by, name), held)


def test_the_same_key_gives_the_same_ids():
    assert said(company_form()) == said(company_form())


def test_every_placement_traveller_and_offer_gets_an_id_of_its_own():
    form = company_form(placements=[placement_form(), placement_form()], offers=[offer_form(), offer_form()])
    made = said(form)
    ids = [placement.placement_id for placement in made.placements]
    ids += [placement.traveller_id for placement in made.placements]
    ids += [offer.offer_id for offer in made.offers]
    assert len(set(ids)) == 6


def test_what_is_said_again_without_an_id_keeps_its_own():
    form = company_form(placements=[placement_form(), placement_form()], offers=[offer_form(), offer_form()])
    held = said(form)
    assert said(form, AFTER, held) == held


def test_a_placement_with_its_id_may_change_in_every_other_way():
    held = said(company_form())
    [known] = held.placements
    changed = placement_form(placement_id=str(known.placement_id), traveller=person_form("Ana Horvat"), max_days=60)
    then = said(company_form(placements=[changed]), AFTER, held)
    [placement] = then.placements
    assert (placement.placement_id, placement.traveller_id) == (known.placement_id, known.traveller_id)
    assert placement.max_days == 60
    assert {id_: said.name for id_, said in then.travellers.items()} == {known.traveller_id: "Ana Horvat"}


def test_another_traveller_without_an_id_is_a_new_placement():
    held = said(company_form())
    then = said(company_form(placements=[placement_form(traveller=person_form("Jan Novák"))]), AFTER, held)
    assert then.placements[0].placement_id != held.placements[0].placement_id
    assert then.placements[0].traveller_id != held.placements[0].traveller_id
    assert [said.name for said in then.travellers.values()] == ["Jan Novák"]


def test_an_offer_that_is_named_by_its_id_is_not_taken_for_another_one():
    held = said(company_form())
    [known] = held.offers
    forms = [offer_form(), offer_form(offer_id=str(known.offer_id))]
    first, second = said(company_form(offers=forms), AFTER, held).offers
    assert second.offer_id == known.offer_id
    assert first.offer_id != known.offer_id


def test_what_is_left_out_is_gone():
    held = said(company_form())
    then = said(company_form(placements=[], offers=[]), AFTER, held)
    assert (then.placements, then.offers, then.travellers) == ((), (), {})
