"""What matching holds on people and companies, and how it forgets them: off the market, with every match that they were at."""

from collections.abc import Collection
from uuid import UUID

from chassis.holdings import Holding, Holdings, about
from chassis.transaction import Transaction
from sojourn_contracts.match import MatchProposed

from chassis import erasure
from matching import heard, store
from matching.heard import Match
from matching.searching import search_for

_ENDS = """
    select placement_id from placements where terms->>'traveller_id' = {id}::text or company_id = {id}
    union select offer_id from offers where company_id = {id}
"""
_MATCHES = f"""
    sender_id = {{id}} or host_id = {{id}} or proposal->>'traveller_id' = {{id}}::text
    or payload->>'traveller_id' = {{id}}::text or placement_id in ({_ENDS})
"""
HELD = Holdings(
    (
        Holding(
            "companies",
            "company_id, revision, kind, payload, withdrawn",
            person="position({id}::text in payload::text) > 0",
            company="company_id = {id} and payload is not null",
        ),
        about(
            "placements",
            "placement_id, company_id, country, sector, first_day, last_day, min_days, max_days, destinations,"
            " working_languages, skills_sought, skills_brought, terms, since, spoken, liked",
            f"placement_id in ({_ENDS})",
        ),
        about(
            "offers",
            "offer_id, company_id, country, sector, first_day, last_day, min_days, max_days, capacity, working_languages,"
            " skills_taught, skills_needed, terms, since, spoken, liked",
            "company_id = {id}",
        ),
        about(
            "matches",
            "match_id, state, live, made_here, revision, placement_id, offer_id, sender_id, host_id, proposed_at, proposal,"
            " kind, payload, offered",
            _MATCHES,
        ),
        about(
            "edges", "end_id, company_id, others, scores, best, rules", f"end_id in ({_ENDS}) or company_id = {{id}}"
        ),
        about(
            "interests",
            "placement_id, offer_id, side, at",
            f"placement_id in ({_ENDS}) or offer_id in ({_ENDS})",
        ),
        about("changes", "id, xid, end_id, at", f"end_id in ({_ENDS})"),
    ),
    subjects=f"select match_id from matches where {_MATCHES}",  # noqa: S608
)
NOBODY = {"plan_asked": "since when the market waits for a plan", "rules": "by which rules pairs are scored"}


async def forget_company(company_id: UUID, tx: Transaction) -> None:
    await store.locked_or_blank_companies(tx, [company_id])
    ends = await store.ends_of(tx, [company_id])
    await store.erase_company(tx, company_id)
    await _forget_ends(tx, ends[company_id].all)
    await _forget_matches(tx, await store.matches_of(tx, company_id, []))
    tx.unschedule("search", company_id)


async def forget_person(person_id: UUID, tx: Transaction) -> None:
    """Their placement leaves the market, as it does by the next word of their company."""
    placement_ids = await store.take_off(tx, person_id)
    await _forget_ends(tx, placement_ids)
    await _forget_matches(tx, await store.matches_of(tx, person_id, placement_ids))


async def _forget_ends(tx: Transaction, end_ids: Collection[UUID]) -> None:
    """Whoever might have been matched with one of these looks for others."""
    for company_id in await store.forget_ends(tx, end_ids):
        search_for(tx, company_id)


async def _forget_matches(tx: Transaction, match_ids: Collection[UUID]) -> None:
    for match_id in match_ids:
        await forget_match(match_id, tx)


async def forget_match(match_id: UUID, tx: Transaction) -> None:
    """Keeps the bare id, here and on the topic that it was told on. Its slot is free, and its ends look for others."""
    before = await store.locked_or_blank_match(tx, match_id)
    after = heard.erase(before)
    if after == before:
        return
    await store.erase_match(tx, after)
    if before.placement_id is not None:
        tx.erase(MatchProposed, match_id)
    search_after_end(tx, before, after)


def search_after_end(tx: Transaction, before: Match, after: Match) -> None:
    """A slot became free: both ends look for somebody else."""
    if after.state.ended and not before.state.ended:
        for company_id in {*before.companies, *after.companies}:
            search_for(tx, company_id)


DOORS = erasure.doors({"person": forget_person, "company": forget_company}, HELD)
