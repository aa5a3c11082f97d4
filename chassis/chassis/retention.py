"""What is forgotten after a while. Each service says of its tables how long it keeps what: days, in its settings.

One piece of standing work a service (``due.STANDING``) looks once a day by the wall clock, and goes on at once while it finds a
whole chunk.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chassis.doors import OnDue, Work
from chassis.transaction import RETENTION, Transaction

EVERY = timedelta(days=1)
CHUNK = 1_000
"""Rows that are forgotten in one transaction at most, so that none holds its locks for long."""

Forget = Callable[[Transaction, timedelta, int], Awaitable[int]]
"""Forgets what is older than that, at most so many; tells how many they were."""


@dataclass(frozen=True)
class Kept:
    """One thing that is kept for as many days as a setting says."""

    setting: str
    """Name of the field in the service's settings."""
    forget: Forget


def rows(table: str, key: str, since: str) -> Forget:
    """Deletes rows by age, on the wall clock: of ``table`` by its primary ``key``, old by the instant ``since``, both SQL."""
    return deletes(f"delete from {table} where ({key}) in (select {key} from {table} where {since} < $1 limit $2)")  # noqa: S608


def deletes(statement: str) -> Forget:
    """The same by a statement of its own, which takes the instant before which all is old, and how many rows."""

    async def forget(tx: Transaction, age: timedelta, limit: int) -> int:
        return _count(await tx.connection.execute(statement, datetime.now(UTC) - age, limit))

    return forget


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


OF_EVERY_SERVICE: tuple[Kept, ...] = (
    Kept("retention_days", rows("inbox", "event_id", "handled_at")),
    Kept("retention_days", rows("answer", "scope, key", "made_at")),
    Kept("dead_letter_days", rows("dead_letter", "id", "dead_at")),
)


def door(kept: Sequence[Kept]) -> OnDue:
    """The due work that forgets what is old, of these and of what every service has."""

    async def forget_old(work: Work, tx: Transaction) -> None:
        more = False
        for each in (*OF_EVERY_SERVICE, *kept):
            gone = await each.forget(tx, timedelta(days=getattr(tx.settings, each.setting)), CHUNK)
            more = more or gone >= CHUNK
        again = None if more else datetime.now(UTC) + EVERY
        tx.schedule(RETENTION, work.subject, work.at, not_before=again)

    return OnDue(RETENTION, forget_old)
