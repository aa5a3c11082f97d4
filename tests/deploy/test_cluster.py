"""Three embedded brokers hold the same, and one of them may be lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from laptop.kafka import CLUSTER, KafkaCluster
from laptop.topics import create_topics, wanted

from tests.deploy.test_embedded import processes_that_mention

TOPIC = "CompanyRegistered"
INTERNAL = ("__consumer_offsets", "__transaction_state")


@pytest.fixture(scope="module")
async def cluster(backing_folder: Path) -> AsyncIterator[KafkaCluster]:
    folder = backing_folder / "cluster"
    cluster = KafkaCluster(folder)
    await cluster.start()
    try:
        await create_topics(cluster.bootstrap, CLUSTER)
        yield cluster
    finally:
        await cluster.stop()
    assert processes_that_mention(folder) == []


async def test_with_one_of_three_brokers_killed_records_are_taken_and_read(cluster: KafkaCluster):
    broker = cluster.brokers["Kafka"]
    await broker.kill()
    try:
        await written_and_read(cluster.bootstrap, b"without the first")
        await every_record_is_held_by_all(cluster.bootstrap)
    finally:
        await broker.start()


@pytest.mark.full
@pytest.mark.parametrize("name", ["Kafka", "Kafka-2", "Kafka-3"])
async def test_with_any_one_of_three_brokers_frozen_or_stopped_records_are_taken_and_read(
    cluster: KafkaCluster, name: str
):
    broker = cluster.brokers[name]
    broker.freeze()
    try:
        await written_and_read(cluster.bootstrap, f"while {name} is frozen".encode())
    finally:
        broker.thaw()
    await broker.stop()
    try:
        await written_and_read(cluster.bootstrap, f"while {name} is stopped".encode())
    finally:
        await broker.start()


async def written_and_read(bootstrap: str, value: bytes) -> None:
    """In a transaction, and by a group that reads all there is up to it."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="test", request_timeout_ms=5_000)
    async with producer, producer.transaction():
        await producer.send(TOPIC, value, key=b"key")
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        group_id="test",
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        request_timeout_ms=5_000,
    )
    async with consumer:
        while (await asyncio.wait_for(consumer.getone(), 60)).value != value:
            pass
        await consumer.commit()


async def every_record_is_held_by_all(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for topic in await admin.describe_topics([*wanted(), *INTERNAL]):
            assert all(len(partition["replicas"]) == CLUSTER for partition in topic["partitions"]), topic["topic"]
            [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic["topic"])])
            settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
            assert settings["min.insync.replicas"] == "2", topic["topic"]
    finally:
        await admin.close()
