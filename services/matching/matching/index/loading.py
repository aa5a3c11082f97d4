"""Compiled: ends as PostgreSQL's binary COPY sends them go straight into the index.

The columns of a row, in this order: id uuid; country, sector text; first and last day date; least and most days int4; open bool;
preferred sectors, spoken (two letters and the rank of the level, as ``en4``), wishes, gives, destinations, each text[].
"""

import numpy as np
from numba import njit

from matching.index.layout import LONGEST, Array, Ends, Market, Skills
from matching.index.search import section_of
from matching.index.upkeep import find, open_together, place, remove

HEADER = 19
"""Bytes before the first row: a signature of 11, flags, and the length of an extension that nobody uses."""
TRAILER = -1
_COLUMNS = 13
_SHORTEST = 2 + 4 * _COLUMNS
"""Bytes of a row at least."""
_DAYS_TO_2000 = 3_652
"""PostgreSQL counts days from 2000 on, the index from 1990 on."""
_MOVED = -(1 << 63)

ROWS, READ, STATUS, LEFT_OUT = range(4)
"""What a call tells: rows taken, bytes read, whether all went well, and how many rows had more numbers than an end may have."""
MORE, DONE, NO_ROOM, UNREADABLE = range(4)


def names(skills: list[str]) -> Array:
    """A hash table from names to numbers, as columns of hash and number; -1 where nothing is."""
    size = 1 << (4 * len(skills) + 4).bit_length()
    table = np.full((size, 2), -1, np.int64)
    for number, skill in enumerate(skills):
        encoded = np.frombuffer(skill.encode(), np.uint8)
        key = _hash(encoded, 0, len(encoded))
        at = key & (size - 1)
        while table[at, 1] >= 0:
            assert table[at, 0] != key, f"{skill} has the hash of another skill"  # noqa: S101 - one in 10^10 taxonomies
            at = (at + 1) & (size - 1)
        table[at] = key, number
    return table


@njit(cache=True, nogil=True)
def load(
    data: Array, ends: Ends, market: Market, skills: Skills, side: int, table: Array, record: Array, told: Array
) -> None:
    """Takes the whole rows that ``data`` begins with, none of them twice; the rest is to come again with what follows."""
    numbers = np.empty(LONGEST, np.int16)
    seen = np.zeros(skills.rarity.shape[0], np.int8)
    opened = np.empty(data.shape[0] // _SHORTEST, np.int32)
    at, rows, n_opened = 0, 0, 0
    told[STATUS], told[LEFT_OUT] = MORE, 0
    while at + 2 <= data.shape[0]:
        columns = _int16(data, at)
        if columns == TRAILER:
            at += 2
            told[STATUS] = DONE
            break
        end = _end(data, at + 2)
        if end < 0:
            break
        if columns != _COLUMNS:
            told[STATUS] = UNREADABLE
            break
        size = _read(data, at + 2, market, table, record, numbers, seen)
        high, low = _int64(data, at + 6) ^ _MOVED, _int64(data, at + 14) ^ _MOVED
        known = find(ends, high, low)
        if known != 0:
            remove(ends, market, side, known)
        if size < 0:
            told[LEFT_OUT] += 1
        else:
            slot = place(ends, skills, high, low, record, numbers[:size])
            if slot == 0:
                told[STATUS] = NO_ROOM
                break
            if record[0].open != 0:
                opened[n_opened] = slot
                n_opened += 1
        at = end
        rows += 1
    if not open_together(ends, market, side, opened[:n_opened]):
        told[STATUS] = NO_ROOM
    told[ROWS] = rows
    told[READ] = at


@njit(cache=True, nogil=True)
def _read(data: Array, at: int, market: Market, table: Array, records: Array, numbers: Array, seen: Array) -> int:
    """A row into record and numbers: how many numbers, or -1 if they are too many."""
    record = records[0]
    at += 4 + 16
    record.country = _letters(data, at + 4)
    at += 4 + _int32(data, at)
    record.sector = (data[at + 4] - 48) * 10 + data[at + 5] - 48
    record.section = section_of(record.sector)
    at += 4 + _int32(data, at)
    record.first = day(_int32(data, at + 4) + _DAYS_TO_2000)
    record.last = day(_int32(data, at + 12) + _DAYS_TO_2000)
    record.min_days = _int32(data, at + 20)
    record.max_days = _int32(data, at + 28)
    record.open = data[at + 36]
    at += 37
    liked = at
    at += 4 + _int32(data, at)
    spoken = at
    at += 4 + _int32(data, at)
    size = _skills(data, at, table, numbers, 0, seen)
    record.n_wishes = size
    at += 4 + _int32(data, at)
    if size >= 0:
        size = _skills(data, at, table, numbers, size, seen)
    at += 4 + _int32(data, at)
    languages, countries, sectors = _items(data, spoken), _items(data, at), _items(data, liked)
    if size < 0 or sectors > 100 or size + languages + countries + sectors > LONGEST:
        return -1
    record.n_gives = size - record.n_wishes
    record.n_languages, record.n_destinations, record.n_liked = languages, countries, sectors
    item = spoken + 24
    for _ in range(languages):
        code = _letters(data, item + 4)
        numbers[size] = 8 * code + data[item + 6] - 48
        size += 1
        item += 4 + _int32(data, item)
    item = at + 24
    for _ in range(countries):
        numbers[size] = _letters(data, item + 4)
        size += 1
        item += 4 + _int32(data, item)
    item = liked + 24
    for _ in range(sectors):
        numbers[size] = (data[item + 4] - 48) * 10 + data[item + 5] - 48
        size += 1
        item += 4 + _int32(data, item)
    return size


@njit(cache=True, nogil=True)
def _skills(data: Array, at: int, table: Array, numbers: Array, size: int, seen: Array) -> int:
    """Adds the numbers of those that the taxonomy knows, each once; the new size, or -1 if they are too many."""
    first, item = size, at + 24
    for _ in range(_items(data, at)):
        length = _int32(data, item)
        number = _number(table, _hash(data, item + 4, length))
        if number >= 0 and seen[number] == 0:
            if size == LONGEST:
                return -1
            seen[number] = 1
            numbers[size] = number
            size += 1
        item += 4 + length
    for i in range(first, size):
        seen[numbers[i]] = 0
    return size


@njit(cache=True, nogil=True)
def _number(table: Array, key: int) -> int:
    at = key & (table.shape[0] - 1)
    while table[at, 1] >= 0 and table[at, 0] != key:
        at = (at + 1) & (table.shape[0] - 1)
    return table[at, 1]


@njit(cache=True, nogil=True)
def _hash(data: Array, at: int, length: int) -> int:
    """FNV-1a, 63 bits of it."""
    key = 0x4BF29CE484222325
    for i in range(at, at + length):
        key = ((key ^ data[i]) * 0x100000001B3) & 0x7FFFFFFFFFFFFFFF
    return key ^ (key >> 32)


@njit(cache=True, nogil=True)
def day(number: int) -> int:
    """Within 16 bits: from 1990 to 2079."""
    return min(32_767, max(0, number))


@njit(cache=True, nogil=True)
def _end(data: Array, at: int) -> int:
    """Where the row ends whose first field is here, -1 if not all of it is there."""
    for _ in range(_COLUMNS):
        if at + 4 > data.shape[0]:
            return -1
        at += 4 + _int32(data, at)
    return at if at <= data.shape[0] else -1


@njit(cache=True, nogil=True)
def _items(data: Array, at: int) -> int:
    """Of the array in the field here, whose items begin 24 bytes on."""
    return _int32(data, at + 16) if _int32(data, at + 4) > 0 else 0


@njit(cache=True, nogil=True)
def _letters(data: Array, at: int) -> int:
    return (data[at] & 31) * 26 + (data[at + 1] & 31) - 27


@njit(cache=True, nogil=True)
def _int16(data: Array, at: int) -> int:
    number = (int(data[at]) << 8) | int(data[at + 1])
    return number - 65_536 if number >= 32_768 else number


@njit(cache=True, nogil=True)
def _int32(data: Array, at: int) -> int:
    number = 0
    for i in range(4):
        number = (number << 8) | int(data[at + i])
    return number - (1 << 32) if number >= 1 << 31 else number


@njit(cache=True, nogil=True)
def _int64(data: Array, at: int) -> int:
    number = 0
    for i in range(8):
        number = (number << 8) | int(data[at + i])
    return number
