"""What is checked in is what the catalogue and the events' classes say today."""

from pathlib import Path

import pytest
from sojourn_contracts import generated
from sojourn_contracts.catalogue import TABLE, TOPICS

from tests.conftest import REPOSITORY

WANTED = generated.files()
PUBLISHED = REPOSITORY / "contracts" / "published"


@pytest.mark.parametrize("path", WANTED, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_generated_file_is_up_to_date(path: Path):
    assert path.is_file() and path.read_text() == WANTED[path], (
        f"{path.relative_to(REPOSITORY)} is not what the catalogue and the events' classes say: run `{generated.COMMAND}`"
    )


def test_generating_again_gives_the_same():
    assert generated.files() == WANTED


def test_every_version_of_every_event_is_published_and_nothing_else_is():
    versions = [(topic.event, minor) for topic in TABLE for minor in range(topic.event.minor + 1)]
    wanted = {PUBLISHED / event.__name__ / f"{event.major}.{minor}.json" for event, minor in versions}
    assert {path for path in PUBLISHED.rglob("*") if path.is_file()} == wanted


def test_the_readmes_table_has_every_event_and_marks_those_that_are_planned():
    rows = generated.table().splitlines()[2:]
    assert len(rows) == len(TABLE)
    for topic, row in zip(TABLE, rows, strict=True):
        assert f"[{topic.name}]" in row
        assert ("(planned)" in row) is (topic not in TOPICS)
        assert all(service in row for service in (*topic.producers, *topic.consumers))


def test_the_table_replaces_what_stands_between_its_marks_and_nothing_else():
    readme = f"before\n{generated.BEGIN}\nold\n{generated.END}\nafter\n"
    assert (
        generated.with_table(readme) == f"before\n{generated.BEGIN}\n\n{generated.table()}\n\n{generated.END}\nafter\n"
    )
    with pytest.raises(ValueError, match="lacks the marks"):
        generated.with_table("a README without marks")
