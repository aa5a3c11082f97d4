"""What is forgotten after a while, and what is not."""

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest
from chassis.database import Pool
from chassis.retention import forget, forget_old
from chassis.settings import Settings

from chassis import retention
from tests.chassis.waiting import until

DAYS = 30
SETTINGS = Settings.model_validate(
    {"database_url": "postgresql://x", "kafka_bootstrap_servers": "x:1", "jwks": "x", "retention_days": DAYS}
)


async def aged(pool: Pool) -> None:
    """Five of each that are just older than the limit, and three that are just younger."""
    for days, rows in (("30 days 1 minute", 5), ("29 days 23 hours", 3)):
        await pool.execute(
            "insert into inbox (event_id, handled_at)"
            f" select gen_random_uuid(), now() - interval '{days}' from generate_series(1, $1)",
            rows,
        )
        await pool.execute(
            "insert into answer (scope, key, digest, made_at)"
            f" select 'one', gen_random_uuid(), '', now() - interval '{days}' from generate_series(1, $1)",
            rows,
        )


async def kept(pool: Pool) -> list[int]:
    row = await pool.fetchrow("select (select count(*) from inbox), (select count(*) from answer)")
    return list(row.values()) if row else []


@pytest.mark.parametrize("chunk", [2, 5, 10_000])
async def test_old_event_ids_and_answers_are_forgotten_and_younger_ones_kept(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, chunk: int
):
    monkeypatch.setattr(retention, "CHUNK", chunk)
    await aged(pool)
    assert await forget(pool, "inbox", DAYS) == 5
    assert await kept(pool) == [3, 8]
    assert await forget(pool, "answer", DAYS) == 5
    assert await kept(pool) == [3, 3]
    assert await forget(pool, "answer", DAYS) == 0


async def test_of_several_processes_one_forgets_at_a_time(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    under_way, most, calls = 0, 0, 0

    async def counted(pool: Pool, table: str, days: int) -> int:
        nonlocal under_way, most, calls
        under_way, calls = under_way + 1, calls + 1
        most = max(most, under_way)
        await pool.execute("select pg_sleep(0.02)")
        under_way -= 1
        return 0

    monkeypatch.setattr(retention, "forget", counted)
    monkeypatch.setattr(retention, "EVERY", 0.2)
    processes = [asyncio.create_task(forget_old(pool, SETTINGS)) for _ in range(4)]
    await until(lambda: calls >= 6)
    for process in processes:
        process.cancel()
    await asyncio.gather(*processes, return_exceptions=True)
    assert most == 1


async def test_trouble_waits_for_the_next_time(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "EVERY", 0.05)
    troubles = 0

    class Troubled:
        """The pool, once it answers."""

        def acquire(self) -> Any:
            nonlocal troubles
            troubles += 1
            if troubles < 4:
                raise ConnectionRefusedError
            return pool.acquire()

    await aged(pool)
    forgetting = asyncio.create_task(forget_old(cast("Pool", Troubled()), SETTINGS))

    async def forgotten() -> bool:
        return await kept(pool) == [3, 3]

    await until(forgotten)
    forgetting.cancel()
    with suppress(asyncio.CancelledError):
        await forgetting
    assert troubles > 4
