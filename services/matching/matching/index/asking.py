"""Compiled: many questions in one call, which costs as much as a small question does."""

from numba import njit

from matching.index.layout import Array
from matching.index.search import Whole, best


@njit(cache=True, nogil=True, error_model="numpy")
def best_of_each(
    whole: Whole,
    ids: Array,
    by: tuple[int, ...],
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
    for i in range(ids.shape[0]):
        found[i] = best(
            whole, -1, ids[i, 0], ids[i, 1], by, question + i, met[met_from[i] : met_from[i + 1]], scores[i], others[i]
        )
