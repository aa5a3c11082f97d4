"""What a company is shown of whom its ends fit, and why nobody does; and what becomes of its own wish for one of them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from chassis.identity import Role
from chassis.transaction import Cause
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matching import store
from matching.domain import Obstacle, obstacle
from matching.planning import parameters
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.taxonomy import starter
from sojourn_contracts.vocabulary import Window

from tests.chassis_driver import NOON, Driver
from tests.matching.conftest import Starting, empty
from tests.matching.endings import completed, declined
from tests.matching.market import SPRING, TODAY, company, host, named, sender, updated
from tests.matching.test_replica import companies

PLACEMENT, OFFER = named("sender's placement"), named("host's offer")
OF_PLACEMENT, OF_OFFER = f"/placements/{PLACEMENT}/candidates", f"/offers/{OFFER}/candidates"
LONG_AGO = Window(first=TODAY - timedelta(days=90), last=TODAY - timedelta(days=30))


async def shown(driver: Driver, path: str, owner: str | None = None) -> dict[str, Any]:
    """To a company, or to an operator."""
    token = driver.token(Role.COMPANY, named(owner)) if owner else driver.token(Role.OPERATOR)
    answer = await driver.http.get(path, headers=token)
    assert answer.status_code == 200
    return answer.json()


async def ask(driver: Driver, path: str, owner: str, **body: UUID) -> Any:
    token = driver.token(Role.COMPANY, named(owner))
    return await driver.http.post(path, json={name: str(id_) for name, id_ in body.items()}, headers=token)


async def wants_host(driver: Driver, host_name: str = "host", sender_name: str = "sender") -> Any:
    placement_id = named(f"{sender_name}'s placement")
    return await ask(
        driver, f"/placements/{placement_id}/interest", sender_name, offer_id=named(f"{host_name}'s offer")
    )


async def wants_sender(driver: Driver, sender_name: str = "sender", host_name: str = "host") -> Any:
    offer_id = named(f"{host_name}'s offer")
    return await ask(
        driver, f"/offers/{offer_id}/interest", host_name, placement_id=named(f"{sender_name}'s placement")
    )


async def proposals(driver: Driver) -> list[MatchProposed]:
    return [event for event in await driver.emitted() if isinstance(event, MatchProposed)]


async def test_a_company_sees_whom_its_placement_fits_best_first_and_why(matching: Driver):
    better = host("better", country="FR", skills_taught=("trade-fairs", "product-design"))
    await matching.handle(sender(), host(), better, host("abroad", country="IT"))
    first, second = (await shown(matching, OF_PLACEMENT, "sender"))["candidates"]
    assert [first["id"], second["id"]] == [str(named("better's offer")), str(OFFER)]
    assert first["score"] > second["score"]
    assert (first["country"], first["sector"]) == ("FR", "62")
    assert first["explanation"]["traveller_learns"] == ["product-design", "trade-fairs"]
    assert first["window"] == {"first": "2026-04-01", "last": "2026-06-30"}
    [back] = (await shown(matching, OF_OFFER, "host"))["candidates"]
    assert (back["id"], back["score"]) == (str(PLACEMENT), second["score"])


async def test_candidates_come_by_the_page(matching: Driver):
    await matching.handle(sender(), *(host(f"host {number}") for number in range(5)))
    whole = [each["id"] for each in (await shown(matching, OF_PLACEMENT))["candidates"]]
    paged, link = list[str](), f"{OF_PLACEMENT}?limit=2"
    while link:
        answer = await matching.http.get(link, headers=matching.token(Role.OPERATOR))
        paged += [each["id"] for each in answer.json()["candidates"]]
        link = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert len(whole) == 5
    assert paged == whole


@pytest.mark.parametrize(
    ("wrong", "path"), [("limit=0", "query.limit"), ("limit=101", "query.limit"), ("offset=-1", "query.offset")]
)
async def test_a_page_that_cannot_be_is_refused_by_the_name_of_its_field(matching: Driver, wrong: str, path: str):
    answer = await matching.http.get(f"{OF_PLACEMENT}?{wrong}", headers=matching.token(Role.OPERATOR))
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize("path", [OF_PLACEMENT, OF_OFFER])
async def test_candidates_of_another_company_are_not_shown_and_of_nothing_not_found(matching: Driver, path: str):
    await matching.handle(sender(), host())
    stranger = matching.token(Role.COMPANY, named("stranger"))
    assert (await matching.http.get(path, headers=stranger)).status_code == 403
    assert (await matching.http.get(path)).status_code == 401
    nothing = f"/{path.split('/')[1]}/{uuid4()}/candidates"
    assert (await matching.http.get(nothing, headers=stranger)).status_code == 404


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"window": LONG_AGO}, "window"),
        ({"window": Window(first=SPRING.first, last=SPRING.first + timedelta(days=19)), "min_days": 21}, "length"),
        ({"destinations": ("DE",)}, "destination"),
        ({"languages": ()}, "language"),
        ({"skills_sought": (), "skills_brought": ()}, "training"),
    ],
)
async def test_a_placement_that_can_fit_nobody_has_none_and_says_why(matching: Driver, changed: Any, reason: str):
    await matching.handle(sender(**changed), host())
    answer = await shown(matching, OF_PLACEMENT, "sender")
    assert (answer["candidates"], answer["reason"], answer["reasons"]) == ([], reason, {reason: 1})


async def test_an_offer_without_places_or_days_has_none_and_says_why(matching: Driver):
    await matching.handle(sender(), host(capacity=0))
    answer = await shown(matching, OF_OFFER, "host")
    assert (answer["candidates"], answer["reason"]) == ([], "capacity")
    await matching.handle(updated(host(window=LONG_AGO), 2))
    assert (await shown(matching, OF_OFFER, "host"))["reason"] == "window"


async def test_a_placement_that_left_the_market_has_none(matching: Driver):
    await matching.handle(sender(), host())
    await matching.run_due()
    await matching.handle(updated(sender(), 2, placements=()))
    assert await shown(matching, OF_PLACEMENT, "sender") == {"candidates": [], "reason": "closed", "reasons": None}


async def test_who_has_no_candidates_is_told_how_many_each_constraint_takes_away(matching: Driver):
    await matching.handle(
        sender(),
        host("at home", country="DE"),
        host("elsewhere", country="IT"),
        host("far away", country="PT"),
        host("teaches nothing", skills_taught=(), skills_needed=()),
        host("full", capacity=0),
    )
    answer = await shown(matching, OF_PLACEMENT, "sender")
    assert (answer["candidates"], answer["reason"]) == ([], None)
    assert answer["reasons"] == {"same_country": 1, "destination": 2, "training": 1, "capacity": 1}


@given(market=st.lists(companies(), min_size=2, max_size=4, unique_by=lambda each: each.company_id))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_constraints_are_counted_as_the_domain_names_them(matching: Driver, market: list[CompanyRegistered]):
    await empty(matching)
    await matching.handle_together(*market)
    await matching.run_due()
    async with matching.process.open_transaction(Cause()) as tx:
        ids = await matching.rows("select placement_id as id from placements union all select offer_id from offers")
        ends = await store.ends(tx.connection, [row["id"] for row in ids])
        placements = [end for end in ends if isinstance(end, store.OpenPlacement)]
        offers = [end for end in ends if isinstance(end, store.OpenOffer)]
        for end in ends:
            pairs = [(one, other) for one in placements for other in offers if end in (one, other)]
            found = [obstacle(one, other, parameters(TODAY, starter())) for one, other in pairs]
            counts = {each: found.count(each) for each in Obstacle if each in found}
            assert await store.obstacles(tx, end, parameters(TODAY, starter())) == counts


@pytest.mark.parametrize(("wants", "side"), [(wants_host, "sender"), (wants_sender, "host")])
async def test_a_company_proposes_a_pair_itself_once(matching: Driver, wants: Any, side: str):
    await matching.handle(sender(), host(), host("better", skills_taught=("trade-fairs", "product-design")))
    first, again = [await wants(matching) for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    [proposal] = await proposals(matching)
    assert (proposal.offer_id, proposal.initiator) == (OFFER, side)
    assert first.json() == {"state": "proposed", "match_id": str(proposal.match_id)}
    await matching.run_due()
    assert len(await proposals(matching)) == 1


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"destinations": ("FR",)}, "destination"),
        ({"languages": ()}, "language"),
        ({"window": LONG_AGO}, "window"),
        ({"skills_sought": (), "skills_brought": ()}, "training"),
    ],
)
async def test_a_pair_that_cannot_be_is_refused_by_the_name_of_the_obstacle(matching: Driver, changed: Any, rule: str):
    await matching.handle(sender(**changed), host())
    answer = await wants_host(matching)
    assert (answer.status_code, answer.json()["rule"]) == (409, rule)
    assert await matching.rows("select from interests") == []
    assert await proposals(matching) == []


async def test_who_came_to_nothing_or_took_place_is_refused_also_while_the_slot_is_taken(matching: Driver):
    await matching.handle(sender(), host(), sender("next"))
    assert (await wants_host(matching)).json()["state"] == "proposed"
    [first] = await proposals(matching)
    await matching.handle(declined(first))
    assert (await wants_host(matching, sender_name="next")).json()["state"] == "proposed"
    assert (await wants_host(matching)).json()["rule"] == "met"
    [_, second] = await proposals(matching)
    await matching.handle(completed(second), host("other"))
    assert (await wants_host(matching, "other", "next")).json()["rule"] == "taken"
    await matching.handle(updated(host(capacity=0), 2))
    assert (await wants_sender(matching)).json()["rule"] == "capacity"


async def test_a_wish_that_came_to_nothing_does_not_come_back_when_the_offer_says_something_else(matching: Driver):
    first = await _host_with_three_who_wait(matching)
    await matching.handle(declined(first))
    await matching.run_due()
    [_, second] = await proposals(matching)
    await matching.handle(declined(second), CompanyWithdrawn(company_id=named("better"), revision=2, reason="left"))
    await matching.run_due()
    await matching.handle(updated(host(min_days=15), 2))
    await matching.run_due()
    assert [each.initiator for each in await proposals(matching)] == ["matching", "sender", "matching"]


async def test_a_wish_for_what_is_not_on_the_market_names_the_field(matching: Driver):
    await matching.handle(sender())
    answer = await wants_host(matching)
    assert (answer.status_code, answer.json()["rule"]) == (422, "not_on_the_market")
    assert [error["path"] for error in answer.json()["errors"]] == ["offer_id"]
    foreign = await ask(matching, f"/placements/{PLACEMENT}/interest", "stranger", offer_id=OFFER)
    assert foreign.status_code == 403
    unknown = await ask(matching, f"/placements/{uuid4()}/interest", "sender", offer_id=OFFER)
    assert unknown.status_code == 404
    missing = await ask(matching, f"/placements/{PLACEMENT}/interest", "sender")
    assert [error["path"] for error in missing.json()["errors"]] == ["offer_id"]


async def _host_with_three_who_wait(driver: Driver) -> MatchProposed:
    """The place is taken; who asked for it fits worst of those who wait."""
    worst = sender("who asked", skills_brought=())
    await driver.handle(host(), sender("first"))
    await driver.run_due()
    await driver.handle(worst, sender("better"), sender("also better"))
    await driver.run_due()
    assert (await wants_host(driver, sender_name="who asked")).json() == {"state": "waiting", "match_id": None}
    [proposal] = await proposals(driver)
    return proposal


async def test_a_wish_for_a_taken_slot_is_tried_first_when_it_is_free(matching: Driver):
    first = await _host_with_three_who_wait(matching)
    assert (await wants_host(matching, sender_name="who asked")).json()["state"] == "waiting"
    await matching.handle(declined(first))
    await matching.run_due()
    [_, second] = await proposals(matching)
    assert (second.sender_id, second.initiator) == (named("who asked"), "sender")
    assert (await wants_host(matching, sender_name="who asked")).json()["match_id"] == str(second.match_id)


@pytest.mark.parametrize("batching_from", [8_000, 0])
async def test_with_planner_ticks_a_wish_waits_for_the_next_one_and_comes_first(starting: Starting, batching_from: int):
    driver = await starting(planner_tick_hours=24, batching_from=batching_from)
    await driver.handle(host(), sender("first"))
    for hours in (0, 24, 25):
        await driver.run_due(NOON + timedelta(hours=hours))
    [first] = await proposals(driver)
    await driver.handle(sender("who asked", skills_brought=()), sender("better"))
    assert (await wants_host(driver, sender_name="who asked")).json()["state"] == "waiting"
    await driver.handle(declined(first))
    await driver.run_due(NOON + timedelta(days=2))
    assert [each.sender_id for each in (await proposals(driver))[1:]] == [named("who asked")]


@pytest.mark.parametrize("who", ["who asked", "host"])
@pytest.mark.parametrize("how", ["leaves", "is erased", "withdraws the end"])
async def test_a_wish_ends_when_either_end_leaves(matching: Driver, who: str, how: str):
    await _host_with_three_who_wait(matching)
    if how == "leaves":
        await matching.handle(CompanyWithdrawn(company_id=named(who), revision=2, reason="left"))
    elif how == "is erased":
        await matching.erase(CompanyUpdated, named(who))
    else:
        await matching.handle(updated(company(who, "DE"), 2))
    assert await matching.rows("select from interests") == []


async def test_an_update_that_keeps_the_end_keeps_the_wish_for_it(matching: Driver):
    await _host_with_three_who_wait(matching)
    await matching.handle(updated(host(max_days=40), 2))
    assert len(await matching.rows("select from interests")) == 1
