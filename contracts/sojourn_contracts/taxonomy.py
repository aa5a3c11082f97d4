"""The skills taxonomy: what a traveller can bring or seek, and what a host can teach or need.

A taxonomy is a folder of CSV files (``docs/taxonomy.md``). The starter set ships with this package; an operator may put another
one in force. Ids are part of the contract: they stand in events for good. A skill may be added or relabelled, never
removed or given another meaning.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from sys import intern
from typing import Annotated, Any

from pydantic import PlainValidator

from sojourn_contracts.vocabulary import SKILL_ID

MAX_SIBLINGS = 24
"""Children that a parent has at most for them to count as siblings: of a parent with hundreds, they share next to nothing."""


class Kinship(StrEnum):
    """What a skill is to another one."""

    BROADER = "broader"
    NARROWER = "narrower"
    SIBLING = "sibling"


@dataclass(frozen=True, slots=True)
class Concept:
    """A skill, a group of skills, or an occupation that skills are used in; texts by language (ISO 639-1)."""

    id: str
    labels: Mapping[str, str]
    """The taxonomy's first language first, which is always there."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    parents: tuple[str, ...] = ()
    """Groups and broader skills that it is directly under."""
    essential: tuple[str, ...] = ()
    """Skills that a skill builds on, or that an occupation cannot do without."""
    optional: tuple[str, ...] = ()
    """Skills that help with a skill, or in an occupation."""

    def label(self, language: str | None = None) -> str:
        """In the language, if there is one in it; else in the taxonomy's first."""
        return self.labels.get(language or "") or next(iter(self.labels.values()))


@dataclass(frozen=True, eq=False, repr=False)
class Taxonomy:
    """Skills, the groups they are in and the occupations they are used in, each by id in the order of its file."""

    title: str
    version: str
    attribution: str
    """What whoever shows the taxonomy has to say about its source; may be empty."""
    languages: tuple[str, ...]
    skills: Mapping[str, Concept]
    groups: Mapping[str, Concept]
    occupations: Mapping[str, Concept]

    def __repr__(self) -> str:
        return f"Taxonomy({self.title!r}, {self.version!r}, {len(self.skills)} skills)"

    def related(self, skill: str) -> Mapping[str, Kinship]:
        """The skills directly related to this one, and what each is to it: broader, narrower, siblings; each kind by id.

        Siblings have a parent in common, a group or a skill, that has ``MAX_SIBLINGS`` skills at most. A skill that the taxonomy
        does not have, such as one of a former taxonomy, is related to none.
        """
        concept = self.skills.get(skill)
        if concept is None:
            return {}
        siblings = {
            child
            for parent in concept.parents
            for children in (self._children[parent],)
            if len(children) <= MAX_SIBLINGS
            for child in children
        }
        found = dict.fromkeys(sorted(parent for parent in concept.parents if parent in self.skills), Kinship.BROADER)
        found |= dict.fromkeys(sorted(self._children.get(skill, ())), Kinship.NARROWER)
        return found | dict.fromkeys(sorted(siblings - found.keys() - {skill}), Kinship.SIBLING)

    def group(self, skill: str) -> str | None:
        """The nearest group above a skill, of several the first that it names; none if it is in no group.

        Raises:
            KeyError: the taxonomy does not have the skill.
        """
        level = self.skills[skill].parents
        while level:
            for parent in level:
                if parent in self.groups:
                    return parent
            level = tuple(above for parent in level for above in self.skills[parent].parents)
        return None

    @cached_property
    def _children(self) -> Mapping[str, Sequence[str]]:
        """Group or skill to the skills directly under it."""
        children: dict[str, list[str]] = {}
        for skill in self.skills.values():
            for parent in skill.parents:
                children.setdefault(parent, []).append(skill.id)
        return children


@dataclass(frozen=True)
class Fault:
    """What is wrong in a file of a taxonomy, and where: line and column count characters from 1."""

    file: str
    line: int
    column: int
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.detail}"


class TaxonomyError(ValueError):
    """A folder is not a taxonomy; the text names every fault in a line of its own."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(["is not a taxonomy:", *(f"    {fault}" for fault in faults)]))
        self.faults = tuple(faults)


@cache
def starter() -> Taxonomy:
    """The taxonomy that ships with Sojourn."""
    return read(Path(__file__).parent / "starter_taxonomy")


def read(folder: Path) -> Taxonomy:
    """The taxonomy in a folder.

    Raises:
        TaxonomyError: with every fault that can be told; what follows from a fault may be told only when it is mended.
    """
    faults: list[Fault] = []
    about = _Sheet(folder / "taxonomy.csv", faults, ("title", "version"), ("attribution",))
    groups = _Sheet(folder / "groups.csv", faults, ("id",), ("parents",), labelled=True)
    skills = _Sheet(folder / "skills.csv", faults, ("id",), ("parents", "essential", "optional"), labelled=True)
    sheets = [about, groups, skills]
    if (folder / "occupations.csv").exists():
        occupations = _Sheet(folder / "occupations.csv", faults, ("id",), ("essential", "optional"), labelled=True)
        sheets.append(occupations)
    else:
        occupations = None
    for sheet in sheets[1:]:
        if sheet.sound and skills.sound and sheet.languages != skills.languages:
            sheet.wrong(1, None, f"has labels in {sheet.languages}, skills.csv in {skills.languages}")
    if faults:
        raise TaxonomyError(faults)
    if len(about.rows) != 1:
        about.wrong(2, None, "should be one line of title, version and attribution")
    for line, cells in about.rows:
        for column in ("title", "version"):
            if not about.cell(cells, column).strip():
                about.wrong(line, column, f"{column} is missing")
    if not skills.rows:
        skills.wrong(2, None, "has no skill")
    taken: dict[str, str] = {}
    found_groups = _concepts(groups, taken)
    found_skills = _concepts(skills, taken)
    found_occupations = _concepts(occupations, {}) if occupations else {}
    _check_links(groups, "parents", found_groups, found_groups)
    _check_links(skills, "parents", found_skills, found_groups.keys() | found_skills.keys())
    for sheet, concepts in ((skills, found_skills), (occupations, found_occupations)):
        if sheet:
            _check_links(sheet, "essential", concepts, found_skills)
            _check_links(sheet, "optional", concepts, found_skills)
    _check_cycles(((groups, found_groups), (skills, found_skills)))
    if faults:
        raise TaxonomyError(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.column)))
    _, cells = about.rows[0]
    return Taxonomy(
        title=about.cell(cells, "title"),
        version=about.cell(cells, "version"),
        attribution=about.cell(cells, "attribution"),
        languages=skills.languages,
        skills=found_skills,
        groups=found_groups,
        occupations=found_occupations,
    )


def write(taxonomy: Taxonomy, folder: Path) -> None:
    """Writes a taxonomy into an existing folder, whole, for ``read`` to check: nothing is checked here."""
    _write(
        folder / "taxonomy.csv",
        ("title", "version", "attribution"),
        [(taxonomy.title, taxonomy.version, taxonomy.attribution)],
    )
    texts = [name for language in taxonomy.languages for name in (f"label_{language}", f"synonyms_{language}")]
    for file, concepts, links in (
        ("groups.csv", taxonomy.groups, ("parents",)),
        ("skills.csv", taxonomy.skills, ("parents", "essential", "optional")),
        ("occupations.csv", taxonomy.occupations, ("essential", "optional")),
    ):
        rows = (
            [
                concept.id,
                *("|".join(getattr(concept, link)) for link in links),
                *(
                    text
                    for language in taxonomy.languages
                    for text in (concept.labels.get(language, ""), "|".join(concept.synonyms.get(language, ())))
                ),
            ]
            for concept in concepts.values()
        )
        _write(folder / file, ("id", *links, *texts), rows)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _of(value: Any) -> Taxonomy:
    return value if isinstance(value, Taxonomy) else read(Path(value))


InFolder = Annotated[Taxonomy, PlainValidator(_of)]
"""A field that is given as a folder's path and is the taxonomy in it."""

_ID = re.compile(SKILL_ID)
_TEXT_COLUMN = re.compile(r"(label|synonyms)_([a-z]{2})")
_BOM = b"\xef\xbb\xbf"


class _Sheet:
    """One file while it is read: its rows, and where in the file their cells stand."""

    def __init__(
        self,
        path: Path,
        faults: list[Fault],
        required: tuple[str, ...],
        optional: tuple[str, ...],
        labelled: bool = False,
    ) -> None:
        self.name = path.name
        self.rows: list[tuple[int, list[str]]] = []
        """Line and cells; as many cells as there are columns."""
        self.columns: dict[str, int] = {}
        self.languages: tuple[str, ...] = ()
        self._faults = faults
        before = len(faults)
        self._lines = self._read(path)
        if len(faults) == before:
            self._parse(required, optional, labelled)
        self.sound = len(faults) == before

    def wrong(self, line: int, column: str | None, detail: str, entry: str = "") -> None:
        """Notes a fault: in a line, in the cell of a column, or in an entry of that cell."""
        self._faults.append(Fault(self.name, line, self._place(line, column, entry), detail))

    def cell(self, cells: list[str], column: str) -> str:
        """Empty if the file does not have the column."""
        place = self.columns.get(column)
        return "" if place is None else cells[place]

    def entries(self, cells: list[str], column: str) -> tuple[str, ...]:
        """Of a cell with a list. Each id is kept once, however many relations name it."""
        text = self.cell(cells, column)
        return tuple(map(intern, text.split("|"))) if text else ()

    @cached_property
    def lines(self) -> Mapping[str, int]:
        """Id to the first line that has it."""
        return {self.cell(cells, "id"): line for line, cells in reversed(self.rows)}

    def _read(self, path: Path) -> list[str]:
        try:
            data = path.read_bytes().removeprefix(_BOM)
        except OSError as error:
            self._faults.append(Fault(self.name, 1, 1, f"cannot be read: {error.strerror}"))
            return []
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            sound = data[: error.start].decode().rpartition("\n")
            line = sound[0].count("\n") + (2 if sound[1] else 1)
            self._faults.append(Fault(self.name, line, len(sound[2]) + 1, "is not UTF-8"))
            return []
        if not text.strip():
            self._faults.append(Fault(self.name, 1, 1, "is empty"))
        return [line.removesuffix("\r") for line in text.split("\n")]

    def _parse(self, required: tuple[str, ...], optional: tuple[str, ...], labelled: bool) -> None:
        reader = csv.reader(self._lines, strict=True)
        begins = 1
        try:
            for cells in reader:
                line, begins = begins, reader.line_num + 1
                if line != reader.line_num:
                    self.wrong(line, None, f"a cell goes on until line {reader.line_num}; it should end in its own")
                elif line == 1:
                    before = len(self._faults)
                    self._read_header(cells, required, optional, labelled)
                    if len(self._faults) > before:
                        return
                elif len(cells) == len(self.columns):
                    self.rows.append((line, cells))
                elif cells:
                    self.wrong(line, None, f"has {len(cells)} cells, the header {len(self.columns)}")
        except csv.Error as error:
            self.wrong(begins, None, f"is not CSV: {error}")

    def _read_header(
        self, header: list[str], required: tuple[str, ...], optional: tuple[str, ...], labelled: bool
    ) -> None:
        self.columns = {name: place for place, name in reversed(list(enumerate(header)))}
        texts = [match for name in header if labelled and (match := _TEXT_COLUMN.fullmatch(name))]
        self.languages = tuple(match[2] for match in texts if match[1] == "label")
        known = {*required, *optional, *(match[0] for match in texts)}
        known -= {match[0] for match in texts if match[2] not in self.languages}
        expected = ", ".join((*required, *optional, *(("label_en", "synonyms_en") if labelled else ())))
        for place, name in enumerate(header):
            if name not in known:
                self._faults.append(
                    Fault(self.name, 1, self._start(1, place), f"column {name!r} is none of {expected}")
                )
            elif self.columns[name] != place:
                self._faults.append(Fault(self.name, 1, self._start(1, place), f"column {name!r} is there twice"))
        for name in required:
            if name not in self.columns:
                self.wrong(1, None, f"column {name!r} is missing")
        if labelled and not self.languages:
            self.wrong(1, None, "a column with labels is missing, such as 'label_en'")

    def _place(self, line: int, column: str | None, entry: str) -> int:
        place = self.columns.get(column) if column else None
        if place is None:
            return 1
        start = self._start(line, place)
        if entry and self._lines[line - 1][start - 1] == '"':
            start += 1
        within = re.search(rf"\|{re.escape(entry)}(?=[|,\"]|$)", f"|{self._lines[line - 1][start - 1 :]}")
        return start + (within.start() if entry and within else 0)

    def _start(self, line: int, place: int) -> int:
        """The column at which the line's cell begins."""
        quoted = False
        for position, character in enumerate(self._lines[line - 1], 1):
            if not place:
                return position
            if character == '"':
                quoted = not quoted
            place -= character == "," and not quoted
        return len(self._lines[line - 1]) + 1


def _concepts(sheet: _Sheet, taken: dict[str, str]) -> dict[str, Concept]:
    """The sheet's rows as concepts; ``taken`` has the ids so far, with where they stand."""
    found: dict[str, Concept] = {}
    first = sheet.languages[0]
    for line, cells in sheet.rows:
        name = intern(sheet.cell(cells, "id"))
        if not _ID.fullmatch(name):
            sheet.wrong(line, "id", f"id {name!r} should be 2 to 64 of a-z, 0-9 and -, and not begin with -")
        elif name in taken:
            sheet.wrong(line, "id", f"id {name!r} is taken by {taken[name]}")
            continue
        else:
            taken[name] = f"{sheet.name}:{line}"
        labels = {
            language: label for language in sheet.languages if (label := sheet.cell(cells, f"label_{language}").strip())
        }
        if first not in labels:
            sheet.wrong(line, f"label_{first}", f"{name!r} has no label")
        found[name] = Concept(
            name,
            labels,
            {
                language: synonyms
                for language in sheet.languages
                if (synonyms := sheet.entries(cells, f"synonyms_{language}"))
            },
            sheet.entries(cells, "parents"),
            sheet.entries(cells, "essential"),
            sheet.entries(cells, "optional"),
        )
    return found


def _check_links(sheet: _Sheet, column: str, concepts: Mapping[str, Concept], known: Iterable[str]) -> None:
    ids = frozenset(known)
    for concept in concepts.values():
        links: tuple[str, ...] = getattr(concept, column)
        for link in links:
            if link not in ids:
                kind = "parent" if column == "parents" else f"{column} skill"
                sheet.wrong(sheet.lines[concept.id], column, f"{kind} {link!r} of {concept.id!r} is unknown", link)
        if len(set(links)) < len(links):
            sheet.wrong(sheet.lines[concept.id], column, f"{column} of {concept.id!r} name one twice")


def _check_cycles(sheets: Iterable[tuple[_Sheet, Mapping[str, Concept]]]) -> None:
    places = {name: (sheet, concept) for sheet, concepts in sheets for name, concept in concepts.items()}
    done: set[str] = set()
    for start in places:
        if start in done:
            continue
        path: dict[str, Iterator[str]] = {start: iter(places[start][1].parents)}
        while path:
            below, parents = next(reversed(path.items()))
            parent = next((one for one in parents if one in places and one not in done), None)
            if parent is None:
                done.add(below)
                path.popitem()
            elif parent in path:
                trail = list(path)
                cycle = " > ".join([*trail[trail.index(parent) :], parent])
                sheet = places[below][0]
                sheet.wrong(sheet.lines[below], "parents", f"is a cycle: {cycle}", parent)
            else:
                path[parent] = iter(places[parent][1].parents)
