"""Kafka and PostgreSQL in containers, in the shape of the embedded ones, where an engine that speaks Docker's API runs.

A container stands for a process: it is made when it is started, and removed when it is stopped or killed. A volume stands for the
folder with the data, and stays. The leash does what testcontainers has its reaper for.
"""

import asyncio
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from docker.models.containers import Container as Found
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import get_docker_host

from laptop import kafka, leash, postgres, versions
from laptop.ports import HOST, free_port
from laptop.process import StartError

KAFKA_IMAGE = f"apache/kafka:{versions.KAFKA}"
POSTGRES_IMAGE = f"postgres:{versions.POSTGRES}"
KILLED = 128 + 9

testcontainers_config.ryuk_disabled = True  # it would need an image of its own


@dataclass(frozen=True)
class Contained:
    """What one needs to find a container again, also from another command."""

    name: str
    container: str
    """A name that it alone has: known before it is made, so that it can be ended whenever we are."""
    engine: str
    """As in ``DOCKER_HOST``; empty for the default."""

    def find(self) -> Found | None:
        """The container, or None when it has ended."""
        with engine(self.engine) as client:
            found = _found(client, self.container)
            return found if found is not None and found.status in ("running", "paused") else None

    async def stop(self, within: float) -> bool:
        """Ask it to end, and remove it; False when it had to be killed because it did not within that many seconds."""
        return await asyncio.to_thread(self._stop, within)

    async def kill(self) -> None:
        """End it at once (SIGKILL), and return when it is removed."""
        await asyncio.to_thread(self._kill)

    def freeze(self) -> None:
        with engine(self.engine) as client:
            client.containers.get(self.container).pause()

    def thaw(self) -> None:
        with engine(self.engine) as client:
            found = _found(client, self.container)
            if found is not None and found.status == "paused":
                found.unpause()

    def _stop(self, within: float) -> bool:
        self.thaw()
        with engine(self.engine) as client:
            found = _found(client, self.container)
            if found is None:
                return True
            found.stop(timeout=int(within))
            found.reload()
            ended = found.attrs["State"]["ExitCode"]
            found.remove(v=True)
            return ended != KILLED

    def _kill(self) -> None:
        self.thaw()
        with engine(self.engine) as client, suppress(NotFound):
            client.containers.get(self.container).remove(force=True, v=True)


class Container:
    """One container at a time, with a volume that stays; it may be started, ended and started again, at the same port."""

    def __init__(self, name: str, image: str, folder: Path, *, keeps: str, port: int | None) -> None:
        """It ends with us at the latest, however we end, unless it is let go. ``keeps`` is where its data are in it."""
        self.name = name
        self.running: Contained | None = None
        self._image = image
        self._folder = folder.absolute()
        self._keeps = keeps
        self._port = port

    @property
    def port(self) -> int:
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def parts(self) -> "list[Container]":
        """Itself, when it was started."""
        return [] if self.running is None else [self]

    @property
    def log(self) -> str:
        """The command that shows it."""
        return "" if self.running is None else f"docker logs {self.running.container}"

    async def stop(self, within: float = 30) -> None:
        """A controlled shutdown, as the image says."""
        if self.running is not None:
            await self.running.stop(within)
            self._ended()

    async def kill(self) -> None:
        """SIGKILL; gone when this returns."""
        if self.running is not None:
            await self.running.kill()
            self._ended()

    def freeze(self) -> None:
        if self.running is not None:
            self.running.freeze()

    def thaw(self) -> None:
        if self.running is not None:
            self.running.thaw()

    def let_go(self) -> None:
        """From now on it outlives us."""
        if self.running is not None:
            leash.release_container(self.running.container)

    async def _start(
        self,
        environment: Mapping[str, str],
        command: Sequence[str],
        inside: int,
        answers: Callable[[], Awaitable[bool]],
        within: float,
    ) -> None:
        if self.running is not None:
            raise RuntimeError(f"{self.name} is running already")
        volume = await asyncio.to_thread(self._prepare)
        container = f"sojourn-{self.name.lower()}-{secrets.token_hex(6)}"
        self.running = Contained(self.name, container, get_docker_host() or "")
        leash.hold_container(container, self.running.engine)

        def make() -> None:
            made = DockerContainer(self._image, env=dict(environment), volumes=[(volume, self._keeps, "rw")])
            cast("dict[str, Any]", made.ports)[f"{inside}/tcp"] = (HOST, self.port)
            try:
                made.with_name(container).with_command(list(command)).start()
            finally:
                made.get_docker_client().client.close()

        try:
            await _to_its_end(make)
            await self._answers(answers, within)
        except (DockerException, OSError) as error:
            await self.kill()
            raise StartError(f"{self.name} could not be started in a container of {self._image}: {error}") from error
        except BaseException:
            await self.kill()
            raise

    def _prepare(self) -> str:
        """Make sure of engine and image; returns the volume's name. One that is older than its folder is a former life's."""
        require(self._image)
        kept = self._folder / "volume"
        if not kept.exists():
            name = f"sojourn-{self.name.lower()}-{hashlib.sha256(str(self._folder).encode()).hexdigest()[:12]}"
            with engine() as client, suppress(NotFound):
                client.volumes.get(name).remove()
            self._folder.mkdir(parents=True, exist_ok=True)
            kept.write_text(name)
        return kept.read_text()

    async def _answers(self, answers: Callable[[], Awaitable[bool]], within: float) -> None:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            await asyncio.to_thread(self._require_alive)
            if await answers():
                return
            await asyncio.sleep(0.1)
        raise await asyncio.to_thread(self._failure, f"did not answer within {within:.0f} s")

    def _require_alive(self) -> None:
        assert self.running is not None  # noqa: S101 - for the type checker
        if self.running.find() is None:
            raise self._failure("ended")

    def _failure(self, what: str) -> StartError:
        assert self.running is not None  # noqa: S101 - for the type checker
        with engine(self.running.engine) as client:
            found = _found(client, self.running.container)
            end = found.logs(tail=15).decode(errors="replace").strip() if found is not None else ""
        return StartError(f"{self.name} {what}; the end of its log:\n{end or '(empty)'}")

    def _ended(self) -> None:
        if self.running is not None:
            leash.release_container(self.running.container)
        self.running = None


class KafkaContainer(Container):
    """One broker in KRaft mode."""

    def __init__(self, folder: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__("Kafka", KAFKA_IMAGE, folder, keeps="/var/lib/kafka/data", port=port)
        self._settings = dict(settings or {})

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    async def start(self, within: float = 120) -> None:
        """Return when the broker answers; raise ``StartError``, with nothing left running, when it does not."""
        # Inside it has the same port, since it also talks to itself at the address that it advertises.
        settings = kafka.settings_of(1, 1) | {
            "listeners": f"PLAINTEXT://0.0.0.0:{self.port},CONTROLLER://{HOST}:9093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{HOST}:9093",
            "log.dirs": self._keeps,
        }
        named = {
            f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in (settings | self._settings).items()
        }
        await self._start(named | {"KAFKA_HEAP_OPTS": "-Xmx512m"}, [], self.port, self._is_up, within)

    async def _is_up(self) -> bool:
        if not await asyncio.to_thread(_stays_open, self.port):
            return False
        _, brokers = await kafka.described(self.bootstrap)
        return 1 in brokers


class PostgresContainer(Container):
    """One server, with a password that stays in ``folder``."""

    def __init__(self, folder: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__("PostgreSQL", POSTGRES_IMAGE, folder, keeps="/var/lib/postgresql", port=port)
        self._settings = postgres.SETTINGS | dict(settings or {})

    @property
    def admin_url(self) -> str:
        """Of the superuser, with its password: not for logs."""
        return f"postgresql://{postgres.ADMIN}:{self._password()}@{HOST}:{self.port}/postgres"

    async def start(self, within: float = 120) -> None:
        """Return when the server answers; raise ``StartError``, with nothing left running, when it does not."""
        environment = {
            "POSTGRES_USER": postgres.ADMIN,
            "POSTGRES_PASSWORD": self._password(),
            "POSTGRES_INITDB_ARGS": " ".join(postgres.INITDB),
        }
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        await self._start(environment, ["postgres", *options], 5432, self._is_up, within)

    async def _is_up(self) -> bool:
        return await postgres.takes_a_query(self.admin_url)

    def _password(self) -> str:
        file = self._folder / "admin.password"
        if not file.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            postgres.private_file(file, secrets.token_urlsafe(24))
        return file.read_text()


def require(image: str) -> None:
    """Raise ``StartError``, which says what is missing and how to get it, without an engine or this image on it."""
    with engine() as client:
        try:
            client.images.get(testcontainers_config.hub_image_name_prefix + image)
        except ImageNotFound:
            raise StartError(f"the container engine has no image {image}: `docker pull {image}` gets it") from None


def remove_volumes(folder: Path) -> None:
    """Remove what containers of this folder's kept; none of them may be running."""
    for kept in folder.glob("*/volume"):
        with engine() as client, suppress(NotFound):
            client.volumes.get(kept.read_text()).remove()
        kept.unlink()


@contextmanager
def engine(host: str | None = None) -> Iterator[docker.DockerClient]:
    """The engine that testcontainers uses, or the one at that ``DOCKER_HOST``; what it refuses is a ``StartError``."""
    host = (get_docker_host() or "") if host is None else host
    try:
        client = docker.from_env(environment={**os.environ, "DOCKER_HOST": host})
    except (DockerException, OSError) as error:
        raise StartError(
            f"no container engine answers at {host or 'its default address'}: start Docker (or Podman, with DOCKER_HOST set"
            f" to its socket), or leave out BACKING for servers that need none ({error})"
        ) from error
    try:
        yield client
    except (DockerException, OSError) as error:
        raise StartError(f"the container engine refused: {error}") from error
    finally:
        client.close()


def _found(client: docker.DockerClient, container: str) -> Found | None:
    try:
        return client.containers.get(container)
    except NotFound:
        return None


def _stays_open(port: int) -> bool:
    """Whether somebody is behind it: an engine takes connections from the start, and closes them while nobody is."""
    with socket.socket() as probe:
        probe.settimeout(0.3)
        try:
            probe.connect((HOST, port))
            return probe.recv(1) != b""
        except TimeoutError:
            return True
        except OSError:
            return False


async def _to_its_end(work: Callable[[], None]) -> None:
    """Do it in a thread. Who cancels waits until it is done, since what it makes is then to be removed."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait((doing,))
        raise
