"""What a page of the evaluation says, in one language: exhibits, each with its words, what is drawn of it, and its table.

The table and the drawing of an exhibit are made of the same figures, and a figure that is suppressed is in neither: where it
would stand, the table says so in a word and the drawing shows a sign.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Dot:
    """A share with its 95% intervals beside the pilot's, all from 0 to 1; nothing where there is none."""

    label: str
    share: float | None
    wilson: Interval | None
    clustered: Interval | None
    pilot: float | None
    told: str
    """What stands beside it: the share and its base, or that there is none."""


@dataclass(frozen=True)
class Dots:
    rows: tuple[Dot, ...]
    share: str
    """What the legend calls the share with Wilson's interval; and so on."""
    clustered: str
    pilot: str


@dataclass(frozen=True)
class Bar:
    label: str
    value: int | None
    """None: suppressed."""
    whole: int | None
    """What the value is a part of, drawn as an outline."""
    told: str


@dataclass(frozen=True)
class Bars:
    """Groups of bars on one scale, each group under its name."""

    groups: tuple[tuple[str, tuple[Bar, ...]], ...]


@dataclass(frozen=True)
class Change:
    """A share before and after, and the difference in words."""

    label: str
    before: float | None
    after: float | None
    told: str


@dataclass(frozen=True)
class Changes:
    rows: tuple[Change, ...]
    before: str
    after: str


@dataclass(frozen=True)
class Cell:
    row: str
    column: str
    count: int | None
    """None: suppressed."""


@dataclass(frozen=True)
class Matrix:
    """Counts, row by column; a pair without a cell is nought."""

    codes: tuple[str, ...]
    cells: tuple[Cell, ...]
    rows: str
    """What the rows are."""
    columns: str
    suppressed: str
    """What the sign of a suppressed cell means."""


Drawing = Dots | Bars | Changes | Matrix


@dataclass(frozen=True)
class Exhibit:
    code: str
    """Its anchor."""
    title: str
    says: tuple[str, ...]
    """Plain sentences on what is to be seen."""
    drawing: Drawing | None
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    language: str
    """ISO 639-1."""
    title: str
    lead: tuple[str, ...]
    exhibits: tuple[Exhibit, ...]
    methods_title: str
    methods: tuple[str, ...]
    numbers: str
    """What the table under a drawing is called."""
    page_number: str
    """With ``{page}`` and ``{pages}``."""
