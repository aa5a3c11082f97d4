"""Compiled: many questions in one call, which costs as much as a small question does."""

import numpy as np
from numba import njit

from matching.index.layout import Array, Ends, Market, Parts, Skills
from matching.index.search import Terms, best
from matching.index.upkeep import find


@njit(cache=True, nogil=True, error_model="numpy")
def best_of_each(
    sides: tuple[Ends, Ends],
    ids: Array,
    market: Market,
    skills: Skills,
    work: Array,
    parts: Parts,
    terms: Terms,
    question: int,
    met: Array,
    met_from: Array,
    scores: Array,
    others: Array,
    found: Array,
) -> None:
    """To each id writes scores and ids of the best, as ``search.best`` finds them, and how many those are.

    The questions are numbered from ``question`` on. Left out is whom each end met before, from ``met_from`` on in ``met``.
    """
    slots = np.empty(scores.shape[1], np.int32)
    for i in range(ids.shape[0]):
        side = 0
        slot = find(sides[0], ids[i, 0], ids[i, 1])
        if slot == 0:
            side = 1
            slot = find(sides[1], ids[i, 0], ids[i, 1])
        if slot == 0:
            continue
        theirs = sides[1 - side]
        first = met_from[i]
        but_not = np.empty(met_from[i + 1] - first, np.int32)
        for j in range(but_not.shape[0]):
            but_not[j] = find(theirs, met[first + j, 0], met[first + j, 1])
        found[i] = best(
            sides[side], slot, theirs, 1 - side, market, skills, work, parts, terms, question + i, but_not, scores[i], slots,
        )  # fmt: skip
        for j in range(found[i]):
            others[i, j] = theirs.ids[slots[j]]
