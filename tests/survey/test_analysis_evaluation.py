"""A figure can be made again from its snapshot: by whoever has the files, byte for byte, until something is erased."""

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chassis.transaction import UNLINKED
from pyiceberg.table import Table
from sojourn_contracts.survey import SurveySubmitted
from survey.analysis import commands, publishing
from survey.analysis.chosen import Failed
from survey.analysis.evaluation import of_snapshot
from survey.analysis.settings import EvaluationSettings
from survey.command import command
from survey.evaluation import store
from survey.evaluation.steps import StepTooSmall
from survey.evaluation.store import Publication
from survey.questionnaires.published import newest, published
from survey.sink.snapshots import compact, expire, expire_all
from survey.sink.table import NAME, catalog, made
from typer.testing import CliRunner

from tests.chassis_driver import Driver
from tests.survey.asked import arrow, submission
from tests.survey.story import COMPLETED, HOST_REGISTERED, SENDER_REGISTERED

ASKED = newest()


def some(numbers: range, version: str = ASKED.version, seed: int = 0) -> list[dict[str, Any]]:
    """Submissions with answers to everything that is asked, drawn at random."""
    drawn = []
    for number in numbers:
        source = random.Random(seed + number)
        party, wave = source.choice(["sender", "host", "traveller"]), source.choice([1, 1, 2])
        answers = {
            question.code: source.choice([*question.codes])
            for question in ASKED.asked(party, wave)  # type: ignore[arg-type]
            if question.codes
        }
        drawn.append(
            submission(
                number,
                party,
                answers,
                questionnaire=version,
                wave=wave,
                country=source.choice(["DE", "FR", "IT"]),
                company_cluster=f"{source.randrange(numbers.stop // 3 + 1):064x}",
            )
        )
    return drawn


@pytest.fixture
def settings(survey: Driver, tmp_path: Path) -> EvaluationSettings:
    url = survey.process.settings.database_url.get_secret_value()
    return EvaluationSettings.model_validate({"catalog_url": url, "warehouse": str(tmp_path / "warehouse")})


@pytest.fixture
def table(settings: EvaluationSettings) -> Iterator[Table]:
    found = catalog(settings)
    yield made(found)
    found.drop_table(NAME)


def append(table: Table, submissions: list[dict[str, Any]]) -> int:
    table.append(arrow(*submissions))
    return current(table)


def current(table: Table) -> int:
    snapshot = table.refresh().current_snapshot()
    assert snapshot is not None
    return snapshot.snapshot_id


async def evaluated(settings: EvaluationSettings, snapshot: int | None = None, **known: Any) -> tuple[bytes, str]:
    figures, notes = await asyncio.to_thread(commands.evaluate, settings, {**published(), **known}, None, snapshot)
    return figures, "\n".join(notes)


async def publish(survey: Driver, table: Table, snapshot_id: int, threshold: int = 5) -> Publication:
    counted = of_snapshot(table, snapshot_id, ASKED)
    async with survey.process.open_transaction(UNLINKED) as tx:
        return await publishing.publish(tx, table, snapshot_id, counted.counts, ASKED, threshold)


async def test_a_snapshot_gives_the_same_bytes_whatever_came_after_it(settings, table):
    snapshot = append(table, some(range(200)))
    first, notes = await evaluated(settings, snapshot)
    append(table, some(range(200, 300)))
    assert await evaluated(settings, snapshot) == (first, notes)
    assert (await evaluated(settings))[0] != first
    assert json.loads(first)["submissions"] == 200
    assert str(snapshot) in notes


async def test_files_that_are_put_together_give_the_same_bytes(settings, table):
    for start in range(0, 15 * 20, 20):
        append(table, [each | {"released_on": COMPLETED.last_day} for each in some(range(start, start + 20))])
    scattered, _ = await evaluated(settings)
    assert compact(table) == 15
    together, _ = await evaluated(settings)
    assert together == scattered


async def test_every_publication_is_made_again_byte_for_byte_after_the_programme_has_gone_on(survey, settings, table):
    await survey.handle(SENDER_REGISTERED, COMPLETED)
    first = await publish(survey, table, append(table, some(range(60))))
    await survey.handle(HOST_REGISTERED)
    second = await publish(survey, table, append(table, some(range(60, 140))))
    append(table, some(range(140, 400)))
    append(table, some(range(400, 401)))
    assert expire(table.refresh(), 1) == 1
    assert first.figures != second.figures
    assert json.loads(first.figures)["programme"]["funnel"] != json.loads(second.figures)["programme"]["funnel"]
    for publication in (first, second):
        figures, notes = await evaluated(settings, int(publication.snapshot_id))
        assert figures == publication.figures
        assert notes.endswith("as it was published")


async def test_figures_of_other_code_are_said_to_be(survey, settings, table):
    publication = await publish(survey, table, append(table, some(range(60))))
    told = "update publication set code_version = $1, figures = replace(figures, '60', '61')"
    async with survey.process.pool.acquire() as connection:
        await connection.execute(told, "0.0.1+before")
    figures, notes = await evaluated(settings, int(publication.snapshot_id))
    assert figures == publication.figures
    assert "comes out otherwise than it was published, by code 0.0.1+before" in notes
    async with survey.process.pool.acquire() as connection:
        await connection.execute("update publication set code_version = $1", publication.code_version)
    with pytest.raises(Failed, match="by the same code"):
        await evaluated(settings, int(publication.snapshot_id))


async def test_after_an_erasure_a_publication_says_that_it_cannot_be_made_again(survey, settings, table):
    publication = await publish(survey, table, append(table, some(range(60))))
    append(table, some(range(60, 70)))
    expire_all(table.refresh())
    with pytest.raises(Failed, match=r"publication 1 of .*cannot be made again"):
        await evaluated(settings, int(publication.snapshot_id))
    [line] = await asyncio.to_thread(commands.publications, settings, published(), None)
    assert json.loads(line)["can_be_made_again"] is False


async def test_too_few_since_the_last_time_are_neither_published_nor_tagged(survey, table):
    await publish(survey, table, append(table, some(range(60))))
    snapshot = append(table, some(range(60, 64)))
    with pytest.raises(StepTooSmall):
        await publish(survey, table, snapshot)
    assert len(table.refresh().refs()) == 2  # the branch, and one tag


async def test_submissions_of_an_unknown_version_are_told_of_and_evaluated_once_it_is_there(settings, table):
    append(table, some(range(30)))
    append(table, some(range(30, 47), version="2031.1"))
    figures, notes = await evaluated(settings)
    assert json.loads(figures)["submissions"] == 30
    assert "17 submissions answer 2031.1, which is not known here: they are kept until it is" in notes
    later = replace(ASKED, version="2031.1")
    figures, notes = await evaluated(settings, **{"2031.1": later})
    assert (json.loads(figures)["questionnaire"], json.loads(figures)["submissions"]) == ("2031.1", 17)
    assert "30 submissions answer 2026.1: ask for them with --questionnaire 2026.1" in notes


async def test_the_live_counts_and_those_of_the_files_are_the_same(survey, table):
    submissions = some(range(150))
    events = [
        SurveySubmitted.model_validate(
            {name: each[name] for name in SurveySubmitted.model_fields} | {"answers": dict(each["answers"])}
        )
        for each in submissions
    ]
    async with survey.process.open_transaction(UNLINKED) as tx:
        for start in range(0, 150, 7):
            await store.add_submissions(tx, events[start : start + 7], published())
        await store.summed(tx)
        live = await store.counts(tx, ASKED.version)
    counted = of_snapshot(table, append(table, submissions), ASKED)
    assert replace(live, programme=None) == counted.counts


async def test_a_snapshot_that_is_none_is_said_to_be(settings, table):
    append(table, some(range(3)))
    with pytest.raises(Failed, match="there is no snapshot 7"):
        await evaluated(settings, 7)


async def test_before_anything_was_written_there_is_nothing_to_evaluate(settings):
    with pytest.raises(Failed, match="has not written anything"):
        await evaluated(settings)


async def test_the_commands_publish_evaluate_and_export(survey, settings, table, tmp_path):
    snapshot = append(table, some(range(40)))
    role, _, address = settings.catalog_url.get_secret_value().rpartition("@")
    (tmp_path / "password").write_text(role.rpartition(":")[2] + "\n")
    environment = {
        "CATALOG_URL": f"{role.rpartition(':')[0]}@{address}",
        "CATALOG_PASSWORD_FILE": str(tmp_path / "password"),
        "WAREHOUSE": settings.warehouse,
        "LOG_FORMAT": "json",
    }

    async def run(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner(env=environment).invoke, command, arguments)

    told = await run("evaluate", "--publish")
    assert told.exit_code == 0, told.output
    again = await run("evaluate", "--snapshot", str(snapshot), "--out", str(tmp_path / "figures.json"))
    assert again.exit_code == 0, again.output
    assert "as it was published" in again.stderr
    assert (tmp_path / "figures.json").read_bytes() == told.stdout_bytes
    page = tmp_path / "report.html"
    reported = await run(
        "report", "--format", "html", "--snapshot", str(snapshot), "--language", "it", "--out", str(page)
    )
    assert reported.exit_code == 0, reported.output
    assert str(snapshot) in page.read_text() and "as it was published" in reported.stderr
    shown = await survey.http.get("/figures/page", params={"language": "it"})
    assert (shown.status_code, shown.text) == (200, page.read_text())
    assert [row["language"] for row in await survey.rows("select language from publication_page order by 1")] == [
        "de", "en", "fr", "it",
    ]  # fmt: skip
    refused = await run("evaluate", "--publish")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "0 submissions came since" in refused.stderr
    exported = await run("export", "--format", "csv", "--snapshot", str(snapshot), "--out", str(tmp_path / "a.csv"))
    assert exported.exit_code == 0, exported.output
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 41
    listed = await run("publications")
    assert json.loads(listed.stdout)["can_be_made_again"] is True
    unknown = await run("export", "--format", "csv", "--questionnaire", "1", "--out", str(tmp_path / "b.csv"))
    assert (unknown.exit_code, (tmp_path / "b.csv").exists()) == (1, False)
    assert "no questionnaire 1 is published" in unknown.stderr
