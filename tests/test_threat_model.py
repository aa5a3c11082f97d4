"""The threat model names tests that are there."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| Edge or asset")]


def missing(text: str) -> list[str]:
    """Rows without a test, and tests that no file defines."""
    lacking = [row for row in rows(text) if not NAMED.search(row)]
    for file, name in NAMED.findall(text):
        path = REPOSITORY / file
        defined = ast.parse(path.read_text()).body if path.exists() else []
        if name not in {each.name for each in defined if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}:
            lacking.append(f"{file}::{name}")
    return lacking


def test_each_threat_has_a_test_that_is_there():
    text = (REPOSITORY / "docs" / "threat-model.md").read_text()
    assert len(rows(text)) > 25
    assert missing(text) == []


def test_a_threat_without_a_test_and_a_test_that_is_gone_would_be_found():
    assert missing("| HTTP | S: somebody | nothing | |") == ["| HTTP | S: somebody | nothing | |"]
    gone = "tests/test_threat_model.py::test_that_is_gone"
    assert missing(f"| HTTP | S: somebody | something | `{gone}` |") == [gone]
