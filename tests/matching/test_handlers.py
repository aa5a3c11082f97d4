"""What matching does with what it hears: happy, refused, duplicate and out of order, on a real database."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted
from sojourn_contracts.match import MatchDeclined, MatchProposed
from uuid_utils.compat import uuid7

from tests.chassis_driver import Driver
from tests.matching.conftest import Starting, empty
from tests.matching.endings import agreed, cancelled, completed, declined
from tests.matching.market import NOON, host, named, placement, sender, updated

ROUNDS = 15


async def proposals(driver: Driver) -> list[MatchProposed]:
    return [event for event in await driver.emitted() if isinstance(event, MatchProposed)]


async def state_of(driver: Driver, match_id: UUID) -> str:
    [row] = await driver.rows("select state from matches where match_id = $1", match_id)
    return row["state"]


async def live(driver: Driver) -> int:
    [row] = await driver.rows("select count(*) as live from matches where live")
    return row["live"]


async def matched(driver: Driver, *events: CompanyRegistered) -> MatchProposed:
    """Those companies' one proposal."""
    await driver.handle(*(events or (sender(), host())))
    await driver.run_due()
    [proposal] = await proposals(driver)
    return proposal


async def test_two_companies_that_fit_get_one_proposal_whoever_comes_first(matching: Driver):
    await matching.handle(host())
    await matching.run_due()
    assert await proposals(matching) == []
    await matching.handle(sender())
    await matching.run_due()
    [proposal] = await proposals(matching)
    assert (proposal.sender_id, proposal.host_id) == (named("sender"), named("host"))
    assert proposal.expires_at == NOON.replace(hour=0) + timedelta(days=15)
    assert await state_of(matching, proposal.match_id) == "proposed"


async def test_companies_that_do_not_fit_get_none(matching: Driver):
    await matching.handle(sender(destinations=("FR",)), host())
    await matching.run_due()
    assert await proposals(matching) == []


async def test_the_best_host_is_proposed_first(matching: Driver):
    better = host("better host", skills_taught=("trade-fairs", "product-design"))
    proposal = await matched(matching, host("host"), better, sender())
    assert proposal.host_id == named("better host")


async def test_what_does_not_find_room_waits_for_a_new_offer(matching: Driver):
    await matched(matching, host(), sender(), sender("late sender"))
    assert await live(matching) == 1
    await matching.handle(host("new host", country="FR"))
    await matching.run_due()
    assert await live(matching) == 2


async def test_a_repeated_registration_proposes_nothing_twice(matching: Driver):
    await matched(matching)
    await matching.handle(sender(), host())
    await matching.run_due()
    assert len(await proposals(matching)) == 1


async def test_an_update_replaces_what_a_company_sends_and_hosts(matching: Driver):
    await matching.handle(sender(), host(country="IT"))
    await matching.run_due()
    await matching.handle(updated(sender(), 2, placements=(placement("other", destinations=("IT",)),)))
    await matching.run_due()
    [proposal] = await proposals(matching)
    assert proposal.placement_id == named("other")
    assert [row["placement_id"] for row in await matching.rows("select placement_id from placements")] == [
        named("other")
    ]


async def test_an_older_state_that_comes_late_changes_nothing(matching: Driver):
    await matching.handle(host(), updated(sender(), 2, placements=()), sender())
    await matching.run_due()
    assert await proposals(matching) == []
    [row] = await matching.rows("select revision, kind from companies where company_id = $1", named("sender"))
    assert (row["revision"], row["kind"]) == (2, "CompanyUpdated")


async def test_an_update_that_drops_a_placement_leaves_its_slot_held(matching: Driver):
    proposal = await matched(matching)
    await matching.handle(updated(sender(), 2, placements=()), sender("waiting sender"))
    await matching.run_due()
    assert await state_of(matching, proposal.match_id) == "proposed"
    assert len(await proposals(matching)) == 1


async def test_less_capacity_than_is_held_frees_nothing_and_gives_nothing_more(matching: Driver):
    await matching.handle(host(capacity=2), sender("one"), sender("two"), sender("three"))
    await matching.run_due()
    await matching.handle(updated(host(capacity=1), 2))
    await matching.run_due()
    first, second = await proposals(matching)
    await matching.handle(declined(first))
    await matching.run_due()
    assert await live(matching) == 1
    await matching.handle(declined(second))
    await matching.run_due()
    assert await live(matching) == 1
    assert (await proposals(matching))[-1].sender_id == named("three")


async def test_a_company_that_left_is_proposed_to_nobody_and_does_not_come_back(matching: Driver):
    gone = CompanyWithdrawn(company_id=named("sender"), revision=2, reason="left")
    await matching.handle(gone, sender(), updated(sender(), 3), host())
    await matching.run_due()
    assert await proposals(matching) == []


async def test_a_company_that_leaves_keeps_its_slots_until_exchange_lets_go(matching: Driver):
    proposal = await matched(matching)
    await matching.handle(CompanyWithdrawn(company_id=named("sender"), revision=2, reason="left"))
    await matching.run_due()
    assert await live(matching) == 1
    await matching.handle(declined(proposal, reason="withdrawn"), sender("next sender"))
    await matching.run_due()
    assert (await proposals(matching))[-1].sender_id == named("next sender")


@pytest.mark.parametrize("ending", [declined, cancelled])
async def test_an_end_frees_the_slot_and_the_two_are_not_matched_again(matching: Driver, ending: Any):
    proposal = await matched(matching)
    await matching.handle(host("other host", country="FR"))
    await matching.run_due()
    await matching.handle(ending(proposal))
    await matching.run_due()
    [_, second] = await proposals(matching)
    assert second.placement_id == proposal.placement_id
    assert second.host_id == named("other host")
    assert await live(matching) == 1


@pytest.mark.parametrize("ticks", [0, 24])
@pytest.mark.parametrize("batching_from", [8_000, 0])
@pytest.mark.parametrize("ending", [declined, cancelled])
async def test_who_came_to_nothing_are_matched_again_once_the_offer_says_something_else(
    starting: Starting, ending: Any, ticks: int, batching_from: int
):
    matching = await starting(planner_tick_hours=ticks, batching_from=batching_from, hold_days=0)
    await matching.handle(sender(), host())
    await a_day_later(matching, 1)
    [proposal] = await proposals(matching)
    await matching.handle(ending(proposal))
    for revision, changed in enumerate(({}, {"capacity": 5}), start=2):
        await matching.handle(updated(host(**changed), revision), updated(sender(min_days=13 + revision), revision))
        await a_day_later(matching, revision)
        assert await proposals(matching) == [proposal]
    await matching.handle(updated(host(), 4, offers=()), updated(host(skills_taught=("product-design",)), 5))
    await a_day_later(matching, 4)
    [_, second] = await proposals(matching)
    assert (second.placement_id, second.offer_id) == (proposal.placement_id, proposal.offer_id)
    assert second.match_id != proposal.match_id
    await matching.handle(ending(second), updated(host(skills_taught=("product-design",)), 6))
    await a_day_later(matching, 5)
    assert len(await proposals(matching)) == 2


async def a_day_later(driver: Driver, days: int) -> None:
    """With the searches of the tick, and the plan that goes by them."""
    for hours in (0, 12.5, 12.75):
        await driver.run_due(NOON + timedelta(days=days, hours=hours))


async def test_a_completed_stay_frees_the_place_and_fulfils_the_placement(matching: Driver):
    proposal = await matched(matching)
    await matching.handle(completed(proposal), host("other host", country="FR"), sender("next sender"))
    await matching.run_due()
    [_, *later] = await proposals(matching)
    assert {event.sender_id for event in later} == {named("next sender")}
    assert await state_of(matching, proposal.match_id) == "completed"


async def test_an_agreed_match_keeps_its_slot(matching: Driver):
    proposal = await matched(matching)
    await matching.handle(agreed(proposal), sender("next sender"))
    await matching.run_due()
    assert await state_of(matching, proposal.match_id) == "agreed"
    assert len(await proposals(matching)) == 1


async def test_an_agreement_that_another_one_follows_keeps_its_slot_in_whatever_order_they_come(matching: Driver):
    proposal = await matched(matching)
    await matching.handle(agreed(proposal, 9), agreed(proposal, 6), sender("next sender"))
    await matching.run_due()
    assert await state_of(matching, proposal.match_id) == "agreed"
    assert len(await proposals(matching)) == 1
    await matching.handle(completed(proposal, 12), agreed(proposal, 10))
    assert await state_of(matching, proposal.match_id) == "completed"


async def test_an_end_that_overtakes_the_agreement_stays_an_end(matching: Driver):
    proposal = await matched(matching)
    await matching.handle(cancelled(proposal), agreed(proposal), cancelled(proposal))
    assert await state_of(matching, proposal.match_id) == "cancelled"


async def test_an_end_of_a_match_that_was_lost_is_remembered(matching: Driver):
    """After a restore exchange may know of a match that matching does not."""
    proposal = await matched(matching)
    await matching.rows("delete from matches")
    await matching.handle(declined(proposal))
    await matching.run_due()
    assert len(await proposals(matching)) == 1
    assert await state_of(matching, proposal.match_id) == "declined"


async def test_an_agreed_match_that_was_lost_holds_its_slot_again(matching: Driver):
    proposal = await matched(matching)
    await matching.rows("delete from matches")
    await matching.handle(agreed(proposal), sender("next sender"))
    await matching.run_due()
    assert len(await proposals(matching)) == 1
    assert await live(matching) == 1


async def test_what_exchange_tells_after_a_restore_is_taken_in_even_if_a_placement_then_has_two(matching: Driver):
    lost = await matched(matching)
    await matching.rows("delete from matches")
    await matching.handle(host("other host", country="FR", skills_taught=("trade-fairs", "product-design")))
    await matching.run_due()
    await matching.handle(agreed(lost))
    assert await live(matching) == 2


@pytest.mark.parametrize("topic", [CompanyRegistered, CompanyUpdated, CompanyWithdrawn])
async def test_of_an_erased_company_only_the_bare_id_stays(matching: Driver, topic: Any):
    proposal = await matched(matching)
    await matching.erase(topic, named("sender"))
    await matching.handle(sender(), updated(sender(), 5))
    [row] = await matching.rows(
        "select revision, kind, payload, withdrawn from companies where company_id = $1", named("sender")
    )
    assert tuple(row) == (0, None, None, True)
    assert await matching.rows("select placement_id from placements") == []
    [match] = await matching.rows(
        "select state, sender_id, proposal from matches where match_id = $1", proposal.match_id
    )
    assert tuple(match) == ("erased", None, None)
    [tombstone] = await matching.rows("select topic, subject from outbox where data is null")
    assert tuple(tombstone) == ("MatchProposed", proposal.match_id)


@pytest.mark.parametrize("topic", [MatchDeclined, ExchangeAgreed, ExchangeCancelled, ExchangeCompleted])
async def test_an_erased_match_has_ended_and_only_its_bare_id_stays(matching: Driver, topic: Any):
    proposal = await matched(matching)
    await matching.erase(topic, proposal.match_id)
    await matching.handle(agreed(proposal))
    [row] = await matching.rows(
        "select state, made_here, revision, placement_id, offer_id, sender_id, host_id, proposed_at, proposal, kind,"
        " payload from matches where match_id = $1",
        proposal.match_id,
    )
    assert row["state"] == "erased"
    assert not any(tuple(row)[1:])


async def test_nobody_is_matched_under_an_erased_id(matching: Driver):
    proposal = await matched(matching)
    await matching.erase(MatchDeclined, proposal.match_id)
    await matching.run_due()
    [_, second] = await proposals(matching)
    assert (second.placement_id, second.offer_id) == (proposal.placement_id, proposal.offer_id)
    assert second.match_id != proposal.match_id


async def test_with_planner_ticks_companies_wait_for_the_next_one(starting: Starting):
    driver = await starting(planner_tick_hours=24, proposal_days=7)
    await driver.handle(sender(), host())
    await driver.run_due()
    assert await proposals(driver) == []
    tick = NOON.replace(hour=0, minute=30) + timedelta(days=1)
    await driver.run_due(tick - timedelta(seconds=1))
    assert await proposals(driver) == []
    await driver.run_due(tick)
    [proposal] = await proposals(driver)
    assert proposal.expires_at == tick.replace(minute=0) + timedelta(days=8)


async def test_the_same_companies_in_another_order_get_the_same_proposals_at_a_tick(starting: Starting):
    companies = [*(sender(f"sender {n}") for n in range(6)), *(host(f"host {n}", capacity=2) for n in range(2))]
    driver = await starting(planner_tick_hours=24)
    rounds: list[list[MatchProposed]] = []
    for order in (companies, companies[::-1]):
        await driver.handle(*order)
        await driver.run_due(driver.clock.now() + timedelta(days=1))
        rounds.append(await proposals(driver))
        await empty(driver)
        driver.clock.now_is(NOON)
    assert rounds[0] == rounds[1]
    assert len(rounds[0]) == 4


async def test_a_company_keeps_fields_that_this_version_does_not_know(matching: Driver):
    known_later = sender().model_copy(update={"carbon": 7})
    await matching.handle(known_later)
    [row] = await matching.rows("select payload->>'carbon' as carbon from companies")
    assert row["carbon"] == "7"


async def test_a_skill_that_the_taxonomy_does_not_know_is_counted_and_the_rest_is_matched(matching: Driver):
    later = sender(skills_sought=("trade-fairs", "mind-reading"), skills_brought=("mind-reading",))
    await matching.handle(later, host(skills_taught=("trade-fairs", "mind-reading"), skills_needed=()))
    await matching.run_due()
    [proposal] = await proposals(matching)
    assert proposal.explanation.traveller_learns == ("trade-fairs",)
    counted = matching.process.metrics.registry.get_sample_value(
        "sojourn_unknown_skills_total", {"service": "matching"}
    )
    assert counted == 3
    kept = await matching.rows("select from companies where payload::text like '%mind-reading%'")
    assert len(kept) == 2


async def test_batches_that_tell_of_the_same_matches_in_different_orders_never_wait_for_each_other(matching: Driver):
    """Both at once, again and again, as two processes have them; PostgreSQL would end a deadlock after a second."""
    proposal = await matched(matching)
    for _ in range(ROUNDS):
        told = [proposal.model_copy(update={"match_id": uuid7()}) for _ in range(6)]
        async with asyncio.TaskGroup() as both:
            both.create_task(matching.handle_together(*map(agreed, told)))
            both.create_task(matching.handle_together(*map(cancelled, reversed(told))))
    [row] = await matching.rows("select count(*) as cancelled from matches where state = 'cancelled'")
    assert row["cancelled"] == 6 * ROUNDS
