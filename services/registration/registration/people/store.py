"""All the SQL about people. Names and addresses stand in columns of their own, so that they can be erased."""

from collections.abc import Collection, Iterable
from uuid import UUID

import asyncpg
from chassis.transaction import Transaction

from registration.people.domain import Addressee, Part, Person, Reads


async def save(tx: Transaction, people: Iterable[Person]) -> None:
    """Adds them, or replaces what is known of them; their company and their part in it stay."""
    rows = [
        (each.person_id, each.company_id, each.part, each.addressee.name, each.addressee.email, each.addressee.reads)
        for each in people
    ]
    await tx.connection.executemany(
        """
        insert into person (person_id, company_id, part, name, email, reads) values ($1, $2, $3, $4, $5, $6)
        on conflict (person_id) do update set name = excluded.name, email = excluded.email, reads = excluded.reads
        """,
        rows,
    )


async def those(tx: Transaction, person_ids: Collection[UUID]) -> dict[UUID, Person]:
    """The known ones of them."""
    rows = await tx.connection.fetch(
        "select person_id, company_id, part, name, email, reads from person where person_id = any ($1)",
        list(person_ids),
    )
    return {row["person_id"]: _person(row) for row in rows}


async def ids_of(tx: Transaction, company_id: UUID) -> list[UUID]:
    """All who ever spoke or travelled for a company, in the order of their ids."""
    rows = await tx.connection.fetch(
        "select person_id from person where company_id = $1 order by person_id", company_id
    )
    return [row["person_id"] for row in rows]


async def admins_besides(tx: Transaction, person: Person) -> int:
    """How many others can say who speaks for their company."""
    return await tx.connection.fetchval(
        "select count(*) from person where company_id = $1 and part = 'admin' and person_id <> $2",
        person.company_id,
        person.person_id,
    )


async def forget(tx: Transaction, person_ids: Collection[UUID]) -> None:
    """Deletes all that is held of these people."""
    await tx.connection.execute("delete from person where person_id = any ($1)", list(person_ids))


def _person(row: asyncpg.Record) -> Person:
    addressee = Addressee(row["name"], row["email"], Reads(row["reads"]))
    return Person(row["person_id"], row["company_id"], Part(row["part"]), addressee)
