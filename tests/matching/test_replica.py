"""What a process has in memory of the market: after any history, and whatever was committed late, what the database says."""

import asyncio
import random
from datetime import timedelta
from typing import cast
from uuid import UUID, uuid4

import pytest
from chassis.doors import Received, Work
from chassis.transaction import Cause, Transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matching import planning
from matching.domain import OpenOffer, OpenPlacement, offers_of, placements_of, score
from matching.handlers import search, take_in
from matching.heard import CompanyEvent
from matching.index import Candidate
from matching.replica import Replica, following
from matching.store import forget_changes
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.taxonomy import starter
from sojourn_contracts.vocabulary import Level, Spoken, Window

from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Driver
from tests.matching.conftest import Starting, empty
from tests.matching.endings import agreed, cancelled, completed, declined
from tests.matching.market import TODAY, company, host, named, offer, placement, sender, updated

COUNTRIES = ("DE", "ES", "FR")
MANY = 1_000

skills = st.lists(st.sampled_from(("welding", "trade-fairs", "product-design")), max_size=2).map(tuple)
spoken = st.lists(
    st.builds(Spoken, language=st.sampled_from(("de", "en")), level=st.sampled_from((Level.A2, Level.B1, Level.C1))),
    max_size=2,
).map(tuple)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    first = TODAY + timedelta(days=draw(st.integers(-40, 40)))
    return Window(first=first, last=first + timedelta(days=draw(st.integers(0, 60))))


@st.composite
def companies(draw: st.DrawFn) -> CompanyRegistered:
    """One of four, in any state."""
    name = f"company {draw(st.integers(0, 3))}"
    lengths = [tuple(sorted(draw(st.tuples(st.integers(14, 30), st.integers(14, 30))))) for _ in range(2)]
    sent = placement(
        f"{name}'s placement",
        languages=draw(spoken),
        window=draw(windows()),
        min_days=lengths[0][0],
        max_days=lengths[0][1],
        destinations=draw(st.lists(st.sampled_from(COUNTRIES), max_size=3).map(tuple)),
        skills_sought=draw(skills),
        skills_brought=draw(skills),
    )
    hosted = offer(
        f"{name}'s offer",
        languages=draw(spoken),
        window=draw(windows()),
        min_days=lengths[1][0],
        max_days=lengths[1][1],
        capacity=draw(st.integers(0, 2)),
        skills_taught=draw(skills),
        skills_needed=draw(skills),
    )
    stays = draw(st.lists(st.sampled_from((sent, hosted)), unique=True, max_size=2))
    return company(name, draw(st.sampled_from(COUNTRIES)), *stays)


IN_FORCE = planning.parameters(TODAY, starter())

Step = CompanyRegistered | str
"""What happens: a company's next state, or something to a company or to the oldest live match."""
histories = st.lists(
    companies() | st.sampled_from(("search", "leaves", "erased", "declined", "agreed", "completed", "cancelled")),
    min_size=1,
    max_size=8,
)


async def known(driver: Driver, replica: Replica | None = None) -> dict[UUID, list[Candidate]]:
    """What the process, or another replica on its database, answers for every end, having caught up."""
    replica = replica or cast(Replica, driver.process.prepared)
    async with driver.process.pool.acquire() as connection:
        assert await replica.catch_up(connection)
    ids = await driver.rows("select placement_id as id from placements union all select offer_id from offers")
    return await replica.candidates([row["id"] for row in ids], MANY, TODAY)


async def brute_force(driver: Driver) -> dict[UUID, list[Candidate]]:
    """The same by the events that the database keeps and its matches, pair by pair."""
    profiles = [
        CompanyUpdated.model_validate_json(row["payload"])
        for row in await driver.rows("select payload from companies where kind <> 'CompanyWithdrawn'")
    ]
    matches = await driver.rows("select placement_id, offer_id, state from matches")
    met = {
        (row["placement_id"], row["offer_id"]) for row in await driver.rows("select placement_id, offer_id from met")
    }

    def standing(one: OpenPlacement) -> OpenPlacement:
        mine = [match for match in matches if match["placement_id"] == one.terms.placement_id]
        taken = any(match["state"] in ("proposed", "agreed", "completed") for match in mine)
        unwanted = frozenset(offer_id for placement_id, offer_id in met if placement_id == one.terms.placement_id)
        return OpenPlacement(one.terms, one.home, taken, unwanted)

    def holding(other: OpenOffer) -> OpenOffer:
        mine = [match for match in matches if match["offer_id"] == other.terms.offer_id]
        return OpenOffer(other.terms, other.home, sum(match["state"] in ("proposed", "agreed") for match in mine))

    placements = [standing(each) for profile in profiles for each in placements_of(profile)]
    offers = [holding(each) for profile in profiles for each in offers_of(profile)]
    found: dict[UUID, list[Candidate]] = {
        **{each.terms.placement_id: [] for each in placements},
        **{each.terms.offer_id: [] for each in offers},
    }
    for one in placements:
        for other in offers:
            if fit := score(one, other, IN_FORCE):
                found[one.terms.placement_id].append(Candidate(other.terms.offer_id, fit.value))
                found[other.terms.offer_id].append(Candidate(one.terms.placement_id, fit.value))
    return {id_: sorted(found[id_], key=lambda each: (-each.score, each.id)) for id_ in found}


async def happen(driver: Driver, step: Step, revision: int) -> None:
    ends = {"declined": declined, "agreed": agreed, "completed": completed, "cancelled": cancelled}
    if isinstance(step, CompanyRegistered):
        await driver.handle(updated(step, revision))
    elif step == "search":
        await driver.run_due()
    elif step == "leaves":
        await driver.handle(CompanyWithdrawn(company_id=named("company 0"), revision=revision, reason="left"))
    elif step == "erased":
        await driver.erase(CompanyUpdated, named("company 1"))
    else:
        for row in await driver.rows("select proposal from matches where live and proposal is not null limit 1"):
            await driver.handle(ends[step](MatchProposed.model_validate_json(row["proposal"]), revision))


@pytest.fixture
async def two(starting: Starting) -> tuple[Driver, Driver]:
    """Two processes on one database."""
    return await starting(), await starting()


@given(history=histories, data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_after_any_history_every_process_answers_what_the_database_says(
    two: tuple[Driver, Driver], history: list[Step], data: st.DataObject
):
    await empty(two[0])
    for number, step in enumerate(history):
        await happen(data.draw(st.sampled_from(two)), step, number + 2)
        if data.draw(st.booleans()):
            await known(two[0])
    expected = await brute_force(two[0])
    assert await known(two[0]) == expected
    assert await known(two[1]) == expected
    async with following(two[0].process) as later:
        assert await known(two[0], later) == expected


async def test_a_process_that_starts_later_answers_the_same(matching: Driver):
    await matching.handle(sender("one"), sender("two"), host(capacity=2), host("other host", country="FR"))
    await matching.run_due()
    [first, *_] = await matching.emitted()
    assert isinstance(first, MatchProposed)
    await matching.handle(declined(first))
    async with following(matching.process) as later:
        assert any((await known(matching)).values())
        assert await known(matching, later) == await known(matching) == await brute_force(matching)


async def test_a_process_starts_also_where_a_company_names_what_it_likes_a_hundred_times(matching: Driver):
    await matching.handle(sender(), host(preferred_sectors=("62",) * 101))
    async with following(matching.process) as later:
        assert await known(matching, later) == await brute_force(matching)


async def test_what_a_long_transaction_changes_is_not_passed_over_when_it_is_committed_late(two: tuple[Driver, Driver]):
    one, other = two
    async with one.process.open_transaction(Cause()) as slow:
        await take_in([received(host(), slow)])
        await other.handle(sender())
        await known(other)
        [seen] = await one.rows("select max(id) as id from changes")
    [late] = await one.rows("select max(id) as id from changes where end_id = $1", named("host's offer"))
    assert late["id"] < seen["id"], "who goes on from the highest number would not see it"
    assert [each.id for each in (await known(other))[named("sender's placement")]] == [named("host's offer")]


async def test_what_a_search_changes_after_its_look_is_known_to_its_own_process_as_well(two: tuple[Driver, Driver]):
    one, other = two
    await one.handle(sender(), host(capacity=2))
    async with one.process.open_transaction(Cause()) as tx:
        await tx.connection.execute("select pg_current_xact_id()")
        await other.handle(host("later"))
        await search.handle([(Work(named("search"), "search", str(named("sender")), NOON, {}, Cause(), 0), tx)])
        assert len(tx.effects.events) == 1
    assert await known(one) == await brute_force(one)
    assert not any((await known(one)).values())


async def test_however_long_transactions_overlap_nothing_is_passed_over(two: tuple[Driver, Driver]):
    one, other = two
    writing = True

    async def write(number: int) -> None:
        await asyncio.sleep(random.uniform(0, 0.2))
        for revision in (2, 3):
            async with one.process.open_transaction(Cause()) as tx:
                await take_in([received(updated(host(f"host {number}", capacity=revision), revision), tx)])
                await asyncio.sleep(random.uniform(0, 0.05))

    async def follow() -> None:
        while writing:
            await known(other)

    following_on = asyncio.create_task(follow())
    await asyncio.gather(*(write(number) for number in range(40)))
    writing = False
    await following_on
    await other.handle(sender())
    assert await known(other) == await brute_force(other)
    assert len((await known(other))[named("sender's placement")]) == 40


async def test_a_change_is_kept_for_an_hour_and_the_log_always_tells_how_far_it_reaches_back(matching: Driver):
    assert await known(matching) == {}
    await matching.handle(sender())
    async with matching.process.pool.acquire() as connection:
        await connection.execute("update changes set at = now() - interval '59 minutes'")
        [before] = await matching.rows("select count(*) as count from changes")
        await forget_changes(connection)
        assert await matching.rows("select count(*) as count from changes") == [before]
        await connection.execute("update changes set at = at - interval '2 minutes'")
        await forget_changes(connection)
    [left] = await matching.rows("select xid::text as xid from changes group by xid")
    assert (await known(matching)).keys() == {named("sender's placement")}
    await matching.handle(host())
    assert left in await matching.rows("select xid::text as xid from changes")
    assert await known(matching) == await brute_force(matching)


async def test_who_is_further_behind_than_the_log_answers_on_and_reads_all_anew(matching: Driver):
    await matching.handle(sender(), host("gone"))
    async with following(matching.process) as behind:
        former = await known(matching, behind)
        await matching.handle(CompanyWithdrawn(company_id=named("gone"), revision=2, reason="left"), host())
        await matching.rows("delete from changes where id < (select max(id) from changes)")
        async with matching.process.pool.acquire() as connection:
            assert not await behind.catch_up(connection)
        assert await behind.candidates([*former], MANY, TODAY) == former

        async def is_back() -> bool:
            async with matching.process.pool.acquire() as connection:
                return await behind.catch_up(connection)

        await until(is_back)
        assert await known(matching, behind) == await brute_force(matching)


async def test_after_a_restore_into_a_database_whose_transactions_began_anew_searches_are_done(matching: Driver):
    await matching.handle(sender(), host())
    await matching.rows("update changes set xid = (xid::text::bigint + 1000000)::text::xid8")

    async def is_proposed() -> bool:
        await matching.run_due()
        return len(await matching.emitted()) == 1

    await until(is_proposed)
    async with matching.process.pool.acquire() as connection:
        await forget_changes(connection)
    assert await known(matching) == await brute_force(matching)


async def test_a_search_waits_for_an_index_that_is_read_anew(matching: Driver):
    await matching.handle(sender(), host())
    await matching.rows("delete from changes")
    await matching.process.due.round()
    assert await matching.emitted() == []

    async def is_proposed() -> bool:
        await matching.run_due()
        return len(await matching.emitted()) == 1

    await matching.rows("insert into changes default values")
    await until(is_proposed)


def received(event: CompanyEvent, tx: Transaction) -> Received[CompanyEvent]:
    return Received(event, Envelope(uuid4(), "test", type(event), event.company_id, NOON, event, sequence=1), tx)
