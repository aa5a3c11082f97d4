"""All the SQL of matching. PostgreSQL is the only truth: what a process keeps in memory is read from here, and is a hint.

A search locks placements and offers without waiting: what somebody else is at, it leaves for its next run. So no number of
searches can block each other, and none can stand in a circle with other work, which locks the matches that a batch of events
tells of, then companies, placements and offers, matches and companies by their ids.
"""

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate
from typing import Any
from uuid import UUID

import asyncpg
from chassis.database import Connection
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn, HostingOffer, Placement
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.vocabulary import MIN_STAY_DAYS, Country, Sector, Side

from matching import domain, reasons
from matching.domain import Home, Obstacle, OpenOffer, OpenPlacement, Parameters
from matching.heard import Company, CompanyEvent, Match, MatchEvent, State
from matching.index import Candidate
from matching.planner import Edge


async def locked_or_blank_companies(tx: Transaction, company_ids: Collection[UUID]) -> dict[UUID, Company]:
    """In the order of their ids, so that two who lock several cannot wait for each other."""
    ordered = sorted(company_ids)
    await tx.connection.execute(
        "insert into companies (company_id) select id from unnest($1::uuid[]) as told(id) order by id"
        " on conflict (company_id) do nothing",
        ordered,
    )
    rows = await tx.connection.fetch(
        "select company_id, revision, withdrawn from companies where company_id = any ($1)"
        " order by company_id for update",
        ordered,
    )
    return {row["company_id"]: Company(row["company_id"], row["revision"], row["withdrawn"]) for row in rows}


async def save_companies(tx: Transaction, events: Sequence[CompanyEvent]) -> None:
    """Keeps events whole, one a company, and their placements and offers as the market; a company that is gone has none."""
    if not events:
        return
    company_ids = [event.company_id for event in events]
    await tx.connection.execute(
        """
        update companies
        set revision = told.revision, kind = told.kind, payload = told.payload::jsonb, withdrawn = told.withdrawn
        from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bool[])
            as told(company_id, revision, kind, payload, withdrawn)
        where companies.company_id = told.company_id
        """,
        company_ids,
        [event.revision for event in events],
        [type(event).__name__ for event in events],
        [event.model_dump_json() for event in events],
        [isinstance(event, CompanyWithdrawn) for event in events],
    )
    since = await _clear(tx, company_ids)
    profiles = [event for event in events if isinstance(event, CompanyRegistered | CompanyUpdated)]
    placements = [each for profile in profiles for each in domain.placements_of(profile)]
    offers = [each for profile in profiles for each in domain.offers_of(profile)]
    await _add_placements(tx, placements, since)
    await _add_offers(tx, offers, since)
    kept = {each.id for each in (*placements, *offers)}
    await _withdraw_interests(tx, since.keys() - kept)


async def erase_company(tx: Transaction, company_id: UUID) -> None:
    """Keeps the bare id, and takes its ends off the market."""
    await tx.connection.execute(
        "update companies set revision = 0, kind = null, payload = null, withdrawn = true where company_id = $1",
        company_id,
    )
    await _withdraw_interests(tx, (await _clear(tx, [company_id])).keys())
    await tx.connection.execute("delete from edges where company_id = $1", company_id)


async def _clear(tx: Transaction, company_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Takes their ends off the market, and tells since when each was there."""
    return {
        row["id"]: row["since"] or tx.now
        for statement in (
            "delete from placements where company_id = any ($1) returning placement_id as id, since",
            "delete from offers where company_id = any ($1) returning offer_id as id, since",
        )
        for row in await tx.connection.fetch(statement, company_ids)
    }


async def _withdraw_interests(tx: Transaction, gone: Collection[UUID]) -> None:
    """What wants an end that left the market is wanted no more."""
    if gone:
        await tx.connection.execute(
            "delete from interests where placement_id = any ($1) or offer_id = any ($1)", list(gone)
        )


_TOLD = "unnest($1::uuid[], $2::text[], $3::text[], $4::text[]::jsonb[], $5::timestamptz[])"
_WORKING_LANGUAGES = "array(select left(each, 2) from unnest(spoken(terms)) as each)"


async def _add_placements(tx: Transaction, placements: Sequence[OpenPlacement], since: Mapping[UUID, datetime]) -> None:
    if not placements:
        return
    await tx.connection.execute(
        f"""
        insert into placements (placement_id, company_id, country, sector, first_day, last_day, min_days, max_days,
                                working_languages, terms, since, destinations, skills_sought, skills_brought)
        select placement_id, company_id, country, sector, ("window"->>'first')::date, ("window"->>'last')::date,
               min_days, max_days, {_WORKING_LANGUAGES}, terms, since, destinations, skills_sought, skills_brought
        from {_TOLD} as told(company_id, country, sector, terms, since),
             jsonb_to_record(terms) as said(
                 placement_id uuid, "window" jsonb, min_days int, max_days int,
                 destinations text[], skills_sought text[], skills_brought text[])
        """,  # noqa: S608 - constants
        *_told(placements, since, tx.now),
    )


async def _add_offers(tx: Transaction, offers: Sequence[OpenOffer], since: Mapping[UUID, datetime]) -> None:
    if not offers:
        return
    await tx.connection.execute(
        f"""
        insert into offers (offer_id, company_id, country, sector, first_day, last_day, min_days, max_days,
                            working_languages, terms, since, capacity, skills_taught, skills_needed)
        select offer_id, company_id, country, sector, ("window"->>'first')::date, ("window"->>'last')::date,
               min_days, max_days, {_WORKING_LANGUAGES}, terms, since, capacity, skills_taught, skills_needed
        from {_TOLD} as told(company_id, country, sector, terms, since),
             jsonb_to_record(terms) as said(
                 offer_id uuid, "window" jsonb, min_days int, max_days int, capacity int,
                 skills_taught text[], skills_needed text[])
        """,  # noqa: S608
        *_told(offers, since, tx.now),
    )


def _told(
    ends: Sequence[OpenPlacement | OpenOffer], since: Mapping[UUID, datetime], now: datetime
) -> tuple[list[Any], ...]:
    """In columns."""
    return (
        [end.home.company_id for end in ends],
        [end.home.country for end in ends],
        [end.home.sector for end in ends],
        [end.terms.model_dump_json() for end in ends],
        [since.get(end.id, now) for end in ends],
    )


_PLACEMENTS = """
    select placement_id, placements.company_id, country, sector, terms,
           exists (select from matches where matches.placement_id = placements.placement_id
                   and (live or state = 'completed')) as taken,
           array(select offer_id from met where met.placement_id = placements.placement_id) as met
    from placements
"""
_OFFERS = """
    select offer_id, company_id, country, sector, terms,
           (select count(*) from matches where matches.offer_id = offers.offer_id and live)::int as held
    from offers
"""


Chunks = Callable[[bytes], Coroutine[Any, Any, None]]


async def copy_out(
    connection: Connection, placements: Chunks, offers: Chunks, ids: Sequence[UUID] | None = None
) -> None:
    """What is on the market, or what of these ends is, in binary, for :mod:`matching.index.loading`."""
    these = "" if ids is None else f"= any ('{{{','.join(map(str, ids))}}}'::uuid[])"
    await connection.copy_from_query(
        f"""
        select placement_id, country, sector, first_day, last_day, min_days, max_days,
               not exists (select from matches where matches.placement_id = placements.placement_id
                           and (live or state = 'completed')),
               liked, spoken, skills_sought, skills_brought, destinations
        from placements {these and f"where placement_id {these}"}
        """,  # noqa: S608 - UUIDs; a COPY takes no parameters
        output=placements,
        format="binary",
    )
    await connection.copy_from_query(
        f"""
        select offer_id, country, sector, first_day, last_day, min_days, max_days,
               capacity > coalesce(places, 0),
               liked, spoken, skills_needed, skills_taught, '{{}}'::text[]
        from offers left join (
            select offer_id, count(*) as places from matches
            where live {these and f"and offer_id {these}"} group by offer_id
        ) as held using (offer_id)
        {these and f"where offer_id {these}"}
        """,  # noqa: S608
        output=offers,
        format="binary",
    )


async def meetings(connection: Connection, ids: Sequence[UUID] | None = None) -> list[tuple[UUID, list[UUID]]]:
    """The offers that placements have met: all that did, or those of which they or one of their offers is among these."""
    these = "" if ids is None else "where placement_id = any ($1) or offer_id = any ($1)"
    rows = await connection.fetch(
        f"""
        with told as (select distinct placement_id from matches {these})
        select placement_id, array_remove(array_agg(offer_id), null) as met
        from told left join met using (placement_id) where placement_id is not null group by placement_id
        """,  # noqa: S608 - constants
        *(() if ids is None else (ids,)),
    )
    return [(row["placement_id"], row["met"]) for row in rows]


async def ends(connection: Connection, ids: Sequence[UUID]) -> list[OpenPlacement | OpenOffer]:
    """Those of them that are on the market, as they are now."""
    placements = await connection.fetch(f"{_PLACEMENTS} where placement_id = any ($1)", ids)
    offers = await connection.fetch(f"{_OFFERS} where offer_id = any ($1)", ids)
    return [
        *(_placement(row, row["taken"], row["met"]) for row in placements),
        *(_offer(row, row["held"]) for row in offers),
    ]


@dataclass(frozen=True)
class News:
    """What changed since a moment; ``ids`` is None when the log does not reach back that far."""

    moment: str
    ids: list[UUID] | None


_MOMENT = "pg_current_snapshot()::text as snapshot, pg_current_xact_id_if_assigned()::text as own"


def _moment(row: asyncpg.Record) -> str:
    """A snapshot does not count the transaction that takes it as unfinished, which it is: what it writes is to come."""
    oldest, next_, running = row["snapshot"].split(":")
    unfinished = {int(xid) for xid in running.split(",") if xid}
    if row["own"] is not None and int(row["own"]) < int(next_):
        unfinished.add(int(row["own"]))
    return f"{oldest}:{next_}:{','.join(map(str, sorted(unfinished)))}"


async def moment(connection: Connection) -> str:
    """What the connection sees now, as a snapshot's text: the transactions that are over, and those that are not."""
    row = await connection.fetchrow(f"select {_MOMENT}")
    assert row is not None  # noqa: S101
    return _moment(row)


async def changed_since(connection: Connection, before: str) -> News:
    """The ends that changed by transactions which ``before`` did not show, in whatever order they were committed.

    What lies in the future of this database comes from another one, by a restore.
    """
    row = await connection.fetchrow(
        f"""
        with known as materialized (select $1::text::pg_snapshot as before)
        select {_MOMENT},
               (select xid <= pg_snapshot_xmin(before) from changes
                where xid < pg_snapshot_xmax(pg_current_snapshot()) order by xid limit 1) as reaches_back,
               array(
                   select distinct end_id from changes
                   where xid >= pg_snapshot_xmin(before) and xid < pg_snapshot_xmax(pg_current_snapshot())
                     and not pg_visible_in_snapshot(xid, before) and end_id is not null
               ) as ids
        from known
        """,  # noqa: S608 - a constant
        before,
    )
    assert row is not None  # noqa: S101
    return News(_moment(row), row["ids"] if row["reaches_back"] else None)


async def begin_log(connection: Connection) -> None:
    """From now on the log reaches back to this moment, also when it is empty, or all that it has is of another database."""
    await connection.execute("insert into changes default values")


async def forget_changes(connection: Connection, chunk: int = 10_000) -> None:
    """Those of more than an hour ago, but for the newest, which tells how far back the log reaches."""
    while True:
        gone = await connection.execute(
            """
            delete from changes where id in (
                select id from changes
                where xid < (select max(xid) from changes where at < now() - interval '1 hour')
                   or xid >= pg_snapshot_xmax(pg_current_snapshot())
                order by id limit $1 for update skip locked
            )
            """,
            chunk,
        )
        if int(gone.rpartition(" ")[2]) < chunk:
            return


@dataclass(frozen=True)
class Ends:
    """Of one company, by their ids."""

    placements: list[UUID]
    offers: list[UUID]

    @property
    def all(self) -> list[UUID]:
        return [*self.placements, *self.offers]


async def ends_of(tx: Transaction, company_ids: Sequence[UUID]) -> dict[UUID, Ends]:
    """What each of these companies has on the market, in the order of ids."""
    found = {company_id: Ends([], []) for company_id in company_ids}
    for row in await tx.connection.fetch(
        "select company_id, placement_id from placements where company_id = any ($1) order by placement_id", company_ids
    ):
        found[row["company_id"]].placements.append(row["placement_id"])
    for row in await tx.connection.fetch(
        "select company_id, offer_id from offers where company_id = any ($1) order by offer_id", company_ids
    ):
        found[row["company_id"]].offers.append(row["offer_id"])
    return found


async def save_edges(
    tx: Transaction, ends: Mapping[UUID, Ends], found: Mapping[UUID, Sequence[Candidate]], rules: str
) -> None:
    """Keeps whom each end of these companies fits best by these rules, in place of all that was kept of their ends.

    Nobody waits for anybody: no two searches for one company run at once.
    """
    await tx.connection.execute(
        "delete from edges where company_id = any ($1) and end_id <> all ($2)", list(ends), list(found)
    )
    kept = [(company_id, end_id, found[end_id]) for company_id, theirs in ends.items() for end_id in theirs.all]
    sizes = [len(candidates) for _, _, candidates in kept]
    until = list(accumulate(sizes))
    await tx.connection.execute(
        """
        insert into edges (company_id, end_id, others, scores, best, rules)
        select company_id, end_id, ($5::uuid[])[since:until], ($6::int[])[since:until],
               case when since > until then 0 else ($6::int[])[since] end, $7
        from unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[]) as told(company_id, end_id, since, until)
        on conflict (end_id) do update
        set company_id = excluded.company_id, others = excluded.others, scores = excluded.scores, rules = excluded.rules,
            best = case when edges.rules = excluded.rules then greatest(edges.best, excluded.best) else excluded.best end
        """,
        [company_id for company_id, _, _ in kept],
        [end_id for _, end_id, _ in kept],
        [end - size + 1 for end, size in zip(until, sizes, strict=True)],
        until,
        [each.id for _, _, candidates in kept for each in candidates],
        [each.score for _, _, candidates in kept for each in candidates],
        rules,
    )


async def put_in_force(tx: Transaction, rules: str) -> bool:
    """From now on edges are to be scored by these rules; False if they are already."""
    return bool(
        await tx.connection.fetchval(
            """
            insert into rules (in_force) values ($1)
            on conflict ((true)) do update set in_force = excluded.in_force where rules.in_force <> excluded.in_force
            returning true
            """,
            rules,
        )
    )


async def in_force(tx: Transaction, rules: str) -> bool:
    """Whether edges are to be scored by these rules."""
    return bool(await tx.connection.fetchval("select exists (select from rules where in_force = $1)", rules))


async def scored_otherwise(tx: Transaction, rules: str, after: UUID, limit: int) -> list[UUID]:
    """Companies with edges that were not scored by these rules, in the order of ids, beginning after one."""
    rows = await tx.connection.fetch(
        """
        select distinct company_id from edges where company_id > $2 and rules is distinct from $1
        order by company_id limit $3
        """,
        rules,
        after,
        limit,
    )
    return [row["company_id"] for row in rows]


EDGES = 20
"""Candidates of each end that are kept: the planner loses almost nothing by knowing no more of them."""


@dataclass(frozen=True)
class OpenMarket:
    """What the planner goes by: the pairs that searches found and of which both ends are open, and what is known of the ends."""

    edges: list[Edge]
    places: dict[UUID, int]
    """Free ones, by offer."""
    aspirations: dict[UUID, int]
    since: dict[UUID, date]
    """By placement."""
    deadlines: dict[UUID, date]
    """By end, the last day on which its shortest stay can begin."""
    exhausted: set[UUID]
    """Companies with an end whose search found more than it kept, and nothing is left of what it kept."""


async def open_market(connection: Connection, now: datetime) -> OpenMarket:
    """Nobody is locked: what changes meanwhile is seen when a pair of it is to be proposed."""
    ends = {
        row["id"]: row
        for row in await connection.fetch(
            f"""
            select placement_id as id, company_id, 1::bigint as places, since, last_day - min_days + 1 as deadline
            from placements where {_WAITING} and last_day - min_days + 1 >= $1
            union all
            select offer_id, company_id, capacity - (
                       select count(*) from matches where matches.offer_id = offers.offer_id and live
                   ), since, last_day - min_days + 1
            from offers where last_day - min_days + 1 >= $1
            """,  # noqa: S608 - a constant
            now.date(),
        )
        if row["places"] > 0
    }
    met = {
        (row["placement_id"], row["offer_id"])
        for row in await connection.fetch("select placement_id, offer_id from met")
    }
    edges, aspirations, exhausted = dict[tuple[UUID, UUID], int](), dict[UUID, int](), set[UUID]()
    for row in await connection.fetch(
        """
        select end_id, others, scores, best, exists (select from placements where placement_id = end_id) as sends
        from edges order by end_id
        """
    ):
        end_id = row["end_id"]
        if end_id not in ends:
            continue
        aspirations[end_id] = row["best"]
        left = False
        for other, score in zip(row["others"], row["scores"], strict=True):
            pair = (end_id, other) if row["sends"] else (other, end_id)
            if other in ends and pair not in met:
                edges[pair], left = score, True
        if len(row["others"]) == EDGES and not left:
            exhausted.add(ends[end_id]["company_id"])
    return OpenMarket(
        edges=[Edge(*pair, score) for pair, score in edges.items()],
        places={end_id: row["places"] for end_id, row in ends.items()},
        aspirations=aspirations,
        since={end_id: (row["since"] or now).date() for end_id, row in ends.items()},
        deadlines={end_id: row["deadline"] for end_id, row in ends.items()},
        exhausted=exhausted,
    )


async def wait_for_plan(tx: Transaction) -> None:
    """The market waits for a plan from now on, unless it does already; who is planning meanwhile is not waited for."""
    await tx.connection.execute(
        "insert into plan_asked (at) select $1 where not exists (select from plan_asked) on conflict do nothing", tx.now
    )


async def has_planned(tx: Transaction) -> None:
    """The market waits for a plan no more."""
    await tx.connection.execute("delete from plan_asked")


async def plan_asked_at(connection: Connection) -> datetime | None:
    """Since when the market waits for a plan."""
    return await connection.fetchval("select at from plan_asked")


async def be_patient(tx: Transaction) -> None:
    """While a market is solved, PostgreSQL hears nothing of the transaction; only the limit on the whole of it ends it then."""
    await tx.connection.execute("set local idle_in_transaction_session_timeout = 0")


async def locked_if_free(
    tx: Transaction, placement_ids: Sequence[UUID], offer_ids: Sequence[UUID]
) -> list[OpenPlacement | OpenOffer]:
    """Those that are on the market and that nobody else is at, as they are now, locked until the transaction ends."""
    return await _locked(tx, placement_ids, offer_ids, "for update skip locked")


async def locked_pair(tx: Transaction, placement_id: UUID, offer_id: UUID) -> tuple[OpenPlacement, OpenOffer] | None:
    """Both as they are now, locked until the transaction ends; waits for who is at one. None when one is not on the market."""
    found = await _locked(tx, [placement_id], [offer_id], "for update")
    match found:
        case [OpenPlacement() as placement, OpenOffer() as offer]:
            return placement, offer
        case _:
            return None


async def _locked(
    tx: Transaction, placement_ids: Sequence[UUID], offer_ids: Sequence[UUID], locking: str
) -> list[OpenPlacement | OpenOffer]:
    """They are read in statements of their own after the locks, so that these see what was committed up to then."""
    placements = await tx.connection.fetch(
        f"select placement_id as id from placements where placement_id = any ($1) {locking}",  # noqa: S608
        placement_ids,
    )
    offers = await tx.connection.fetch(
        f"select offer_id as id from offers where offer_id = any ($1) {locking}",  # noqa: S608
        offer_ids,
    )
    return await ends(tx.connection, [row["id"] for row in (*placements, *offers)])


@dataclass(frozen=True)
class Interest:
    """A pair that one side wants, whose slot somebody else has or had."""

    placement_id: UUID
    offer_id: UUID
    side: str
    sender_id: UUID


async def keep_interest(tx: Transaction, placement_id: UUID, offer_id: UUID, side: Side) -> None:
    """The first one to want the pair is who asked for it."""
    await tx.connection.execute(
        "insert into interests (placement_id, offer_id, side, at) values ($1, $2, $3, $4) on conflict do nothing",
        placement_id,
        offer_id,
        side,
        tx.now,
    )


async def interests_near(tx: Transaction, end_ids: Sequence[UUID]) -> list[Interest]:
    """The pairs wanted that one of these ends, or one of their edges, is part of, in the order in which they were asked for."""
    rows = await tx.connection.fetch(
        """
        with near as (
            select unnest(others || end_id) as id from edges where end_id = any ($1)
        )
        select placement_id, offer_id, side, placements.company_id as sender_id
        from interests join placements using (placement_id) join offers using (offer_id)
        where placement_id in (select id from near) or offer_id in (select id from near)
        order by at, placement_id, offer_id
        """,
        end_ids,
    )
    return [Interest(**dict(row)) for row in rows]


async def live_match(tx: Transaction, placement_id: UUID, offer_id: UUID) -> UUID | None:
    return await tx.connection.fetchval(
        "select match_id from matches where placement_id = $1 and offer_id = $2 and live", placement_id, offer_id
    )


async def fulfilled(tx: Transaction, placement_id: UUID) -> bool:
    """Whether a stay of it took place."""
    return bool(
        await tx.connection.fetchval(
            "select exists (select from matches where placement_id = $1 and state = 'completed')", placement_id
        )
    )


async def known_matches(tx: Transaction, match_ids: Sequence[UUID]) -> set[UUID]:
    rows = await tx.connection.fetch("select match_id from matches where match_id = any ($1)", match_ids)
    return {row["match_id"] for row in rows}


async def reserve(tx: Transaction, proposals: Sequence[MatchProposed]) -> set[UUID]:
    """Makes matches, which from now on hold places of their offers; not those about which the table knows better.

    A pair that came to be is wanted no more.
    """
    rows = await tx.connection.fetch(
        """
        with made as (
            insert into matches (match_id, state, made_here, placement_id, offer_id, sender_id, host_id,
                                 proposed_at, proposal, offered)
            select match_id, 'proposed', true, placement_id, offer_id, sender_id, host_id, $6, proposal::jsonb,
                   (select offered(terms) from offers where offers.offer_id = told.offer_id)
            from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $7::text[])
                as told(match_id, placement_id, offer_id, sender_id, host_id, proposal)
            on conflict do nothing
            returning match_id, placement_id, offer_id
        ), fulfilled as (
            delete from interests using made
            where interests.placement_id = made.placement_id and interests.offer_id = made.offer_id
        )
        select match_id from made
        """,
        [each.match_id for each in proposals],
        [each.placement_id for each in proposals],
        [each.offer_id for each in proposals],
        [each.sender_id for each in proposals],
        [each.host_id for each in proposals],
        tx.now,
        [each.model_dump_json() for each in proposals],
    )
    return {row["match_id"] for row in rows}


async def hold_matches(tx: Transaction, match_ids: Collection[UUID]) -> None:
    """Locked in the order of their ids until the transaction ends, with blank rows for those that are not here."""
    await tx.connection.execute(
        "insert into matches (match_id) select id from unnest($1::uuid[]) as told(id) order by id on conflict do nothing",
        match_ids,
    )
    await tx.connection.execute("select from matches where match_id = any ($1) order by match_id for update", match_ids)


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
            host_id = null, proposed_at = null, proposal = null, offered = null, kind = null, payload = null
        where match_id = $1
        """,
        match.match_id,
        match.state,
    )


async def take_off(tx: Transaction, traveller_id: UUID) -> list[UUID]:
    """Takes a person's placement off the market and out of what their company said, and gives its id."""
    rows = await tx.connection.fetch(
        "select company_id, kind, payload from companies where position($1 in payload::text) > 0 order by company_id for update",
        str(traveller_id),
    )
    for row in rows:
        left = CompanyUpdated.model_validate_json(row["payload"]).without({traveller_id})
        await tx.connection.execute(
            "update companies set payload = $2 where company_id = $1",
            row["company_id"],
            left and left.model_dump_json(),
        )
    taken = await tx.connection.fetch(
        "delete from placements where terms->>'traveller_id' = $1 returning placement_id", str(traveller_id)
    )
    return [row["placement_id"] for row in taken]


async def forget_ends(tx: Transaction, end_ids: Collection[UUID]) -> list[UUID]:
    """What was found for these ends goes, and for others what names one of them; gives those companies, which search anew."""
    ids = list(end_ids)
    await _withdraw_interests(tx, ids)
    await tx.connection.execute("delete from edges where end_id = any ($1)", ids)
    rows = await tx.connection.fetch("delete from edges where others && $1::uuid[] returning company_id", ids)
    return sorted({row["company_id"] for row in rows})


async def matches_of(tx: Transaction, party_id: UUID, placement_ids: Sequence[UUID]) -> list[UUID]:
    """The matches that a company or a traveller is or was at, as far as it is told of one, in the order of their ids."""
    rows = await tx.connection.fetch(
        """
        select match_id from matches
        where sender_id = $1 or host_id = $1 or placement_id = any ($2)
           or proposal->>'traveller_id' = $3 or payload->>'traveller_id' = $3
        order by match_id
        """,
        party_id,
        placement_ids,
        str(party_id),
    )
    return [row["match_id"] for row in rows]


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


async def owner_of_placement(tx: Transaction, placement_id: UUID) -> UUID | None:
    """Whose it is, or was while it had a match; None if nothing is known of it."""
    return await tx.connection.fetchval(
        "select coalesce((select company_id from placements where placement_id = $1),"
        " (select sender_id from matches where placement_id = $1 limit 1))",
        placement_id,
    )


async def owner_of_offer(tx: Transaction, offer_id: UUID) -> UUID | None:
    """Whose it is, or was while it had a match; None if nothing is known of it."""
    return await tx.connection.fetchval(
        "select coalesce((select company_id from offers where offer_id = $1),"
        " (select host_id from matches where offer_id = $1 limit 1))",
        offer_id,
    )


async def matches_of_placement(tx: Transaction, placement_id: UUID) -> list[KnownMatch]:
    """Oldest first."""
    return await _matches(tx, "placement_id", placement_id)


async def matches_of_offer(tx: Transaction, offer_id: UUID) -> list[KnownMatch]:
    """Oldest first."""
    return await _matches(tx, "offer_id", offer_id)


_OBSTACLE = """
    case
        when placement.country = offer.country then 'same_country'
        when offer.country <> all (placement.destinations) then 'destination'
        when not placement.working_languages && offer.working_languages then 'language'
        when {days} < {least} then 'window'
        when greatest(placement.min_days, offer.min_days) > least(placement.max_days, offer.max_days, {days}) then 'length'
        when not ({training}) then 'training'
        when exists (select from matches where matches.placement_id = placement.placement_id
                     and (live or state = 'completed')) then 'taken'
        when offer.capacity <= (select count(*) from matches where matches.offer_id = offer.offer_id and live)
            then 'capacity'
        when exists (select from met where met.placement_id = placement.placement_id
                     and met.offer_id = offer.offer_id) then 'met'
    end
"""
"""The name of the first hard constraint that a pair breaks, in the order of ``domain.Obstacle``; null if it breaks none."""
_DAYS = "(least(placement.last_day, offer.last_day) - greatest(placement.first_day, offer.first_day, $2::date) + 1)"
_WITH_OFFERS = """
    (select offer_id, country, working_languages, first_day, last_day, min_days, max_days, capacity, skills_taught, skills_needed
     from offers limit $5) offer
    join placements placement on placement_id = $1
"""
_WITH_PLACEMENTS = """
    (select placement_id, country, working_languages, first_day, last_day, min_days, max_days, destinations, skills_sought,
            skills_brought
     from placements limit $5) placement
    join offers offer on offer_id = $1
"""
COUNTED = 100_000
"""Ends of the other side that are looked at, at most, to count what stands in the way."""


async def obstacles(
    tx: Transaction, end: OpenPlacement | OpenOffer, parameters: Parameters, among: int = COUNTED
) -> dict[Obstacle, int]:
    """How many of the other side each hard constraint takes away from an end: each by the first one that it breaks."""
    if isinstance(end, OpenPlacement):
        id_, brings, seeks = end.terms.placement_id, end.terms.skills_brought, end.terms.skills_sought
        training = "offer.skills_taught && $3::text[] or offer.skills_needed && $4::text[]"
        pairs = _WITH_OFFERS
    else:
        id_, brings, seeks = end.terms.offer_id, end.terms.skills_taught, end.terms.skills_needed
        training = "placement.skills_brought && $3::text[] or placement.skills_sought && $4::text[]"
        pairs = _WITH_PLACEMENTS
    obstacle = _OBSTACLE.format(days=_DAYS, least=MIN_STAY_DAYS, training=training)
    rows = await tx.connection.fetch(
        f"select {obstacle} as obstacle, count(*) from {pairs} group by 1",  # noqa: S608 - of constants
        id_,
        parameters.today,
        reasons.that_train(seeks, parameters),
        reasons.that_are_trained(brings, parameters),
        among,
    )
    counts = {row["obstacle"]: row["count"] for row in rows}
    return {each: counts[each.value] for each in Obstacle if each.value in counts}


_WAITING = """
    not exists (select from matches where matches.placement_id = placements.placement_id
                and (matches.live or matches.state = 'completed'))
"""


@dataclass(frozen=True)
class Waiting:
    """Open placements of one country and NACE division, and the hosts that their latest searches found for them, in all."""

    country: Country
    sector: Sector
    placements: int
    without_hosts: int
    hosts: int


async def waiting(connection: Connection) -> list[Waiting]:
    """By country and division; a placement that was not searched for yet counts as one without hosts."""
    rows = await connection.fetch(
        f"""
        select country, sector, count(*) as placements,
               count(*) filter (where coalesce(cardinality(others), 0) = 0) as without_hosts,
               coalesce(sum(cardinality(others)), 0)::bigint as hosts
        from placements left join edges on end_id = placement_id
        where {_WAITING}
        group by country, sector order by country, sector
        """  # noqa: S608 - a constant
    )
    return [Waiting(**dict(row)) for row in rows]


async def days_waited(connection: Connection, today: date) -> tuple[int | None, int | None]:
    """Programme days since open placements were first heard of: the median, and what nine of ten do not exceed."""
    row = await connection.fetchrow(
        f"""
        select percentile_disc(array[0.5, 0.9]) within group (order by $1::date - since::date) as days
        from placements where since is not null and {_WAITING}
        """,  # noqa: S608 - a constant
        today,
    )
    median, most = (row and row["days"]) or (None, None)
    return median, most


async def without_hosts(tx: Transaction, limit: int) -> list[OpenPlacement]:
    """Open placements whose latest search found nobody, in the order of ids: a sample, since ids are random."""
    rows = await tx.connection.fetch(
        f"""
        {_PLACEMENTS} join edges on end_id = placement_id
        where cardinality(others) = 0 and {_WAITING} order by placement_id limit $1
        """,
        limit,
    )
    return [_placement(row, row["taken"], row["met"]) for row in rows]


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


def _placement(row: asyncpg.Record, taken: bool, met: Iterable[UUID]) -> OpenPlacement:
    return OpenPlacement(Placement.model_validate_json(row["terms"]), _home(row), taken, frozenset(met))


def _offer(row: asyncpg.Record, held: int) -> OpenOffer:
    return OpenOffer(HostingOffer.model_validate_json(row["terms"]), _home(row), held)
