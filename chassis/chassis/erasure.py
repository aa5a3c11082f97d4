"""Forgetting somebody for good: what every service does about the tables that all have, and when it says that it is done.

Guarantee 22: a service says that somebody is forgotten once it looked and found nothing: no row that holds the id, no event in
its log that names it. Rows of the log stay, emptied, so that positions and sequences have no holes. What an event about somebody
else told of who is erased is taken out of it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from sojourn_contracts import catalogue
from sojourn_contracts.erasure import ErasureDone, ErasureRequested
from sojourn_contracts.refusal import Refused

from chassis import erased
from chassis.doors import Door, Work, consumes, on_due
from chassis.holdings import ERASURE_DONE, SEARCH_LOG, Holdings, Kind
from chassis.transaction import EMPTY_LOG, UNLINKED, Transaction

Forget = Callable[[UUID, Transaction], Awaitable[None]]

SEARCHED = 20_000
"""Positions of the log that one piece of due work searches."""
SHORTLY = timedelta(milliseconds=100)
"""Of wall time, until what is still on its way to the log is looked at again."""
LOOKS = 20
"""Looks that find something after which the due work is given up, for an operator to see what is still held."""


class StillHeld(RuntimeError):  # noqa: N818 - it is what was found
    """Somebody who is to be forgotten is not; the text names the tables."""


@on_due(EMPTY_LOG)
async def empty_log(work: Work, tx: Transaction) -> None:
    """What the log tells of a subject that was erased goes.

    Waits for what the relay has not moved yet: a row of the outbox is the relay's. An emptied row that is published only now
    erases what was to be erased anyway.
    """
    subject = UUID(work.subject)
    if await tx.connection.fetchval("select exists (select from outbox where subject = $1)", subject):
        tx.schedule(EMPTY_LOG, subject, work.at, not_before=datetime.now(UTC) + SHORTLY)
        return
    await tx.connection.execute("delete from raised where subject = $1", subject)
    await _take_out(
        tx,
        await tx.connection.fetch(
            "select position, type, data from event_log where subject = $1 and data is not null", subject
        ),
        {subject},
    )


@on_due(SEARCH_LOG)
async def search_log(work: Work, tx: Transaction) -> None:
    """The whole log is searched for events that name somebody who was erased, a part of it at a time."""
    after = work.data.get("after", 0)
    on_its_way = await tx.connection.fetchval(
        "select exists (select from outbox where position($1 in data) > 0)", work.subject
    )
    end = await tx.connection.fetchval("select coalesce(max(position), 0) from event_log")
    await _take_out(
        tx,
        await tx.connection.fetch(
            "select position, type, data from event_log where position > $1 and position <= $2 and position($3 in data) > 0",
            after,
            after + SEARCHED,
            work.subject,
        ),
        {UUID(work.subject)},
    )
    if after + SEARCHED < end:
        tx.schedule(SEARCH_LOG, work.subject, work.at, data={"after": after + SEARCHED})
    elif on_its_way:
        again = datetime.now(UTC) + SHORTLY
        tx.schedule(SEARCH_LOG, work.subject, work.at, not_before=again, data={"after": after})


async def _take_out(tx: Transaction, rows: Sequence[asyncpg.Record], gone: set[UUID]) -> None:
    """Who is gone leaves what was told of others; where nothing may be known any more, the row is emptied."""
    told = {
        row["position"]: catalogue.BY_NAME[row["type"].rpartition(".v")[0]].event.model_validate_json(row["data"])
        for row in rows
    }
    left = {position: event.without(gone) for position, event in told.items()}
    await tx.connection.execute(
        "update event_log set data = told.data from unnest($1::bigint[], $2::text[]) as told(position, data)"
        " where event_log.position = told.position",
        list(left),
        [event and event.model_dump_json() for event in left.values()],
    )


async def forget_traces(tx: Transaction, whom: UUID) -> None:
    """Dead letters, due work, kept answers and events of the log that name somebody go; what comes and names them has no effect.

    An answer to somebody else keeps its key without its body: a repeat learns that it was erased, and creates nothing.
    """
    await erased.keep(tx.connection, [whom])
    await tx.connection.execute(
        "delete from dead_letter where position(convert_to($1, 'UTF8') in coalesce(key, '') || coalesce(value, '')) > 0"
        " or position($1 in detail) > 0 or position(encode(convert_to($1, 'UTF8'), 'base64') in headers::text) > 0",
        str(whom),
    )
    await tx.connection.execute(
        "delete from due where (subject = $1 or position($1 in data::text) > 0) and kind <> all ($2)",
        str(whom),
        [EMPTY_LOG, SEARCH_LOG, ERASURE_DONE],
    )
    tx.caused_by(UNLINKED).schedule(SEARCH_LOG, whom, tx.now)
    await tx.connection.execute("delete from answer where position($1 in scope) > 0", str(whom))
    await tx.connection.execute("update answer set body = null where position($1 in body::text) > 0", str(whom))


async def nothing_left(work: Work, tx: Transaction, held: Holdings) -> bool:
    """Whether the service holds nothing any more on whom the due work names; if it does, the work comes back.

    Raises:
        StillHeld: it came back too often.
    """
    emptying = await tx.connection.fetchval(
        "select exists (select from due where kind = any ($1))", [EMPTY_LOG, SEARCH_LOG]
    ) or any(kind in (EMPTY_LOG, SEARCH_LOG) and again for (kind, _), again in tx.effects.due.items())
    kind: Kind = work.data["kind"]
    tables = await held.left(tx.connection, kind, UUID(work.data["erased_id"]))
    if not emptying and not tables:
        return True
    looks = work.data.get("looks", 0) + (not emptying and "outbox" not in tables)
    if looks > LOOKS:
        raise StillHeld(", ".join(tables))
    again = datetime.now(UTC) + SHORTLY
    tx.schedule(ERASURE_DONE, work.subject, work.at, not_before=again, data=work.data | {"looks": looks})
    return False


def look_for(tx: Transaction, erasure_id: UUID, kind: str, whom: UUID) -> None:
    """Asks for the due work that finds out whether somebody is forgotten."""
    tx.schedule(ERASURE_DONE, erasure_id, tx.now, data={"kind": kind, "erased_id": str(whom)})


def doors(forget: Mapping[str, Forget], held: Holdings) -> tuple[Door, ...]:
    """What a service that hears of erasures does: forgets by ``forget``, one for each kind, and answers."""

    @consumes(ErasureRequested)
    async def forget_whom(event: ErasureRequested, tx: Transaction) -> None:
        if event.kind not in forget:
            raise Refused("unknown_kind", f"nobody here knows what a {event.kind} is")
        await forget[event.kind](event.erased_id, tx)
        await forget_traces(tx, event.erased_id)
        look_for(tx, event.erasure_id, event.kind, event.erased_id)

    @on_due(ERASURE_DONE)
    async def answer(work: Work, tx: Transaction) -> None:
        if await nothing_left(work, tx, held):
            tx.emit(
                ErasureDone(
                    erasure_id=UUID(work.subject),
                    erased_id=UUID(work.data["erased_id"]),
                    kind=work.data["kind"],
                    done_by=tx.service,
                    done_at=tx.now,
                )
            )

    return forget_whom, answer
