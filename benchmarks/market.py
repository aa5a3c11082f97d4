"""A market to measure on: a seeded population of companies as columns of numbers, and two plain ways to search it.

What is known of the real thing stands here as numbers: who sends and who hosts follows the Erasmus flows of 2012-13 where that
table lies beside the repository; how many placements, offers and places there are, and how skewed skills are, as measured before.
A row becomes the domain's own object with ``Market.open``; so a search can be checked against ``domain.score``.
"""

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from heapq import nsmallest
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import numpy as np
from asyncpg.pgproto import pgproto
from matching.domain import WHOLE, WHOLE_PERCENT, Home, OpenOffer, OpenPlacement, Parameters
from numpy.random import Generator
from numpy.typing import NDArray
from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.vocabulary import MAX_STAY_DAYS, MIN_STAY_DAYS, Level, Side, Spoken, Window

Column: TypeAlias = NDArray[Any]

START = date(2026, 1, 1)
"""Day 0."""
ARRIVAL_DAYS = 180
"""Companies arrive on the days before this one."""

COUNTRIES = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE"),
    *("IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
)
"""The European Economic Area."""
LANGUAGES = (
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu"),
    *("is", "it", "lt", "lv", "nl", "no", "pl", "pt", "ro", "sk", "sl", "sv"),
)
DIVISIONS = tuple(
    f"{number:02}" for number in range(1, 97) if number not in {4, 34, 40, 44, 45, 48, 54, 57, 67, 76, 83, 89}
)
"""NACE Rev. 2.1, without households and extraterritorial bodies."""
_SECTIONS = np.searchsorted(
    [1, 5, 10, 35, 36, 41, 46, 49, 55, 58, 61, 64, 68, 69, 77, 84, 85, 86, 90, 94],
    np.array(DIVISIONS, dtype=int),
    side="right",
)
SKILLS = tuple(f"skill-{number:04}" for number in range(3_000))

_TONGUES = dict(
    zip(
        COUNTRIES,
        (
            *("de", "nl", "bg", "el", "cs", "de", "da", "et", "es", "fi", "fr", "el", "hr", "hu", "en"),
            *("is", "it", "de", "lt", "fr", "lv", "en", "nl", "no", "pl", "pt", "ro", "sv", "sl", "sk"),
        ),
        strict=True,
    )
)
_PLACEMENTS, _OFFERS, _PLACES = 0.96, 0.70, 1.08
"""A company's, on average."""
_SKEW = 0.77
"""Exponent of the skills' Zipf law: the most frequent one is then taught by 15% of the offers."""
_SIBLINGS = 12
_SIBLING, _BROADER, _NARROWER = 25, 50, 80
"""Percent of a wished skill that one of the same group covers, one that is broader, and one that is narrower."""
_LISTED = 6
"""Skills in a list at most; -1 fills up."""
_LIKED = 3
_SPAN = 40
"""Days that a window's bit in the signature stands for."""


class End(NamedTuple):
    """One row: a placement, of the sender's side, or an offer, of the host's."""

    side: Side
    number: int


@dataclass(frozen=True)
class Ends:
    """All placements or all offers, a row each, in the order in which their companies arrive; n rows.

    What a row wishes for, a placement seeks and an offer needs; what it gives, a placement brings and an offer teaches.
    """

    key: Column
    """The first eight bytes of the row's UUID, all different: rows are ordered by id as by these. uint64 (n)"""
    company: Column
    """(n)"""
    arrival: Column
    """Days after ``START``. (n)"""
    country: Column
    """Index into ``COUNTRIES``. (n)"""
    division: Column
    """Index into ``DIVISIONS``. (n)"""
    destinations: Column
    """Bit c: the stay may be in country c; an offer's own, a placement's acceptable ones and never its own. uint32 (n)"""
    first: Column
    """Of the window, in days after ``START``, as ``last``. (n)"""
    last: Column
    min_days: Column
    max_days: Column
    capacity: Column
    """Places; a placement takes one. (n)"""
    levels: Column
    """Rank of the CEFR level in each of ``LANGUAGES``; -1: not spoken. (n, 24)"""
    liked: Column
    """Indices into ``DIVISIONS``, or -1. (n, 3)"""
    wished: Column
    """Indices into ``SKILLS``, or -1. (n, 6)"""
    given: Column
    """As ``wished``. (n, 6)"""

    def __len__(self) -> int:
        return len(self.key)

    def id(self, number: int) -> UUID:
        """The UUID of a row, of the class that PostgreSQL's driver gives: it is looked up twice as fast as the library's."""
        return pgproto.UUID((int(self.key[number]) << 64 | number).to_bytes(16))

    @staticmethod
    def number(id_: UUID) -> int:
        """The row that has the id."""
        return id_.int & 0xFFFF_FFFF_FFFF_FFFF

    @cached_property
    def section(self) -> Column:
        """NACE section, as an ordinal. (n)"""
        return _SECTIONS[self.division]

    @cached_property
    def working(self) -> Column:
        """Rank of the level in each language that one can work in, B1 or better, or -1. (n, 24)"""
        return np.where(self.levels >= Level.B1.rank, self.levels, -1)

    @cached_property
    def signature(self) -> Column:
        """Where, in what and when: two ends without a bit in common in each field do not fit. uint64 (n)

        Countries in bits 0-29, working languages in 30-53, stretches of forty days in 54-63; the last stretch has no end.
        """
        signature = self.destinations.astype(np.uint64)
        for number in range(len(LANGUAGES)):
            signature |= (self.levels[:, number] >= Level.B1.rank).astype(np.uint64) << np.uint64(30 + number)
        for number in range(10):
            touched = (self.first < (number + 1) * _SPAN) & (self.last >= number * _SPAN)
            if number == 9:
                touched = self.last >= number * _SPAN
            signature |= touched.astype(np.uint64) << np.uint64(54 + number)
        return signature


_FIELDS = tuple(np.uint64(((1 << width) - 1) << shift) for shift, width in ((0, 30), (30, 24), (54, 10)))


@dataclass(frozen=True)
class Market:
    """Everybody who arrives, and what scores depend on besides."""

    arrival: Column
    """Day on which each company arrives, in order; those too that neither send nor host. (companies)"""
    placements: Ends
    offers: Ends
    parameters: Parameters
    """``today`` is ``START``; rarity and relations as the generator fixed them."""

    def side(self, side: Side) -> Ends:
        return self.placements if side is Side.SENDER else self.offers

    def counterparts(self, end: End) -> Ends:
        return self.offers if end.side is Side.SENDER else self.placements

    def open(self, end: End) -> OpenPlacement | OpenOffer:
        """The domain's view of a row."""
        return self.placement(end.number) if end.side is Side.SENDER else self.offer(end.number)

    def placement(self, number: int) -> OpenPlacement:
        rows = self.placements
        return OpenPlacement(
            Placement(
                placement_id=rows.id(number),
                traveller_id=UUID(int=number),
                destinations=tuple(name for c, name in enumerate(COUNTRIES) if int(rows.destinations[number]) >> c & 1),
                skills_sought=_named(SKILLS, rows.wished[number]),
                skills_brought=_named(SKILLS, rows.given[number]),
                **_stay(rows, number),
            ),
            _home(rows, number),
        )

    def offer(self, number: int) -> OpenOffer:
        rows = self.offers
        return OpenOffer(
            HostingOffer(
                offer_id=rows.id(number),
                capacity=int(rows.capacity[number]),
                skills_needed=_named(SKILLS, rows.wished[number]),
                skills_taught=_named(SKILLS, rows.given[number]),
                **_stay(rows, number),
            ),
            _home(rows, number),
        )

    @cached_property
    def rarity(self) -> Column:
        """Weight of each skill, by its index; the last, which -1 refers to, weighs nothing. int64 (3,001)"""
        return np.array([*(self.parameters.rarity[skill] for skill in SKILLS), 0])

    @cached_property
    def nearness(self) -> Column:
        """Percent of the wished skill (row) that the given one (column) covers; -1 covers nothing. int8 (3,001, 3,001)"""
        near = np.zeros((len(SKILLS) + 1,) * 2, dtype=np.int8)
        number = {skill: index for index, skill in enumerate(SKILLS)}
        for wish, others in self.parameters.related.items():
            for given, percent in others.items():
                near[number[wish], number[given]] = percent
        np.fill_diagonal(near, WHOLE_PERCENT)
        near[-1, -1] = 0
        return near

    @cached_property
    def provision(self) -> Column:
        """``nearness`` by the given skill first, for reading whole rows of it."""
        return np.ascontiguousarray(self.nearness.T)

    @cached_property
    def tuples(self) -> dict[Side, list["_Row"]]:
        """Every row as plain Python numbers, prepared for ``plain_scan``."""
        return {side: [_row(self.side(side), number) for number in range(len(self.side(side)))] for side in Side}

    @cached_property
    def relations(self) -> dict[int, dict[int, int]]:
        """``parameters.related`` by the indices of skills."""
        number = {skill: index for index, skill in enumerate(SKILLS)}
        return {
            number[wish]: {number[given]: percent for given, percent in others.items()}
            for wish, others in self.parameters.related.items()
        }


def generate(companies: int, seed: int = 7) -> Market:
    """A population that arrives over ``ARRIVAL_DAYS``; the same for the same size and seed, as long as the flows are there.

    Args:
        companies: how many; a million takes some 4 s and 300 MB.
        seed: of everything random.
    """
    rng = np.random.default_rng([seed, companies])
    flows = _flows()
    sends, hosts = flows.sum(axis=1) / flows.sum(), flows.sum(axis=0) / flows.sum()
    sizes = (sends + hosts) / 2
    country = rng.choice(len(COUNTRIES), size=companies, p=sizes).astype(np.int8)
    arrival = np.sort(rng.integers(0, ARRIVAL_DAYS, companies)).astype(np.int16)
    divisions = rng.dirichlet(np.ones(len(DIVISIONS)))
    division = rng.choice(len(DIVISIONS), size=companies, p=divisions).astype(np.int8)
    popularity = np.arange(1, len(SKILLS) + 1) ** -_SKEW
    popularity = rng.permutation(popularity / popularity.sum())

    def ends(side: Side, mean: Column, wished: tuple[int, int], given: tuple[int, int]) -> Ends:
        company = np.repeat(np.arange(companies, dtype=np.int32), rng.poisson(mean[country]))
        home, count = country[company], len(company)
        first = arrival[company] + rng.integers(10, 120, count)
        shortest = rng.integers(MIN_STAY_DAYS, 31, count)
        return Ends(
            key=_scrambled(np.arange(count, dtype=np.uint64), seed * 2 + (side is Side.HOST)),
            company=company,
            arrival=arrival[company],
            country=home,
            division=division[company],
            destinations=_destinations(rng, flows, home)
            if side is Side.SENDER
            else np.uint32(1) << home.astype(np.uint32),
            first=first.astype(np.int16),
            last=(first + rng.integers(30, 120, count)).astype(np.int16),
            min_days=shortest.astype(np.int16),
            max_days=rng.integers(shortest, MAX_STAY_DAYS + 1).astype(np.int16),
            capacity=(1 + (rng.poisson(_PLACES / _OFFERS - 1, count) if side is Side.HOST else 0 * home)).astype(
                np.int16
            ),
            levels=_levels(rng, home),
            liked=_listed(rng, count, np.cumsum(divisions), _LIKED, (0, _LIKED)).astype(np.int8),
            wished=_listed(rng, count, np.cumsum(popularity), _LISTED, wished),
            given=_listed(rng, count, np.cumsum(popularity), _LISTED, given),
        )

    placements = ends(Side.SENDER, _PLACEMENTS * sends / sizes, wished=(1, 5), given=(1, 5))
    offers = ends(Side.HOST, _OFFERS * hosts / sizes, wished=(0, 5), given=(2, 6))
    parameters = Parameters(START, _rarity(placements, offers), _relations(rng))
    return Market(arrival, placements, offers, parameters)


def numpy_scan(market: Market, query: End, k: int) -> list[tuple[UUID, int]]:
    """The k best counterparts of a row and their scores, best first, ties by id: the signature, then all that pass it."""
    numbers, scores = fitting(market, query)
    if len(numbers) > k:
        enough = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        numbers, scores = numbers[enough], scores[enough]
    rows = market.counterparts(query)
    best = np.lexsort((rows.key[numbers], -scores))[:k]
    return [(rows.id(int(numbers[each])), int(scores[each])) for each in best]


def fitting(market: Market, query: End) -> tuple[Column, Column]:
    """All counterparts without an obstacle, in the order of their rows: row numbers, and scores as ``domain.score`` has them."""
    me, they, at = market.side(query.side), market.counterparts(query), query.number
    signature = they.signature & me.signature[at]
    numbers = np.flatnonzero(
        ((signature & _FIELDS[0]) != 0) & ((signature & _FIELDS[1]) != 0) & ((signature & _FIELDS[2]) != 0)
    )
    mine = market.nearness[me.wished[at]]
    theirs = market.provision[me.given[at]].max(axis=0)
    threshold = market.parameters.trains_from
    trains_me, trains_them = mine.max(axis=0) >= threshold, theirs >= threshold
    numbers = numbers[trains_me[they.given[numbers]].any(axis=1) | trains_them[they.wished[numbers]].any(axis=1)]

    today = (market.parameters.today - START).days
    overlap = (
        np.minimum(they.last[numbers], me.last[at]) - np.maximum(they.first[numbers], max(me.first[at], today)) + 1
    )
    longest = np.minimum(they.max_days[numbers], me.max_days[at])
    shortest = np.maximum(they.min_days[numbers], me.min_days[at])
    fits = (overlap >= MIN_STAY_DAYS) & (shortest <= np.minimum(longest, overlap))
    numbers, overlap, longest = numbers[fits], overlap[fits].astype(np.int64), longest[fits].astype(np.int64)

    weights = market.parameters.weights
    spoken = np.flatnonzero(me.working[at] >= 0)
    level = np.minimum(they.working[numbers[:, None], spoken], me.working[at, spoken]).max(axis=1).astype(np.int64)
    affinity = (they.division[numbers] == me.division[at]).astype(np.int64) + (they.section[numbers] == me.section[at])
    shared = (
        weights.sector * (affinity * (WHOLE // 2))
        + weights.level * (level * WHOLE // Level.C2.rank)
        + weights.overlap * (np.minimum(overlap, longest) * WHOLE // longest)
    )
    rarity = market.rarity
    wishes = they.wished[numbers]
    mine_covered = rarity[me.wished[at]] @ mine[:, they.given[numbers]].max(axis=2)
    theirs_covered = (rarity[wishes] * theirs[wishes]).sum(axis=1)
    mine_liked = np.isin(they.division[numbers], me.liked[at])
    theirs_liked = (they.liked[numbers] == me.division[at]).any(axis=1)

    def utility(covered: Column, whole: Column, liked: Column, likes: Column) -> Column:
        coverage = covered * WHOLE // (WHOLE_PERCENT * np.maximum(whole, 1))
        total = (
            shared + np.where(whole > 0, weights.coverage * coverage, 0) + weights.preference * WHOLE * (likes & liked)
        )
        applying = np.where(whole > 0, weights.coverage, 0) + np.where(likes, weights.preference, 0)
        return total // (weights.sector + weights.level + weights.overlap + applying)

    one = utility(mine_covered, rarity[me.wished[at]].sum(), mine_liked, (me.liked[at] >= 0).any())
    other = utility(theirs_covered, rarity[wishes].sum(axis=1), theirs_liked, (they.liked[numbers] >= 0).any(axis=1))
    return numbers, 2 * one * other // np.maximum(1, one + other)


def plain_scan(market: Market, query: End, k: int) -> list[tuple[UUID, int]]:
    """As ``numpy_scan``, by a loop over prepared tuples: what one would write first."""
    me = market.tuples[query.side][query.number]
    today = (market.parameters.today - START).days
    weights, related, rarity = market.parameters.weights, market.relations, market.rarity.tolist()
    trains_from = market.parameters.trains_from
    found: list[tuple[int, UUID]] = []

    def gain(wished: tuple[int, ...], given: tuple[int, ...]) -> tuple[int | None, bool]:
        whole = covered = 0
        trains = False
        for wish in wished:
            near, others = 0, related.get(wish, {})
            for each in given:
                near = max(near, WHOLE_PERCENT if each == wish else others.get(each, 0))
            whole += rarity[wish]
            covered += rarity[wish] * near
            trains |= near >= trains_from
        return (covered * WHOLE // (WHOLE_PERCENT * whole) if whole else None), trains

    def utility(coverage: int | None, liking: int | None, shared: int) -> int:
        total, weight = shared, weights.sector + weights.level + weights.overlap
        if coverage is not None:
            total, weight = total + weights.coverage * coverage, weight + weights.coverage
        if liking is not None:
            total, weight = total + weights.preference * liking, weight + weights.preference
        return total // weight

    for they in market.tuples[Side.HOST if query.side is Side.SENDER else Side.SENDER]:
        if not me.destinations & they.destinations:
            continue
        overlap = min(me.last, they.last) - max(me.first, they.first, today) + 1
        longest = min(me.max_days, they.max_days)
        if overlap < MIN_STAY_DAYS or max(me.min_days, they.min_days) > min(longest, overlap):
            continue
        level = max((min(rank, they.working.get(language, -1)) for language, rank in me.working.items()), default=-1)
        if level < 0:
            continue
        mine, trains_me = gain(me.wished, they.given)
        theirs, trains_them = gain(they.wished, me.given)
        if not (trains_me or trains_them):
            continue
        affinity = WHOLE if me.division == they.division else WHOLE // 2 if me.section == they.section else 0
        shared = (
            weights.sector * affinity
            + weights.level * (level * WHOLE // Level.C2.rank)
            + weights.overlap * (min(overlap, longest) * WHOLE // longest)
        )
        one = utility(mine, WHOLE * (they.division in me.liked) if me.liked else None, shared)
        other = utility(theirs, WHOLE * (me.division in they.liked) if they.liked else None, shared)
        found.append((-(2 * one * other // max(1, one + other)), they.id))
    return [(id_, -negated) for negated, id_ in nsmallest(k, found)]


Scan: TypeAlias = Callable[[Market, End, int], list[tuple[UUID, int]]]


class _Row(NamedTuple):
    id: UUID
    destinations: int
    first: int
    last: int
    min_days: int
    max_days: int
    working: dict[int, int]
    wished: tuple[int, ...]
    given: tuple[int, ...]
    liked: tuple[int, ...]
    division: int
    section: int


def _row(rows: Ends, number: int) -> _Row:
    def listed(column: Column) -> tuple[int, ...]:
        return tuple(each for each in column[number].tolist() if each >= 0)

    return _Row(
        rows.id(number),
        *(int(column[number]) for column in (rows.destinations, rows.first, rows.last, rows.min_days, rows.max_days)),
        {language: rank for language, rank in enumerate(rows.working[number].tolist()) if rank >= 0},
        listed(rows.wished),
        listed(rows.given),
        listed(rows.liked),
        int(rows.division[number]),
        int(rows.section[number]),
    )


def _named(names: tuple[str, ...], numbers: Column) -> tuple[str, ...]:
    return tuple(names[number] for number in numbers if number >= 0)


def _stay(rows: Ends, number: int) -> dict[str, Any]:
    first, last = (START + timedelta(days=int(column[number])) for column in (rows.first, rows.last))
    return {
        "languages": tuple(
            Spoken(language=language, level=list(Level)[rank])
            for language, rank in zip(LANGUAGES, rows.levels[number], strict=True)
            if rank >= 0
        ),
        "window": Window(first=first, last=last),
        "min_days": int(rows.min_days[number]),
        "max_days": int(rows.max_days[number]),
        "preferred_sectors": _named(DIVISIONS, rows.liked[number]),
    }


def _home(rows: Ends, number: int) -> Home:
    return Home(UUID(int=int(rows.company[number])), COUNTRIES[rows.country[number]], DIVISIONS[rows.division[number]])


def _flows() -> Column:
    """Travellers from country (row) to country (column), none within one. (30, 30)"""
    table = Path("shared/data/erasmus-flows-2012-13/erasmus_flows_2012_13_matrix.csv")
    found = next((folder / table for folder in Path(__file__).resolve().parents if (folder / table).exists()), None)
    if found is None:
        print("The Erasmus flows are not there: countries are drawn from a synthetic distribution.", file=sys.stderr)
        mass = 1 / np.arange(1, len(COUNTRIES) + 1)
        return np.outer(mass, mass) * (1 - np.eye(len(COUNTRIES)))
    with found.open() as file:
        rows = {row["dim_0"]: row for row in csv.DictReader(file)}
    return np.array([[float(rows[home][host]) for host in COUNTRIES] for home in COUNTRIES])


def _scrambled(numbers: Column, seed: int) -> Column:
    """Different numbers in no order: a bijection of 64 bits (splitmix64, Steele et al. 2014)."""
    mixed = (numbers + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)


def _destinations(rng: Generator, flows: Column, home: Column) -> Column:
    """One to eight draws by the flows from home, as bits."""
    cumulated = np.cumsum(flows / flows.sum(axis=1, keepdims=True), axis=1)
    cumulated[:, -1] = 1
    edges = (cumulated + np.arange(len(COUNTRIES))[:, None]).ravel()
    bits, draws = np.zeros(len(home), dtype=np.uint32), rng.integers(1, 9, len(home))
    for draw in range(8):
        drawn = np.searchsorted(edges, home + rng.random(len(home)), side="right") % len(COUNTRIES)
        bits |= (np.uint32(1) << drawn.astype(np.uint32)) * (draw < draws)
    return bits


def _levels(rng: Generator, home: Column) -> Column:
    """One's own language; English, with few exceptions; and of every third a further one."""
    count = len(home)
    levels = np.full((count, len(LANGUAGES)), -1, dtype=np.int8)
    rows = np.arange(count)

    def learned(who: Column, language: Column, shares: tuple[float, ...]) -> None:
        rank = rng.choice(len(Level), size=len(who), p=shares)
        levels[who, language] = np.maximum(levels[who, language], rank)

    tongue = np.array([LANGUAGES.index(_TONGUES[country]) for country in COUNTRIES])[home]
    levels[rows, tongue] = Level.C2.rank
    english = rows[rng.random(count) < 0.92]
    learned(english, np.full(len(english), LANGUAGES.index("en")), (0.05, 0.15, 0.25, 0.3, 0.2, 0.05))
    third = rows[rng.random(count) < 0.35]
    foreign = np.array([LANGUAGES.index(language) for language in ("de", "fr", "es", "it")])
    learned(third, rng.choice(foreign, size=len(third), p=(0.35, 0.3, 0.25, 0.1)), (0.2, 0.3, 0.25, 0.15, 0.1, 0))
    return levels


def _listed(rng: Generator, count: int, cumulated: Column, width: int, lengths: tuple[int, int]) -> Column:
    """Different numbers drawn by a cumulated distribution, filled up with -1; int16 (count, width)."""
    drawn = np.searchsorted(cumulated[:-1], rng.random((count, width), dtype=np.float32), side="right").astype(np.int16)
    drawn[np.arange(width) >= rng.integers(lengths[0], lengths[1] + 1, count)[:, None]] = -1
    drawn.sort(axis=1)
    drawn[:, 1:][drawn[:, 1:] == drawn[:, :-1]] = -1
    return drawn


def _rarity(*sides: Ends) -> dict[str, int]:
    """Inverse document frequency in thousandths, ln(N / df), of a placement or offer that names the skill in a list."""
    named = sum(
        np.bincount(column[column >= 0], minlength=len(SKILLS))
        for rows in sides
        for column in (rows.wished, rows.given)
    )
    idf = 1000 * np.log(sum(map(len, sides)) / np.maximum(named, 1))
    return dict(zip(SKILLS, np.maximum(1, np.rint(idf)).astype(int).tolist(), strict=True))


def _relations(rng: Generator) -> dict[str, dict[str, int]]:
    """Groups of siblings; in every second one the first skill is broader than the others."""
    related: dict[str, dict[str, int]] = {}
    for start in range(0, len(SKILLS), _SIBLINGS):
        group = SKILLS[start : start + _SIBLINGS]
        headed = rng.random() < 0.5
        for wish in group:
            related[wish] = {
                given: _NARROWER
                if headed and wish == group[0]
                else _BROADER
                if headed and given == group[0]
                else _SIBLING
                for given in group
                if given != wish
            }
    return related
