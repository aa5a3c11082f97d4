"""What may be shown of a table, and when the public is shown more: no group of fewer than k answers can be worked out.

A table by a dimension hides its small cells, and as many more as it takes that the total does not give them away. That is
enough for one table. A second publication could still be taken from the first, so the public is shown more in steps:

- a headline (an indicator in a wave) moves once at least k more answers, and at least k more valid ones, have come;
- a table by a dimension moves only together with its headline, and each move is a table of its own: of the answers that came
  since its last move, small cells are hidden as above, and what is hidden then is never shown later. The cells that are shown
  add up what was shown of each move. A table in which too much would be hidden waits, so that small categories can grow;
- what an erasure takes back is not told: a number that would go down stays as it was told, and so does all that goes with it;
- flows are such a table of their own, and who was asked and answered is told of all parties of a wave or of none.

So what the public can add and subtract are whole headline steps and whole shown cells of disjoint moves, each of at least k
answers. L. Willenborg, T. de Waal, Elements of Statistical Disclosure Control, Springer, 2001, chapters 1 and 8 (thresholds,
secondary suppression, linked tables); A. Hundepool et al., Statistical Disclosure Control, Wiley, 2012, chapter 4.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from survey.evaluation.figures import (
    CellCount,
    Counts,
    FlowCount,
    ProgrammeCounts,
    ResponseCount,
    decoded_counts,
    decoded_programme,
    encoded,
)
from survey.questionnaires.questionnaire import Indicator, Questionnaire

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
    programme: ProgrammeCounts | None = None
    """All that was known of the programme, also what was hidden: what it takes to make this step again."""
    flows: tuple[FlowCount, ...] = ()
    """All flows as they were when they last moved, also those that were hidden."""


def encoded_released(released: Released) -> bytes:
    """As plain JSON."""
    return json.dumps(
        {
            "submissions": released.submissions,
            "told": json.loads(encoded(released.told)),
            "moved": [asdict(cell) for cell in released.moved],
            "programme": released.programme and asdict(released.programme),
            "flows": [asdict(flow) for flow in released.flows],
        }
    ).encode()


def decoded_released(data: bytes | str) -> Released:
    """Before the programme was told in steps it was told whole, and stands nowhere else."""
    fields = json.loads(data)
    told = decoded_counts(json.dumps(fields["told"]).encode())
    whole = told.programme
    if "programme" in fields:
        whole = fields["programme"] and decoded_programme(fields["programme"])
    return Released(
        submissions=fields["submissions"],
        told=told,
        moved=tuple(CellCount(**cell) for cell in fields["moved"]),
        programme=whole,
        flows=tuple(FlowCount(**flow) for flow in fields["flows"])
        if "flows" in fields
        else whole.flows
        if whole
        else (),
    )


def hidden(sizes: Mapping[str, int], k: int, fallen: Collection[str] = ()) -> frozenset[str]:
    """The categories whose cells may not be shown while the total is.

    Those with 1 to k - 1 answers, those with less than none (a move after an erasure) and the ``fallen``, and then the next
    smallest, equal ones together, until the rest, which follows from the total, tells none of them: see ``_tells``. Which of
    them are the small ones is not told. A category without answers is no secret, and hides none, unless it is fallen. Where
    all are hidden, the table is not worth showing.
    """
    found = [category for category, size in sizes.items() if size < 0 or 0 < size < k or category in fallen]
    if not found:
        return frozenset()
    left = sorted({size for category, size in sizes.items() if size >= k and category not in found})
    while left and _tells([sizes[each] for each in found], k):
        smallest = left.pop(0)
        found += [category for category, size in sizes.items() if size == smallest and category not in found]
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
        if _moves(before.told, counts, wave, indicator, questionnaire.question(indicator.question).missing, k)
    }
    renewed = {(wave, question) for (wave, _), question in moving.items()}
    told, moved = _tables_told(before, counts, moving, k)
    programme, flows = _programme_told(before, counts.programme, k)
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
            programme=programme,
        ),
        moved,
        counts.programme,
        flows,
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


def _moves(before: Counts, now: Counts, wave: int, indicator: Indicator, missing: frozenset[str], k: int) -> bool:
    """Once k answers and k valid ones came, and no number that its figure tells has gone down."""
    came: Counter[str] = Counter()
    for answers, sign in ((now.answers, 1), (before.answers, -1)):
        for each in answers:
            if each.wave == wave and each.question == indicator.question:
                favourable = "favourable" if each.answer in indicator.favourable else "unfavourable"
                came[each.answer if each.answer in missing else favourable] += sign * each.number
    valid = came["favourable"] + came["unfavourable"]
    return came.total() >= k and valid >= k and min(came.values()) >= 0


def _tables_told(
    before: Released, counts: Counts, moving: Mapping[tuple[int, str], str], k: int
) -> tuple[tuple[CellCount, ...], tuple[CellCount, ...]]:
    """The cells that are told now, and those that the next moves start from."""
    now, told, moved = _tables(counts.cells), _tables(before.told.cells), _tables(before.moved)
    for table in now:
        if table[:2] not in moving:
            continue
        shown = _shown(told.get(table, {}), moved.get(table, {}), now[table], k)
        if shown is not None:
            told[table], moved[table] = shown, now[table]
    return (
        _sorted(
            _cell(table, category, cell if cell[0] else None)
            for table, cells in told.items()
            for category, cell in cells.items()
        ),
        _sorted(_cell(table, category, cell) for table, cells in moved.items() for category, cell in cells.items()),
    )


def _shown(told: _Cells, then: _Cells, now: _Cells, k: int) -> dict[str, tuple[int, int]] | None:
    """What is told of a table after its move from ``then``; None where it waits."""
    since = _less(now, then)
    sizes = {category: valid for category, (valid, _) in since.items()}
    gone = hidden(
        sizes, k, [category for category, (valid, favourable) in since.items() if not 0 <= favourable <= valid]
    )
    if sum(sizes.values()) < k or sum(abs(sizes[each]) for each in gone) > PATIENCE * sum(sizes.values()):
        return None
    shown = dict(told)
    for category, (valid, favourable) in since.items():
        known = shown.get(category, (0, 0))
        shown[category] = known if category in gone else (known[0] + valid, known[1] + favourable)
    return shown


def _less(now: _Cells, then: _Cells) -> dict[str, tuple[int, int]]:
    since: dict[str, tuple[int, int]] = {}
    for category in {**now, **then}:
        (valid, favourable), (was_valid, was_favourable) = now.get(category, (0, 0)), then.get(category, (0, 0))
        since[category] = valid - was_valid, favourable - was_favourable
    return since


def _programme_told(
    before: Released, now: ProgrammeCounts | None, k: int
) -> tuple[ProgrammeCounts | None, tuple[FlowCount, ...]]:
    """What is told of the programme now, and the flows that their next move starts from."""
    if now is None:
        return None, before.flows
    told = before.told.programme or ProgrammeCounts()
    shown = _shown(_by_pair(told.flows), _by_pair(before.flows), _by_pair(now.flows), k)
    flows = [FlowCount(pair[:2], pair[3:], number) for pair, (number, _) in sorted((shown or {}).items()) if number]
    return (
        replace(
            now,
            responses=_responses_told(told.responses, now.responses, k),
            flows=told.flows if shown is None else tuple(flows),
        ),
        before.flows if shown is None else now.flows,
    )


def _by_pair(flows: Iterable[FlowCount]) -> dict[str, tuple[int, int]]:
    return {f"{flow.sender_country}/{flow.host_country}": (flow.number, 0) for flow in flows}


_BESIDE_INVITED = ("sent", "started", "complete", "declined")


def _responses_told(told: Sequence[ResponseCount], now: Sequence[ResponseCount], k: int) -> tuple[ResponseCount, ...]:
    """By wave. What is told of one party could be subtracted from the submissions, so a number moves for all parties at once.

    A wave is told once its invitations are; none of the other numbers is ever told as more than those.
    """
    earlier = {(each.wave, each.party): each for each in told}
    known = {(each.wave, each.party): each for each in now}
    found: dict[tuple[int, str], ResponseCount] = {}
    for wave in {wave for wave, _ in known.keys() | earlier.keys()}:
        parties = sorted({party for each, party in known.keys() | earlier.keys() if each == wave})
        counted = [known.get((wave, party), ResponseCount(wave, party, 0, 0, 0, 0, 0)) for party in parties]
        shown = [earlier.get((wave, party), ResponseCount(wave, party, 0, None, None, None, None)) for party in parties]
        for field in ("invited", *_BESIDE_INVITED):
            numbers = [getattr(each, field) or 0 for each in counted]
            came = [number - (getattr(each, field) or 0) for each, number in zip(shown, numbers, strict=True)]
            most = numbers if field == "invited" else [each.invited for each in shown]
            within = all(number <= limit for number, limit in zip(numbers, most, strict=True))
            if within and sum(came) >= k and all(each == 0 or each >= k for each in came):
                shown = [replace(each, **{field: number}) for each, number in zip(shown, numbers, strict=True)]
        if any(each.invited for each in shown):
            found |= {(wave, each.party): each for each in shown}
    return tuple(found[key] for key in sorted(found))


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
