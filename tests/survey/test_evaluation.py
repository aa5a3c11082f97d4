"""Indicators with their intervals, and the funnel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sojourn_contracts.exchange import Stage
from statsmodels.stats.proportion import proportion_confint
from survey.domain import estimate, funnel, wilson
from survey.questionnaires.published import newest

BY_CODE = {indicator.code: indicator for indicator in newest().indicators}


@pytest.mark.parametrize(
    ("favourable", "valid", "interval"),
    [
        (40, 44, (78.8, 96.4)),
        (38, 40, (83.5, 98.6)),
        (76, 84, (82.3, 95.1)),
        (63, 84, (64.8, 83.0)),
        (39, 48, (68.1, 89.8)),
    ],
)
def test_the_intervals_of_the_pilots_figures_are_the_expected_ones(favourable, valid, interval):
    assert tuple(round(100 * bound, 1) for bound in wilson(favourable, valid)) == interval


@given(st.integers(1, 2000).flatmap(lambda valid: st.tuples(st.integers(0, valid), st.just(valid))))
def test_intervals_are_those_of_statsmodels(counts):
    assert wilson(*counts) == pytest.approx(proportion_confint(*counts, alpha=0.05, method="wilson"), abs=1e-12)


@given(st.integers(1, 10_000).flatmap(lambda valid: st.tuples(st.integers(0, valid), st.just(valid))))
def test_an_interval_lies_within_0_and_1_around_its_share(counts):
    favourable, valid = counts
    low, high = wilson(favourable, valid)
    assert 0 <= low <= favourable / valid + 1e-12
    assert favourable / valid - 1e-12 <= high <= 1


def test_the_top_two_of_the_scale_are_favourable_and_missing_answers_stand_apart():
    found = estimate(BY_CODE["XBORDER"], {"1": 1, "2": 1, "3": 2, "4": 30, "5": 46, "98": 5, "99": 3})
    assert (found.count, found.valid, found.dont_know, found.not_applicable) == (76, 80, 5, 3)
    assert found.share == 0.95
    assert (found.low, found.high) == wilson(76, 80)


def test_yes_is_favourable_for_new_products():
    found = estimate(BY_CODE["NEWPROD"], {"yes": 3, "no": 1, "98": 2})
    assert (found.count, found.valid, found.share, found.dont_know) == (3, 4, 0.75, 2)


@pytest.mark.parametrize("answers", [{}, {"98": 4, "99": 1}])
def test_without_a_valid_answer_there_is_no_share(answers):
    found = estimate(BY_CODE["SEND_MATCH"], answers)
    assert (found.count, found.valid, found.share, found.low, found.high) == (0, 0, None, None, None)


def test_indicators_stand_beside_the_pilots():
    assert {code: indicator.pilot for code, indicator in BY_CODE.items()} == {
        "SEND_MATCH": 0.91,
        "HOST_MATCH": 0.95,
        "XBORDER": 0.90,
        "NEWPROD": 0.75,
        "EMP_PROFDEV": 0.81,
    }


def test_the_funnel_counts_who_came_at_least_so_far_and_how_the_others_ended():
    exchanges = {
        (Stage.PROPOSED, Stage.PROPOSED): 4,
        (Stage.PROPOSED, Stage.EXPIRED): 3,
        (Stage.DRAFTED, Stage.DECLINED): 2,
        (Stage.ONGOING, Stage.CANCELLED): 1,
        (Stage.COMPLETED, Stage.COMPLETED): 5,
    }
    assert funnel(40, 2, exchanges) == {
        "registered": 40,
        "left": 2,
        "proposed": 15,
        "accepted": 8,
        "drafted": 8,
        "agreed": 6,
        "ongoing": 6,
        "completed": 5,
        "declined": 2,
        "expired": 3,
        "withdrawn": 0,
        "cancelled": 1,
    }


def test_the_funnel_leaves_out_what_an_exchange_can_be_completed_without():
    exchanges = {
        (Stage.IN_VALIDATION, Stage.DECLINED): 1,
        (Stage.INTERRUPTED, Stage.INTERRUPTED): 2,
        (Stage.INTERRUPTED, Stage.ONGOING): 3,
    }
    counted = funnel(9, 0, exchanges)
    assert not {"in_validation", "interrupted"} & counted.keys()
    assert [counted[stage] for stage in ("drafted", "agreed", "ongoing", "completed")] == [6, 5, 5, 0]
