"""Events about a match: matching proposes it; exchange, which owns it from then on, says when it will not be."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import (
    Code,
    Country,
    Days,
    Language,
    Level,
    Part,
    Revision,
    Sector,
    Side,
    Skill,
    Training,
    Window,
)

Millionths = Annotated[int, Field(ge=0, le=1_000_000, title="Millionths: 1,000,000 is 1")]


class Explanation(Part):
    """Why a pair fits, so that a sentence can be made of it."""

    traveller_learns: tuple[Skill, ...]
    """Skills that the traveller seeks and the host teaches."""
    host_gains: tuple[Skill, ...]
    """Skills that the host needs and the traveller brings."""
    language: Language
    """The best language that both speak."""
    language_level: Level
    """What the weaker of the two speaks it at."""
    overlap_days: int
    traveller_utility: Millionths
    host_utility: Millionths


class MatchProposed(Event):
    """A placement and a hosting offer fit. It ranks below every stage of the exchange that takes its id."""

    key: ClassVar[str] = "match_id"
    parties: ClassVar[tuple[str, ...]] = ("sender_id", "host_id", "traveller_id")

    match_id: UUID
    revision: Revision
    placement_id: UUID
    offer_id: UUID
    sender_id: UUID
    host_id: UUID
    traveller_id: UUID
    sender_country: Country
    host_country: Country
    sender_sector: Sector
    host_sector: Sector
    score: Millionths
    explanation: Explanation
    window: Window
    """Where both sides' availability overlaps."""
    min_days: Days
    max_days: Days
    training: Training
    expires_at: AwareDatetime
    """Programme time from which nobody can accept any more."""
    initiator: Code
    """Known codes: ``matching``, ``sender``, ``host``."""


class DeclineReason(StrEnum):
    """How a match came to nothing before an agreement was signed by all."""

    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class MatchDeclined(Event):
    """A match will not become an exchange: declined by a side, expired, or withdrawn because an end of it went."""

    key: ClassVar[str] = "match_id"
    parties: ClassVar[tuple[str, ...]] = ("sender_id", "host_id")

    match_id: UUID
    revision: Revision
    """Of the exchange with this id."""
    placement_id: UUID
    offer_id: UUID
    sender_id: UUID
    host_id: UUID
    reason: DeclineReason
    by: Side | None = None
    """Who declined; nobody did when the match expired or an end of it went."""
    detail: Code | None = None
    """Code given by who declined; known codes: ``dates``, ``skills``, ``capacity``, ``other``."""
    declined_at: AwareDatetime
