"""How the market lies in memory: one record of 64 bytes per end with all that a score needs, and posting lists.

All arrays have their full length from the start. An untouched page of them takes no memory, so an array grows by being written
to: it is never copied to a larger one, which at a million companies would be a pause of tens of milliseconds.
"""

import mmap
import os
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

Array = Any
"""A numpy array. The compiler knows which; a checker of types would take an item for another array."""

_HERE = Path(__file__).parent
_VERSION = sha256(b"".join(source.read_bytes() for source in sorted(_HERE.glob("*.py")))).hexdigest()[:16]
numba.config.CACHE_DIR = str(Path(os.environ.get("NUMBA_CACHE_DIR") or _HERE / "__pycache__") / _VERSION)
# What is compiled is kept by the text of this whole package: numba itself would not see that a function of another file changed.

CODES = 26 * 26
"""Countries and languages are two letters."""
INLINE = 16
"""Numbers that fit into a record; those of an end that has more are in the pool."""
LONGEST = 1_024
"""Numbers that an end may have."""
MOST_SKILLS = 32_767
"""Of a taxonomy: numbers have 16 bits."""
SIZES = 52
"""A posting list has room for 2, 3, 4, 6, 8, 12, 16... postings: a power of two, or one and a half of it."""
SLOT_BITS = 22
"""Of a posting, to name an end by."""
MOST_ENDS = 1 << SLOT_BITS

# Everything is signed: a mixture of signed and unsigned numbers would be computed in floating point.
RECORD = np.dtype(
    [
        ("weight", np.int32),  # of all wishes together
        ("start", np.int32),  # in the pool, 0 when the numbers are in the record
        ("seen", np.int32),  # the last question that met this end
        ("first", np.int16),  # days since 1990
        ("last", np.int16),
        ("n_wishes", np.int16),
        ("n_gives", np.int16),
        ("n_languages", np.int16),
        ("n_destinations", np.int16),
        ("n_liked", np.int8),
        ("sector", np.int8),
        ("section", np.int8),
        ("min_days", np.int8),
        ("max_days", np.int8),
        ("country", np.int16),
        ("open", np.int8),  # not taken, or not full
        ("numbers", np.int16, INLINE),  # wishes, gives, languages as 8 * number + level, destinations, liked divisions
    ]
)

POSTINGS = np.dtype(
    [
        ("head", np.int32),  # first posting; 0 for none
        ("length", np.int32),
        ("size", np.int32),  # which of the sizes its room has
    ]
)

SLOTS, BUCKETS, FREED, KNOWN, POOL = range(5)
"""What a side counts: slots ever used, hash buckets, the first freed slot, ends, and where the unused pool begins.

Slot 0 is for questions about strangers.
"""
LISTED, COUNTRIES, LANGUAGES = range(3)
"""What the market counts: room for postings ever used, and countries and languages ever met."""


class Ends(NamedTuple):
    """All placements, or all offers."""

    records: Array
    flat: Array
    """The same memory as 16-bit numbers: 32 a record, of which the last 16 are its own, and after all of them the pool."""
    freed: Array
    """By length, the first freed region of the pool."""
    ids: Array
    """The two halves of each UUID, moved down by 2^63 so that signed numbers sort as UUIDs do."""
    chain: Array
    """The next slot in the same hash bucket, or the next freed one."""
    buckets: Array
    counts: Array


class Market(NamedTuple):
    """What both sides share."""

    lists: Array
    """Postings, two numbers each: the slot, with when and how long; and where it is or would go, with its languages."""
    freed_lists: Array
    """By size, the first freed region of the lists."""
    postings: Array
    """By side, by what is listed (0 gives, 1 wishes), by skill."""
    bits: Array
    """By country and by language, the number of its bit in postings, from 1 on in the order in which they were met."""
    counts: Array


class Skills(NamedTuple):
    """The taxonomy in numbers: what covers a wish, and which wishes a skill covers, each as (skill, percent)."""

    rarity: Array
    covers_from: Array
    covers: Array
    covered_from: Array
    covered: Array


class Parts(NamedTuple):
    """Where the parts of a question's working memory begin. It is one array: references to each are counted, atomically."""

    entry: int
    """By skill, the last entry that says which wish it covers; 0 for none, as in all parts between two questions."""
    given: int
    """By skill, the percent of a wish for it that is covered."""
    listed: int
    """By skill, whether those who wish for it are looked up."""
    level: int
    """By language, the level that is spoken; 0 for none."""
    wanted: int
    """By country, whether one would go there."""
    most: int
    """By wish, the percent that the end in hand covers."""
    entries: int
    """Three numbers each: wish, percent, and the entry before it for the same skill. The first is not used."""


def ends(room: int) -> Ends:
    counts = np.zeros(5, np.int64)
    counts[SLOTS] = counts[BUCKETS] = 1
    counts[POOL] = room * 2 * INLINE
    flat = _zeros(room * 4 * INLINE, np.int16)
    return Ends(
        records=flat[: room * 2 * INLINE].view(RECORD),
        flat=flat,
        freed=np.zeros(LONGEST + 1, np.int64),
        ids=_zeros(room * 2, np.int64).reshape(room, 2),
        chain=_zeros(room, np.int32),
        buckets=_zeros(room, np.int32),
        counts=counts,
    )


def market(room: int, skills: int) -> Market:
    return Market(
        lists=_zeros(room * 48 * 2, np.int64),
        freed_lists=np.zeros(SIZES, np.int32),
        postings=np.zeros((2, 2, max(1, skills)), POSTINGS),
        bits=np.zeros((2, CODES), np.int64),
        counts=np.array((1, 0, 0)),
    )


def scratch(skills: Skills) -> tuple[Array, Parts]:
    """The working memory begins with the rarity of each skill."""
    count = len(skills.rarity)
    lengths = (count, count, count, count, CODES, CODES, LONGEST, 3 * (count + len(skills.covers) + 1))
    starts = np.cumsum((0, *lengths)).tolist()
    work = np.zeros(starts[-1], np.int32)
    work[:count] = skills.rarity
    return work, Parts(*starts[1:-1])


def _zeros(count: int, kind: Any) -> Array:
    """In small pages: the first touch of a huge one is a pause of milliseconds. They begin with a cache line: a record that lay
    in two would be fetched twice. Nothing is reserved for what is not there: else a process with several indexes could not fork.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    memory = mmap.mmap(-1, max(1, count * np.dtype(kind).itemsize), flags=flags)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, kind, count)
