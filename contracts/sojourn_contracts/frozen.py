"""What is published never changes: the schemas, and golden messages of each version, which every later code has to read.

``frozen.toml`` has the digest of each such file. ``make freeze`` runs this module: it writes the golden messages of versions
that have none yet, from the canonical example, and adds the digests of what is new; it changes nothing that is there.
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sojourn_contracts import compatibility
from sojourn_contracts.compatibility import Json, Version

CONTRACTS = Path(__file__).parents[1]
COMMAND = "make freeze"
DIGESTS = "frozen.toml"
FOLDERS = ("golden", "published")
HEAD = (
    f"# SHA-256 of what is published. No line here changes or goes; `{COMMAND}` adds those of new files.\n\n[sha256]\n"
)


class Refused(Exception):  # noqa: N818 - nothing failed
    """What is there cannot be published, or is published and was changed: each line says which file, and why."""


def recorded(contracts: Path) -> dict[str, str]:
    """The digests by path, as they were written down."""
    path = contracts / DIGESTS
    return tomllib.loads(path.read_text())["sha256"] if path.exists() else {}


def digests(contracts: Path) -> dict[str, str]:
    """Those of the files that there are."""
    files = sorted(path for folder in FOLDERS for path in (contracts / folder).rglob("*") if path.is_file())
    return {path.relative_to(contracts).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def wrong(contracts: Path) -> list[str]:
    """What was done to files that are frozen."""
    there = digests(contracts)
    return [
        f"{path} is published and never changes: {'it differs' if path in there else 'it is gone'}"
        for path, digest in recorded(contracts).items()
        if there.get(path) != digest
    ]


def missing(contracts: Path) -> list[str]:
    """What is not frozen yet."""
    return [f"{path} is not frozen: run `{COMMAND}`" for path in digests(contracts).keys() - recorded(contracts).keys()]


def freeze(contracts: Path) -> list[str]:
    """Writes golden messages and digests of what is new; the paths of what is frozen by it.

    Raises:
        Refused: a frozen file was changed, or a new version breaks a rule of ``compatibility``; nothing is written.
    """
    before = recorded(contracts)
    published = compatibility.versions(contracts / "published")
    former = {version: schema for version, schema in published.items() if _path("published", version) in before}
    if refused := wrong(contracts) + [str(each) for each in compatibility.findings(former, published)]:
        raise Refused("\n".join(refused))
    for version, schema in published.items():
        path = contracts / _path("golden", version)
        if not path.exists():
            example = json.loads((contracts / "examples" / f"{version.event}.json").read_text())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(golden(version, schema, example), indent=2, ensure_ascii=False) + "\n")
    lines = [f'"{path}" = "{digest}"\n' for path, digest in digests(contracts).items()]
    (contracts / DIGESTS).write_text(HEAD + "".join(lines))
    return sorted(recorded(contracts).keys() - before.keys())


def golden(version: Version, schema: Json, example: Json) -> dict[str, Json]:
    """Records of a version, from an example of it or of a later one: all that a producer of that version may write.

    ``full`` has every field, ``required`` no optional one, at any depth; in ``empty``, lists and dictionaries are so, too, and in
    ``null`` is what can be null. ``tombstone`` has no value.
    """
    headers = example["headers"] | {"ce_dataschema": f"urn:sojourn:schema:{version.event}:{version.number}"}
    values = {
        "full": _Form(schema, optional=True, filled=True, nulls=False),
        "required": _Form(schema, optional=False, filled=True, nulls=False),
        "empty": _Form(schema, optional=False, filled=False, nulls=False),
        "null": _Form(schema, optional=True, filled=True, nulls=True),
    }
    records = {name: form.of(schema, example["value"]) for name, form in values.items()} | {"tombstone": None}
    return {name: {"headers": headers, "key": example["key"], "value": value} for name, value in records.items()}


@dataclass(frozen=True)
class _Form:
    """An example as a schema names its fields."""

    document: Json
    optional: bool
    filled: bool
    nulls: bool

    def of(self, schema: Json, value: Any) -> Any:
        if "$ref" in schema:
            return self.of(self.document["$defs"][schema["$ref"].rpartition("/")[2]], value)
        if "anyOf" in schema:
            kinds = [each for each in schema["anyOf"] if each != {"type": "null"}]
            return (
                None
                if value is None or (self.nulls and len(kinds) < len(schema["anyOf"]))
                else self.of(kinds[0], value)
            )
        if isinstance(value, dict):
            return self._object(schema, cast(Json, value))
        if isinstance(value, list):
            return [self.of(schema["items"], each) for each in cast("list[Any]", value)] if self.filled else []
        return value

    def _object(self, schema: Json, value: Json) -> Json:
        if "properties" not in schema:
            return value if self.filled else {}
        names = schema["properties"] if self.optional else schema["required"]
        return {name: self.of(schema["properties"][name], value[name]) for name in names if name in value}


def _path(folder: str, version: Version) -> str:
    return f"{folder}/{version.event}/{version.number}.json"


def main() -> None:
    try:
        for path in freeze(CONTRACTS):
            print(path)
    except Refused as refused:
        raise SystemExit(str(refused)) from None


if __name__ == "__main__":
    main()
