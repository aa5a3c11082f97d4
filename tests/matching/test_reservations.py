"""Slots under contention: several processes search one market at once, are cut off at any moment, and give no slot twice."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta

import asyncpg
import pytest
from chassis.doors import Work
from chassis.failures import is_trouble
from chassis.transaction import Cause
from laptop.roles import Database
from matching.handlers import search
from sojourn_contracts.event import Event
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.skills import SKILLS

from tests.chassis_driver import Driver
from tests.matching.conftest import Starting, empty
from tests.matching.endings import declined
from tests.matching.market import NOON, company, host, named, offer, placement, sender, updated

WORKERS = 4
PAIRS = 500 if os.environ.get("FULL") else 150
COUNTRIES = (
    "AT",
    "BE",
    "BG",
    "CY",
    "CZ",
    "DK",
    "EE",
    "ES",
    "FI",
    "FR",
    "GR",
    "HR",
    "HU",
    "IE",
    "IT",
    "LT",
    "LU",
    "LV",
    "MT",
    "NL",
    "PL",
    "PT",
    "RO",
    "SE",
    "SI",
    "SK",
)


@pytest.fixture
async def workers(starting: Starting) -> list[Driver]:
    return [await starting(pool_size=4) for _ in range(WORKERS)]


@pytest.fixture
async def watcher(market_database: Database) -> AsyncIterator[asyncpg.Pool]:
    """Looks at the database from outside, and may end other connections meanwhile."""
    settings = {"search_path": "matching", "application_name": "watcher"}
    url = market_database.url("matching")
    async with asyncpg.create_pool(url, min_size=0, max_size=2, server_settings=settings) as connections:
        yield connections


def search_for(name: str) -> Work:
    return Work(named(f"search for {name}"), "search", str(named(name)), NOON, {}, Cause(), 0)


class Breaking(Exception):
    """Something goes wrong before the commit."""


async def test_two_companies_that_come_at_the_same_moment_find_each_other(workers: list[Driver]):
    async def arrive(driver: Driver, event: Event) -> None:
        await driver.handle(event)
        await driver.process.due.round()

    for _ in range(20):
        await empty(workers[0])
        await asyncio.gather(arrive(workers[0], sender()), arrive(workers[1], host()))
        await settled(workers)
        assert len(await workers[0].emitted()) == 1


async def test_of_many_pairs_that_come_at_the_same_moment_to_two_processes_every_one_is_found(workers: list[Driver]):
    """Each of them fits nobody else: a country and a skill are its own."""
    one, other, *_ = workers

    async def arrive(driver: Driver, event: Event) -> None:
        await driver.handle(event)
        await driver.process.due.round()

    skills = sorted(SKILLS)[:20]
    own = [(country, skill) for country in COUNTRIES for skill in skills][:PAIRS]
    for country, skill in own:
        away = sender(f"to {country} for {skill}", destinations=(country,), skills_sought=(skill,), skills_brought=())
        there = host(f"in {country} with {skill}", country, skills_taught=(skill,), skills_needed=())
        await asyncio.gather(arrive(one, away), arrive(other, there))
    await settled(workers)
    proposals = [event for event in await one.emitted() if isinstance(event, MatchProposed)]
    assert len(proposals) == len(own) == PAIRS
    assert len({proposal.placement_id for proposal in proposals}) == PAIRS


async def test_batches_that_name_the_same_companies_in_other_orders_do_not_wait_for_each_other(workers: list[Driver]):
    one, other, *_ = workers
    for revision in range(2, 22):
        profiles = [updated(company(f"company {n}", "DE", placement(f"placement {n}")), revision) for n in range(10)]
        random.shuffle(profiles)
        await asyncio.gather(one.handle_together(*profiles), other.handle_together(*profiles[::-1]))
    assert {row["revision"] for row in await one.rows("select revision from companies")} == {21}
    assert len(await one.rows("select from placements")) == 10


async def test_a_search_sees_what_was_committed_after_its_transaction_began(workers: list[Driver]):
    one, other, *_ = workers
    await one.handle(sender())
    async with one.process.open_transaction(Cause()) as tx:
        await tx.connection.fetch("select company_id from companies")
        await other.handle(host())
        await search.handle([(search_for("sender"), tx)])
    assert len(await one.emitted()) == 1


async def test_a_search_that_breaks_leaves_nothing_behind(workers: list[Driver]):
    one, *_ = workers
    await one.handle(host(capacity=2), sender("one"), sender("two"))
    with suppress(Breaking):
        async with one.process.open_transaction(Cause()) as tx:
            await search.handle([(search_for("host"), tx)])
            assert len(tx.effects.events) == 2
            raise Breaking
    assert await one.rows("select match_id from matches") == []
    assert await one.emitted() == []
    await one.run_due()
    assert len(await one.emitted()) == 2


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_search_leaves_what_another_one_is_at_to_its_next_run(workers: list[Driver], breaks: bool):
    one, other, *_ = workers
    await one.handle(host(), sender("one"), sender("two"))
    with suppress(Breaking):
        async with one.process.open_transaction(Cause()) as first, asyncio.timeout(4):
            await search.handle([(search_for("one"), first)])
            async with other.process.open_transaction(Cause()) as second:
                await search.handle([(search_for("two"), second)])
            assert second.effects.events == []
            if breaks:
                raise Breaking
    await settled(workers)
    [proposal] = await one.emitted()
    assert isinstance(proposal, MatchProposed)
    assert breaks or proposal.sender_id == named("one")


async def test_a_search_for_an_end_that_somebody_is_at_leaves_free_whom_it_would_fit(workers: list[Driver]):
    """It locks the best few before it knows, and nobody for what is put off anyway."""
    one, two, three, _ = workers
    await one.handle(*(host(f"host {number}") for number in range(50)), sender())
    async with two.process.pool.acquire() as busy, busy.transaction():
        await busy.execute("select from placements for update")
        async with one.process.open_transaction(Cause()) as tx:
            await search.handle([(search_for("sender"), tx)])
            free = await three.rows("select from offers for update skip locked")
    assert len(free) >= 47
    await settled(workers)
    assert len(await one.emitted()) == 1


async def test_a_search_leaves_a_company_that_is_being_updated_to_its_next_run(workers: list[Driver]):
    one, other, *_ = workers
    await one.handle(host(), sender())
    with suppress(Breaking):
        async with one.process.open_transaction(Cause()) as tx, asyncio.timeout(4):
            await tx.connection.execute("select from offers for update")
            async with other.process.open_transaction(Cause()) as second:
                await search.handle([(search_for("sender"), second)])
            assert second.effects.events == []
            raise Breaking
    await settled(workers)
    assert len(await one.emitted()) == 1


Disturbance = Callable[[Sequence[Driver], asyncpg.Pool], Coroutine[None, None, None]]


async def undisturbed(workers: Sequence[Driver], watcher: asyncpg.Pool) -> None:
    """Every worker does its due work."""
    await asyncio.gather(*(worker.process.due.run() for worker in workers))


async def killed_connections(workers: Sequence[Driver], watcher: asyncpg.Pool) -> None:
    """PostgreSQL ends connections at random moments."""

    async def kill() -> None:
        for _ in range(60):
            await asyncio.sleep(random.uniform(0, 0.04))
            await watcher.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'matching' order by random() limit 1"
            )

    await asyncio.gather(kill(), *(worker.process.due.run() for worker in workers))


async def cancelled_searches(workers: Sequence[Driver], watcher: asyncpg.Pool) -> None:
    """The workers are cut off at random moments, wherever they wait, and begin anew."""

    async def work(worker: Driver) -> None:
        for _ in range(25):
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0, 0.06)):
                    await worker.process.due.run()
        await worker.process.due.run()

    await asyncio.gather(*(work(worker) for worker in workers))


@pytest.mark.parametrize("disturbance", [undisturbed, killed_connections, cancelled_searches])
async def test_no_placement_and_no_place_is_given_twice(
    workers: list[Driver], watcher: asyncpg.Pool, disturbance: Disturbance
):
    """100 placements, 16 places: companies register and change, matches are declined, while four workers search."""
    senders = [
        company(f"sender {n}", "DE", *(placement(f"placement {n}.{m}", max_days=20 + m) for m in range(5)))
        for n in range(20)
    ]
    hosts = [company(f"host {n}", "ES", offer(f"big {n}", capacity=3), offer(f"small {n}")) for n in range(4)]
    news: list[list[Event]] = [[profile, updated(profile, 2)] for profile in [*hosts, *senders]]
    searching = asyncio.create_task(disturbance(workers, watcher))
    try:
        await asyncio.gather(*(tell(worker, news[number::WORKERS]) for number, worker in enumerate(workers)))
        ended = await end_some(workers, watcher, 12)
        await until_nothing_is_due(watcher)
    finally:
        for worker in workers:
            worker.process.due.stop()
        await searching

    made = await watcher.fetch("select match_id, placement_id, offer_id, live from matches")
    held = await watcher.fetch(
        "select capacity, (select count(*) from matches where matches.offer_id = offers.offer_id and live) as held"
        " from offers"
    )
    assert [row for row in held if row["held"] > row["capacity"]] == []
    living = [row["placement_id"] for row in made if row["live"]]
    assert len(living) == len(set(living)) == 16, "every place is taken, each by another placement"
    assert ended == 12 == len(made) - len(living)
    assert len({(row["placement_id"], row["offer_id"]) for row in made}) == len(made)
    proposed = await watcher.fetch("select subject from outbox")
    assert sorted(row["subject"] for row in proposed) == sorted(row["match_id"] for row in made)


async def tell(worker: Driver, news: Sequence[Sequence[Event]]) -> None:
    """Tells a worker of companies, each in its order, and repeats what a lost connection left open."""
    for events in news:
        for event in events:
            await _until_it_works(worker, event)
            await asyncio.sleep(random.uniform(0, 0.01))


async def end_some(workers: Sequence[Driver], watcher: asyncpg.Pool, wanted: int) -> int:
    """Exchange says of so many matches, while others are being made, that they came to nothing."""
    ended = set[str]()
    async with asyncio.timeout(30):
        while len(ended) < wanted:
            rows = await watcher.fetch("select proposal from matches where live order by random() limit 3")
            for row in rows[: wanted - len(ended)]:
                proposal = MatchProposed.model_validate_json(row["proposal"])
                await _until_it_works(random.choice(workers), declined(proposal))
                ended.add(str(proposal.match_id))
            await asyncio.sleep(0.01)
    return len(ended)


async def _until_it_works(worker: Driver, event: Event) -> None:
    while True:
        try:
            await worker.handle(event)
        except Exception as error:
            if not is_trouble(error):
                raise
            await asyncio.sleep(0.02)
        else:
            return


async def until_nothing_is_due(watcher: asyncpg.Pool) -> None:
    async with asyncio.timeout(30):
        while await watcher.fetchval("select exists (select from due where parked_at is null)"):
            await asyncio.sleep(0.05)
    assert await watcher.fetch("select cause from due") == []


async def settled(workers: Sequence[Driver]) -> None:
    """Does what is due, and what is put off for a moment of wall time."""
    async with asyncio.timeout(10):
        while await workers[0].rows("select id from due"):
            await workers[0].run_due(NOON + timedelta(seconds=1))
            await asyncio.sleep(0.02)
