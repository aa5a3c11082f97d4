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


async def erase_company(tx: Transaction, company_id: UUID) -> None:
    """Leaves the bare id."""
    await tx.connection.execute(
        """
        insert into company (company_id, erased) values ($1, true)
        on conflict (company_id) do update set profile = null, withdrawn = false, erased = true
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


async def unlink_of_party(tx: Transaction, party_id: UUID) -> list[UUID]:
    """The same as for an exchange, for all that a company, its travellers or a person were asked."""
    return await _unlink(tx, "company_id = $1 or respondent_id = $1", party_id)


async def unlink_closed(tx: Transaction, before: datetime, limit: int) -> list[UUID]:
    """The same for invitations that closed by then, at most so many."""
    return await _unlink(tx, "closes_at < $1", before, limit)


async def destroy_keys(tx: Transaction, before_year: int) -> int:
    """Leaves no byte of them in the table's file; until they are recycled, the database's WAL and its backups have them."""
    return await tx.connection.fetchval("select destroy_cluster_keys($1)", before_year)


async def _unlink(tx: Transaction, which: str, by: UUID | datetime, limit: int | None = None) -> list[UUID]:
    """Invitations go, with answers that wait for their release; how many they were stays. Gives their ids."""
    rows = await tx.connection.fetch(
        f"select invitation_id from invitation where {which} order by invitation_id limit $2 for update",  # noqa: S608
        by,
        limit,
    )
    invitation_ids = [row["invitation_id"] for row in rows]
    await tx.connection.execute(
        """
        insert into unlinked (party, wave, invited, sent, submitted, never_released)
        select party, wave, count(*), count(sent_at), count(*) filter (where state = 'submitted'), count(waiting.invitation_id)
        from invitation left join waiting using (invitation_id)
        where invitation_id = any($1::uuid[]) group by party, wave order by party, wave
        on conflict (party, wave) do update
        set invited = unlinked.invited + excluded.invited, sent = unlinked.sent + excluded.sent,
            submitted = unlinked.submitted + excluded.submitted,
            never_released = unlinked.never_released + excluded.never_released
        """,
        invitation_ids,
    )
    await tx.connection.execute("delete from invitation where invitation_id = any($1::uuid[])", invitation_ids)
    return invitation_ids


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
    """With its invitations, whose ids are returned."""
    await tx.connection.execute("delete from exchange where exchange_id = $1", exchange_id)
    return await _unlink(tx, "exchange_id = $1", exchange_id)


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
    """Party, wave, invited, sent, submitted; those whose invitations are erased are counted."""
    rows = await tx.connection.fetch(
        """
        select party, wave, sum(invited)::bigint as invited, sum(sent)::bigint as sent, sum(submitted)::bigint as submitted
        from (
            select party, wave, 1 as invited, (sent_at is not null)::int as sent, (state = 'submitted')::int as submitted
            from invitation
            union all
            select party, wave, invited, sent, submitted from unlinked
        ) as asked
        group by party, wave order by wave, party
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
