"""What is known of companies and exchanges does not depend on the order in which others tell it."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sojourn_contracts.exchange import Stage
from survey.domain import Company, Exchange, follow, update, withdraw

from tests.survey.story import (
    ACCEPTED,
    AGREED,
    CANCELLED,
    COMPLETED,
    DECLINED,
    DRAFTED,
    EXCHANGE,
    ONGOING,
    PROPOSED,
    SENDER,
    SENDER_REGISTERED,
    SENDER_UPDATED,
)


def after(*events) -> Exchange:
    exchange = Exchange(EXCHANGE)
    for event in events:
        exchange = follow(exchange, event)
    return exchange


@given(st.lists(st.sampled_from([PROPOSED, ACCEPTED, DRAFTED, AGREED, ONGOING, COMPLETED]), max_size=6))
def test_an_exchange_stands_where_its_newest_event_says(events):
    found = after(*events, PROPOSED, ACCEPTED, DRAFTED, AGREED, ONGOING, COMPLETED)
    assert (found.newest, found.furthest, found.stage) == (COMPLETED, Stage.COMPLETED, Stage.COMPLETED)


@pytest.mark.parametrize("events", list(permutations([PROPOSED, ACCEPTED, DECLINED])))
def test_a_declined_match_keeps_how_far_it_came(events):
    declined = after(*events)
    assert (declined.stage, declined.furthest) == (Stage.DECLINED, Stage.ACCEPTED)
    assert declined.newest == DECLINED


@pytest.mark.parametrize("events", list(permutations([AGREED, ONGOING, CANCELLED.model_copy(update={"revision": 9})])))
def test_a_cancelled_exchange_keeps_how_far_it_came(events):
    cancelled = after(*events)
    assert (cancelled.stage, cancelled.furthest) == (Stage.CANCELLED, Stage.ONGOING)


def test_a_cancellation_alone_proves_the_stage_at_which_it_came():
    assert after(CANCELLED).furthest is Stage.AGREED


def test_a_proposal_ranks_below_every_stage_whatever_its_revision():
    proposed_anew = PROPOSED.model_copy(update={"revision": 99})
    assert after(ACCEPTED, proposed_anew) == after(proposed_anew, ACCEPTED) == after(ACCEPTED)
    assert after(PROPOSED, proposed_anew).newest == proposed_anew


def test_the_profile_of_the_highest_revision_counts():
    blank = Company(SENDER)
    known = update(update(blank, SENDER_REGISTERED), SENDER_UPDATED)
    assert known == update(update(blank, SENDER_UPDATED), SENDER_REGISTERED)
    assert known.profile == SENDER_UPDATED


def test_a_company_that_left_keeps_its_profile():
    blank = Company(SENDER)
    left = withdraw(update(blank, SENDER_REGISTERED))
    assert left == update(withdraw(blank), SENDER_REGISTERED)
    assert left.profile == SENDER_REGISTERED
