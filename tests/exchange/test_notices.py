"""Who is told what, and when, as an exchange goes on; pure, and once through the doors."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from exchange import domain, during, notices
from exchange.domain import accept, decline, sign
from exchange.notices import asked, called_off, fallen_due, falls_due
from exchange.state import Exchange, start_of
from sojourn_contracts.notice import NoticeDue, contact_point
from sojourn_contracts.vocabulary import Party, Side

from tests.chassis_driver import NOON, Driver
from tests.exchange import given
from tests.exchange.given import proposal


def told(found: list[NoticeDue], exchange: Exchange) -> dict[str, set[Party]]:
    """Template to who is told."""
    names = {
        exchange.match.sender_id: Party.SENDER,
        exchange.match.host_id: Party.HOST,
        exchange.match.traveller_id: Party.TRAVELLER,
    }
    by_template: dict[str, set[Party]] = {}
    for notice in found:
        assert notice.parameters["exchange_id"] == str(exchange.id)
        by_template.setdefault(notice.template, set()).add(names[notice.recipient_id])
    return by_template


SIDES = {Party.SENDER, Party.HOST}
BOTH_CONTACT_POINTS = [contact_point("PT"), contact_point("DK")]


def told_contact_points(found: list[NoticeDue]) -> list[UUID]:
    return [notice.recipient_id for notice in found if notice.template in ("does_not_fit", "validation_waits")]


def test_both_sides_are_told_of_a_proposal_in_codes_that_make_sentences():
    proposed = given.proposed()
    found = asked(None, proposed)
    assert told(found, proposed) == {"match_proposed": SIDES}
    said = {notice.parameters["side"]: notice.parameters for notice in found}
    why = proposed.match.explanation
    assert said["sender"]["country"] == proposed.match.host_country
    assert said["host"]["country"] == proposed.match.sender_country
    for parameters in said.values():
        learns = [parameters[f"learns_{place}"] for place in range(1, len(why.traveller_learns) + 1)]
        gains = [parameters[f"gains_{place}"] for place in range(1, len(why.host_gains) + 1)]
        assert (learns, gains) == (list(why.traveller_learns), list(why.host_gains))
        assert (parameters["language"], parameters["language_level"]) == (why.language, why.language_level)
        assert parameters["answer_by"] == proposed.open_until.isoformat()


def test_a_side_that_proposes_is_told_of_nothing_it_knows():
    opened, _ = domain.open(None, proposal(initiator="host"), True, NOON)
    assert told(asked(None, opened), opened) == {"match_proposed": {Party.SENDER}}


def test_a_proposal_that_is_withdrawn_as_it_opens_is_told_to_nobody():
    opened, _ = domain.open(None, proposal(), False, NOON)
    assert asked(None, opened) == []
    assert falls_due(opened) is None


def test_who_has_not_accepted_is_told_that_the_other_side_has_and_then_that_both_have():
    proposed = given.proposed()
    one, _ = accept(proposed, Side.HOST, NOON)
    [notice] = asked(proposed, one)
    assert (notice.recipient_id, notice.template) == (one.match.sender_id, "accepted_by_other")
    assert notice.parameters["next"] == "accept"
    both, _ = accept(one, Side.SENDER, NOON)
    [notice] = asked(one, both)
    assert (notice.recipient_id, notice.parameters["next"]) == (one.match.host_id, "draft")


def test_all_three_are_told_of_each_version_and_once_all_have_signed():
    accepted, drafted = given.accepted(), given.drafted()
    assert told(asked(accepted, drafted), drafted) == {"agreement_to_sign": set(Party)}
    state = drafted
    for party in Party:
        before, (state, _) = state, sign(state, party, state.agreement_version, NOON)
        found = told(asked(before, state), state)
        assert found == ({"agreement_signed": set(Party)} if party is list(Party)[-1] else {})


def test_nobody_is_told_of_an_end():
    proposed = given.proposed()
    declined, _ = decline(proposed, Side.HOST, "dates", NOON)
    assert asked(proposed, declined) == []
    assert falls_due(declined) is None


def test_who_has_not_answered_is_reminded_three_days_before_the_proposal_expires():
    one, _ = accept(given.proposed(), Side.HOST, NOON)
    due = falls_due(one)
    assert due is not None
    assert due.at == one.open_until - timedelta(days=3)
    assert fallen_due(one, due.at - timedelta(seconds=1)) == []
    [notice] = fallen_due(one, due.at)
    assert (notice.recipient_id, notice.template) == (one.match.sender_id, "reminder")
    assert (notice.parameters["step"], notice.parameters["act_by"]) == ("answer", one.open_until.isoformat())


def test_who_has_not_signed_is_reminded_after_a_week():
    drafted = given.drafted()
    one, _ = sign(drafted, Party.HOST, drafted.agreement_version, NOON)
    found = fallen_due(one, one.changed_at + timedelta(days=7))
    assert told(found, one) == {"reminder": {Party.SENDER, Party.TRAVELLER}}
    assert {notice.parameters["step"] for notice in found} == {"sign"}


def test_all_three_are_told_a_week_ahead_that_the_stay_begins():
    agreed = given.agreed()
    due = falls_due(agreed)
    assert due is not None
    assert due.at == start_of(agreed.drafted.terms.first_day) - timedelta(days=7)
    assert told(fallen_due(agreed, due.at), agreed) == {"stay_ahead": set(Party)}


def test_a_week_after_the_last_day_both_sides_are_reminded_to_confirm_the_stay():
    agreed = given.agreed()
    ongoing, _ = domain.start(agreed, start_of(agreed.drafted.terms.first_day))
    due = falls_due(ongoing)
    assert due is not None
    assert due.at == start_of(ongoing.drafted.terms.last_day + timedelta(days=7))
    found = fallen_due(ongoing, due.at)
    assert told(found, ongoing) == {"reminder": SIDES}
    assert {notice.parameters["step"] for notice in found} == {"complete"}


def test_what_is_about_the_same_has_the_same_id_and_nothing_else_has():
    proposed, drafted = given.proposed(), given.drafted()
    first = [*asked(None, proposed), *fallen_due(proposed, proposed.open_until), *asked(given.accepted(), drafted)]
    assert len({notice.notice_id for notice in first}) == len(first)
    assert asked(None, replace(proposed, revision=9)) == asked(None, proposed)


def test_in_the_middle_of_the_stay_all_three_are_asked_once_whether_it_fits():
    ongoing = given.ongoing()
    due, _ = during.ask(ongoing, given.ASKS)
    assert told(asked(ongoing, due), due) == {"does_it_fit": set(Party)}
    answered, _ = during.say_if_it_fits(due, Party.HOST, True, given.ASKS)
    assert asked(due, answered) == []


@pytest.mark.parametrize(("by", "side"), [(Party.TRAVELLER, "sender"), (Party.HOST, "host")])
def test_a_no_alerts_the_contact_points_of_both_countries_once(by: Party, side: str):
    due, _ = during.ask(given.ongoing(), given.ASKS)
    answered, _ = during.say_if_it_fits(due, by, False, given.ASKS)
    found = asked(due, answered)
    assert told_contact_points(found) == [notice.recipient_id for notice in found] == BOTH_CONTACT_POINTS
    assert found[0].parameters == {
        "exchange_id": str(answered.id),
        "raised_by": side,
        "sender_country": "PT",
        "host_country": "DK",
    }
    later, _ = during.record_training(
        answered, Party.HOST, given.FIRST, "cheese-making", 5, given.Giver.HOST, given.ASKS
    )
    assert asked(answered, later) == []


def test_a_second_no_alerts_them_again_under_another_id():
    due, _ = during.ask(given.ongoing(), given.ASKS)
    one, _ = during.say_if_it_fits(due, Party.HOST, False, given.ASKS)
    both, _ = during.say_if_it_fits(one, Party.SENDER, False, given.ASKS)
    ids = {notice.notice_id for notice in [*asked(due, one), *asked(one, both)]}
    assert len(ids) == 4


def test_the_contact_points_that_are_to_validate_it_are_told_once_all_have_signed():
    drafted = given.drafted(validating="PT DK")
    two = given.signed(drafted, Party.SENDER, Party.HOST)
    assert asked(drafted, two) == []
    all_signed = given.signed(two, Party.TRAVELLER)
    found = asked(two, all_signed)
    assert told_contact_points(found) == [notice.recipient_id for notice in found] == BOTH_CONTACT_POINTS
    assert found[0].parameters["version"] == "1"
    one_approved, _ = domain.approve(all_signed, "DK", 1, NOON)
    assert asked(all_signed, one_approved) == []
    approved, _ = domain.approve(one_approved, "PT", 1, NOON)
    assert told(asked(one_approved, approved), approved) == {"agreement_approved": set(Party)}


def test_only_the_contact_point_that_is_asked_is_told():
    two = given.signed(given.drafted(validating="DK"), Party.SENDER, Party.HOST)
    assert told_contact_points(asked(two, given.signed(two, Party.TRAVELLER))) == [contact_point("DK")]


def test_that_it_was_sent_back_is_told_to_all_three_without_the_remarks_and_the_next_version_waits_anew():
    waiting = given.in_validation()
    back, _ = domain.send_back(waiting, "PT", 1, "Please name the supervisor", NOON)
    found = asked(waiting, back)
    assert told(found, back) == {"agreement_sent_back": set(Party)}
    assert all(notice.parameters == {"exchange_id": str(back.id), "version": "1"} for notice in found)
    again, _ = given.draft(back, given.OTHER_TERMS, NOON, validating="PT DK")
    assert told(asked(back, again), again) == {"agreement_to_sign": set(Party)}
    first = asked(given.signed(given.drafted(validating="PT DK"), Party.SENDER, Party.HOST), waiting)
    two = given.signed(again, Party.SENDER, Party.HOST)
    second = asked(two, given.signed(two, Party.TRAVELLER))
    assert told_contact_points(second) == BOTH_CONTACT_POINTS
    assert not {notice.notice_id for notice in first} & {notice.notice_id for notice in second}


def test_an_extension_has_notices_of_its_own_to_sign_and_to_validate():
    first = asked(given.accepted(), given.drafted(validating="DK"))
    agreed, _ = domain.approve(given.signed(given.drafted(validating="DK")), "DK", 1, NOON)
    extended, _ = given.draft(agreed, given.LONGER, NOON, validating="DK")
    found = asked(agreed, extended)
    assert told(found, extended) == {"agreement_to_sign": set(Party)}
    assert not {notice.notice_id for notice in found} & {notice.notice_id for notice in first}
    two = given.signed(extended, Party.SENDER, Party.HOST)
    signed = given.signed(two, Party.TRAVELLER)
    assert told_contact_points(asked(two, signed)) == [contact_point("DK")]
    approved, _ = domain.approve(signed, "DK", 2, NOON)
    assert told(asked(signed, approved), approved) == {"agreement_approved": set(Party)}


@pytest.mark.parametrize(
    ("erased", "others"),
    [
        (given.TRAVELLER, [given.SENDER, given.HOST]),
        (given.HOST, [given.SENDER, given.TRAVELLER]),
        (given.SENDER, [given.HOST]),
        (None, [given.SENDER, given.HOST, given.TRAVELLER]),
    ],
)
def test_of_a_stay_that_an_erasure_calls_off_the_others_are_told_without_its_id(
    erased: UUID | None, others: list[UUID]
):
    found = called_off(given.ongoing(), erased)
    assert {notice.recipient_id for notice in found} == set(others)
    assert {notice.template for notice in found} == {"stay_called_off"}
    assert all(notice.parameters == {"first_day": "2026-05-04", "last_day": "2026-05-31"} for notice in found)


def test_nobody_is_told_that_what_was_never_agreed_does_not_take_place():
    assert called_off(given.in_validation(), given.HOST) == []


async def test_notices_are_asked_for_as_it_changes_and_as_time_passes(driver: Driver):
    await driver.handle(proposal())
    await driver.handle(proposal())
    assert [notice.template for notice in await driver.notices()] == ["match_proposed"] * 2
    reminds_at = given.proposed().open_until - notices.REMIND_BEFORE
    await driver.run_due(reminds_at - timedelta(seconds=1))
    assert len(await driver.notices()) == 2
    await driver.run_due(reminds_at)
    await driver.run_due(reminds_at + timedelta(hours=1))
    assert [notice.template for notice in await driver.notices()][2:] == ["reminder"] * 2
    assert await driver.rows("select 1 from due where kind = 'notify'") == []


async def test_what_has_ended_reminds_nobody(driver: Driver):
    await driver.handle(proposal())
    await driver.run_due(given.proposed().open_until)
    await driver.rows("delete from due where kind <> 'notify'")
    assert await driver.rows("select 1 from due") == []
