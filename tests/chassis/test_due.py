"""Due work: done once, at or after its time, and set aside when it cannot be."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from chassis.batch import TRIES, Halted
from chassis.doors import OnAllDue, OnDue, Work
from chassis.due import DueWork
from chassis.transaction import Cause, Transaction
from uuid_utils.compat import uuid7

from chassis import due
from tests.chassis.given import a_service, declined
from tests.chassis.killing import killing
from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving


class Boom(Exception):
    pass


async def do(work: Work, tx: Transaction) -> None:
    await tx.connection.execute("insert into effect (subject, note) values ($1, $2)", UUID(work.subject), work.kind)
    tx.emit(declined(UUID(work.subject)))


async def do_all(works: Sequence[tuple[Work, Transaction]]) -> None:
    for work, tx in works:
        await do(work, tx)


ONE, ALL = OnDue("one", do), OnAllDue("all", do_all)


async def ask(driver: Driver, kind: str, *subjects: UUID, at: datetime = NOON, **more: Any) -> None:
    async with driver.process.open_transaction(Cause()) as tx:
        for subject in subjects:
            tx.schedule(kind, subject, at, **more)


async def done(driver: Driver) -> list[UUID]:
    """The subjects in the order in which they were done; state and events tell the same."""
    effects = [row["subject"] for row in await driver.rows("select subject from effect order by place")]
    events = [row["subject"] for row in await driver.rows("select subject from outbox order by id")]
    assert sorted(effects) == sorted(events)
    return effects


async def waiting(driver: Driver) -> int:
    return (await driver.rows("select count(*) from due where parked_at is null"))[0]["count"]


async def parked(driver: Driver) -> dict[str, str]:
    rows = await driver.rows("select subject, cause from due where parked_at is not null")
    return {row["subject"]: row["cause"] for row in rows}


def ids(number: int) -> list[UUID]:
    return [uuid7() for _ in range(number)]


@asynccontextmanager
async def running(*runners: DueWork) -> AsyncGenerator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.create_task(runner.run()) for runner in runners]
    try:
        yield tasks
    finally:
        for runner in runners:
            runner.stop()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)


def another_runner(driver: Driver) -> DueWork:
    process = driver.process
    return DueWork(process.service.doors, process.pool, driver.clock, process.open_transaction, process.metrics)


async def test_due_work_is_done_once(driving: Driving):
    """Two runners, all work due at once, and each begins before the other has ended."""
    driver = await driving(a_service(ONE, ALL))
    one, all_ = ids(40), ids(40)
    await ask(driver, "one", *one)
    await ask(driver, "all", *all_)
    async with running(driver.process.due, another_runner(driver)):
        await until(lambda: none_waits(driver))
    assert sorted(await done(driver)) == sorted(one + all_)
    await driver.run_due(NOON + timedelta(days=1))
    assert len(await done(driver)) == 80


async def none_waits(driver: Driver) -> bool:
    return await waiting(driver) == 0


async def test_work_that_another_process_has_claimed_is_left_to_it(driving: Driving):
    driver = await driving(a_service(ONE))
    theirs, ours = ids(2)
    await ask(driver, "one", theirs, ours)
    async with driver.process.pool.acquire() as other, other.transaction():
        await other.execute("delete from due where subject = $1", str(theirs))
        async with asyncio.timeout(2):
            await driver.process.due.round()
        assert await done(driver) == [ours]
    await driver.run_due()
    assert await done(driver) == [ours]


async def test_work_that_was_parked_since_it_was_listed_is_left_to_the_operator(driving: Driving):
    subjects = ids(11)

    async def park_the_last(work: Work, tx: Transaction) -> None:
        """As another process does meanwhile; the first batch takes ten."""
        await do(work, tx)
        await driver.rows("update due set parked_at = clock_timestamp() where subject = $1", str(subjects[-1]))

    driver = await driving(a_service(OnDue("one", park_the_last)))
    for number, subject in enumerate(subjects):
        await ask(driver, "one", subject, at=NOON - timedelta(hours=20 - number))
    await driver.run_due()
    assert await done(driver) == subjects[:-1]
    assert list(await parked(driver)) == [str(subjects[-1])]


async def test_it_is_done_at_or_after_its_time_in_the_programme_and_not_before_in_the_world(driving: Driving):
    driver = await driving(a_service(ONE))
    now, later, tomorrow = ids(3)
    await ask(driver, "one", now)
    await ask(driver, "one", later, at=NOON + timedelta(microseconds=1))
    await ask(driver, "one", tomorrow, not_before=datetime.now(UTC) + timedelta(days=1))
    await driver.run_due()
    assert await done(driver) == [now]
    await driver.run_due(NOON + timedelta(microseconds=1))
    assert await done(driver) == [now, later]
    await driver.run_due(NOON + timedelta(days=1000))
    assert await done(driver) == [now, later], "no step of the programme's clock makes the world's time pass"
    await driver.rows("update due set not_before = clock_timestamp()")
    await driver.run_due()
    assert await done(driver) == [now, later, tomorrow]


async def test_what_is_due_first_is_done_first(driving: Driving):
    driver = await driving(a_service(ONE))
    subjects = ids(5)
    for hours in (3, 1, 4, 0, 2):
        await ask(driver, "one", subjects[hours], at=NOON - timedelta(hours=10 - hours))
    await driver.run_due()
    assert await done(driver) == subjects


@pytest.mark.parametrize("door", [OnDue, OnAllDue])
async def test_work_that_its_handler_asks_for_again_is_a_new_row(driving: Driving, door: type):
    async def again(work: Work, tx: Transaction) -> None:
        await do(work, tx)
        tx.schedule("one", work.subject, work.at + timedelta(days=1))

    async def again_all(works: Sequence[tuple[Work, Transaction]]) -> None:
        for work, tx in works:
            await again(work, tx)

    driver = await driving(a_service(OnDue("one", again) if door is OnDue else OnAllDue("one", again_all)))
    (subject,) = ids(1)
    await ask(driver, "one", subject)
    (first,) = await driver.rows("select id from due")
    await driver.run_due()
    (second,) = await driver.rows("select id, at from due")
    assert second["at"] == NOON + timedelta(days=1)
    assert second["id"] != first["id"]
    await driver.run_due(NOON + timedelta(days=3))
    assert await done(driver) == [subject] * 4


def picky(poisonous: set[str], tries: list[str]) -> OnDue:
    async def handle(work: Work, tx: Transaction) -> None:
        await do(work, tx)
        if work.subject in poisonous:
            tries.append(work.subject)
            raise Boom("no\x00t this one")

    return OnDue("one", handle)


async def test_what_fails_is_parked_with_its_cause_and_the_rest_is_done(driving: Driving):
    poisonous: set[str] = set()
    tries: list[str] = []
    driver = await driving(a_service(picky(poisonous, tries)))
    subjects = ids(9)
    poisonous.add(str(subjects[4]))
    await ask(driver, "one", *subjects)
    await driver.run_due()
    assert await done(driver) == subjects[:4] + subjects[5:]
    assert await parked(driver) == {str(subjects[4]): "Boom: no\\0t this one"}
    assert len(tries) == 1 + TRIES, "once in the batch, and then by itself"
    await driver.run_due()
    assert len(tries) == 1 + TRIES


async def test_an_operator_lists_retries_and_discards_parked_work(driving: Driving):
    poisonous: set[str] = set()
    driver = await driving(a_service(picky(poisonous, [])))
    retried, discarded, waits = ids(3)
    poisonous |= {str(retried), str(discarded)}
    await ask(driver, "one", retried, discarded)
    await ask(driver, "one", waits, at=NOON + timedelta(days=1))
    await driver.run_due()
    async with driver.process.pool.acquire() as connection:
        listed = await due.listing(connection)
        assert [row["subject"] for row in listed] == [str(retried), str(discarded), str(waits)]
        assert [row["cause"] is None for row in listed] == [False, False, True]
        work = {row["subject"]: row["id"] for row in listed}
        for unknown in (work[str(waits)], uuid7()):
            assert not await due.retry(connection, unknown)
            assert not await due.discard(connection, unknown)
        poisonous.clear()
        assert await due.retry(connection, work[str(retried)])
        assert await due.discard(connection, work[str(discarded)])
        assert not await due.discard(connection, work[str(discarded)])
    await driver.run_due()
    assert await done(driver) == [retried]
    assert await waiting(driver) == 1


async def test_after_ten_in_a_row_the_runner_halts_and_a_restart_resumes(driving: Driving):
    poisonous: set[str] = set()
    driver = await driving(a_service(picky(poisonous, [])))
    bad, good = ids(12), ids(3)
    poisonous |= {str(subject) for subject in bad}
    await ask(driver, "one", *bad)
    await ask(driver, "one", *good, at=NOON - timedelta(hours=1))
    async with running(driver.process.due) as (task,):
        await until(task.done)
    assert driver.process.due.halted
    assert (await driver.process.status())["halted"]
    assert (len(await parked(driver)), await waiting(driver)) == (10, 2)
    assert await done(driver) == good
    poisonous.clear()
    async with running(another_runner(driver)):
        await until(lambda: none_waits(driver))
    assert len(await done(driver)) == 5


async def test_a_success_in_between_begins_the_count_anew(driving: Driving):
    poisonous: set[str] = set()
    driver = await driving(a_service(picky(poisonous, [])))
    subjects = ids(20)
    poisonous |= {str(subject) for number, subject in enumerate(subjects) if number != 9}
    await ask(driver, "one", *subjects)
    with pytest.raises(Halted):
        await driver.run_due()
    assert await done(driver) == [subjects[9]]
    assert len(await parked(driver)) == 19


async def test_trouble_waits_and_parks_nothing_and_goes_on_when_it_is_over(driving: Driving):
    column = "not_there"

    async def handle(work: Work, tx: Transaction) -> None:
        await do(work, tx)
        await tx.connection.execute(f"select {column} from effect limit 1")

    driver = await driving(a_service(OnDue("one", handle)))
    subjects = ids(3)
    await ask(driver, "one", *subjects)
    failed = 'sojourn_failed_total{event="due",kind="trouble",service="exchange"} 3'
    async with running(driver.process.due):
        await until(lambda: failed in driver.process.metrics.exposition().decode())
        assert (await done(driver), await parked(driver), await waiting(driver)) == ([], {}, 3)
        column = "note"
        await until(lambda: none_waits(driver))
    assert await done(driver) == subjects
    assert not await parked(driver)


@pytest.mark.parametrize("door", [ONE, ALL])
async def test_killed_at_any_await_a_batch_is_whole_and_a_repeat_completes_it_once(driving: Driving, door: Any):
    driver = await driving(a_service(door))
    fates: set[int] = set()
    expected: list[UUID] = []
    async with killing(driver) as killer:
        for step in count(1):
            subjects = ids(3)
            await ask(driver, door.kind, *subjects)
            runner = another_runner(driver)  # its first batch takes ten, however slow the last ones were
            reached = await killer.at(step, runner.round())
            left = [subject for subject in await done(driver) if subject in subjects]
            assert len(left) in (0, 3), f"step {step}"
            assert len(left) + await waiting(driver) == 3, f"step {step}"
            fates.add(len(left))
            await driver.run_due()
            expected += subjects
            assert sorted(await done(driver)) == sorted(expected), f"step {step}"
            if not reached:
                break
    assert step >= 8
    assert fates == {0, 3}
    assert not await parked(driver)


async def test_how_late_and_how_much_is_told(driving: Driving):
    driver = await driving(a_service(ONE))
    ready, backing_off, future = ids(3)
    await ask(driver, "one", ready, at=NOON - timedelta(minutes=2))
    await ask(driver, "one", backing_off, not_before=datetime.now(UTC) + timedelta(hours=1))
    await ask(driver, "one", future, at=NOON + timedelta(days=1))
    told = (await driver.process.status())["due"]
    assert told == {"ready": 1, "next_at": NOON + timedelta(days=1), "backing_off": 1}
    async with driver.process.pool.acquire() as connection:
        assert (await due.figures(connection, NOON))["late"] == 120.0
