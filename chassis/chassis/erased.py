"""Who is erased: bare ids, kept for good, so that what was said of them before cannot bring them back.

A row that is not there cannot be locked, so who erases holds the whole table (docs/decisions/0003).
"""

from collections.abc import Iterable
from uuid import UUID

from chassis.database import Connection


async def alone(connection: Connection) -> None:
    """Nobody else hears of anything until the transaction's end; waits for the batches under way."""
    await connection.execute("lock table erased in exclusive mode")


async def side_by_side(connection: Connection) -> None:
    """Nobody erases until the transaction's end."""
    await connection.execute("lock table erased in row share mode")


async def keep(connection: Connection, ids: Iterable[UUID]) -> None:
    """From now on nothing that names one of these has an effect."""
    await connection.execute(
        "insert into erased (subject) select id from unnest($1::uuid[]) as ids(id) order by id on conflict do nothing",
        list(ids),
    )


async def among(connection: Connection, ids: Iterable[UUID]) -> set[UUID]:
    """Those of them that are erased."""
    rows = await connection.fetch("select subject from erased where subject = any($1::uuid[])", list(ids))
    return {row["subject"] for row in rows}
