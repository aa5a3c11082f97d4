"""All the survey's SQL: one function a question."""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.transaction import Transaction
from sojourn_contracts import catalogue
from sojourn_contracts.company import CompanyUpdated
from sojourn_contracts.exchange import Stage
from sojourn_contracts.refusal import Unknown
from sojourn_contracts.vocabulary import Party, TrainingDirection

from survey.domain import Company, Exchange, Invitation, InvitationState
from survey.release import Submission

_INVITATION = """invitation_id, exchange_id, party, wave, questionnaire, company_id, respondent_id, days,
                 training_direction, invited_at, closes_at, state"""


async def company_locked_or_blank(tx: Transaction, company_id: UUID) -> Company:
    await tx.connection.execute("insert into company (company_id) values ($1) on conflict do nothing", company_id)
    [row] = await tx.connection.fetch(
        "select company_id, profile, withdrawn from company where company_id = $1 for update", company_id
    )
    return _company(row)


async def save_company(tx: Transaction, company: Company) -> None:
    await tx.connection.execute(
        "update company set profile = $2, withdrawn = $3 where company_id = $1",
        company.company_id,
        company.profile and company.profile.model_dump_json(),
        company.withdrawn,
    )


async def erase_company(tx: Transaction, company_id: UUID) -> list[UUID]:
    """Leaves the bare id. Its invitations go, with answers that wait for release; the invitations' ids are returned."""
    await tx.connection.execute(
        """
        insert into company (company_id, erased) values ($1, true)
        on conflict (company_id) do update set profile = null, withdrawn = false, erased = true
        """,
        company_id,
    )
    rows = await tx.connection.fetch("delete from invitation where company_id = $1 returning invitation_id", company_id)
    return [row["invitation_id"] for row in rows]


async def erased_companies(tx: Transaction, *company_ids: UUID) -> set[UUID]:
    rows = await tx.connection.fetch(
        "select company_id from company where company_id = any($1::uuid[]) and erased", company_ids
    )
    return {row["company_id"] for row in rows}


async def exchange_locked_or_blank(tx: Transaction, exchange_id: UUID) -> Exchange:
    await tx.connection.execute("insert into exchange (exchange_id) values ($1) on conflict do nothing", exchange_id)
    [row] = await tx.connection.fetch(
        "select exchange_id, event, payload, furthest from exchange where exchange_id = $1 for update", exchange_id
    )
    newest: Any = row["event"] and catalogue.BY_NAME[row["event"]].event.model_validate_json(row["payload"])
    return Exchange(row["exchange_id"], newest, row["furthest"] and Stage(row["furthest"]))


async def save_exchange(tx: Transaction, exchange: Exchange) -> None:
    await tx.connection.execute(
        "update exchange set event = $2, payload = $3, stage = $4, furthest = $5 where exchange_id = $1",
        exchange.exchange_id,
        exchange.newest and type(exchange.newest).__name__,
        exchange.newest and exchange.newest.model_dump_json(),
        exchange.stage,
        exchange.furthest,
    )


async def erase_exchange(tx: Transaction, exchange_id: UUID) -> list[UUID]:
    """Its invitations go, with answers that wait for their release; those invitations' ids are returned."""
    await tx.connection.execute("delete from exchange where exchange_id = $1", exchange_id)
    rows = await tx.connection.fetch(
        "delete from invitation where exchange_id = $1 returning invitation_id", exchange_id
    )
    return [row["invitation_id"] for row in rows]


async def add_invitations(tx: Transaction, invitations: Sequence[Invitation]) -> set[UUID]:
    """Those that are there already stay as they are; the ids of the new ones are returned."""
    rows = await tx.connection.fetch(
        f"""
        insert into invitation ({_INVITATION}, notice_id)
        select {_INVITATION}, notice_id from jsonb_populate_recordset(null::invitation, $1)
        on conflict do nothing
        returning invitation_id
        """,  # noqa: S608
        json.dumps([vars(each) | {"notice_id": each.notice_id} for each in invitations], default=str),
    )
    return {row["invitation_id"] for row in rows}


async def invitations_of(tx: Transaction, respondent_id: UUID) -> list[Invitation]:
    rows = await tx.connection.fetch(
        f"select {_INVITATION} from invitation where respondent_id = $1 order by invited_at, invitation_id",  # noqa: S608
        respondent_id,
    )
    return [_invitation(row) for row in rows]


async def locked(tx: Transaction, invitation_id: UUID) -> Invitation:
    """Raises: Unknown."""
    invitation = await locked_or_none(tx, invitation_id)
    if invitation is None:
        raise Unknown("unknown_invitation", "there is no invitation under this id")
    return invitation


async def locked_or_none(tx: Transaction, invitation_id: UUID) -> Invitation | None:
    row = await tx.connection.fetchrow(
        f"select {_INVITATION} from invitation where invitation_id = $1 for update",  # noqa: S608
        invitation_id,
    )
    return None if row is None else _invitation(row)


async def save_state(tx: Transaction, invitation: Invitation) -> None:
    await tx.connection.execute(
        "update invitation set state = $2 where invitation_id = $1", invitation.invitation_id, invitation.state
    )


async def keep_until_release(tx: Transaction, invitation: Invitation, answers: dict[str, str]) -> None:
    await tx.connection.execute(
        "insert into waiting (invitation_id, answers) values ($1, $2)", invitation.invitation_id, json.dumps(answers)
    )


async def waiting_locked(tx: Transaction) -> list[Submission]:
    """Answers that wait, each with its company's present dimensions."""
    rows = await tx.connection.fetch(
        f"""
        select {_INVITATION}, answers, profile, coalesce(withdrawn, false) as withdrawn
        from waiting join invitation using (invitation_id) left join company using (company_id)
        order by invitation_id
        for update of waiting
        """  # noqa: S608
    )
    return [Submission(_invitation(row), json.loads(row["answers"]), _company(row)) for row in rows]


async def move_to_released(tx: Transaction, submissions: Sequence[Submission]) -> None:
    """From here on nothing tells whose answers they were; they come shuffled, and are stored in that order."""
    await tx.connection.execute(
        "delete from waiting where invitation_id = any($1::uuid[])",
        [submission.invitation.invitation_id for submission in submissions],
    )
    await tx.connection.executemany(
        "insert into released (questionnaire, party, wave, answers) values ($1, $2, $3, $4)",
        [
            (
                submission.invitation.questionnaire,
                submission.invitation.party,
                submission.invitation.wave,
                json.dumps(dict(sorted(submission.answers.items()))),
            )
            for submission in submissions
        ],
    )


async def cluster_key(tx: Transaction, programme_year: int) -> bytes:
    """Made when first needed. Once it is destroyed, nobody can tell any more which exchange a cluster was."""
    await tx.connection.execute(
        "insert into cluster_key (programme_year, key) values ($1, $2) on conflict do nothing",
        programme_year,
        secrets.token_bytes(32),
    )
    return await tx.connection.fetchval("select key from cluster_key where programme_year = $1", programme_year)


async def answer_counts(tx: Transaction, wave: int) -> dict[str, dict[str, int]]:
    """Released answers: question code to answer code to number."""
    rows = await tx.connection.fetch(
        """
        select question, answer, count(*) as number
        from released, jsonb_each_text(answers) as given(question, answer)
        where wave = $1
        group by question, answer
        """,
        wave,
    )
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row["question"], {})[row["answer"]] = row["number"]
    return counts


async def note_sending(tx: Transaction, notice_id: UUID, revision: int, sent_at: datetime | None) -> None:
    """What the mail server last said to an invitation; of one that is gone, nothing is kept."""
    await tx.connection.execute(
        "update invitation set sent_at = $3, sent_revision = $2 where notice_id = $1 and sent_revision < $2",
        notice_id,
        revision,
        sent_at,
    )


async def responses(tx: Transaction) -> list[tuple[Party, int, int, int, int]]:
    """Party, wave, invited, sent, submitted; of what has been erased, nothing is counted."""
    rows = await tx.connection.fetch(
        """
        select party, wave, count(*) as invited, count(sent_at) as sent, count(*) filter (where state = 'submitted') as submitted
        from invitation group by party, wave order by wave, party
        """
    )
    return [(Party(row["party"]), row["wave"], row["invited"], row["sent"], row["submitted"]) for row in rows]


async def companies_registered_and_left(tx: Transaction) -> tuple[int, int]:
    [row] = await tx.connection.fetch(
        "select count(*) filter (where profile is not null) as registered, count(*) filter (where withdrawn) as gone"
        " from company"
    )
    return row["registered"], row["gone"]


async def exchanges_by_stage(tx: Transaction) -> dict[tuple[Stage, Stage], int]:
    """Furthest stage and present stage to number."""
    rows = await tx.connection.fetch(
        "select furthest, stage, count(*) as number from exchange where stage is not null group by furthest, stage"
    )
    return {(Stage(row["furthest"]), Stage(row["stage"])): row["number"] for row in rows}


def _company(row: Any) -> Company:
    # A registered profile has the fields of an updated one.
    profile = row["profile"] and CompanyUpdated.model_validate_json(row["profile"])
    return Company(row["company_id"], profile, row["withdrawn"])


def _invitation(row: Any) -> Invitation:
    return Invitation(
        invitation_id=row["invitation_id"],
        exchange_id=row["exchange_id"],
        party=Party(row["party"]),
        wave=row["wave"],
        questionnaire=row["questionnaire"],
        company_id=row["company_id"],
        respondent_id=row["respondent_id"],
        days=row["days"],
        training_direction=TrainingDirection(row["training_direction"]),
        invited_at=row["invited_at"],
        closes_at=row["closes_at"],
        state=InvitationState(row["state"]),
    )
