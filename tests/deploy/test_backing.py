"""What the environment chooses Kafka and PostgreSQL to be, and what one is told when that cannot be."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from laptop.containers import KAFKA_IMAGE, POSTGRES_IMAGE, KafkaContainer, PostgresContainer
from laptop.kafka import Kafka, KafkaCluster
from laptop.postgres import Postgres
from laptop.process import StartError
from laptop.system import System
from testcontainers.core.config import testcontainers_config

from tests.deploy.engine import PORT_TAKEN, Engine, an_engine

VARIABLES = ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "BACKING", "BROKERS")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing is chosen, and no file of the user's leads to another engine."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(testcontainers_config, "tc_properties", {})
    return monkeypatch


@pytest.mark.parametrize(
    ("chosen", "broker", "server"),
    [
        ({}, Kafka, Postgres),
        ({"BACKING": "embedded", "BROKERS": "1"}, Kafka, Postgres),
        ({"BROKERS": "3"}, KafkaCluster, Postgres),
        ({"BACKING": "containers"}, KafkaContainer, PostgresContainer),
        ({"BACKING": "containers", "DATABASE_URL": "postgresql://elsewhere/db"}, KafkaContainer, type(None)),
        ({"BACKING": "containers", "KAFKA_BOOTSTRAP_SERVERS": "elsewhere:9092"}, type(None), PostgresContainer),
        (
            {"BROKERS": "3", "KAFKA_BOOTSTRAP_SERVERS": "elsewhere:9092", "DATABASE_URL": "postgresql://elsewhere/db"},
            type(None),
            type(None),
        ),
    ],
)
def test_servers_that_are_given_come_first_then_containers_then_embedded_ones(
    tmp_path: Path,
    environment: pytest.MonkeyPatch,
    chosen: dict[str, str],
    broker: type[object],
    server: type[object],
):
    for name, value in chosen.items():
        environment.setenv(name, value)
    system = System(tmp_path)
    assert (type(system.broker), type(system.server)) == (broker, server)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"BACKING": "podman"}, "BACKING is 'podman'; it may be embedded or containers, and is embedded by default"),
        ({"BROKERS": "2"}, "BROKERS is '2'; it may be 1 or 3, and is 1 by default"),
        ({"BACKING": "containers", "BROKERS": "3"}, "BROKERS=3 is for embedded brokers"),
        (
            {"BACKING": "containers", "DOCKER_HOST": "unix:///nowhere/docker.sock"},
            "no container engine answers at unix:///nowhere/docker.sock: start Docker",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_told_with_what_can(tmp_path: Path, chosen: dict[str, str], told: str):
    laptop = [str(Path(sys.executable).parent / "laptop"), "up", "--folder", str(tmp_path / "run")]
    environment = os.environ | {"HOME": str(tmp_path)} | chosen
    up = subprocess.run(laptop, capture_output=True, text=True, env=environment, timeout=60)
    assert up.returncode == 1
    assert told in up.stderr
    assert "Traceback" not in up.stderr


def test_data_of_one_broker_are_not_left_for_three_new_ones(tmp_path: Path):
    (tmp_path / "kafka").mkdir()
    assert isinstance(System(tmp_path).broker, Kafka)
    with pytest.raises(StartError, match=r"holds what 1 broker\(s\) kept"):
        System(tmp_path, brokers=3)


@pytest.fixture
def engine(environment: pytest.MonkeyPatch) -> Iterator[Engine]:
    """With the database's image, and without the broker's."""
    with an_engine(POSTGRES_IMAGE) as engine:
        environment.setenv("DOCKER_HOST", engine.host)
        yield engine


async def test_without_its_image_one_is_told_which_and_how_to_get_it(tmp_path: Path, engine: Engine):
    with pytest.raises(StartError, match=f"has no image {KAFKA_IMAGE}: `docker pull {KAFKA_IMAGE}` gets it"):
        await KafkaContainer(tmp_path).start()
    assert engine.made == []


async def test_a_container_that_does_not_start_is_removed_and_asked_for_loopback_only(tmp_path: Path, engine: Engine):
    server = PostgresContainer(tmp_path, settings={"fsync": "off"})
    with pytest.raises(StartError, match=PORT_TAKEN):
        await server.start()
    assert engine.containers == {}
    assert server.parts == []
    [asked] = engine.made
    assert asked["Image"] == POSTGRES_IMAGE
    ports = {"5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(server.port)}]}
    assert asked["HostConfig"]["PortBindings"] == ports
    assert "fsync=off" in asked["Cmd"]


def test_the_readme_names_the_images_that_one_needs():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert all(image in readme for image in (KAFKA_IMAGE, POSTGRES_IMAGE))
