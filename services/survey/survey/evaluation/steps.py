"""What may be shown of a table, and when the public is shown more: no group of fewer than k answers can be worked out.

A table by a dimension hides its small cells, and as many more as it takes that the total does not give them away. That is
enough for one table. A second publication could still be taken from the first, so the public is shown more in steps:

- a headline (an indicator in a wave) moves once at least k more answers, and at least k more valid ones, have come;
- a table by a dimension moves only together with its headline, and each move is a table of its own: of the answers that came
  since its last move, small cells are hidden as above, and what is hidden then is never shown later. The cells that are shown
  add up what was shown of each move. A table in which too much would be hidden waits, so that small categories can grow.

So what the public can add and subtract are whole headline steps and whole shown cells of disjoint moves, each of at least k
answers. L. Willenborg, T. de Waal, Elements of Statistical Disclosure Control, Springer, 2001, chapters 1 and 8 (thresholds,
secondary suppression, linked tables); A. Hundepool et al., Statistical Disclosure Control, Wiley, 2012, chapter 4.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from survey.evaluation.figures import AnswerCount, CellCount, Counts, decoded_counts, encoded
from survey.questionnaires.questionnaire import Questionnaire

PATIENCE = 0.2
"""The part of a table's new answers that may be hidden for good when it moves; with more, it waits."""

_Table = tuple[int, str, str]
_Cells = Mapping[str, tuple[int, int]]
"""Category to valid and favourable answers."""


class StepTooSmall(ValueError):  # noqa: N818 - it is what was found
    """Fewer submissions came since the last publication than a step has."""


@dataclass(frozen=True)
class Released:
    """What the public has been told: what the next step must not be subtracted from."""

    submissions: int
    told: Counts
    """What the published figures are made of."""
    moved: tuple[CellCount, ...]
    """All cells as they were when their table last moved, also those that were hidden."""


def encoded_released(released: Released) -> bytes:
    """As plain JSON."""
    return json.dumps(
        {
            "submissions": released.submissions,
            "told": json.loads(encoded(released.told)),
            "moved": [asdict(cell) for cell in released.moved],
        }
    ).encode()


def decoded_released(data: bytes | str) -> Released:
    fields = json.loads(data)
    return Released(
        submissions=fields["submissions"],
        told=decoded_counts(json.dumps(fields["told"]).encode()),
        moved=tuple(CellCount(**cell) for cell in fields["moved"]),
    )


def hidden(sizes: Mapping[str, int], k: int) -> frozenset[str]:
    """The categories whose cells may not be shown while the total is.

    Those with 1 to k - 1 answers, and then the next smallest, equal ones together, until the rest, which follows from the
    total, tells none of them: see ``_tells``. Which of them are the small ones is not told. A category without answers is
    no secret, and hides none. Where all are hidden, the table is not worth showing.
    """
    found = [category for category, size in sizes.items() if 0 < size < k]
    if not found:
        return frozenset()
    left = sorted({size for size in sizes.values() if size >= k})
    while left and _tells([sizes[each] for each in found], k):
        smallest = left.pop(0)
        found += [category for category, size in sizes.items() if size == smallest]
    return frozenset(found)


def _tells(sizes: Sequence[int], k: int) -> bool:
    """Whether the sum of hidden cells gives one of them away, or is of fewer than k answers.

    It does for a single cell, and where all have to be 1, or all k - 1, to come to that sum.
    """
    return len(sizes) < 2 or sum(sizes) < k or sum(sizes) in (len(sizes), len(sizes) * (k - 1))


def suppressed(counts: Counts, k: int) -> Counts:
    """The same with the cells hidden that one table gives away. For whoever may see every step."""
    kept: list[CellCount] = []
    for table, cells in _tables(counts.cells).items():
        gone = hidden({category: valid for category, (valid, _) in cells.items()}, k)
        kept += [_cell(table, category, None if category in gone else cell) for category, cell in cells.items()]
    return replace(counts, cells=_sorted(kept))


def step(before: Released | None, counts: Counts, questionnaire: Questionnaire, k: int) -> Released:
    """What may be told after ``before``, now that the counts are these; None before the first publication.

    Raises:
        StepTooSmall: fewer than k submissions came since, or the counts are older.
    """
    if before is None:
        before = Released(0, Counts(counts.questionnaire, 0), ())
    if counts.submissions - before.submissions < k:
        raise StepTooSmall(f"{counts.submissions - before.submissions} submissions came since, and a step has {k}")
    moving = {
        (wave, indicator.code): indicator.question
        for indicator in questionnaire.indicators
        for wave in questionnaire.waves(indicator.question)
        if _moves(before.told, counts, wave, indicator.question, questionnaire.question(indicator.question).missing, k)
    }
    renewed = {(wave, question) for (wave, _), question in moving.items()}
    told, moved = _tables_told(before, counts, moving, k)
    return Released(
        counts.submissions,
        Counts(
            questionnaire=counts.questionnaire,
            submissions=counts.submissions,
            answers=tuple(
                [each for each in before.told.answers if (each.wave, each.question) not in renewed]
                + [each for each in counts.answers if (each.wave, each.question) in renewed]
            ),
            clusters=tuple(
                [each for each in before.told.clusters if (each.wave, each.indicator) not in moving]
                + [each for each in counts.clusters if (each.wave, each.indicator) in moving]
            ),
            cells=told,
            programme=counts.programme,
        ),
        moved,
    )


def replayed(history: Iterable[tuple[Counts, int]], questionnaire: Questionnaire) -> Released | None:
    """What was told after these steps, of counts and threshold each: any publication, recomputed from what it was made of.

    Raises:
        StepTooSmall: one of them would have been refused.
    """
    released: Released | None = None
    for counts, k in history:
        released = step(released, counts, questionnaire, k)
    return released


def _moves(before: Counts, now: Counts, wave: int, question: str, missing: frozenset[str], k: int) -> bool:
    came, valid = (
        _number(now.answers, wave, question, without) - _number(before.answers, wave, question, without)
        for without in (frozenset[str](), missing)
    )
    return came >= k and valid >= k


def _number(answers: Iterable[AnswerCount], wave: int, question: str, without: frozenset[str]) -> int:
    return sum(
        each.number
        for each in answers
        if each.wave == wave and each.question == question and each.answer not in without
    )


def _tables_told(
    before: Released, counts: Counts, moving: Mapping[tuple[int, str], str], k: int
) -> tuple[tuple[CellCount, ...], tuple[CellCount, ...]]:
    """The cells that are told now, and those that the next moves start from."""
    now, told, moved = _tables(counts.cells), _tables(before.told.cells), _tables(before.moved)
    for table in now:
        if table[:2] not in moving:
            continue
        since = _less(now[table], moved.get(table, {}))
        sizes = {category: valid for category, (valid, _) in since.items()}
        gone = hidden(sizes, k)
        if sum(sizes.values()) < k or sum(sizes[each] for each in gone) > PATIENCE * sum(sizes.values()):
            continue
        shown = dict(told.get(table, {}))
        for category, (valid, favourable) in since.items():
            known = shown.get(category, (0, 0))
            shown[category] = known if category in gone else (known[0] + valid, known[1] + favourable)
        told[table], moved[table] = shown, now[table]
    return (
        _sorted(
            _cell(table, category, cell if cell[0] else None)
            for table, cells in told.items()
            for category, cell in cells.items()
        ),
        _sorted(_cell(table, category, cell) for table, cells in moved.items() for category, cell in cells.items()),
    )


def _less(now: _Cells, then: _Cells) -> dict[str, tuple[int, int]]:
    return {
        category: (valid - then.get(category, (0, 0))[0], favourable - then.get(category, (0, 0))[1])
        for category, (valid, favourable) in now.items()
    }


def _tables(cells: Sequence[CellCount]) -> dict[_Table, dict[str, tuple[int, int]]]:
    tables: dict[_Table, dict[str, tuple[int, int]]] = defaultdict(dict)
    for cell in cells:
        tables[cell.wave, cell.indicator, cell.dimension][cell.category] = (cell.valid or 0, cell.favourable or 0)
    return dict(tables)


def _cell(table: _Table, category: str, numbers: tuple[int, int] | None) -> CellCount:
    wave, indicator, dimension = table
    valid, favourable = numbers or (None, None)
    return CellCount(wave, indicator, dimension, category, valid, favourable)


def _sorted(cells: Iterable[CellCount]) -> tuple[CellCount, ...]:
    return tuple(sorted(cells, key=lambda cell: (cell.wave, cell.indicator, cell.dimension, cell.category)))
