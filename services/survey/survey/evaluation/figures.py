"""What the evaluation is made of, and what it comes to: counts in, figures out, both plain JSON and the same byte for byte.

Counts are numbers of answers and never answers, so that counters in PostgreSQL and aggregates over files feed one code.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

COUNTRY, SECTOR_SECTION, SIZE_CLASS = "country", "sector_section", "size_class"
DURATION_BAND, TRAINING_DIRECTION, PARTY = "duration_band", "training_direction", "party"
DIMENSIONS = (COUNTRY, SECTOR_SECTION, SIZE_CLASS, DURATION_BAND, TRAINING_DIRECTION, PARTY)
"""By what an indicator is broken down; names of the fields of SurveySubmitted. The wave is on every figure."""


@dataclass(frozen=True)
class AnswerCount:
    """How many of a party gave this answer in this wave."""

    wave: int
    party: str
    question: str
    answer: str
    number: int


@dataclass(frozen=True)
class ClusterSums:
    """Sums over companies of their valid (n) and favourable (y) answers to an indicator's question in a wave.

    A company without a valid answer is not among the clusters.
    """

    wave: int
    indicator: str
    clusters: int
    valid: int
    favourable: int
    valid_squared: int
    """Sum of n * n."""
    valid_favourable: int
    """Sum of n * y."""
    favourable_squared: int
    """Sum of y * y."""


@dataclass(frozen=True)
class CellCount:
    """An indicator's valid and favourable answers in one category of one dimension; a category without any has no cell.

    Both numbers are None where they are hidden: see steps.py.
    """

    wave: int
    indicator: str
    dimension: str
    category: str
    valid: int | None
    favourable: int | None


@dataclass(frozen=True)
class ResponseCount:
    """How many of a party were asked in a wave, and how far they came; None where the public is not told yet: see steps.py."""

    wave: int
    party: str
    invited: int
    sent: int | None
    """Invitations that the mail server accepted; that does not say that they arrived."""
    started: int | None
    """Saved a draft, or completed at once."""
    complete: int | None
    declined: int | None = 0
    """Said that they would rather not answer."""


@dataclass(frozen=True)
class StageCount:
    """How many came at least as far as a stage."""

    stage: str
    number: int


@dataclass(frozen=True)
class DaysCount:
    """How many took so many whole days from the stage before, or from registration, to this stage."""

    stage: str
    days: int
    number: int


@dataclass(frozen=True)
class PlacesCount:
    """Supply and demand in a country, by the profiles of the companies that take part."""

    country: str
    companies: int
    placements: int
    """Employees whom companies of this country would send abroad."""
    hosting_offers: int
    hosting_places: int
    """Travellers whom the offers take at once."""
    wanted: int
    """Placements of other countries that name this one among their destinations."""


@dataclass(frozen=True)
class FlowCount:
    """Completed exchanges from a sending company's country to a hosting company's."""

    sender_country: str
    host_country: str
    number: int


@dataclass(frozen=True)
class ProgrammeCounts:
    """What is known from all other events than the answers."""

    responses: tuple[ResponseCount, ...] = ()
    stages: tuple[StageCount, ...] = ()
    """In the order of life: registered companies, then exchanges."""
    left: int = 0
    """Companies that left the programme."""
    ends: tuple[StageCount, ...] = ()
    """Exchanges that ended before completion, by how."""
    days: tuple[DaysCount, ...] = ()
    places: tuple[PlacesCount, ...] = ()
    flows: tuple[FlowCount, ...] = ()


@dataclass(frozen=True)
class Counts:
    """All that an evaluation of one version of the questionnaire reads."""

    questionnaire: str
    submissions: int
    """Released ones."""
    answers: tuple[AnswerCount, ...] = ()
    clusters: tuple[ClusterSums, ...] = ()
    cells: tuple[CellCount, ...] = ()
    programme: ProgrammeCounts | None = None
    """None where only the answers are evaluated, as from a snapshot of the files."""


@dataclass(frozen=True)
class IndicatorFigure:
    """An indicator in a wave; shares from 0 to 1, None while there is no valid answer.

    ``n`` answers are ``valid`` ones and the three kinds of missing ones, unweighted. The interval is Wilson's at 95%;
    the cluster-robust one stands beside it where companies gave several answers, else it is None.
    """

    wave: int
    code: str
    n: int
    valid: int
    count: int
    """Favourable ones of the valid."""
    share: float | None
    low: float | None
    high: float | None
    clusters: int
    """Companies with a valid answer."""
    design_effect: float | None
    cluster_low: float | None
    cluster_high: float | None
    dont_know: int
    not_applicable: int
    declined: int
    pilot: float | None
    """What the pilot reported; None where it reported nothing comparable."""
    difference: float | None
    """Share less the pilot's. The pilot gave no base: its share is taken as fixed, and only ours is uncertain."""
    difference_low: float | None
    difference_high: float | None
    verdict: str | None
    """``above``, ``below`` or ``alike`` (the interval holds the pilot's share); sentences.py says it in words."""


@dataclass(frozen=True)
class Change:
    """How an indicator's share moved from a wave to a later one: later less earlier, with its 95% interval."""

    code: str
    earlier: int
    later: int
    difference: float
    low: float
    high: float
    verdict: str
    """``up``, ``down`` or ``alike``."""


@dataclass(frozen=True)
class CellFigure:
    """An indicator in one category of a dimension; all numbers are None where the cell is hidden."""

    wave: int
    code: str
    dimension: str
    category: str
    valid: int | None
    count: int | None
    share: float | None
    low: float | None
    high: float | None

    @property
    def hidden(self) -> bool:
        return self.valid is None


@dataclass(frozen=True)
class ResponseFigure:
    """Response rates of a party in a wave; rates are of those invited, None where nobody was or the number is not told."""

    wave: int
    party: str
    invited: int
    sent: int | None
    started: int | None
    complete: int | None
    declined: int | None
    sent_rate: float | None
    started_rate: float | None
    complete_rate: float | None


@dataclass(frozen=True)
class StageFigure:
    """A step of the funnel: ``conversion`` is of the stage before, ``median_days`` since then.

    Both are None at the first stage, and where none came so far. From companies to exchanges there is no conversion.
    """

    stage: str
    number: int
    conversion: float | None
    median_days: float | None


@dataclass(frozen=True)
class ScarcityFigure:
    """Hosts in a country: ``places_per_wanted`` below 1 says that they are scarce, None where nobody wants to go."""

    country: str
    companies: int
    placements: int
    hosting_offers: int
    hosting_places: int
    wanted: int
    places_per_wanted: float | None


@dataclass(frozen=True)
class ProgrammeFigures:
    """What is known from all other events than the answers."""

    responses: tuple[ResponseFigure, ...]
    funnel: tuple[StageFigure, ...]
    left: int
    ends: tuple[StageCount, ...]
    scarcity: tuple[ScarcityFigure, ...]
    flows: tuple[FlowCount, ...]


@dataclass(frozen=True)
class Figures:
    """The whole evaluation of one version of the questionnaire; every sequence in a fixed order."""

    questionnaire: str
    submissions: int
    indicators: tuple[IndicatorFigure, ...]
    changes: tuple[Change, ...]
    cells: tuple[CellFigure, ...]
    programme: ProgrammeFigures | None


def plain(counts_or_figures: Counts | Figures) -> dict[str, Any]:
    """As JSON has it: tuples as lists."""
    return json.loads(encoded(counts_or_figures))


def encoded(counts_or_figures: Counts | Figures) -> bytes:
    """Equal counts or figures give equal bytes: keys sorted, UTF-8, one line."""
    told = json.dumps(
        asdict(counts_or_figures), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return told.encode() + b"\n"


def decoded_counts(data: bytes) -> Counts:
    """Raises: ValueError, KeyError, TypeError: these are no counts."""
    fields = json.loads(data)
    return Counts(
        questionnaire=fields["questionnaire"],
        submissions=fields["submissions"],
        answers=tuple(AnswerCount(**each) for each in fields["answers"]),
        clusters=tuple(ClusterSums(**each) for each in fields["clusters"]),
        cells=tuple(CellCount(**each) for each in fields["cells"]),
        programme=None if fields["programme"] is None else decoded_programme(fields["programme"]),
    )


def decoded_programme(fields: dict[str, Any]) -> ProgrammeCounts:
    """Of plain JSON."""
    return ProgrammeCounts(
        responses=tuple(ResponseCount(**each) for each in fields["responses"]),
        stages=tuple(StageCount(**each) for each in fields["stages"]),
        left=fields["left"],
        ends=tuple(StageCount(**each) for each in fields["ends"]),
        days=tuple(DaysCount(**each) for each in fields["days"]),
        places=tuple(PlacesCount(**each) for each in fields["places"]),
        flows=tuple(FlowCount(**each) for each in fields["flows"]),
    )


def decoded_figures(data: bytes) -> Figures:
    """Raises: ValueError, KeyError, TypeError: these are no figures."""
    fields = json.loads(data)
    return Figures(
        questionnaire=fields["questionnaire"],
        submissions=fields["submissions"],
        indicators=tuple(IndicatorFigure(**each) for each in fields["indicators"]),
        changes=tuple(Change(**each) for each in fields["changes"]),
        cells=tuple(CellFigure(**each) for each in fields["cells"]),
        programme=None if fields["programme"] is None else _programme_figures(fields["programme"]),
    )


def _programme_figures(fields: dict[str, Any]) -> ProgrammeFigures:
    return ProgrammeFigures(
        responses=tuple(ResponseFigure(**each) for each in fields["responses"]),
        funnel=tuple(StageFigure(**each) for each in fields["funnel"]),
        left=fields["left"],
        ends=tuple(StageCount(**each) for each in fields["ends"]),
        scarcity=tuple(ScarcityFigure(**each) for each in fields["scarcity"]),
        flows=tuple(FlowCount(**each) for each in fields["flows"]),
    )
