"""Errands: due work that talks to the outside, which may hear of it more than once; what comes of it is stored once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from chassis.doors import Errand, OnDue, Work
from chassis.transaction import Cause, Transaction
from uuid_utils.compat import uuid7

from chassis import due
from tests.chassis.given import a_service, declined
from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving


class Boom(Exception):
    pass


class Outside:
    """What an errand talks to: it notes each call's attempt, and answers what it is told to."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.answers: list[Any] = []
        self.held: dict[int, asyncio.Event] = {}
        self.outcome_fails: Exception | None = None

    def service(self) -> Any:
        return a_service(Errand("send", self.call, self.outcome))

    async def call(self, work: Work) -> str:
        self.calls.append(attempt := len(self.calls) + 1)
        if attempt in self.held:
            await self.held[attempt].wait()
        answer = self.answers.pop(0) if self.answers else "sent"
        if isinstance(answer, Exception):
            raise answer
        return f"{answer} {attempt}"

    async def outcome(self, work: Work, result: str, tx: Transaction) -> None:
        await tx.connection.execute("insert into effect (subject, note) values ($1, $2)", UUID(work.subject), result)
        tx.emit(declined(UUID(work.subject)))
        if self.outcome_fails:
            raise self.outcome_fails


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
async def driver(driving: Driving, outside: Outside) -> Driver:
    driver = await driving(outside.service())
    async with driver.process.open_transaction(Cause("c-1")) as tx:
        tx.schedule("send", uuid7(), NOON)
    return driver


async def stored(driver: Driver) -> list[str]:
    return [row["note"] for row in await driver.rows("select note from effect order by place")]


async def the_work(driver: Driver) -> Any:
    rows = await driver.rows("select *, claimed_until > clock_timestamp() as claimed from due")
    return rows[0] if rows else None


async def test_an_outcome_is_stored_once_with_what_it_emits(driver: Driver, outside: Outside):
    await driver.run_due()
    assert (outside.calls, await stored(driver), await the_work(driver)) == ([1], ["sent 1"], None)
    assert [row["correlation_id"] for row in await driver.rows("select correlation_id from outbox")] == ["c-1"]
    await driver.run_due(NOON + timedelta(days=1))
    assert outside.calls == [1]


async def test_an_errand_holds_no_transaction_while_it_talks_and_only_its_latest_attempts_outcome_is_stored(
    driver: Driver, outside: Outside
):
    outside.held = {1: asyncio.Event(), 2: asyncio.Event()}
    first = asyncio.create_task(driver.process.due.round())
    await until(lambda: outside.calls == [1])
    open_ones = await driver.rows(
        "select query from pg_stat_activity where datname = current_database() and xact_start is not null"
        " and pid <> pg_backend_pid()"
    )
    assert open_ones == []
    assert ((await the_work(driver))["attempts"], (await the_work(driver))["claimed"]) == (1, True)
    await driver.process.due.round()
    assert outside.calls == [1], "it is claimed"

    await claim_is_over(driver)
    second = asyncio.create_task(driver.process.due.round())
    await until(lambda: outside.calls == [1, 2])
    outside.held[1].set()
    await first
    assert await stored(driver) == [], "the first attempt is late"
    outside.held[2].set()
    await second
    assert await stored(driver) == ["sent 2"]
    assert await the_work(driver) is None


async def claim_is_over(driver: Driver) -> None:
    await driver.rows("update due set claimed_until = clock_timestamp() where claimed_until is not null")


async def test_after_a_crash_between_claim_and_outcome_it_is_called_again_once_the_claim_is_over(
    driver: Driver, outside: Outside
):
    outside.held[1] = asyncio.Event()
    crashing = asyncio.create_task(driver.process.due.round())
    await until(lambda: outside.calls == [1])
    crashing.cancel()
    await asyncio.gather(crashing, return_exceptions=True)
    await driver.run_due()
    assert outside.calls == [1], "its claim lasts"
    lasts = (await the_work(driver))["claimed_until"] - datetime.now(UTC)
    assert timedelta(seconds=due.LONGEST_CALL) < lasts <= timedelta(seconds=2 * due.LONGEST_CALL)
    await claim_is_over(driver)
    await driver.run_due()
    assert (outside.calls, await stored(driver), await the_work(driver)) == ([1, 2], ["sent 2"], None)


@pytest.mark.parametrize("late", [Boom("poison"), TimeoutError("trouble")], ids=str)
async def test_a_late_failure_of_an_old_attempt_is_dropped_like_its_outcome(
    driver: Driver, outside: Outside, late: Exception
):
    outside.held = {1: asyncio.Event(), 2: asyncio.Event()}
    first = asyncio.create_task(driver.process.due.round())
    await until(lambda: outside.calls == [1])
    await claim_is_over(driver)
    second = asyncio.create_task(driver.process.due.round())
    await until(lambda: outside.calls == [1, 2])
    outside.answers = [late]
    outside.held[1].set()
    await first
    work = await the_work(driver)
    assert (work["parked_at"], work["claimed"]) == (None, True), "as the latest attempt left it"
    outside.held[2].set()
    await second
    assert (await stored(driver), await the_work(driver)) == (["sent 2"], None)


async def test_asked_for_again_during_the_call_it_is_new_work(driver: Driver, outside: Outside):
    outside.held[1] = asyncio.Event()
    first = asyncio.create_task(driver.process.due.round())
    await until(lambda: outside.calls == [1])
    async with driver.process.open_transaction(Cause()) as tx:
        tx.schedule("send", (await the_work(driver))["subject"], NOON)
    outside.held[1].set()
    await first
    assert await stored(driver) == []
    await driver.run_due()
    assert (outside.calls, await stored(driver)) == ([1, 2], ["sent 2"])


async def test_poison_is_parked_at_once(driver: Driver, outside: Outside):
    outside.answers = [Boom("no such mailbox")]
    await driver.run_due()
    work = await the_work(driver)
    assert (work["cause"], work["claimed_until"]) == ("Boom: no such mailbox", None)
    await driver.run_due()
    assert (outside.calls, await stored(driver)) == ([1], [])


async def test_an_outcome_that_cannot_be_stored_is_parked_and_holds_up_nothing(driver: Driver, outside: Outside):
    outside.outcome_fails = Boom("no such exchange")
    await driver.run_due()
    assert (await the_work(driver))["cause"] == "Boom: no such exchange"
    assert (outside.calls, await stored(driver)) == ([1], [])


@pytest.mark.parametrize("trouble", [ConnectionRefusedError("smtp"), TimeoutError()])
async def test_trouble_backs_off_in_the_worlds_time(driver: Driver, outside: Outside, trouble: Exception):
    outside.answers = [trouble]
    before = datetime.now(UTC)
    await driver.process.due.round()
    work = await the_work(driver)
    assert (work["parked_at"], work["claimed_until"], work["attempts"]) == (None, None, 1)
    assert timedelta(seconds=0.05) <= work["not_before"] - before <= timedelta(seconds=5)
    await driver.rows("update due set not_before = clock_timestamp() + interval '1 hour'")
    await driver.run_due(NOON + timedelta(days=1))
    assert outside.calls == [1]
    assert (await driver.process.status())["due"]["backing_off"] == 1
    await driver.rows("update due set not_before = clock_timestamp()")
    await driver.run_due()
    assert (outside.calls, await stored(driver)) == ([1, 2], ["sent 2"])


async def test_a_call_that_takes_too_long_is_given_up(
    driver: Driver, outside: Outside, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(due, "LONGEST_CALL", 0.1)
    outside.held[1] = asyncio.Event()
    await driver.process.due.round()
    work = await the_work(driver)
    assert (work["attempts"], work["parked_at"], work["not_before"] is None) == (1, None, False)


async def test_an_outside_that_is_away_for_a_day_is_called_again_within_ten_minutes_of_coming_back(
    driver: Driver, outside: Outside
):
    away, pauses = timedelta(days=1), list[timedelta]()
    while sum(pauses, timedelta()) < away:
        outside.answers = [OSError("away")]
        await driver.process.due.round()
        work = await the_work(driver)
        assert work["parked_at"] is None
        pauses.append(work["not_before"] - datetime.now(UTC))
        await driver.rows("update due set not_before = null")
    assert max(pauses) <= timedelta(minutes=10)
    assert len(pauses) < 350, "it is not called all the time"
    await driver.run_due()
    assert len(await stored(driver)) == 1


async def test_trouble_that_does_not_end_is_parked_after_so_many_calls(
    driver: Driver, outside: Outside, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(due, "CALLS", 3)
    outside.answers = [OSError("away")] * due.CALLS
    for _ in range(due.CALLS):
        await driver.process.due.round()
        await driver.rows("update due set not_before = null")
    assert (await the_work(driver))["cause"] == "OSError: away"
    await driver.run_due()
    assert len(outside.calls) == due.CALLS


async def test_a_call_has_what_was_read_for_this_attempt_and_the_transaction_that_read_it_is_over(driving: Driving):
    heard: list[tuple[int, str]] = []

    async def load(work: Work, tx: Transaction) -> str:
        return await tx.connection.fetchval("select note from effect")

    async def call(work: Work) -> None:
        heard.append((work.attempts, work.loaded))
        if work.attempts == 1:
            raise OSError("away")

    async def outcome(work: Work, result: None, tx: Transaction) -> None:
        pass

    driver = await driving(a_service(Errand("send", call, outcome, load)))
    await driver.rows("insert into effect (subject, note) values ($1, 'old')", uuid7())
    async with driver.process.open_transaction(Cause()) as tx:
        tx.schedule("send", uuid7(), NOON)
    await driver.process.due.round()
    await driver.rows("update effect set note = 'new'")
    await driver.rows("update due set not_before = null")
    await driver.run_due()
    assert heard == [(1, "old"), (2, "new")]
    assert await the_work(driver) is None


async def test_calls_that_hang_hold_up_no_other_work_and_no_errand_beyond_their_places(
    driving: Driving, outside: Outside
):
    async def do(work: Work, tx: Transaction) -> None:
        await tx.connection.execute("insert into effect (subject, note) values ($1, 'done')", UUID(work.subject))

    driver = await driving(a_service(Errand("send", outside.call, outside.outcome), OnDue("do", do)))
    hanging = due.ERRANDS - 1
    outside.held = {number: asyncio.Event() for number in range(1, hanging + 1)}
    async with driver.process.open_transaction(Cause()) as tx:
        for number in range(hanging + 30):
            tx.schedule("send", uuid7(), NOON - timedelta(hours=1) + timedelta(seconds=number))
        for _ in range(30):
            tx.schedule("do", uuid7(), NOON)
    running = asyncio.create_task(driver.process.due.run())
    try:
        await until(lambda: effects(driver, 60))
        assert (await driver.process.status())["in_flight"] == hanging
    finally:
        driver.process.due.stop()
        for event in outside.held.values():
            event.set()
        await running
    assert await effects(driver, 60 + hanging), "those in hand were ended before it stopped"


async def test_no_more_errands_run_side_by_side_than_there_are_places(driving: Driving, outside: Outside):
    driver = await driving(outside.service())
    outside.held = {number: asyncio.Event() for number in range(1, 2 * due.ERRANDS)}
    async with driver.process.open_transaction(Cause()) as tx:
        for _ in range(due.ERRANDS + 5):
            tx.schedule("send", uuid7(), NOON)
    running = asyncio.create_task(driver.process.due.run())
    try:
        await until(lambda: len(outside.calls) == due.ERRANDS)
        outside.held[1].set()
        await until(lambda: effects(driver, 1))
        await until(lambda: len(outside.calls) == due.ERRANDS + 1)
        claimed = await driver.rows("select 1 from due where claimed_until is not null")
        assert len(claimed) == due.ERRANDS
    finally:
        driver.process.due.stop()
        for event in outside.held.values():
            event.set()
        await running


async def effects(driver: Driver, number: int) -> bool:
    return len(await stored(driver)) == number


async def test_a_failing_errand_does_not_hold_up_other_due_work(driving: Driving, outside: Outside):
    async def do(work: Work, tx: Transaction) -> None:
        await tx.connection.execute("insert into effect (subject, note) values ($1, 'done')", UUID(work.subject))

    driver = await driving(a_service(Errand("send", outside.call, outside.outcome), OnDue("do", do)))
    outside.answers = [OSError("away"), Boom("poison")]
    async with driver.process.open_transaction(Cause()) as tx:
        for number in range(3):
            tx.schedule("send", uuid7(), NOON - timedelta(hours=number))
        tx.schedule("do", uuid7(), NOON)
    await driver.process.due.round()
    assert sorted(await stored(driver)) == ["done", "sent 3"]
