"""From the first day of a stay to its end: what is asked, recorded, interrupted, cut short and confirmed."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from exchange import domain, during
from exchange.agreement import Giver, Part
from exchange.state import Exchange
from exchange.stay import Delivery, Interruption, Stay, counted_days, interrupted_days
from sojourn_contracts.exchange import ExchangeCancelled, ExchangeCompleted, ExchangeUpdated, Stage
from sojourn_contracts.refusal import Invalid, Refused
from sojourn_contracts.vocabulary import Party, Side

from tests.exchange import given
from tests.exchange.given import AFTER, ASKS, CLOSES, DAY, FIRST, LAST, STARTS

SECOND = timedelta(seconds=1)


def test_both_sides_say_when_the_traveller_arrived_who_speaks_for_the_sender():
    one, events = during.confirm_arrival(given.ongoing(), Party.TRAVELLER, FIRST, STARTS + DAY)
    assert events == [one.as_updated()]
    both, _ = during.confirm_arrival(one, Party.HOST, FIRST + DAY, STARTS + DAY)
    assert (both.stay.arrived(Side.SENDER), both.stay.arrived(Side.HOST)) == (FIRST, FIRST + DAY)
    assert during.confirm_arrival(both, Party.SENDER, FIRST, STARTS + DAY) == (both, [])
    corrected, _ = during.confirm_arrival(both, Party.HOST, FIRST, STARTS + DAY)
    assert corrected.stay.arrived(Side.HOST) == FIRST


@pytest.mark.parametrize("day", [FIRST - DAY, FIRST + DAY])
def test_nobody_arrives_before_the_first_day_or_in_the_future(day: date):
    with pytest.raises(Invalid) as wrong:
        during.confirm_arrival(given.ongoing(), Party.HOST, day, STARTS)
    assert (wrong.value.path, wrong.value.detail) == ("day", "lies outside 2026-05-04 to 2026-05-04")


def test_half_of_the_stay_over_both_sides_are_asked_once():
    waiting = given.ongoing()
    assert during.ask(waiting, ASKS - SECOND) == (waiting, [])
    asked, _ = during.ask(waiting, ASKS)
    assert asked.stay.asked_at == ASKS
    assert during.ask(asked, ASKS + DAY) == (asked, [])


def test_a_no_raises_an_alert_and_a_yes_does_not():
    asked, _ = during.ask(given.ongoing(), ASKS)
    content, _ = during.say_if_it_fits(asked, Party.TRAVELLER, True, ASKS)
    assert during.alerts(content) == ()
    doubtful, _ = during.say_if_it_fits(content, Party.HOST, False, ASKS)
    (alert,) = during.alerts(doubtful)
    assert (alert.raised_by, alert.sender_country, alert.host_country) == (Side.HOST, "PT", "DK")


def test_a_side_answers_once_and_repeats_itself_without_harm():
    asked, _ = during.ask(given.ongoing(), ASKS)
    answered, _ = during.say_if_it_fits(asked, Party.TRAVELLER, False, ASKS)
    assert during.say_if_it_fits(answered, Party.SENDER, False, ASKS) == (answered, [])
    with pytest.raises(Refused, match="already_answered"):
        during.say_if_it_fits(answered, Party.SENDER, True, ASKS)


def test_training_is_recorded_by_day_and_skill_and_the_last_word_counts():
    exchange = given.trained()
    more, _ = during.record_training(exchange, Party.TRAVELLER, FIRST + DAY, "cheese-making", 3, Giver.OUTSIDE, ASKS)
    assert more.stay.training_hours == 8
    corrected, _ = during.record_training(more, Party.TRAVELLER, FIRST, "cheese-making", 6, Giver.HOST, ASKS)
    assert corrected.stay.training_hours == 9
    assert corrected.stay.record[0] == Delivery(FIRST, "cheese-making", 6, Giver.HOST, Party.TRAVELLER)
    assert during.record_training(corrected, Party.HOST, FIRST, "cheese-making", 6, Giver.HOST, ASKS) == (corrected, [])


@pytest.mark.parametrize(
    ("day", "skill", "path"),
    [(FIRST - DAY, "cheese-making", "day"), (FIRST + DAY, "cheese-making", "day"), (FIRST, "brewing", "skill")],
)
def test_training_is_of_the_agreement_and_of_a_day_of_the_stay_that_has_come(day: date, skill: str, path: str):
    with pytest.raises(Invalid) as wrong:
        during.record_training(given.ongoing(), Party.HOST, day, skill, 4, Giver.HOST, STARTS)
    assert wrong.value.path == path


def test_what_a_side_confirmed_is_not_recorded_otherwise():
    with pytest.raises(Refused, match="confirmed"):
        during.record_training(given.confirmed_by(Side.HOST), Party.HOST, LAST, "cheese-making", 4, Giver.HOST, AFTER)


def test_interrupted_days_do_not_count_and_the_last_day_stays():
    exchange = given.interrupted(STARTS + 10 * DAY)
    assert exchange.counted_days == 10
    resumed, events = during.resume(exchange, Party.HOST, STARTS + 14 * DAY)
    assert (resumed.stage, resumed.counted_days, resumed.last_day) == (Stage.ONGOING, 24, LAST)
    assert isinstance(events[0], ExchangeUpdated)
    assert (events[0].interrupted_days, events[0].days) == (4, 28)


def test_a_stay_that_is_resumed_on_the_same_day_loses_no_day_and_can_be_resumed_again_without_an_effect():
    resumed, _ = during.resume(given.interrupted(STARTS + 10 * DAY), Party.HOST, STARTS + 10 * DAY + SECOND)
    assert (resumed.counted_days, len(resumed.stay.interruptions)) == (28, 1)
    assert during.resume(resumed, Party.HOST, STARTS + 10 * DAY + SECOND) == (resumed, [])


def test_a_stay_is_interrupted_on_its_last_day_at_the_latest():
    with pytest.raises(Refused, match="stay_over"):
        during.interrupt(given.ongoing(), Party.HOST, "illness", AFTER)


def test_only_days_of_the_parts_are_lost():
    parts = (Part(FIRST, FIRST + 6 * DAY), Part(FIRST + 20 * DAY, FIRST + 30 * DAY))
    stay = Stay(interruptions=(Interruption(FIRST + 5 * DAY, "illness", FIRST + 22 * DAY),))
    assert interrupted_days(parts, stay) == 4
    assert counted_days(parts, stay) == 14
    lasting = Stay(interruptions=(Interruption(FIRST + 5 * DAY, "illness"),))
    assert counted_days(parts, lasting) == 5
    assert counted_days(parts, replace(lasting, ended_on=FIRST + 2 * DAY)) == 3


@pytest.mark.parametrize(("days", "stage"), [(13, Stage.CANCELLED), (14, Stage.ONGOING)])
def test_a_stay_that_ends_early_takes_fourteen_days_to_count(days: int, stage: Stage):
    exchange, events = during.end_early(given.ongoing(), Side.SENDER, STARTS + (days - 1) * DAY)
    assert exchange.stage is stage
    if stage is Stage.CANCELLED:
        assert isinstance(events[0], ExchangeCancelled)
        assert (events[0].cancelled_by, events[0].reason) == (Side.SENDER, "too_short")
        assert (events[0].cancelled_at_stage, events[0].days) == (Stage.ONGOING, 28)
    else:
        assert (exchange.last_day, exchange.counted_days) == (FIRST + 13 * DAY, 14)
        assert dict(domain.due(exchange)) == {"close": CLOSES - 14 * DAY}
        assert domain.days_held(exchange) == (Part(FIRST, FIRST + 13 * DAY),)


def test_an_early_end_that_is_reported_twice_is_one():
    for days in (3, 20):
        once, _ = during.end_early(given.ongoing(), Side.SENDER, STARTS + days * DAY)
        assert during.end_early(once, Side.SENDER, STARTS + (days + 1) * DAY) == (once, [])


def test_an_interrupted_stay_that_ends_ended_on_the_day_before_its_interruption():
    exchange, _ = during.end_early(given.interrupted(STARTS + 20 * DAY), Side.HOST, STARTS + 25 * DAY)
    assert (exchange.stage, exchange.last_day, exchange.counted_days) == (Stage.ONGOING, FIRST + 19 * DAY, 20)
    assert exchange.stay.interruptions == ()


def test_interrupted_days_are_missing_from_an_early_end():
    resumed, _ = during.resume(given.interrupted(STARTS + 10 * DAY), Party.HOST, STARTS + 14 * DAY)
    exchange, _ = during.end_early(resumed, Side.HOST, STARTS + 16 * DAY)
    assert exchange.stage is Stage.CANCELLED


def test_a_stay_does_not_end_early_on_its_last_day():
    with pytest.raises(Refused, match="stay_over"):
        during.end_early(given.ongoing(), Side.HOST, given.LAST_NOON)


def test_nothing_is_interrupted_or_extended_after_an_early_end():
    over, _ = during.end_early(given.ongoing(), Side.HOST, STARTS + 20 * DAY)
    with pytest.raises(Refused, match="stay_over"):
        during.interrupt(over, Party.HOST, "illness", STARTS + 20 * DAY)
    with pytest.raises(Refused, match="stay_over"):
        given.draft(over, given.LONGER, STARTS + 20 * DAY)


def test_completion_is_confirmed_after_the_last_day():
    with pytest.raises(Refused, match="not_over_yet"):
        during.confirm_completion(given.trained(), Side.SENDER, given.LAST_NOON)
    waiting, events = during.confirm_completion(given.trained(), Side.SENDER, AFTER)
    assert (waiting.stage, waiting.stay.confirmed_by) == (Stage.ONGOING, (Side.SENDER,))
    assert events == [waiting.as_updated()]
    assert during.confirm_completion(waiting, Side.SENDER, AFTER) == (waiting, [])


def test_with_the_second_confirmation_a_stay_is_completed_with_the_hours_of_its_record():
    exchange, events = during.confirm_completion(given.confirmed_by(Side.SENDER), Side.HOST, AFTER)
    assert exchange.stage is Stage.COMPLETED
    assert isinstance(events[0], ExchangeCompleted)
    assert (events[0].training_hours, events[0].days, events[0].allowance_cents) == (5, 28, 102_667)


def test_a_stay_without_training_is_not_completed():
    with pytest.raises(Refused, match="no_training_recorded"):
        during.confirm_completion(given.ongoing(), Side.HOST, AFTER)


def test_a_stay_that_ended_early_is_completed_with_its_actual_days():
    over, _ = during.end_early(given.trained(), Side.HOST, STARTS + 20 * DAY)
    waiting, _ = during.confirm_completion(over, Side.HOST, STARTS + 21 * DAY)
    _, events = during.confirm_completion(waiting, Side.SENDER, STARTS + 21 * DAY)
    assert isinstance(events[0], ExchangeCompleted)
    assert (events[0].last_day, events[0].days) == (FIRST + 20 * DAY, 21)


def short_of_days() -> Exchange:
    """All but thirteen days were interrupted."""
    interrupted, _ = during.interrupt(given.trained(), Party.HOST, "illness", STARTS + 2 * DAY)
    return during.resume(interrupted, Party.HOST, STARTS + 17 * DAY)[0]


def test_a_stay_of_which_too_few_days_count_is_cancelled_by_the_second_confirmation():
    exchange, _ = during.confirm_completion(short_of_days(), Side.SENDER, AFTER)
    exchange, events = during.confirm_completion(exchange, Side.HOST, AFTER)
    assert exchange.stage is Stage.CANCELLED
    assert isinstance(events[0], ExchangeCancelled)
    assert (events[0].reason, events[0].interrupted_days) == ("too_short", 15)


def test_thirty_days_after_the_last_one_the_word_of_one_side_is_enough():
    waiting = given.confirmed_by(Side.HOST)
    assert during.close(waiting, CLOSES - SECOND) == (waiting, [])
    exchange, events = during.close(waiting, CLOSES)
    assert (exchange.stage, exchange.ending and exchange.ending.by) == (Stage.COMPLETED, None)
    assert events == [exchange.as_completed()]


def test_thirty_days_after_the_last_one_too_few_days_are_too_few():
    exchange, _ = during.confirm_completion(short_of_days(), Side.SENDER, AFTER)
    assert [event.model_dump()["reason"] for event in during.close(exchange, CLOSES)[1]] == ["too_short"]


def test_a_stay_that_nobody_confirms_is_cancelled_by_nobody_thirty_days_after_its_last_day():
    silent = given.trained()
    assert during.close(silent, CLOSES - SECOND) == (silent, [])
    exchange, events = during.close(silent, CLOSES)
    assert exchange.stage is Stage.CANCELLED
    assert isinstance(events[0], ExchangeCancelled)
    assert (events[0].cancelled_by, events[0].cancelled_at_stage) == (None, Stage.ONGOING)
    assert events[0].reason == "unconfirmed"
