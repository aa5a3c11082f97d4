"""What the planner's waiting is worth: half a year of arrivals, against each newcomer's best at once and against an oracle.

In a simulated market companies arrive, windows run out, and a proposal is answered after one to seven days: in the figures whose
names end in ``declines``, by a no to one in five, after which that pair is not proposed again. The oracle knows from the start
who will ever come and which pairs would decline, and has but to find pairs that are on the market at the same time: nobody can
reach it. Reported is the score of all accepted pairs, as a share of the oracle's.

The planner sees each end's twenty best open counterparts, found when the end came, lost its last one, or became free again.
FULL=1 measures more and larger markets.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from statistics import mean
from uuid import UUID

import numpy as np
from backing import report
from market import START, Column, End, Ends, Market, fitting, generate
from matching.planner import Edge, PlannerParameters, aspirations, release, solve
from sojourn_contracts.vocabulary import Side

FULL = bool(os.environ.get("FULL"))
SIZES = [400, 1_000, 2_000, 5_000, 20_000, 50_000] if FULL else [400, 5_000, 20_000]
"""How many companies arrive in all."""
SEEDS = 3 if FULL else 1
"""Markets of 20,000 and more; of smaller ones up to ten times as many, as what one of them says is noise."""
DECLINES = 0.2
KEPT = 20
"""Best counterparts of an end that the planner and the oracle know."""
PARAMETERS = PlannerParameters()
TARGETS = {400: (None, 0.0), 5_000: (0.84, 0.05), 20_000: (0.85, 0.05)}
"""Of a size: the least share of the optimum, and by how much at least it lies above greedy's."""
TARGET_US = 200


@dataclass(frozen=True)
class World:
    """A market and all its pairs that fit, a row each, by which the runs name them."""

    market: Market
    placement: Column
    offer: Column
    score: Column
    until: Column
    """Last day on which the pair still fits."""
    luck: Column
    """It declines if this lies below the share of declines, in [0, 1)."""
    answer_days: Column
    by_placement: list[Column]
    """The pairs of each placement, best first, then by id."""
    by_offer: list[Column]
    placement_ids: list[UUID]
    offer_ids: list[UUID]

    def edge(self, pair: int) -> Edge:
        placement, offer = self.placement_ids[self.placement[pair]], self.offer_ids[self.offer[pair]]
        return Edge(placement, offer, int(self.score[pair]))

    def pair(self, edge: Edge) -> int:
        pairs = self.by_placement[Ends.number(edge.placement)]
        return int(pairs[self.offer[pairs] == Ends.number(edge.offer)][0])

    def pairs_of(self, end: End) -> Column:
        return (self.by_placement if end.side is Side.SENDER else self.by_offer)[end.number]


def world(companies: int, seed: int) -> World:
    market = generate(companies, seed)
    placements, offers = market.placements, market.offers
    found = [fitting(market, End(Side.SENDER, number)) for number in range(len(placements))]
    placement = np.repeat(np.arange(len(placements)), [len(numbers) for numbers, _ in found])
    offer = np.concatenate([numbers for numbers, _ in found])
    score = np.concatenate([scores for _, scores in found])
    shortest = np.maximum(placements.min_days[placement], offers.min_days[offer])
    until = np.minimum(placements.last[placement], offers.last[offer]) - shortest + 1
    together = np.maximum(placements.arrival[placement], offers.arrival[offer]) <= until
    placement, offer, score, until = placement[together], offer[together], score[together], until[together]

    def lists(end: Column, count: int, others: Column) -> list[Column]:
        order = np.lexsort((others, -score, end))
        return np.split(order, np.searchsorted(end[order], np.arange(1, count)))

    rng = np.random.default_rng(seed)
    return World(
        market,
        placement,
        offer,
        score,
        until,
        luck=rng.random(len(score)),
        answer_days=rng.integers(1, 8, len(score)),
        by_placement=lists(placement, len(placements), offers.key[offer]),
        by_offer=lists(offer, len(offers), placements.key[placement]),
        placement_ids=[placements.id(number) for number in range(len(placements))],
        offer_ids=[offers.id(number) for number in range(len(offers))],
    )


def optimum(world: World, declines: float) -> int:
    """The oracle's total score, on the best edges of each end (all but some 0.02% of it)."""
    kept = {
        int(pair)
        for pairs in (*world.by_placement, *world.by_offer)
        for pair in pairs[world.luck[pairs] >= declines][:KEPT]
    }
    places = dict(zip(world.offer_ids, world.market.offers.capacity.tolist(), strict=True))
    return sum(edge.score for edge in solve([world.edge(pair) for pair in kept], places))


class Run:
    """One policy's half year: who is open, which proposals are out, and what was accepted so far."""

    def __init__(self, world: World, declines: float) -> None:
        self.world, self.declines = world, declines
        self.open = np.zeros(len(world.market.placements), dtype=bool)
        self.places = np.zeros(len(world.market.offers), dtype=np.int64)
        self.declined = np.zeros(len(world.score), dtype=bool)
        self.answers: dict[int, list[int]] = defaultdict(list)
        self.accepted: list[int] = []
        self.waited: list[int] = []
        """Days that the placement of each accepted pair was on the market before it was proposed."""

    def available(self, pairs: Column, day: int) -> Column:
        """Those of the pairs that could be proposed on that day."""
        world = self.world
        return pairs[
            self.open[world.placement[pairs]]
            & (self.places[world.offer[pairs]] > 0)
            & (world.until[pairs] >= day)
            & ~self.declined[pairs]
        ]

    def hear(self, day: int) -> list[End]:
        """Takes in the day's answers; returned are the ends that a declined pair set free."""
        world, freed = self.world, list[End]()
        for pair in self.answers.pop(day, ()):
            if world.luck[pair] >= self.declines:
                self.accepted.append(int(world.score[pair]))
            else:
                placement, offer = int(world.placement[pair]), int(world.offer[pair])
                self.declined[pair], self.open[placement] = True, True
                self.places[offer] += 1
                freed += (End(Side.SENDER, placement), End(Side.HOST, offer))
        return freed

    def enter(self, end: End) -> None:
        """The end is on the market as of now."""
        if end.side is Side.SENDER:
            self.open[end.number] = True
        else:
            self.places[end.number] = self.world.market.offers.capacity[end.number]

    def deserted(self, before: Column, after: Column) -> Iterable[End]:
        """The open ends that have a pair in the first but none in the second."""
        lost = np.setdiff1d(self.world.placement[before], self.world.placement[after])
        yield from (End(Side.SENDER, number) for number in lost[self.open[lost]].tolist())
        lost = np.setdiff1d(self.world.offer[before], self.world.offer[after])
        yield from (End(Side.HOST, number) for number in lost[self.places[lost] > 0].tolist())

    def propose(self, pair: int, day: int) -> None:
        world, placement = self.world, int(self.world.placement[pair])
        self.open[placement] = False
        self.places[world.offer[pair]] -= 1
        self.answers[day + int(world.answer_days[pair])].append(pair)
        if world.luck[pair] >= self.declines:
            self.waited.append(day - int(world.market.placements.arrival[placement]))


def days(world: World) -> Iterable[tuple[int, list[End]]]:
    """Each day, and the ends that come on it in the order of their companies, until the last answer is in."""
    market = world.market
    coming = defaultdict[int, list[tuple[int, End]]](list)
    for side in Side:
        rows = market.side(side)
        for number, (day, company) in enumerate(zip(rows.arrival.tolist(), rows.company.tolist(), strict=True)):
            coming[day].append((company, End(side, number)))
    for day in range(int(world.until.max()) + 8):
        yield day, [end for _, end in sorted(coming[day], key=itemgetter(0))]


def on_arrival(world: World, declines: float) -> Run:
    """Each end is proposed its best when it comes or becomes free again."""
    run = Run(world, declines)
    for day, arriving in days(world):
        freed = run.hear(day)
        for end in (*freed, *arriving):
            if end not in freed:
                run.enter(end)
            while len(best := run.available(world.pairs_of(end), day)):
                run.propose(int(best[0]), day)
    return run


def planned(world: World, declines: float) -> tuple[Run, float]:
    """Every day the planner decides; and the CPU seconds that it took itself, without searches."""
    run, market = Run(world, declines), world.market
    deadlines = {
        id_: START + timedelta(days=day)
        for ids, rows in ((world.placement_ids, market.placements), (world.offer_ids, market.offers))
        for id_, day in zip(ids, (rows.last - rows.min_days + 1).tolist(), strict=True)
    }
    known, hopes, took = dict[int, Edge](), dict[UUID, int](), 0.0
    for day, arriving in days(world):
        searching = run.hear(day)
        for end in arriving:
            run.enter(end)
        before = np.array(list(known), dtype=np.int64)
        still = run.available(before, day)
        searching += (*arriving, *run.deserted(before, still))
        found = [run.available(world.pairs_of(end), day)[:KEPT] for end in searching]
        fresh = {pair: world.edge(pair) for pairs in found for pair in pairs.tolist()}
        known = {pair: known[pair] for pair in still.tolist()} | fresh
        edges = list(known.values())
        places = {edge.offer: int(run.places[Ends.number(edge.offer)]) for edge in edges}
        arrival = market.placements.arrival
        ages = {edge.placement: day - int(arrival[Ends.number(edge.placement)]) for edge in edges}

        began = time.process_time()
        hopes = aspirations(hopes, fresh.values())
        chosen = solve(edges, places)
        released, _ = release(chosen, hopes, ages, deadlines, START + timedelta(days=day), PARAMETERS)
        took += time.process_time() - began
        for verdict in released:
            run.propose(world.pair(verdict.edge), day)
    return run, took


def main() -> None:
    figures: dict[str, float | int | None] = {"seeds": SEEDS, "declines": DECLINES}
    for size in SIZES:
        name = f"{size // 1000}k" if size >= 1000 else str(size)
        shares = defaultdict[str, list[float]](list)
        for seed in range(7, 7 + SEEDS * max(1, min(10, 20_000 // size))):
            one = world(size, seed)
            for declines, suffix in ((0.0, ""), (DECLINES, "_declines")):
                best = optimum(one, declines)
                (plan_run, took), greedy_run = planned(one, declines), on_arrival(one, declines)
                shares[f"accepted_over_optimum_{name}{suffix}"].append(sum(plan_run.accepted) / best)
                shares[f"greedy_over_optimum_{name}{suffix}"].append(sum(greedy_run.accepted) / best)
                shares[f"matches_over_greedy_{name}{suffix}"].append(len(plan_run.accepted) / len(greedy_run.accepted))
                shares[f"wait_days_{name}{suffix}"].append(mean(plan_run.waited))
                shares[f"greedy_wait_days_{name}{suffix}"].append(mean(greedy_run.waited))
                shares[f"planner_per_event_us_{name}{suffix}"].append(took / size * 1e6)
        figures |= {key: mean(values) for key, values in shares.items()}
        if size in TARGETS:
            figures[f"target_accepted_over_optimum_{name}"], figures[f"target_above_greedy_{name}"] = TARGETS[size]
    figures["target_planner_per_event_us_20k"] = TARGET_US
    report("market", figures)


if __name__ == "__main__":
    main()
