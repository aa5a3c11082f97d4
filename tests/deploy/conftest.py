"""Folders for the servers that tests here start themselves."""

import itertools
from pathlib import Path

import pytest

_count = itertools.count(1)


@pytest.fixture
def server_folder(backing_folder: Path) -> Path:
    """A folder for one server of one test; not under pytest's own, which another user may not pass."""
    return backing_folder / f"server-{next(_count)}"
