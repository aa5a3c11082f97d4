"""``sojourn-contracts check``: what another repository runs before it publishes a schema."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sojourn_contracts.command import command
from typer.testing import CliRunner

from tests.conftest import REPOSITORY

PUBLISHED = REPOSITORY / "contracts" / "published"
COMMAND = Path(sys.executable).with_name("sojourn-contracts")


@pytest.fixture
def next_(tmp_path: Path) -> Path:
    """A copy of what is published, to which the next versions are added."""
    return shutil.copytree(PUBLISHED, tmp_path / "next")


def checked(old: Path, new: Path, *options: str) -> Result:
    return CliRunner().invoke(command, ["check", str(old), str(new), *options])


def add(folder: Path, version: str, **properties: Any) -> None:
    """The event's first version with other fields, as a later one."""
    schema = json.loads((folder / "CompanyWithdrawn" / "1.0.json").read_text())
    schema["properties"] |= properties
    (folder / "CompanyWithdrawn" / version).write_text(json.dumps(schema))


def test_an_optional_field_may_be_added(next_: Path):
    add(next_, "1.1.json", left_on={"type": "string", "format": "date"})
    done = subprocess.run([COMMAND, "check", PUBLISHED, next_], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("1 pairs compared, 0 breaks\n")


def test_a_break_is_said_with_its_rule_and_path_and_by_the_exit_status(next_: Path):
    add(next_, "1.1.json", left_on={"type": "string", "format": "date"})
    add(next_, "1.2.json", left_on={"type": "integer"}, revision={"type": "integer", "minimum": 0})
    done = checked(PUBLISHED, next_)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "CompanyWithdrawn 1.2 against 1.0: $.revision: bound: minimum was 1, is 0 (the old reader fails)",
        "CompanyWithdrawn 1.2 against 1.1: $.left_on: type: was string, is integer (both fail)",
        "CompanyWithdrawn 1.2 against 1.1: $.revision: bound: minimum was 1, is 0 (the old reader fails)",
        f"{len(list(next_.rglob('*.json')))} versions, 3 pairs compared, 3 breaks",
    ]


def test_for_programs_it_is_one_json_object(next_: Path):
    (next_ / "MatchProposed" / "1.0.json").unlink()
    done = checked(PUBLISHED, next_, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "compatible": False,
        "compared": 0,
        "breaks": [
            {
                "event": "MatchProposed",
                "version": "1.0",
                "against": "1.0",
                "path": "$",
                "rule": "frozen",
                "fails": "both",
                "detail": "is published, and gone",
            }
        ],
    }
    assert json.loads(checked(PUBLISHED, PUBLISHED, "--json").stdout)["compatible"] is True


def test_what_cannot_be_read_is_no_verdict(next_: Path, tmp_path: Path):
    (next_ / "MatchProposed" / "2.json").write_text("{}")
    done = checked(PUBLISHED, next_)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "2.json is not named" in done.stderr
    assert checked(PUBLISHED, tmp_path / "nowhere").exit_code == 2


@pytest.mark.parametrize(("part", "said"), [({"type": "strnig"}, "strnig"), (5, "5"), ({"minimum": "1"}, "minimum")])
def test_what_is_no_schema_is_no_verdict(next_: Path, part: Any, said: str):
    add(next_, "1.1.json", left_on=part)
    done = checked(PUBLISHED, next_)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "CompanyWithdrawn/1.1.json is no JSON Schema: $.properties.left_on" in done.stderr
    assert said in done.stderr
