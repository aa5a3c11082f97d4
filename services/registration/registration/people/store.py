"""All the SQL about people. Names and addresses stand in columns of their own, so that they can be erased."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import asyncpg
from chassis.transaction import Transaction
from sojourn_contracts.refusal import Unknown

from registration.people.domain import Addressee, Part, Person, Reads

_SAVE = """
    insert into person (person_id, company_id, part, name, email, reads, own_words) values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (person_id) do update
    set name = excluded.name, email = excluded.email, reads = excluded.reads, own_words = excluded.own_words
"""


async def save(tx: Transaction, people: Iterable[Person]) -> None:
    """Adds them, or replaces what is known of them; their company and their part in it stay."""
    await tx.connection.executemany(_SAVE, [_columns(each) for each in people])


async def save_named(tx: Transaction, people: Iterable[Person]) -> None:
    """The same by their company's words: who has said theirs, if only a moment ago, stays as they are."""
    await tx.connection.executemany(f"{_SAVE} where not person.own_words", [_columns(each) for each in people])


async def set_part(tx: Transaction, person: Person) -> None:
    await tx.connection.execute("update person set part = $2 where person_id = $1", person.person_id, person.part)


async def remove(tx: Transaction, person: Person) -> None:
    """With their links and sessions."""
    await tx.connection.execute("delete from person where person_id = $1", person.person_id)


async def of_company(tx: Transaction, company_id: UUID) -> list[Person]:
    """All of them: who speaks for it first, admins before members, then who travels or did."""
    rows = await tx.connection.fetch(
        "select person_id, company_id, part, name, email, reads, own_words from person where company_id = $1"
        " order by array_position(array['admin', 'member', 'traveller'], part), person_id",
        company_id,
    )
    return [_person(row) for row in rows]


async def speaking_locked(tx: Transaction, company_id: UUID) -> list[Person]:
    """Who speaks for a company; until the transaction ends, nobody else changes who does.

    Raises:
        Unknown: there is no such company.
    """
    if not await tx.connection.fetchval("select true from company where company_id = $1 for no key update", company_id):
        raise Unknown("unknown_company", "There is no company under this id")
    return [person for person in await of_company(tx, company_id) if person.part is not Part.TRAVELLER]


async def those(tx: Transaction, person_ids: Collection[UUID]) -> dict[UUID, Person]:
    """The known ones of them."""
    rows = await tx.connection.fetch(
        "select person_id, company_id, part, name, email, reads, own_words from person where person_id = any ($1)",
        list(person_ids),
    )
    return {row["person_id"]: _person(row) for row in rows}


async def with_address(tx: Transaction, email: str) -> list[Person]:
    """Everybody who is written to there."""
    rows = await tx.connection.fetch(
        "select person_id, company_id, part, name, email, reads, own_words from person where email = $1 order by person_id",
        email,
    )
    return [_person(row) for row in rows]


async def locked(tx: Transaction, person_id: UUID) -> Person | None:
    row = await tx.connection.fetchrow(
        "select person_id, company_id, part, name, email, reads, own_words from person where person_id = $1 for update",
        person_id,
    )
    return _person(row) if row else None


def _person(row: asyncpg.Record) -> Person:
    addressee = Addressee(row["name"], row["email"], Reads(row["reads"]))
    return Person(row["person_id"], row["company_id"], Part(row["part"]), addressee, row["own_words"])


def _columns(person: Person) -> tuple[Any, ...]:
    here = person.addressee
    return (
        person.person_id,
        person.company_id,
        person.part,
        here.name,
        here.email,
        here.reads,
        person.own_words,
    )
