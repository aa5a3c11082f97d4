"""A company's life, as the domain decides it."""

from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID, uuid5

import pytest
from registration.companies import domain
from registration.companies.domain import LIFE, Command, Company, Profile, Rest, Status, Who
from registration.companies.form import CompanyForm, read
from registration.companies.profile import profile
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.refusal import NotYours, Refused, Unknown
from sojourn_contracts.vocabulary import Window

from tests.registration.forms import SKILLS, TODAY, company_form, offer_form, placement_form

COMPANY_ID = UUID("00000000-0000-4000-8000-000000000001")
ELSEWHERE = UUID("00000000-0000-4000-8000-000000000002")
FORM = {"name": "Zahnrad"}


def a_profile(**changes: Any) -> Profile:
    return profile(read(CompanyForm, company_form(**changes), TODAY, SKILLS), lambda name: uuid5(COMPANY_ID, name))


def at(status: Status) -> Company:
    """A company at a status, as it gets there."""
    begun = domain.draft(COMPANY_ID, FORM)
    submitted = domain.submit(begun, Who.COMPANY, a_profile())
    admitted, _ = domain.admit(submitted, Who.PROGRAMME)
    return {
        Status.DRAFT: begun,
        Status.SUBMITTED: submitted,
        Status.NEEDS_CHANGES: domain.send_back(submitted, Who.CONTACT_POINT),
        Status.ADMITTED: admitted,
        Status.REJECTED: domain.reject(submitted, Who.CONTACT_POINT),
        Status.WITHDRAWN: domain.withdraw(admitted, Who.COMPANY)[0],
        Status.EXCLUDED: domain.exclude(admitted, Who.OPERATOR)[0],
    }[status]


def pending() -> Company:
    """An admitted one that says something that the rules look at."""
    changed, events = domain.edit(at(Status.ADMITTED), Who.COMPANY, a_profile(vat="DE136695976"))
    assert events == []
    return changed


def test_every_status_is_reached():
    assert [at(status).status for status in Status] == list(Status)


DO: dict[Command, Any] = {
    Command.EDIT: lambda company, who: (
        domain.edit(company, who, a_profile(offers=[]))
        if company.status is Status.ADMITTED
        else domain.edit_draft(company, who, {"name": "Another"})
    ),
    Command.SUBMIT: lambda company, who: domain.submit(company, who, a_profile()),
    Command.ADMIT: domain.admit,
    Command.REFER: lambda company, _: domain.refer(company),
    Command.SEND_BACK: domain.send_back,
    Command.REJECT: domain.reject,
    Command.CHANGE_STAY: lambda company, who: domain.pause(company, who, a_profile().offers[0].offer_id),
    Command.CONFIRM: lambda company, who: (domain.confirm(company, who), company)[1],
    Command.CLOSE_STAYS: lambda company, _: domain.close_stays(company),
    Command.WITHDRAW: domain.withdraw,
    Command.EXCLUDE: domain.exclude,
}
PROGRAMMES_OWN = (Command.REFER, Command.CLOSE_STAYS)
"""Nobody else has a way to do these."""
GONE = (Status.WITHDRAWN, Status.EXCLUDED)
DECIDES = (Command.ADMIT, Command.REFER, Command.SEND_BACK, Command.REJECT)


@pytest.mark.parametrize(
    ("status", "command", "who"),
    [
        (status, command, who)
        for status, command, who in product(Status, Command, Who)
        if command not in PROGRAMMES_OWN or who is Who.PROGRAMME
    ],
)
def test_what_the_table_allows_is_done_and_nothing_else(status: Status, command: Command, who: Who):
    given = pending() if status is Status.ADMITTED and command in DECIDES else at(status)
    if (status, command, who) in LIFE:
        done = DO[command](given, who)
        company = done[0] if isinstance(done, tuple) else done
        assert company.status is LIFE[status, command, who]
    elif status in GONE and command in (Command.WITHDRAW, Command.EXCLUDE):
        assert DO[command](given, who) == (given, []), "it is gone already"
    else:
        with pytest.raises(Refused) as refused:
            DO[command](given, who)
        may_others = any((status, command, each) in LIFE for each in Who)
        assert isinstance(refused.value, NotYours) is may_others


def test_nobody_is_told_of_a_company_before_it_is_admitted():
    begun = domain.draft(COMPANY_ID, FORM)
    _, events = domain.withdraw(begun, Who.COMPANY)
    assert events == []
    submitted = domain.submit(begun, Who.COMPANY, a_profile())
    assert domain.withdraw(submitted, Who.COMPANY)[1] == domain.exclude(submitted, Who.OPERATOR)[1] == []


def test_an_admission_is_told_once_as_a_registration():
    admitted, events = domain.admit(at(Status.SUBMITTED), Who.PROGRAMME)
    assert events == [admitted.as_registered()]
    assert isinstance(events[0], CompanyRegistered)


def test_others_get_to_know_the_division_the_computed_size_class_and_no_name():
    told = at(Status.ADMITTED).as_registered()
    assert (told.sector, told.region, told.size_class) == ("25", "DE2", "small")
    text = told.model_dump_json()
    for secret in ("Müller", "Kovač", "25.53", "4000000"):
        assert secret not in text


def test_a_draft_that_is_sent_twice_is_one_revision():
    begun = domain.draft(COMPANY_ID, FORM)
    once = domain.edit_draft(begun, Who.COMPANY, {"name": "Another"})
    assert once.revision == begun.revision + 1
    assert domain.edit_draft(once, Who.COMPANY, {"name": "Another"}) == once


def test_who_is_sent_back_has_to_change_something():
    sent_back = at(Status.NEEDS_CHANGES)
    with pytest.raises(Refused) as refused:
        domain.submittable(sent_back, Who.COMPANY)
    assert refused.value.rule == "nothing_changed"
    assert domain.submittable(domain.edit_draft(sent_back, Who.COMPANY, FORM), Who.COMPANY) == FORM


def test_an_edit_is_told_whole_at_a_later_revision():
    given = at(Status.ADMITTED)
    then, events = domain.edit(given, Who.COMPANY, a_profile(offers=[]))
    assert then.revision == given.revision + 1
    assert events == [then.as_updated()]
    assert isinstance(events[0], CompanyUpdated)
    assert (events[0].offers, len(events[0].placements)) == ((), 1)


def test_an_edit_that_changes_nothing_is_no_new_revision():
    given = at(Status.ADMITTED)
    assert domain.edit(given, Who.COMPANY, a_profile()) == (given, [])


def test_an_edit_that_the_rules_look_at_waits_and_what_was_in_force_stays():
    waiting = pending()
    assert waiting.undecided
    assert waiting.profile == at(Status.ADMITTED).profile
    admitted, events = domain.admit(waiting, Who.CONTACT_POINT)
    assert events == [admitted.as_updated()]
    assert admitted.profile == waiting.said


@pytest.mark.parametrize("decide", [domain.send_back, domain.reject])
def test_a_rejected_edit_leaves_an_admitted_company_as_it_was(decide: Any):
    then = decide(pending(), Who.CONTACT_POINT)
    assert (then.status, then.undecided) == (Status.ADMITTED, False)
    assert then.said == then.profile == at(Status.ADMITTED).profile


def test_an_edit_that_is_taken_back_needs_no_decision():
    then, events = domain.edit(pending(), Who.COMPANY, a_profile())
    assert (then.undecided, events) == (False, [])


def test_without_anything_new_there_is_nothing_to_decide():
    with pytest.raises(Refused) as refused:
        domain.admit(at(Status.ADMITTED), Who.OPERATOR)
    assert refused.value.rule == "nothing_to_decide"


def test_a_company_leaves_once():
    given = at(Status.ADMITTED)
    gone, events = domain.withdraw(given, Who.COMPANY)
    assert events == [CompanyWithdrawn(company_id=COMPANY_ID, revision=given.revision + 1, reason="left")]
    assert domain.exclude(gone, Who.OPERATOR) == (gone, [])


def test_an_exclusion_says_so():
    _, events = domain.exclude(at(Status.ADMITTED), Who.CONTACT_POINT)
    assert events[0].model_dump()["reason"] == "excluded"


def test_a_paused_offer_is_told_to_nobody_until_it_is_renewed():
    given = at(Status.ADMITTED)
    assert given.profile
    [offer] = given.profile.offers
    paused, events = domain.pause(given, Who.COMPANY, offer.offer_id)
    assert events == [paused.as_updated()]
    assert (paused.as_updated().offers, len(paused.as_updated().placements)) == ((), 1)
    assert domain.pause(paused, Who.COMPANY, offer.offer_id) == (paused, [])
    window = Window(first=offer.window.first, last=offer.window.last.replace(day=1))
    renewed, events = domain.renew(paused, Who.COMPANY, offer.offer_id, window)
    assert events == [renewed.as_updated()]
    assert renewed.as_updated().offers[0].window == window


def test_a_closed_placement_never_comes_back():
    given = at(Status.ADMITTED)
    assert given.profile
    [placement] = given.profile.placements
    id_ = placement.placement_id
    closed, events = domain.close(given, Who.COMPANY, id_)
    assert events[0].model_dump()["placements"] == ()
    assert domain.close(closed, Who.COMPANY, id_) == (closed, [])
    for again in (
        lambda: domain.pause(closed, Who.COMPANY, id_),
        lambda: domain.renew(closed, Who.COMPANY, id_, placement.window),
        lambda: domain.renewable(closed, Who.COMPANY, id_),
    ):
        with pytest.raises(Refused) as refused:
            again()
        assert refused.value.rule == "stay_closed"


def test_a_stay_that_is_not_the_companys_is_unknown():
    with pytest.raises(Unknown) as refused:
        domain.close(at(Status.ADMITTED), Who.COMPANY, ELSEWHERE)
    assert refused.value.rule == "unknown_stay"


def test_what_is_paused_while_an_edit_waits_is_paused_in_both():
    waiting = pending()
    assert waiting.profile
    [offer] = waiting.profile.offers
    paused, _ = domain.pause(waiting, Who.COMPANY, offer.offer_id)
    assert paused.undecided
    admitted, _ = domain.admit(paused, Who.CONTACT_POINT)
    assert admitted.as_updated().offers == ()


def test_a_pause_is_told_though_an_edit_waits():
    waiting = pending()
    assert waiting.profile
    _, events = domain.pause(waiting, Who.COMPANY, waiting.profile.offers[0].offer_id)
    [event] = events
    assert isinstance(event, CompanyUpdated)


def test_silence_closes_all_stays_and_the_company_stays():
    closed, events = domain.close_stays(at(Status.ADMITTED))
    assert closed.status is Status.ADMITTED
    assert (events[0].model_dump()["placements"], events[0].model_dump()["offers"]) == ((), ())
    assert domain.close_stays(closed) == (closed, [])


def test_what_rests_goes_on_resting_in_what_the_company_says_next():
    held = a_profile(placements=[placement_form()], offers=[offer_form(), offer_form(capacity=3)])
    closed, paused = (offer.offer_id for offer in held.offers)
    held = replace(held, resting={closed: Rest.CLOSED, paused: Rest.PAUSED})
    form = company_form(offers=[offer_form(offer_id=str(closed)), offer_form(capacity=3)])
    again = profile(read(CompanyForm, form, TODAY, SKILLS, held), lambda name: uuid5(ELSEWHERE, name), held)
    assert again.resting == held.resting


def test_what_is_said_like_a_closed_offer_without_its_id_is_a_new_one():
    held = a_profile()
    [offer] = held.offers
    held = replace(held, resting={offer.offer_id: Rest.CLOSED})
    again = profile(read(CompanyForm, company_form(), TODAY, SKILLS, held), lambda name: uuid5(ELSEWHERE, name), held)
    assert again.offers[0].offer_id != offer.offer_id
    assert again.resting == {}
