"""All SQL about invitations and answers that wait: one function a question."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from chassis.doors import Work
from chassis.transaction import Transaction
from sojourn_contracts.exchange import ExchangeCompleted
from sojourn_contracts.refusal import Unknown
from sojourn_contracts.vocabulary import Party, TrainingDirection

from survey.answering.domain import Invitation, InvitationState

SHORTLY = timedelta(milliseconds=100)
"""Wall time after which due work looks again at an invitation that somebody is answering."""
INVITATION = """invitation_id, exchange_id, party, wave, questionnaire, company_id, respondent_id, days,
                training_direction, programme_year, invited_at, closes_at, state, started"""


async def completion_locked(tx: Transaction, exchange_id: UUID) -> ExchangeCompleted | None:
    """None if the exchange is erased."""
    payload = await tx.connection.fetchval(
        "select payload from exchange where exchange_id = $1 and event = 'ExchangeCompleted' for update", exchange_id
    )
    return payload and ExchangeCompleted.model_validate_json(payload)


async def add_invitations(tx: Transaction, invitations: Sequence[Invitation]) -> set[UUID]:
    """Those that are there already stay as they are; the ids of the new ones are returned."""
    rows = await tx.connection.fetch(
        f"""
        insert into invitation ({INVITATION}, notice_id)
        select {INVITATION}, notice_id from jsonb_populate_recordset(null::invitation, $1)
        on conflict do nothing
        returning invitation_id
        """,  # noqa: S608
        json.dumps([vars(each) | {"notice_id": each.notice_id} for each in invitations], default=str),
    )
    return {row["invitation_id"] for row in rows}


async def invitations_of(tx: Transaction, respondent_id: UUID) -> list[Invitation]:
    rows = await tx.connection.fetch(
        f"select {INVITATION} from invitation where respondent_id = $1 order by invited_at, invitation_id",  # noqa: S608
        respondent_id,
    )
    return [invitation_of(row) for row in rows]


async def with_draft(tx: Transaction, invitation_id: UUID) -> tuple[Invitation, dict[str, str]]:
    """An invitation, and what was answered so far.

    Raises:
        Unknown: there is none.
    """
    row = await tx.connection.fetchrow(
        f"select {INVITATION}, answers from invitation left join draft using (invitation_id) where invitation_id = $1",  # noqa: S608
        invitation_id,
    )
    if row is None:
        raise _unknown()
    return invitation_of(row), json.loads(row["answers"] or "{}")


async def locked(tx: Transaction, invitation_id: UUID) -> Invitation:
    """Raises: Unknown."""
    row = await tx.connection.fetchrow(
        f"select {INVITATION} from invitation where invitation_id = $1 for update",  # noqa: S608
        invitation_id,
    )
    if row is None:
        raise _unknown()
    return invitation_of(row)


def _unknown() -> Unknown:
    return Unknown("unknown_invitation", "there is no invitation under this id")


async def free(tx: Transaction, work: Work) -> Invitation | None:
    """The invitation of due work, locked until the transaction ends; None if it is gone, or somebody is answering it.

    It does not wait for them: they may be waiting to take this very work back. That work comes back instead.
    """
    invitation_id = UUID(work.subject)
    row = await tx.connection.fetchrow(
        f"select {INVITATION} from invitation where invitation_id = $1 for update skip locked",  # noqa: S608
        invitation_id,
    )
    if row is not None:
        return invitation_of(row)
    if await tx.connection.fetchval("select exists (select from invitation where invitation_id = $1)", invitation_id):
        tx.schedule(work.kind, invitation_id, work.at, not_before=datetime.now(UTC) + SHORTLY, data=work.data)
    return None


async def save_draft(tx: Transaction, invitation: Invitation, answers: Mapping[str, str]) -> None:
    """In place of the one before."""
    await tx.connection.execute(
        """
        with begun as (update invitation set started = $2 where invitation_id = $1 and started <> $2)
        insert into draft (invitation_id, answers) values ($1, $3)
        on conflict (invitation_id) do update set answers = excluded.answers
        """,
        invitation.invitation_id,
        invitation.started,
        json.dumps(answers),
    )


async def end(tx: Transaction, invitation: Invitation) -> None:
    """Saves that it takes no more answers; its draft goes."""
    await tx.connection.execute(
        """
        with unsent as (delete from draft where invitation_id = $1)
        update invitation set state = $2, started = $3 where invitation_id = $1
        """,
        invitation.invitation_id,
        invitation.state,
        invitation.started,
    )


async def submit(
    tx: Transaction, invitation: Invitation, answers: Mapping[str, str], remarks: Mapping[str, str], readable_on: date
) -> None:
    """Ends the invitation, and keeps answers by code until their release, and texts by their questions' codes."""
    await tx.connection.execute(
        """
        with unsent as (delete from draft where invitation_id = $1),
            ended as (update invitation set state = $2, started = $3 where invitation_id = $1),
            written as (
                insert into remark (remark_id, invitation_id, question, text, readable_on)
                select remark_id, $1, question, text, $8
                from unnest($5::uuid[], $6::text[], $7::text[]) as said(remark_id, question, text)
            )
        insert into waiting (invitation_id, answers) values ($1, $4)
        """,
        invitation.invitation_id,
        invitation.state,
        invitation.started,
        json.dumps(answers),
        [uuid4() for _ in remarks],
        list(remarks),
        list(remarks.values()),
        readable_on,
    )


@dataclass(frozen=True)
class Remark:
    """What somebody wrote, without anything that says who."""

    remark_id: UUID
    questionnaire: str
    party: Party
    wave: int
    question: str
    text: str


async def remarks(
    tx: Transaction, today: date, after: UUID | None, limit: int, party: Party | None, wave: int | None
) -> list[Remark]:
    """Those that may be read by now, by their random ids, so that their order says nothing either."""
    rows = await tx.connection.fetch(
        """
        select remark_id, questionnaire, party, wave, question, text
        from remark join invitation using (invitation_id)
        where readable_on <= $1 and ($2::uuid is null or remark_id > $2)
            and ($4::text is null or party = $4) and ($5::int is null or wave = $5)
        order by remark_id limit $3
        """,
        today,
        after,
        limit,
        party,
        wave,
    )
    return [Remark(**{**row, "party": Party(row["party"])}) for row in rows]


async def release_expected(tx: Transaction, kind: str, night: str) -> bool:
    """Whether the night has a release.

    Its note is locked with all others that look for it, and until they commit it is not done: so no answer is left
    out, and answers do not wait for each other.
    """
    found = await tx.connection.fetchval(
        "select true from due where kind = $1 and subject = $2 and parked_at is null for key share", kind, night
    )
    return bool(found)


async def note_sending(tx: Transaction, notice_id: UUID, revision: int, sent_at: datetime | None) -> None:
    """What the mail server last said to an invitation; of one that is gone, nothing is kept."""
    await tx.connection.execute(
        "update invitation set sent_at = $3, sent_revision = $2 where notice_id = $1 and sent_revision < $2",
        notice_id,
        revision,
        sent_at,
    )


@dataclass(frozen=True)
class Responses:
    """How many of a party in a wave; those whose invitations are erased are counted."""

    party: Party
    wave: int
    invited: int
    sent: int
    """Invitations that the mail server accepted; that does not say that they arrived."""
    started: int
    """Saved a draft, or submitted."""
    submitted: int
    declined: int


async def responses(tx: Transaction) -> list[Responses]:
    rows = await tx.connection.fetch(
        """
        select party, wave, sum(invited)::bigint as invited, sum(sent)::bigint as sent, sum(started)::bigint as started,
            sum(submitted)::bigint as submitted, sum(declined)::bigint as declined
        from (
            select party, wave, 1 as invited, (sent_at is not null)::int as sent, started::int as started,
                (state = 'submitted')::int as submitted, (state = 'declined')::int as declined
            from invitation
            union all
            select party, wave, invited, sent, started, submitted, declined from unlinked
        ) as asked
        group by party, wave order by wave, party
        """
    )
    return [Responses(**{**row, "party": Party(row["party"])}) for row in rows]


async def unlink(tx: Transaction, which: str, by: UUID | datetime, limit: int | None = None) -> list[UUID]:
    """Invitations go, with answers that wait, drafts and texts; how many they were stays. Gives their ids.

    ``which``: SQL, with ``$1`` for ``by``.
    """
    rows = await tx.connection.fetch(
        f"select invitation_id from invitation where {which} order by invitation_id limit $2 for update",  # noqa: S608
        by,
        limit,
    )
    invitation_ids = [row["invitation_id"] for row in rows]
    await tx.connection.execute(
        """
        insert into unlinked (party, wave, invited, sent, started, submitted, declined, never_released)
        select party, wave, count(*), count(sent_at), count(*) filter (where started),
            count(*) filter (where state = 'submitted'), count(*) filter (where state = 'declined'),
            count(waiting.invitation_id)
        from invitation left join waiting using (invitation_id)
        where invitation_id = any($1::uuid[]) group by party, wave order by party, wave
        on conflict (party, wave) do update
        set invited = unlinked.invited + excluded.invited, sent = unlinked.sent + excluded.sent,
            started = unlinked.started + excluded.started, submitted = unlinked.submitted + excluded.submitted,
            declined = unlinked.declined + excluded.declined,
            never_released = unlinked.never_released + excluded.never_released
        """,
        invitation_ids,
    )
    await tx.connection.execute("delete from invitation where invitation_id = any($1::uuid[])", invitation_ids)
    return invitation_ids


def invitation_of(row: Any) -> Invitation:
    """A row with the columns of ``INVITATION``."""
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
        # Invitations from before there was a second wave do not say their year: they came with the end of their exchange.
        programme_year=row["programme_year"] or row["invited_at"].year,
        invited_at=row["invited_at"],
        closes_at=row["closes_at"],
        state=InvitationState(row["state"]),
        started=row["started"],
    )
