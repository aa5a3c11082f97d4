"""Compiled: finding, adding and removing an end, each in microseconds and without a pause at any size."""

import numpy as np
from numba import njit

from matching.index.layout import (
    BUCKETS,
    COUNTRIES,
    FREED,
    INLINE,
    KNOWN,
    LANGUAGES,
    LISTED,
    POOL,
    SIZES,
    SLOT_BITS,
    SLOTS,
    Array,
    Ends,
    Market,
    Skills,
)

SLOT = (1 << SLOT_BITS) - 1
SPANS = (1 << 13) - 1
GUARDS = (1 << (SLOT_BITS + 13)) | (1 << (SLOT_BITS + 27)) | (1 << (SLOT_BITS + 34)) | -(1 << 63)
"""The bit above each of the four numbers of a stay."""


@njit(cache=True, nogil=True)
def find(ends: Ends, high: int, low: int) -> int:
    """The slot of an id, 0 if it is not known."""
    slot = ends.buckets[_bucket(ends, high, low)]
    while slot != 0 and (ends.ids[slot, 0] != high or ends.ids[slot, 1] != low):
        slot = ends.chain[slot]
    return slot


@njit(cache=True, nogil=True)
def remove(ends: Ends, market: Market, side: int, slot: int) -> None:
    """Takes an end out of the index; its slot, its numbers and its empty blocks are used again."""
    if ends.records[slot].open != 0:
        _unlist(ends, market, side, slot)
    bucket = _bucket(ends, ends.ids[slot, 0], ends.ids[slot, 1])
    at = ends.buckets[bucket]
    if at == slot:
        ends.buckets[bucket] = ends.chain[slot]
    else:
        while ends.chain[at] != slot:
            at = ends.chain[at]
        ends.chain[at] = ends.chain[slot]
    empty(ends, slot)
    ends.chain[slot] = ends.counts[FREED]
    ends.counts[FREED] = slot
    ends.counts[KNOWN] -= 1


@njit(cache=True, nogil=True)
def remove_each(sides: tuple[Ends, Ends], market: Market, ids: Array) -> None:
    """Takes ends of either side out of the index, as far as they are there."""
    for i in range(ids.shape[0]):
        for side in range(2):
            slot = find(sides[side], ids[i, 0], ids[i, 1])
            if slot != 0:
                remove(sides[side], market, side, slot)


@njit(cache=True, nogil=True)
def add(
    ends: Ends, market: Market, skills: Skills, side: int, high: int, low: int, record: Array, numbers: Array
) -> int:
    """Puts an end that is not known into the index: its slot, or 0 when there is no room."""
    slot = place(ends, skills, high, low, record, numbers)
    if slot != 0 and record[0].open != 0:
        if not _list(ends, market, side, slot):
            remove(ends, market, side, slot)
            return 0
        ends.records[slot].open = 1
    return slot


@njit(cache=True, nogil=True)
def place(ends: Ends, skills: Skills, high: int, low: int, record: Array, numbers: Array) -> int:
    """The first half of adding: it is known, and not open. Its slot, or 0 when there is no room."""
    slot = ends.counts[FREED]
    if slot != 0:
        ends.counts[FREED] = ends.chain[slot]
    else:
        slot = ends.counts[SLOTS]
        if slot >= ends.records.shape[0]:
            return 0
        ends.counts[SLOTS] += 1
    if not fill(ends, skills, slot, record, numbers):
        ends.chain[slot] = ends.counts[FREED]
        ends.counts[FREED] = slot
        return 0
    ends.records[slot].open = 0
    ends.ids[slot, 0], ends.ids[slot, 1] = high, low
    _split(ends)
    bucket = _bucket(ends, high, low)
    ends.chain[slot] = ends.buckets[bucket]
    ends.buckets[bucket] = slot
    ends.counts[KNOWN] += 1
    return slot


@njit(cache=True, nogil=True)
def open_together(ends: Ends, market: Market, side: int, slots: Array) -> bool:
    """The second half of adding: these are found by questions. Without room for all of them, none is known any more.

    List by list, so that the one in hand stays in the caches: one by one, half of the time goes to waiting for the memory.
    """
    skills, count = market.postings.shape[2], slots.shape[0]
    when: Array = np.empty(count, np.int64)
    where: Array = np.empty(count, np.int64)
    until: Array = np.zeros(2 * skills, np.int64)
    for row in range(count):
        record, slot = ends.records[slots[row]], slots[row]
        at = numbers_at(record, slot)
        when[row] = _when(record, slot)
        where[row] = whereabouts(market, record, ends.flat, at, side)
        for i in range(record.n_wishes + record.n_gives):
            until[_key(skills, record, i, ends.flat[at + i])] += 1
    until = np.cumsum(until)
    rows = np.empty(until[-1], np.int32)
    for row in range(count - 1, -1, -1):
        record, slot = ends.records[slots[row]], slots[row]
        at = numbers_at(record, slot)
        for i in range(record.n_wishes + record.n_gives):
            key = _key(skills, record, i, ends.flat[at + i])
            until[key] -= 1
            rows[until[key]] = row
    posted, room = 0, True
    for key in range(2 * skills):
        postings, skill = market.postings[side, key // skills], key % skills
        end = until[key + 1] if key + 1 < 2 * skills else rows.shape[0]
        while room and posted < end:
            room = _post(market, postings, skill, when[rows[posted]], where[rows[posted]])
            posted += room
        if not room:
            for i in range(until[key], posted):
                _strike(market, postings, skill, slots[rows[i]])
            for before in range(key):
                for i in range(until[before], until[before + 1]):
                    _strike(market, market.postings[side, before // skills], before % skills, slots[rows[i]])
            for slot in slots:
                remove(ends, market, side, slot)
            return False
    for slot in slots:
        ends.records[slot].open = 1
    return True


@njit(cache=True, nogil=True)
def _key(skills: int, record, i: int, skill: int) -> int:  # type: ignore[no-untyped-def]
    """Which of all lists of a side the i-th of an end's skills stands in."""
    return skill + (skills if i < record.n_wishes else 0)


@njit(cache=True, nogil=True)
def fill(ends: Ends, skills: Skills, slot: int, record: Array, numbers: Array) -> bool:
    """Writes a record and its numbers to a slot; False when there is no room."""
    size = numbers.shape[0]
    start = 0
    if size > INLINE:
        start = ends.freed[size]
        if start != 0:
            ends.freed[size] = (ends.flat[start] << 16) | (ends.flat[start + 1] & 0xFFFF)
        else:
            start = ends.counts[POOL]
            if start + size > ends.flat.shape[0]:
                return False
            ends.counts[POOL] += size
    ends.records[slot] = record[0]
    ends.records[slot].start = start
    ends.records[slot].seen = 0
    at = numbers_at(ends.records[slot], slot)
    weight = 0
    for i in range(size):
        ends.flat[at + i] = numbers[i]
        if i < record[0].n_wishes:
            weight += skills.rarity[numbers[i]]
    ends.records[slot].weight = weight
    return True


@njit(cache=True, nogil=True)
def empty(ends: Ends, slot: int) -> None:
    """Gives the numbers of a slot back to the pool."""
    record = ends.records[slot]
    start = record.start
    if start != 0:
        size = record.n_wishes + record.n_gives + record.n_languages + record.n_destinations + record.n_liked
        ends.flat[start], ends.flat[start + 1] = ends.freed[size] >> 16, ends.freed[size] & 0xFFFF
        ends.freed[size] = start
        record.start = 0


@njit(cache=True, nogil=True)
def numbers_at(record, slot: int) -> int:  # type: ignore[no-untyped-def]
    """Where in ``flat`` the numbers of an end begin: wishes, gives, languages, destinations, liked divisions."""
    return record.start if record.start != 0 else slot * 2 * INLINE + INLINE


@njit(cache=True, nogil=True)
def _bucket(ends: Ends, high: int, low: int) -> int:
    """Linear hashing (Litwin, 1980): one more bucket per end, and only one bucket's ends move."""
    mixed = (high ^ (low * 0x1E3779B97F4A7C15)) & 0x7FFFFFFFFFFFFFFF
    mixed ^= mixed >> 32
    mixed ^= mixed >> 15
    buckets = ends.counts[BUCKETS]
    whole = 1
    while whole < buckets:
        whole <<= 1
    bucket = mixed & (whole - 1)
    return bucket if bucket < buckets else bucket & (whole // 2 - 1)


@njit(cache=True, nogil=True)
def _split(ends: Ends) -> None:
    new = ends.counts[BUCKETS]
    if new >= ends.buckets.shape[0]:
        return
    half = 1
    while half * 2 <= new:
        half *= 2
    ends.counts[BUCKETS] = new + 1
    slot, ends.buckets[new - half] = ends.buckets[new - half], 0
    while slot != 0:
        following = ends.chain[slot]
        bucket = _bucket(ends, ends.ids[slot, 0], ends.ids[slot, 1])
        ends.chain[slot] = ends.buckets[bucket]
        ends.buckets[bucket] = slot
        slot = following


@njit(cache=True, nogil=True)
def _list(ends: Ends, market: Market, side: int, slot: int) -> bool:
    record = ends.records[slot]
    numbers, at, wishes = ends.flat, numbers_at(record, slot), record.n_wishes
    when = _when(record, slot)
    where = whereabouts(market, record, numbers, at, side)
    for i in range(wishes + record.n_gives):
        if not _post(market, market.postings[side, 1 if i < wishes else 0], numbers[at + i], when, where):
            for j in range(i):
                _strike(market, market.postings[side, 1 if j < wishes else 0], numbers[at + j], slot)
            return False
    return True


@njit(cache=True, nogil=True)
def _when(record, slot: int) -> int:  # type: ignore[no-untyped-def]
    """The first half of a posting."""
    return stay(record.last, record.first, record.max_days, record.min_days) | GUARDS | slot


@njit(cache=True, nogil=True)
def stay(least_last: int, most_first: int, least_max: int, most_min: int) -> int:
    """When, in spans of four days, and how long: four numbers in one, each of which is greater where more fit.

    With the guards set, the stay that is asked for can be taken from the one that is offered: no guard is lost where all fits.
    """
    return (
        (_span(least_last) << SLOT_BITS)
        | ((SPANS - _span(most_first)) << (SLOT_BITS + 14))
        | (least_max << (SLOT_BITS + 28))
        | ((63 - most_min) << (SLOT_BITS + 35))
    )


@njit(cache=True, nogil=True)
def _span(day: int) -> int:
    return min(SPANS, max(0, day) >> 2)


@njit(cache=True, nogil=True)
def whereabouts(market: Market, record, numbers: Array, at: int, side: int) -> int:  # type: ignore[no-untyped-def]
    """Two ends that fit have a bit in common in both halves: in where they are or would go, and in what they speak."""
    languages = at + record.n_wishes + record.n_gives
    destinations = languages + record.n_languages
    found = 0
    for i in range(languages, destinations):
        found |= _bit(market, LANGUAGES, numbers[i] >> 3) << 32
    if side == 1:
        return found | _bit(market, COUNTRIES, record.country)
    for i in range(destinations, destinations + record.n_destinations):
        found |= _bit(market, COUNTRIES, numbers[i])
    return found


@njit(cache=True, nogil=True)
def _bit(market: Market, of: int, code: int) -> int:
    """One of 32: as long as no more are met, each has its own."""
    bits = market.bits[of - COUNTRIES]
    if bits[code] == 0:
        market.counts[of] += 1
        bits[code] = market.counts[of]
    return 1 << (bits[code] & 31)


@njit(cache=True, nogil=True)
def _unlist(ends: Ends, market: Market, side: int, slot: int) -> None:
    record = ends.records[slot]
    at, wishes = numbers_at(record, slot), record.n_wishes
    for i in range(wishes + record.n_gives):
        _strike(market, market.postings[side, 1 if i < wishes else 0], ends.flat[at + i], slot)


@njit(cache=True, nogil=True)
def _post(market: Market, postings: Array, skill: int, when: int, where: int) -> bool:
    """Puts a posting at the end of a list, which moves to the next size when there is no room; False without memory for that."""
    lists, head, length, size = market.lists, postings[skill].head, postings[skill].length, postings[skill].size
    if head == 0 or length == _room(size):
        size = 0 if head == 0 else size + 1
        if size >= SIZES:
            return False
        new = market.freed_lists[size]
        if new != 0:
            market.freed_lists[size] = lists[2 * new]
        else:
            new = market.counts[LISTED]
            if 2 * (new + _room(size)) > lists.shape[0]:
                return False
            market.counts[LISTED] += _room(size)
        lists[2 * new : 2 * (new + length)] = lists[2 * head : 2 * (head + length)]
        if head != 0:
            _give_back(market, head, size - 1)
        postings[skill].head, postings[skill].size = new, size
        head = new
    at = 2 * (head + length)
    lists[at], lists[at + 1] = when, where
    postings[skill].length = length + 1
    return True


@njit(cache=True, nogil=True)
def _room(size: int) -> int:
    return (2 + (size & 1)) << (size >> 1)


@njit(cache=True, nogil=True)
def _strike(market: Market, postings: Array, skill: int, slot: int) -> None:
    """The last posting of the list fills the gap."""
    lists, head, last = market.lists, postings[skill].head, postings[skill].length - 1
    at, end = 2 * head, 2 * (head + last)
    while lists[at] & SLOT != slot:
        at += 2
    lists[at], lists[at + 1] = lists[end], lists[end + 1]
    postings[skill].length = last
    if last == 0:
        _give_back(market, head, postings[skill].size)
        postings[skill].head = 0


@njit(cache=True, nogil=True)
def _give_back(market: Market, head: int, size: int) -> None:
    market.lists[2 * head] = market.freed_lists[size]
    market.freed_lists[size] = head
