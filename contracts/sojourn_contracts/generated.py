"""What this repository holds that the catalogue and the events' classes say already, and the command that writes it.

``make contracts`` runs it: the schemas in ``published/``, ``asyncapi.yaml``, its page and its drawing, and the README's table.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import yaml

from sojourn_contracts import asyncapi, frozen
from sojourn_contracts.catalogue import INTERNAL_RETENTION, TABLE, Cleanup, Topic, Visibility
from sojourn_contracts.flow import diagram
from sojourn_contracts.page import page
from sojourn_contracts.schemas import Json, published, said, schema

REPOSITORY = Path(__file__).parents[2]
COMMAND = "make contracts"
OUTSIDE = {
    Visibility.PUBLIC: "whoever subscribes",
    Visibility.ANALYSTS: "analysts, by a grant",
    Visibility.INTERNAL: "nobody",
}
"""Who reads what no service does."""
BEGIN, END = f"<!-- the catalogue, by `{COMMAND}` -->", "<!-- end of the catalogue -->"


def files(repository: Path = REPOSITORY) -> dict[Path, str]:
    """What the files are to say; all else in the README stays as it is."""
    contracts, readme = repository / "contracts", repository / "README.md"
    schemas = {published(topic.event): schema(topic.event) for topic in TABLE}
    document = asyncapi.document(examples(contracts / "examples"))
    return {
        **{contracts / path: _as_json(content) for path, content in schemas.items()},
        contracts / "asyncapi.yaml": _as_yaml(document),
        contracts / "index.html": page(document, {f"./{path}": content for path, content in schemas.items()}),
        repository / "docs" / "subscribers" / "flow.svg": diagram(document),
        readme: with_table(readme.read_text()),
    }


def examples(folder: Path) -> dict[str, Json]:
    """The canonical examples by event."""
    return {path.stem: cast(Json, json.loads(path.read_text())) for path in folder.glob("*.json")}


def with_table(readme: str) -> str:
    """The text with the catalogue between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the README lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def table() -> str:
    """The catalogue for readers, in Markdown."""
    heads = ("Event", "From", "To", "Says", "Visibility", "Kept", "Key")
    rows = [heads, ("---",) * len(heads), *map(_row, TABLE)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(topic: Topic) -> tuple[str, ...]:
    return (
        f"[{topic.name}](contracts/{published(topic.event)}){' (planned)' if topic.planned else ''}",
        ", ".join(topic.producers),
        ", ".join(topic.consumers) or OUTSIDE[topic.visibility],
        said(topic.event).partition("\n\n")[0],
        topic.visibility,
        "newest per key" if topic.cleanup is Cleanup.COMPACT else f"{INTERNAL_RETENTION // timedelta(days=1)} days",
        f"`{topic.key}`",
    )


def _as_json(content: Json) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


class _Written(yaml.SafeDumper):
    """Nothing is abbreviated by an anchor, and texts of several lines stand as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return yaml.ScalarNode("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Written.add_representer(str, _Written.represent_str)


def _as_yaml(content: Json) -> str:
    # by way of JSON, which makes plain strings of enums
    plain = json.loads(json.dumps(content))
    written = yaml.dump(plain, Dumper=_Written, sort_keys=False, allow_unicode=True, width=120)
    return f"# Generated from the catalogue by `{COMMAND}`.\n{written}"


def main() -> None:
    try:
        for path in write():
            print(path)
    except frozen.Refused as refused:
        raise SystemExit(str(refused)) from None


def write(repository: Path = REPOSITORY) -> list[Path]:
    """Writes what is not as it should be; the paths of that.

    Raises:
        frozen.Refused: a published schema would have to change; nothing is written.
    """
    changed = {path: text for path, text in files(repository).items() if not path.exists() or path.read_text() != text}
    published = {repository / "contracts" / path for path in frozen.recorded(repository / "contracts")}
    if kept := sorted(path.relative_to(repository) for path in changed.keys() & published):
        raise frozen.Refused(
            "\n".join(f"{path} is published and never changes: raise the event's `minor`" for path in kept)
        )
    for path, text in changed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [path.relative_to(repository) for path in changed]


if __name__ == "__main__":
    main()
