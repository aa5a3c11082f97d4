"""What one sees while a replay runs, on a terminal and without one."""

from datetime import timedelta
from io import StringIO

import pytest
from pilot.population import START
from pilot.replay import Progress
from pilot.show import DUE, Showing, doing, funnel, months
from rich.console import Console

END = START + timedelta(days=242)


def progress(days: int, **acts: int) -> Progress:
    made = Progress(now=START + timedelta(days=days), events=100 * days, steps=days)
    made.acts.update(acts)
    made.seen = {("a", "proposed"), ("a", "accepted"), ("a", "agreed"), ("b", "proposed"), ("b", "declined")}
    return made


def shown(terminal: bool) -> str:
    console = Console(file=StringIO(), width=140, force_terminal=terminal)
    with Showing(console, END) as showing:
        showing.say("starting the services")
        showing.say("replaying the companies")
        showing.tell(progress(1))
        showing.tell(progress(2, register=3))
        showing.tell(progress(40, register=3, sign=1))
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_without_a_terminal_there_is_a_line_a_month():
    lines = shown(terminal=False).splitlines()
    assert lines[:2] == ["starting the services ...", "replaying the companies ..."]
    assert [line[:11] for line in lines[2:]] == ["2016-11-02:", "2016-12-11:"]
    assert "3 registered > 2 proposed > 1 accepted > 1 agreed > 0 ongoing" in lines[-1]
    assert "4,000 events" in lines[-1]
    assert not any("\x1b" in line for line in lines)


def test_on_a_terminal_there_are_date_bar_months_funnel_pace_and_what_is_done(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pilot.show.EVERY", 0.0)
    text = shown(terminal=True)
    for part in (
        "Sun 11 Dec 2016",
        "day 40 of 242",
        "━",
        "Nov  Dec",
        "1 accepted",
        "/s,",
        "signing agreements",
        "replaying the companies: ",
    ):
        assert part in text


def test_what_is_done_is_what_acts_have_come_since():
    assert doing({"register": 1}, {"register": 2}) == "registering companies"
    assert doing({"accept": 1}, {"accept": 2, "decline": 1}) == "taking in replies to proposals"
    assert doing({"accept": 1}, {"accept": 1}) == DUE


def test_the_funnel_counts_exchanges_by_how_far_they_came_at_least():
    assert funnel(progress(1, register=3, answer=2)) == {
        "registered": 3,
        "proposed": 2,
        "accepted": 1,
        "agreed": 1,
        "ongoing": 0,
        "completed": 0,
        "answers": 2,
    }


def test_months_stand_where_they_begin():
    assert months(END).split() == ["Nov", "Dec", "Jan", "Feb", "Mar", "Apr", "May", "Jun"]
    assert months(START + timedelta(days=1)).split() == ["Nov"]
