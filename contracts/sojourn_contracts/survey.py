"""The survey's event for analysts: one set of answers that cannot be joined to anything else; it is read by a grant."""

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import Country, Party, SizeClass, TrainingDirection

Question = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,32}$")]
Answer = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$"),
    Field(description="A code; the questionnaire of that version says what it means."),
]
Cluster = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class SurveySubmitted(Event):
    """One party answered. Ids are random, days are the finest time, keyed hashes tell clusters but not identities.

    Emitted by the day, several at once and in random order, with no correlation, causation or trace.
    """

    key: ClassVar[str] = "record_id"

    record_id: UUID
    """Random: it stands nowhere else."""
    questionnaire: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,31}$")]
    """Version of the questionnaire."""
    party: Party
    wave: Annotated[int, Field(ge=1)]
    """1 is the end of the stay."""
    released_on: date
    exchange_cluster: Cluster
    """Keyed hash: equal for answers about one exchange."""
    company_cluster: Cluster
    """Keyed hash: equal for answers from one company or its travellers."""
    country: Country
    """Of the answering party's company."""
    sector_section: Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]
    """NACE Rev. 2.1 section; ``X`` if it has none of the division."""
    size_class: SizeClass
    duration_band: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}-[0-9]{2}$")]
    """Known codes: ``14-30``, ``31-45``, ``46-62`` days."""
    training_direction: TrainingDirection
    answers: dict[Question, Answer]
    """Question code to answer code."""
