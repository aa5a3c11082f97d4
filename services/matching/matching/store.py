"""All the SQL of matching. PostgreSQL is the only truth: nothing about the market is kept between two pieces of work.

A search locks placements and offers without waiting: what somebody else is at, it leaves for its next run. So no number of
searches can block each other, and none can stand in a circle with other work, which locks companies, placements, offers and
matches in this order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, HostingOffer, Placement
from sojourn_contracts.match import MatchProposed

from matching import domain
from matching.domain import Home, OpenOffer, OpenPlacement
from matching.heard import Company, CompanyEvent, Match, MatchEvent, State


async def locked_or_blank_company(tx: Transaction, company_id: UUID) -> Company:
    row = await tx.connection.fetchrow(
        "insert into companies (company_id) values ($1) on conflict (company_id) do nothing"
        " returning company_id, revision, withdrawn",
        company_id,
    ) or await tx.connection.fetchrow(
        "select company_id, revision, withdrawn from companies where company_id = $1 for update", company_id
    )
    assert row is not None, "a company's row is never deleted"  # noqa: S101
    return Company(row["company_id"], row["revision"], row["withdrawn"])


async def save_company(tx: Transaction, event: CompanyEvent) -> None:
    """Keeps the event whole, and its placements and offers as the market; a company that is gone has none."""
    profile = event if isinstance(event, CompanyRegistered | CompanyUpdated) else None
    await tx.connection.execute(
        "update companies set revision = $2, kind = $3, payload = $4, withdrawn = $5 where company_id = $1",
        event.company_id,
        event.revision,
        type(event).__name__,
        event.model_dump_json(),
        profile is None,
    )
    await _clear(tx, event.company_id)
    if profile is not None:
        await _add_placements(tx, domain.placements_of(profile))
        await _add_offers(tx, domain.offers_of(profile))


async def erase_company(tx: Transaction, company_id: UUID) -> None:
    """Keeps the bare id. Slots stay held: exchange hears of it as well, and tells what becomes of the matches."""
    await tx.connection.execute(
        "update companies set revision = 0, kind = null, payload = null, withdrawn = true where company_id = $1",
        company_id,
    )
    await _clear(tx, company_id)
    await tx.connection.execute(
        """
        update matches set proposal = null
        where match_id in (
            select match_id from matches where sender_id = $1 or host_id = $1 order by match_id for update
        )
        """,
        company_id,
    )


async def _clear(tx: Transaction, company_id: UUID) -> None:
    await tx.connection.execute(
        "with gone as (delete from placements where company_id = $1) delete from offers where company_id = $1",
        company_id,
    )


async def _add_placements(tx: Transaction, placements: Sequence[OpenPlacement]) -> None:
    if not placements:
        return
    await tx.connection.executemany(
        """
        insert into placements (placement_id, company_id, country, sector, first_day, last_day, min_days, max_days,
                                working_languages, terms, destinations, skills_sought, skills_brought)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        [
            (terms.placement_id, *_stay(each), terms.destinations, terms.skills_sought, terms.skills_brought)
            for each, terms in ((each, each.terms) for each in placements)
        ],
    )


async def _add_offers(tx: Transaction, offers: Sequence[OpenOffer]) -> None:
    if not offers:
        return
    await tx.connection.executemany(
        """
        insert into offers (offer_id, company_id, country, sector, first_day, last_day, min_days, max_days,
                            working_languages, terms, capacity, skills_taught, skills_needed)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        [
            (terms.offer_id, *_stay(each), terms.capacity, terms.skills_taught, terms.skills_needed)
            for each, terms in ((each, each.terms) for each in offers)
        ],
    )


def _stay(each: OpenPlacement | OpenOffer) -> tuple[Any, ...]:
    """The columns that placements and offers share, from ``company_id`` to ``terms``."""
    terms, home = each.terms, each.home
    return (
        home.company_id,
        home.country,
        home.sector,
        terms.window.first,
        terms.window.last,
        terms.min_days,
        terms.max_days,
        list(domain.working_languages(terms.languages)),
        terms.model_dump_json(),
    )


async def candidates(tx: Transaction, company_id: UUID, today: date) -> list[tuple[OpenPlacement, OpenOffer]]:
    """The pairs with this company at one end that may fit. None is locked, so each is to be looked at again.

    What matches say is asked for the few pairs that are left, by counts: PostgreSQL joins nothing into those.
    """
    pairs = await tx.connection.fetch(
        """
        with near as materialized (
            select placement_id, offer_id, capacity, first_day, last_day, min_days from fit where sender_id = $1
            union all
            select placement_id, offer_id, capacity, first_day, last_day, min_days from fit where host_id = $1
        )
        select placement_id, offer_id from near
        where last_day - greatest(first_day, $2) + 1 >= min_days
          and capacity > (select count(*) from matches where matches.offer_id = near.offer_id and live)
          and 0 = (
              select count(*) from matches
              where matches.placement_id = near.placement_id
                and (live or state = 'completed' or matches.offer_id = near.offer_id)
          )
        """,
        company_id,
        today,
    )
    if not pairs:
        return []
    placements = {
        row["placement_id"]: _placement(row)
        for row in await tx.connection.fetch(
            "select placement_id, company_id, country, sector, terms from placements where placement_id = any ($1)",
            list({pair["placement_id"] for pair in pairs}),
        )
    }
    offers = {
        row["offer_id"]: _offer(row)
        for row in await tx.connection.fetch(
            "select offer_id, company_id, country, sector, terms from offers where offer_id = any ($1)",
            list({pair["offer_id"] for pair in pairs}),
        )
    }
    return [
        (placements[pair["placement_id"]], offers[pair["offer_id"]])
        for pair in pairs
        if pair["placement_id"] in placements and pair["offer_id"] in offers
    ]


async def locked_pair(tx: Transaction, placement_id: UUID, offer_id: UUID) -> tuple[OpenPlacement, OpenOffer] | None:
    """Both as they are now, locked until the transaction ends; None when one is gone or somebody else is at it.

    What matches say is read in a statement of its own after the locks, so that it sees what was committed up to then.
    """
    placement = await tx.connection.fetchrow(
        "select company_id, country, sector, terms from placements where placement_id = $1 for update skip locked",
        placement_id,
    )
    if placement is None:
        return None
    offer = await tx.connection.fetchrow(
        "select company_id, country, sector, terms from offers where offer_id = $1 for update skip locked", offer_id
    )
    if offer is None:
        return None
    standing = await tx.connection.fetchrow(
        """
        select exists (select from matches where placement_id = $1 and (live or state = 'completed')) as taken,
               (select count(*) from matches where offer_id = $2 and live) as held,
               exists (select from matches where placement_id = $1 and offer_id = $2) as met
        """,
        placement_id,
        offer_id,
    )
    assert standing is not None  # noqa: S101
    met = frozenset({offer_id} if standing["met"] else ())
    return replace(_placement(placement), taken=standing["taken"], met=met), replace(
        _offer(offer), held=standing["held"]
    )


async def knows_match(tx: Transaction, match_id: UUID) -> bool:
    return bool(await tx.connection.fetchval("select exists (select from matches where match_id = $1)", match_id))


async def reserve(tx: Transaction, proposal: MatchProposed) -> bool:
    """Makes a match, which from now on holds a place of its offer. False if the table knows better, which changes nothing."""
    return bool(
        await tx.connection.fetchval(
            """
            insert into matches (match_id, state, made_here, placement_id, offer_id, sender_id, host_id,
                                 proposed_at, proposal)
            values ($1, 'proposed', true, $2, $3, $4, $5, $6, $7)
            on conflict do nothing
            returning true
            """,
            proposal.match_id,
            proposal.placement_id,
            proposal.offer_id,
            proposal.sender_id,
            proposal.host_id,
            tx.now,
            proposal.model_dump_json(),
        )
    )


async def locked_or_blank_match(tx: Transaction, match_id: UUID) -> Match:
    """After a restore, exchange may tell of a match that is not here any more."""
    await tx.connection.execute("insert into matches (match_id) values ($1) on conflict do nothing", match_id)
    row = await tx.connection.fetchrow(
        "select match_id, state, revision, placement_id, offer_id, sender_id, host_id"
        " from matches where match_id = $1 for update",
        match_id,
    )
    assert row is not None, "a match's row is never deleted"  # noqa: S101
    return Match(
        match_id=row["match_id"],
        state=State(row["state"]),
        revision=row["revision"],
        placement_id=row["placement_id"],
        offer_id=row["offer_id"],
        sender_id=row["sender_id"],
        host_id=row["host_id"],
    )


async def save_match(tx: Transaction, match: Match, event: MatchEvent) -> None:
    """With the event whole."""
    await tx.connection.execute(
        """
        update matches
        set state = $2, revision = $3, placement_id = $4, offer_id = $5, sender_id = $6, host_id = $7,
            kind = $8, payload = $9
        where match_id = $1
        """,
        match.match_id,
        match.state,
        match.revision,
        match.placement_id,
        match.offer_id,
        match.sender_id,
        match.host_id,
        type(event).__name__,
        event.model_dump_json(),
    )


async def erase_match(tx: Transaction, match: Match) -> None:
    """Keeps the bare id."""
    await tx.connection.execute(
        """
        update matches
        set state = $2, made_here = false, revision = 0, placement_id = null, offer_id = null, sender_id = null,
            host_id = null, proposed_at = null, proposal = null, kind = null, payload = null
        where match_id = $1
        """,
        match.match_id,
        match.state,
    )


@dataclass(frozen=True)
class KnownMatch:
    """A match as it is shown; ``proposal`` is None when it was erased, or not made here."""

    match_id: UUID
    state: State
    placement_id: UUID
    offer_id: UUID
    sender_id: UUID
    host_id: UUID
    proposed_at: datetime | None
    proposal: MatchProposed | None


async def matches_of_placement(tx: Transaction, placement_id: UUID) -> tuple[UUID | None, list[KnownMatch]]:
    """Whose placement it is, None if nothing is known of it; and its matches, oldest first."""
    owner = await tx.connection.fetchval("select company_id from placements where placement_id = $1", placement_id)
    matches = await _matches(tx, "placement_id", placement_id)
    return owner or next((match.sender_id for match in matches), None), matches


async def matches_of_offer(tx: Transaction, offer_id: UUID) -> tuple[UUID | None, list[KnownMatch]]:
    """Whose offer it is, None if nothing is known of it; and its matches, oldest first."""
    owner = await tx.connection.fetchval("select company_id from offers where offer_id = $1", offer_id)
    matches = await _matches(tx, "offer_id", offer_id)
    return owner or next((match.host_id for match in matches), None), matches


async def market(tx: Transaction) -> dict[str, int]:
    """How many placements wait, how many places are free, how many matches are live."""
    row = await tx.connection.fetchrow(
        """
        select (select count(*) from placements
                where not exists (select from matches where matches.placement_id = placements.placement_id
                                  and (matches.live or matches.state = 'completed'))) as open_placements,
               (select coalesce(sum(greatest(0, offers.capacity - coalesce(held.places, 0))), 0)::bigint
                from offers
                left join (select offer_id, count(*) as places from matches where live group by offer_id) held
                  using (offer_id)) as free_places,
               (select count(*) from matches where live) as live_matches
        """
    )
    return dict(row) if row else {}


async def _matches(tx: Transaction, end: str, id_: UUID) -> list[KnownMatch]:
    rows = await tx.connection.fetch(
        f"""
        select match_id, state, placement_id, offer_id, sender_id, host_id, proposed_at, proposal
        from matches where {end} = $1 order by proposed_at nulls first, match_id
        """,  # noqa: S608 - one of two column names
        id_,
    )
    return [_known(row) for row in rows]


def _known(row: asyncpg.Record) -> KnownMatch:
    fields: dict[str, Any] = dict(row)
    proposal = fields.pop("proposal")
    state = State(fields.pop("state"))
    return KnownMatch(**fields, state=state, proposal=MatchProposed.model_validate_json(proposal) if proposal else None)


def _home(row: asyncpg.Record) -> Home:
    return Home(row["company_id"], row["country"], row["sector"])


def _placement(row: asyncpg.Record) -> OpenPlacement:
    return OpenPlacement(Placement.model_validate_json(row["terms"]), _home(row))


def _offer(row: asyncpg.Record) -> OpenOffer:
    return OpenOffer(HostingOffer.model_validate_json(row["terms"]), _home(row))
