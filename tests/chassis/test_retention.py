"""What is forgotten after a while, by due work, and what is not."""

from typing import Any

import pytest
from chassis.due import begin, begin_when_possible
from chassis.transaction import RETENTION

from chassis import due, retention
from tests.chassis.given import a_service
from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    return await driving(a_service(), retention_days=30, dead_letter_days=90)


async def aged(driver: Driver) -> None:
    """Five of each that are just older than the limit, and three that are just younger."""
    for minutes, count in ((1, 5), (-60, 3)):
        await driver.rows(
            "insert into inbox (event_id, handled_at) select gen_random_uuid(),"
            " now() - interval '30 days' - $1 * interval '1 minute' from generate_series(1, $2)",
            minutes,
            count,
        )
        await driver.rows(
            "insert into answer (scope, key, digest, made_at) select 'one', gen_random_uuid(), '',"
            " now() - interval '30 days' - $1 * interval '1 minute' from generate_series(1, $2)",
            minutes,
            count,
        )
        await driver.rows(
            "insert into dead_letter (id, topic, partition, record_offset, recorded_at, headers, event_id, cause, detail,"
            " dead_at) select gen_random_uuid(), 'x', 0, 0, now(), '[]', gen_random_uuid(), 'x', 'x',"
            " now() - interval '90 days' - $1 * interval '1 minute' from generate_series(1, $2)",
            minutes,
            count,
        )


async def kept(driver: Driver) -> list[int]:
    [row] = await driver.rows(
        "select (select count(*) from inbox), (select count(*) from answer), (select count(*) from dead_letter)"
    )
    return list(row.values())


@pytest.mark.parametrize("chunk", [2, 5, 1_000])
async def test_what_is_old_is_forgotten_however_much_it_is_and_what_is_younger_is_kept(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, chunk: int
):
    monkeypatch.setattr(retention, "CHUNK", chunk)
    await aged(driver)
    async with driver.process.pool.acquire() as connection:
        await begin(connection, RETENTION)
        await begin(connection, RETENTION)
    await driver.run_due()
    assert await kept(driver) == [3, 3, 3]


async def test_a_look_plans_the_next_one_a_day_later_by_the_wall_clock_and_no_replay_waits_for_it(driver: Driver):
    async with driver.process.pool.acquire() as connection:
        await begin(connection, RETENTION)
        assert (await due.figures(connection, NOON))["ready"] == 0
    await driver.run_due()
    [planned] = await driver.rows("select not_before - now() as ahead from due where kind = 'retention'")
    assert 23.9 * 3600 < planned["ahead"].total_seconds() < 24.1 * 3600
    async with driver.process.pool.acquire() as connection:
        figures: dict[str, Any] = await due.figures(connection, NOON)
    assert (figures["ready"], figures["backing_off"], figures["next_at"]) == (0, 0, None)


async def test_the_first_look_is_planned_once_postgresql_is_there(driver: Driver):
    tried = 0

    class Troubled:
        """The pool, once it answers."""

        def acquire(self) -> Any:
            nonlocal tried
            tried += 1
            if tried < 3:
                raise ConnectionRefusedError
            return driver.process.pool.acquire()

    pool: Any = Troubled()
    await begin_when_possible(pool, [RETENTION])
    assert tried == 3
    assert len(await driver.rows("select id from due where kind = 'retention'")) == 1
