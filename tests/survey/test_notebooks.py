"""The analysts' notebooks, executed as they stand: on a real topic, the sink's table, and the questionnaire over HTTP."""

import ast
import json
import os
import random
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import jupytext
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from sojourn_contracts.vocabulary import Party
from survey.analysis.evaluation import of_snapshot
from survey.evaluation.evaluate import evaluate
from survey.questionnaires.published import newest
from survey.questionnaires.questionnaire import Kind

from tests.chassis_driver import Driver
from tests.conftest import REPOSITORY
from tests.http.serving import served
from tests.survey.sinking import Place, Written, drained, producing, sinking, submission, tombstone

NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.py"))
SUBMISSIONS = 240
ANALYST = "notebook_analyst"


def answered(number: int, by: random.Random) -> Written:
    """A submission to the newest questionnaire; some companies answer several times."""
    party, wave = list(Party)[number % 3], 1 + number % 2
    answers = {
        question.code: by.choice(list(question.codes))
        for question in newest().asked(party, wave)
        if question.kind is not Kind.TEXT and by.random() < 0.9
    }
    return submission(
        number,
        questionnaire=newest().version,
        party=party,
        wave=wave,
        answers=answers,
        company_cluster=f"{by.randrange(SUBMISSIONS // 3):064x}",
    )


async def executed(notebook: Path, environment: Mapping[str, str], shown: str) -> Any:
    """What a name holds when all cells have run."""
    read: NotebookNode = jupytext.read(notebook)
    read.cells.append(new_code_cell(f"import json\nprint(json.dumps({shown}))"))
    client = NotebookClient(read, timeout=120, kernel_name="python3")
    await client.async_execute(env={**os.environ, **environment})
    return json.loads(read.cells[-1].outputs[0].text)


@pytest.fixture
async def filled(sink_place: Place) -> AsyncIterator[Place]:
    """With the table at what the topic says; the last submission is erased again."""
    by = random.Random(7)
    async with producing(sink_place.kafka) as produce:
        async with sinking(sink_place) as sink:
            await produce(answered(number, by) for number in range(SUBMISSIONS))
            await drained(sink, SUBMISSIONS)
        yield sink_place


@pytest.fixture
async def environment(filled: Place, postgres: Any, survey: Driver) -> AsyncIterator[dict[str, str]]:
    """What an analyst has: a role that reads the catalog and nothing else."""
    name = filled.url.rpartition("/")[2]
    admin = await asyncpg.connect(postgres.admin_url.rpartition("/")[0] + "/" + name)
    await admin.execute(
        f"""
        create role {ANALYST} login password 'told';
        grant connect on database "{name}" to {ANALYST};
        grant usage on schema survey_sink to {ANALYST};
        grant select on survey_sink.iceberg_tables, survey_sink.iceberg_namespace_properties to {ANALYST};
        """
    )
    url = re.sub(r"//[^@]*@", f"//{ANALYST}:told@", filled.url)
    try:
        async with served(survey) as address:
            yield {
                "KAFKA_BOOTSTRAP_SERVERS": filled.kafka,
                "CATALOG_URL": url,
                "WAREHOUSE": str(filled.warehouse),
                "SURVEY": address,
            }
        await denied(url)
    finally:
        await admin.execute(f"drop owned by {ANALYST}; drop role {ANALYST}")
        await admin.close()


async def denied(url: str) -> None:
    analyst = await asyncpg.connect(url)
    try:
        for table in ("survey.invitation", "survey.waiting", "survey.cluster_key", "survey.event_log"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await analyst.fetch(f"select from {table}")
    finally:
        await analyst.close()


async def test_the_first_look_reads_the_whole_stream_and_forgets_what_is_erased(filled: Place):
    async with producing(filled.kafka) as produce:
        await produce([tombstone(SUBMISSIONS - 1)])
    shown = await executed(
        REPOSITORY / "docs/notebooks/first_look.py",
        {"KAFKA_BOOTSTRAP_SERVERS": filled.kafka},
        "[len(submissions), sum(row[3] for row in answered.fetchall()), answer.num_rows]",
    )
    assert shown[0] == SUBMISSIONS - 1
    assert shown[1] == shown[2] > SUBMISSIONS


async def test_the_indicators_recomputed_by_hand_are_the_services_own(filled: Place, environment: dict[str, str]):
    table = filled.table()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    figures = evaluate(of_snapshot(table, snapshot.snapshot_id, newest()).counts, newest())
    ours = {(each.wave, each.code): vars(each) for each in figures.indicators if each.valid}
    assert any(each["cluster_low"] is not None for each in ours.values())
    theirs = await executed(REPOSITORY / "docs/notebooks/indicators.py", environment, "figures")
    assert len(theirs) == len(ours) >= 5
    for figure in theirs:
        own = ours[figure["wave"], figure["code"]]
        assert figure == pytest.approx({name: own[name] for name in figure}, abs=1e-6)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_the_public_interface_alone(notebook: Path):
    tree = compile(notebook.read_text(), notebook.name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported.isdisjoint(
        {"survey", "chassis", "registration", "matching", "exchange", "pilot", "laptop", "tests"}
    )
