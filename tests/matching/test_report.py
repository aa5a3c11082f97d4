"""What operators see of the market's health."""

import time
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from chassis.identity import Role
from sojourn_contracts.company import CompanyWithdrawn
from sojourn_contracts.match import MatchProposed
from uuid_utils.compat import uuid7

from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Driver
from tests.matching.conftest import Starting
from tests.matching.endings import declined
from tests.matching.market import company, host, named, offer, placement, sender, updated


async def report(driver: Driver) -> dict[str, Any]:
    answer = await driver.http.get("/market/report", headers=driver.token(Role.OPERATOR))
    assert answer.status_code == 200
    return answer.json()


async def test_an_empty_market_has_an_empty_report(matching: Driver):
    assert await report(matching) == {
        "hosts": [],
        "median_days_waited": None,
        "p90_days_waited": None,
        "sampled": 0,
        "reasons": {},
    }


async def test_open_placements_are_counted_with_their_hosts_by_country_and_section(matching: Driver):
    two = company("two", "DE", placement("first"), placement("second"), sector="63")
    await matching.handle(sender("abroad", country="PT", sector="01", destinations=("MT",)), two)
    await matching.handle(host("full", capacity=0), company("hosts", "ES", offer("one"), offer("other")))
    await matching.handle(sender("matched", sector="62"))
    await matching.run_due()
    taken = len(await matching.emitted())
    shown = await report(matching)
    assert taken == 2
    [german] = [each for each in shown["hosts"] if each["country"] == "DE"]
    assert (german["section"], german["placements"]) == ("K", 1)
    [portuguese] = [each for each in shown["hosts"] if each["country"] == "PT"]
    assert portuguese == {
        "country": "PT",
        "section": "A",
        "placements": 1,
        "without_hosts": 1,
        "hosts_per_placement": 0.0,
    }


async def test_who_waits_is_told_by_programme_days_and_a_change_does_not_begin_anew(matching: Driver):
    for day in range(10):
        matching.clock.now_is(NOON + timedelta(days=day))
        await matching.handle(sender(f"sender {day}", destinations=("MT",)))
    matching.clock.now_is(NOON + timedelta(days=10))
    await matching.handle(updated(sender("sender 0", destinations=("CY",)), 2))
    shown = await report(matching)
    assert (shown["median_days_waited"], shown["p90_days_waited"]) == (5, 9)


async def test_what_stands_in_the_way_of_those_without_hosts_is_counted(matching: Driver):
    await matching.handle(
        sender("one", destinations=("MT",)), sender("two", languages=()), host(), host("at home", "DE")
    )
    await matching.run_due()
    shown = await report(matching)
    assert shown["sampled"] == 2
    assert shown["reasons"] == {"same_country": 2, "destination": 1, "language": 1}


async def test_a_placement_whose_match_came_to_nothing_waits_again(matching: Driver):
    await matching.handle(sender(), host())
    await matching.run_due()
    [proposal] = await matching.emitted()
    assert isinstance(proposal, MatchProposed)
    assert (await report(matching))["hosts"] == []
    await matching.handle(declined(proposal))
    await matching.run_due()
    assert (await report(matching))["reasons"] == {"met": 1}


@pytest.mark.parametrize("role", [Role.COMPANY, Role.ANALYST])
async def test_only_operators_see_it(matching: Driver, role: Role):
    answer = await matching.http.get("/market/report", headers=matching.token(role, sender().company_id))
    assert answer.status_code == 403


async def test_the_same_stands_among_the_metrics_and_goes_with_the_placements(
    matching: Driver, monkeypatch: pytest.MonkeyPatch
):
    def shown(text: str, name: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith(f"sojourn_{name}{{")]

    await matching.handle(sender("abroad", country="PT", sector="01", destinations=("MT",)))
    await matching.run_due()
    before = (await matching.http.get("/metrics")).text
    assert shown(before, "without_hosts") == ['sojourn_without_hosts{country="PT",section="A",service="matching"} 1.0']
    assert len(shown(before, "open_placements")) == len(shown(before, "hosts_per_placement")) == 1
    await matching.handle(CompanyWithdrawn(company_id=named("abroad"), revision=2, reason="left"))
    assert shown((await matching.http.get("/metrics")).text, "without_hosts") != [], "it is counted once a minute"
    monkeypatch.setattr(matching.process, "_counts_again_at", 0)

    async def gone() -> bool:
        return shown((await matching.http.get("/metrics")).text, "without_hosts") == []

    await until(gone)


async def test_how_old_the_index_is_is_told_while_postgresql_answers_nothing(matching: Driver):
    before = await told(matching, "index_age_seconds")
    async with AsyncExitStack() as stack:
        for _ in range(matching.process.pool.get_max_size()):
            await stack.enter_async_context(matching.process.pool.acquire())
        assert await told(matching, "index_age_seconds") > before + 1


async def told(driver: Driver, name: str) -> float:
    [line] = [
        line
        for line in (await driver.http.get("/metrics")).text.splitlines()
        if line.startswith(f'sojourn_{name}{{service="matching"')
    ]
    return float(line.rsplit(" ", 1)[1])


async def test_how_long_a_proposal_took_counts_from_the_event_that_led_to_it(matching: Driver):
    minute_old = UUID(int=(uuid7().int & ~(0xFFFFFFFFFFFF << 80)) | (int((time.time() - 60) * 1000) << 80))
    await matching.handle(host())
    await matching.run_due()
    await matching.handle(sender(), event_id=minute_old)
    await matching.run_due()
    assert len(await matching.emitted()) == 1
    assert await told(matching, "proposal_seconds_count") == 1
    assert 60 <= await told(matching, "proposal_seconds_sum") < 120


async def test_a_planner_is_silent_from_a_tick_after_the_market_first_waited_for_it_until_it_has_planned(
    starting: Starting,
):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    assert await told(driver, "planner_silent_seconds") == 0
    await driver.handle(sender(), host())
    await driver.run_due()
    driver.clock.now_is(NOON + timedelta(days=1, minutes=15))
    assert await told(driver, "planner_silent_seconds") == 0
    await driver.handle(sender("another"))
    driver.clock.now_is(NOON + timedelta(days=1, minutes=25))
    assert await told(driver, "planner_silent_seconds") == 600, "whoever else waits meanwhile"
    await driver.run_due()
    await driver.run_due(NOON + timedelta(days=2))
    assert await told(driver, "planner_silent_seconds") == 0


async def test_an_index_that_does_not_follow_grows_old(matching: Driver):
    async def is_young() -> bool:
        return await told(matching, "index_age_seconds") < 1.5

    async def is_old() -> bool:
        return await told(matching, "index_age_seconds") > 2

    await until(is_young)
    await matching.handle(sender())
    await matching.run_due()
    assert await told(matching, "index_ends") == 1
    replica = matching.process.prepared
    async with replica._one_at_a_time:
        await until(is_old)
    await until(is_young)
