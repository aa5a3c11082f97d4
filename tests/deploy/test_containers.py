"""Kafka and PostgreSQL in containers: as the embedded ones they start, are struck, come back, and leave nothing behind."""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from laptop.containers import (
    KAFKA_IMAGE,
    POSTGRES_IMAGE,
    Contained,
    KafkaContainer,
    PostgresContainer,
    engine,
    remove_volumes,
    require,
)
from laptop.ports import HOST
from laptop.postgres import SETTINGS
from laptop.process import StartError, until
from laptop.topics import create_topics
from sojourn_contracts.catalogue import SERVICES

from tests.deploy.test_embedded import query

TOPIC = "CompanyRegistered"


@pytest.fixture(scope="module")
def lacking() -> str:
    """What there is not, and how to get it."""
    with warnings.catch_warnings():
        # docker-py leaves a socket that it could not connect to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            for image in (KAFKA_IMAGE, POSTGRES_IMAGE):
                require(image)
        except StartError as error:
            told = str(error)
        else:
            told = ""
        gc.collect()
    return told


@pytest.fixture
def folder(server_folder: Path, lacking: str) -> Iterator[Path]:
    """For both servers, where there is an engine with their images."""
    if lacking:
        pytest.skip(f"CONTAINERS ARE NOT TESTED: {lacking}")
    before = volumes()
    yield server_folder
    remove_volumes(server_folder)
    assert volumes() <= before


def volumes() -> set[str]:
    """Those of our servers, and those without a name of their own that images ask for."""
    with engine() as client:
        return {str(each.name) for each in client.volumes.list()}


def is_there(running: Contained | None) -> bool:
    """Whether the engine knows the container, running or not."""
    assert running is not None
    with engine() as client:
        return running.container in [each.name for each in client.containers.list(all=True)]


def published_at(running: Contained) -> set[str]:
    """The addresses at which its ports can be reached."""
    with engine() as client:
        ports = client.containers.get(running.container).ports
    return {binding["HostIp"] for bindings in ports.values() for binding in bindings or ()}


async def test_kafka_keeps_records_over_a_kill_and_a_stop_and_is_gone_at_the_end(folder: Path):
    broker = KafkaContainer(folder / "kafka")
    await broker.start()
    try:
        first = broker.running
        assert first is not None
        assert published_at(first) == {HOST}
        await create_topics(broker.bootstrap)
        await in_a_transaction(broker.bootstrap, b"kept")
        await broker.kill()
        assert not is_there(first)
        await broker.start()
        await in_a_transaction(broker.bootstrap, b"kept, too")
        await broker.stop()
        await broker.start()
        assert await read(broker.bootstrap, 2) == [b"kept", b"kept, too"]
        last = broker.running
    finally:
        await broker.stop()
    assert not is_there(last)


async def in_a_transaction(bootstrap: str, value: bytes) -> None:
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="test") as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait(TOPIC, value, key=b"key")


async def read(bootstrap: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    async with consumer:
        return [(await asyncio.wait_for(consumer.getone(), 30)).value for _ in range(count)]


async def test_postgres_keeps_rows_over_a_kill_and_a_stop_and_is_gone_at_the_end(folder: Path):
    server = PostgresContainer(folder / "postgres")
    await server.start()
    try:
        first = server.running
        assert first is not None
        assert published_at(first) == {HOST}
        assert await query(server.admin_url, "show max_connections") == SETTINGS["max_connections"]
        assert str(await query(server.admin_url, "show server_version")).startswith("18")
        await query(server.admin_url, "create table kept as select 7 as x")
        await server.kill()
        assert not is_there(first)
        await server.start()
        await server.stop()
        await server.start()
        assert await query(server.admin_url, "select x from kept") == 7
        last = server.running
    finally:
        await server.stop()
    assert not is_there(last)


async def test_a_frozen_container_answers_nobody_until_it_is_thawed_and_can_be_stopped(folder: Path):
    server = PostgresContainer(folder / "postgres", settings={"fsync": "off"})
    await server.start()
    try:
        server.freeze()
        waiting = asyncio.create_task(query(server.admin_url, "select 1"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        server.thaw()
        assert await waiting == 1
        server.freeze()
        running = server.running
    finally:
        await server.stop()
    assert not is_there(running)


async def test_one_that_ends_by_itself_is_told_with_its_log_and_removed(folder: Path):
    server = PostgresContainer(folder / "postgres", settings={"nonsense": "1"})
    with pytest.raises(StartError, match=r'(?s)PostgreSQL ended; .*unrecognized configuration parameter "nonsense"'):
        await server.start()
    assert server.parts == []


async def test_a_start_that_is_cancelled_leaves_nothing(folder: Path):
    broker = KafkaContainer(folder / "kafka")
    starting = asyncio.create_task(broker.start())
    while broker.running is None or not is_there(broker.running):
        await asyncio.sleep(0.01)
    running = broker.running
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not is_there(running)


async def test_what_was_started_ends_with_a_starter_that_is_killed(folder: Path):
    program = f"""
import asyncio, dataclasses, json, time
from pathlib import Path
from laptop.containers import PostgresContainer
server = PostgresContainer(Path({str(folder)!r}) / "postgres")
asyncio.run(server.start())
print(json.dumps(dataclasses.asdict(server.running)), flush=True)
time.sleep(1000)
"""
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    with starter.stdout:
        running = Contained(**json.loads(starter.stdout.readline()))
    assert is_there(running)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    assert await until(lambda: not is_there(running), 20)


@pytest.mark.full
def test_up_leaves_the_system_running_on_containers_and_down_stops_it(folder: Path):
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKERS")}
    environment |= {"BACKING": "containers", "KAFKA_BOOTSTRAP_SERVERS": ""}

    def laptop(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).parent / "laptop"), *arguments, "--folder", str(folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)

    try:
        up = laptop("up")
        assert up.returncode == 0, up.stderr
        recorded = json.loads((folder / "system.json").read_text())
        containers = [Contained(**entry) for entry in recorded if "container" in entry]
        assert {each.name for each in containers} == {"Kafka", "PostgreSQL"}
        assert all(is_there(each) for each in containers)
        for service in SERVICES:
            url = next(line.split()[1] for line in up.stdout.splitlines() if line.startswith(f"{service} "))
            assert httpx.get(url).status_code == 200
        assert laptop("up").returncode == 1
    finally:
        down = laptop("down", "--volumes")
    assert down.returncode == 0, down.stdout + down.stderr
    assert not any(is_there(each) for each in containers)
    assert "Nothing is running" in laptop("down").stdout
