"""All of the SQL of this service.

Locks are taken in one order: companies by their ids, then exchanges, then days that travellers are promised. Whoever opens an
exchange holds the rows of both companies, and whoever lets a company go holds its row before it looks for its exchanges: so
neither misses the other. A batch of events holds all of its companies before its first exchange (``hold_companies``), or every
one there is; who acts on exchanges alone (a side that accepts, due work) waits for no company.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from chassis.doors import Work
from chassis.transaction import Transaction
from pydantic import TypeAdapter
from sojourn_contracts.company import CompanyUpdated
from sojourn_contracts.exchange import Stage
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Refused, Unknown
from sojourn_contracts.vocabulary import Country, Side

from exchange import domain, during, notices
from exchange.agreement import Agreement, Part
from exchange.checklist import store as checklists
from exchange.companies import Company
from exchange.documents import store as certificates
from exchange.during import Alert
from exchange.limits import Held
from exchange.payments import store as payments
from exchange.state import Ending, Exchange
from exchange.stay import DAY, Stay

SHORTLY = timedelta(milliseconds=100)
"""Of wall time, until due work comes back whose exchange somebody else had."""
_AGREEMENT = TypeAdapter(Agreement)
_STAY = TypeAdapter(Stay)
_ENDING = TypeAdapter(Ending)

_LIVE = [stage.value for stage in Stage if not stage.ended]

_COLUMNS = "revision, stage, proposal, accepted_by, agreement, amendment, stay, ending, changed_at"
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


async def locked_with_companies(tx: Transaction, exchange_id: UUID) -> Exchange:
    """Locked with the rows of both companies until the transaction ends, so that neither agrees on anything else meanwhile.

    Raises:
        Unknown: there is no such exchange.
    """
    await tx.connection.execute(
        "select company_id from company where company_id in"
        " (select unnest(array[sender_id, host_id]) from exchange where exchange_id = $1)"
        " order by company_id for no key update",
        exchange_id,
    )
    return await locked(tx, exchange_id)


async def locked_if_free(tx: Transaction, exchange_ids: Sequence[UUID]) -> dict[UUID, Exchange]:
    """Locked until the transaction ends; without waiting, those that nobody else has."""
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from exchange where exchange_id = any($1) and revision > 0"  # noqa: S608
        " order by exchange_id for update skip locked",
        exchange_ids,
    )
    return {exchange.id: exchange for exchange in map(_exchange, rows)}


async def free(works: Sequence[tuple[Work, Transaction]]) -> list[tuple[Transaction, Exchange]]:
    """The exchanges of due work that nobody is acting on, locked until the transaction ends, each with its work's transaction.

    It does not wait for the others: who acts on one may be waiting to take this very work back. That work comes back instead.
    """
    any_tx = works[0][1]
    by_id = {UUID(work.subject): (work, tx) for work, tx in works}
    found = await locked_if_free(any_tx, list(by_id))
    busy = by_id.keys() - found.keys()
    for exchange_id in sorted(await held_among(any_tx, list(busy)) if busy else ()):
        work, tx = by_id[exchange_id]
        tx.schedule(work.kind, exchange_id, work.at, not_before=datetime.now(UTC) + SHORTLY)
    return [(by_id[exchange_id][1], exchange) for exchange_id, exchange in found.items()]


async def held_among(tx: Transaction, exchange_ids: Sequence[UUID]) -> set[UUID]:
    """Which of them are held, whoever has them locked."""
    rows = await tx.connection.fetch("select exchange_id from exchange where exchange_id = any($1)", exchange_ids)
    return {row["exchange_id"] for row in rows}


async def versions(tx: Transaction, exchange: Exchange) -> list[Agreement]:
    """All versions of its agreement, the first one first."""
    rows = await tx.connection.fetch("select agreement from former_version where exchange_id = $1", exchange.id)
    found = [_AGREEMENT.validate_json(row["agreement"]) for row in rows]
    return sorted((*found, *_present(exchange)), key=lambda version: version.version)


async def version(tx: Transaction, exchange: Exchange, number: int) -> Agreement:
    """One version of its agreement, in force or not.

    Raises:
        Unknown: there is no such version.
    """
    for present in _present(exchange):
        if present.version == number:
            return present
    former = await tx.connection.fetchval(
        "select agreement from former_version where exchange_id = $1 and version = $2", exchange.id, number
    )
    if former is None:
        raise Unknown("unknown_version", "the agreement has no such version")
    return _AGREEMENT.validate_json(former)


async def held_beside(tx: Transaction, exchange: Exchange) -> list[Held]:
    """The days of all other agreed exchanges of its sender or its offer; its companies are to be locked."""
    rows = await tx.connection.fetch(
        "select traveller_id, offer_id, sender_id, lower(days) as first_day, upper(days) as after"
        " from held_days where (sender_id = $1 or offer_id = $2) and exchange_id <> $3",
        exchange.match.sender_id,
        exchange.match.offer_id,
        exchange.id,
    )
    return [
        Held(row["traveller_id"], row["offer_id"], row["sender_id"], Part(row["first_day"], row["after"] - DAY))
        for row in rows
    ]


async def capacity(tx: Transaction, exchange: Exchange) -> int | None:
    """How many the host takes at a time under the exchange's offer; None where it is not known to have it."""
    profile = await tx.connection.fetchval("select profile from company where company_id = $1", exchange.match.host_id)
    offers = CompanyUpdated.model_validate_json(profile).offers if profile else ()
    return next((offer.capacity for offer in offers if offer.offer_id == exchange.match.offer_id), None)


async def live_and_locked(tx: Transaction, company_id: UUID) -> list[Exchange]:
    """The exchanges of a company that have not ended, locked in the order of their ids."""
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from exchange where (sender_id = $1 or host_id = $1) and stage = any($2)"  # noqa: S608
        " order by exchange_id for update",
        company_id,
        _LIVE,
    )
    return [_exchange(row) for row in rows]


async def all_of_party_locked(tx: Transaction, party_id: UUID) -> list[Exchange]:
    """All that a company or a person is at, ended or not, locked in the order of their ids."""
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from exchange where (sender_id = $1 or host_id = $1 or traveller_id = $1) and revision > 0"  # noqa: S608
        " order by exchange_id for update",
        party_id,
    )
    return [_exchange(row) for row in rows]


async def ended_before_locked(tx: Transaction, before: datetime, limit: int) -> list[Exchange]:
    """At most so many that ended by then, locked; those that somebody has are left for the next time."""
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from exchange where stage <> all($1) and changed_at < $2"  # noqa: S608
        " order by exchange_id limit $3 for update skip locked",
        _LIVE,
        before,
        limit,
    )
    return [_exchange(row) for row in rows]


async def of_company(tx: Transaction, company_id: UUID | None, page: Page) -> list[Exchange]:
    """Those that a company is the sender or the host of."""
    return await _page(tx, "(sender_id = $1 or host_id = $1)", company_id, page)


async def of_traveller(tx: Transaction, traveller_id: UUID | None, page: Page) -> list[Exchange]:
    """Those that a person travels in."""
    return await _page(tx, "traveller_id = $1", traveller_id, page)


async def of_country(tx: Transaction, country: Country | None, page: Page) -> list[Exchange]:
    """Those that a company of this country takes part in."""
    return await _page(tx, "(sender_country = $1 or host_country = $1)", country, page)


async def of_all(tx: Transaction, page: Page) -> list[Exchange]:
    """All there are."""
    return await _page(tx, "$1::uuid is null", None, page)


async def _page(tx: Transaction, whose: str, who: UUID | Country | None, page: Page) -> list[Exchange]:
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

    Raises:
        Refused: ``traveller_elsewhere``, the traveller is promised to another exchange on one of these days.
    """
    await save_all([Change(tx, before, decision)])
    return decision[0]


class Change(NamedTuple):
    """What was decided about one exchange, and for which cause."""

    tx: Transaction
    before: Exchange | None
    decision: domain.Decision


async def save_all(changes: Sequence[Change]) -> None:
    """The same for several exchanges in one transaction, each of which stands there once."""
    changed = [change for change in changes if change.decision[0] is not change.before]
    if not changed:
        return
    await _write_proposals(changed[0].tx, [change.decision[0] for change in changed if change.before is None])
    await _write(changed[0].tx, changed)
    for tx, before, (after, events) in changed:
        await _keep_former(tx, before, after)
        await _hold_days(tx, before, after)
        await _raise_alerts(tx, before, after)
        await payments.follow(tx, before, after)
        await checklists.follow(tx, before, after)
        await certificates.follow(tx, after)
        _set_due(tx, before, after)
        tx.emit(*events)
        _tell(tx, before, after)


async def _write_proposals(tx: Transaction, opened: Sequence[Exchange]) -> None:
    """What never changes in an exchange."""
    for exchange in opened:
        await tx.connection.execute(
            "update exchange set sender_id = $2, host_id = $3, traveller_id = $4, proposal = $5 where exchange_id = $1",
            exchange.id,
            exchange.match.sender_id,
            exchange.match.host_id,
            exchange.match.traveller_id,
            exchange.match.model_dump_json(),
        )


async def _write(tx: Transaction, changes: Sequence[Change]) -> None:
    """An agreement that stays as it was is not sent: it is most of the row, and PostgreSQL would parse and store it again."""
    exchanges = [change.decision[0] for change in changes]
    redrafted = [before is None or after.agreement is not before.agreement for _, before, (after, _) in changes]
    await tx.connection.execute(
        """
        update exchange
        set revision = new.revision, stage = new.stage, accepted_by = string_to_array(new.accepted_by, ','),
            agreement = case when new.redrafted then new.agreement else exchange.agreement end,
            amendment = new.amendment, stay = new.stay, ending = new.ending, changed_at = new.changed_at
        from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::bool[], $6::jsonb[], $7::jsonb[], $8::jsonb[],
                    $9::jsonb[], $10::timestamptz[])
            as new (exchange_id, revision, stage, accepted_by, redrafted, agreement, amendment, stay, ending, changed_at)
        where exchange.exchange_id = new.exchange_id
        """,
        [exchange.id for exchange in exchanges],
        [exchange.revision for exchange in exchanges],
        [exchange.stage.value for exchange in exchanges],
        [",".join(exchange.accepted_by) for exchange in exchanges],
        redrafted,
        [
            _json(_AGREEMENT, exchange.agreement) if anew else None
            for exchange, anew in zip(exchanges, redrafted, strict=True)
        ],
        [_json(_AGREEMENT, exchange.amendment) for exchange in exchanges],
        [_json(_STAY, exchange.stay) for exchange in exchanges],
        [_json(_ENDING, exchange.ending) for exchange in exchanges],
        [exchange.changed_at for exchange in exchanges],
    )


async def _keep_former(tx: Transaction, before: Exchange | None, after: Exchange) -> None:
    present = {version.version for version in _present(after)}
    for version in _present(before) if before else ():
        if version.version not in present:
            await tx.connection.execute(
                "insert into former_version (exchange_id, version, agreement) values ($1, $2, $3)",
                after.id,
                version.version,
                _json(_AGREEMENT, version),
            )


async def _hold_days(tx: Transaction, before: Exchange | None, after: Exchange) -> None:
    held, to_hold = domain.days_held(before) if before else (), domain.days_held(after)
    if held == to_hold:
        return
    await tx.connection.execute("delete from held_days where exchange_id = $1", after.id)
    for part in to_hold:
        # On conflict: two that insert the same days at once would otherwise wait for each other.
        done = await tx.connection.execute(
            "insert into held_days (exchange_id, traveller_id, sender_id, offer_id, days)"
            " values ($1, $2, $3, $4, daterange($5, $6, '[]')) on conflict on constraint one_place_at_a_time do nothing",
            after.id,
            after.match.traveller_id,
            after.match.sender_id,
            after.match.offer_id,
            part.first_day,
            part.last_day,
        )
        if done != "INSERT 0 1":
            elsewhere = "the traveller is promised to another exchange on one of these days"
            raise Refused("traveller_elsewhere", elsewhere)


async def _raise_alerts(tx: Transaction, before: Exchange | None, after: Exchange) -> None:
    known = during.alerts(before) if before else ()
    for alert in during.alerts(after):
        if alert not in known:
            await tx.connection.execute(
                "insert into alert (alert_id, exchange_id, raised_by, raised_at, sender_country, host_country)"
                " values ($1, $2, $3, $4, $5, $6)",
                alert.id,
                alert.exchange_id,
                alert.raised_by,
                alert.raised_at,
                alert.sender_country,
                alert.host_country,
            )


def _set_due(tx: Transaction, before: Exchange | None, after: Exchange) -> None:
    was, will = dict(domain.due(before)) if before else {}, dict(domain.due(after))
    for kind in was.keys() - will.keys():
        tx.unschedule(kind, after.id)
    for kind, at in will.items():
        if was.get(kind) != at:
            tx.schedule(kind, after.id, at)


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
    for kind in (*(due.kind for due in domain.due(exchange)), checklists.REMIND, notices.NOTIFY):
        tx.unschedule(kind, exchange.id)


async def forget_traveller(tx: Transaction, traveller_id: UUID) -> None:
    """What companies said of a person's placement goes; that a placement was there is remembered by its bare id."""
    rows = await tx.connection.fetch(
        "select company_id, profile from company where position($1 in profile::text) > 0 order by company_id for update",
        str(traveller_id),
    )
    for row in rows:
        left = CompanyUpdated.model_validate_json(row["profile"]).without({traveller_id})
        await tx.connection.execute(
            "update company set profile = $2 where company_id = $1", row["company_id"], left and left.model_dump_json()
        )


@dataclass(frozen=True)
class Raised:
    """An alert, and the countries whose contact points have seen to it."""

    alert: Alert
    acknowledged_by: tuple[Country, ...]


_ALERT = "alert_id, exchange_id, raised_by, raised_at, sender_country, host_country, acknowledged_by"


async def alerts(tx: Transaction, country: Country, *, after: UUID | None, limit: int) -> list[Raised]:
    """Those of exchanges that a company of this country takes part in and that it did not acknowledge, by their ids."""
    rows = await tx.connection.fetch(
        f"select {_ALERT} from alert where (sender_country = $1 or host_country = $1)"  # noqa: S608
        " and not $1 = any(acknowledged_by) and ($2::uuid is null or alert_id > $2) order by alert_id limit $3",
        country,
        after,
        limit,
    )
    return [_raised(row) for row in rows]


async def acknowledge(tx: Transaction, alert_id: UUID, country: Country) -> Raised:
    """For one country; a repeat changes nothing.

    Raises:
        Unknown: there is no such alert, or it is none of this country.
    """
    row = await tx.connection.fetchrow(
        f"""
        update alert
        set acknowledged_by = case when $2 = any(acknowledged_by) then acknowledged_by else acknowledged_by || $2 end
        where alert_id = $1 and (sender_country = $2 or host_country = $2)
        returning {_ALERT}
        """,  # noqa: S608
        alert_id,
        country,
    )
    if row is None:
        raise Unknown("unknown_alert", "there is no alert under this id for this country")
    return _raised(row)


async def hold_all_companies(tx: Transaction) -> None:
    """Nobody else holds a company, and none comes, until the transaction ends; waits for those who do."""
    await tx.connection.execute("lock table company in exclusive mode")


async def hold_companies(tx: Transaction, company_ids: Collection[UUID]) -> None:
    """Locked in the order of their ids until the transaction ends, with blank rows where nothing was heard yet."""
    await _make_blank(tx, company_ids)
    await tx.connection.execute(
        "select from company where company_id = any($1) order by company_id for update", company_ids
    )


async def _make_blank(tx: Transaction, company_ids: Collection[UUID]) -> None:
    await tx.connection.execute(
        "insert into company (company_id) select id from unnest($1::uuid[]) as ids(id) order by id on conflict do nothing",
        company_ids,
    )


async def companies_locked_or_blank(tx: Transaction, *company_ids: UUID) -> list[Company]:
    """Locked in the order of their ids until the transaction ends; blank where nothing was heard yet."""
    await _make_blank(tx, company_ids)
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
        amendment=_AGREEMENT.validate_json(row["amendment"]) if row["amendment"] else None,
        stay=_STAY.validate_json(row["stay"]),
        ending=_ENDING.validate_json(row["ending"]) if row["ending"] else None,
    )


def _raised(row: asyncpg.Record) -> Raised:
    alert = Alert(
        id=row["alert_id"],
        exchange_id=row["exchange_id"],
        raised_by=Side(row["raised_by"]),
        raised_at=row["raised_at"],
        sender_country=row["sender_country"],
        host_country=row["host_country"],
    )
    return Raised(alert, tuple(row["acknowledged_by"]))


def _present(exchange: Exchange) -> tuple[Agreement, ...]:
    """The versions that stand with the exchange."""
    return tuple(version for version in (exchange.agreement, exchange.amendment) if version)


def _json(adapter: TypeAdapter[Any], value: object) -> str | None:
    return None if value is None else adapter.dump_json(value).decode()


def _sides(codes: Sequence[str]) -> tuple[Side, ...]:
    return tuple(Side(code) for code in codes)
