"""The example subscriber over HTTP, in a shell with curl: it signs in, reads running services, is killed, and reads on."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from chassis.service import Service
from chassis.transaction import Cause
from exchange.main import service as exchange
from laptop.ports import HOST, free_port
from laptop.process import Process
from registration.clients import secret
from registration.main import service as registration
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeCompleted
from sojourn_contracts.survey import SurveySubmitted
from survey.main import service as survey

from tests.chassis.given import an
from tests.chassis.waiting import until
from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.http.serving import served
from tests.subscribers.logged import log
from tests.subscribers.programs import CURL, pages


async def in_the_log(driver: Driver) -> list[tuple[str, str, Any]]:
    rows = await driver.rows("select event_id::text, subject::text, data from event_log order by position")
    return [(row["event_id"], row["subject"], row["data"] and json.loads(row["data"])) for row in rows]


@pytest.mark.parametrize(("service", "event"), [(exchange, ExchangeCompleted), (survey, SurveySubmitted)])
async def test_a_subscriber_that_is_killed_keeps_what_the_feed_has_and_nothing_twice(
    service: Service, event: type[Event], driving: Driving, tmp_path: Path
):
    driver = await driving(service)
    first, second = ([an(event, later={"fields": [None]}) for _ in range(count)] for count in (1_200, 300))
    await log(driver, *first)
    grants = tmp_path / "grants.yaml"
    grants.write_text(f"clients: {{institute: {{scopes: [events:{event.topic()}]}}}}")
    office = await driving(registration, grants=grants)
    async with office.process.open_transaction(Cause()) as tx:
        made = await secret.made(tx, "institute")
    driver.process.app.state.keys = office.process.app.state.keys  # both take the tokens of one registration
    store = tmp_path / "events"
    async with served(office) as tokens, served(driver) as address:
        environment = {
            **os.environ,
            "FEEDS": f"{address}/events?topics={event.topic()}",
            "TOKEN": "one.that.ended" if service is exchange else "",
            "TOKEN_URL": f"{tokens}/token",
            "CLIENT_ID": "institute",
            "CLIENT_SECRET": made,
            "STORE": str(store),
        }
        shell = shutil.which("dash") or "sh"
        subscriber = Process("subscriber", [shell, str(CURL)], log=tmp_path / "log", environment=environment)
        subscriber.spawn()
        try:
            await until(lambda: len(pages(store)) > 0, within=60)
            await subscriber.kill()
            assert 1_000 <= len(pages(store)) <= len(first)
            await log(driver, *second, erase=[first[3], second[0]])
            subscriber.spawn()
            await until(lambda: len(pages(store)) == len(first) + len(second), within=60)
        finally:
            await subscriber.kill()
    erased = {str(first[3].subject), str(second[0].subject)}
    assert [(each["id"], each["subject"], each.get("data")) for each in pages(store)] == [
        (id_, subject, data) for id_, subject, data in await in_the_log(driver) if subject not in erased or data is None
    ]


async def test_a_subscriber_waits_for_a_service_that_is_away(tmp_path: Path):
    gone = f"http://{HOST}:{free_port()}"
    environment = {**os.environ, "FEEDS": f"{gone}/events?topics=A", "TOKEN": "a", "STORE": str(tmp_path / "events")}
    environment |= {"TOKEN_URL": f"{gone}/token", "CLIENT_ID": "institute", "CLIENT_SECRET": "s"}
    log_file = tmp_path / "log"
    subscriber = Process("subscriber", [shutil.which("dash") or "sh", str(CURL)], log=log_file, environment=environment)
    subscriber.spawn()
    try:
        await until(lambda: log_file.read_text().count("curl: (7)") >= 3, within=30)
        subscriber.require_alive()
    finally:
        await subscriber.kill()
