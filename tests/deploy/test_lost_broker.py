"""One of three brokers is lost with its disk while a service publishes: nothing stops, and a new one holds all again."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from laptop.kafka import CLUSTER, KafkaCluster
from laptop.system import System

from tests.deploy.registering import admitted, published
from tests.deploy.runbooks import execute, where_it_runs
from tests.faults.rounds import SETTINGS
from tests.faults.story import START

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


async def told(system: System) -> None:
    """Of a company that was admitted."""
    await admitted(system)
    await published(system)


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
