"""The canonical examples as Kafka records."""

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.json"))


@dataclass(frozen=True)
class Example:
    key: str
    value: dict[str, Any]
    headers: dict[str, str]

    @property
    def record(self) -> tuple[bytes, list[tuple[str, bytes]]]:
        """Value and headers, as ``decode`` takes them."""
        return json.dumps(self.value).encode(), [(name, text.encode()) for name, text in self.headers.items()]

    def but(self, *path: str | int, value: Any) -> "Example":
        """The same with another value at a place of its data."""
        changed = json.loads(json.dumps(self.value))
        holder = changed
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value
        return replace(self, value=changed)

    def without(self, *path: str | int) -> "Example":
        """The same without a field of its data."""
        changed = json.loads(json.dumps(self.value))
        holder = changed
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]
        return replace(self, value=changed)

    def headed(self, **headers: str | None) -> "Example":
        """The same with other headers; None leaves one out."""
        changed = {name: text for name, text in (self.headers | headers).items() if text is not None}
        return replace(self, headers=changed)


@cache
def example(name: str) -> Example:
    document = json.loads((EXAMPLES / f"{name}.json").read_text())
    return Example(document["key"], document["value"], document["headers"])
