"""Who is invited, and when an invitation can be answered."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import Party
from survey.domain import Invitation, InvitationState, close, invite, state_at, submit

from tests.survey.story import COMPLETED, HOST, NOON, SENDER, TRAVELLER


def invitation(party: Party = Party.HOST) -> Invitation:
    return {made.party: made for made in invite(COMPLETED, 1, "2026.1")}[party]


def test_sender_host_and_traveller_are_invited_when_an_exchange_completed():
    invited = invite(COMPLETED, 1, "2026.1")
    assert [(made.party, made.company_id, made.respondent_id) for made in invited] == [
        (Party.SENDER, SENDER, SENDER),
        (Party.HOST, HOST, HOST),
        (Party.TRAVELLER, SENDER, TRAVELLER),
    ]
    assert {made.closes_at - COMPLETED.changed_at for made in invited} == {timedelta(days=60)}


def test_invitations_have_the_same_ids_every_time_and_others_in_another_wave():
    first, again, later = (invite(COMPLETED, wave, "2026.1") for wave in (1, 1, 2))
    assert first == again
    assert len({made.invitation_id for made in [*first, *later]}) == 6


def test_the_invited_party_answers_once():
    submitted = submit(invitation(), HOST, NOON)
    assert submitted.state is InvitationState.SUBMITTED
    with pytest.raises(Refused) as refused:
        submit(submitted, HOST, NOON)
    assert refused.value.rule == "already_submitted"


@pytest.mark.parametrize("stranger", [SENDER, TRAVELLER, uuid4()])
def test_nobody_answers_for_another_party(stranger):
    with pytest.raises(NotYours):
        submit(invitation(), stranger, NOON)


def test_a_stranger_does_not_learn_whether_an_invitation_was_answered():
    with pytest.raises(NotYours):
        submit(submit(invitation(), HOST, NOON), SENDER, NOON)


def test_an_invitation_closes_on_time_even_if_the_work_that_closes_it_is_late():
    last_moment = invitation().closes_at - timedelta(microseconds=1)
    assert submit(invitation(), HOST, last_moment).state is InvitationState.SUBMITTED
    assert state_at(invitation(), last_moment) is InvitationState.OPEN
    assert state_at(invitation(), invitation().closes_at) is InvitationState.CLOSED
    with pytest.raises(Refused) as refused:
        submit(invitation(), HOST, invitation().closes_at)
    assert refused.value.rule == "invitation_closed"


def test_an_answered_invitation_stays_answered_when_its_time_is_over():
    submitted = submit(invitation(), HOST, NOON)
    assert close(submitted) is submitted
    assert state_at(submitted, submitted.closes_at) is InvitationState.SUBMITTED
