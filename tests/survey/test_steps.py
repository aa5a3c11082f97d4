"""What the public is shown: an attacker with all publications works out no group of fewer than k answers."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import (
    AnswerCount,
    CellCount,
    Counts,
    Figures,
    FlowCount,
    ProgrammeCounts,
    ResponseCount,
    encoded,
)
from survey.evaluation.steps import Released, StepTooSmall, decoded_released, encoded_released, hidden, step, suppressed
from survey.questionnaires.published import published

VERSION = "2026.1"
QUESTIONNAIRE = published()[VERSION]
K = 5
Answer = tuple[str, str, str]
"""Country, size class, answer."""


def counts(answers: list[Answer]) -> Counts:
    """Of senders' answers to one question; each submission answers it."""
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for country, size, answer in answers:
        if answer != "98":
            for dimension, category in (("country", country), ("size_class", size)):
                cells[dimension, category]["valid"] += 1
                cells[dimension, category]["favourable"] += answer == "5"
    return Counts(
        VERSION,
        len(answers),
        tuple(
            AnswerCount(1, "sender", "SEND_MATCH", answer, number)
            for answer, number in Counter(answer for _, _, answer in answers).items()
        ),
        (),
        tuple(
            CellCount(1, "SEND_MATCH", dimension, category, each["valid"], each["favourable"])
            for (dimension, category), each in sorted(cells.items())
        ),
    )


def publications(batches: list[list[Answer]]) -> list[tuple[int, Figures]]:
    """Tries to publish after each batch: how many answers there were, and what was told."""
    released: Released | None = None
    published_: list[tuple[int, Figures]] = []
    answers: list[Answer] = []
    for batch in batches:
        answers += batch
        try:
            released = step(released, counts(answers), QUESTIONNAIRE, K)
        except StepTooSmall:
            continue
        published_.append((len(answers), evaluate(released.told, QUESTIONNAIRE)))
    return published_


ANSWERS = st.tuples(st.sampled_from("ABC"), st.sampled_from("ST"), st.sampled_from(["1", "5", "5", "98"]))
BATCHES = st.lists(st.lists(ANSWERS, min_size=1, max_size=16), min_size=1, max_size=4)


def told(figures: Figures) -> dict[tuple[str, str], int]:
    """Valid answers by dimension and category, and of the headline."""
    headline = next(each for each in figures.indicators if each.code == "SEND_MATCH")
    shown = {(cell.dimension, cell.category): cell.valid for cell in figures.cells if cell.valid is not None}
    return {("all", ""): headline.valid} | shown


@settings(max_examples=300, deadline=None)
@given(BATCHES)
def test_no_number_and_no_rest_is_of_fewer_than_k(batches):
    for _, figures in publications(batches):
        numbers = told(figures)
        rests = {
            dimension: numbers["all", ""] - sum(n for (by, _), n in numbers.items() if by == dimension)
            for dimension in {by for by, _ in numbers} - {"all"}
        }
        assert all(number == 0 or number >= K for number in (*numbers.values(), *rests.values()))


@settings(max_examples=300, deadline=None)
@given(BATCHES)
def test_successive_publications_differ_by_k_answers_or_by_none(batches):
    for (_, before), (_, after) in pairwise(publications(batches)):
        earlier, later = told(before), told(after)
        assert earlier.keys() <= later.keys()
        for what, number in later.items():
            assert number - earlier.get(what, 0) == 0 or number - earlier.get(what, 0) >= K
        for dimension in ("country", "size_class"):
            rest = [
                numbers["all", ""] - sum(n for (by, _), n in numbers.items() if by == dimension)
                for numbers in (earlier, later)
            ]
            assert rest[1] == rest[0] or abs(rest[1] - rest[0]) >= K or rest[1] < rest[0]


@settings(max_examples=150, deadline=None)
@given(BATCHES)
def test_no_sum_or_difference_of_all_that_was_ever_published_tells_fewer_than_k_answers(batches):
    """The strongest linear attacker: every set of answers whose number follows from any of the published ones together.

    Answers that no publication tells apart (by country, size and step) are one atom; each published number is a sum of
    atoms. A set of atoms is known if it lies in the span of these sums.
    """
    published_ = publications(batches)
    if not published_:
        return
    everything = [answer for batch in batches for answer in batch]
    ends = [number for number, _ in published_]
    atoms = list(product("ABC", "ST", range(len(ends))))
    if len(ends) > 2:  # 2 ** 12 sets are enough for a test
        ends, atoms = ends[:2], list(product("ABC", "ST", range(2)))
    sizes = dict.fromkeys(atoms, 0)
    for place, (country, size, answer) in enumerate(everything[: ends[-1]]):
        if answer != "98":
            sizes[country, size, next(at for at, end in enumerate(ends) if place < end)] += 1
    known: list[list[bool]] = []
    shown: dict[tuple[str, str], tuple[bool, ...]] = {}
    for at, (_, figures) in enumerate(published_[: len(ends)]):
        for (dimension, category), number in told(figures).items():
            what = dimension, category
            steps, members = _members(sizes, atoms, *what, at, number, shown.get(what, ()))
            if number:  # of what is not told yet, all may come at once
                shown[what] = steps
            known.append([atom in members for atom in atoms])
    span = np.array(known, dtype=float)
    _, singular, basis = np.linalg.svd(span, full_matrices=False)
    basis = basis[singular > 1e-9]
    sets = np.array(list(product((0.0, 1.0), repeat=len(atoms))))
    outside = sets - sets @ basis.T @ basis
    derived = sets[np.abs(outside).max(axis=1) < 1e-9]
    numbers = derived @ np.array([sizes[atom] for atom in atoms])
    assert all(number == 0 or number >= K for number in numbers)


def _members(sizes, atoms, dimension, category, at, number, before):
    """The steps that are in a published number, and their atoms of its category, as the rules of release have it: what was in
    it ``before`` stays in it, and what was not stays out.
    """
    of_category = [atom for atom in atoms if dimension == "all" or atom[0 if dimension == "country" else 1] == category]
    for steps in product((True, False), repeat=at + 1):
        members = {atom for atom in of_category if atom[2] <= at and steps[atom[2]]}
        if steps[: len(before)] == before and sum(sizes[atom] for atom in members) == number:
            return steps, members
    raise AssertionError(f"{dimension} {category}: {number} is no sum of whole steps")


@given(st.dictionaries(st.sampled_from("ABCDEFG"), st.integers(0, 12), min_size=1))
def test_hidden_cells_are_at_least_two_with_k_answers_together_or_all_there_are(sizes):
    gone = hidden(sizes, K)
    assert all(category in gone for category, size in sizes.items() if 0 < size < K)
    if gone:
        everything = {category for category, size in sizes.items() if size}
        assert (len(gone) >= 2 and sum(sizes[each] for each in gone) >= K) or gone == everything
    assert not any(sizes[each] == 0 for each in gone)


@pytest.mark.parametrize(("k", "cells", "most"), [(5, 3, 15), (5, 4, 9), (3, 4, 8)])
def test_no_hidden_cell_can_be_worked_out_by_who_knows_the_rule(k, cells, most):
    """Of all tables that would be published alike, with the same total, none has a hidden number in common with all others."""
    alike: dict[tuple, list[tuple[int, ...]]] = defaultdict(list)
    for sizes in product(range(1, most + 1), repeat=cells):
        gone = hidden({str(place): size for place, size in enumerate(sizes)}, k)
        shown = tuple(None if str(place) in gone else size for place, size in enumerate(sizes))
        alike[sum(sizes), shown].append(sizes)
    some_shown = {published: tables for published, tables in alike.items() if any(published[1])}
    assert any(None in shown for _, shown in some_shown)
    for (total, shown), tables in some_shown.items():
        for place, number in enumerate(shown):
            assert number is not None or len({table[place] for table in tables}) > 1, (total, shown, tables)


def test_one_small_cell_takes_the_next_smallest_with_it():
    assert hidden({"AT": 2, "DE": 40, "PT": 9, "IT": 7}, K) == {"AT", "IT"}


def test_a_cell_with_k_answers_is_shown():
    assert hidden({"AT": 5, "DE": 40}, K) == frozenset()


def test_suppression_leaves_nothing_of_a_hidden_cell():
    answers = [("A", "S", "5")] * 20 + [("B", "S", "5")] * 2 + [("C", "S", "1")] * 9
    cells = {cell.category: cell.valid for cell in suppressed(counts(answers), K).cells if cell.dimension == "country"}
    assert cells == {"A": 20, "B": None, "C": None}


def test_a_step_of_fewer_than_k_submissions_is_refused():
    first = step(None, counts([("A", "S", "5")] * 5), QUESTIONNAIRE, K)
    with pytest.raises(StepTooSmall):
        step(first, counts([("A", "S", "5")] * 9), QUESTIONNAIRE, K)
    with pytest.raises(StepTooSmall):
        step(None, counts([("A", "S", "5")] * 4), QUESTIONNAIRE, K)
    with pytest.raises(StepTooSmall):
        step(first, counts([("A", "S", "5")] * 3), QUESTIONNAIRE, K)


def test_a_headline_stays_until_k_valid_answers_came():
    first = [("A", "S", "5")] * 6
    mostly_unknown = [*first, *[("A", "S", "98")] * 9, *[("A", "S", "1")] * 4]
    before = step(None, counts(first), QUESTIONNAIRE, K)
    after = step(before, counts(mostly_unknown), QUESTIONNAIRE, K)
    assert told(evaluate(after.told, QUESTIONNAIRE))["all", ""] == 6
    later = step(after, counts([*mostly_unknown, *[("A", "S", "1")] * 5]), QUESTIONNAIRE, K)
    assert told(evaluate(later.told, QUESTIONNAIRE))["all", ""] == 15


def test_what_was_hidden_in_a_move_is_not_shown_later():
    first = [("A", "S", "5")] * 60 + [("B", "S", "1")] * 3 + [("C", "S", "1")] * 3
    second = [*first, *[("A", "S", "5")] * 6, *[("B", "S", "1")] * 6, *[("C", "S", "1")] * 6]
    before = step(None, counts(first), QUESTIONNAIRE, K)
    assert "B" not in {category for _, category in told(evaluate(before.told, QUESTIONNAIRE))}
    after = told(evaluate(step(before, counts(second), QUESTIONNAIRE, K).told, QUESTIONNAIRE))
    assert (after["country", "A"], after["country", "B"], after["country", "C"]) == (66, 6, 6)


def test_a_table_in_which_much_would_be_hidden_waits():
    first = [("A", "S", "5")] * 6 + [("B", "S", "1")] * 3 + [("C", "S", "1")] * 3
    second = [*first, *[("B", "S", "1")] * 3, *[("C", "S", "1")] * 3]
    before = step(None, counts(first), QUESTIONNAIRE, K)
    assert not [cell for cell in before.told.cells if cell.dimension == "country"]
    after = told(evaluate(step(before, counts(second), QUESTIONNAIRE, K).told, QUESTIONNAIRE))
    assert (after["country", "A"], after["country", "B"], after["country", "C"]) == (6, 6, 6)


def test_publishing_the_same_history_again_gives_the_same_bytes():
    history = [[("A", "S", "5")] * 9, [("B", "T", "1")] * 30]
    assert [encoded(each) for _, each in publications(history)] == [encoded(each) for _, each in publications(history)]


IT = [("IT", "S", "5")] * 9 + [("IT", "S", "1")]
DE = [("DE", "S", "5")] * 30 + [("DE", "S", "1")] * 10


def cells_told(released: Released) -> dict[str, tuple[int | None, int | None]]:
    return {cell.category: (cell.valid, cell.favourable) for cell in released.told.cells if cell.dimension == "country"}


@pytest.mark.parametrize(
    "italy",
    [
        IT[:9],
        IT[1:],
        [*IT[1:], ("IT", "S", "1")],
        [*IT[:9], ("IT", "S", "5")],
        [*IT[1:], *[("IT", "S", "1")] * 6],
        [*IT[:9], *[("IT", "S", "5")] * 6],
        IT[:3],
        [],
    ],
)
def test_what_an_erasure_takes_from_a_cell_is_not_told(italy: list[Answer]):
    """Whether an unfavourable answer, a favourable one, one for another, one of many, or all."""
    before = step(None, counts([*DE, *IT]), QUESTIONNAIRE, K)
    assert cells_told(before) == {"DE": (40, 30), "IT": (10, 9)}
    more = [("DE", "S", "5")] * 60 + [("DE", "S", "1")] * 30 + [("FR", "S", "5"), ("FR", "S", "1")] * 10
    after = step(before, counts([*DE, *italy, *more]), QUESTIONNAIRE, K)
    assert cells_told(after)["IT"] == (10, 9)


def test_a_headline_stays_while_a_number_of_it_is_less_than_was_told():
    before = step(None, counts([*DE, *IT]), QUESTIONNAIRE, K)
    fewer = [*DE[:39], *IT]
    for came, told_now in (([("DE", "S", "5")] * 20, 50), ([("DE", "S", "5")] * 20 + [("DE", "S", "1")], 70)):
        after = step(before, counts([*fewer, *came]), QUESTIONNAIRE, K)
        assert told(evaluate(after.told, QUESTIONNAIRE))["all", ""] == told_now


def programme(responses: dict[str, tuple[int, ...]], flows: dict[str, int]) -> ProgrammeCounts:
    return ProgrammeCounts(
        responses=tuple(ResponseCount(1, party, *numbers) for party, numbers in sorted(responses.items())),
        flows=tuple(FlowCount(*pair.split(), number=number) for pair, number in sorted(flows.items())),
    )


def steps_of(*known: ProgrammeCounts) -> list[Released]:
    found: list[Released] = []
    for number, each in enumerate(known, 1):
        whole = replace(counts([("A", "S", "5")] * 10 * number), programme=each)
        found.append(step(found[-1] if found else None, whole, QUESTIONNAIRE, K))
    return found


def test_flows_of_few_are_not_told_and_others_move_by_k():
    first = {"AT DE": 60, "DE IT": 30, "FR ES": 8, "IT ES": 1}
    second = first | {"AT DE": 61, "IT ES": 2}
    third = {"AT DE": 100, "DE IT": 30, "FR ES": 15, "IT ES": 3}
    told_flows = [
        {f"{flow.sender_country} {flow.host_country}": flow.number for flow in each.told.programme.flows}
        for each in steps_of(*(programme({}, flows) for flows in (first, second, third)))
        if each.told.programme
    ]
    assert told_flows == [{"AT DE": 60, "DE IT": 30}, {"AT DE": 60, "DE IT": 30}, {"AT DE": 100, "DE IT": 30}]


def test_responses_are_told_of_all_parties_of_a_wave_or_of_none_and_move_by_k():
    first = {"sender": (20, 20, 12, 10, 2), "host": (20, 19, 11, 10, 0)}
    second = first | {"sender": (20, 20, 14, 11, 2)}
    third = {"sender": (40, 40, 30, 25, 6), "host": (26, 26, 20, 10, 5)}
    found = [
        [] if each.told.programme is None else [*each.told.programme.responses]
        for each in steps_of(*(programme(each, {}) for each in (first, second, third)))
    ]
    told_first = [
        ResponseCount(1, "host", 20, 19, 11, 10, None),
        ResponseCount(1, "sender", 20, 20, 12, 10, None),
    ]
    assert found[0] == found[1] == told_first
    assert found[2] == [ResponseCount(1, "host", 26, 26, 20, 10, 5), ResponseCount(1, "sender", 40, 40, 30, 25, 6)]
    small = steps_of(programme({"sender": (4, 4, 4, 4, 0), "host": (20, 20, 20, 20, 0)}, {}))[0].told.programme
    assert small is not None and small.responses == ()


def test_what_was_told_and_known_is_read_back_and_of_old_publications_the_programme_that_was_told():
    [released] = steps_of(programme({"sender": (20, 20, 12, 10, 2)}, {"AT DE": 40, "DE IT": 1}))
    assert decoded_released(encoded_released(released)) == released
    old = {
        name: part
        for name, part in json.loads(encoded_released(released)).items()
        if name not in ("programme", "flows")
    }
    read = decoded_released(json.dumps(old))
    assert (read.programme, read.told) == (released.told.programme, released.told)
