"""What the demo says of companies that were asked whether they are still interested."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pilot.interest import ANSWERED_WITHIN, Interest, figures, silence_closes

from tests.journeys.worlds import START, STORY, World, a_decision, a_world, an_id

ASKED = datetime(2017, 11, 3, 8, tzinfo=UTC)
DUE = ASKED + ANSWERED_WITHIN
SENDER, HOST = an_id("sender"), an_id("host")
SEEN = Interest(asked={SENDER: ASKED, HOST: ASKED}, confirmed={SENDER})
CLOSED = a_decision("host", "close_stays", "programme") | {"at": DUE.isoformat()}


def a_year_later(*closed: dict[str, Any], **told: Any) -> World:
    updated = {"placements": [], "offers": []} | told
    world = a_world([*STORY, ("registration", "CompanyUpdated", "host", (DUE - START).days, updated)])
    return replace(world, decisions=[*world.decisions, *closed])


def breaches(seen: Interest, world: World, ended_at: datetime = DUE) -> tuple[str, ...]:
    return silence_closes(seen, world, ended_at).breaches


def test_silence_closes_and_an_answer_does_not():
    assert breaches(SEEN, a_year_later(CLOSED)) == ()
    assert figures(SEEN, a_year_later(CLOSED)) == {"asked": 2, "still interested": 1, "stays closed": 1}


def test_silence_that_closed_nothing_is_told_once_its_time_is_over():
    assert len(breaches(SEEN, a_year_later())) == 1
    assert breaches(SEEN, a_year_later(), DUE - timedelta(hours=1)) == ()
    assert breaches(replace(SEEN, left={HOST}), a_year_later()) == ()


def test_who_answered_and_was_closed_all_the_same_is_told():
    assert len(breaches(replace(SEEN, confirmed={SENDER, HOST}), a_year_later(CLOSED))) == 1


def test_who_was_closed_and_never_asked_is_told():
    assert len(breaches(replace(SEEN, asked={SENDER: ASKED}), a_year_later(CLOSED))) == 1


def test_stays_that_others_still_take_for_open_are_told():
    assert len(breaches(SEEN, a_year_later(CLOSED, offers=[{"offer_id": "offer", "capacity": 1}]))) == 1
