"""The life of a company in the programme: it registers, changes what it says about itself, and leaves for good."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn, HostingOffer, Placement
from sojourn_contracts.event import Event
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import Country, Region, SizeClass, Spoken

from registration.people.domain import Addressee


class Status(StrEnum):
    """Where a company stands in the programme."""

    ADMITTED = "admitted"
    WITHDRAWN = "withdrawn"


class Reason(StrEnum):
    """Why a company is no longer in the programme."""

    LEFT = "left"
    EXCLUDED = "excluded"


@dataclass(frozen=True)
class Profile:
    """What a company says about itself. Names and addresses are for registration alone, the rest is told to everybody."""

    name: str
    country: Country
    region: Region
    nace: str
    """NACE class or division as it is written, ``62.10``; others get to know the division only."""
    size_class: SizeClass
    languages: tuple[Spoken, ...]
    placements: tuple[Placement, ...]
    offers: tuple[HostingOffer, ...]
    travellers: Mapping[UUID, Addressee]
    """Who travels, by the ids in the placements."""


@dataclass(frozen=True)
class Company:
    """A company at one revision."""

    company_id: UUID
    revision: int
    profile: Profile
    withdrawn: Reason | None = None

    @property
    def status(self) -> Status:
        return Status.WITHDRAWN if self.withdrawn else Status.ADMITTED

    def as_registered(self) -> CompanyRegistered:
        return CompanyRegistered(**self._told())

    def as_updated(self) -> CompanyUpdated:
        return CompanyUpdated(**self._told())

    def as_withdrawn(self, reason: Reason) -> CompanyWithdrawn:
        return CompanyWithdrawn(company_id=self.company_id, revision=self.revision, reason=reason.value)

    def _told(self) -> dict[str, Any]:
        """What others get to know: coarse, and without a name."""
        return {
            "company_id": self.company_id,
            "revision": self.revision,
            "country": self.profile.country,
            "region": self.profile.region,
            "sector": self.profile.nace[:2],
            "size_class": self.profile.size_class,
            "languages": self.profile.languages,
            "placements": self.profile.placements,
            "offers": self.profile.offers,
        }


def register(company_id: UUID, profile: Profile) -> tuple[Company, list[Event]]:
    """A company joins with its first revision."""
    company = Company(company_id, 1, profile)
    return company, [company.as_registered()]


def update(company: Company, profile: Profile) -> tuple[Company, list[Event]]:
    """What the company says about itself is replaced whole; if that changes nothing, there is no new revision.

    Raises:
        Refused: ``company_withdrawn``, it has left and does not come back under this id.
    """
    if company.withdrawn:
        raise Refused("company_withdrawn", "The company is no longer in the programme")
    if profile == company.profile:
        return company, []
    updated = replace(company, revision=company.revision + 1, profile=profile)
    return updated, [updated.as_updated()]


def without_traveller(company: Company, person_id: UUID) -> tuple[Company, list[Event]]:
    """A traveller is forgotten: their placement goes, and what was told of the company is told again without it.

    By both events, since each has a topic of its own, which keeps the newest of it. Also of a company that has left.
    """
    said = company.profile
    placements = tuple(placement for placement in said.placements if placement.traveller_id != person_id)
    if placements == said.placements:
        return company, []
    travellers = {id_: each for id_, each in said.travellers.items() if id_ != person_id}
    left = replace(said, placements=placements, travellers=travellers)
    updated = replace(company, revision=company.revision + 1, profile=left)
    return updated, [updated.as_registered(), updated.as_updated()]


def withdraw(company: Company, reason: Reason) -> tuple[Company, list[Event]]:
    """The company leaves or is excluded, for good. Only the first time counts, whatever the reason of a second one."""
    if company.withdrawn:
        return company, []
    gone = replace(company, revision=company.revision + 1, withdrawn=reason)
    return gone, [gone.as_withdrawn(reason)]
