"""Companies to try the market with: a German sender and a Spanish host who fit, and everything about them to be varied."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

from matching.domain import OpenOffer, OpenPlacement, Parameters, offers_of, placements_of
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, HostingOffer, Placement
from sojourn_contracts.skills import SKILLS
from sojourn_contracts.vocabulary import Level, SizeClass, Spoken, Window

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = NOON.date()
PARAMETERS = Parameters(TODAY, dict.fromkeys((*SKILLS, "aa", "bb", "cc", "dd"), 1))
"""All skills of the starter set, and a few of four letters and less, equally rare and none of them related."""
SPACE = UUID("5f0c3a52-5d5c-4a5e-8a56-6a3f0d0d6c11")

ENGLISH = (Spoken(language="en", level=Level.C1),)
SPRING = Window(first=date(2026, 4, 1), last=date(2026, 6, 30))


def named(name: str) -> UUID:
    return uuid5(SPACE, name)


def placement(name: str = "placement", **changed: Any) -> Placement:
    fields: dict[str, Any] = {
        "placement_id": named(name),
        "traveller_id": named(f"{name}'s traveller"),
        "languages": ENGLISH,
        "window": SPRING,
        "min_days": 14,
        "max_days": 30,
        "destinations": ("ES", "FR"),
        "skills_brought": ("welding",),
        "skills_sought": ("trade-fairs", "product-design"),
    }
    return Placement(**(fields | changed))


def offer(name: str = "offer", **changed: Any) -> HostingOffer:
    fields: dict[str, Any] = {
        "offer_id": named(name),
        "languages": ENGLISH,
        "window": SPRING,
        "min_days": 14,
        "max_days": 30,
        "capacity": 1,
        "skills_taught": ("trade-fairs",),
        "skills_needed": ("welding", "industrial-robotics"),
    }
    return HostingOffer(**(fields | changed))


def company(name: str, country: str, *stays: Placement | HostingOffer, sector: str = "62") -> CompanyRegistered:
    return CompanyRegistered(
        company_id=named(name),
        revision=1,
        country=country,
        region=f"{country}1",
        sector=sector,
        size_class=SizeClass.SMALL,
        languages=ENGLISH,
        placements=tuple(stay for stay in stays if isinstance(stay, Placement)),
        offers=tuple(stay for stay in stays if isinstance(stay, HostingOffer)),
    )


def updated(profile: CompanyRegistered, revision: int, **changed: Any) -> CompanyUpdated:
    fields: dict[str, Any] = {**dict(profile), "revision": revision, **changed}
    return CompanyUpdated(**fields)


def sender(name: str = "sender", country: str = "DE", sector: str = "62", **changed: Any) -> CompanyRegistered:
    return company(name, country, placement(f"{name}'s placement", **changed), sector=sector)


def host(name: str = "host", country: str = "ES", sector: str = "62", **changed: Any) -> CompanyRegistered:
    return company(name, country, offer(f"{name}'s offer", **changed), sector=sector)


def open_placement(country: str = "DE", sector: str = "62", **changed: Any) -> OpenPlacement:
    return placements_of(sender(country=country, sector=sector, **changed))[0]


def open_offer(country: str = "ES", sector: str = "62", **changed: Any) -> OpenOffer:
    return offers_of(host(country=country, sector=sector, **changed))[0]
