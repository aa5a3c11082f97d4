"""Compiled: the exact best of the other side, by lists of skills that are read best first.

Two-sided MaxScore. A candidate trains somebody, so it stands in a list: of those who give what is wished for here, or of those
who wish for what is given here. The lists of one class (a section, with or without wishes) are put in order, short ones first,
and before each one stands a bound: what an end can score at most that is in none of the lists before it. The list with the
highest bound of all is read next, until no bound reaches the last of the best k. (Turtle and Flood, 1995, for one side's sums.)

The arithmetic is that of :func:`matching.domain.score`, in the same integers.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from matching.index.layout import CLASSES, SHARE, Array, Ends, Market, Parts, Skills
from matching.index.upkeep import filters, numbers_at, span

WHOLE = 1_000_000
PERCENT = 100
C2 = 5
SHORTEST = 14
GATHERED = 128
"""Candidates that are looked at together."""


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
    mine: Ends,
    slot: int,
    theirs: Ends,
    side: int,
    market: Market,
    skills: Skills,
    work: Array,
    parts: Parts,
    terms: Terms,
    question: int,
    but_not: Array,
    scores: Array,
    slots: Array,
) -> int:
    """Writes the best of ``theirs`` for an end of ``mine``, best first, ties by id, and returns how many there are.

    ``side`` is 0 when the candidates are placements and 1 when they are offers; ``but_not`` are slots that are left out.
    """
    me, numbers = mine.records[slot], mine.flat
    start = numbers_at(me, slot)
    if me.open == 0 or scores.shape[0] == 0:
        return 0
    keys, percents, wishes, n_lists = _prepare(me, numbers, start, skills, work, parts, terms.trains_from)
    order = np.empty((CLASSES, n_lists), np.int32)
    lengths = np.zeros(CLASSES, np.int32)
    for j in range(n_lists):
        kinds = market.kinds[side, 1 if wishes[j] < 0 else 0, keys[j]]
        kind = 0
        while kinds != 0:
            if kinds & 1 != 0:
                order[kind, lengths[kind]] = j
                lengths[kind] += 1
            kinds >>= 1
            kind += 1
    bounds = np.empty((CLASSES, n_lists), np.int64)
    _bound(me, numbers, start, market, skills, terms, side, order, lengths, bounds, keys, percents, wishes)
    places, spoken = filters(me, numbers, start, 1 - side)
    last_span = span(me.last - max(SHORTEST, me.min_days) + 1)
    first_span = span(max(me.first, terms.today) + max(SHORTEST, me.min_days) - 1)
    waiting = np.empty(GATHERED, np.int32)
    reached, current = np.zeros(CLASSES, np.int32), np.full(CLASSES, -1)
    for kind in range(CLASSES):
        if lengths[kind] > 0:
            current[kind] = bounds[kind, 0]
    lists, postings, records, flat = market.lists, market.postings, theirs.records, theirs.flat
    found = n_waiting = at = end = 0
    while True:
        if at < end and n_waiting < GATHERED // 2:
            part = min(end, at + GATHERED - n_waiting)
            for i in range(at, part):
                where, when = lists[3 * i + 1], lists[3 * i + 2]
                waiting[n_waiting] = lists[3 * i]
                # without a branch, which could not be foretold
                n_waiting += (
                    (where & places != 0)
                    & ((where >> 20) & 63 <= me.max_days)
                    & ((where >> 26) & 63 >= me.min_days)
                    & (when & spoken != 0)
                    & ((when >> 12) & 4_095 <= last_span)
                    & (when & 4_095 >= first_span)
                )
            at = part
            continue
        kind = np.argmax(current)
        bound = current[kind]
        over = at == end and (bound < 0 or (found == scores.shape[0] and bound < scores[found - 1]))
        if n_waiting > 0 and (over or n_waiting >= GATHERED // 2):
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
                    work, parts, terms, side,
                )  # fmt: skip
                if value >= 0 and not _among(but_not, them):
                    found = _keep(theirs, scores, slots, found, value, them)
            n_waiting = 0
        elif over:
            break
        else:
            j = order[kind, reached[kind]]
            reached[kind] += 1
            current[kind] = bounds[kind, reached[kind]] if reached[kind] < lengths[kind] else -1
            listed = postings[side, 1 if wishes[j] < 0 else 0, keys[j], kind]
            at, end = listed.head, listed.head + listed.length
    _forget(me, numbers, start, skills, work, parts)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _prepare(me, numbers: Array, start: int, skills: Skills, work: Array, parts: Parts, trains_from: int):  # type: ignore[no-untyped-def]
    """What covers my wishes and what I cover, and which lists train: by skill, percent, and wish (-1: a list of wishes)."""
    n_wishes, n_gives = me.n_wishes, me.n_gives
    room = n_wishes + n_gives
    for i in range(room):
        skill = numbers[start + i]
        starts = skills.covers_from if i < n_wishes else skills.covered_from
        room += starts[skill + 1] - starts[skill]
    keys, percents, wishes = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32)
    n_lists, n_entries = 0, 0
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
                keys[n_lists], percents[n_lists], wishes[n_lists] = skill, percent, i
                n_lists += 1
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
                keys[n_lists], percents[n_lists], wishes[n_lists] = wish, percent, -1
                n_lists += 1
    at = start + n_wishes + n_gives
    for i in range(me.n_languages):
        spoken = numbers[at + i]
        work[parts.level + (spoken >> 3)] = spoken & 7
    at += me.n_languages
    for i in range(me.n_destinations):
        work[parts.wanted + numbers[at + i]] = 1
    return keys, percents, wishes, n_lists


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
def _bound(  # type: ignore[no-untyped-def]
    me, numbers: Array, start: int, market: Market, skills: Skills, terms: Terms, side: int,
    order: Array, lengths: Array, bounds: Array, keys: Array, percents: Array, wishes: Array,
) -> None:  # fmt: skip
    """Puts the lists of each class in order, and before each the most that an end can score which is only in it or after it.

    What trains nobody may still add to the score: a wish is covered by the best that is below ``trains_from`` whatever was read.
    """
    rest = np.zeros(me.n_wishes, np.int64)
    rest_covered = rest_given = 0
    for i in range(me.n_wishes):
        for at in range(skills.covers_from[numbers[start + i]], skills.covers_from[numbers[start + i] + 1]):
            if skills.covers[at, 1] < terms.trains_from:
                rest[i] = max(rest[i], skills.covers[at, 1])
        rest_covered += rest[i] * skills.rarity[numbers[start + i]]
    for i in range(me.n_wishes, me.n_wishes + me.n_gives):
        for at in range(skills.covered_from[numbers[start + i]], skills.covered_from[numbers[start + i] + 1]):
            if skills.covered[at, 1] < terms.trains_from:
                rest_given = max(rest_given, skills.covered[at, 1])
    level = 0
    for i in range(me.n_languages):
        level = max(level, numbers[start + me.n_wishes + me.n_gives + i] & 7)
    level = level * WHOLE // C2
    most, sizes = np.empty(me.n_wishes, np.int64), np.empty(order.shape[1], np.int32)
    for kind in range(CLASSES):
        n = lengths[kind]
        for a in range(n):
            j = order[kind, a]
            size = market.postings[side, 1 if wishes[j] < 0 else 0, keys[j], kind].length
            b = a - 1
            while b >= 0 and sizes[b] > size:
                order[kind, b + 1], sizes[b + 1] = order[kind, b], sizes[b]
                b -= 1
            order[kind, b + 1], sizes[b + 1] = j, size
        same = WHOLE if kind // 2 == me.section else 0
        liked = _likes_section(me, numbers, start, kind // 2)
        most[:] = rest
        covered, given, given_most = rest_covered, 0, rest_given
        for a in range(n - 1, -1, -1):
            j = order[kind, a]
            if wishes[j] < 0:
                impact = market.postings[side, 1, keys[j], kind].impact
                given += impact * (percents[j] - rest_given)
                given_most = max(given_most, percents[j])
            elif percents[j] > most[wishes[j]]:
                covered += (percents[j] - most[wishes[j]]) * skills.rarity[numbers[start + wishes[j]]]
                most[wishes[j]] = percents[j]
            theirs = min(given_most * SHARE, rest_given * SHARE + given) * (WHOLE // SHARE) // PERCENT
            bounds[kind, a] = _harmonic(
                _utility(
                    terms,
                    share(covered * WHOLE, PERCENT * me.weight) if me.weight > 0 else -1,
                    same,
                    level,
                    WHOLE,
                    liked,
                ),
                _utility(terms, theirs if kind & 1 else -1, same, level, WHOLE, WHOLE),
            )


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
def _likes_section(me, numbers: Array, start: int, section: int) -> int:  # type: ignore[no-untyped-def]
    if me.n_liked == 0:
        return -1
    at = start + me.n_wishes + me.n_gives + me.n_languages + me.n_destinations
    for i in range(at, at + me.n_liked):
        if section_of(numbers[i]) == section:
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
def _among(slots: Array, slot: int) -> bool:
    for each in slots:  # noqa: SIM110 - compiled
        if each == slot:
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
