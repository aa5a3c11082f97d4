"""The planner at work: what it proposes of a whole market, what it holds and for how long, and what overtakes it."""

import asyncio
import time
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from chassis.transaction import Cause
from matching import planned, planner, store
from matching.planner import Edge, Reason
from matching.settings import MatchingSettings
from sojourn_contracts.company import CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.match import MatchProposed

from chassis import database
from tests.chassis_driver import Driver
from tests.matching.conftest import Starting
from tests.matching.endings import declined
from tests.matching.market import NOON, host, named, sender, updated

TICK = NOON.replace(hour=0, minute=30) + timedelta(days=1)
DAY = timedelta(days=1)

BOTH, ONE = ("trade-fairs", "product-design"), ("product-design",)


async def proposed(driver: Driver) -> set[tuple[UUID, UUID]]:
    events = [event for event in await driver.emitted() if isinstance(event, MatchProposed)]
    return {(event.placement_id, event.offer_id) for event in events}


def pair(sending: str, hosting: str) -> tuple[UUID, UUID]:
    return named(f"{sending}'s placement"), named(f"{hosting}'s offer")


async def plan_at(driver: Driver, tick: datetime) -> None:
    await driver.run_due(tick)
    await driver.run_due(planned.after_searches(tick))


async def one_that_all_want(driver: Driver) -> None:
    """The picky sender can only go to the good host, which the other one likes best as well."""
    await driver.handle(sender("picky", destinations=("FR",), skills_sought=BOTH), sender("easy", skills_sought=BOTH))
    await driver.handle(host("good", country="FR", skills_taught=BOTH), host("fair", skills_taught=ONE))


async def test_the_market_is_solved_as_a_whole_not_first_come_first_served(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0, hold_days=0)
    await one_that_all_want(driver)
    await plan_at(driver, TICK)
    assert await proposed(driver) == {pair("picky", "good"), pair("easy", "fair")}


async def test_while_planning_a_search_does_not_wait_for_the_tick_but_proposals_do(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await driver.handle(sender("only"), host("only host"))
    await driver.run_due()
    assert len(await driver.rows("select from edges")) == 2
    [plan] = await driver.rows("select at from due where kind = 'plan'")
    assert plan["at"] == planned.after_searches(TICK)
    assert await proposed(driver) == set()


async def test_below_the_size_where_it_pays_each_takes_its_best_at_the_tick(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=5)
    await one_that_all_want(driver)
    await driver.run_due(TICK)
    [(_, first), *_] = await proposed(driver) or [(None, None)]
    assert first == named("good's offer")
    assert await driver.rows("select from due where kind = 'plan'") == []


async def test_a_pair_that_is_worth_what_its_ends_can_expect_is_proposed_at_once(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await driver.handle(sender("only"), host("only host"))
    await plan_at(driver, TICK)
    assert await proposed(driver) == {pair("only", "only host")}


async def test_a_pair_is_held_for_a_better_one_until_it_has_waited_long_enough(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0, hold_days=3)
    await one_that_all_want(driver)
    held = {pair("picky", "good"), pair("easy", "fair")}
    await plan_at(driver, TICK)
    assert not await proposed(driver) & {pair("easy", "fair")}
    await plan_at(driver, TICK + DAY)
    assert not await proposed(driver) & {pair("easy", "fair")}
    await plan_at(driver, TICK + 2 * DAY)
    assert await proposed(driver) == held
    await plan_at(driver, TICK + 3 * DAY)
    assert len(await driver.emitted()) == 2, "and nothing is proposed twice"


async def test_what_was_taken_or_left_between_plan_and_proposal_is_not_proposed_and_the_sender_searches_again(
    starting: Starting,
):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await driver.handle(sender("one"), host("one host"))
    await driver.run_due(TICK)
    await driver.handle(host("other"))
    async with driver.process.open_transaction(Cause()) as tx:
        tx.schedule(
            planned.PROPOSE, named("one's placement"), tx.now, data={"offer_id": str(named("one host's offer"))}
        )
    await driver.handle(updated(host("one host", skills_taught=(), skills_needed=()), 2))
    await driver.run_due()
    assert await proposed(driver) == set()
    await plan_at(driver, TICK + DAY)
    assert await proposed(driver) == {pair("one", "other")}


async def test_an_offer_with_one_place_is_proposed_once_however_many_are_asked_for_together(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await driver.handle(*(sender(f"sender {number}") for number in range(3)), host("one host"))
    async with driver.process.open_transaction(Cause()) as tx:
        for number in range(3):
            placement_id = named(f"sender {number}'s placement")
            tx.schedule(planned.PROPOSE, placement_id, tx.now, data={"offer_id": str(named("one host's offer"))})
    await driver.run_due()
    assert len(await proposed(driver)) == 1


async def test_a_declined_pair_is_not_planned_again_and_both_find_others(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await driver.handle(sender("one"), host("one host"))
    await plan_at(driver, TICK)
    [first] = await driver.emitted()
    assert isinstance(first, MatchProposed)
    await driver.handle(declined(first), host("other"))
    await plan_at(driver, TICK + DAY)
    assert await proposed(driver) == {pair("one", "one host"), pair("one", "other")}
    assert len(await driver.emitted()) == 2


async def test_who_found_more_than_was_kept_and_has_nobody_left_of_it_searches_again(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    best = [host(f"best {number}", skills_taught=BOTH) for number in range(store.EDGES)]
    await driver.handle(*best, host("lesser", skills_taught=ONE), sender("one", skills_sought=BOTH))
    await driver.run_due(TICK)
    gone = [CompanyWithdrawn(company_id=each.company_id, revision=2, reason="left") for each in best]
    await driver.rows("delete from edges where end_id <> $1", named("one's placement"))
    await driver.handle(*gone)
    await driver.rows("delete from due where kind = 'search'")
    await driver.run_due(planned.after_searches(TICK))
    assert await proposed(driver) == set()
    await plan_at(driver, TICK + DAY)
    assert await proposed(driver) == {pair("one", "lesser")}


async def test_what_would_be_proposed_is_told_with_the_reason_and_nothing_is_changed(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await one_that_all_want(driver)
    await driver.run_due(TICK)
    before = await driver.rows("select kind, subject, at from due order by kind, subject")
    market, now, settings = await planned.asked(driver.process)
    released, held = planned.verdicts(market, now, planned.parameters(settings))
    assert isinstance(settings, MatchingSettings)
    assert {(edge.placement, edge.offer) for edge, _ in (*released, *held)} == {
        pair("picky", "good"),
        pair("easy", "fair"),
    }
    assert (named("easy's placement"), Reason.WAITING) in {(edge.placement, reason) for edge, reason in held}
    assert await driver.rows("select kind, subject, at from due order by kind, subject") == before
    assert await driver.emitted() == []


async def test_an_end_that_left_is_not_planned_with(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await driver.handle(sender(), host(), host("other"))
    await driver.run_due(TICK)
    await driver.handle(CompanyWithdrawn(company_id=named("host"), revision=2, reason="left"))
    market, *_ = await planned.asked(driver.process)
    assert {edge.offer for edge in market.edges} == {named("other's offer")}
    await driver.erase(CompanyUpdated, named("other"))
    market, *_ = await planned.asked(driver.process)
    assert market.edges == []


async def test_a_pair_that_fits_no_more_is_not_planned_again_and_again_because_the_host_once_found_it(
    starting: Starting,
):
    driver = await starting(planner_tick_hours=24, batching_from=0, hold_days=0)
    await driver.handle(sender("one", skills_sought=BOTH), host("former", skills_taught=BOTH))
    await driver.run_due(TICK)
    await driver.handle(updated(sender("one", skills_sought=BOTH, destinations=("FR",)), 2))
    await driver.handle(host("other", country="FR", skills_taught=ONE))
    await plan_at(driver, TICK + DAY)
    await plan_at(driver, TICK + 2 * DAY)
    assert await proposed(driver) == {pair("one", "other")}


async def test_a_market_that_takes_long_to_solve_is_planned_while_the_process_answers_others(
    starting: Starting, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(database.TIME_LIMITS, "idle_in_transaction_session_timeout", "200ms")
    solve, meanwhile = planner.solve, asyncio.Event()

    def slowly(edges: Collection[Edge], places: Mapping[UUID, int]) -> list[Edge]:
        time.sleep(0.5)
        loop.call_soon_threadsafe(meanwhile.set)
        time.sleep(0.1)
        assert meanwhile.is_set()
        return solve(edges, places)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(planner, "solve", slowly)
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await driver.handle(sender("only"), host("only host"))
    await plan_at(driver, TICK)
    assert await proposed(driver) == {pair("only", "only host")}
