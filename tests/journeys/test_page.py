"""The report's page: every section, nothing fetched, nothing unescaped, and what is broken in red."""

import re

import pytest
from pilot.invariants import Verdict
from pilot.page import page
from pilot.report import Report

from pilot import names
from tests.journeys.worlds import a_report, a_world

HOLDS = Verdict("No dead letter", ())
BROKEN = Verdict("Every outbox is empty", tuple(f"survey has <b>{count}</b> events" for count in range(25)))


@pytest.fixture(scope="module")
def made() -> Report:
    return a_report(HOLDS, BROKEN)


@pytest.fixture(scope="module")
def document(made: Report) -> str:
    return page(made)


def test_it_fetches_nothing(document: str):
    assert "://" not in document
    assert "@import" not in document
    assert "<script" not in document
    for reference in re.findall(r"""(?:src|href|action)=["']?([^"'> ]*)""", document):
        assert reference.startswith(("#", "data:,")), reference
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", document))


def test_it_has_every_section_with_a_chart_and_the_numbers_behind_it(document: str):
    titles = re.findall("<h3>(.*?)</h3>", document)
    assert titles == [
        "From registered to surveyed",
        "Indicators: simulated answers beside the pilot&#39;s",
        "Decisions about companies",
        "Still interested after a year",
        "Sectors",
        "Countries",
        "Exchanges completed",
        "Exchanges agreed",
        "How long they lasted",
        "Who was trained",
        "Checklists",
        "Late, as contact points were shown",
        "Events on their topics",
        "Notices by e-mail",
        "How long people waited for the system",
    ]
    figures = document.split("<figure>")[1:]
    for title, figure in zip(titles, figures, strict=True):
        assert f'role="img" aria-label="{title}. ' in figure
        assert figure.count("<svg") == figure.count("</svg>") == 1
        assert "<table>" in figure


def test_it_says_first_that_the_people_are_simulated(document: str):
    text = document[: document.index("<main>")]
    assert "Simulated people, real system." in text
    assert "pilot/choices.py" in text


@pytest.mark.parametrize(
    "text", ["MatchProposed", "Programming (1)", "MobiliseSME, 2017", "Germany (1)", "signed by all"]
)
def test_charts_say_what_they_show(document: str, text: str):
    assert any(text in figure for figure in document.split("<figure>"))


def test_the_pilots_figures_stand_beside_the_indicators(document: str):
    figure = next(part for part in document.split("<figure>") if "Indicators: simulated" in part)
    for told in ("<td>100%</td>", "<td>21% to 100%</td>", "<td>91%</td>", "<td>75%</td>", "<td>- to -</td>"):
        assert told in figure


def test_notices_are_counted_by_template(document: str):
    figure = next(part for part in document.split("<figure>") if "Notices by e-mail" in part)
    row = re.sub(r"\s", "", figure)
    assert "<td>survey_open</td><td>1</td><td>1</td><td>0</td>" in re.sub(r"<t([dh])[^>]*>", r"<t\1>", row).replace(
        "th>", "td>"
    )


def test_what_is_broken_is_red_and_told_at_the_top(document: str):
    assert '<a href="#invariants">' in document[: document.index("<main>")]
    row = re.findall(r'<tr class="breach">.*?</tr>', document, re.DOTALL)
    assert len(row) == 1
    assert "Every outbox is empty" in row[0]
    assert '<td class="broken">' in row[0]
    assert "and 5 more" in row[0]
    assert re.search(r"tr\.breach td \{ color: var\(--bad\)", document)
    assert re.search(r"--bad: #b3001b", document)


def test_without_breaches_nothing_is_red():
    document = page(a_report(HOLDS))
    assert 'role="alert"' not in document
    assert 'class="breach"' not in document
    assert '<td class="holds">' in document


def test_text_is_escaped(made: Report, document: str):
    assert "survey has &lt;b&gt;3&lt;/b&gt; events" in document
    names_of_nothing = [{"sector": "<i>", "companies": 1, "sent": 1, "hosted": 1}]
    changed = page(made | {"sectors": names_of_nothing})
    assert "<i>" not in changed
    assert "&lt;i&gt;" in changed


def test_a_story_in_which_nothing_happened_has_a_page():
    document = page(a_report(HOLDS, world=a_world([])))
    assert document.count("<svg") == 15
    assert "No stay was completed." in document


def test_every_stage_of_the_funnel_is_a_bar(document: str):
    figure = next(part for part in document.split("<figure>") if "From registered to surveyed" in part)
    for name in (*names.FUNNEL.values(), *names.STAGES.values()):
        assert f">{name}</text>" in figure
