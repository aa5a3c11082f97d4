"""The command `sojourn-contracts conformance`, on a real broker, against subscribers that are processes of their own."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from sojourn_contracts.catalogue import reserved
from sojourn_contracts.command import command
from sojourn_contracts.kit.conformance import CHECKS
from sojourn_contracts.kit.history import FORGOTTEN
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from tests.subscribers.samples import TOPICS

OUTCOME = re.compile(r"^(kept|VIOLATED|not asked) +([a-z_, ]+)", re.MULTILINE)
COMMAND = Path(sys.executable).with_name("sojourn-contracts")


class Ended(NamedTuple):
    code: int | None
    out: str
    error: str

    @property
    def outcomes(self) -> dict[str, str]:
        """By check."""
        return {names: outcome for outcome, names in OUTCOME.findall(self.out)}


async def conformance(*arguments: str) -> Ended:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "250", "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        COMMAND, "conformance", *arguments, stdout=PIPE, stderr=PIPE, env=environment
    )
    async with asyncio.timeout(90):
        out, error = await process.communicate()
    return Ended(process.returncode, out.decode(), error.decode())


def of(kafka: str, kind: str, folder: Path) -> list[str]:
    file = folder / f"{kind}.json"
    return [
        *("--bootstrap", kafka, "--topic", f"own-{uuid4().hex[:8]}", "--events", ",".join(TOPICS)),
        *("--run", f"{sys.executable} -m tests.subscribers.sample_process {kind} {file}", "--state-file", str(file)),
    ]


def asked(*names: str) -> list[str]:
    return [argument for name in names for argument in ("--check", name)]


async def test_a_subscriber_that_is_right_keeps_every_promise(kafka: str, tmp_path: Path):
    ended = await conformance(*of(kafka, "right", tmp_path))
    assert ended.outcomes == dict.fromkeys(CHECKS, "kept"), ended
    assert ended.code == 0


async def test_promises_that_are_broken_are_named_and_the_others_are_asked_all_the_same(kafka: str, tmp_path: Path):
    names = ("duplicates", "unknown_fields", "gaps")
    strict, forgetful = await asyncio.gather(
        conformance(*of(kafka, "unknown_fields", tmp_path), *asked(*names)),
        conformance(*of(kafka, "tombstone_first", tmp_path), *asked("tombstones", "tombstone_first")),
    )
    assert strict.outcomes == {"duplicates": "kept", "unknown_fields": "VIOLATED", "gaps": "kept"}, strict
    assert "its command ended with 1" in strict.out
    assert forgetful.outcomes == {"tombstones": "kept", "tombstone_first": "VIOLATED"}, forgetful
    assert f"erased subjects are in the state: {min(FORGOTTEN)}" in forgetful.out
    assert (strict.code, forgetful.code) == (1, 1)


def in_process(*arguments: str) -> Ended:
    """For who starts no subscriber: quicker."""
    ended = CliRunner().invoke(command, ["conformance", *arguments], env={"COLUMNS": "250", "NO_COLOR": "1"})
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def test_who_stands_still_and_was_started_by_others_is_asked_nothing_more(kafka: str):
    topic, state = f"own-{uuid4().hex[:8]}", "echo '{\"subjects\": {}}'"
    ended = in_process(
        *("--bootstrap", kafka, "--topic", topic, "--events", "CompanyUpdated", "--within", "0.2"),
        *("--state-command", state, *asked("duplicates", "gaps", "batching")),
    )
    assert ended.outcomes == {"duplicates": "VIOLATED", "gaps, batching": "not asked"}
    assert "its state does not have what it was told last" in ended.out
    assert ended.code == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--topic", "CompanyUpdated"), "CompanyUpdated is a topic of the catalogue"),
        (("--check", "whatever"), "no check is called whatever; there are knows, duplicates"),
        (("--state-url", "http://localhost"), "one of --state-url, --state-command and --state-file is needed"),
        (("--events", "NeverHeardOf"), "this kit knows nothing to tell on NeverHeardOf"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_written(arguments: tuple[str, str], reason: str):
    given = {"--bootstrap": "127.0.0.1:1", "--topic": "own", "--events": "CompanyUpdated", "--state-command": "cat it"}
    given |= {arguments[0]: arguments[1]}
    refused = in_process(*(text for option in given.items() for text in option))
    assert (refused.code, refused.out) == (2, "")
    assert reason in refused.error


def test_a_broker_that_is_away_is_told_in_a_line():
    away = in_process(
        *("--bootstrap", "127.0.0.1:1", "--topic", "own", "--events", "CompanyUpdated", "--state-command", "cat it")
    )
    assert (away.code, away.out) == (2, "")
    assert away.error.startswith("not asked: KafkaConnectionError")


@pytest.mark.parametrize("name", ["CompanyUpdated", "CompanyUpdated.v2", "relay-position", "__consumer_offsets"])
def test_topics_of_the_services_are_no_subscribers_own(name: str):
    assert reserved(name)
    assert reserved(f"mirror-of-{name}") is None
