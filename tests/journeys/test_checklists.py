"""What the demo says of checklists, and of what contact points were shown."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from pilot.checklists import Checklists, figures, mondays, shown_what_is_late
from pilot.population import PROGRAMME_DAYS, START

from tests.journeys.worlds import a_world, an_id

EXCHANGE = an_id("second")
"""Agreed on 5 November, completed on 31 December."""
BEFORE = datetime(2016, 11, 14, 8, tzinfo=UTC)
AFTER = datetime(2016, 11, 21, 8, tzinfo=UTC)


def seen(shown: dict[datetime, list[str]], done_at: datetime | None = None) -> Checklists:
    """An insurance that had to be done by 14 November."""
    lists = Checklists()
    done = done_at and done_at.isoformat()
    lists.seen({"exchange_id": EXCHANGE, "items": [{"item": "insurance", "deadline": "2016-11-14", "done_at": done}]})
    for at, items in shown.items():
        lists.late(at, [{"exchange_id": EXCHANGE, "item": item, "deadline": "2016-11-14"} for item in items])
    return lists


def breaches(lists: Checklists) -> tuple[str, ...]:
    return shown_what_is_late(lists, a_world()).breaches


def test_what_is_late_is_shown_until_it_is_done_or_the_stay_is_over():
    assert breaches(seen({BEFORE: [], AFTER: ["insurance"]})) == ()
    done = AFTER + timedelta(days=1)
    assert breaches(seen({AFTER: ["insurance"], AFTER + timedelta(weeks=1): []}, done)) == ()
    assert breaches(seen({datetime(2017, 1, 9, 8, tzinfo=UTC): []})) == ()


def test_what_is_late_and_not_shown_is_told():
    assert len(breaches(seen({AFTER: []}))) == 1


def test_what_is_shown_and_is_not_late_is_told():
    assert len(breaches(seen({BEFORE: ["insurance"]}))) == 1
    assert len(breaches(seen({AFTER: ["insurance"]}, done_at=AFTER - timedelta(days=1)))) == 1
    assert len(breaches(seen({datetime(2017, 1, 9, 8, tzinfo=UTC): ["insurance"]}))) == 1


def test_an_item_counts_as_done_in_time_on_the_day_of_its_deadline_and_late_from_the_next():
    def told(done_at: datetime | None) -> dict[str, Any]:
        return figures(seen({}, done_at), a_world())["items"]["insurance"]

    nothing = {"listed": 1, "in_time": 0, "late": 0, "never": 0, "called_off": 0}
    assert told(datetime(2016, 11, 14, 23, tzinfo=UTC)) == nothing | {"in_time": 1}
    assert told(datetime(2016, 11, 15, 1, tzinfo=UTC)) == nothing | {"late": 1}
    assert told(None) == nothing | {"never": 1}


def test_an_entry_counts_once_however_often_it_is_shown():
    later = AFTER + timedelta(weeks=2)
    risks = figures(seen({AFTER: ["insurance"], later: ["insurance"]}), a_world())["risks"]
    assert risks == {"asked": 2, "items": {"insurance": 1}, "exchanges": 1, "most_days_late": 21}


def test_contact_points_ask_every_monday_of_the_programme():
    asked = mondays()
    assert {at.weekday() for at in asked} == {0}
    assert START <= asked[0] < START + timedelta(days=7)
    end = START.date() + timedelta(days=PROGRAMME_DAYS)
    assert timedelta(0) <= end - asked[-1].date() < timedelta(days=8)
    assert asked[0].date() == date(2016, 11, 7)
