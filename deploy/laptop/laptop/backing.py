"""Which Kafka and PostgreSQL a system runs on, where none are given: embedded ones, or containers, as the environment says."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from laptop.containers import Contained, KafkaContainer, PostgresContainer
from laptop.kafka import CLUSTER, Kafka, KafkaCluster
from laptop.postgres import Postgres
from laptop.process import Running, StartError

ADMINISTRATOR = "administrator"
"""Who may do everything at a broker of ours where users sign in, once somebody gives it a password."""


class Part(Protocol):
    """A process or a container of a server's: it can outlive us, and be found again from another command."""

    @property
    def running(self) -> Running | Contained | None: ...
    @property
    def log(self) -> Path | str: ...
    def let_go(self) -> None: ...


class Backing(Protocol):
    """What is started and ended, and finds its data again; ``start`` leaves nothing running when it fails."""

    @property
    def parts(self) -> Sequence[Part]: ...
    async def start(self, within: float = ...) -> None: ...
    async def stop(self, within: float = ...) -> None: ...
    async def kill(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


class Broker(Backing, Protocol):
    """A Kafka of ours, with one broker or several."""

    @property
    def bootstrap(self) -> str: ...


class DatabaseServer(Backing, Protocol):
    """A PostgreSQL of ours."""

    @property
    def admin_url(self) -> str: ...


def authorised_broker(folder: Path, logs: Path, brokers: int | None) -> Kafka:
    """An embedded one at which users sign in, and may do what ACLs allow."""
    if _in_containers() or str(brokers or os.environ.get("BROKERS") or 1) != "1":
        raise StartError("grants are for one embedded broker: set neither BACKING=containers nor BROKERS with them")
    return Kafka(folder / "kafka", log=logs / "kafka.log", administrator=ADMINISTRATOR)


def broker(folder: Path, logs: Path, brokers: int | None) -> Broker:
    """As ``BACKING`` and ``BROKERS`` say, the latter unless it is given."""
    number = str(brokers) if brokers is not None else os.environ.get("BROKERS")
    several = _allowed("BROKERS", number, ("1", str(CLUSTER))) == str(CLUSTER)
    if _in_containers():
        if several:
            raise StartError(f"BROKERS={CLUSTER} is for embedded brokers; with BACKING=containers there is one")
        return KafkaContainer(folder / "kafka-container")
    one, cluster = folder / "kafka", folder / "kafka-cluster"
    if (one if several else cluster).exists():
        raise StartError(
            f"{folder} holds what {1 if several else CLUSTER} broker(s) kept, and the database goes with it:"
            " keep BROKERS as it was, or remove all (`make clean`)"
        )
    return KafkaCluster(cluster, logs=logs) if several else Kafka(one, log=logs / "kafka.log")


def database_server(folder: Path, logs: Path) -> DatabaseServer:
    """As ``BACKING`` says."""
    if _in_containers():
        return PostgresContainer(folder / "postgres-container")
    return Postgres(folder / "postgres", log=logs / "postgres.log")


def _in_containers() -> bool:
    return _allowed("BACKING", os.environ.get("BACKING"), ("embedded", "containers")) == "containers"


def _allowed(variable: str, chosen: str | None, allowed: Sequence[str]) -> str:
    """The choice, which is the first one by default."""
    chosen = chosen or allowed[0]
    if chosen not in allowed:
        raise StartError(f"{variable} is {chosen!r}; it may be {' or '.join(allowed)}, and is {allowed[0]} by default")
    return chosen
