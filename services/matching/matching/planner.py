"""Which of the pairs that fit to propose today: the assignment that is worth most, sent once it is worth as much as waiting.

Pure and reproducible like the domain. Proposing to each newcomer its best at once finds nearly as many matches as an oracle, at
three quarters of their worth: good ends go to whoever came first. So the market is solved as a whole every day, and a pair of the
solution is held back as long as its two ends can expect a better one, which they judge by the best they were ever seen with.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID


class Edge(NamedTuple):
    """A placement and an offer that fit, by their ids."""

    placement: UUID
    offer: UUID
    score: int
    """As ``domain.Score.value``: millionths, not negative."""


class Reason(StrEnum):
    """Why a chosen pair is proposed, or not yet."""

    ASPIRATION = "aspiration"
    """Proposed: worth as much as its ends can expect."""
    AGE = "age"
    """Proposed: the placement has waited long enough."""
    DEADLINE = "deadline"
    """Proposed: soon one of the ends cannot travel or host any more."""
    WAITING = "waiting"
    """Held: the ends can expect better."""


class Verdict(NamedTuple):
    """A chosen pair, and why it is proposed or held."""

    edge: Edge
    reason: Reason


@dataclass(frozen=True)
class PlannerParameters:
    """How long to wait for better pairs; the values are those that ``bench_market.py`` measures, and they suit any size."""

    hold_days: int = 21
    """Days on the market from which on a placement's pairs are not held.

    Of 5,000 companies in half a year, 21 days get 85% of the optimum and let a placement wait for 15 on average, 30 days get 87%
    and let it wait for 20; greedy gets 78% after 7.
    """
    urgent_days: int = 8
    """Days to an end's deadline, or fewer, at which a pair is not held: the companies need some to agree."""


def solve(edges: Collection[Edge], places: Mapping[UUID, int]) -> list[Edge]:
    """The edges of greatest total score that give a placement one offer at most, and an offer as many as it has places.

    A minimum-cost flow, solved by cost scaling (Goldberg 1997) in OR-tools: a unit from each placement through an offer, at a
    cost of minus the score, or past the offers at no cost.

    Args:
        edges: no pair twice; in any order, which makes no difference to the result.
        places: free places of each offer; none of an offer that is not there.

    Returns:
        The chosen edges by the ids of placement and offer. Of several solutions of equal worth always the same.
    """
    if not edges:
        return []
    # 40 MiB and a quarter of a second: for who plans, not for every process that imports this.
    import numpy as np
    from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

    # one run through the edges, an iterator at a time: `zip(*edges)` keeps one of each, which takes as long as the solving
    ends_and_scores: list[Any] = list(chain.from_iterable(edges))
    senders: list[UUID] = ends_and_scores[::3]
    hosts: list[UUID] = ends_and_scores[1::3]
    scores: list[int] = ends_and_scores[2::3]
    placements = sorted(set(senders), key=attrgetter("int"))
    offers = sorted(set(hosts), key=attrgetter("int"))
    node = {end: number for number, end in enumerate((*placements, *offers))}
    tails = np.fromiter(map(node.__getitem__, senders), np.int32, len(senders))
    heads = np.fromiter(map(node.__getitem__, hosts), np.int32, len(hosts))
    costs = -np.array(scores, np.int64)
    order = np.argsort(tails.astype(np.int64) * len(node) + heads)

    sink = len(placements) + len(offers)
    nodes = np.arange(sink + 1, dtype=np.int32)
    inlets, outlets = nodes[: len(placements)], nodes[len(placements) : sink]
    once = np.ones(len(edges), np.int64)
    free = np.fromiter((places.get(offer, 0) for offer in offers), np.int64, len(offers)).clip(0)
    supplies = np.zeros(sink + 1, np.int64)
    supplies[inlets], supplies[sink] = 1, -len(placements)

    flow = SimpleMinCostFlow()
    arcs = flow.add_arcs_with_capacity_and_unit_cost(tails[order], heads[order], once, costs[order])
    flow.add_arcs_with_capacity_and_unit_cost(
        inlets, np.full_like(inlets, sink), once[: len(inlets)], 0 * once[: len(inlets)]
    )
    flow.add_arcs_with_capacity_and_unit_cost(outlets, np.full_like(outlets, sink), free, 0 * free)
    flow.set_nodes_supplies(nodes, supplies)
    status = flow.solve()
    if status != flow.OPTIMAL:
        raise ArithmeticError(f"the market was not solved: {status}")
    listed = list(edges)
    return [listed[number] for number in order[flow.flows(arcs) > 0].tolist()]


def greedy(edges: Iterable[Edge], places: Mapping[UUID, int]) -> list[Edge]:
    """The best edge of which both ends are free, again and again; arguments as ``solve`` takes them.

    Returns:
        The chosen edges, best first, in the order of ids where they tie.
    """
    free, taken, chosen = dict(places), set[UUID](), list[Edge]()
    for edge in sorted(edges, key=lambda edge: (-edge.score, edge.placement.int, edge.offer.int)):
        if edge.placement not in taken and free.get(edge.offer, 0) > 0:
            free[edge.offer] -= 1
            taken.add(edge.placement)
            chosen.append(edge)
    return chosen


def aspirations(before: Mapping[UUID, int], edges: Iterable[Edge]) -> dict[UUID, int]:
    """To each end the best score that it was ever seen with, whatever became of the other end since.

    What was best among those who came stands for what is still to come. Neither forgetting scores after 30 days nor counting
    counterparts that were not open any more led to better pairs.

    Args:
        before: what this function returned last time.
        edges: those found since, or all again: it makes no difference.
    """
    best = dict(before)
    for placement, offer, score in edges:
        if score > best.get(placement, -1):
            best[placement] = score
        if score > best.get(offer, -1):
            best[offer] = score
    return best


def release(
    chosen: Iterable[Edge],
    aspirations: Mapping[UUID, int],
    ages: Mapping[UUID, int],
    deadlines: Mapping[UUID, date],
    today: date,
    parameters: PlannerParameters,
) -> tuple[list[Verdict], list[Verdict]]:
    """Which of the chosen edges to propose today, and which to hold, each with the reason.

    An edge is proposed if it is worth at least the mean of what its ends aspire to, or else if its placement has waited long
    enough, or else if a deadline is near. A higher score, a greater age or a nearer deadline never makes it held.

    Args:
        chosen: as ``solve`` returns them; the result keeps their order.
        aspirations: best score of each end so far, as ``aspirations`` returns them; an end that is not there takes anything.
        ages: days that each placement has been on the market.
        deadlines: the last day on which each end's shortest stay can begin.
        today: the day of the tick.
        parameters: those in force.
    """

    urgent = today + timedelta(days=parameters.urgent_days)
    released, held = list[Verdict](), list[Verdict]()
    for edge in chosen:
        placement, offer, score = edge
        if 2 * score >= aspirations.get(placement, 0) + aspirations.get(offer, 0):
            released.append(Verdict(edge, Reason.ASPIRATION))
        elif ages[placement] >= parameters.hold_days:
            released.append(Verdict(edge, Reason.AGE))
        elif deadlines[placement] <= urgent or deadlines[offer] <= urgent:
            released.append(Verdict(edge, Reason.DEADLINE))
        else:
            held.append(Verdict(edge, Reason.WAITING))
    return released, held
