"""The market in memory: how fast it is built from PostgreSQL, asked and changed, at ten and at a hundred thousand companies.

Beside it, in the same run and in turn, over the same random placements and offers: ``plain_scan``, the loop that one would write
first, and ``numpy_scan``. What they answer is compared: ``recall`` is the share of their best ten, with scores, that the index
names as well, also after a fifth of all ends was taken away and put back; ``differing`` counts answers that are not the same.

An event of a company is all that one means for the index: its ends go, come again, and are asked for the best ten of each.
It, and the pause that one update makes, are counted in CPU seconds: the machine is shared, and whoever is in front of us is not
the index.
FULL=1 measures a million companies as well.
"""

import asyncio
import gc
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

import psutil
from backing import database, percentile, report
from chassis.database import pool as database_pool
from chassis.migrations import migrate
from market import START, End, Market, generate, numpy_scan, plain_scan
from matching import replica
from matching.index import Index
from matching.index.compilation import compile_all
from matching.main import service
from sojourn_contracts.taxonomy import Taxonomy
from sojourn_contracts.vocabulary import Side
from stored_market import SERVICE, as_in_force, fill, rows

FULL = bool(os.environ.get("FULL"))
SIZES = [10_000, 100_000, 1_000_000] if FULL else [10_000, 100_000]
BEST = 10
ROUNDS = 10
ASKED = 300
"""Ends in a round, of which the plain scan is asked few: it is slow."""
ASKED_PLAINLY = {10_000: 20, 100_000: 5, 1_000_000: 1}
EVENTS = 5_000
REBUILDS = 3
TARGETS = {
    100_000: {"plain_over_index": 300, "numpy_over_index": 15, "rebuild_s": 1},
    1_000_000: {"plain_over_index": 400, "numpy_over_index": 20, "rebuild_s": 5},
}
TARGETS_ALL = {"event_p99_over_p50": 10, "bytes_per_company": 400, "longest_pause_ms": 5, "recall": 1, "differing": 0}

Answer = list[tuple[UUID, int]]


class Answers:
    """What was compared."""

    def __init__(self) -> None:
        self.expected = self.found = self.differing = 0

    def compare(self, answer: Answer, expected: Answer) -> None:
        self.expected += len(expected)
        self.found += len({*answer} & {*expected})
        self.differing += answer != expected


def asked(index: Index, market: Market, row: End) -> Answer:
    id_ = market.side(row.side).id(row.number)
    return [(each.id, each.score) for each in index.candidates(id_, BEST, START)]


def timed(ask: Callable[[End], Answer], queries: Iterable[End], seconds: list[float]) -> list[Answer]:
    answers: list[Answer] = []
    for query in queries:
        began = time.perf_counter()
        answers.append(ask(query))
        seconds.append(time.perf_counter() - began)
    return answers


def drawn(market: Market, rng: random.Random, count: int) -> list[End]:
    """Of both sides."""
    sides = [side for side in Side if len(market.side(side))]
    return [End(side, rng.randrange(len(market.side(side)))) for side in rng.choices(sides, k=count)]


def retrieval(index: Index, market: Market, rng: random.Random, answers: Answers) -> dict[str, float]:
    """Asks all three in turn."""
    seconds: dict[str, list[float]] = {"index": [], "numpy": [], "plain": []}
    for _ in range(ROUNDS):
        queries = drawn(market, rng, ASKED)
        found = timed(lambda row: asked(index, market, row), queries, seconds["index"])
        expected = timed(lambda row: numpy_scan(market, row, BEST), queries, seconds["numpy"])
        plainly = queries[: ASKED_PLAINLY[len(market.arrival)]]
        expected += timed(lambda row: plain_scan(market, row, BEST), plainly, seconds["plain"])
        for answer, should in zip([*found, *found[: len(plainly)]], expected, strict=True):
            answers.compare(answer, should)
    p50 = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "top10_p50_us": p50["index"] * 1e6,
        "plain_over_index": p50["plain"] / p50["index"],
        "numpy_over_index": p50["numpy"] / p50["index"],
    }


def events(index: Index, market: Market, rng: random.Random) -> dict[str, float]:
    seconds: list[float] = []
    while len(seconds) < EVENTS:
        ours = rows(market, rng.randrange(len(market.arrival)))
        ends = [market.open(row) for row in ours]
        ids = [market.side(row.side).id(row.number) for row in ours]
        if ends:
            began = time.thread_time()
            for id_ in ids:
                index.remove(id_)
            for end in ends:
                index.update(end)
            for id_ in ids:
                index.candidates(id_, BEST, START)
            seconds.append(time.thread_time() - began)
    p50 = statistics.median(seconds)
    return {"event_p50_us": p50 * 1e6, "event_p99_over_p50": percentile(seconds, 0.99) / p50}


def shuffled(market: Market, rng: random.Random) -> list[End]:
    ends = [End(side, number) for side in Side for number in range(len(market.side(side)))]
    rng.shuffle(ends)
    return ends


def come_and_go(index: Index, market: Market, ends: Sequence[End], rng: random.Random) -> None:
    """They go, and come again in another order."""
    for row in ends:
        index.remove(market.side(row.side).id(row.number))
    for row in rng.sample(ends, len(ends)):
        index.update(market.open(row))


def longest_pause_ms(market: Market, ends: Sequence[End]) -> float:
    """Of an update while the market grows from nothing."""
    index, longest = Index(market.parameters), 0.0
    for row in ends:
        end = market.open(row)
        began = time.thread_time()
        index.update(end)
        longest = max(longest, time.thread_time() - began)
    return 1000 * longest


async def rebuilt(url: str, skills: Taxonomy) -> tuple[Index, dict[str, float]]:
    """As a process of the service does when it starts."""
    seconds: list[float] = []
    async with database_pool(url, SERVICE, 2) as pool:
        for _ in range(REBUILDS):
            index = None
            gc.collect()
            before, began = psutil.Process().memory_info().rss, time.perf_counter()
            index, _ = await replica.read(pool, skills)
            seconds.append(time.perf_counter() - began)
            grown = psutil.Process().memory_info().rss - before
    assert index is not None
    return index, {"rebuild_s": statistics.median(seconds), "resident_bytes": grown, "used_bytes": index.used_bytes}


async def measured(size: int, migrator_url: str, url: str) -> dict[str, float]:
    rng = random.Random(size)
    market, skills = as_in_force(generate(size))
    await fill(migrator_url, market)
    index, built = await rebuilt(url, skills)
    assert len(index) == len(market.placements) + len(market.offers)
    query, answers = End(Side.SENDER, 0), Answers()
    numpy_scan(market, query, BEST)  # what both prepare once is not theirs to pay
    plain_scan(market, query, BEST)
    gc.collect()
    gc.freeze()  # nor is it the index's that the collector looks through what they prepared
    found = retrieval(index, market, rng, answers)
    found |= events(index, market, rng)
    ends = shuffled(market, rng)
    come_and_go(index, market, ends[: len(ends) // 5], rng)
    for row in drawn(market, rng, ASKED):
        answers.compare(asked(index, market, row), numpy_scan(market, row, BEST))
    found |= {"recall": answers.found / answers.expected, "differing": answers.differing}
    found["longest_pause_ms"] = longest_pause_ms(market, ends)
    gc.unfreeze()
    return found | {
        "rebuild_s": built["rebuild_s"],
        "bytes_per_company": built["resident_bytes"] / size,
        "used_bytes_per_company": built["used_bytes"] / size,
    }


async def main() -> None:
    figures: dict[str, float | int | None] = {}
    compile_all()
    async with database() as own:
        await migrate(own.migrator_url, SERVICE, service.migrations)
        for size in SIZES:
            name = f"{size // 1000}k" if size < 1_000_000 else f"{size // 1_000_000}m"
            found = await measured(size, own.migrator_url, own.url(SERVICE))
            figures |= {f"{key}_{name}": value for key, value in found.items()}
            if size in TARGETS:
                figures |= {f"target_{key}_{name}": value for key, value in (TARGETS[size] | TARGETS_ALL).items()}
            last = name
    first = f"{SIZES[0] // 1000}k"
    grown = math.log(figures[f"top10_p50_us_{last}"] / figures[f"top10_p50_us_{first}"])
    report(
        "retrieval",
        figures | {"growth_exponent": grown / math.log(SIZES[-1] / SIZES[0]), "target_growth_exponent": 0.7},
    )


if __name__ == "__main__":
    asyncio.run(main())
