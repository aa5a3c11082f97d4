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
    value: int
    whole: int | None
    """What the value is a part of, drawn as an outline."""
    told: str


@dataclass(frozen=True)
class Group:
    """Bars of one unit under a name, which may be empty."""

    name: str
    bars: tuple[Bar, ...]
    most: int
    """What the longest bar that there is room for stands for."""


@dataclass(frozen=True)
class Bars:
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class BeforeAfter:
    """A share before and after, and the difference in words."""

    label: str
    before: float | None
    after: float | None
    told: str


@dataclass(frozen=True)
class Changes:
    rows: tuple[BeforeAfter, ...]
    before: str
    after: str


@dataclass(frozen=True)
class Cell:
    row: str
    column: str
    level: float | None
    """From 0 to 1; None: suppressed."""
    told: str


@dataclass(frozen=True)
class Matrix:
    """Numbers, row by column; a pair without a cell has none."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    rows_are: str
    columns_are: str
    sign: str
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
