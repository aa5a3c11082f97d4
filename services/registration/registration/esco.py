"""Makes a taxonomy of the CSV files that ESCO is published as, of any version 1.x.

Concepts take the last part of their URI as their id. Of their texts, labels and synonyms stay, in the languages whose files are
there; of the relations, all do: broader ones among skills and groups, essential and optional ones among skills and from
occupations to skills. Only what is released is taken.
"""

import csv
import gzip
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO, TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory

from sojourn_contracts import taxonomy
from sojourn_contracts.taxonomy import Concept, Taxonomy

ATTRIBUTION = (
    "This service uses the ESCO classification of the European Commission."
    " It is modified: reduced to the labels, synonyms and relations of skills."
)
"""The first sentence is the one that ESCO's terms ask for; they also ask that changes be told."""

_RELEASE = re.compile(r"v(1\.[0-9]+(?:\.[0-9]+)?)", re.IGNORECASE)
_SKILLS_FILE = re.compile(r"skills_([a-z]{2})\.csv")
_SEPARATOR = re.compile(r"\n|\s\|\s")

Progress = Callable[[str], None]
"""Told what is being done next."""


class EscoError(Exception):
    """The source is not an ESCO release that can be imported; the text names file, line and column where there are such."""


def import_esco(source: Path, target: Path, version: str | None = None, progress: Progress = print) -> Taxonomy:
    """Makes the folder ``target`` of the CSV files in ``source``: a folder with .csv, .csv.gz or .zip files, or one .zip.

    ``version`` is needed where no name of a file or folder tells it. The folder appears whole, when it reads without a fault;
    before, nothing is changed.

    Raises:
        EscoError: the source lacks a file or a column, or contradicts itself; or the target is there already.
        TaxonomyError: what it says is no taxonomy, such as a cycle.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise EscoError(f"{target} is there already; name a folder of its own for each version")
    made = _Release(source, progress).taxonomy(version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as name:
        folder = Path(name) / target.name
        folder.mkdir()
        progress("writing")
        taxonomy.write(made, folder)
        progress("checking what was written")
        checked = taxonomy.read(folder)
        folder.rename(target)
    return checked


@dataclass(frozen=True)
class _Table:
    """One CSV file of the release."""

    path: Path
    """The file itself, or the archive that it is in."""
    member: str | None = None

    @property
    def name(self) -> str:
        return (self.member or self.path.name).rpartition("/")[2].removesuffix(".gz")

    def rows(self, *columns: str, optional: tuple[str, ...] = ()) -> Iterator[tuple[int, list[str]]]:
        """The line on which a row ends, and its cells in these columns; an optional one may be missing and is empty then.

        Raises:
            EscoError: a column is missing, or the file cannot be read.
        """
        try:
            with TextIOWrapper(BytesIO(self._data()), encoding="utf-8-sig", newline="") as text:
                reader = csv.reader(text)
                header = next(reader, [])
                for column in columns:
                    if column not in header:
                        raise EscoError(f"{self.name}:1:1: column {column!r} is missing; there are {', '.join(header)}")
                places = [header.index(column) if column in header else len(header) for column in (*columns, *optional)]
                for row in reader:
                    if row:
                        yield reader.line_num, [row[place] if place < len(row) else "" for place in places]
        except UnicodeDecodeError as error:
            raise EscoError(f"{self.name}: is not UTF-8: {error.reason}") from None
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, csv.Error) as error:
            raise EscoError(f"{self.name}: cannot be read: {error}") from None

    def _data(self) -> bytes:
        if self.member is not None:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.member)
        data = self.path.read_bytes()
        return gzip.decompress(data) if self.path.suffix == ".gz" else data


@dataclass
class _Links:
    """What a concept's relations say, while they are read."""

    parents: list[str] = field(default_factory=list[str])
    essential: list[str] = field(default_factory=list[str])
    optional: list[str] = field(default_factory=list[str])


class _Release:
    """The tables of a release, and what is made of them."""

    def __init__(self, source: Path, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._tables: dict[str, _Table] = {}
        for table in _tables(source):
            self._tables.setdefault(table.name.lower(), table)
        found = {match[1] for name in self._tables if (match := _SKILLS_FILE.fullmatch(name))}
        if not found:
            raise EscoError(
                f"{source}: there is no file of skills, such as skills_en.csv, skills_en.csv.gz or a .zip with it"
            )
        self._languages = tuple(sorted(found, key=lambda language: (language != "en", language)))

    def taxonomy(self, version: str | None) -> Taxonomy:
        version = version or self._version()
        skills, not_released = self._texts("skills")
        groups, _ = self._texts("skillGroups")
        occupations = self._texts("occupations")[0] if self._relations("occupationSkillRelations") else {}
        self._name_groups(groups, skills)
        links: defaultdict[str, _Links] = defaultdict(_Links)
        self._read_broader(links, groups.keys() | skills.keys(), not_released)
        columns = ("originalSkillUri", "relationType", "relatedSkillUri")
        self._read_uses("skillSkillRelations", columns, links, skills, skills)
        columns = ("occupationUri", "relationType", "skillUri")
        self._read_uses("occupationSkillRelations", columns, links, occupations, skills)
        return Taxonomy(
            title="ESCO, the European classification of Skills, Competences, Qualifications and Occupations",
            version=version,
            attribution=ATTRIBUTION,
            languages=self._languages,
            skills=_concepts(skills, links),
            groups=_concepts(groups, links),
            occupations=_concepts(occupations, links),
        )

    def _version(self) -> str:
        names = (self._source.resolve().name, *(table.path.name for table in self._tables.values()))
        told = {match[1] for name in names for match in _RELEASE.finditer(name)}
        if len(told) != 1:
            said = f"names tell several versions, {', '.join(sorted(told))}" if told else "no name tells the version"
            raise EscoError(f"{self._source}: {said}; name it")
        return told.pop()

    def _texts(self, stem: str) -> tuple[dict[str, Concept], set[str]]:
        """Concepts by id, with labels and synonyms only; and the ids of those that are not released."""
        labels: dict[str, dict[str, str]] = {}
        synonyms: dict[str, dict[str, tuple[str, ...]]] = {}
        not_released: set[str] = set()
        for language in self._languages:
            table = self._tables.get(f"{stem}_{language}.csv".lower())
            if table is None and language == self._languages[0]:
                raise EscoError(f"{self._source}: there is no file {stem}_{language}.csv")
            if table is None:
                continue
            self._progress(f"reading {table.name}")
            rows = table.rows("conceptUri", "preferredLabel", "altLabels", optional=("hiddenLabels", "status"))
            for _, (uri, preferred, alternative, hidden, status) in rows:
                concept, label = _id(uri), _clean(preferred)
                if status not in ("", "released"):
                    not_released.add(concept)
                    continue
                labels.setdefault(concept, {})[language] = label
                others = dict.fromkeys(map(_clean, _SEPARATOR.split(f"{alternative}\n{hidden}")))
                if kept := tuple(other for other in others if other and other != label):
                    synonyms.setdefault(concept, {})[language] = kept
        return {name: Concept(name, labels[name], synonyms.get(name, {})) for name in labels}, not_released

    def _name_groups(self, groups: dict[str, Concept], skills: Mapping[str, Concept]) -> None:
        """Adds the groups that only the hierarchy names."""
        named: dict[str, dict[str, str]] = {}
        for language in self._languages:
            if table := self._tables.get(f"skillshierarchy_{language}.csv"):
                self._progress(f"reading {table.name}")
                levels = [f"Level {level} {what}" for level in range(4) for what in ("URI", "preferred term")]
                for _, cells in table.rows(*levels):
                    for uri, term in zip(cells[::2], cells[1::2], strict=True):
                        if uri and (group := _id(uri)) not in groups and group not in skills:
                            named.setdefault(group, {})[language] = _clean(term)
        groups |= {name: Concept(name, labels) for name, labels in named.items()}

    def _relations(self, stem: str) -> _Table | None:
        """They are the same in every language's file, where there is one for each."""
        names = (f"{stem}.csv", *(f"{stem}_{language}.csv" for language in self._languages))
        return next((self._tables[name.lower()] for name in names if name.lower() in self._tables), None)

    def _read_broader(
        self, links: defaultdict[str, _Links], known: Collection[str], not_released: Collection[str]
    ) -> None:
        table = self._relations("broaderRelationsSkillPillar")
        if table is None:
            raise EscoError(f"{self._source}: there is no file broaderRelationsSkillPillar.csv")
        self._progress(f"reading {table.name}")
        wrong: list[str] = []
        for line, uris in table.rows("conceptUri", "broaderUri"):
            concept, broader = map(_id, uris)
            unknown = [name for name in (concept, broader) if name not in known and name not in not_released]
            wrong += [f"{table.name}:{line}:1: {name!r} is neither a skill nor a group" for name in unknown]
            if concept in known and broader in known and broader not in links[concept].parents:
                links[concept].parents.append(broader)
        if wrong:
            raise EscoError("\n".join(wrong))

    def _read_uses(
        self,
        stem: str,
        columns: tuple[str, str, str],
        links: defaultdict[str, _Links],
        users: Collection[str],
        skills: Collection[str],
    ) -> None:
        """Which skills a skill or an occupation needs; a relation to what the release does not have is left out and counted."""
        table = self._relations(stem)
        if table is None:
            self._progress(f"there is no {stem}.csv: without these relations")
            return
        self._progress(f"reading {table.name}")
        left_out = 0
        for line, (user_uri, kind, skill_uri) in table.rows(*columns):
            user, skill = _id(user_uri), _id(skill_uri)
            if kind not in ("essential", "optional"):
                raise EscoError(f"{table.name}:{line}:1: {columns[1]} {kind!r} should be essential or optional")
            if user not in users or skill not in skills:
                left_out += 1
            elif skill not in (kept := links[user].essential if kind == "essential" else links[user].optional):
                kept.append(skill)
        if left_out:
            self._progress(f"left out of {table.name}: {left_out:,} relations of what the release does not have")


def _tables(source: Path) -> Iterator[_Table]:
    if not source.exists():
        raise EscoError(f"{source}: there is no such file or folder")
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.suffix.lower() == ".zip":
            try:
                with zipfile.ZipFile(path) as archive:
                    members = sorted(archive.namelist())
            except (OSError, zipfile.BadZipFile) as error:
                raise EscoError(f"{path.name}: cannot be read: {error}") from None
            yield from (_Table(path, member) for member in members if member.lower().endswith(".csv"))
        elif path.name.lower().endswith((".csv", ".csv.gz")):
            yield _Table(path)


def _concepts(texts: Mapping[str, Concept], links: Mapping[str, _Links]) -> dict[str, Concept]:
    return {
        name: replace(
            concept,
            parents=tuple(said.parents),
            essential=tuple(said.essential),
            optional=tuple(said.optional),
        )
        if (said := links.get(name))
        else concept
        for name, concept in texts.items()
    }


def _id(uri: str) -> str:
    return uri.rpartition("/")[2].lower()


def _clean(text: str) -> str:
    """In one line, and without what separates the entries of a list."""
    return " ".join(text.replace("|", "/").split())
