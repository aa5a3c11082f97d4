"""The market in memory: the exact best partners of a placement or an offer, in microseconds.

What it answers equals the brute force over :func:`matching.domain.score` always: the same integers, ties by id.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple
from datetime import date
from typing import NamedTuple
from uuid import UUID

import numpy as np
from asyncpg.pgproto import pgproto

from matching import domain
from matching.domain import OpenOffer, OpenPlacement, Parameters
from matching.index import asking, layout, loading, search, upkeep
from matching.index.layout import RECORD, Array, Ends, Skills

End = OpenPlacement | OpenOffer

ROOM = 2_000_000
"""Placements, and offers, that fit; only address space is taken for those that are not there."""

_EPOCH = date(1990, 1, 1).toordinal()
_MOVED = 1 << 63
_MOST_QUESTIONS = 2**31 - 1
_KNOWN = -1
"""The side of an end that is asked for by its id."""
_NOBODY = np.empty((0, 2), np.int64)


class Full(Exception):  # noqa: N818 - it is what happened
    """There is no room for another end, or for all that one end or the taxonomy has."""


class Candidate(NamedTuple):
    """An end of the other side that fits, and how well, in millionths."""

    id: UUID
    score: int


class Index:
    """Placements and offers by what they wish for and give. Not to be used by several threads at once."""

    def __init__(self, parameters: Parameters, room: int = ROOM) -> None:
        """``parameters.today`` does not matter: every question brings its own day.

        Raises:
            Full: the taxonomy has more skills than can be numbered, or there is to be room for more ends than that.
        """
        if room > layout.MOST_ENDS:
            raise Full(f"room for {room:,} ends, {layout.MOST_ENDS:,} at most")
        if len(parameters.rarity) > layout.MOST_SKILLS:
            raise Full(f"the taxonomy has {len(parameters.rarity):,} skills, {layout.MOST_SKILLS:,} at most")
        self._number = {skill: number for number, skill in enumerate(sorted(parameters.rarity))}
        self._names = loading.names(list(self._number))
        self._skills = _skills(parameters, self._number)
        self._terms = (*astuple(parameters.weights), parameters.trains_from)
        self._sides: tuple[Ends, Ends] = (layout.ends(room), layout.ends(room))
        self._market = layout.market(room, len(self._number))
        work, parts = layout.scratch(self._skills)
        placements, offers = self._sides
        self._whole = (tuple(placements), tuple(offers), tuple(self._market), tuple(self._skills), work, tuple(parts))
        self._record = np.zeros(1, RECORD)
        self._numbers = np.zeros(layout.LONGEST, np.int16)
        self._met: tuple[dict[UUID, set[UUID]], dict[UUID, set[UUID]]] = ({}, {})
        self._questions = 0

    def __len__(self) -> int:
        """Placements and offers together."""
        return sum(int(side.counts[layout.KNOWN]) for side in self._sides)

    @property
    def used_bytes(self) -> int:
        """Of all arrays, what is written to: the rest takes no memory."""
        used = self._market.postings.nbytes
        used += int(self._market.counts[layout.LISTED]) * 2 * self._market.lists.itemsize
        for side in self._sides:
            slots, pool = int(side.counts[layout.SLOTS]), int(side.counts[layout.POOL])
            used += slots * (RECORD.itemsize + 2 * side.ids.itemsize + side.chain.itemsize)
            used += int(side.counts[layout.BUCKETS]) * side.buckets.itemsize
            used += (pool - len(side.records) * 2 * layout.INLINE) * side.flat.itemsize
        return used

    def update(self, end: End) -> None:
        """Adds an end, or replaces what is known of it.

        Raises:
            Full: nothing is changed but that the end is not known any more.
        """
        side, id_ = _side(end), end.id
        self._remove(side, id_)
        numbers = self._encode(end)
        if not upkeep.add(self._sides[side], self._market, self._skills, side, *_halves(id_), self._record, numbers):
            raise Full(f"no room for more than {len(self)} ends")
        if isinstance(end, OpenPlacement) and end.met:
            self.meet(id_, end.met)

    add = update

    def remove(self, *ids: UUID) -> None:
        """Takes ends off the market; it is no error if one is not there."""
        upkeep.remove_each(self._sides, self._market, _numbers(ids))
        for id_ in ids:
            self._forget_meetings(id_)

    def candidates(self, end: End | UUID, k: int, today: date) -> list[Candidate]:
        """The best k of the other side, best first, ties by id; none for an id that is not known."""
        side, id_ = (_KNOWN, end) if isinstance(end, UUID) else (_side(end), end.id)
        met = end.met if isinstance(end, OpenPlacement) else self._met_by(id_)
        scores, others = np.empty(k, np.int64), np.empty((k, 16), np.uint8)
        if not isinstance(end, UUID):
            upkeep.fill(self._sides[side], self._skills, 0, self._record, self._encode(end))
        try:
            found = search.best(
                self._whole,
                side,
                *_halves(id_),
                (*self._terms, _day(today)),
                self._next_question(1),
                _numbers([*met]) if met else _NOBODY,
                scores,
                others,
            )
        finally:
            if not isinstance(end, UUID):
                upkeep.empty(self._sides[side], 0)
        return _candidates(scores, others, found)

    def candidates_of_each(self, ids: Sequence[UUID], k: int, today: date) -> dict[UUID, list[Candidate]]:
        """To each of these ends what :meth:`candidates` answers, without Python's lock while all of them are looked for."""
        met = [self._met_by(id_) for id_ in ids]
        scores, others = np.empty((len(ids), k), np.int64), np.empty((len(ids), k, 16), np.uint8)
        found = np.zeros(len(ids), np.int64)
        asking.best_of_each(
            self._whole, _numbers(ids), (*self._terms, _day(today)), self._next_question(len(ids)),
            _numbers([id_ for each in met for id_ in each]), np.cumsum([0, *map(len, met)]), scores, others, found,
        )  # fmt: skip
        return {
            id_: _candidates(values, named, count)
            for id_, values, named, count in zip(ids, scores, others, found.tolist(), strict=True)
        }

    def copying(self, side: type[End]) -> "Copying":
        """Takes what PostgreSQL copies out in binary, see :mod:`matching.index.loading` for the columns."""
        return Copying(self, 0 if side is OpenPlacement else 1)

    def meet(self, placement_id: UUID, offer_ids: Iterable[UUID]) -> None:
        """Tells whom a placement was matched with, which the columns of a COPY do not."""
        self._forget_meetings(placement_id)
        self._met[0][placement_id] = set(offer_ids)
        for offer_id in self._met[0][placement_id]:
            self._met[1].setdefault(offer_id, set()).add(placement_id)

    def load(self, side: int, data: Array) -> tuple[int, bool, int]:
        """Takes the whole rows at the beginning of ``data``: how many bytes that were, whether the last row is among them, and
        how many were left out, as they have more skills, languages and countries than an end may have.

        Raises:
            Full, ValueError: the rows before the one that did not fit, or could not be read, are taken.
        """
        told = np.zeros(4, np.int64)
        loading.load(data, self._sides[side], self._market, self._skills, side, self._names, self._record, told)
        if told[loading.STATUS] == loading.NO_ROOM:
            raise Full(f"no room for more than {len(self)} ends")
        if told[loading.STATUS] == loading.UNREADABLE:
            raise ValueError(f"row {told[loading.ROWS]} has other columns")
        return int(told[loading.READ]), bool(told[loading.STATUS] == loading.DONE), int(told[loading.LEFT_OUT])

    def _next_question(self, count: int) -> int:
        """The number of the first of so many."""
        if self._questions > _MOST_QUESTIONS - count:
            for each in self._sides:
                each.records["seen"] = 0
            self._questions = 0
        self._questions += count
        return self._questions - count + 1

    def _remove(self, side: int, id_: UUID) -> None:
        slot = upkeep.find(self._sides[side], *_halves(id_))
        if slot:
            upkeep.remove(self._sides[side], self._market, side, slot)
        if side == 0:
            self._forget_meetings(id_)

    def _met_by(self, id_: UUID) -> Collection[UUID]:
        return self._met[0].get(id_) or self._met[1].get(id_) or ()

    def _forget_meetings(self, placement_id: UUID) -> None:
        for offer_id in self._met[0].pop(placement_id, ()):
            self._met[1][offer_id].discard(placement_id)
            if not self._met[1][offer_id]:
                del self._met[1][offer_id]

    def _encode(self, end: End) -> Array:
        """Writes the record, and returns the numbers that go into the pool."""
        terms, home, record, number = end.terms, end.home, self._record[0], self._number
        if isinstance(end, OpenPlacement):
            wishes, gives, destinations = end.terms.skills_sought, end.terms.skills_brought, end.terms.destinations
            record["open"] = not end.taken
        else:
            wishes, gives, destinations = end.terms.skills_needed, end.terms.skills_taught, ()
            record["open"] = end.held < end.terms.capacity
        wished = sorted({number[skill] for skill in wishes if skill in number})
        given = sorted({number[skill] for skill in gives if skill in number})
        spoken = [
            (_code(language), level.rank) for language, level in domain.working_languages(terms.languages).items()
        ]
        countries = sorted({_code(country) for country in destinations})
        liked = sorted({int(sector) for sector in terms.preferred_sectors})
        numbers = [*wished, *given, *(8 * code + rank for code, rank in spoken), *countries, *liked]
        if len(numbers) > layout.LONGEST:
            raise Full(f"{end.id} has {len(numbers)} skills, languages and destinations, {layout.LONGEST} at most")
        record["n_wishes"], record["n_gives"] = len(wished), len(given)
        record["n_languages"], record["n_destinations"] = len(spoken), len(countries)
        record["n_liked"] = len(liked)
        record["first"], record["last"] = _day(terms.window.first), _day(terms.window.last)
        record["min_days"], record["max_days"] = terms.min_days, terms.max_days
        record["country"] = _code(home.country)
        record["sector"], record["section"] = int(home.sector), domain.section(home.sector)
        self._numbers[: len(numbers)] = numbers
        return self._numbers[: len(numbers)]


class Copying:
    """Feeds an index from the chunks of a binary COPY; what asyncpg calls with each."""

    def __init__(self, index: Index, side: int) -> None:
        self._index, self._side = index, side
        self._rest, self._begins = b"", True
        self.whole = False
        """The last row was taken."""
        self.left_out = 0
        """Rows with more numbers than an end may have."""

    def take(self, chunk: bytes) -> None:
        self._rest += chunk
        if self._begins and len(self._rest) >= loading.HEADER:
            self._begins, self._rest = False, self._rest[loading.HEADER :]
        if not self._begins:
            read, self.whole, left_out = self._index.load(self._side, np.frombuffer(self._rest, np.uint8))
            self._rest = self._rest[read:]
            self.left_out += left_out


def _skills(parameters: Parameters, number: dict[str, int]) -> Skills:
    pairs = [
        (wish, number[provided], percent)
        for skill, wish in number.items()
        for provided, percent in sorted(parameters.related.get(skill, {}).items())
        if provided in number and provided != skill and percent > 0
    ]
    covers = np.array(pairs, np.int32).reshape(-1, 3)
    covered = covers[np.lexsort((covers[:, 0], covers[:, 1]))]
    count = len(number)
    return Skills(
        rarity=np.array([parameters.rarity[skill] for skill in number], np.int32),
        covers_from=np.searchsorted(covers[:, 0], np.arange(count + 1)).astype(np.int32),
        covers=np.ascontiguousarray(covers[:, 1:]),
        covered_from=np.searchsorted(covered[:, 1], np.arange(count + 1)).astype(np.int32),
        covered=np.ascontiguousarray(covered[:, ::2]),
    )


def _side(end: End) -> int:
    return 0 if isinstance(end, OpenPlacement) else 1


def _halves(id_: UUID) -> tuple[int, int]:
    return (id_.int >> 64) - _MOVED, (id_.int & (1 << 64) - 1) - _MOVED


def _numbers(ids: Sequence[UUID]) -> Array:
    """The halves of each."""
    return (np.frombuffer(b"".join([id_.bytes for id_ in ids]), ">u8") ^ _MOVED).view(np.int64).reshape(-1, 2)


def _candidates(scores: Array, ids: Array, found: int) -> list[Candidate]:
    """The driver's UUID is one that is made in a tenth of the time."""
    named = ids.tobytes()
    return [
        Candidate(pgproto.UUID(named[at : at + 16]), score)
        for at, score in zip(range(0, 16 * found, 16), scores[:found].tolist(), strict=True)
    ]


def _code(letters: str) -> int:
    """Of a country or a language, which are two letters."""
    first, second = letters.encode()
    return (first & 31) * 26 + (second & 31) - 27


def _day(day: date) -> int:
    return loading.day(day.toordinal() - _EPOCH)
