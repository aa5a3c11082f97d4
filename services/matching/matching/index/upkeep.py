"""Compiled: finding, adding and removing an end, each in microseconds and without a pause at any size."""

from numba import njit

from matching.index.layout import (
    BUCKETS,
    FREED,
    INLINE,
    KNOWN,
    LISTED,
    POOL,
    POWERS,
    SHARE,
    SLOTS,
    Array,
    Ends,
    Market,
    Skills,
)


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
    if slot != 0 and record[0].open != 0 and not publish(ends, market, skills, side, slot):
        return 0
    return slot


@njit(cache=True, nogil=True)
def place(ends: Ends, skills: Skills, high: int, low: int, record: Array, numbers: Array) -> int:
    """The first half of adding: it is known, and closed."""
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
    ends.ids[slot, 0], ends.ids[slot, 1] = high, low
    _split(ends)
    bucket = _bucket(ends, high, low)
    ends.chain[slot] = ends.buckets[bucket]
    ends.buckets[bucket] = slot
    ends.counts[KNOWN] += 1
    ends.records[slot].open = 0
    return slot


@njit(cache=True, nogil=True)
def publish(ends: Ends, market: Market, skills: Skills, side: int, slot: int) -> bool:
    """The second half of adding one that is open: it is found by questions. Without room it is not known any more."""
    if not _list(ends, market, skills, side, slot):
        remove(ends, market, side, slot)
        return False
    ends.records[slot].open = 1
    return True


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
def class_of(record) -> int:  # type: ignore[no-untyped-def]
    """In which lists of a skill an end stands."""
    return 2 * record.section + (record.n_wishes > 0)


@njit(cache=True, nogil=True)
def _list(ends: Ends, market: Market, skills: Skills, side: int, slot: int) -> bool:
    record = ends.records[slot]
    numbers, at, wishes = ends.flat, numbers_at(record, slot), record.n_wishes
    kind = class_of(record)
    gives = wishes + record.n_gives
    places, spoken = filters(record, numbers, at, side)
    where = places | (record.min_days << 20) | (record.max_days << 26)
    where = where - (1 << 32) if where >> 31 else where
    when = spoken | (span(record.first) << 12) | span(record.last)
    for i in range(gives):
        role, skill = 1 if i < wishes else 0, numbers[at + i]
        listed = market.postings[side, role, skill]
        if not _post(market, listed, kind, slot, where, when):
            for j in range(i):
                _strike(market, side, 1 if j < wishes else 0, numbers[at + j], kind, slot)
            return False
        market.kinds[side, role, skill] |= 1 << kind
        if i < wishes:
            impact = (skills.rarity[skill] * SHARE + record.weight - 1) // record.weight
            listed[kind].impact = max(listed[kind].impact, impact)
    return True


@njit(cache=True, nogil=True)
def filters(record, numbers: Array, at: int, side: int):  # type: ignore[no-untyped-def]
    """Two ends that fit have a bit in common in both: in where they are or would go, twenty bits, and in what they speak.

    Languages are seven bits from bit 24 on.
    """
    places = 1 << (record.country % 20) if side == 1 else 0
    spoken = 0
    languages = at + record.n_wishes + record.n_gives
    destinations = languages + record.n_languages
    for i in range(languages, destinations):
        spoken |= 1 << (24 + (numbers[i] >> 3) % 7)
    if side == 0:
        for i in range(destinations, destinations + record.n_destinations):
            places |= 1 << (numbers[i] % 20)
    return places, spoken


@njit(cache=True, nogil=True)
def span(day: int) -> int:
    """Eight days, twelve bits."""
    return max(0, day) >> 3


@njit(cache=True, nogil=True)
def _unlist(ends: Ends, market: Market, side: int, slot: int) -> None:
    record = ends.records[slot]
    at, wishes, kind = numbers_at(record, slot), record.n_wishes, class_of(record)
    for i in range(wishes + record.n_gives):
        _strike(market, side, 1 if i < wishes else 0, ends.flat[at + i], kind, slot)


@njit(cache=True, nogil=True)
def _post(market: Market, listed: Array, kind: int, slot: int, where: int, when: int) -> bool:
    """Puts a posting at the end of a list, which moves to twice the room when there is none; False without memory for that."""
    length, head = listed[kind].length, listed[kind].head
    if head == 0 or length == 1 << listed[kind].power:
        power = 0 if head == 0 else listed[kind].power + 1
        if power >= POWERS:
            return False
        new = market.freed_lists[power]
        if new != 0:
            market.freed_lists[power] = market.lists[3 * new]
        else:
            new = market.counts[LISTED]
            if 3 * (new + (1 << power)) > market.lists.shape[0]:
                return False
            market.counts[LISTED] += 1 << power
        market.lists[3 * new : 3 * (new + length)] = market.lists[3 * head : 3 * (head + length)]
        if head != 0:
            _give_back(market, head, power - 1)
        listed[kind].head, listed[kind].power = new, power
        head = new
    at = 3 * (head + length)
    market.lists[at], market.lists[at + 1], market.lists[at + 2] = slot, where, when
    listed[kind].length = length + 1
    return True


@njit(cache=True, nogil=True)
def _strike(market: Market, side: int, role: int, skill: int, kind: int, slot: int) -> None:
    """The last posting of the list fills the gap."""
    listed = market.postings[side, role, skill]
    head, last = listed[kind].head, listed[kind].length - 1
    at = 3 * head
    while market.lists[at] != slot:
        at += 3
    for i in range(3):
        market.lists[at + i] = market.lists[3 * (head + last) + i]
    listed[kind].length = last
    if last == 0:
        _give_back(market, head, listed[kind].power)
        listed[kind].head = listed[kind].power = listed[kind].impact = 0
        market.kinds[side, role, skill] &= ~(1 << kind)


@njit(cache=True, nogil=True)
def _give_back(market: Market, head: int, power: int) -> None:
    market.lists[3 * head] = market.freed_lists[power]
    market.freed_lists[power] = head
