"""The lease: one at a time, by the database's clock, and a holder that slept knows it or is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from chassis.database import Pool
from chassis.lease import Lease, LeaseLost

from tests.chassis.waiting import until


async def expire(pool: Pool) -> None:
    await pool.execute("update lease set until = clock_timestamp()")


class Distant:
    """A pool whose connections take a while to come."""

    def __init__(self, pool: Pool, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        await asyncio.sleep(self._seconds)
        async with self._pool.acquire() as connection:
            yield connection


async def test_at_most_one_holds_the_lease_and_each_epoch_is_higher_than_the_one_before(pool: Pool):
    source = Random(2)
    held: list[Any] = []

    async def contend() -> None:
        lease = Lease(pool, "planner", 0.05)
        while len(held) < 40:
            if not await lease.acquire():
                await asyncio.sleep(source.random() / 100)
                continue
            async with pool.acquire() as connection:
                # the check locks the lease until the end of the transaction, whatever becomes of its time
                try:
                    async with connection.transaction():
                        await lease.check(connection)
                        held.append(
                            await connection.fetchrow(
                                "select $1::bigint as epoch, clock_timestamp() as since, pg_sleep($2),"
                                " clock_timestamp() as until",
                                lease.epoch,
                                source.choice((0, 0.01, 0.08)),
                            )
                        )
                except LeaseLost:
                    continue
            if source.random() < 0.5:
                await lease.release()

    await asyncio.gather(*(contend() for _ in range(6)))
    held.sort(key=lambda row: row["since"])
    assert all(one["epoch"] < two["epoch"] and one["until"] <= two["since"] for one, two in pairwise(held))
    holder, next_one = Lease(pool, "planner", 30), Lease(pool, "planner", 30)
    await until(holder.acquire)
    assert not await next_one.acquire(), "whether it checks or not"


async def test_a_holder_counts_its_time_from_before_it_asked(pool: Pool):
    lease = Lease(Distant(pool, 0.2), "planner", 0.6)  # type: ignore[arg-type]
    for ask in (lease.acquire, lease.renew):
        await ask()
        assert lease.held
        await until(lambda: not lease.held, every=0.001)
        assert await pool.fetchval("select until > clock_timestamp() from lease"), "the database's time is not over"


async def test_what_a_holder_writes_after_it_was_deposed_is_refused(pool: Pool):
    frozen, next_one = Lease(pool, "planner", 30), Lease(pool, "planner", 30)
    await frozen.acquire()
    await expire(pool)
    assert await next_one.acquire()
    assert frozen.held, "it does not know"
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(LeaseLost):
            await frozen.check(connection)
    assert not frozen.held
    async with pool.acquire() as connection, connection.transaction():
        await next_one.check(connection)


async def test_a_holder_that_leads_again_is_not_taken_for_its_former_self(pool: Pool):
    lease = Lease(pool, "planner", 30)
    await lease.acquire()
    former = Lease(pool, "planner", 30)
    former.holder, former.epoch = lease.holder, lease.epoch
    await expire(pool)
    assert await lease.acquire()
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(LeaseLost):
            await former.check(connection)
    with pytest.raises(LeaseLost):
        await former.renew()


async def test_a_holder_from_before_the_row_was_lost_is_refused_though_the_epochs_begin_anew(pool: Pool):
    """A database that was restored may know nothing of the lease."""
    former, next_one = Lease(pool, "planner", 30), Lease(pool, "planner", 30)
    await former.acquire()
    await pool.execute("delete from lease")
    await next_one.acquire()
    assert former.epoch == next_one.epoch
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(LeaseLost):
            await former.check(connection)
    with pytest.raises(LeaseLost):
        await former.renew()


async def test_a_holder_that_begins_anew_refuses_what_it_wrote_before(pool: Pool):
    lease = Lease(pool, "planner", 30)
    await lease.acquire()
    former = Lease(pool, "planner", 30)
    former.holder, former.epoch = lease.holder, lease.epoch
    await lease.begin_anew()
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(LeaseLost):
            await former.check(connection)
        await lease.check(connection)
    await expire(pool)
    with pytest.raises(LeaseLost):
        await lease.begin_anew()


async def test_the_lease_cannot_pass_on_while_a_transaction_that_checked_it_is_open(pool: Pool):
    holder, next_one = Lease(pool, "planner", 30), Lease(pool, "planner", 30)
    await holder.acquire()
    async with pool.acquire() as connection:
        async with connection.transaction():
            await holder.check(connection)
            taking = asyncio.create_task(expire(pool))
            await until(_somebody_waits(pool))
            assert await connection.fetchval("select until > clock_timestamp() from lease")
        await taking
    assert await next_one.acquire()


def _somebody_waits(pool: Pool):
    async def waits() -> bool:
        return await pool.fetchval("select count(*) > 0 from pg_locks where not granted")

    return waits


async def test_a_lease_ends_by_the_databases_clock_even_inside_an_old_transaction(pool: Pool):
    lease = Lease(pool, "planner", 0.3)
    async with pool.acquire() as connection, connection.transaction():
        await connection.fetchval("select now()")
        await lease.acquire()
        await connection.execute("select pg_sleep(0.35)")
        with pytest.raises(LeaseLost):
            await lease.check(connection)


async def test_a_lease_that_was_over_is_not_renewed_even_if_nobody_took_it(pool: Pool):
    lease = Lease(pool, "planner", 30)
    await lease.acquire()
    await expire(pool)
    with pytest.raises(LeaseLost):
        await lease.renew()
    assert not lease.held


async def test_a_lease_is_kept_for_as_long_as_it_is_renewed(pool: Pool):
    lease, other = Lease(pool, "planner", 0.6), Lease(pool, "planner", 0.6)
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    try:
        deadline = asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < deadline:
            assert not await other.acquire()
            assert lease.held
            await asyncio.sleep(0.05)
        assert lease.epoch == 1
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_database_that_is_away_for_a_moment_does_not_cost_the_lease_and_for_longer_does(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
):
    lease = Lease(pool, "planner", 0.9)
    await lease.acquire()
    renew, failures = lease.renew, 0

    async def away() -> None:
        nonlocal failures
        failures += 1
        if failures == 1 or failures > 3:
            raise ConnectionRefusedError
        await renew()

    monkeypatch.setattr(lease, "renew", away)
    with pytest.raises(LeaseLost):
        await lease.keep()
    assert failures > 4, "it was tried again"
    assert not lease.held


async def test_a_lease_that_is_given_back_is_free_at_once(pool: Pool):
    lease, other = Lease(pool, "planner", 30), Lease(pool, "planner", 30)
    await lease.acquire()
    assert not await other.acquire()
    await lease.release()
    assert not lease.held
    assert await other.acquire()
    await lease.release()
    async with pool.acquire() as connection, connection.transaction():
        await other.check(connection)
