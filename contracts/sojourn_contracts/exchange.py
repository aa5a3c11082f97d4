"""Events about an exchange: its whole state at each change, with an event of its own for the changes others act on."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import (
    Code,
    Country,
    Days,
    Part,
    Party,
    Revision,
    Sector,
    Side,
    Skill,
    Training,
    TrainingDirection,
    Window,
)


class Stage(StrEnum):
    """Where an exchange stands. The order of the members is the order of life; the last five are ends."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DRAFTED = "drafted"
    IN_VALIDATION = "in_validation"
    """Signed by all; contact points have not approved it yet. Only where the programme asks for it."""
    AGREED = "agreed"
    ONGOING = "ongoing"
    INTERRUPTED = "interrupted"
    """The days do not count until the stay is resumed."""
    COMPLETED = "completed"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"

    @property
    def rank(self) -> int:
        """What comes later in life ranks higher; all ends share the highest rank."""
        return _RANKS[self]

    @property
    def ended(self) -> bool:
        """Nothing follows."""
        return _RANKS[self] == _RANKS[Stage.COMPLETED]

    @property
    def detour(self) -> bool:
        """An exchange can be completed without it."""
        return self in (Stage.IN_VALIDATION, Stage.INTERRUPTED)


_RANKS = {stage: min(place, list(Stage).index(Stage.COMPLETED)) for place, stage in enumerate(Stage)}


class TrainingItem(Part):
    """One training of an agreement."""

    learner: TrainingDirection
    skills: tuple[Skill, ...]
    hours: Annotated[int, Field(ge=1)]
    given_by: Code
    """Known codes: ``host``, ``traveller``, ``outside``."""


class _Exchange(Event):
    minor: ClassVar[int] = 1
    key: ClassVar[str] = "exchange_id"
    parties: ClassVar[tuple[str, ...]] = ("sender_id", "host_id", "traveller_id")

    exchange_id: UUID
    """The id of the match that it grew from."""
    revision: Revision
    stage: Stage
    placement_id: UUID
    offer_id: UUID
    sender_id: UUID
    host_id: UUID
    traveller_id: UUID
    sender_country: Country
    host_country: Country
    sender_sector: Sector
    host_sector: Sector
    training: Training
    """What most hours go to, where both learn."""
    accepted_by: tuple[Side, ...]
    agreement_version: Annotated[int, Field(ge=0)]
    """0 until an agreement is drafted."""
    signed_by: tuple[Party, ...]
    """Who signed the version in force."""
    changed_at: AwareDatetime
    parts: tuple[Window, ...] | None = None
    """Of the stay, in their order, as the version in force has them; there is one unless the stay is split."""
    training_items: tuple[TrainingItem, ...] | None = None
    """All of the training in the version in force; ``training`` has their skills, and the direction of most hours."""
    interrupted_days: Annotated[int, Field(ge=0)] | None = None
    """Days of the parts that do not count, as far as they are over; from the first day on."""


class _Dated(_Exchange):
    first_day: date
    last_day: date
    days: Days
    allowance_cents: Annotated[int, Field(ge=0)]
    """EUR cents for the whole stay, by the host country's monthly rate."""


class ExchangeUpdated(_Exchange):
    """An exchange changed without reaching one of the stages that have an event of their own."""

    first_day: date | None = None
    last_day: date | None = None
    days: Days | None = None
    allowance_cents: Annotated[int, Field(ge=0)] | None = None


class ExchangeAgreed(_Dated):
    """Traveller, sender and host have signed the same version, and contact points approved it where that is asked for.

    Said again, at whatever stage, when a later version follows the one in force: an extension, above all.
    """


class ExchangeCancelled(_Dated):
    """An agreed exchange ended before completion."""

    cancelled_by: Side | None
    """None when a company left the programme."""
    cancelled_at_stage: Stage
    reason: Code
    """Known codes: ``illness``, ``dates``, ``business``, ``company_gone``, ``other``, ``too_short`` (ended before
    14 days counted), ``unconfirmed`` (nobody confirmed that it took place)."""


class ExchangeCompleted(_Dated):
    """An exchange took place, with its training; last day and days are the actual ones."""

    training_hours: Annotated[int, Field(ge=1)]
