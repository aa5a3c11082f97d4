"""All the SQL about erasures."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.database import Connection
from chassis.transaction import Transaction
from sojourn_contracts.refusal import Unknown

from registration.erasure.domain import SERVICES, Erasure, Kind
from registration.people.domain import Person

_ERASURES = """
    select erasure_id, kind, erased_id, requested_at,
           array_agg(service order by service) filter (where service is not null) as services,
           array_agg(done_at order by service) filter (where service is not null) as done
    from erasure left join erasure_answer using (erasure_id)
"""


async def add(tx: Transaction, erasure: Erasure) -> None:
    await tx.connection.execute(
        "insert into erasure (erasure_id, kind, erased_id, requested_at) values ($1, $2, $3, $4)",
        erasure.erasure_id,
        erasure.kind,
        erasure.erased_id,
        erasure.requested_at,
    )


async def found(tx: Transaction, erasure_id: UUID) -> Erasure:
    """Raises: Unknown."""
    row = await tx.connection.fetchrow(f"{_ERASURES} where erasure_id = $1 group by erasure_id", erasure_id)
    if row is None:
        raise Unknown("unknown_erasure", "There is no erasure under this id")
    return _erasure(row)


async def of(tx: Transaction, whom: UUID) -> Erasure | None:
    """The erasure of a person or a company, if it was ever asked for."""
    row = await tx.connection.fetchrow(f"{_ERASURES} where erased_id = $1 group by erasure_id", whom)
    return _erasure(row) if row else None


async def open_ones(connection: Connection) -> list[Erasure]:
    """Those that somebody has not answered yet, the oldest first."""
    rows: Sequence[Any] = await connection.fetch(
        f"{_ERASURES} group by erasure_id having count(service) < $1 order by requested_at, erasure_id", len(SERVICES)
    )
    return [_erasure(row) for row in rows]


async def save_answers(tx: Transaction, erasure: Erasure) -> None:
    await tx.connection.executemany(
        "insert into erasure_answer (erasure_id, service, done_at) values ($1, $2, $3) on conflict do nothing",
        [(erasure.erasure_id, service, at) for service, at in erasure.answers.items()],
    )


async def how_late(connection: Connection, now: datetime, patience: timedelta) -> tuple[int, int, float]:
    """How many are open, how many of them for longer than ``patience``, and the age of the oldest in seconds."""
    ages = [erasure.age(now) for erasure in await open_ones(connection)]
    return len(ages), sum(age > patience for age in ages), max(ages, default=timedelta()).total_seconds()


async def people_of(tx: Transaction, company_id: UUID) -> list[UUID]:
    """All who ever spoke or travelled for a company, in the order of their ids."""
    rows = await tx.connection.fetch(
        "select person_id from person where company_id = $1 order by person_id", company_id
    )
    return [row["person_id"] for row in rows]


async def forget_company(tx: Transaction, company_id: UUID) -> None:
    """Deletes all that is held of a company whose people are gone. Its chain of decisions stays, in codes and bare ids."""
    await tx.connection.execute(
        "delete from vat_check where number in (select profile #>> '{enterprise,vat}' from company where company_id = $1"
        " union select said #>> '{enterprise,vat}' from company where company_id = $1)",
        company_id,
    )
    await tx.connection.execute("delete from notice where recipient_id = $1", company_id)
    for table in ("review", "decision_words", "company"):
        await tx.connection.execute(f"delete from {table} where company_id = $1", company_id)  # noqa: S608


async def drafts_of_before(tx: Transaction, instant: datetime, limit: int) -> list[UUID]:
    """At most so many companies that began by then and are drafts still, locked."""
    rows = await tx.connection.fetch(
        "select company_id from company where status = 'draft' and registered_at < $1"
        " order by company_id limit $2 for update skip locked",
        instant,
        limit,
    )
    return [row["company_id"] for row in rows]


async def gone_before(tx: Transaction, instant: datetime, limit: int) -> list[UUID]:
    """At most so many companies about which the last was decided by then, that they are out of the programme, locked."""
    rows = await tx.connection.fetch(
        """
        select company_id from company
        where status in ('withdrawn', 'excluded', 'rejected') and registered_at < $1 and not exists (
            select from decision
            where decision.company_id = company.company_id and (content::jsonb ->> 'at')::timestamptz >= $1
        )
        order by company_id limit $2 for update skip locked
        """,
        instant,
        limit,
    )
    return [row["company_id"] for row in rows]


async def admins_besides(tx: Transaction, person: Person) -> int:
    """How many others can say who speaks for their company."""
    return await tx.connection.fetchval(
        "select count(*) from person where company_id = $1 and part = 'admin' and person_id <> $2",
        person.company_id,
        person.person_id,
    )


async def forget_people(tx: Transaction, person_ids: Sequence[UUID]) -> None:
    """Deletes all that is held of these people; how they sign in goes with them, and what they were told."""
    await tx.connection.execute("delete from mail where person_id = any ($1)", person_ids)
    await tx.connection.execute("delete from notice where recipient_id = any ($1)", person_ids)
    await tx.connection.execute("delete from person where person_id = any ($1)", person_ids)


def _erasure(row: Any) -> Erasure:
    services: Sequence[str] = row["services"] or ()
    answers = dict(zip(services, row["done"] or (), strict=True))
    return Erasure(row["erasure_id"], Kind(row["kind"]), row["erased_id"], row["requested_at"], answers)
