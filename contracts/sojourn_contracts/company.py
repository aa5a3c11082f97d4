"""Events about a company: registration tells everybody who takes part, and with what."""

from collections.abc import Set
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field, model_validator

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import (
    Code,
    Country,
    Days,
    Part,
    Region,
    Revision,
    Sector,
    SizeClass,
    Skill,
    Spoken,
    Window,
)


class _Stay(Part):
    """What a placement and a hosting offer have in common."""

    languages: tuple[Spoken, ...]
    window: Window
    min_days: Days
    max_days: Days
    preferred_sectors: tuple[Sector, ...] = ()
    """NACE divisions that are liked, not required."""

    @model_validator(mode="after")
    def _days_in_order(self) -> Self:
        if self.max_days < self.min_days:
            raise ValueError("max_days is less than min_days")
        return self


class Placement(_Stay):
    """One employee whom the company would send abroad."""

    placement_id: UUID
    traveller_id: UUID
    """Opaque: who this is, only registration knows."""
    destinations: tuple[Country, ...]
    """Countries that are acceptable; never the company's own."""
    skills_brought: tuple[Skill, ...]
    skills_sought: tuple[Skill, ...]


class HostingOffer(_Stay):
    """Room for travellers from abroad."""

    offer_id: UUID
    capacity: Annotated[int, Field(ge=0)]
    """Travellers who can be hosted at once: a completed or cancelled stay gives its place back."""
    skills_taught: tuple[Skill, ...]
    skills_needed: tuple[Skill, ...]


class _Company(Event):
    key: ClassVar[str] = "company_id"

    company_id: UUID
    revision: Revision
    country: Country
    region: Region
    sector: Sector
    size_class: SizeClass
    languages: tuple[Spoken, ...]
    """Working languages of the company."""
    placements: tuple[Placement, ...]
    offers: tuple[HostingOffer, ...]

    def named(self) -> set[UUID]:
        return {self.company_id, *(placement.traveller_id for placement in self.placements)}

    def without(self, erased: Set[UUID]) -> Self | None:
        """A traveller's erasure takes their placement out; the company's leaves nothing."""
        if erased.isdisjoint(self.named()):
            return self
        left = tuple(placement for placement in self.placements if placement.traveller_id not in erased)
        return None if self.company_id in erased else self.model_copy(update={"placements": left})


class CompanyRegistered(_Company):
    """A company was admitted to the programme."""


class CompanyUpdated(_Company):
    """A company's profile, placements or offers changed: the whole state, at a later revision."""


class CompanyWithdrawn(Event):
    """A company left the programme, or was excluded from it. It does not come back under this id."""

    key: ClassVar[str] = "company_id"

    company_id: UUID
    revision: Revision
    reason: Code
    """Known codes: ``left``, ``excluded``."""
