"""The example subscribers as programs: what starts each, and what those that read Kafka have kept."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.subscribers import toolchain

EXAMPLES = REPOSITORY / "docs" / "subscribers"
JAVA = EXAMPLES / "java" / "src" / "main" / "java" / "Subscriber.java"
CURL = EXAMPLES / "curl" / "subscriber.sh"

Row = tuple[str, str, str, Any]
"""Topic, subject, id and data of an event that is kept."""


def python() -> list[str]:
    return [sys.executable, str(EXAMPLES / "python" / "subscriber.py")]


def java() -> list[str]:
    return toolchain.java(EXAMPLES / "java" / "pom.xml", JAVA)


def typescript() -> list[str]:
    return toolchain.node(EXAMPLES / "typescript", "subscriber.ts")


def kept(store: Path) -> list[Row]:
    """What a subscriber to Kafka keeps, in the order in which it kept it."""
    if not store.exists():
        return []
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)) as reading:
        try:
            rows = reading.execute("select topic, subject, id, data from event order by rowid").fetchall()
        except sqlite3.OperationalError:  # it is being made
            return []
    return [(topic, subject, id_, None if data is None else json.loads(data)) for topic, subject, id_, data in rows]


def pages(store: Path) -> list[dict[str, Any]]:
    """The events that the subscriber over HTTP keeps, in the order of its pages."""
    found = sorted(store.glob("*/*.page"))
    return [json.loads(line) for page in found for line in page.read_text().splitlines()[1:]]
