"""``asyncapi.yaml`` as the official parser takes it: ``@asyncapi/parser`` of npm, in the version that ``parser/`` has locked.

It follows references and has rules of its own, of which the official schema of such documents says nothing.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.subscribers.toolchain import node

DOCUMENT = REPOSITORY / "contracts" / "asyncapi.yaml"
NOT_THE_NEWEST = "asyncapi-latest-version"
"""That there is a version 3.1: what it adds to 3.0 is for robots, and fewer tools read it."""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the parser says of the document, and of two that are broken."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "published").symlink_to(DOCUMENT.parent / "published")
    reference, channel = (yaml.safe_load(DOCUMENT.read_text()) for _ in range(2))
    reference["components"]["messages"]["MatchProposed"]["payload"]["$ref"] = "./published/MatchProposed/9.9.json"
    channel["operations"]["matchingSendsMatchProposed"]["messages"] = [
        {"$ref": "#/channels/MatchDeclined/messages/MatchDeclined"}
    ]
    paths = {"ours": DOCUMENT, "reference": folder / "reference.yaml", "channel": folder / "channel.yaml"}
    paths["reference"].write_text(yaml.safe_dump(reference))
    paths["channel"].write_text(yaml.safe_dump(channel))
    command = [*node(Path(__file__).parent / "parser", "validate.mjs"), *map(str, paths.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return dict(zip(paths, map(json.loads, done.stdout.splitlines()), strict=True))


def test_the_official_parser_takes_the_document_without_an_error_or_a_warning(parsed):
    assert parsed["ours"]["parsed"]
    assert [found for found in parsed["ours"]["found"] if found["code"] != NOT_THE_NEWEST] == []


@pytest.mark.parametrize(
    ("broken", "code", "path"),
    [
        ("reference", "invalid-ref", "components.messages.MatchProposed.payload.$ref"),
        (
            "channel",
            "asyncapi3-operation-messages-from-referred-channel",
            "operations.matchingSendsMatchProposed.messages.0",
        ),
    ],
)
def test_the_official_parser_names_what_is_broken(parsed, broken, code, path):
    assert not parsed[broken]["parsed"]
    errors = [(found["code"], found["path"]) for found in parsed[broken]["found"] if found["severity"] == 0]
    assert errors == [(code, path)]
