"""What falls due for an exchange, on a real database: at its time, not before, and not when it no longer applies."""

import asyncio
from datetime import datetime, timedelta

import pytest
from chassis.transaction import Cause
from exchange import store
from exchange.state import Exchange
from sojourn_contracts.exchange import ExchangeCancelled, ExchangeUpdated, Stage
from sojourn_contracts.match import DeclineReason, MatchDeclined, MatchProposed
from sojourn_contracts.vocabulary import Side

from tests.chassis_driver import Driver
from tests.exchange import given
from tests.exchange.given import ASKS, CLOSES, EXPIRES, MATCH, NOON, STARTS, WINDOW_OVER
from tests.exchange.world import due_work, held, stage_of, stands_at

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("exchange", "at", "before", "after"),
    [
        (given.proposed(), EXPIRES, Stage.PROPOSED, Stage.EXPIRED),
        (given.accepted_by(Side.HOST), EXPIRES, Stage.PROPOSED, Stage.EXPIRED),
        (given.accepted(), WINDOW_OVER, Stage.ACCEPTED, Stage.EXPIRED),
        (given.drafted(), WINDOW_OVER, Stage.DRAFTED, Stage.EXPIRED),
        (given.in_validation(), WINDOW_OVER, Stage.IN_VALIDATION, Stage.EXPIRED),
        (given.agreed(), STARTS, Stage.AGREED, Stage.ONGOING),
        (given.ongoing(), CLOSES, Stage.ONGOING, Stage.CANCELLED),
        (given.interrupted(), CLOSES, Stage.INTERRUPTED, Stage.CANCELLED),
        (given.confirmed_by(Side.HOST), CLOSES, Stage.ONGOING, Stage.COMPLETED),
    ],
)
async def test_each_stage_ends_at_its_time_and_not_before(
    driver: Driver, exchange: Exchange, at: datetime, before: Stage, after: Stage
):
    await stands_at(driver, exchange)
    await driver.run_due(at - SECOND)
    assert await stage_of(driver) is before
    await driver.run_due(at)
    assert await stage_of(driver) is after


async def test_an_expired_exchange_tells_matching_that_the_slot_is_free(driver: Driver):
    await stands_at(driver, given.proposed())
    await driver.run_due(EXPIRES)
    (event,) = await driver.emitted()
    assert isinstance(event, MatchDeclined)
    assert (event.reason, event.declined_at) == (DeclineReason.EXPIRED, EXPIRES)
    assert await due_work(driver) == {}


async def test_a_stay_that_starts_falls_due_for_a_question_and_for_closing(driver: Driver):
    await stands_at(driver, given.agreed())
    await driver.run_due(STARTS)
    assert [type(event) for event in await driver.emitted()] == [ExchangeUpdated]
    due = await driver.rows("select kind, at from due where kind <> 'notify' order by kind")
    assert [tuple(row) for row in due] == [("ask", ASKS), ("close", CLOSES)]


async def test_half_of_the_stay_over_both_sides_are_asked_once(driver: Driver):
    await stands_at(driver, given.ongoing())
    await driver.run_due(ASKS)
    exchange = await held(driver)
    assert exchange is not None
    assert exchange.stay.asked_at == ASKS
    assert await due_work(driver) == {str(MATCH): ["close"]}
    assert [type(event) for event in await driver.emitted()] == [ExchangeUpdated]


async def test_many_that_are_due_at_once_are_brought_on_together(driver: Driver):
    matches = [given.proposal(f"match {number}") for number in range(300)]
    await driver.handle_together(*matches)
    await driver.run_due(EXPIRES)
    assert {row["stage"] for row in await driver.rows("select stage from exchange")} == {Stage.EXPIRED}
    events = await driver.emitted()
    assert {event.subject for event in events} == {match.match_id for match in matches}
    assert len(events) == len(matches)
    assert await due_work(driver) == {}


async def test_a_stay_that_nobody_looks_after_is_started_and_closed_late_but_once(driver: Driver):
    await stands_at(driver, given.agreed())
    await driver.run_due(CLOSES + timedelta(days=3))
    assert [type(event) for event in await driver.emitted()] == [ExchangeUpdated, ExchangeUpdated, ExchangeCancelled]
    assert await due_work(driver) == {}


@pytest.mark.parametrize("kind", ["expire", "start", "ask", "close"])
@pytest.mark.parametrize("stage", [stage for stage in Stage if stage.ended])
async def test_work_left_over_from_before_the_end_changes_nothing(driver: Driver, kind: str, stage: Stage):
    await stands_at(driver, given.AT[stage]())
    async with driver.process.open_transaction(Cause()) as tx:
        tx.schedule(kind, MATCH, NOON)
    await driver.run_due(CLOSES)
    assert await held(driver) == given.AT[stage]()
    assert await driver.emitted() == []
    assert await due_work(driver) == {}


@pytest.mark.parametrize("kind", ["expire", "start", "ask", "close"])
async def test_work_for_an_erased_exchange_is_over(driver: Driver, kind: str):
    await driver.erase(MatchProposed, MATCH)
    async with driver.process.open_transaction(Cause()) as tx:
        tx.schedule(kind, MATCH, NOON)
    await driver.run_due(NOON)
    assert await due_work(driver) == {}


async def test_due_work_comes_back_while_somebody_acts_on_its_exchange(driver: Driver):
    await stands_at(driver, given.proposed())
    driver.clock.now_is(EXPIRES)
    async with driver.process.open_transaction(Cause()) as tx:
        await store.locked(tx, MATCH)
        assert await driver.process.due.round() == 2, "with a reminder"
        assert await due_work(driver) == {str(MATCH): ["expire"]}
    async with asyncio.timeout(5):
        while await stage_of(driver) is not Stage.EXPIRED:
            await driver.run_due()
            await asyncio.sleep(0.02)
    assert await due_work(driver) == {}
