"""Intervals of shares and of their differences, beside statsmodels'."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from survey.evaluation.figures import ClusterSums
from survey.evaluation.intervals import cluster_robust, cluster_variance, design_effect, difference, wilson

COUNTED = st.integers(1, 2000).flatmap(lambda valid: st.tuples(st.integers(0, valid), st.just(valid)))
COMPANIES = st.lists(
    st.integers(1, 5).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2, max_size=40
)
"""Favourable and valid answers of each company."""


def sums(companies: list[tuple[int, int]]) -> ClusterSums:
    return ClusterSums(
        wave=1,
        indicator="XBORDER",
        clusters=len(companies),
        valid=sum(n for _, n in companies),
        favourable=sum(y for y, _ in companies),
        valid_squared=sum(n * n for _, n in companies),
        valid_favourable=sum(n * y for y, n in companies),
        favourable_squared=sum(y * y for y, _ in companies),
    )


def answers(companies: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """One number for each answer, and whose it is."""
    favourable = [float(place < y) for y, n in companies for place in range(n)]
    return np.array(favourable), np.repeat(np.arange(len(companies)), [n for _, n in companies])


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


@given(COUNTED)
def test_intervals_are_those_of_statsmodels(counts):
    assert wilson(*counts) == pytest.approx(proportion_confint(*counts, alpha=0.05, method="wilson"), abs=1e-12)


@given(COUNTED)
def test_an_interval_lies_within_0_and_1_around_its_share(counts):
    favourable, valid = counts
    low, high = wilson(favourable, valid)
    assert 0 <= low <= favourable / valid + 1e-12
    assert favourable / valid - 1e-12 <= high <= 1


@given(COMPANIES)
def test_the_standard_error_over_companies_is_that_of_statsmodels(companies):
    counted = sums(companies)
    assume(0 < counted.favourable < counted.valid)
    favourable, company = answers(companies)
    ols = sm.OLS(favourable, np.ones_like(favourable)).fit(cov_type="cluster", cov_kwds={"groups": company})
    assert cluster_variance(counted) ** 0.5 == pytest.approx(ols.bse[0], abs=1e-9)


def test_the_standard_error_over_companies_is_that_of_a_linear_probability_glm():
    companies = [(3, 3), (0, 2), (1, 1), (2, 4), (1, 1), (0, 3)]
    favourable, company = answers(companies)
    glm = sm.GLM(favourable, np.ones_like(favourable)).fit(cov_type="cluster", cov_kwds={"groups": company})
    assert cluster_variance(sums(companies)) ** 0.5 == pytest.approx(glm.bse[0])


@given(COMPANIES)
def test_the_cluster_robust_interval_is_wilsons_on_the_effective_number_of_answers(companies):
    counted = sums(companies)
    effect = max(1.0, design_effect(counted))
    expected = proportion_confint(counted.favourable / effect, counted.valid / effect, alpha=0.05, method="wilson")
    low, high = cluster_robust(counted)
    assert (low, high) == pytest.approx(expected, abs=1e-9)
    naive = wilson(counted.favourable, counted.valid)
    assert high - low >= naive[1] - naive[0] - 1e-9


def test_answers_that_agree_within_companies_are_worth_less():
    agreeing = [(4, 4)] * 10 + [(0, 4)] * 10
    assert design_effect(sums(agreeing)) == pytest.approx(4 * 20 / 19)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.booleans())
def test_where_all_answer_alike_the_answers_of_a_company_count_as_one(sizes, favourable):
    companies = [(n if favourable else 0, n) for n in sizes]
    counted = sums(companies)
    assert design_effect(counted) == pytest.approx(sum(n * n for n in sizes) / sum(sizes))
    worth = counted.valid / design_effect(counted)
    low, high = cluster_robust(counted)
    share = 1.0 if favourable else 0.0
    assert (low, high) == pytest.approx(proportion_confint(share * worth, worth, alpha=0.05, method="wilson"), abs=1e-9)
    assert low < high


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_companies_that_answered_once_change_nothing(favourable):
    counted = sums([(int(each), 1) for each in favourable])
    assert design_effect(counted) == 1.0
    assert cluster_robust(counted) == pytest.approx(wilson(counted.favourable, counted.valid))


def test_one_company_is_worth_one_answer():
    assert cluster_robust(sums([(3, 6)])) == pytest.approx(wilson(0.5, 1))


@given(COUNTED, COUNTED)
def test_the_interval_of_a_difference_is_newcombes(earlier, later):
    expected = confint_proportions_2indep(*later, *earlier, compare="diff", method="newcomb", alpha=0.05)
    found = difference(earlier[0] / earlier[1], wilson(*earlier), later[0] / later[1], wilson(*later))
    assert found == pytest.approx(expected, abs=1e-9)
