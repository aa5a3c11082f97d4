"""What an agreement may say, and what a stay is supported with."""

import hashlib
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from exchange.agreement import Giver, Item, Terms, WrongTerms, content_hash
from exchange.state import Exchange
from sojourn_contracts.exchange import ExchangeUpdated
from sojourn_contracts.vocabulary import Party, Training, TrainingDirection

from tests.exchange import given
from tests.exchange.given import DAY, FIRST, ITEM, LAST, NOON, TERMS, WINDOW


def faults(terms: Terms, now: datetime = NOON, exchange: Exchange | None = None) -> list[tuple[str, str, str]]:
    with pytest.raises(WrongTerms) as wrong:
        given.draft(exchange or given.accepted(), terms, now)
    return [(fault.path, fault.detail, fault.allowed) for fault in wrong.value.faults]


def of_days(days: int) -> Terms:
    return given.terms((FIRST, FIRST + timedelta(days=days - 1)))


def test_a_stay_may_fill_its_window_to_both_edges():
    whole: dict[str, Any] = {"window": {"first": FIRST, "last": LAST}, "min_days": 28, "max_days": 28}
    exchange, _ = given.draft(replace(given.accepted(), match=given.proposal(**whole)), TERMS, NOON)
    assert exchange.drafted.terms == TERMS


@pytest.mark.parametrize(("days", "fits"), [(20, False), (21, True), (45, True), (46, False)])
def test_a_stay_is_as_long_as_the_match_allows(days: int, fits: bool):
    if fits:
        assert given.draft(given.accepted(), of_days(days), NOON)[0].drafted.terms.days == days
    else:
        assert faults(of_days(days)) == [
            ("parts.0.last_day", f"makes a stay of {days} days", "21 to 45 days in all, first and last included"),
        ]


def test_both_days_lie_in_the_window():
    early = given.terms((WINDOW.first - DAY, WINDOW.first + 27 * DAY))
    assert faults(early) == [("parts.0.first_day", "lies outside the window of the match", "2026-04-01 to 2026-07-31")]
    late = given.terms((WINDOW.last - 27 * DAY, WINDOW.last + DAY))
    assert faults(late) == [("parts.0.last_day", "lies outside the window of the match", "2026-04-01 to 2026-07-31")]


def test_the_first_day_has_not_passed():
    now = given.STARTS + timedelta(hours=1)
    assert given.draft(given.accepted(), TERMS, now)[0].drafted.terms.first_day == FIRST
    assert faults(TERMS, now + DAY) == [("parts.0.first_day", "lies in the past", "2026-05-05 to 2026-07-31")]


def test_the_last_day_comes_after_the_first():
    assert faults(given.terms((FIRST, FIRST - DAY))) == [
        ("parts.0.last_day", "lies before the first day", "2026-05-04 or later"),
    ]


def test_a_stay_is_split_in_parts_of_a_week_at_least():
    week, later = (FIRST, FIRST + 6 * DAY), (FIRST + 21 * DAY, FIRST + 34 * DAY)
    assert given.draft(given.accepted(), given.terms(week, later), NOON)[0].drafted.terms.days == 21
    assert faults(given.terms((FIRST, FIRST + 5 * DAY), (later[0], later[1] + DAY))) == [
        ("parts.0.last_day", "makes a part of 6 days", "parts of at least 7 days"),
    ]


def test_parts_follow_each_other():
    assert faults(given.terms((FIRST, FIRST + 13 * DAY), (FIRST + 13 * DAY, FIRST + 26 * DAY))) == [
        ("parts.1.first_day", "lies before the end of the part before", "after 2026-05-17"),
    ]


def test_parts_lie_within_twelve_months():
    wide: dict[str, Any] = {"window": {"first": FIRST, "last": FIRST + 400 * DAY}}
    exchange = replace(given.accepted(), match=given.proposal(**wide))
    year = given.terms((FIRST, FIRST + 13 * DAY), (FIRST + 352 * DAY, FIRST + 365 * DAY))
    assert given.draft(exchange, year, NOON)[0].drafted.terms.days == 28
    longer = given.terms((FIRST, FIRST + 13 * DAY), (FIRST + 353 * DAY, FIRST + 366 * DAY))
    assert [path for path, _, _ in faults(longer, exchange=exchange)] == ["parts.1.last_day"]


def test_training_is_required_and_is_of_the_taxonomy():
    assert [path for path, _, _ in faults(given.terms(training=()))] == ["training"]
    unknown = replace(ITEM, skills=("brewing", "time-travel", "no-such-skill"))
    assert [path for path, _, _ in faults(given.terms(training=(ITEM, unknown)))] == [
        "training.1.skills.1",
        "training.1.skills.2",
    ]
    assert [path for path, _, _ in faults(given.terms(training=(replace(ITEM, skills=()),)))] == ["training.0.skills"]


@pytest.mark.parametrize(
    ("learner", "given_by"),
    [(TrainingDirection.TRAVELLER, Giver.TRAVELLER), (TrainingDirection.HOST_STAFF, Giver.HOST)],
)
def test_nobody_teaches_themselves(learner: TrainingDirection, given_by: Giver):
    item = Item(learner, ("brewing",), 10, given_by)
    assert [path for path, _, _ in faults(given.terms(training=(item,)))] == ["training.0.given_by"]


def test_all_faults_are_named_at_once():
    wrong = replace(given.terms((date(2026, 1, 1), date(2026, 12, 1))), training=())
    assert [path for path, _, _ in faults(wrong)] == [
        "parts.0.last_day",
        "parts.0.first_day",
        "parts.0.last_day",
        "training",
    ]


def test_training_may_go_the_other_way_than_proposed_or_both():
    other = Item(TrainingDirection.HOST_STAFF, ("brewing",), 41, Giver.TRAVELLER)
    exchange, events = given.draft(given.accepted(), given.terms(training=(ITEM, other)), NOON)
    assert exchange.drafted.terms.directions == tuple(TrainingDirection)
    assert exchange.training == Training(direction=TrainingDirection.HOST_STAFF, skills=("cheese-making", "brewing"))
    assert events == [exchange.as_updated()]
    assert isinstance(events[0], ExchangeUpdated)
    assert events[0].training_items is not None
    assert [item.hours for item in events[0].training_items] == [40, 41]


def test_equal_hours_both_ways_count_for_the_traveller():
    other = Item(TrainingDirection.HOST_STAFF, ("brewing",), ITEM.hours, Giver.TRAVELLER)
    assert given.terms(training=(other, ITEM)).summary.direction is TrainingDirection.TRAVELLER


def test_no_event_tells_a_text_of_the_agreement():
    exchange = given.completed()
    told = "".join(event.model_dump_json() for event in (exchange.as_updated(), exchange.as_completed()))
    for text in (TERMS.goals, TERMS.tasks[0], TERMS.workplace, TERMS.supervision):
        assert text not in told


def test_the_hash_is_that_of_the_canonical_json():
    version = given.drafted().drafted
    canonical = (
        f'{{"allowance_cents":102667,"exchange_id":"{given.MATCH}","terms":{{"goals":"Learns how the dairy works.","insurance":'
        '{"accident":"sender","health":"sender","liability":"host"},"parts":[{"first_day":"2026-05-04","last_day":'
        '"2026-05-31"}],"supervision":"The master cheese-maker, daily","tasks":["Follows a batch from the milk to the '
        'shelf"],"training":[{"given_by":"host","hours":40,"learner":"traveller","skills":["cheese-making"]}],'
        '"working_language":"en","workplace":"The dairy at the harbour"},"version":1}'
    )
    assert content_hash(version) == hashlib.sha256(canonical.encode()).hexdigest()


def test_every_part_of_the_content_changes_the_hash_and_no_signature_does():
    version = given.drafted().drafted
    others = [
        replace(version, version=2),
        replace(version, exchange_id=given.OFFER),
        replace(version, allowance_cents=1),
        *(
            replace(version, terms=replace(TERMS, **changed))
            for changed in (
                {"parts": given.OTHER_TERMS.parts},
                {"training": (replace(ITEM, hours=39),)},
                {"goals": "Käse"},
                {"tasks": ()},
                {"working_language": "da"},
                {"workplace": ""},
                {"supervision": ""},
                {"insurance": replace(TERMS.insurance, health=Party.HOST)},
            )
        ),
    ]
    assert len({content_hash(one) for one in (version, *others)}) == len(others) + 1
    assert content_hash(given.signed_by(Party.HOST).drafted) == content_hash(version)
