"""The words that events share: codes, closed sets, and the bounds of a stay.

Lists that may grow (countries, languages, NACE divisions, skills) are strings whose shape is checked here; who admits a
value checks it against its list. Only sets that will not grow are enums.

A title says what a value is; of whom or when it is, a field's own docstring says. Both stand in the published schemas.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MIN_STAY_DAYS = 14
"""The pilot's shortest stay, two weeks."""
MAX_STAY_DAYS = 62
"""The pilot's longest stay, two months."""

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(title="ISO 3166-1 alpha-2")]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}[0-9A-Z]?$"), Field(title="NUTS level 0 or 1")]
"""Coarse on purpose: it stands in public events."""
Sector = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$"), Field(title="NACE Rev. 2.1 division")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$"), Field(title="ISO 639-1")]
SKILL_ID = r"^[a-z0-9][a-z0-9-]{1,63}$"
Skill = Annotated[str, StringConstraints(pattern=SKILL_ID), Field(title="Id of a skill in the taxonomy in force")]
Days = Annotated[
    int, Field(ge=MIN_STAY_DAYS, le=MAX_STAY_DAYS, title="Calendar days of a stay, first and last day included")
]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
"""One of a list that may grow, which the field's docstring has; too narrow for a name, an address or a text."""
Revision = Annotated[int, Field(ge=1, title="Orders one producer's states of one subject; may have holes")]


class SizeClass(StrEnum):
    """Staff headcount classes of Recommendation 2003/361/EC; a large firm may only host."""

    MICRO = "micro"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Level(StrEnum):
    """CEFR, the Common European Framework of Reference for Languages."""

    A1 = "A1"
    A2 = "A2"
    B1 = "B1"
    B2 = "B2"
    C1 = "C1"
    C2 = "C2"

    @property
    def rank(self) -> int:
        """0 for A1 up to 5 for C2."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


class Side(StrEnum):
    """One of the two companies of an exchange."""

    SENDER = "sender"
    HOST = "host"


class Party(StrEnum):
    """One of the three who sign an agreement and are surveyed."""

    SENDER = "sender"
    HOST = "host"
    TRAVELLER = "traveller"


class TrainingDirection(StrEnum):
    """Who is trained: every stay includes training for the traveller or for the host's staff."""

    TRAVELLER = "traveller"
    HOST_STAFF = "host_staff"


class Part(BaseModel):
    """A part of an event: fields that this version does not know pass and are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)


class Spoken(Part):
    """A language and how well it is spoken."""

    language: Language
    level: Level


class Window(Part):
    """The days between which a stay can lie: first possible and last possible day, both included."""

    first: date
    last: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("the last day lies before the first")
        return self

    @property
    def days(self) -> int:
        """Calendar days in the window, first and last included."""
        return (self.last - self.first).days + 1


class Training(Part):
    """What is taught, and to whom."""

    direction: TrainingDirection
    skills: tuple[Skill, ...]
