"""One of three brokers is lost with its disk while a service publishes: nothing stops, and a new one holds all again."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from laptop.kafka import CLUSTER, KafkaCluster
from laptop.system import System

from tests.deploy.runbooks import execute, where_it_runs
from tests.faults.rounds import SETTINGS
from tests.faults.story import START
from tests.journeys.pair import HOST

pytestmark = pytest.mark.installed


@pytest.fixture(scope="module")
async def system(backing_folder: Path) -> AsyncIterator[System]:
    async with System(
        backing_folder / "lost-broker",
        stopped_at=START,
        environment=SETTINGS,
        services=("registration",),
        brokers=CLUSTER,
    ) as system:
        yield system


async def told(system: System) -> str:
    """The id of a company that was admitted, whose event is on its topic."""
    async with httpx.AsyncClient(base_url=system.urls["registration"], timeout=20) as http:
        form = HOST.form | {"name": f"Company {uuid4().hex}"}
        made = (await http.post("/companies", json=form, headers={"Idempotency-Key": uuid4().hex})).json()
        path, bearer = f"/companies/{made['company_id']}/submission", f"Bearer {made['access_token']}"
        answer = await http.post(path, headers={"Authorization": bearer, "Idempotency-Key": uuid4().hex})
        assert answer.status_code == 200, answer.text
        connection = await asyncpg.connect(system.database.owner_url)
        try:
            async with asyncio.timeout(60):
                while (await http.get("/status")).json()["published"] != await connection.fetchval(
                    "select max(position) from registration.event_log"
                ) or await connection.fetchval("select count(*) from registration.outbox"):
                    await asyncio.sleep(0.1)
        finally:
            await connection.close()
    return made["company_id"]


async def test_a_broker_is_lost_with_its_disk_and_a_new_one_holds_all_again(system: System):
    cluster = system.broker
    assert isinstance(cluster, KafkaCluster)
    await told(system)
    lost = cluster.brokers["Kafka-3"]
    await lost.kill()
    environment = where_it_runs(system, "registration")
    async with asyncio.timeout(40):
        while "Topic:" not in (looked := await execute("loss-of-a-broker", "Look", environment)):
            await asyncio.sleep(0.5)
    assert "Replicas: " in looked
    await told(system)
    shutil.rmtree(lost._folder / "data")
    await lost.start()
    await execute("loss-of-a-broker", "Mend", environment, within=120)
    await cluster.brokers["Kafka-2"].kill()  # the new one counts
    await told(system)
    await cluster.brokers["Kafka-2"].start()
