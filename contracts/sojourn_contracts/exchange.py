"""Events about an exchange: its whole state at each change, with an event of its own for the changes others act on."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import Country, Days, Party, Revision, Sector, Side, Training


class Stage(StrEnum):
    """Where an exchange stands. The order of the members is the order of life; the last five are ends."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DRAFTED = "drafted"
    AGREED = "agreed"
    ONGOING = "ongoing"
    COMPLETED = "completed"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"

    @property
    def rank(self) -> int:
        """What comes later in life ranks higher; all ends share the highest rank."""
        return min(list(Stage).index(self), list(Stage).index(Stage.COMPLETED))

    @property
    def ended(self) -> bool:
        """Nothing follows."""
        return self.rank == Stage.COMPLETED.rank


class _Exchange(Event):
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
    accepted_by: tuple[Side, ...]
    agreement_version: Annotated[int, Field(ge=0)]
    """0 until an agreement is drafted."""
    signed_by: tuple[Party, ...]
    """Who signed the version in force."""
    changed_at: AwareDatetime


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
    """Traveller, sender and host have signed the same version of the agreement."""


class ExchangeCancelled(_Dated):
    """An agreed exchange ended before completion."""

    cancelled_by: Side | None
    """None when a company left the programme."""
    cancelled_at_stage: Stage
    reason: str
    """Known codes: ``illness``, ``dates``, ``business``, ``company_gone``, ``other``."""


class ExchangeCompleted(_Dated):
    """An exchange took place, with its training."""

    training_hours: Annotated[int, Field(ge=1)]
