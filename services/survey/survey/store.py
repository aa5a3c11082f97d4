"""The survey's SQL about companies, exchanges and released answers: one function a question."""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.transaction import Transaction
from sojourn_contracts import catalogue
from sojourn_contracts.company import CompanyUpdated
from sojourn_contracts.exchange import Stage
from sojourn_contracts.survey import SurveySubmitted

from survey.answering.domain import Invitation
from survey.answering.store import INVITATION, invitation_of
from survey.domain import Company, Exchange
from survey.release import Submission


async def company_locked_or_blank(tx: Transaction, company_id: UUID) -> Company:
    await tx.connection.execute("insert into company (company_id) values ($1) on conflict do nothing", company_id)
    [row] = await tx.connection.fetch(
        "select company_id, profile, withdrawn, registered_at from company where company_id = $1 for update", company_id
    )
    return _company(row)


async def save_company(tx: Transaction, company: Company) -> None:
    await tx.connection.execute(
        "update company set profile = $2, withdrawn = $3, registered_at = $4 where company_id = $1",
        company.company_id,
        company.profile and company.profile.model_dump_json(),
        company.withdrawn,
        company.registered_at,
    )


async def hold_senders_proposals(tx: Transaction, sender_id: UUID) -> None:
    """Until the transaction's end nobody else relates this company's registration to its proposals.

    Either may come first and has to find the other; neither row need be there to be locked.
    """
    await tx.connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", str(sender_id))


async def registered_at(tx: Transaction, company_id: UUID) -> datetime | None:
    return await tx.connection.fetchval("select registered_at from company where company_id = $1", company_id)


async def proposals_of_locked(tx: Transaction, sender_id: UUID) -> list[Exchange]:
    """Exchanges of this sender that are known to have been proposed, in the order of their ids."""
    rows = await tx.connection.fetch(
        f"select {_EXCHANGE} from exchange"  # noqa: S608
        " where array[payload->>'sender_id', payload->>'host_id', payload->>'traveller_id'] && array[$1::text]"
        " and payload->>'sender_id' = $1 and reached ? 'proposed' order by exchange_id for update",
        str(sender_id),
    )
    return [_exchange(row) for row in rows]


async def erase_company(tx: Transaction, company_id: UUID) -> None:
    """Leaves the bare id."""
    await tx.connection.execute(
        """
        insert into company (company_id, erased) values ($1, true)
        on conflict (company_id) do update set profile = null, withdrawn = false, registered_at = null, erased = true
        """,
        company_id,
    )


async def forget_traveller(tx: Transaction, traveller_id: UUID) -> None:
    """Takes a person's placement out of what their company said."""
    rows = await tx.connection.fetch(
        "select company_id, profile from company where position($1 in profile::text) > 0 order by company_id for update",
        str(traveller_id),
    )
    for row in rows:
        left = CompanyUpdated.model_validate_json(row["profile"]).without({traveller_id})
        await tx.connection.execute(
            "update company set profile = $2 where company_id = $1", row["company_id"], left and left.model_dump_json()
        )


async def exchanges_of(tx: Transaction, party_id: UUID) -> list[UUID]:
    """Those that a company or a traveller is known to be at, locked in the order of their ids."""
    rows = await tx.connection.fetch(
        "select exchange_id from exchange"
        " where array[payload->>'sender_id', payload->>'host_id', payload->>'traveller_id'] && array[$1::text]"
        " order by exchange_id for update",
        str(party_id),
    )
    return [row["exchange_id"] for row in rows]


async def destroy_keys(tx: Transaction, before_year: int) -> int:
    """Leaves no byte of them in the table's file; until they are recycled, the database's WAL and its backups have them."""
    return await tx.connection.fetchval("select destroy_cluster_keys($1)", before_year)


async def add_companies(tx: Transaction, companies: Sequence[Company]) -> None:
    """To an emptied table; of those that are erased, the bare id stays as it is."""
    await tx.connection.executemany(
        "insert into company (company_id, profile, withdrawn, registered_at) values ($1, $2, $3, $4) on conflict do nothing",
        [
            (each.company_id, each.profile and each.profile.model_dump_json(), each.withdrawn, each.registered_at)
            for each in companies
        ],
    )


async def exchanges(tx: Transaction) -> list[Exchange]:
    """All of them."""
    return [_exchange(row) for row in await tx.connection.fetch(f"select {_EXCHANGE} from exchange")]  # noqa: S608


async def add_exchanges(tx: Transaction, exchanges: Sequence[Exchange]) -> None:
    """To an emptied table."""
    await tx.connection.executemany(
        "insert into exchange (exchange_id, event, payload, stage, furthest, reached, days)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        [exchange_row(each) for each in exchanges],
    )


async def exchange_locked_or_blank(tx: Transaction, exchange_id: UUID) -> Exchange:
    await tx.connection.execute("insert into exchange (exchange_id) values ($1) on conflict do nothing", exchange_id)
    [row] = await tx.connection.fetch(
        f"select {_EXCHANGE} from exchange where exchange_id = $1 for update",  # noqa: S608
        exchange_id,
    )
    return _exchange(row)


async def save_exchange(tx: Transaction, exchange: Exchange) -> None:
    await tx.connection.execute(
        "update exchange set event = $2, payload = $3, stage = $4, furthest = $5, reached = $6, days = $7"
        " where exchange_id = $1",
        *exchange_row(exchange),
    )


def exchange_row(exchange: Exchange) -> tuple[Any, ...]:
    """Id, event, payload, stage, furthest, reached, days."""
    return (
        exchange.exchange_id,
        exchange.newest and type(exchange.newest).__name__,
        exchange.newest and exchange.newest.model_dump_json(),
        exchange.stage,
        exchange.furthest,
        json.dumps({stage: at.isoformat() for stage, at in sorted(exchange.reached.items())}),
        json.dumps(exchange.days, sort_keys=True),
    )


async def erase_exchange(tx: Transaction, exchange_id: UUID) -> None:
    await tx.connection.execute("delete from exchange where exchange_id = $1", exchange_id)


async def waiting_locked(tx: Transaction) -> list[Submission]:
    """Answers that wait, each with its company's present dimensions."""
    rows = await tx.connection.fetch(
        f"""
        select {INVITATION}, answers, profile, coalesce(withdrawn, false) as withdrawn, registered_at
        from waiting join invitation using (invitation_id) left join company using (company_id)
        order by invitation_id
        for update of waiting
        """  # noqa: S608
    )
    return [Submission(invitation_of(row), json.loads(row["answers"]), _company(row)) for row in rows]


async def move_to_released(tx: Transaction, submissions: Sequence[Submission]) -> None:
    """From here on nothing tells whose answers they were; they come shuffled, and are stored in that order."""
    await tx.connection.execute(
        "delete from waiting where invitation_id = any($1::uuid[])",
        [submission.invitation.invitation_id for submission in submissions],
    )
    await _add_released(tx, [(each.invitation, each.answers) for each in submissions])


async def add_released(tx: Transaction, events: Sequence[SurveySubmitted]) -> None:
    """As the log has them."""
    await _add_released(tx, [(event, event.answers) for event in events])


async def _add_released(
    tx: Transaction, answered: Sequence[tuple[Invitation | SurveySubmitted, Mapping[str, str]]]
) -> None:
    await tx.connection.executemany(
        "insert into released (questionnaire, party, wave, answers) values ($1, $2, $3, $4)",
        [(of.questionnaire, of.party, of.wave, json.dumps(dict(sorted(answers.items())))) for of, answers in answered],
    )


async def cluster_key(tx: Transaction, programme_year: int) -> bytes | None:
    """Made when first needed. Once it is destroyed, nobody can tell any more which exchange a cluster was: then None.

    It is not made anew, or one company would be two clusters.
    """
    await tx.connection.execute(
        "insert into cluster_key (programme_year, key)"
        " select $1, $2 where not exists (select from destroyed_cluster_key where programme_year = $1)"
        " on conflict do nothing",
        programme_year,
        secrets.token_bytes(32),
    )
    return await tx.connection.fetchval("select key from cluster_key where programme_year = $1", programme_year)


def _company(row: Any) -> Company:
    # A registered profile has the fields of an updated one.
    profile = row["profile"] and CompanyUpdated.model_validate_json(row["profile"])
    return Company(row["company_id"], profile, row["withdrawn"], row["registered_at"])


_EXCHANGE = "exchange_id, event, payload, furthest, reached"


def _exchange(row: Any) -> Exchange:
    newest: Any = row["event"] and catalogue.BY_NAME[row["event"]].event.model_validate_json(row["payload"])
    reached = {stage: datetime.fromisoformat(at) for stage, at in json.loads(row["reached"]).items()}
    return Exchange(row["exchange_id"], newest, row["furthest"] and Stage(row["furthest"]), reached)
