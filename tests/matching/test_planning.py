"""In which order pairs are proposed, under which ids, until when, and when the market is searched."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matching.domain import offers_of, placements_of, score
from matching.planning import expiry, match_id, next_search, proposal, ranked

from tests.matching.market import NOON, PARAMETERS, company, named, offer, open_offer, open_placement, placement


def test_the_best_pair_comes_first_and_ties_go_by_the_ids():
    placements = placements_of(company("sender", "DE", placement("one"), placement("two")))
    offers = offers_of(company("host", "ES", offer("poor", skills_needed=()), offer("rich"), offer("equal")))
    edges = [
        (one.terms.placement_id, other.terms.offer_id, fit.value)
        for one in placements
        for other in offers
        if (fit := score(one, other, PARAMETERS))
    ]
    order = ranked(edges)
    assert order == ranked(reversed(edges))
    assert order == [(one, other) for one, other, _ in sorted(edges, key=lambda edge: (-edge[2], *edge[:2]))]
    assert len(order) == 6


def test_a_pair_that_both_ends_name_is_ranked_once():
    assert ranked([(named("one"), named("other"), 5)] * 2) == [(named("one"), named("other"))]


def test_a_match_has_the_same_id_in_every_replay_and_another_one_at_the_next_attempt():
    ids = [match_id(named("placement"), named("offer"), attempt) for attempt in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
    assert match_id(named("placement"), named("other offer"), 1) not in ids


def test_a_proposal_says_all_that_exchange_needs():
    one, other = open_placement(), open_offer(sector="61")
    fit = score(one, other, PARAMETERS)
    assert fit is not None
    event = proposal(named("match"), one, other, fit, NOON, "host")
    assert (event.sender_id, event.host_id) == (one.home.company_id, other.home.company_id)
    assert (event.sender_country, event.host_country) == ("DE", "ES")
    assert (event.sender_sector, event.host_sector) == ("62", "61")
    assert event.traveller_id == one.terms.traveller_id
    assert (event.score, event.initiator, event.expires_at) == (fit.value, "host", NOON)


def test_a_proposal_expires_at_the_end_of_its_last_day():
    assert expiry(NOON, 14) == datetime(2026, 3, 17, tzinfo=UTC)
    assert expiry(datetime(2026, 3, 2, tzinfo=UTC), 14) == datetime(2026, 3, 17, tzinfo=UTC)


def test_without_ticks_the_market_is_searched_at_once():
    assert next_search(NOON, 0) == NOON


@pytest.mark.parametrize(
    ("now", "tick"),
    [
        (NOON, datetime(2026, 3, 3, 0, 30, tzinfo=UTC)),
        (datetime(2026, 3, 3, 0, 30, tzinfo=UTC), datetime(2026, 3, 4, 0, 30, tzinfo=UTC)),
        (datetime(2026, 3, 3, 0, 29, 59, 999999, tzinfo=UTC), datetime(2026, 3, 3, 0, 30, tzinfo=UTC)),
    ],
)
def test_with_ticks_it_is_searched_at_the_next_one(now: datetime, tick: datetime):
    assert next_search(now, 24) == tick


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)), st.integers(1, 168))
def test_no_tick_falls_on_the_instant_at_which_proposals_expire_or_stays_begin(now: datetime, hours: int):
    tick = next_search(now, hours)
    assert now < tick <= now + timedelta(hours=hours)
    assert tick.minute == 30
    assert expiry(tick, 14).minute == 0
