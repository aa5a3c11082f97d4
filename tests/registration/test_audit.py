"""The chain of decisions: only added to, and whatever is altered all the same is found."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from laptop.roles import Database
from registration.companies import eligibility
from registration.main import service

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration.lives import Life, submitted


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    return await driving(service)


@pytest.fixture
async def superuser(driver: Driver, postgres: Database) -> AsyncIterator[asyncpg.Connection]:
    """In the test's own database, with the triggers off: what somebody can do who owns the server."""
    path = urlsplit(driver.process.settings.database_url.get_secret_value()).path
    connection = await asyncpg.connect(urlunsplit(urlsplit(postgres.admin_url)._replace(path=path)))
    await connection.execute("set session_replication_role = replica; set search_path = registration")
    yield connection
    await connection.close()


async def sent_back(driver: Driver, key: str = "a-key-of-sixteen-or-more") -> Life:
    life = await submitted(driver, key, learning_only=False)
    assert (await life.decide("needs_changes")).status_code == 204
    return life


def verified(driver: Driver) -> subprocess.CompletedProcess[str]:
    """``registration audit verify``, as an operator runs it."""
    settings = driver.process.settings
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "JWKS": settings.jwks,
        "SIGNING_KEY": str(settings.signing_key),
    }
    return subprocess.run(
        [Path(sys.executable).parent / "registration", "audit", "verify"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_what_was_decided_is_shown_with_its_reasons(driver: Driver):
    life = await sent_back(driver)
    chain = await life.chain()
    assert chain["intact"] is True
    assert [each["number"] for each in chain["decisions"]] == [1, 2, 3]
    _, referred, decided = (each["content"] for each in chain["decisions"])
    assert referred["rules"] == eligibility.VERSION
    assert {"rule": "learning_only_declared", "outcome": "unclear", "reason": "not_declared"} in referred["findings"]
    assert (decided["before"], decided["after"], decided["who"]) == ("submitted", "needs_changes", "contact_point")
    assert chain["decisions"][2]["words"]["reason"]


async def test_a_row_holds_no_name_and_no_text(driver: Driver):
    await sent_back(driver)
    text = " ".join(row["content"] for row in await driver.rows("select content from decision"))
    for secret in ("Zahnrad", "Müller", "Kovač", "rules say"):
        assert secret not in text


@pytest.mark.parametrize(
    "statement",
    [
        "update decision set content = '{}'",
        "delete from decision",
        "truncate decision cascade",
        "update decision set hash = hash where false",
        "alter table decision disable trigger all",
        "insert into decision select company_id, number, content, hash from decision",
    ],
)
async def test_the_service_itself_cannot_alter_a_decision(driver: Driver, statement: str):
    life = await sent_back(driver)
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.UniqueViolationError)):
        await driver.rows(statement)
    assert (await life.chain())["intact"] is True


async def test_not_even_the_owner_of_the_table_alters_a_row_by_accident(driver: Driver, superuser: asyncpg.Connection):
    await sent_back(driver)
    await superuser.execute("set session_replication_role = origin")
    for statement in ("update decision set hash = ''", "delete from decision", "truncate decision cascade"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await superuser.execute(statement)


async def test_the_command_says_that_all_is_as_it_was_written(driver: Driver):
    await sent_back(driver)
    await submitted(driver, "another-key-of-sixteen")
    done = await asyncio.to_thread(verified, driver)
    assert (done.returncode, done.stdout) == (0, "2 companies, 0 broken\n"), done.stderr


@pytest.mark.parametrize(
    ("statement", "number", "what"),
    [
        ("update decision set content = replace(content, 'submitted', 'rejected') where number = 2", 2, "was altered"),
        ("update decision set hash = md5(hash) where number = 3", 3, "was altered"),
        ("delete from decision where number = 2", 2, "is missing"),
        ("delete from decision where number = 3", 3, "is missing"),
        ("delete from decision", 1, "is missing"),
        (
            "update decision_words set words = jsonb_set(words, '{reason}', '\"Another\"')",
            3,
            "has another text than was written",
        ),
        (
            "update company set decisions = 2, last_hash = (select hash from decision where number = 2)",
            3,
            "is not what the company's row names as the last",
        ),
    ],
)
async def test_the_command_names_the_first_row_that_somebody_altered(
    driver: Driver, superuser: asyncpg.Connection, statement: str, number: int, what: str
):
    life = await sent_back(driver)
    await superuser.execute(statement)
    done = await asyncio.to_thread(verified, driver)
    assert (done.returncode, done.stdout) == (
        1,
        f"broken: company {life.id}, decision {number} {what}\n1 companies, 1 broken\n",
    )
    assert (await life.chain())["intact"] is False


async def test_a_row_that_was_written_anew_with_its_hash_breaks_the_one_after_it(
    driver: Driver, superuser: asyncpg.Connection
):
    from registration.companies.audit import _hash  # pyright: ignore[reportPrivateUsage]

    life = await sent_back(driver)
    rows = await superuser.fetch("select content, hash from decision order by number")
    forged = json.dumps(json.loads(rows[1]["content"]) | {"after": "rejected"}, sort_keys=True, separators=(",", ":"))
    await superuser.execute(
        "update decision set content = $1, hash = $2 where number = 2", forged, _hash(life.id, rows[0]["hash"], forged)
    )
    done = await asyncio.to_thread(verified, driver)
    assert done.stdout.startswith(f"broken: company {life.id}, decision 3 was altered")


async def test_a_text_that_was_erased_leaves_the_chain_whole(driver: Driver, superuser: asyncpg.Connection):
    life = await sent_back(driver)
    await superuser.execute("delete from decision_words")
    chain = await life.chain()
    assert (chain["intact"], chain["decisions"][2]["words"]) == (True, None)


async def test_a_chain_outlives_its_company(driver: Driver, superuser: asyncpg.Connection):
    await sent_back(driver)
    await superuser.execute("delete from company")
    done = await asyncio.to_thread(verified, driver)
    assert done.stdout == "1 companies, 0 broken\n"
