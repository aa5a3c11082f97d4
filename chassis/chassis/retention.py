"""What is forgotten after a while: handled event ids and answers to idempotency keys. Wall time, and one process at a time."""

import asyncio

import structlog

from chassis.database import Pool
from chassis.lease import Lease
from chassis.settings import Settings

logger = structlog.get_logger(__name__)

EVERY = 3600.0
CHUNK = 10_000
"""Rows per statement, so that none holds its locks for long."""

_OLD = {
    "inbox": "delete from inbox where event_id in (select event_id from inbox where handled_at < {since} limit {chunk})",
    "answer": "delete from answer where (scope, key) in (select scope, key from answer where made_at < {since} limit {chunk})",
}


async def forget_old(pool: Pool, settings: Settings) -> None:
    """Deletes once an hour what is older than ``RETENTION_DAYS``, until cancelled."""
    lease = Lease(pool, "retention", EVERY)
    while True:
        try:
            if await lease.acquire():
                for table in _OLD:
                    await forget(pool, table, settings.retention_days)
        except Exception as error:
            logger.warning("retention waits", error=repr(error)[:300])
        await asyncio.sleep(EVERY)


async def forget(pool: Pool, table: str, days: int) -> int:
    """Deletes what is older than that many days, chunk by chunk; returns how many rows went."""
    statement = _OLD[table].format(since="clock_timestamp() - $1 * interval '1 day'", chunk=CHUNK)
    gone = 0
    while True:
        async with pool.acquire() as connection:
            done = int((await connection.execute(statement, days)).rpartition(" ")[2])
        gone += done
        if done < CHUNK:
            return gone
