"""The generated market where the service finds it: as rows in its schema, as events, and as the taxonomy in force."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
from market import COUNTRIES, SKILLS, START, Column, End, Market
from matching import domain, planning
from matching.domain import OpenOffer, OpenPlacement
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.taxonomy import Concept, Kinship, Taxonomy
from sojourn_contracts.vocabulary import Side, SizeClass

SERVICE = "matching"
NOON = datetime.combine(START, time(12), UTC)

_SHARED = (
    *("company_id", "country", "sector", "first_day", "last_day", "min_days", "max_days"),
    *("working_languages", "terms", "since"),
)
_PLACEMENT = ("placement_id", *_SHARED, "destinations", "skills_sought", "skills_brought")
_OFFER = ("offer_id", *_SHARED, "capacity", "skills_taught", "skills_needed")


def taxonomy(market: Market) -> Taxonomy:
    """One that makes the generator's relations: each group of siblings is a group, or a broader skill and those under it."""
    skills, groups = dict[str, Concept](), dict[str, Concept]()
    kin, related = planning.NEARNESS, market.parameters.related
    for skill in SKILLS:
        others = related[skill]
        heads = tuple(other for other, percent in others.items() if percent == kin[Kinship.BROADER])
        if not heads and kin[Kinship.NARROWER] not in others.values():
            heads = (f"group-of-{min(skill, *others)}",)
            groups |= {head: Concept(head, {"en": head}) for head in heads}
        skills[skill] = Concept(skill, {"en": skill}, parents=heads)
    return Taxonomy("The generator's", "1", "", ("en",), skills, groups, {})


def as_in_force(market: Market) -> tuple[Market, Taxonomy]:
    """The market by the parameters that the service makes of its taxonomy, and that taxonomy."""
    skills = taxonomy(market)
    parameters = planning.parameters(START, skills)
    assert parameters.related == market.parameters.related
    return replace(market, parameters=parameters), skills


def rows(market: Market, company: int) -> list[End]:
    """Its placements, then its offers."""
    return [
        End(side, number)
        for side in (Side.SENDER, Side.HOST)
        for number in range(*np.searchsorted(market.side(side).company, (company, company + 1)).tolist())
    ]


def event(market: Market, company: int) -> CompanyRegistered:
    ends = [market.open(row) for row in rows(market, company)]
    country, sector = (ends[0].home.country, ends[0].home.sector) if ends else (COUNTRIES[0], "62")
    return CompanyRegistered(
        company_id=UUID(int=company),
        revision=1,
        country=country,
        region=f"{country}1",
        sector=sector,
        size_class=SizeClass.SMALL,
        languages=(),
        placements=tuple(end.terms for end in ends if isinstance(end, OpenPlacement)),
        offers=tuple(end.terms for end in ends if isinstance(end, OpenOffer)),
    )


async def fill(url: str, market: Market, but: Collection[int] = ()) -> None:
    """Puts the market's ends into the empty tables, as what was there long ago: without a note of each change.

    Args:
        url: of the migrator.
        market: the ends of all its companies are taken.
        but: companies that are left out.
    """
    connection = await asyncpg.connect(url, server_settings={"search_path": SERVICE})
    try:
        for table, columns, rows in (
            ("placements", _PLACEMENT, _placements(market, but)),
            ("offers", _OFFER, _offers(market, but)),
        ):
            await connection.execute(f"truncate {table}; alter table {table} disable trigger user")
            await connection.copy_records_to_table(table, schema_name=SERVICE, columns=columns, records=rows)
            await connection.execute(f"alter table {table} enable trigger user")
            await connection.execute(f"vacuum (analyze) {table}")
    finally:
        await connection.close()


def _placements(market: Market, but: Collection[int]) -> Iterator[tuple[Any, ...]]:
    for number in _others(market.placements.company, but):
        end = market.placement(number)
        terms = end.terms
        yield terms.placement_id, *_shared(end), terms.destinations, terms.skills_sought, terms.skills_brought


def _offers(market: Market, but: Collection[int]) -> Iterator[tuple[Any, ...]]:
    for number in _others(market.offers.company, but):
        end = market.offer(number)
        terms = end.terms
        yield terms.offer_id, *_shared(end), terms.capacity, terms.skills_taught, terms.skills_needed


def _others(company: Column, but: Collection[int]) -> list[int]:
    return np.flatnonzero(~np.isin(company, list(but))).tolist()


def _shared(end: OpenPlacement | OpenOffer) -> tuple[Any, ...]:
    """As ``matching.store`` writes it."""
    terms, home = end.terms, end.home
    return (
        *(home.company_id, home.country, home.sector, terms.window.first, terms.window.last),
        *(terms.min_days, terms.max_days, list(domain.working_languages(terms.languages)), terms.model_dump_json()),
        NOON,
    )
