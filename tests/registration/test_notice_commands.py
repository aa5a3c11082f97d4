"""``registration notices``: what an operator sees of mails, and sends again."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from registration.main import command, service
from typer.testing import CliRunner, Result

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration.mail_server import MailServer, serving
from tests.registration.noticed import ADMIN, TRAVELLER, asked, known


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with serving(MailServer()) as running:
        yield running


@pytest.fixture
async def driver(driving: Driving, server: MailServer, logging_as_before: None) -> Driver:
    driver = await driving(service, smtp_host="127.0.0.1", smtp_port=server.port)
    await known(driver)
    return driver


async def run(driver: Driver, *arguments: str, status: int = 0) -> Result:
    """As an operator would, on the driver's database; the command has an event loop of its own."""
    settings: Any = driver.process.settings
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "JWKS": settings.jwks,
        "SIGNING_KEY": str(settings.signing_key),
    }
    outcome = await asyncio.to_thread(CliRunner().invoke, command, ["notices", *arguments], env=environment)
    assert outcome.exit_code == status, outcome.output
    return outcome


def shown(outcome: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.stdout.splitlines()]


async def one_refused_and_one_accepted(driver: Driver, server: MailServer) -> tuple[UUID, UUID]:
    server.at_rcpt["ugo@zahnrad.example"] = "550 no such mailbox"
    refused, accepted = uuid4(), uuid4()
    await asked(driver, refused, TRAVELLER, "rejected")
    await asked(driver, accepted, ADMIN)
    await driver.run_due()
    return refused, accepted


async def test_refused_ones_are_listed_or_those_that_are_asked_for_and_nobodys_address(
    driver: Driver, server: MailServer
):
    refused, accepted = await one_refused_and_one_accepted(driver, server)
    by_default = await run(driver, "list")
    [row] = shown(by_default)
    assert (row["notice_id"], row["template"], row["reason"]) == (str(refused), "rejected", "address_refused")
    assert "zahnrad.example" not in by_default.output
    others = await run(driver, "list", "--state", "accepted")
    assert [each["notice_id"] for each in shown(others)] == [str(accepted)]
    assert shown(await run(driver, "list", "--template", "admitted")) == []
    assert shown(await run(driver, "list", "--state", "waiting")) == []


async def test_a_list_goes_on_behind_a_notice_and_is_as_long_as_asked_for(driver: Driver):
    ids = sorted([uuid4() for _ in range(3)])
    for each in ids:
        await asked(driver, each, uuid4())
    first = shown(await run(driver, "list", "--limit", "2"))
    assert [row["notice_id"] for row in first] == [str(each) for each in ids[:2]]
    rest = shown(await run(driver, "list", "--after", str(ids[1])))
    assert [row["notice_id"] for row in rest] == [str(ids[2])]


async def test_one_is_shown_with_its_mails(driver: Driver, server: MailServer):
    refused, _ = await one_refused_and_one_accepted(driver, server)
    [row] = shown(await run(driver, "show", str(refused)))
    [mail] = row["mails"]
    assert (mail["person_id"], mail["state"], mail["reason"]) == (str(TRAVELLER), "refused", "address_refused")


async def test_one_that_nobody_asked_for_is_not_there(driver: Driver):
    unknown = str(uuid4())
    assert f"no notice {unknown}" in (await run(driver, "show", unknown, status=1)).stderr
    assert "unknown_notice" in (await run(driver, "send-again", unknown, status=1)).stderr


async def test_what_was_refused_is_sent_again_and_what_was_accepted_is_not(driver: Driver, server: MailServer):
    refused, accepted = await one_refused_and_one_accepted(driver, server)
    server.at_rcpt.clear()
    assert "sent again" in (await run(driver, "send-again", str(refused))).stdout
    await driver.run_due(datetime.now(UTC) + timedelta(minutes=1))  # the command goes by the time of day
    assert server.recipients == ["ana@zahnrad.example", "ugo@zahnrad.example"]
    assert "nothing_refused" in (await run(driver, "send-again", str(accepted), status=1)).stderr
