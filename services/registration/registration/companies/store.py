"""All of registration's SQL: one function a question. Names have columns of their own, so that they can be erased."""

import json
from typing import Any
from uuid import UUID

from chassis.transaction import Transaction
from pydantic import TypeAdapter
from sojourn_contracts.refusal import Unknown

from registration.companies.domain import Company, Profile, Reason
from registration.people import store as people
from registration.people.domain import Part, Person

_PROFILE = TypeAdapter(Profile)
_NAMES = {"name", "travellers"}


async def add(tx: Transaction, company: Company) -> None:
    """A company that is not there yet."""
    await tx.connection.execute(
        """
        insert into company (company_id, revision, name, profile, withdrawn, registered_at)
        values ($1, $2, $3, $4, $5, $6)
        """,
        company.company_id,
        company.revision,
        company.profile.name,
        _profile(company),
        company.withdrawn,
        tx.now,
    )
    await _save_travellers(tx, company)


async def found(tx: Transaction, company_id: UUID) -> Company:
    """Raises: Unknown."""
    return await _company(
        tx,
        await tx.connection.fetchrow(
            "select company_id, revision, name, profile, withdrawn from company where company_id = $1", company_id
        ),
    )


async def locked(tx: Transaction, company_id: UUID) -> Company:
    """Raises: Unknown."""
    return await _company(
        tx,
        await tx.connection.fetchrow(
            "select company_id, revision, name, profile, withdrawn from company where company_id = $1 for update",
            company_id,
        ),
    )


async def save(tx: Transaction, company: Company) -> None:
    """A company that is locked."""
    await tx.connection.execute(
        "update company set revision = $2, name = $3, profile = $4, withdrawn = $5 where company_id = $1",
        company.company_id,
        company.revision,
        company.profile.name,
        _profile(company),
        company.withdrawn,
    )
    await _save_travellers(tx, company)


async def forget(tx: Transaction, company_id: UUID) -> None:
    """Deletes all that is held of a company; its people are gone already."""
    await tx.connection.execute("delete from company where company_id = $1", company_id)


async def _save_travellers(tx: Transaction, company: Company) -> None:
    """Nobody is removed: who is no longer in a placement may be abroad, and has to be reached."""
    await people.save(
        tx,
        [
            Person(person_id, company.company_id, Part.TRAVELLER, traveller)
            for person_id, traveller in company.profile.travellers.items()
        ],
    )


def _profile(company: Company) -> str:
    return _PROFILE.dump_json(company.profile, exclude=_NAMES).decode()


async def _company(tx: Transaction, row: Any) -> Company:
    if row is None:
        raise Unknown("unknown_company", "There is no company under this id")
    profile = json.loads(row["profile"])
    travelling = await people.those(tx, [UUID(placement["traveller_id"]) for placement in profile["placements"]])
    travellers = {person_id: person.addressee for person_id, person in travelling.items()}
    return Company(
        row["company_id"],
        row["revision"],
        _PROFILE.validate_python({**profile, "name": row["name"], "travellers": travellers}),
        row["withdrawn"] and Reason(row["withdrawn"]),
    )
