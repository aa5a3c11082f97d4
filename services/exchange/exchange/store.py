"""All of the SQL of this service.

Locks are taken in one order: companies by their ids, then exchanges by theirs. Whoever opens an exchange holds the rows of
both companies, and whoever lets a company go holds its row before it looks for its exchanges: so neither misses the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from chassis.transaction import Transaction
from pydantic import TypeAdapter
from sojourn_contracts.company import CompanyUpdated
from sojourn_contracts.exchange import Stage
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Unknown
from sojourn_contracts.vocabulary import Side

from exchange import domain, notices
from exchange.agreement import Agreement
from exchange.companies import Company
from exchange.state import Ending, Exchange

_AGREEMENT = TypeAdapter(Agreement)
_ENDING = TypeAdapter(Ending)

_LIVE = [stage.value for stage in Stage if not stage.ended]

_COLUMNS = "revision, stage, proposal, accepted_by, agreement, training_hours, ending, changed_at"
"""Of a row that is not blank: one whose proposal has come."""


@dataclass(frozen=True)
class Page:
    """Which part of a listing is wanted: in this stage (None: any), after this id, so many at most."""

    stage: Stage | None
    after: UUID | None
    limit: int


async def read(tx: Transaction, exchange_id: UUID) -> Exchange:
    """Without a lock: for those who only look.

    Raises:
        Unknown: there is no such exchange.
    """
    row = await tx.connection.fetchrow(
        f"select {_COLUMNS} from exchange where exchange_id = $1 and revision > 0",  # noqa: S608
        exchange_id,
    )
    return _known(_exchange(row) if row else None)


async def locked(tx: Transaction, exchange_id: UUID) -> Exchange:
    """Locked until the transaction ends.

    Raises:
        Unknown: there is no such exchange.
    """
    return _known(await locked_if_held(tx, exchange_id))


async def locked_if_held(tx: Transaction, exchange_id: UUID) -> Exchange | None:
    """Locked until the transaction ends; None if there is no such exchange."""
    row = await tx.connection.fetchrow(
        f"select {_COLUMNS} from exchange where exchange_id = $1 and revision > 0 for update",  # noqa: S608
        exchange_id,
    )
    return _exchange(row) if row else None


async def locked_or_blank(tx: Transaction, exchange_id: UUID) -> Exchange | None:
    """Locked until the transaction ends, with a blank row (None) where there was none: it is to be saved."""
    await tx.connection.execute(
        "insert into exchange (exchange_id) values ($1) on conflict do nothing",
        exchange_id,
    )
    row = await tx.connection.fetchrow(
        f"select {_COLUMNS} from exchange where exchange_id = $1 for update",  # noqa: S608
        exchange_id,
    )
    return _exchange(row) if row and row["revision"] else None


async def locked_if_free(tx: Transaction, exchange_id: UUID) -> Exchange | None:
    """Locked until the transaction ends; None, without waiting, if somebody else has it or there is none."""
    row = await tx.connection.fetchrow(
        f"select {_COLUMNS} from exchange where exchange_id = $1 and revision > 0 for update skip locked",  # noqa: S608
        exchange_id,
    )
    return _exchange(row) if row else None


async def is_held(tx: Transaction, exchange_id: UUID) -> bool:
    """Whether there is such an exchange."""
    return await tx.connection.fetchval("select exists (select from exchange where exchange_id = $1)", exchange_id)


async def live_and_locked(tx: Transaction, company_id: UUID) -> list[Exchange]:
    """The exchanges of a company that have not ended, locked in the order of their ids."""
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from exchange where (sender_id = $1 or host_id = $1) and stage = any($2)"  # noqa: S608
        " order by exchange_id for update",
        company_id,
        _LIVE,
    )
    return [_exchange(row) for row in rows]


async def of_company(tx: Transaction, company_id: UUID | None, page: Page) -> list[Exchange]:
    """Those that a company is the sender or the host of."""
    return await _page(tx, "(sender_id = $1 or host_id = $1)", company_id, page)


async def of_traveller(tx: Transaction, traveller_id: UUID | None, page: Page) -> list[Exchange]:
    """Those that a person travels in."""
    return await _page(tx, "traveller_id = $1", traveller_id, page)


async def of_all(tx: Transaction, page: Page) -> list[Exchange]:
    """All there are."""
    return await _page(tx, "$1::uuid is null", None, page)


async def _page(tx: Transaction, whose: str, who: UUID | None, page: Page) -> list[Exchange]:
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from exchange where {whose} and revision > 0"  # noqa: S608
        " and ($2::text is null or stage = $2) and ($3::uuid is null or exchange_id > $3)"
        " order by exchange_id limit $4",
        who,
        page.stage,
        page.after,
        page.limit,
    )
    return [_exchange(row) for row in rows]


async def save(tx: Transaction, before: Exchange | None, decision: domain.Decision) -> Exchange:
    """Saves what was decided: the next state, the events that tell of it, and what now falls due.

    A state that has not changed is left alone.
    """
    exchange, events = decision
    if exchange is not before:
        await _write(tx, exchange)
        _set_due(tx, before, exchange)
        tx.emit(*events)
        _tell(tx, before, exchange)
    return exchange


async def _write(tx: Transaction, exchange: Exchange) -> None:
    match = exchange.match
    await tx.connection.execute(
        """
        update exchange
        set revision = $2, stage = $3, sender_id = $4, host_id = $5, traveller_id = $6, proposal = $7,
            accepted_by = $8, agreement = $9, training_hours = $10, ending = $11, changed_at = $12
        where exchange_id = $1
        """,
        exchange.id,
        exchange.revision,
        exchange.stage,
        match.sender_id,
        match.host_id,
        match.traveller_id,
        match.model_dump_json(),
        exchange.accepted_by,
        _AGREEMENT.dump_json(exchange.agreement).decode() if exchange.agreement else None,
        exchange.training_hours,
        _ENDING.dump_json(exchange.ending).decode() if exchange.ending else None,
        exchange.changed_at,
    )


def _set_due(tx: Transaction, before: Exchange | None, exchange: Exchange) -> None:
    was, will = domain.due(before) if before else None, domain.due(exchange)
    if was and (will is None or will.kind != was.kind):
        tx.unschedule(was.kind, exchange.id)
    if will and will != was:
        tx.schedule(will.kind, exchange.id, will.at)


def _tell(tx: Transaction, before: Exchange | None, exchange: Exchange) -> None:
    was, will = notices.falls_due(before), notices.falls_due(exchange)
    if was and not will:
        tx.unschedule(notices.NOTIFY, exchange.id)
    if will and will != was:
        tx.schedule(notices.NOTIFY, exchange.id, will.at)
    tx.emit(*notices.asked(before, exchange))


async def forget(tx: Transaction, exchange: Exchange) -> None:
    """Deletes all that is held of an exchange."""
    await tx.connection.execute("delete from exchange where exchange_id = $1", exchange.id)
    if due := domain.due(exchange):
        tx.unschedule(due.kind, exchange.id)
    tx.unschedule(notices.NOTIFY, exchange.id)


async def companies_locked_or_blank(tx: Transaction, *company_ids: UUID) -> list[Company]:
    """Locked in the order of their ids until the transaction ends; blank where nothing was heard yet."""
    await tx.connection.execute(
        "insert into company (company_id) select id from unnest($1::uuid[]) as ids(id) order by id on conflict do nothing",
        company_ids,
    )
    rows = await tx.connection.fetch(
        "select company_id, profile, dropped, gone from company where company_id = any($1) order by company_id for update",
        company_ids,
    )
    return [
        Company(
            id=row["company_id"],
            profile=CompanyUpdated.model_validate_json(row["profile"]) if row["profile"] else None,
            dropped=frozenset(row["dropped"]),
            gone=row["gone"],
        )
        for row in rows
    ]


async def save_company(tx: Transaction, company: Company) -> None:
    await tx.connection.execute(
        "update company set profile = $2, dropped = $3, gone = $4 where company_id = $1",
        company.id,
        company.profile.model_dump_json() if company.profile else None,
        sorted(company.dropped),
        company.gone,
    )


def _known(exchange: Exchange | None) -> Exchange:
    if exchange is None:
        raise Unknown("unknown_exchange", "there is no exchange under this id")
    return exchange


def _exchange(row: asyncpg.Record) -> Exchange:
    return Exchange(
        match=MatchProposed.model_validate_json(row["proposal"]),
        revision=row["revision"],
        stage=Stage(row["stage"]),
        changed_at=row["changed_at"],
        accepted_by=_sides(row["accepted_by"]),
        agreement=_AGREEMENT.validate_json(row["agreement"]) if row["agreement"] else None,
        training_hours=row["training_hours"],
        ending=_ENDING.validate_json(row["ending"]) if row["ending"] else None,
    )


def _sides(codes: Sequence[str]) -> tuple[Side, ...]:
    return tuple(Side(code) for code in codes)
