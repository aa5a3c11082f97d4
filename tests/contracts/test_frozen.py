"""What is published stays as it is; what was ever published and what is emitted today is read by each other's readers."""

import json
import shutil
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator
from sojourn_contracts import frozen, generated
from sojourn_contracts.catalogue import BY_NAME
from sojourn_contracts.compatibility import Version, findings
from sojourn_contracts.envelope import Envelope, decode, encode

from tests.conftest import REPOSITORY
from tests.contracts.examples import example
from tests.contracts.made_events import making
from tests.contracts.readers import PUBLISHED, reader

Json = dict[str, Any]

CONTRACTS = REPOSITORY / "contracts"
VARIANTS = {"full", "required", "empty", "null", "tombstone"}
DICTIONARIES = ("answers", "parameters")
MADE = 60
"""Events of each kind, beside the golden ones."""
EACH = pytest.mark.parametrize("version", PUBLISHED, ids=lambda version: f"{version.event}-{version.number}")


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A copy to break."""
    for folder in (*frozen.FOLDERS, "examples"):
        shutil.copytree(CONTRACTS / folder, tmp_path / "contracts" / folder)
    shutil.copy(CONTRACTS / frozen.DIGESTS, tmp_path / "contracts")
    return tmp_path / "contracts"


@cache
def validator(version: Version) -> Draft202012Validator:
    return Draft202012Validator(PUBLISHED[version], format_checker=Draft202012Validator.FORMAT_CHECKER)


@cache
def golden(version: Version) -> dict[str, Json]:
    return json.loads((CONTRACTS / "golden" / version.event / f"{version.number}.json").read_text())


def values(version: Version) -> list[Json]:
    return [record["value"] for record in golden(version).values() if record["value"] is not None]


def others(version: Version) -> list[Version]:
    """All versions that have to read this one, itself included."""
    return [other for other in PUBLISHED if (other.event, other.major) == (version.event, version.major)]


def newest(event: str) -> Version:
    return max(version for version in PUBLISHED if version.event == event)


# what is frozen


def test_no_file_that_was_published_differs_or_is_gone():
    assert frozen.wrong(CONTRACTS) == []


def test_every_file_that_is_published_is_frozen():
    assert frozen.missing(CONTRACTS) == []


def test_every_version_keeps_to_the_rules_with_regard_to_all_earlier_ones():
    assert list(map(str, findings({}, PUBLISHED))) == []


@pytest.mark.parametrize("path", ["published/MatchProposed/1.0.json", "golden/ExchangeUpdated/1.0.json"])
def test_a_file_that_was_changed_or_removed_is_named(contracts: Path, path: str):
    sound = (contracts / path).read_bytes()
    (contracts / path).write_bytes(sound + b" ")
    assert frozen.wrong(contracts) == [f"{path} is published and never changes: it differs"]
    with pytest.raises(frozen.Refused, match=path):
        frozen.freeze(contracts)
    (contracts / path).unlink()
    assert frozen.wrong(contracts) == [f"{path} is published and never changes: it is gone"]
    with pytest.raises(frozen.Refused, match=path):
        frozen.freeze(contracts)


def add(contracts: Path, number: str, **properties: Any) -> str:
    path = f"published/MatchDeclined/{number}.json"
    schema = json.loads((contracts / "published" / "MatchDeclined" / "1.0.json").read_text())
    schema["properties"] |= properties
    (contracts / path).write_text(json.dumps(schema))
    return path


def test_a_new_version_is_frozen_with_its_golden_messages_and_nothing_else_changes(contracts: Path):
    before = frozen.recorded(contracts)
    path = add(contracts, "1.1", waited_days={"type": "integer", "minimum": 0})
    assert frozen.missing(contracts) == [f"{path} is not frozen: run `make freeze`"]
    assert frozen.freeze(contracts) == ["golden/MatchDeclined/1.1.json", path]
    after = frozen.recorded(contracts)
    assert before.items() <= after.items()
    assert after == frozen.digests(contracts)
    record = json.loads((contracts / "golden" / "MatchDeclined" / "1.1.json").read_text())["full"]
    assert record["headers"]["ce_dataschema"] == "urn:sojourn:schema:MatchDeclined:1.1"
    assert frozen.freeze(contracts) == []


def test_a_new_version_that_breaks_readers_is_not_frozen(contracts: Path):
    add(contracts, "1.1", by={"type": "string"})
    before = frozen.recorded(contracts)
    with pytest.raises(frozen.Refused, match=r"MatchDeclined 1\.1 against 1\.0: \$\.by: enum"):
        frozen.freeze(contracts)
    assert frozen.recorded(contracts) == before
    assert not (contracts / "golden" / "MatchDeclined" / "1.1.json").exists()


def test_a_schema_that_is_frozen_is_not_written_anew(contracts: Path):
    shutil.copy(REPOSITORY / "README.md", contracts.parent)
    written = generated.write(contracts.parent)
    assert Path("contracts/asyncapi.yaml") in written
    assert not [path for path in written if "published" in path.parts]
    path = contracts / "published" / "MatchProposed" / "1.0.json"
    path.write_text("{}")
    (contracts / "asyncapi.yaml").unlink()
    with pytest.raises(frozen.Refused, match=r"MatchProposed/1\.0\.json is published and never changes: raise"):
        generated.write(contracts.parent)
    assert (path.read_text(), (contracts / "asyncapi.yaml").exists()) == ("{}", False)


# golden messages of every version, and today's code


@EACH
def test_each_version_has_golden_messages_of_every_kind(version: Version):
    assert golden(version).keys() == VARIANTS
    fields = PUBLISHED[version]["properties"].keys()
    assert golden(version)["full"]["value"].keys() == fields
    assert golden(version)["required"]["value"].keys() == set(PUBLISHED[version]["required"])


@EACH
def test_todays_code_reads_golden_messages_and_loses_nothing(version: Version):
    for record in golden(version).values():
        value = None if record["value"] is None else json.dumps(record["value"]).encode()
        headers = [(name, text.encode()) for name, text in record["headers"].items()]
        envelope = decode(value, headers)
        assert (envelope.event, str(envelope.subject)) == (BY_NAME[version.event].event, record["key"])
        assert str(envelope.id) == record["headers"]["ce_id"]
        assert record["headers"]["ce_dataschema"] == f"urn:sojourn:schema:{version.event}:{version.number}"
        key, written, _ = encode(envelope)
        assert key.decode() == record["key"]
        if record["value"] is None:
            assert written is None
        else:
            assert within(record["value"], json.loads(written or b""))


def within(part: Any, whole: Any) -> bool:
    """All of it is there, at every depth; what was missing may stand there by default."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and within(each, whole[name]) for name, each in part.items()
        )
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(within, part, whole))
    return part == whole


def test_something_that_is_lost_is_seen():
    assert within({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": None}]})
    assert not within({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]})
    assert not within({"a": [1, 2]}, {"a": [1]})


@EACH
def test_every_version_of_the_model_reads_the_golden_messages_of_every_other(version: Version):
    for other, value in product(others(version), values(version)):
        read_by(other, value)


# today's messages, and the models of every version


@cache
def todays(event: str) -> list[Json]:
    """What today's code writes: the canonical example, and events made at random, through the models and the encoding."""
    kind, by = BY_NAME[event].event, Random(event)
    make = making(PUBLISHED[newest(event)], by)
    made = [example(event).value, *(make() for _ in range(MADE))]
    now = datetime.now(UTC)
    written: list[Json] = []
    for value in made:
        data = kind.model_validate_json(json.dumps(value))
        _, content, _ = encode(Envelope(uuid4(), "sojourn/test", kind, data.subject, now, data, 1))
        written.append(json.loads(content or b""))
    return written


@EACH
def test_every_version_of_the_model_reads_what_is_written_today(version: Version):
    for value in todays(version.event):
        read_by(version, value)


@EACH
def test_every_version_of_the_model_reads_a_later_event_with_more_fields_at_every_depth(version: Version):
    for value in values(version):
        read_by(version, more(value))


def more(value: Any) -> Any:
    """With an unknown field wherever one may come: not in a dictionary."""
    if isinstance(value, list):
        return [more(each) for each in value]
    if isinstance(value, dict):
        inner = {name: each if name in DICTIONARIES else more(each) for name, each in value.items()}
        return inner | {"a_later_field": [None]}
    return value


def read_by(version: Version, value: Json) -> None:
    """By its schema with all formats, and by a typed reader made from it, which reads what it knows of."""
    assert [error.message for error in validator(version).iter_errors(value)] == []
    read = reader(version).validate_json(json.dumps(value))
    said = read.model_dump(mode="json", exclude_unset=True)
    assert said.keys() == value.keys() & PUBLISHED[version]["properties"].keys()
    assert within(said, value)
