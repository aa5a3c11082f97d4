"""The report: complete, readable, equal for equal stories but for its wall-clock figures."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from pilot.invariants import Leftovers, Surveys, Verdict, World
from pilot.logs import Published
from pilot.population import START, population
from pilot.replay import Progress
from pilot.report import Evaluated, Report, report, show, wall_clock, write
from rich.console import Console
from sojourn_contracts.catalogue import BY_NAME, SERVICES

UNTIL = datetime(2017, 12, 31, tzinfo=UTC)
TOPIC = BY_NAME["MatchProposed"].name
WORLD = World(
    logs={service: [] for service in SERVICES},
    topics={TOPIC: [Published(TOPIC, 0, 0, None, None, {})] * 3},
    leftovers={service: Leftovers(0, 0, 0) for service in SERVICES},
    surveys=Surveys(0, 0, 0),
)
EVALUATED = Evaluated(
    evaluation={
        "funnel": {"registered": 12, "completed": 2},
        "indicators": [
            {
                "code": "SEND_MATCH",
                "count": 2,
                "valid": 2,
                "share": 1.0,
                "low": 0.342,
                "high": 1.0,
                "pilot": 0.91,
                "dont_know": 1,
                "not_applicable": 0,
            },
            {
                "code": "NEWPROD",
                "count": 0,
                "valid": 0,
                "share": None,
                "low": None,
                "high": None,
                "pilot": 0.75,
                "dont_know": 0,
                "not_applicable": 0,
            },
        ],
        "responses": [{"party": "host", "wave": 1, "invited": 2, "submitted": 1}],
    },
    exchanges=[{"stage": "completed"}, {"stage": "declined"}, {"stage": "completed"}],
)
BROKEN = Verdict("Every outbox is empty", tuple(f"survey has {count} events" for count in range(9)))


def a_report(*verdicts: Verdict, seconds: float = 2.0) -> Report:
    progress = Progress(ended_at=START, events=30, step_seconds=[0.01, 0.03], act_seconds=[0.002])
    progress.acts.update(register=12)
    figures = wall_clock(progress, {"replay": seconds})
    return report(population(12, 7), 7, UNTIL, progress, EVALUATED, WORLD, verdicts, figures)


def test_equal_stories_have_equal_reports_but_for_the_wall_clock():
    one, other = a_report(seconds=2.0), a_report(seconds=3.0)
    assert one.pop("wall_clock") != other.pop("wall_clock")
    assert one == other


def test_the_report_says_what_there_was():
    made = a_report(Verdict("No dead letter", ()), BROKEN)
    assert made["population"]["places"] >= made["population"]["offers"] > 0
    assert made["exchanges"] == {"completed": 2, "declined": 1}
    assert made["events"]["MatchProposed"] == 3
    assert made["events"]["SurveySubmitted"] == 0
    assert [each["holds"] for each in made["invariants"]] == [True, False]
    assert made["wall_clock"]["events_per_second"] == 15
    assert made["wall_clock"]["step_milliseconds_p50"] == 20


def test_the_file_holds_the_report(tmp_path: Path):
    made = a_report(BROKEN)
    write(made, tmp_path / "deep" / "report.json")
    assert json.loads((tmp_path / "deep" / "report.json").read_text()) == made
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.json"]


def test_the_terminal_shows_what_is_broken_and_indicators_without_answers():
    console = Console(file=StringIO(), width=120)
    show(a_report(Verdict("No dead letter [really]", ()), BROKEN), console)
    shown = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    for text in ("BROKEN", "survey has 4 events", "and 4 more", "34% to 100%", "91%", "[really]", "Simulated"):
        assert text in shown
    assert "survey has 5 events" not in shown
