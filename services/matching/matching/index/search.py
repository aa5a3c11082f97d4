"""Compiled: the exact best of the other side, of all who stand in a list of skills that can train somebody.

A candidate trains somebody, so it stands in a list: of those who give what is wished for here, or of those who wish for what is
given here. Most postings of these lists cannot fit, which the posting itself says in three comparisons; the others are scored.

The arithmetic is that of :func:`matching.domain.score`, in the same integers.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import njit

from matching.index.layout import Array, Ends, Market, Parts, Skills
from matching.index.upkeep import GUARDS, SLOT, find, numbers_at, stay, whereabouts

WHOLE = 1_000_000
PERCENT = 100
C2 = 5
SHORTEST = 14
GATHERED = 128
"""Candidates that are looked at together."""
ALL_PLACES = (1 << 32) - 1


Whole: TypeAlias = tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...], tuple[Any, ...], Array, tuple[Any, ...]]
"""Placements, offers, market, skills, working memory, its parts: plain tuples, which numba looks through three times faster."""


class Terms(NamedTuple):
    """The parameters in numbers."""

    coverage: int
    sector: int
    level: int
    overlap: int
    preference: int
    trains_from: int
    today: int
    """Days since 1990."""


@njit(cache=True, nogil=True, error_model="numpy")
def share(part: int, whole: int) -> int:
    """Rounded down, exact for numbers from 0 to 2^53: by floating point, which divides several times faster."""
    return int(part / whole)


@njit(cache=True, nogil=True, error_model="numpy")
def best(
    whole: Whole, side: int, high: int, low: int, by: tuple[int, ...], question: int,
    but_not: Array, scores: Array, ids: Array,
) -> int:  # fmt: skip
    """Writes scores and ids of those who fit best, best first, ties by id, and returns how many there are.

    ``side`` is that of a stranger, whose record is in slot 0, or -1 for the end that has the id. Ids in ``but_not`` are left out.
    """
    placements, offers, market = Ends(*whole[0]), Ends(*whole[1]), Market(*whole[2])
    skills, work, parts, terms = Skills(*whole[3]), whole[4], Parts(*whole[5]), Terms(*by)
    slot = 0
    if side < 0:
        side, slot = 0, find(placements, high, low)
        if slot == 0:
            side, slot = 1, find(offers, high, low)
        if slot == 0:
            return 0
    mine, theirs = (placements, offers) if side == 0 else (offers, placements)
    me, numbers = mine.records[slot], mine.flat
    start = numbers_at(me, slot)
    if me.open == 0 or scores.shape[0] == 0:
        return 0
    keys, n_giving, n_lists = _prepare(me, numbers, start, skills, work, parts, terms.trains_from)
    length = max(SHORTEST, me.min_days) - 1
    when = stay(max(me.first, terms.today) + length, me.last - length, me.min_days, me.max_days)
    where = whereabouts(market, me, numbers, start, side)
    places, spoken = where & ALL_PLACES, where & ~ALL_PLACES
    waiting, slots = np.empty(GATHERED, np.int32), np.empty(scores.shape[0], np.int32)
    lists, records, flat = market.lists, theirs.records, theirs.flat
    found = n_waiting = n_read = at = end = 0
    while True:
        if at < end and n_waiting < GATHERED // 2:
            part = min(end, at + GATHERED - n_waiting)
            for i in range(at, part):
                waiting[n_waiting] = lists[2 * i] & SLOT
                # without a branch, which could not be foretold
                n_waiting += (
                    ((lists[2 * i] - when) & GUARDS == GUARDS)
                    & (lists[2 * i + 1] & places != 0)
                    & (lists[2 * i + 1] & spoken != 0)
                )
            at = part
        elif at == end and n_read < n_lists:
            listed = market.postings[1 - side, 0 if n_read < n_giving else 1, keys[n_read]]
            at, end = listed.head, listed.head + listed.length
            n_read += 1
        elif n_waiting == 0:
            break
        else:
            # all records are asked for before the first is looked at: so the memory answers many at once
            fresh = 0
            for i in range(n_waiting):
                them = waiting[i]
                waiting[fresh] = them
                fresh += records[them].seen != question
                records[them].seen = question
            for i in range(fresh):
                them = waiting[i]
                value = _score(
                    me, numbers, start, records[them], flat, numbers_at(records[them], them),
                    work, parts, terms, 1 - side,
                )  # fmt: skip
                if value >= 0 and not _among(but_not, theirs.ids, them):
                    found = _keep(theirs, scores, slots, found, value, them)
            n_waiting = 0
    _forget(me, numbers, start, skills, work, parts)
    for i in range(found):
        for half in range(2):
            for j in range(8):  # as a UUID has them, the highest first
                ids[i, 8 * half + j] = (theirs.ids[slots[i], half] >> (56 - 8 * j)) ^ (128 if j == 0 else 0)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _prepare(me, numbers: Array, start: int, skills: Skills, work: Array, parts: Parts, trains_from: int):  # type: ignore[no-untyped-def]
    """What covers my wishes and what I cover; and whose lists train, first of those who give a skill, then of those who wish."""
    n_wishes, n_gives = me.n_wishes, me.n_gives
    room = n_wishes + n_gives
    for i in range(room):
        skill = numbers[start + i]
        starts = skills.covers_from if i < n_wishes else skills.covered_from
        room += starts[skill + 1] - starts[skill]
    keys = np.empty(room, np.int32)
    n_lists = n_entries = 0
    for i in range(n_wishes):
        wish = numbers[start + i]
        for at in range(skills.covers_from[wish] - 1, skills.covers_from[wish + 1]):
            itself = at < skills.covers_from[wish]
            skill = wish if itself else skills.covers[at, 0]
            percent = PERCENT if itself else skills.covers[at, 1]
            n_entries += 1
            entry = parts.entries + 3 * n_entries
            work[entry], work[entry + 1], work[entry + 2] = i, percent, work[parts.entry + skill]
            work[parts.entry + skill] = entry
            if percent >= trains_from:
                keys[n_lists] = skill
                n_lists += 1
    n_giving = n_lists
    for i in range(n_wishes, n_wishes + n_gives):
        gift = numbers[start + i]
        work[parts.given + gift] = PERCENT
        for at in range(skills.covered_from[gift], skills.covered_from[gift + 1]):
            wish = skills.covered[at, 0]
            work[parts.given + wish] = max(work[parts.given + wish], skills.covered[at, 1])
    for i in range(n_wishes, n_wishes + n_gives):
        gift = numbers[start + i]
        for at in range(skills.covered_from[gift] - 1, skills.covered_from[gift + 1]):
            wish = gift if at < skills.covered_from[gift] else skills.covered[at, 0]
            percent = work[parts.given + wish]
            if percent >= trains_from and work[parts.listed + wish] == 0:
                work[parts.listed + wish] = 1
                keys[n_lists] = wish
                n_lists += 1
    at = start + n_wishes + n_gives
    for i in range(me.n_languages):
        spoken = numbers[at + i]
        work[parts.level + (spoken >> 3)] = spoken & 7
    at += me.n_languages
    for i in range(me.n_destinations):
        work[parts.wanted + numbers[at + i]] = 1
    return keys, n_giving, n_lists


@njit(cache=True, nogil=True, error_model="numpy")
def _forget(me, numbers: Array, start: int, skills: Skills, work: Array, parts: Parts) -> None:  # type: ignore[no-untyped-def]
    n_wishes, n_gives = me.n_wishes, me.n_gives
    for i in range(n_wishes):
        wish = numbers[start + i]
        work[parts.entry + wish] = 0
        for at in range(skills.covers_from[wish], skills.covers_from[wish + 1]):
            work[parts.entry + skills.covers[at, 0]] = 0
    for i in range(n_wishes, n_wishes + n_gives):
        gift = numbers[start + i]
        work[parts.given + gift] = work[parts.listed + gift] = 0
        for at in range(skills.covered_from[gift], skills.covered_from[gift + 1]):
            work[parts.given + skills.covered[at, 0]] = work[parts.listed + skills.covered[at, 0]] = 0
    at = start + n_wishes + n_gives
    for i in range(me.n_languages):
        work[parts.level + (numbers[at + i] >> 3)] = 0
    at += me.n_languages
    for i in range(me.n_destinations):
        work[parts.wanted + numbers[at + i]] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _score(  # type: ignore[no-untyped-def]
    me, mine: Array, my_start: int, them, theirs: Array, start: int,
    work: Array, parts: Parts, terms: Terms, side: int,
) -> int:  # fmt: skip
    """The score in millionths, -1 if a hard constraint forbids it."""
    first, last = max(me.first, them.first, terms.today), min(me.last, them.last)
    days = last - first + 1
    shortest, longest = max(me.min_days, them.min_days), min(me.max_days, them.max_days)
    if me.country == them.country or days < SHORTEST or shortest > min(longest, days):
        return -1
    wishes = start + them.n_wishes
    gives = wishes + them.n_gives
    languages = gives + them.n_languages
    goes = side == 1 and work[parts.wanted + them.country] != 0
    for i in range(languages, languages + them.n_destinations):
        goes |= theirs[i] == me.country
    level = 0
    for i in range(gives, languages):
        level = max(level, min(theirs[i] & 7, work[parts.level + (theirs[i] >> 3)]))
    if not goes or level == 0:
        return -1
    trained = False
    for i in range(me.n_wishes):
        work[parts.most + i] = 0
    for i in range(wishes, gives):
        entry = work[parts.entry + theirs[i]]
        while entry != 0:
            wish, percent = parts.most + work[entry], work[entry + 1]
            work[wish] = max(work[wish], percent)
            trained |= percent >= terms.trains_from
            entry = work[entry + 2]
    given = 0
    for i in range(start, wishes):
        percent = work[parts.given + theirs[i]]
        given += percent * work[theirs[i]]
        trained |= percent >= terms.trains_from
    if not trained:
        return -1
    covered = 0
    for i in range(me.n_wishes):
        covered += work[parts.most + i] * work[mine[my_start + i]]
    same = 0
    if me.sector == them.sector:
        same = WHOLE
    elif me.section == them.section:
        same = WHOLE // 2
    level_share = level * WHOLE // C2
    overlap = WHOLE if days >= longest else share(days * WHOLE, longest)
    return _harmonic(
        _utility(
            terms,
            share(covered * WHOLE, PERCENT * me.weight) if me.weight > 0 else -1,
            same, level_share, overlap, _likes(me, mine, my_start, them.sector),
        ),
        _utility(
            terms,
            share(given * WHOLE, PERCENT * them.weight) if them.weight > 0 else -1,
            same, level_share, overlap, _likes(them, theirs, start, me.sector),
        ),
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _utility(terms: Terms, coverage: int, sector: int, level: int, overlap: int, preference: int) -> int:
    """The weighted mean of what applies; -1 says that coverage or preference does not."""
    total = terms.sector * sector + terms.level * level + terms.overlap * overlap
    weight = terms.sector + terms.level + terms.overlap
    if coverage >= 0:
        total += terms.coverage * coverage
        weight += terms.coverage
    if preference >= 0:
        total += terms.preference * preference
        weight += terms.preference
    return share(total, weight)


@njit(cache=True, nogil=True, error_model="numpy")
def _harmonic(one: int, other: int) -> int:
    return share(2 * one * other, max(1, one + other))


@njit(cache=True, nogil=True, error_model="numpy")
def _likes(one, numbers: Array, start: int, sector: int) -> int:  # type: ignore[no-untyped-def]
    if one.n_liked == 0:
        return -1
    at = start + one.n_wishes + one.n_gives + one.n_languages + one.n_destinations
    for i in range(at, at + one.n_liked):
        if numbers[i] == sector:
            return WHOLE
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def section_of(sector: int) -> int:
    """As :func:`matching.domain.section`."""
    section = 0
    for start in (1, 5, 10, 35, 36, 41, 46, 49, 55, 58, 61, 64, 68, 69, 77, 84, 85, 86, 90, 94, 97, 99):
        if sector >= start:
            section += 1
    return section


@njit(cache=True, nogil=True, error_model="numpy")
def _among(some: Array, ids: Array, slot: int) -> bool:
    for i in range(some.shape[0]):  # noqa: SIM110 - compiled
        if some[i, 0] == ids[slot, 0] and some[i, 1] == ids[slot, 1]:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _keep(theirs: Ends, scores: Array, slots: Array, found: int, value: int, slot: int) -> int:
    """Inserts into the best so far, which are in order; returns how many there are."""
    if found == scores.shape[0]:
        if not _before(theirs, value, slot, scores[found - 1], slots[found - 1]):
            return found
        at = found - 1
    else:
        at = found
        found += 1
    while at > 0 and _before(theirs, value, slot, scores[at - 1], slots[at - 1]):
        scores[at], slots[at] = scores[at - 1], slots[at - 1]
        at -= 1
    scores[at], slots[at] = value, slot
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _before(theirs: Ends, value: int, slot: int, other_value: int, other: int) -> bool:
    if value != other_value:
        return value > other_value
    if theirs.ids[slot, 0] != theirs.ids[other, 0]:
        return theirs.ids[slot, 0] < theirs.ids[other, 0]
    return theirs.ids[slot, 1] < theirs.ids[other, 1]
