"""Folders for the servers that tests here start themselves."""

import itertools
from pathlib import Path

import pytest

_count = itertools.count(1)


@pytest.fixture
def server_folder(backing_folder: Path) -> Path:
    """A folder for one server of one test; not under pytest's own, which another user may not pass."""
    return backing_folder / f"server-{next(_count)}"


LONGEST = ("test_upgrades", "test_images", "test_runbooks", "test_restore", "test_live_alerts", "test_lost_broker")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: begun last, one of them would be what all wait for."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
