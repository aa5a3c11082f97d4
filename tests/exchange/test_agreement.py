"""What an agreement may say, and what a stay is supported with."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from exchange import allowances
from exchange.agreement import Terms, WrongTerms
from exchange.allowances import allowance_cents
from sojourn_contracts.vocabulary import Training, TrainingDirection

from tests.exchange import given
from tests.exchange.given import FIRST, LAST, NOON, TERMS, TRAINING, WINDOW

DAY = timedelta(days=1)


def faults(terms: Terms, now: datetime = NOON) -> list[tuple[str, str, str]]:
    with pytest.raises(WrongTerms) as wrong:
        given.draft(given.accepted(), terms, now)
    return [(fault.path, fault.detail, fault.allowed) for fault in wrong.value.faults]


def test_a_stay_may_fill_its_window_to_both_edges():
    whole: dict[str, Any] = {"window": {"first": FIRST, "last": LAST}, "min_days": 28, "max_days": 28}
    exchange, _ = given.draft(replace(given.accepted(), match=given.proposal(**whole)), TERMS, NOON)
    assert exchange.drafted.terms == TERMS


@pytest.mark.parametrize(("days", "fits"), [(20, False), (21, True), (45, True), (46, False)])
def test_a_stay_is_as_long_as_the_match_allows(days: int, fits: bool):
    terms = replace(TERMS, last_day=FIRST + timedelta(days=days - 1))
    if fits:
        assert given.draft(given.accepted(), terms, NOON)[0].drafted.terms.days == days
    else:
        assert faults(terms) == [
            ("last_day", f"makes a stay of {days} days", "21 to 45 days, first and last included"),
        ]


def test_both_days_lie_in_the_window():
    terms = replace(TERMS, first_day=WINDOW.first - DAY, last_day=WINDOW.first + 27 * DAY)
    assert faults(terms) == [("first_day", "lies outside the window of the match", "2026-04-01 to 2026-07-31")]
    terms = replace(TERMS, first_day=WINDOW.last - 27 * DAY, last_day=WINDOW.last + DAY)
    assert faults(terms) == [("last_day", "lies outside the window of the match", "2026-04-01 to 2026-07-31")]


def test_the_first_day_has_not_passed():
    now = given.STARTS + timedelta(hours=1)
    assert given.draft(given.accepted(), TERMS, now)[0].drafted.terms.first_day == FIRST
    assert faults(TERMS, now + DAY) == [("first_day", "lies in the past", "2026-05-05 to 2026-07-31")]


def test_the_last_day_comes_after_the_first():
    assert faults(replace(TERMS, last_day=FIRST - DAY)) == [
        ("last_day", "lies before the first day", "2026-04-01 to 2026-07-31"),
    ]


def test_training_is_required_and_is_of_the_taxonomy():
    nothing = replace(TERMS, training=Training(direction=TrainingDirection.HOST_STAFF, skills=()))
    assert [path for path, _, _ in faults(nothing)] == ["training.skills"]
    unknown = Training(direction=TrainingDirection.TRAVELLER, skills=("brewing", "time-travel", "no-such-skill"))
    found = faults(replace(TERMS, training=unknown))
    assert [path for path, _, _ in found] == ["training.skills.1", "training.skills.2"]


def test_all_faults_are_named_at_once():
    wrong = Terms(date(2026, 1, 1), date(2026, 12, 1), Training(direction=TRAINING.direction, skills=()))
    assert [path for path, _, _ in faults(wrong)] == ["first_day", "last_day", "last_day", "training.skills"]


def test_training_may_go_the_other_way_than_proposed():
    other = Training(direction=TrainingDirection.HOST_STAFF, skills=("brewing",))
    exchange, events = given.draft(given.accepted(), replace(TERMS, training=other), NOON)
    assert exchange.training == other
    assert events == [exchange.as_updated()]


@pytest.mark.parametrize(
    ("country", "days", "cents"),
    [
        ("DK", 30, 110_000),
        ("DK", 14, 51_333),
        ("DK", 28, 102_667),
        ("BG", 14, 28_000),
        ("BR", 30, 53_000),
        ("BR", 62, 109_533),
    ],
)
def test_an_allowance_is_the_days_times_a_thirtieth_of_the_months_rate(country: str, days: int, cents: int):
    assert allowance_cents(country, days) == cents


def test_half_a_cent_is_rounded_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(allowances.MONTHLY_EUR, "XX", 3)
    monkeypatch.setattr(allowances, "DAYS_IN_A_MONTH", 40)
    assert allowance_cents("XX", 1) == 8  # 7.5


def test_rates_stay_within_the_public_ones():
    assert allowances.LOWEST_MONTHLY_EUR == 530
    assert set(allowances.MONTHLY_EUR.values()) <= set(range(530, 1_101))
