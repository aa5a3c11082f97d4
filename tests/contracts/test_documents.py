"""What README and docs say of this repository is there: paths, quoted code, tests, guarantees, commands."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
ALL = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))

LINK = re.compile(r"\]\((?!https?:|#|mailto:)(?P<path>[^)#\s]+)")
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED_TEST = re.compile(r"`(test_[a-z0-9_]+)`")
NUMBER = re.compile(r"\[(\d+)\]")
TARGET = re.compile(r"\bmake ([a-z][a-z-]+)")

CODE = "\n".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
GUARANTEES = set(re.findall(r"^\| (\d+) \|", (REPOSITORY / "docs" / "guarantees.md").read_text(), re.MULTILINE))


@ALL
def test_every_path_that_is_linked_exists(document: Path):
    text = document.read_text()
    missing = [link["path"] for link in LINK.finditer(text) if not (document.parent / link["path"]).exists()]
    assert missing == []


@ALL
def test_quoted_code_stands_in_the_file_that_it_names_and_other_code_runs(document: Path):
    names: dict[str, object] = {}
    for block in PYTHON.findall(document.read_text()):
        first, _, rest = block.partition("\n")
        if first.startswith("# ") and first.endswith(".py"):
            assert rest in (REPOSITORY / first.removeprefix("# ")).read_text()
        else:
            exec(block, names)


@ALL
def test_every_test_that_is_named_exists(document: Path):
    missing = [name for name in NAMED_TEST.findall(document.read_text()) if not re.search(rf"def {name}\(", CODE)]
    assert missing == []


@ALL
def test_every_make_target_that_is_named_exists(document: Path):
    code = re.findall(r"`([^`\n]+)`|^(make .*)$", document.read_text(), re.MULTILINE)
    named = {target for span in code for part in span for target in TARGET.findall(part)}
    assert named <= TARGETS


def test_every_guarantee_that_is_cited_has_its_number():
    assert {str(number + 1) for number in range(len(GUARANTEES))} == GUARANTEES
    cited = set(NUMBER.findall((REPOSITORY / "docs" / "how-an-event-travels.md").read_text()))
    assert len(cited) > 15
    assert cited <= GUARANTEES
