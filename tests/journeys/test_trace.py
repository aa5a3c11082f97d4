"""One trace from a registration to the storing of its survey answer, over OTLP to a collector, as the guide shows it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid5

import pytest
from laptop.system import System
from pilot.choices import Choices, Tick
from pilot.demo import SETTINGS, played
from pilot.population import NAMESPACE, START
from sojourn_contracts.catalogue import SERVICES

from tests.collector import Collector, Span, collecting, tree
from tests.journeys.pair import EVERYBODY_DOES, HOST, SENDER

GUIDE = Path(__file__).parents[2] / "docs" / "tracing.md"

THE_HOST = replace(HOST, key=str(uuid5(NAMESPACE, "journey/5")))
"""Of the searches of a day, by the companies' ids, the sender's comes before this one's, and finds the match."""
SEED = 2
"""By this one, the sender's signature is not the last."""
UNTIL = datetime(2017, 6, 30, tzinfo=UTC)
"""The answers of the first wave are released by then."""
STRAIGHT = replace(
    EVERYBODY_DOES, redraft=0.0, sign_a_stale_version=0.0, answer_twice=0.0, tick={Tick.NEVER: 1}, still_interested=0.0
)
NOBODY_VALIDATES = {"VALIDATING_COUNTRIES": ""}


class SenderConfirmsLast(Choices):
    """So that the completion is in the sender's trace."""

    def after(self, days: tuple[float, float, float], act: str, *subjects: object) -> timedelta:
        if act == "complete":
            return timedelta(days=days[2] if subjects[-1] == "sender" else days[0])
        return super().after(days, act, *subjects)


Way = tuple[str, ...]


@pytest.fixture(scope="module")
async def collector(backing_folder: Path) -> Collector:
    """What came in of a whole journey, once every service has stopped."""
    with collecting() as collector:
        tracing = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        environment = SETTINGS | tracing | NOBODY_VALIDATES
        async with System(
            backing_folder / "trace", stopped_at=START, environment=environment, services=SERVICES
        ) as system:
            await played(system, [SENDER, THE_HOST], SenderConfirmsLast(SEED, STRAIGHT), UNTIL)
    return collector


@pytest.fixture
def trace(collector: Collector) -> list[Span]:
    (proposed,) = collector.named("emit MatchProposed")
    return collector.trace(proposed.trace_id)


def paths(trace: Sequence[Span]) -> dict[Way, Span]:
    """Each span by the names of its ancestors and its own, each with its service."""
    found: dict[Way, Span] = {}
    above: list[str] = []
    for depth, span in tree(trace):
        above[depth:] = [f"{span.name} | {span.service}"]
        found.setdefault(tuple(above), span)
    return found


def in_this_order(path: Way, *names: str) -> bool:
    """Whether a path leads through these spans, whatever lies between, and ends with the last."""
    way: Iterator[str] = iter(path)
    return path[-1] == names[-1] and all(name in way for name in names)


async def test_one_trace_leads_from_a_registration_to_the_storing_of_its_survey_answer(trace: list[Span]):
    assert [span.name for span in trace if not span.parent_id] == ["POST /companies"]
    ways = (
        (
            "POST /companies | registration",
            "POST /companies/{company_id}/submission | registration",
            "emit CompanyRegistered | registration",
            "emit MatchProposed | matching",
            "process MatchProposed | exchange",
        ),
        (
            "POST /companies | registration",
            "POST /companies/{company_id}/submission | registration",
            "POST /exchanges/{exchange_id}/acceptance | exchange",
            "PUT /exchanges/{exchange_id}/agreement | exchange",
            "POST /exchanges/{exchange_id}/signatures | exchange",
            "POST /exchanges/{exchange_id}/completion | exchange",
            "emit ExchangeCompleted | exchange",
            "process ExchangeCompleted | survey",
        ),
        (
            "POST /exchanges/{exchange_id}/completion | exchange",
            "POST /invitations/{invitation_id}/submission | survey",
        ),
    )
    for way in ways:
        assert any(in_this_order(path, *way) for path in paths(trace)), way
    stored = [span for path, span in paths(trace).items() if in_this_order(path, *ways[2])]
    assert stored[0].attributes["http.response.status_code"] == 201


async def test_every_span_was_exported_and_none_has_failed(collector: Collector):
    """Also the last one, just before the services were stopped."""
    assert collector.named("GET /evaluation")
    known = {span.span_id for span in collector.spans}
    assert [span for span in collector.spans if span.parent_id and span.parent_id not in known] == []
    assert [span for span in collector.spans if span.failed] == []
    assert {span.service for span in collector.spans} == {"registration", "matching", "exchange", "survey"}


async def test_each_event_was_published_and_its_publishing_leads_to_its_emitting(collector: Collector):
    emitted = {(span.trace_id, span.span_id) for span in collector.spans if span.name.startswith("emit ")}
    linked = [link for span in collector.spans if span.name.startswith("publish ") for link in span.links]
    assert sorted(linked) == sorted(emitted)


async def test_the_release_of_the_answers_is_in_no_trace_of_theirs(collector: Collector):
    released = [*collector.named("due release"), *collector.named("publish SurveySubmitted")]
    assert {span.name for span in released} == {"due release", "publish SurveySubmitted"}
    for span in released:
        assert (span.parent_id, span.links) == ("", ())
        assert collector.trace(span.trace_id) == [span]
    assert not [span for span in collector.spans if "SurveySubmitted" in span.name and span not in released]


async def test_the_guide_shows_what_happens(trace: list[Span]):
    (_, _, after) = GUIDE.read_text().partition("<!-- captured -->\n```\n")
    shown, above = 0, list[str]()
    happened = paths(trace)
    for line in after.partition("```")[0].splitlines():
        name, _, service = line.strip().rpartition("  ")
        if not name:  # something is left out
            continue
        above[(len(line) - len(line.lstrip())) // 2 :] = [f"{name.strip()} | {service}"]
        assert tuple(above) in happened, line
        shown += 1
    assert shown > 20
