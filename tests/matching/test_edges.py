"""What searches keep of whom they found, as the planner reads it."""

from uuid import UUID

from matching.domain import offers_of, placements_of, score
from matching.searching import EDGES
from matching.store import open_edges
from sojourn_contracts.company import CompanyUpdated, CompanyWithdrawn

from tests.chassis_driver import Driver
from tests.matching.conftest import Starting
from tests.matching.market import NOON, PARAMETERS, host, named, sender, updated


async def edges(driver: Driver) -> list[tuple[UUID, UUID, int]]:
    async with driver.process.pool.acquire() as connection:
        return await open_edges(connection)


async def test_a_pair_that_both_ends_found_is_one_edge_with_its_score(matching: Driver):
    await matching.handle(sender(), host())
    await matching.run_due()
    [one], [other] = placements_of(sender()), offers_of(host())
    fit = score(one, other, PARAMETERS)
    assert fit is not None
    assert await edges(matching) == [(one.terms.placement_id, other.terms.offer_id, fit.value)]


async def test_a_search_replaces_what_the_one_before_found(matching: Driver):
    await matching.handle(sender(), host())
    await matching.run_due()
    await matching.handle(updated(sender(destinations=("FR",)), 2), host("french", country="FR"))
    await matching.run_due()
    rows = await matching.rows("select others from edges where end_id = $1", named("sender's placement"))
    assert [row["others"] for row in rows] == [[]]


async def test_an_end_that_left_has_no_edges(matching: Driver):
    await matching.handle(sender(), host(), host("other"))
    await matching.run_due()
    await matching.handle(CompanyWithdrawn(company_id=named("host"), revision=2, reason="left"))
    assert {offer_id for _, offer_id, _ in await edges(matching)} == {named("other's offer")}
    await matching.run_due()
    await matching.erase(CompanyUpdated, named("other"))
    assert await edges(matching) == []
    assert [row["end_id"] for row in await matching.rows("select end_id from edges")] == [named("sender's placement")]


async def test_each_end_keeps_its_best_and_all_of_them_are_tried(starting: Starting):
    """The placement's best hosts are full by the time that its search is done, and it finds a lesser one."""
    driver = await starting(planner_tick_hours=24)
    best = [host(f"best {number}", skills_taught=("trade-fairs", "product-design")) for number in range(EDGES)]
    await driver.handle(*best, host("lesser"), *(sender(f"sender {number}") for number in range(EDGES + 1)))
    await driver.run_due(NOON.replace(day=3))
    lists = await driver.rows("select cardinality(others) as kept from edges")
    assert max(row["kept"] for row in lists) == EDGES
    assert len(await driver.emitted()) == EDGES + 1
