"""The report: complete, readable, equal for equal stories but for its wall-clock figures."""

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from pilot.invariants import Verdict, World
from pilot.marginals import COUNTRIES, SECTORS
from pilot.outcome import BANDS
from pilot.printed import WIDTH, show
from pilot.report import broken, write
from pilot.wall_clock import spread
from rich.console import Console

from pilot import names, outcome
from tests.journeys.worlds import AGREED, ITEM, STORY, Story, a_report, a_world

TO_HOST = ITEM | {"learner": "host_staff"}
BROKEN = Verdict("Every outbox is empty", tuple(f"survey has {count} events" for count in range(9)))


def printed(*verdicts: Verdict) -> str:
    console = Console(file=StringIO(), width=WIDTH)
    show(a_report(*verdicts), console)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def later(world: World, seconds: float) -> World:
    """The same story on a slower machine."""
    logs = {
        service: [replace(event, written_at=event.written_at + timedelta(seconds=seconds)) for event in log]
        for service, log in world.logs.items()
    }
    return replace(world, logs=logs)


def test_equal_stories_have_equal_reports_but_for_the_wall_clock():
    one, other = a_report(), a_report(world=later(a_world(), 0.05), seconds=3.0)
    assert one.pop("wall_clock") != other.pop("wall_clock")
    assert one == other


def test_the_report_says_what_there_was():
    made = a_report(Verdict("No dead letter", ()), BROKEN)
    assert made["population"]["places"] >= made["population"]["offers"] > 0
    assert made["exchanges"] == {"completed": 1, "declined": 1}
    assert made["events"]["MatchProposed"] == 2
    assert made["events"]["CompanyUpdated"] == 0
    assert made["surveys"] == {"submitted": 2, "released": 1, "withheld": 1, "answered": 2}
    assert [each["holds"] for each in made["invariants"]] == [True, False]
    assert broken(made) == ["Every outbox is empty"]


def test_the_funnel_counts_companies_and_exchanges_by_how_far_they_came():
    funnel = a_report()["funnel"]
    assert funnel["companies"] == {"registered": 2, "proposed": 2, "agreed": 2, "completed": 2, "left": 0}
    assert list(funnel["exchanges"]) == list(names.STAGES)
    assert list(funnel["exchanges"].values()) == [2, 1, 1, 1, 1, 1, 1]
    assert funnel["ended"]["declined"] == 1


def test_two_answers_about_one_exchange_survey_it_once():
    again = (*STORY[-1][:2], "other record", 70, STORY[-1][4])
    assert a_report(world=a_world([*STORY, again]))["funnel"]["exchanges"]["surveyed"] == 1
    elsewhere = (*again[:4], STORY[-1][4] | {"exchange_cluster": "d"})
    assert a_report(world=a_world([*STORY, elsewhere]))["funnel"]["exchanges"]["surveyed"] == 2


def test_sectors_and_countries_tell_who_came_who_sent_and_who_hosted():
    made = a_report()
    assert made["sectors"] == [
        {"sector": "25", "companies": 1, "sent": 0, "hosted": 1},
        {"sector": "62", "companies": 1, "sent": 1, "hosted": 0},
    ]
    assert made["countries"] == [
        {"country": "DE", "companies": 1, "sent": 0, "hosted": 1},
        {"country": "ES", "companies": 1, "sent": 1, "hosted": 0},
    ]


def test_the_matrix_tells_agreed_from_completed():
    agreed_only: Story = [*STORY, ("exchange", "ExchangeAgreed", "third", 5, AGREED | {"host_country": "FR"})]
    assert outcome.matrix(a_world(agreed_only)) == [
        {"sender": "ES", "host": "DE", "agreed": 1, "completed": 1},
        {"sender": "ES", "host": "FR", "agreed": 1, "completed": 0},
    ]


@pytest.mark.parametrize(("days", "band"), [(14, 0), (22, 0), (23, 1), (37, 1), (38, 2), (52, 2), (53, 3), (62, 3)])
def test_a_stay_counts_for_the_nearest_of_the_pilots_durations(days: int, band: int):
    story = [(*told, said | {"days": days} if "days" in said else said) for *told, said in STORY]
    lasted = outcome.durations(a_world(story))
    assert lasted["days"] == {str(days): 1}
    assert [band for band, count in lasted["bands"].items() if count] == [list(BANDS.values())[band]]


def test_training_is_counted_by_its_direction():
    to_host = ("exchange", "ExchangeAgreed", "third", 5, AGREED | {"training": {"direction": "host_staff"}})
    assert outcome.training(a_world([*STORY, to_host])) == {
        "agreed": {"traveller": 1, "host_staff": 1},
        "completed": {"traveller": 1, "host_staff": 0},
        "hours": 30,
    }


def test_latencies_leave_out_what_waits_for_the_clock():
    """Both registrations were heard after 0.1 s; their first proposal was written 0.5 s after the step to its day."""
    clock = a_report()["wall_clock"]
    assert clock["milliseconds"]["registration_to_proposal"] == {
        "count": 2,
        "p50": 600,
        "p90": 600,
        "p99": 600,
        "max": 600,
    }
    assert clock["milliseconds"]["completion_to_invitation"]["count"] == 1
    assert clock["milliseconds"]["completion_to_invitation"]["p50"] == 100
    assert clock["measured"].keys() == names.LATENCIES.keys()
    assert clock["events_per_second"] == 15
    assert clock["milliseconds"]["step_of_the_clock"]["p50"] == 20


def test_a_spread_of_nothing_has_no_figures():
    assert spread([]) == {"count": 0, "p50": None, "p90": None, "p99": None, "max": None}


def test_the_file_holds_the_report(tmp_path: Path):
    made = a_report(BROKEN)
    write(made, tmp_path / "deep" / "report.json")
    assert json.loads((tmp_path / "deep" / "report.json").read_text()) == made
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.json"]


def test_the_terminal_shows_what_is_broken_and_indicators_without_answers():
    shown = printed(Verdict("No dead letter [really]", ()), BROKEN)
    for text in ("BROKEN", "survey has 4 events", "and 4 more", "21% to 100%", "91%", "[really]", "simulated"):
        assert text in shown
    assert "survey has 5 events" not in shown


def test_the_terminal_shows_every_part_within_a_hundred_columns():
    """Also with all countries of the programme."""
    abroad: Story = [
        ("exchange", "ExchangeAgreed", country, 5, AGREED | {"host_country": country}) for country in COUNTRIES
    ]
    console = Console(file=StringIO(), width=WIDTH)
    show(a_report(BROKEN, world=a_world([*STORY, *abroad])), console)
    shown = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    for text in ("registered", "62 Programming", "DE Germany", "about 1 month", "host's staff", "MatchProposed", "p99"):
        assert text in shown
    assert WIDTH == 100
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert "…" not in shown
    assert any(line.split() == sorted(COUNTRIES) for line in shown.splitlines())


def test_every_country_and_sector_that_can_take_part_has_a_name():
    assert names.COUNTRIES.keys() == COUNTRIES.keys()
    assert names.SECTORS.keys() == {nace[:2] for nace in SECTORS}


def test_a_story_in_which_nothing_happened_has_a_report():
    nothing = a_report(world=a_world([]))
    assert nothing["durations"]["median"] is None
    assert nothing["matrix"] == []


def test_stays_are_told_with_what_was_special_about_them():
    parts = [{"first": "2016-12-01", "last": "2016-12-10"}, {"first": "2016-12-20", "last": "2016-12-30"}]
    extended = ("exchange", "ExchangeAgreed", "second", 9, AGREED | {"parts": parts, "training_items": [ITEM, TO_HOST]})
    paused = ("exchange", "ExchangeUpdated", "second", 8, {"stage": "interrupted"})
    waited = ("exchange", "ExchangeUpdated", "second", 3, {"stage": "in_validation"})
    cancelled = ("exchange", "ExchangeCancelled", "third", 20, {"reason": "too_short"})
    assert outcome.stays(a_world([*STORY, waited, paused, extended, cancelled])) == {
        "agreed": 1,
        "in parts": 1,
        "both learn": 1,
        "seen by contact points": 1,
        "extended": 1,
        "interrupted": 1,
        "cancelled: too_short": 1,
    }


def test_an_agreement_that_another_one_follows_counts_once():
    again = (*STORY[5][:2], "second", 9, AGREED)
    assert outcome.training(a_world([*STORY, again])) == outcome.training(a_world())
    assert outcome.matrix(a_world([*STORY, again])) == outcome.matrix(a_world())
