"""The images of the services, built here on a stand-in of their base, and a system whose services run in them."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException
from laptop import leash
from laptop.process import Process, Running, StartError
from laptop.system import System
from testcontainers.core.container import DockerContainer

from tests.conftest import REPOSITORY
from tests.deploy.rendered import tool

DOCKERFILE = Path("deploy/Dockerfile")
USER = 10001 if os.getuid() == 0 else os.getuid()
"""Who runs in containers: never root, and somebody who can read what the test wrote."""


WRITABLE = ("warehouse", "numba")
"""Folders of a system that its containers may write to: the survey's files, and what matching compiles."""


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def tag(service: str) -> str:
    return f"sojourn-test/{service}"


def confined(
    image: str, environment: Mapping[str, str], network: str, entrypoint: str | None = None
) -> DockerContainer:
    """A container that may do nothing which no service needs, and whose shell, should anybody start one, does not run."""
    made = DockerContainer(image, env=dict(environment)).with_tmpfs_mount("/tmp")
    made.with_volume_mapping("/dev/null", "/usr/bin/dash").with_volume_mapping("/dev/null", "/usr/bin/bash")
    return made.with_kwargs(
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        user=f"{USER}:{USER}",
        network_mode=network,
        entrypoint=entrypoint,
    )


def require_engine() -> None:
    """Skip, and say so, where images cannot be built."""
    if sys.platform != "linux":
        pytest.skip("IMAGES ARE NOT TESTED: containers share the network of this machine on Linux alone")
    try:
        docker.from_env().close()
    except (DockerException, OSError) as error:
        pytest.skip(f"IMAGES ARE NOT TESTED: no container engine answers (Debian: apt-get install docker.io): {error}")


@cache
def base() -> str:
    """What stands in for the official image of Python, made when it is first asked for."""
    done = subprocess.run([tool("stand-in-image.sh")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def build(service: str, *options: str, named: str | None = None, sources: Path = REPOSITORY) -> str:
    """The image's name."""
    name = named or tag(service)
    arguments = [f"--build-arg=SERVICE={service}", f"--build-arg=PYTHON_IMAGE={base()}", f"--tag={name}", *options]
    command = [
        "docker",
        "build",
        "--quiet",
        "--network=host",
        f"--file={sources / DOCKERFILE}",
        *arguments,
        str(sources),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return name


def ran(image: str, *command: str, entrypoint: str | None = None) -> tuple[int, str]:
    """Runs a command in an image, confined, to its end: its exit code, and what it said."""
    container = confined(image, {}, "none", entrypoint).with_command(list(command)).start()
    try:
        found = container.get_wrapped_container()
        code = found.wait(timeout=60)["StatusCode"]
        return code, found.logs().decode()
    finally:
        container.stop()
        container.get_docker_client().client.close()


class ContainedProcess(Process):
    """A process of the system in a container of its service's image, on the network of this machine."""

    def __init__(
        self, name: str, service: str, does: Sequence[str], log: Path, environment: dict[str, str], system: Path
    ):
        super().__init__(name, does, log=log, environment=environment)
        self._image = tag(service)
        self._does = does
        self._given = {key: value for key, value in environment.items() if os.environ.get(key) != value}
        self._system = system
        self._container: Any = None
        self.entrypoint: str | None = None
        """Instead of the image's own."""

    def spawn(self) -> None:
        name = f"sojourn-test-{secrets.token_hex(6)}"
        leash.hold_container(name, os.environ.get("DOCKER_HOST", ""))
        made = confined(self._image, self._given, "host", self.entrypoint)
        made.with_volume_mapping(self._system, str(self._system), "ro")
        for folder in WRITABLE:
            made.with_volume_mapping(self._system / folder, str(self._system / folder), "rw")
        made.with_name(name).with_command(list(self._does)).start()
        self._container = made.get_wrapped_container()
        self.running = Running(name, 0, 0)

    @property
    def exit_code(self) -> int | None:
        if self._container is None:
            return None
        self._container.reload()
        state = self._container.attrs["State"]
        if state["Status"] != "exited":
            return None
        code = state["ExitCode"]
        return 128 - code if code > 128 else code

    @property
    def alive(self) -> bool:
        return self._container is not None and self.exit_code is None

    def written(self) -> str:
        """What it wrote to its standard output."""
        return self._container.logs(stderr=False).decode()

    async def ended(self, within: float) -> int:
        """Its exit code, once it has ended by itself."""
        return (await asyncio.to_thread(self._container.wait, timeout=within))["StatusCode"]

    async def stop(self, within: float = 20) -> int | None:
        return await asyncio.to_thread(self._stopped, within)

    async def kill(self) -> None:
        await asyncio.to_thread(self._stopped, 0)

    def _stopped(self, within: float) -> int | None:
        if self._container is None:
            return None
        if within:
            self._container.stop(timeout=int(within))
        else:
            with suppress(DockerException):
                self._container.kill()
                self._container.wait()
        code = self.exit_code
        self._keep_log()
        name = self._container.name
        self._container.remove(force=True, v=True)
        self._container.client.close()
        self._container = self.running = None
        leash.release_container(name)
        return code

    def _keep_log(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(self._container.logs())

    def log_end(self, lines: int = 15) -> str:
        return super().log_end(lines) if self._container is None else self._container.logs(tail=lines).decode()

    def let_go(self) -> None:
        raise NotImplementedError("a test ends what it started")


class ContainedSystem(System):
    """Its services run in containers of their images; Kafka, PostgreSQL and the stand-ins of others on this machine."""

    async def start(self) -> None:
        """Compiles what matching does first: on a busy machine that takes longer than a start may."""
        self.folder.mkdir(exist_ok=True)
        command = ["matching", "-c", "from matching.index.compilation import compile_all; compile_all()"]
        compiling = self._process("compiling", command, {"NUMBA_CACHE_DIR": str(self.folder / "numba")})
        compiling.entrypoint = "python"
        await asyncio.to_thread(compiling.spawn)
        try:
            assert await compiling.ended(within=300) == 0, compiling.log_end()
        finally:
            await compiling.kill()
        await super().start()

    def environment(self, service: str) -> dict[str, str]:
        return super().environment(service) | {"NUMBA_CACHE_DIR": str(self.folder / "numba")}

    async def run(self, service: str, *arguments: str, within: float = 180) -> str:
        environment = self.environment(service) | {"MIGRATOR_DATABASE_URL": self.database.migrator_url}
        command = self._process(f"{service}-command", [service, *arguments], environment)
        await asyncio.to_thread(command.spawn)
        try:
            code = await command.ended(within)
            written, end = command.written(), command.log_end()
        finally:
            await command.kill()
        if code != 0:
            raise StartError(f"`{service} {' '.join(arguments)}` ended with {code}:\n{end}")
        return written

    def _process(self, name: str, command: Sequence[str], environment: dict[str, str]) -> ContainedProcess:
        program, *does = command
        for file in (*(made(self.folder / name) for name in WRITABLE), *self.folder.glob("*.json")):
            if os.getuid() == 0:
                os.chown(file, USER, USER)
        return ContainedProcess(name, Path(program).name, does, self.logs / f"{name}.log", environment, self.folder)
