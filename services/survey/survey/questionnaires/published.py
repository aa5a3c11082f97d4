"""The published versions. What one says stands fixed by a digest of each of its values, so that a change is named with its line.

A version is published when ``published.toml`` has its digests; what is not in there is a draft, which nobody is asked.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from survey.questionnaires.loading import Document, Faulty, Wrong, load_file
from survey.questionnaires.questionnaire import Questionnaire

FILES = Path(__file__).parent / "files"
LIST = "published.toml"


@dataclass(frozen=True)
class Shelf:
    """All versions in a folder, each read from its file."""

    documents: Mapping[str, Document]
    published: frozenset[str]
    wrong: tuple[Wrong, ...]
    """Of all files; a version that cannot be read is not among the documents."""


def read(folder: Path = FILES) -> Shelf:
    """Everything in the folder, with all that is wrong there."""
    documents: dict[str, Document] = {}
    wrong: list[Wrong] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            documents[path.stem] = load_file(path)
        except Faulty as faulty:
            wrong += faulty.wrong
    listed = _listed(folder)
    for version, digests in listed.items():
        if version in documents:
            wrong += _changes(f"{version}.yaml", documents[version], digests)
        elif not (folder / f"{version}.yaml").exists():
            wrong.append(Wrong(LIST, _line(folder, version), f"version {version} was published, and its file is gone"))
    return Shelf(documents, frozenset(listed), tuple(sorted(wrong)))


@cache
def published() -> Mapping[str, Questionnaire]:
    """The published questionnaires by version, the newest last.

    Raises:
        Faulty: a file says what no questionnaire can, or a published version was changed.
    """
    shelf = read()
    if shelf.wrong:
        raise Faulty(shelf.wrong)
    found = [shelf.documents[version].questionnaire for version in shelf.published]
    return {each.version: each for each in sorted(found, key=lambda each: (each.published_on, each.version))}


def newest() -> Questionnaire:
    """The version that is asked from now on."""
    return list(published().values())[-1]


def publish(version: str, folder: Path = FILES) -> bool:
    """Writes the digests of a version that is a draft; False if it was published before.

    Raises:
        Faulty: something is wrong in the folder.
        KeyError: there is no such version.
    """
    shelf = read(folder)
    if shelf.wrong:
        raise Faulty(shelf.wrong)
    document = shelf.documents[version]
    if version in shelf.published:
        return False
    lines = [f'"{place}" = "{_digest(leaf.value)}"' for place, leaf in document.leaves.items()]
    with (folder / LIST).open("a", encoding="utf-8") as file:
        file.write(f'\n["{version}"]\n' + "\n".join(lines) + "\n")
    return True


def _changes(file: str, document: Document, digests: Mapping[str, str]) -> list[Wrong]:
    changed = [
        Wrong(file, leaf.line, f"{place} was published and has been {'changed' if place in digests else 'added'}")
        for place, leaf in document.leaves.items()
        if digests.get(place) != _digest(leaf.value)
    ]
    gone = digests.keys() - document.leaves.keys()
    return changed + [Wrong(file, 1, f"{place} was published and is gone") for place in sorted(gone)]


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def _listed(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / LIST
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _line(folder: Path, version: str) -> int:
    lines = (folder / LIST).read_text(encoding="utf-8").splitlines()
    return lines.index(f'["{version}"]') + 1
