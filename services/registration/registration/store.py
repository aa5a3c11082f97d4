"""All of registration's SQL: one function a question. Names have columns of their own, so that they can be erased."""

import json
from typing import Any
from uuid import UUID

from chassis.transaction import Transaction
from pydantic import TypeAdapter
from sojourn_contracts.refusal import Unknown

from registration.domain import Company, Profile, Reason

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


async def _save_travellers(tx: Transaction, company: Company) -> None:
    """Nobody is removed: who is no longer in a placement may be abroad, and has to be reached."""
    if not company.profile.travellers:
        return
    await tx.connection.execute(
        """
        insert into traveller (traveller_id, company_id, name)
        select traveller_id, $1, name from unnest($2::uuid[], $3::text[]) as said(traveller_id, name)
        on conflict (traveller_id) do update set name = excluded.name
        """,
        company.company_id,
        list(company.profile.travellers),
        list(company.profile.travellers.values()),
    )


def _profile(company: Company) -> str:
    return _PROFILE.dump_json(company.profile, exclude=_NAMES).decode()


async def _company(tx: Transaction, row: Any) -> Company:
    if row is None:
        raise Unknown("unknown_company", "There is no company under this id")
    profile = json.loads(row["profile"])
    travellers = await tx.connection.fetch(
        "select traveller_id, name from traveller where traveller_id = any($1::uuid[])",
        [placement["traveller_id"] for placement in profile["placements"]],
    )
    names = {traveller["traveller_id"]: traveller["name"] for traveller in travellers}
    return Company(
        row["company_id"],
        row["revision"],
        _PROFILE.validate_python({**profile, "name": row["name"], "travellers": names}),
        row["withdrawn"] and Reason(row["withdrawn"]),
    )
