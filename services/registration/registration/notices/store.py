"""All the SQL about notices and their mails. No address, name or text is kept here: they are looked up for each attempt."""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from chassis.transaction import Transaction
from sojourn_contracts.refusal import Unknown

from registration.notices.contact_points import addressees
from registration.notices.domain import Mail, Notice, Reason, State
from registration.people.domain import Addressee, Reads

_NOTICE = "notice_id, asked_by, recipient_id, template, parameters, asked_at, revision"


async def add(tx: Transaction, notices: Sequence[Notice]) -> set[UUID]:
    """Those that are there already stay as they are; the ids of the new ones are returned."""
    rows = await tx.connection.fetch(
        f"""
        insert into notice ({_NOTICE})
        select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[]::jsonb[], $6::timestamptz[], $7::int[])
        on conflict do nothing
        returning notice_id
        """,  # noqa: S608
        *zip(
            *(
                (
                    notice.notice_id,
                    notice.asked_by,
                    notice.recipient_id,
                    notice.template,
                    json.dumps(dict(notice.parameters)),
                    notice.asked_at,
                    notice.revision,
                )
                for notice in sorted(notices, key=lambda notice: notice.notice_id)
            ),
            strict=True,
        ),
    )
    return {row["notice_id"] for row in rows}


async def save(tx: Transaction, notices: Iterable[Notice]) -> None:
    """Of notices that are there: what became of their mails, and of the whole."""
    noted = list(notices)
    await tx.connection.executemany(
        "update notice set revision = $2, outcome = $3, reason = $4, answered_at = $5 where notice_id = $1",
        [
            (
                each.notice_id,
                each.revision,
                *((None, None, None) if each.waiting else (each.state, each.reason, tx.now)),
            )
            for each in noted
        ],
    )
    await tx.connection.executemany(
        """
        insert into mail (notice_id, person_id, state, reason, answered_at) values ($1, $2, $3, $4, $5)
        on conflict (notice_id, person_id) do update
        set state = excluded.state, reason = excluded.reason, answered_at = excluded.answered_at,
            tried_since = case when excluded.state = 'waiting' then excluded.tried_since else mail.tried_since end
        where mail.state <> excluded.state
        """,
        [
            (each.notice_id, person, mail.state, mail.reason, None if mail.state is State.WAITING else tx.now)
            for each in noted
            for person, mail in each.mails.items()
        ],
    )


async def recipients(tx: Transaction, recipient_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Who is to be told: the person of this id, all who speak for the company of this id, or the contact point.

    Nobody for an unknown id, or for a contact point without an address.
    """
    rows = await tx.connection.fetch(
        """
        select person_id as recipient_id, person_id from person where person_id = any ($1)
        union all
        select company_id, person_id from person where company_id = any ($1) and part in ('admin', 'member')
        order by recipient_id, person_id
        """,
        list(recipient_ids),
    )
    told: dict[UUID, list[UUID]] = {recipient_id: [] for recipient_id in recipient_ids}
    for row in rows:
        told[row["recipient_id"]].append(row["person_id"])
    for contact_point in addressees(tx.settings).keys() & recipient_ids:
        told[contact_point].append(contact_point)
    return told


async def locked(tx: Transaction, notice_id: UUID) -> Notice:
    """Raises: Unknown."""
    notice = await locked_or_none(tx, notice_id)
    if notice is None:
        raise Unknown("unknown_notice", "There is no notice under this id")
    return notice


async def locked_or_none(tx: Transaction, notice_id: UUID) -> Notice | None:
    row = await tx.connection.fetchrow(f"select {_NOTICE} from notice where notice_id = $1 for update", notice_id)  # noqa: S608
    if row is None:
        return None
    mails = await tx.connection.fetch(
        "select person_id, state, reason from mail where notice_id = $1 order by person_id", notice_id
    )
    return _notice(row, mails)


async def waiting_for_locked(tx: Transaction, person_id: UUID) -> list[Notice]:
    """Notices to others than this person, such as their company, of which a mail to them waits."""
    rows = await tx.connection.fetch(
        "select notice_id from notice join mail using (notice_id)"
        " where person_id = $1 and state = 'waiting' and recipient_id <> $1 order by notice_id",
        person_id,
    )
    found = [await locked_or_none(tx, row["notice_id"]) for row in rows]
    return [notice for notice in found if notice and person_id in notice.waiting]


async def forget_mail(tx: Transaction, notice_id: UUID, person_id: UUID) -> None:
    await tx.connection.execute("delete from mail where notice_id = $1 and person_id = $2", notice_id, person_id)


async def waiting(tx: Transaction, notice_id: UUID, person_id: UUID) -> tuple[Notice, Addressee, datetime] | None:
    """A mail that is to be sent: what, to whom, and since when that is tried (wall time); the notice has no mails here."""
    row = await tx.connection.fetchrow(
        f"""
        select {_NOTICE}, name, email, reads, tried_since
        from notice join mail using (notice_id) left join person using (person_id)
        where notice_id = $1 and person_id = $2 and state = 'waiting'
        """,  # noqa: S608
        notice_id,
        person_id,
    )
    if row is None:
        return None
    if row["email"]:
        addressee = Addressee(row["name"], row["email"], Reads(row["reads"]))
    else:
        addressee = addressees(tx.settings).get(person_id)
    return addressee and (_notice(row, ()), addressee, row["tried_since"])


async def forget_refused(tx: Transaction, notice_id: UUID) -> None:
    """The mails that were refused; who is still to be told gets a new one."""
    await tx.connection.execute("delete from mail where notice_id = $1 and state = 'refused'", notice_id)


async def forget_ended(tx: Transaction, before: datetime, limit: int) -> int:
    """Of those that were answered before this instant and of which no mail waits, at most so many; tells how many they were.

    What was asked for counts where no answer came: who was to be told was erased meanwhile.
    """
    status = await tx.connection.execute(
        """
        delete from notice where notice_id in (
            select notice_id from notice
            where coalesce(answered_at, asked_at) < $1
              and not exists (select from mail where mail.notice_id = notice.notice_id and mail.state = 'waiting')
            limit $2
        )
        """,
        before,
        limit,
    )
    return int(status.rpartition(" ")[2])


_VIEW = """
    select notice_id, asked_by, recipient_id, template, parameters, asked_at, revision,
           coalesce(outcome, 'waiting') as state, reason, answered_at,
           coalesce((
               select jsonb_agg(jsonb_build_object(
                   'person_id', mail.person_id, 'state', mail.state, 'reason', mail.reason,
                   'tried_since', mail.tried_since, 'answered_at', mail.answered_at,
                   'attempts', coalesce(due.attempts, 0)
               ) order by mail.person_id)
               from mail left join due on due.kind like 'send%mail' and due.subject = mail.notice_id || '/' || mail.person_id
               where mail.notice_id = notice.notice_id
           ), '[]') as mails
    from notice
"""


async def page(
    tx: Transaction, state: State | None, template: str | None, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Those with a mail in this state, or in it as a whole, in the order of their ids."""
    rows = await tx.connection.fetch(
        f"""
        {_VIEW}
        where ($1::text is null or coalesce(outcome, 'waiting') = $1
               or exists (select from mail where mail.notice_id = notice.notice_id and mail.state = $1))
          and ($2::text is null or template = $2) and ($3::uuid is null or notice_id > $3)
        order by notice_id limit $4
        """,
        state,
        template,
        after,
        limit,
    )
    return [_view(row) for row in rows]


async def one(tx: Transaction, notice_id: UUID) -> dict[str, Any] | None:
    row = await tx.connection.fetchrow(f"{_VIEW} where notice_id = $1", notice_id)
    return None if row is None else _view(row)


async def counts(tx: Transaction) -> list[dict[str, Any]]:
    """Mails by template and state."""
    rows = await tx.connection.fetch(
        """
        select template, count(distinct notice_id) as notices,
               count(*) filter (where mail.state = 'waiting') as waiting,
               count(*) filter (where mail.state = 'accepted') as accepted,
               count(*) filter (where mail.state = 'refused' or mail.notice_id is null) as refused
        from notice left join mail using (notice_id)
        group by template order by template
        """
    )
    return [dict(row) for row in rows]


def _view(row: asyncpg.Record) -> dict[str, Any]:
    return {**row, "parameters": json.loads(row["parameters"]), "mails": json.loads(row["mails"])}


def _notice(row: asyncpg.Record, mails: Iterable[Any]) -> Notice:
    return Notice(
        notice_id=row["notice_id"],
        asked_by=row["asked_by"],
        recipient_id=row["recipient_id"],
        template=row["template"],
        parameters=json.loads(row["parameters"]),
        asked_at=row["asked_at"],
        revision=row["revision"],
        mails={
            mail["person_id"]: Mail(State(mail["state"]), mail["reason"] and Reason(mail["reason"])) for mail in mails
        },
    )
