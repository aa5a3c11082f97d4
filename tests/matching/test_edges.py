"""What searches keep of whom they found, as the planner reads it."""

from matching.domain import offers_of, placements_of, score
from matching.planning import parameters
from matching.store import EDGES, open_market
from sojourn_contracts.taxonomy import starter

from tests.chassis_driver import Driver
from tests.matching.conftest import Starting
from tests.matching.market import NOON, host, named, sender, updated


async def test_a_pair_that_both_ends_found_is_one_edge_with_its_score(starting: Starting):
    driver = await starting(planner_tick_hours=24, batching_from=0)
    await driver.handle(sender(), host())
    await driver.run_due(NOON.replace(day=3))
    [one], [other] = placements_of(sender()), offers_of(host())
    fit = score(one, other, parameters(NOON.date(), starter()))
    assert fit is not None
    async with driver.process.pool.acquire() as connection:
        market = await open_market(connection, driver.clock.now())
    assert market.edges == [(one.terms.placement_id, other.terms.offer_id, fit.value)]
    assert market.places == {one.terms.placement_id: 1, other.terms.offer_id: 1}
    assert market.aspirations == dict.fromkeys(market.places, fit.value)


async def test_a_search_replaces_what_the_one_before_found(matching: Driver):
    await matching.handle(sender(), host())
    await matching.run_due()
    await matching.handle(updated(sender(destinations=("FR",)), 2), host("french", country="FR"))
    await matching.run_due()
    rows = await matching.rows("select others from edges where end_id = $1", named("sender's placement"))
    assert [row["others"] for row in rows] == [[]]


async def test_each_end_keeps_its_best_and_all_of_them_are_tried(starting: Starting):
    """The placement's best hosts are full by the time that its search is done, and it finds a lesser one."""
    driver = await starting(planner_tick_hours=24)
    best = [host(f"best {number}", skills_taught=("trade-fairs", "product-design")) for number in range(EDGES)]
    await driver.handle(*best, host("lesser"), *(sender(f"sender {number}") for number in range(EDGES + 1)))
    await driver.run_due(NOON.replace(day=3))
    lists = await driver.rows("select cardinality(others) as kept from edges")
    assert max(row["kept"] for row in lists) == EDGES
    assert len(await driver.emitted()) == EDGES + 1
