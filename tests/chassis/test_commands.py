"""A service's commands, run as an operator runs them."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from chassis.migrations import migrate
from laptop.roles import Database
from survey.main import service
from survey.settings import SurveySettings
from typer.testing import CliRunner
from uuid_utils.compat import uuid7

from tests.chassis.commands import run

WORK = "insert into due (id, kind, subject, at, data, parked_at, cause) values ($1, 'wave', $2, now(), '{}', $3, $4)"


@pytest.fixture
async def environment(database: Database) -> dict[str, str]:
    await migrate(database.migrator_url, service.name, service.migrations)
    return {
        "DATABASE_URL": database.url(service.name),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "JWKS": "/nowhere/jwks.json",
        "LOG_LEVEL": "error",
    }


async def rows(environment: dict[str, str], query: str, *arguments: Any) -> list[Any]:
    connection = await asyncpg.connect(environment["DATABASE_URL"], server_settings={"search_path": service.name})
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def test_migrate_signs_in_with_the_password_that_a_file_holds(database: Database, tmp_path: Path):
    role, _, address = database.migrator_url.rpartition("@")
    name, _, password = role.rpartition(":")
    file = tmp_path / "password"
    file.write_text(password + "\n")
    given = {"MIGRATOR_DATABASE_URL": f"{name}@{address}", "MIGRATOR_DATABASE_PASSWORD_FILE": str(file)}
    told = await asyncio.to_thread(CliRunner(env=given).invoke, service.command(), ["migrate"])
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("survey: applied ")


async def test_due_work_is_listed_retried_and_discarded(environment: dict[str, str]):
    parked, given_up, waits = (uuid7() for _ in range(3))
    (now,) = await rows(environment, "select now() as now")
    for work, since, cause in ((parked, now["now"], "Boom: no"), (given_up, now["now"], "x"), (waits, None, None)):
        await rows(environment, WORK, work, str(work), since, cause)

    listed = await run("due", "list", **environment)
    lines = [json.loads(line) for line in listed.out.splitlines()]
    assert {UUID(line["id"]): line["cause"] for line in lines} == {parked: "Boom: no", given_up: "x", waits: None}
    assert UUID(lines[-1]["id"]) == waits, "parked first"

    retried, discarded, not_parked, odd = await asyncio.gather(
        run("due", "retry", str(parked), **environment),
        run("due", "discard", str(given_up), **environment),
        run("due", "discard", str(waits), **environment),
        run("due", "retry", "that one", **environment),
    )
    assert (retried.code, retried.out) == (0, f"due again: {parked}\n")
    assert (discarded.code, discarded.out) == (0, f"discarded {given_up}\n")
    assert (not_parked.code, not_parked.out, not_parked.error) == (1, "", f"no parked work {waits}\n")
    assert odd.code == 2
    left = {row["id"]: row["parked_at"] for row in await rows(environment, "select id, parked_at from due")}
    assert left == {parked: None, waits: None}


async def test_a_database_that_is_away_is_told_in_a_line(environment: dict[str, str]):
    away = await run("due", "list", **(environment | {"DATABASE_URL": "postgresql://survey:secret@127.0.0.1:1/x"}))
    assert (away.code, away.out) == (1, "")
    assert away.error.startswith("the database cannot be asked: ")
    assert "Traceback" not in away.error
    assert "secret" not in away.error


async def test_a_wrong_environment_is_told_whole_with_exit_code_2():
    wrong = await run("serve", HTTP_PORT="99999", LOG_FORMAT="xml", KAFKA_BOOTSTRAP_SERVERS="kafka")
    named = {line.strip().partition(":")[0] for line in wrong.error.splitlines()[1:]}
    assert (wrong.code, wrong.out) == (2, "")
    assert named == {"DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "HTTP_PORT", "LOG_FORMAT", "JWKS"}


async def test_help_documents_each_variable():
    told = await run("serve", "--help")
    assert told.code == 0
    for name, field in SurveySettings.model_fields.items():
        (line,) = [line for line in told.out.splitlines() if line.strip(" │").startswith(name.upper() + " ")]
        assert (field.description or "?")[:40] in line
