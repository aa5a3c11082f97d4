"""What the planner chooses of the pairs that fit, and what of that it proposes today."""

import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations
from uuid import UUID

import numpy  # noqa: F401 (loaded here, not in the first example that Hypothesis times)
import ortools.graph.python.min_cost_flow  # noqa: F401
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matching.planner import (
    Edge,
    PlannerParameters,
    Reason,
    Verdict,
    aspirations,
    greedy,
    release,
    solve,
)

from tests.matching.market import TODAY, named

PARAMETERS = PlannerParameters(hold_days=21, urgent_days=8)
PLACEMENTS = tuple(named(f"placement {number}") for number in range(4))
OFFERS = tuple(named(f"offer {number}") for number in range(3))
PAIR = Edge(PLACEMENTS[0], OFFERS[0], 500_000)

Market = tuple[list[Edge], dict[UUID, int]]


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Few scores, so that many solutions tie."""
    scores = st.one_of(st.integers(0, 3), st.integers(0, 1_000_000))
    pairs = draw(st.lists(st.tuples(st.sampled_from(PLACEMENTS), st.sampled_from(OFFERS)), unique=True, max_size=9))
    places = draw(st.dictionaries(st.sampled_from(OFFERS), st.integers(0, 3)))
    return [Edge(*pair, draw(scores)) for pair in pairs], places


def worth(edges: list[Edge] | tuple[Edge, ...]) -> int:
    return sum(edge.score for edge in edges)


def allowed(edges: list[Edge] | tuple[Edge, ...], places: dict[UUID, int]) -> bool:
    offers = [edge.offer for edge in edges]
    return len({edge.placement for edge in edges}) == len(edges) and all(
        offers.count(offer) <= places.get(offer, 0) for offer in offers
    )


@given(markets())
def test_no_placement_is_given_away_twice_and_no_offer_beyond_its_places(market: Market):
    edges, places = market
    for chosen in (solve(edges, places), greedy(edges, places)):
        assert allowed(chosen, places)
        assert set(chosen) <= set(edges)


@given(markets())
def test_nothing_is_worth_more_than_what_is_solved(market: Market):
    edges, places = market
    subsets = (some for count in range(len(edges) + 1) for some in combinations(edges, count))
    best = max(worth(some) for some in subsets if allowed(some, places))
    assert worth(solve(edges, places)) == best >= worth(greedy(edges, places))


@given(markets().flatmap(lambda market: st.tuples(st.just(market), st.permutations(market[0]))))
def test_the_order_of_the_edges_makes_no_difference(market_and_order: tuple[Market, list[Edge]]):
    (edges, places), order = market_and_order
    assert solve(order, places) == solve(edges, places)
    assert greedy(order, places) == greedy(edges, places)


def test_greedy_spoils_what_the_solution_keeps():
    """The best pair takes the only offer that the other placement could go to."""
    edges = [
        Edge(PLACEMENTS[0], OFFERS[0], 600_000),
        Edge(PLACEMENTS[0], OFFERS[1], 500_000),
        Edge(PLACEMENTS[1], OFFERS[0], 400_000),
    ]
    places = dict.fromkeys(OFFERS, 1)
    assert greedy(edges, places) == [edges[0]]
    assert sorted(solve(edges, places)) == sorted(edges[1:])


def test_in_a_market_without_edges_nothing_is_chosen():
    assert solve([], {}) == greedy([], {}) == []


def test_the_solver_is_loaded_by_who_solves_only():
    loaded = "import sys, matching.planner; print({'numpy', 'ortools'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout == "set()\n"


def test_an_end_aspires_to_the_best_that_it_was_ever_seen_with():
    first = aspirations({}, [Edge(PLACEMENTS[0], OFFERS[0], 300_000), Edge(PLACEMENTS[0], OFFERS[1], 700_000)])
    then = aspirations(first, [Edge(PLACEMENTS[1], OFFERS[0], 400_000), Edge(PLACEMENTS[0], OFFERS[0], 300_000)])
    assert first == {PLACEMENTS[0]: 700_000, OFFERS[0]: 300_000, OFFERS[1]: 700_000}
    assert then == {**first, PLACEMENTS[1]: 400_000, OFFERS[0]: 400_000}


def verdict(
    score: int = 500_000, placement: int = 700_000, offer: int = 300_000, age: int = 0, days_left: int = 90
) -> tuple[Reason, bool]:
    """Of a pair whose ends aspire to the given scores; and whether it is released."""
    released, held = release(
        [scoring(score)],
        {PAIR.placement: placement, PAIR.offer: offer},
        {PAIR.placement: age},
        {PAIR.placement: TODAY + timedelta(days=days_left), PAIR.offer: date.max},
        TODAY,
        PARAMETERS,
    )
    ((edge, reason),) = released or held
    assert edge.score == score
    return reason, bool(released)


def scoring(score: int) -> Edge:
    return PAIR._replace(score=score)


def test_a_pair_worth_the_mean_of_what_its_ends_aspire_to_is_proposed():
    assert verdict(score=500_000) == (Reason.ASPIRATION, True)


def test_a_pair_worth_less_is_held():
    assert verdict(score=499_999) == (Reason.WAITING, False)


@pytest.mark.parametrize(("age", "expected"), [(20, (Reason.WAITING, False)), (21, (Reason.AGE, True))])
def test_a_placement_that_has_waited_long_enough_is_proposed(age: int, expected: tuple[Reason, bool]):
    assert verdict(score=100_000, age=age) == expected


@pytest.mark.parametrize(("days_left", "expected"), [(9, (Reason.WAITING, False)), (8, (Reason.DEADLINE, True))])
def test_a_pair_whose_time_runs_out_is_proposed(days_left: int, expected: tuple[Reason, bool]):
    assert verdict(score=100_000, days_left=days_left) == expected


def test_the_deadline_of_either_end_counts():
    deadlines = {PAIR.placement: date.max, PAIR.offer: TODAY}
    released, _ = release(
        [PAIR], {PAIR.offer: 10**6, PAIR.placement: 10**6}, {PAIR.placement: 0}, deadlines, TODAY, PARAMETERS
    )
    assert released == [Verdict(PAIR, Reason.DEADLINE)]


millionths = st.integers(0, 1_000_000)


@given(
    millionths,
    millionths,
    millionths,
    st.integers(0, 40),
    st.integers(-5, 40),
    millionths,
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_what_is_worth_more_or_waits_longer_or_has_less_time_is_never_held_instead(
    score: int, placement: int, offer: int, age: int, days_left: int, more: int, older: int, sooner: int
):
    _, before = verdict(score, placement, offer, age, days_left)
    for better in (
        verdict(score + more, placement, offer, age, days_left),
        verdict(score, placement, offer, age + older, days_left),
        verdict(score, placement, offer, age, days_left - sooner),
        verdict(score, max(0, placement - more), offer, age, days_left),
    ):
        assert better[1] >= before


@given(markets())
def test_everything_chosen_is_either_released_or_held(market: Market):
    edges, places = market
    chosen = solve(edges, places)
    hopes = aspirations({}, edges)
    ages, deadlines = dict.fromkeys(PLACEMENTS, 0), dict.fromkeys((*PLACEMENTS, *OFFERS), date.max)
    released, held = release(chosen, hopes, ages, deadlines, TODAY, PARAMETERS)
    assert sorted(each.edge for each in (*released, *held)) == sorted(chosen)
    everything, nothing = release(chosen, hopes, ages, deadlines, TODAY, replace(PARAMETERS, hold_days=0))
    assert [each.edge for each in everything] == chosen
    assert nothing == []
