"""Who is invited, and when an invitation can be answered."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import Party
from survey.answering.domain import (
    Invitation,
    InvitationState,
    close,
    decline,
    invite,
    readable_on,
    remind,
    save_draft,
    second_wave_at,
    state_at,
    submit,
)

from tests.survey.story import COMPLETED, HOST, NOON, SENDER, TRAVELLER

ANSWERS = {"HOST_MATCH": "5", "XBORDER": "4"}


def invitation(party: Party = Party.HOST) -> Invitation:
    return {made.party: made for made in invite(COMPLETED, 1, "2026.1", COMPLETED.changed_at)}[party]


def test_sender_host_and_traveller_are_invited_when_an_exchange_completed():
    invited = invite(COMPLETED, 1, "2026.1", COMPLETED.changed_at)
    assert [(made.party, made.company_id, made.respondent_id) for made in invited] == [
        (Party.SENDER, SENDER, SENDER),
        (Party.HOST, HOST, HOST),
        (Party.TRAVELLER, SENDER, TRAVELLER),
    ]
    assert {made.closes_at - COMPLETED.changed_at for made in invited} == {timedelta(days=60)}


def test_invitations_have_the_same_ids_every_time_and_others_in_another_wave():
    first, again, later = (invite(COMPLETED, wave, "2026.1", COMPLETED.changed_at) for wave in (1, 1, 2))
    assert first == again
    assert len({made.invitation_id for made in [*first, *later]}) == 6


def test_the_invited_party_answers_once():
    submitted = submit(invitation(), HOST, ANSWERS, NOON)
    assert submitted.state is InvitationState.SUBMITTED
    with pytest.raises(Refused) as refused:
        submit(submitted, HOST, ANSWERS, NOON)
    assert refused.value.rule == "already_submitted"
    assert refused.value.members == {"questions": "HOST_MATCH, XBORDER"}


@pytest.mark.parametrize("stranger", [SENDER, TRAVELLER, uuid4()])
def test_nobody_answers_for_another_party(stranger):
    with pytest.raises(NotYours):
        submit(invitation(), stranger, ANSWERS, NOON)


def test_a_stranger_does_not_learn_whether_an_invitation_was_answered():
    with pytest.raises(NotYours):
        submit(submit(invitation(), HOST, ANSWERS, NOON), SENDER, ANSWERS, NOON)


def test_an_invitation_closes_on_time_even_if_the_work_that_closes_it_is_late():
    last_moment = invitation().closes_at - timedelta(microseconds=1)
    assert submit(invitation(), HOST, ANSWERS, last_moment).state is InvitationState.SUBMITTED
    assert state_at(invitation(), last_moment) is InvitationState.OPEN
    assert state_at(invitation(), invitation().closes_at) is InvitationState.CLOSED
    with pytest.raises(Refused) as refused:
        submit(invitation(), HOST, ANSWERS, invitation().closes_at)
    assert refused.value.rule == "invitation_closed"


def test_an_answered_invitation_stays_answered_when_its_time_is_over():
    submitted = submit(invitation(), HOST, ANSWERS, NOON)
    assert close(submitted) is submitted
    assert state_at(submitted, submitted.closes_at) is InvitationState.SUBMITTED


def test_a_second_wave_is_asked_of_the_same_parties_and_belongs_to_the_year_in_which_the_exchange_ended():
    later = datetime(2027, 5, 8, tzinfo=UTC)
    first, second = invite(COMPLETED, 1, "2026.1", COMPLETED.changed_at), invite(COMPLETED, 2, "2026.2", later)
    assert [(made.party, made.respondent_id) for made in first] == [(made.party, made.respondent_id) for made in second]
    assert {made.closes_at for made in second} == {later + timedelta(days=60)}
    assert {made.programme_year for made in [*first, *second]} == {2026}
    assert {made.opening for made in second} == {"survey_open_later"}


@pytest.mark.parametrize(
    ("last_day", "asked_on"),
    [
        (date(2026, 11, 8), date(2027, 5, 8)),
        (date(2026, 1, 31), date(2026, 7, 31)),
        (date(2026, 8, 31), date(2027, 2, 28)),
        (date(2027, 8, 30), date(2028, 2, 29)),
        (date(2026, 6, 30), date(2026, 12, 30)),
        (date(2026, 7, 1), date(2027, 1, 1)),
    ],
)
def test_the_second_wave_comes_six_months_after_the_end_of_the_stay(last_day, asked_on):
    assert second_wave_at(last_day) == datetime(asked_on.year, asked_on.month, asked_on.day, tzinfo=UTC)


def test_a_draft_marks_an_invitation_as_started_and_leaves_it_open():
    started = save_draft(invitation(), HOST, {}, NOON)
    assert (started.started, started.state) == (True, InvitationState.OPEN)
    with pytest.raises(NotYours):
        save_draft(invitation(), SENDER, {}, NOON)
    with pytest.raises(Refused, match="already_submitted"):
        save_draft(submit(started, HOST, ANSWERS, NOON), HOST, ANSWERS, NOON)


def test_who_declines_is_asked_no_more():
    declined = decline(invitation(), HOST, NOON)
    assert declined.state is InvitationState.DECLINED
    assert decline(declined, HOST, declined.closes_at) is declined
    assert close(declined) is declined
    assert remind(declined, 1, NOON) == []
    with pytest.raises(Refused, match="invitation_declined"):
        submit(declined, HOST, ANSWERS, NOON)
    with pytest.raises(NotYours):
        decline(declined, SENDER, NOON)


def test_what_was_answered_or_is_closed_cannot_be_declined():
    with pytest.raises(Refused, match="already_submitted"):
        decline(submit(invitation(), HOST, ANSWERS, NOON), HOST, NOON)
    with pytest.raises(Refused, match="invitation_closed"):
        decline(invitation(), HOST, invitation().closes_at)


def test_two_reminders_have_ids_of_their_own():
    first, second = remind(invitation(), 1, NOON) + remind(invitation(), 2, NOON)
    assert len({first.notice_id, second.notice_id, invitation().notice_id}) == 3
    assert remind(invitation(), 2, invitation().closes_at) == []


@pytest.mark.parametrize(("written", "readable"), [("2026-11-10", "2026-12-01"), ("2026-12-31", "2027-01-01")])
def test_a_text_is_readable_from_the_next_month_on(written, readable):
    assert readable_on(datetime.fromisoformat(f"{written}T23:59:00+00:00")) == date.fromisoformat(readable)
