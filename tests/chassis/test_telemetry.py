"""Traces go on from what came in."""

import re

import pytest

from chassis import telemetry

INCOMING = f"00-{'ab' * 16}-{'cd' * 8}-01"


def test_a_span_continues_the_trace_that_came_in():
    with telemetry.span("handle", INCOMING) as inside:
        assert inside.startswith(f"00-{'ab' * 16}-")
        assert "cd" * 8 not in inside
        assert telemetry.current_traceparent() == inside
    assert telemetry.current_traceparent() is None


def test_a_span_inside_another_descends_from_it():
    with telemetry.span("outer") as outer, telemetry.span("inner") as inner:
        assert outer.split("-")[1] == inner.split("-")[1]
        assert outer != inner
    with telemetry.span("other") as other:
        assert other.split("-")[1] != outer.split("-")[1]


@pytest.mark.parametrize(
    "wrong", ["", "garbage", INCOMING + "x", f"00-{'0' * 32}-{'cd' * 8}-01", "ff" + INCOMING[2:], "é"]
)
def test_an_invalid_traceparent_starts_a_new_trace(wrong: str):
    with telemetry.span("outer") as outer, telemetry.span("handle", wrong) as inside:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", inside)
        assert inside.split("-")[1] != outer.split("-")[1]


def test_a_trace_that_was_not_sampled_stays_so():
    with telemetry.span("handle", INCOMING[:-2] + "00") as inside:
        assert inside.endswith("-00")
