"""All the SQL about companies: one function a question. Names have columns of their own, so that they can be erased."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from chassis.database import Connection
from chassis.transaction import Transaction
from pydantic import TypeAdapter
from sojourn_contracts.refusal import Unknown

from registration.companies import audit
from registration.companies.audit import Chain, Decided, Entry, Head, Kept, Told, Words
from registration.companies.domain import Command, Company, Profile, Status
from registration.companies.eligibility import Finding, Vies
from registration.people import store as people
from registration.people.domain import Part, Person

_PROFILE = TypeAdapter(Profile)
_NAMES = {"name", "travellers", "own_words"}
_WORDS = TypeAdapter(Words)
_FINDINGS = TypeAdapter(tuple[Finding, ...])


@dataclass(frozen=True)
class Review:
    """A company in the queue of its country's contact point."""

    company_id: UUID
    country: str
    revision: int
    unclear: tuple[Finding, ...]
    """What the rules left open."""
    since: datetime


@dataclass(frozen=True)
class Place:
    """Where a page of the queue ends."""

    since: datetime
    company_id: UUID


async def add(tx: Transaction, company: Company) -> None:
    """A company that is not there yet."""
    await tx.connection.execute(
        """
        insert into company (company_id, revision, name, status, draft, said, profile, basis, registered_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        *_columns(company),
        tx.now,
    )
    await _save_travellers(tx, company)


async def found(tx: Transaction, company_id: UUID) -> Company:
    """Raises: Unknown."""
    return await _company(
        tx,
        await tx.connection.fetchrow(
            "select company_id, revision, name, status, draft, said, profile, basis from company where company_id = $1",
            company_id,
        ),
    )


async def locked(tx: Transaction, company_id: UUID) -> Company:
    """Raises: Unknown."""
    return await _company(
        tx,
        await tx.connection.fetchrow(
            "select company_id, revision, name, status, draft, said, profile, basis from company where company_id = $1"
            " for update",
            company_id,
        ),
    )


async def locked_if_free(tx: Transaction, company_id: UUID) -> Company | None:
    """None if it is not known, or somebody else has it at the moment."""
    row = await tx.connection.fetchrow(
        "select company_id, revision, name, status, draft, said, profile, basis from company where company_id = $1"
        " for update skip locked",
        company_id,
    )
    return await _company(tx, row) if row else None


async def is_known(tx: Transaction, company_id: UUID) -> bool:
    return bool(await tx.connection.fetchval("select true from company where company_id = $1", company_id))


async def save(tx: Transaction, company: Company) -> None:
    """A company that is locked. Once nothing of it waits for a decision, nobody has it in their queue."""
    await tx.connection.execute(
        "update company set revision = $2, name = $3, status = $4, draft = $5, said = $6, profile = $7, basis = $8"
        " where company_id = $1",
        *_columns(company),
    )
    await _save_travellers(tx, company)
    if not company.undecided:
        await tx.connection.execute("delete from review where company_id = $1", company.company_id)


async def decide(tx: Transaction, decided: Decided, words: Words | None = None) -> None:
    """Adds a decision to the chain of a company that is locked."""
    row = await tx.connection.fetchrow(
        "select decisions, last_hash from company where company_id = $1", decided.company_id
    )
    if row is None:
        raise Unknown("unknown_company", "There is no company under this id")
    kept = Kept(secrets.token_hex(16), words) if words else None
    entry = audit.entry(Head(row["decisions"], row["last_hash"]), decided, kept)
    await tx.connection.execute(
        "insert into decision (company_id, number, content, hash) values ($1, $2, $3, $4)",
        entry.company_id,
        entry.number,
        entry.content,
        entry.hash,
    )
    await tx.connection.execute(
        "update company set decisions = $2, last_hash = $3 where company_id = $1",
        entry.company_id,
        entry.number,
        entry.hash,
    )
    if kept:
        await tx.connection.execute(
            "insert into decision_words (company_id, number, salt, words) values ($1, $2, $3, $4)",
            entry.company_id,
            entry.number,
            kept.salt,
            _WORDS.dump_json(kept.words).decode(),
        )


async def last_words(tx: Transaction, company_id: UUID) -> Told | None:
    """What a human last wrote to the company."""
    row = await tx.connection.fetchrow(
        """
        select content, words from decision_words join decision using (company_id, number)
        where company_id = $1 order by number desc limit 1
        """,
        company_id,
    )
    if row is None:
        return None
    return Told(Command(json.loads(row["content"])["command"]), _WORDS.validate_json(row["words"]))


async def last_decision(tx: Transaction, company_id: UUID) -> Mapping[str, Any] | None:
    """The content of the last row of the company's chain."""
    content = await tx.connection.fetchval(
        "select content from decision where company_id = $1 order by number desc limit 1", company_id
    )
    return content and json.loads(content)


async def chain(tx: Transaction, company_id: UUID) -> Chain:
    """The decisions about a company; empty for one that is not known."""
    async for each in chains(tx.connection, company_id):
        return each
    return Chain(company_id, (), Head(), {})


async def chains(connection: Connection, company_id: UUID | None = None) -> AsyncIterator[Chain]:
    """All chains, or one company's, in the order of the companies' ids; inside a transaction.

    A chain outlives its company's row: then its own last row is its end.
    """
    query = """
        select decision.company_id, decision.number, content, hash, salt, words, decisions, last_hash
        from decision left join decision_words using (company_id, number) left join company using (company_id)
        where $1::uuid is null or decision.company_id = $1
        union all
        select company_id, null, null, null, null, null, decisions, last_hash from company
        where decisions > 0 and ($1::uuid is null or company_id = $1)
            and not exists (select from decision where decision.company_id = company.company_id)
        order by 1, 2
        """
    rows: list[asyncpg.Record] = []
    async for row in connection.cursor(query, company_id):
        if rows and rows[0]["company_id"] != row["company_id"]:
            yield _chain(rows)
            rows = []
        rows.append(row)
    if rows:
        yield _chain(rows)


async def open_review(tx: Transaction, review: Review) -> None:
    """A company that is in the queue already keeps its place there, unless another country's contact point has it now."""
    await tx.connection.execute(
        """
        insert into review (company_id, country, revision, unclear, since) values ($1, $2, $3, $4, $5)
        on conflict (company_id) do update
        set country = excluded.country, revision = excluded.revision, unclear = excluded.unclear,
            since = case when review.country = excluded.country then review.since else excluded.since end
        """,
        review.company_id,
        review.country,
        review.revision,
        _FINDINGS.dump_json(review.unclear).decode(),
        review.since,
    )


async def reviews(tx: Transaction, country: str | None, after: Place | None, limit: int) -> list[Review]:
    """What waits, oldest first; of one country, or of all."""
    rows = await tx.connection.fetch(
        """
        select company_id, country, revision, unclear, since from review
        where ($1::text is null or country = $1) and ($2::timestamptz is null or (since, company_id) > ($2, $3))
        order by since, company_id limit $4
        """,
        country,
        after and after.since,
        after and after.company_id,
        limit,
    )
    return [
        Review(
            row["company_id"], row["country"], row["revision"], _FINDINGS.validate_json(row["unclear"]), row["since"]
        )
        for row in rows
    ]


async def known_to_vies(tx: Transaction, number: str, age_days: int) -> Vies | None:
    """What VIES said about a number, not longer ago than that."""
    outcome = await tx.connection.fetchval(
        "select outcome from vat_check where number = $1 and checked_at > clock_timestamp() - $2 * interval '1 day'",
        number,
        age_days,
    )
    return outcome and Vies(outcome)


async def remember_vies(tx: Transaction, number: str, outcome: Vies) -> None:
    """Keeps an answer; the last one about a number counts."""
    await tx.connection.execute(
        """
        insert into vat_check (number, outcome) values ($1, $2)
        on conflict (number) do update set outcome = excluded.outcome, checked_at = clock_timestamp()
        """,
        number,
        outcome,
    )


async def _save_travellers(tx: Transaction, company: Company) -> None:
    """Nobody is removed: who is no longer in a placement may be abroad, and has to be reached."""
    profiles = (company.profile, company.said)
    named = {person_id: each for profile in profiles if profile for person_id, each in profile.travellers.items()}
    await people.save_named(
        tx,
        [Person(person_id, company.company_id, Part.TRAVELLER, traveller) for person_id, traveller in named.items()],
    )


def _columns(company: Company) -> tuple[Any, ...]:
    said, draft = company.said, company.draft
    return (
        company.company_id,
        company.revision,
        said.name if said else str((draft or {}).get("name") or ""),
        company.status,
        None if draft is None else json.dumps(draft),
        _profile(said),
        _profile(company.profile),
        company.basis,
    )


def _profile(profile: Profile | None) -> str | None:
    return profile and _PROFILE.dump_json(profile, exclude=_NAMES).decode()


async def _company(tx: Transaction, row: asyncpg.Record | None) -> Company:
    if row is None:
        raise Unknown("unknown_company", "There is no company under this id")
    said, profile = (row[column] and json.loads(row[column]) for column in ("said", "profile"))
    stays = [stay for each in (said, profile) if each for stay in each["placements"]]
    travelling = await people.those(tx, {UUID(stay["traveller_id"]) for stay in stays})

    def named(stored: Mapping[str, Any] | None) -> Profile | None:
        if stored is None:
            return None
        ids = [UUID(stay["traveller_id"]) for stay in stored["placements"]]
        known = {person_id: travelling[person_id] for person_id in ids if person_id in travelling}
        people_in_it = {
            "travellers": {person_id: person.addressee for person_id, person in known.items()},
            "own_words": {person_id for person_id, person in known.items() if person.own_words},
        }
        return _PROFILE.validate_python({**stored, "name": row["name"], **people_in_it})

    return Company(
        row["company_id"],
        row["revision"],
        Status(row["status"]),
        row["draft"] and json.loads(row["draft"]),
        named(said),
        named(profile),
        row["basis"],
    )


def _chain(rows: list[asyncpg.Record]) -> Chain:
    company_id = rows[0]["company_id"]
    entries = [
        Entry(company_id, row["number"], row["content"], row["hash"]) for row in rows if row["number"] is not None
    ]
    words = {
        row["number"]: Kept(row["salt"], _WORDS.validate_json(row["words"])) for row in rows if row["salt"] is not None
    }
    if rows[0]["decisions"] is None:
        return Chain(company_id, entries, Head(entries[-1].number, entries[-1].hash), words)
    return Chain(company_id, entries, Head(rows[0]["decisions"], rows[0]["last_hash"]), words)
