"""The market of the benchmarks: its rows are what the domain takes, and both plain ways to search it find what the score says."""

from dataclasses import fields, replace
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from matching.domain import score
from sojourn_contracts.vocabulary import Side

from benchmarks.market import SKILLS, START, End, Ends, Market, Scan, generate, numpy_scan, plain_scan

MARKET = generate(300)
SCANS = pytest.mark.parametrize("scan", [plain_scan, numpy_scan])


def by_the_domain(market: Market, query: End, k: int) -> list[tuple[UUID, int]]:
    counterparts = market.counterparts(query)
    me, parameters = market.open(query), market.parameters
    found: list[tuple[int, UUID]] = []
    for number in range(len(counterparts)):
        if query.side is Side.SENDER:
            fit = score(me, market.offer(number), parameters)
        else:
            fit = score(market.placement(number), me, parameters)
        if fit:
            found.append((-fit.value, counterparts.id(number)))
    return [(id_, -negated) for negated, id_ in sorted(found)[:k]]


def rows(ends: Ends, numbers: list[int]) -> Ends:
    """Those rows, each under a key of its own."""
    taken = {field.name: getattr(ends, field.name)[numbers] for field in fields(Ends)}
    return Ends(**(taken | {"key": ends.key[: len(numbers)]}))


@SCANS
@pytest.mark.parametrize("side", Side)
def test_a_scan_finds_what_the_domain_scores(scan: Scan, side: Side):
    found = 0
    for number in range(0, 150, 10):
        expected = by_the_domain(MARKET, End(side, number), 3)
        assert scan(MARKET, End(side, number), 3) == expected
        found += len(expected)
    assert found > 5


@SCANS
def test_days_that_are_over_are_not_shared(scan: Scan):
    later = replace(MARKET, parameters=replace(MARKET.parameters, today=START + timedelta(days=150)))
    queries = [End(Side.SENDER, number) for number in range(0, 150, 10)]
    assert [scan(later, query, 10) for query in queries] == [by_the_domain(later, query, 10) for query in queries]
    assert [scan(later, query, 10) for query in queries] != [scan(MARKET, query, 10) for query in queries]


@SCANS
def test_ties_go_by_the_id(scan: Scan):
    query = next(End(Side.SENDER, n) for n in range(100) if numpy_scan(MARKET, End(Side.SENDER, n), 1))
    best_id, best = numpy_scan(MARKET, query, 1)[0]
    twin = next(number for number in range(len(MARKET.offers)) if MARKET.offers.id(number) == best_id)
    twins = replace(MARKET, offers=rows(MARKET.offers, [twin] * 20))
    assert scan(twins, query, 5) == [(id_, best) for id_ in sorted(map(twins.offers.id, range(20)))[:5]]


def test_the_same_seed_makes_the_same_market():
    one, same, other = generate(200, seed=3), generate(200, seed=3), generate(200, seed=4)
    for field in fields(Ends):
        assert np.array_equal(getattr(one.offers, field.name), getattr(same.offers, field.name))
    assert one.parameters == same.parameters
    assert not np.array_equal(one.offers.key[:50], other.offers.key[:50])


def test_a_market_is_as_large_and_as_skewed_as_it_says():
    market = generate(20_000)
    size = len(market.arrival)
    assert len(market.placements) / size == pytest.approx(0.96, rel=0.05)
    assert len(market.offers) / size == pytest.approx(0.70, rel=0.05)
    assert market.offers.capacity.sum() / size == pytest.approx(1.08, rel=0.05)
    taught = np.bincount(market.offers.given[market.offers.given >= 0], minlength=len(SKILLS))
    assert taught.max() / len(market.offers) == pytest.approx(0.15, abs=0.02)
    ids = {ends.id(n) for ends in (market.placements, market.offers) for n in range(len(ends))}
    assert len(ids) == len(market.placements) + len(market.offers)
