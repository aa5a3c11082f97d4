"""The survey's event for analysts: one set of answers that cannot be joined to anything else; it is read by a grant."""

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import Country, Party, SizeClass, TrainingDirection

Answer = Annotated[
    str, Field(max_length=32, description="A code; the questionnaire of that version says what it means.")
]


class SurveySubmitted(Event):
    """One party answered. Ids are random, days are the finest time, keyed hashes tell clusters but not identities.

    Emitted by the day, several at once and in random order, with no correlation, causation or trace.
    """

    key: ClassVar[str] = "record_id"

    record_id: UUID
    """Random: it stands nowhere else."""
    questionnaire: str
    """Version of the questionnaire."""
    party: Party
    wave: Annotated[int, Field(ge=1)]
    """1 is the end of the stay."""
    released_on: date
    exchange_cluster: str
    """Keyed hash: equal for answers about one exchange."""
    company_cluster: str
    """Keyed hash: equal for answers from one company or its travellers."""
    country: Country
    """Of the answering party's company."""
    sector_section: str
    """NACE section, a letter."""
    size_class: SizeClass
    duration_band: str
    """Known codes: ``14-30``, ``31-45``, ``46-62`` days."""
    training_direction: TrainingDirection
    answers: dict[str, Answer]
    """Question code to answer code."""
