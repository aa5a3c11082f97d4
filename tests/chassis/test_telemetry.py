"""Traces go on from what came in; where it is switched on, they are recorded and exported, and nothing personal with them."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time

import pytest
from chassis.settings import TraceSettings

from chassis import telemetry
from tests.collector import collecting
from tests.recorded import Recorded, attributes, links, parent, traceparent

INCOMING = f"00-{'ab' * 16}-{'cd' * 8}-01"


def test_a_span_continues_the_trace_that_came_in():
    with telemetry.span("handle", INCOMING) as inside:
        assert inside.startswith(f"00-{'ab' * 16}-")
        assert "cd" * 8 not in inside
        assert telemetry.current_traceparent() == inside
    assert telemetry.current_traceparent() is None


def test_a_span_descends_from_what_it_is_given_and_from_nothing_that_happens_to_be_open():
    with telemetry.span("outer") as outer, telemetry.span("inner", outer) as inner, telemetry.span("other") as other:
        assert outer.split("-")[1] == inner.split("-")[1]
        assert outer != inner
        assert other.split("-")[1] != outer.split("-")[1]
        assert telemetry.current_traceparent() == other


@pytest.mark.parametrize(
    "wrong", ["", "garbage", INCOMING + "x", f"00-{'0' * 32}-{'cd' * 8}-01", "ff" + INCOMING[2:], "é", INCOMING + "-x"]
)
def test_an_invalid_traceparent_starts_a_new_trace(wrong: str):
    with telemetry.span("outer") as outer, telemetry.span("handle", wrong) as inside:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", inside)
        assert inside.split("-")[1] not in (outer.split("-")[1], "ab" * 16)


def test_a_traceparent_of_a_later_version_may_say_more():
    with telemetry.span("handle", f"01{INCOMING[2:]}-more") as inside:
        assert inside.startswith(f"00-{'ab' * 16}-")


def test_a_trace_that_was_not_sampled_stays_so():
    with telemetry.span("handle", INCOMING[:-2] + "00") as inside:
        assert inside.endswith("-00")


async def test_a_recorded_span_has_the_ids_that_its_work_goes_on_with(recorded: Recorded):
    with telemetry.span("handle", INCOMING, attributes={"size": 2}, links=[INCOMING, None, "garbage"]) as inside:
        assert telemetry.current_traceparent() == inside
    assert telemetry.current_traceparent() is None
    span = recorded.one("handle")
    assert (traceparent(span), parent(span), attributes(span)) == (inside, INCOMING, {"size": 2})
    assert links(span) == [INCOMING]
    assert span.resource.attributes["service.name"] == "service"


async def test_a_trace_that_was_not_sampled_is_not_exported_and_goes_on_unsampled(recorded: Recorded):
    with telemetry.span("handle", INCOMING[:-2] + "00") as inside:
        assert inside.startswith(f"00-{'ab' * 16}-")
        assert inside.endswith("-00")
    assert recorded.spans == ()


async def test_a_span_that_fails_tells_by_what_and_where_and_nothing_that_a_message_quotes(recorded: Recorded):
    with pytest.raises(ValueError, match="ana@example"), telemetry.span("handle"):
        raise ValueError("ana@example.org")
    span = recorded.one("handle")
    assert (span.status.is_ok, attributes(span)["error.type"]) == (False, "ValueError")
    (event,) = span.events
    assert f"in {test_a_span_that_fails_tells_by_what_and_where_and_nothing_that_a_message_quotes.__name__}" in str(
        (event.attributes or {})["exception.stacktrace"]
    )
    quoted = span.to_json().replace('raise ValueError(\\"ana@example.org\\")', "")  # the line of the code itself
    assert "ana@example.org" not in quoted


def python(code: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return ran.stdout


def test_as_long_as_traces_are_off_neither_the_sdk_nor_an_exporter_is_imported():
    said = python(
        "import sys, chassis.service, chassis.commands\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'requests'))])"
    )
    assert said == "[]\n"


@pytest.mark.parametrize(
    "off", [{}, {"otel_traces_exporter": "none"}, {"otel_traces_exporter": "otlp", "otel_sdk_disabled": "TRUE"}]
)
def test_traces_are_off_unless_they_are_asked_for(off: dict[str, str]):
    telemetry.switch_on("survey", TraceSettings.model_validate(off))
    assert not telemetry.recording()


def test_the_console_gets_a_line_of_json_for_each_span():
    code = (
        "import asyncio\n"
        "from chassis import log, telemetry\n"
        "log.configure('survey')\n"
        "from chassis.settings import TraceSettings, load\n"
        "telemetry.switch_on('survey', load(TraceSettings))\n"
        "with telemetry.span('one'), telemetry.span('two'): pass\n"
        "asyncio.run(telemetry.switch_off(5))\n"
    )
    for environment, service in (({}, "survey"), ({"OTEL_SERVICE_NAME": "survey-blue"}, "survey-blue")):
        told = [json.loads(line) for line in python(code, OTEL_TRACES_EXPORTER="console", **environment).splitlines()]
        assert [line["name"] for line in told] == ["two", "one"]
        assert {line["resource"]["attributes"]["service.name"] for line in told} == {service}


async def test_what_is_left_is_exported_at_the_stop_with_the_headers_that_were_set(monkeypatch: pytest.MonkeyPatch):
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k%201")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        telemetry.switch_on("survey", TraceSettings(otel_traces_exporter="otlp"))
        with telemetry.span("one", INCOMING) as one:
            pass
        assert collector.spans == []
        await telemetry.switch_off(20)
        (span,) = collector.spans
    assert (span.service, span.name, f"00-{span.trace_id}-{span.span_id}-01") == ("survey", "one", one)
    assert collector.headers[0]["api-key"] == "k 1"
    assert collector.resources[0]["deployment.environment.name"] == "test"
    assert not telemetry.recording()


async def test_a_collector_that_is_silent_holds_up_no_stop(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        telemetry.switch_on("survey", TraceSettings(otel_traces_exporter="otlp"))
        with telemetry.span("one"):
            pass
        began, meanwhile = time.monotonic(), asyncio.create_task(asyncio.sleep(0.2))
        await telemetry.switch_off(0.5)
        assert 0.4 < time.monotonic() - began < 1.9
        assert meanwhile.done(), "the event loop goes on"
