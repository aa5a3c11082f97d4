"""DuckDB's counts of a snapshot are those that a person would count."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from survey.analysis.counting import counted
from survey.evaluation.figures import DIMENSIONS, AnswerCount, CellCount, ClusterSums, Counts

from tests.survey.asked import SMALL, arrow, submission


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def some(number: int, seed: int = 3) -> list[dict[str, Any]]:
    source = random.Random(seed)
    made = []
    for each in range(number):
        party = source.choice(["sender", "host", "traveller"])
        answers = {
            question.code: source.choice([*question.codes])
            for question in SMALL.questions
            if question.codes and party in question.base and source.random() < 0.9
        }
        made.append(
            submission(
                each,
                party,
                answers,
                wave=source.choice([1, 1, 2]),
                country=source.choice(["DE", "IT", "FR"]),
                size_class=source.choice(["micro", "small"]),
                questionnaire=source.choice([SMALL.version] * 9 + ["t.2"]),
                company_cluster=f"{source.randrange(number // 3 + 1):064x}",
            )
        )
    return made


def plainly(submissions: list[dict[str, Any]]) -> Counts:
    """Row by row, without a database."""
    answers: Counter[tuple[Any, ...]] = Counter()
    cells: dict[tuple[Any, ...], list[int]] = {}
    companies: dict[tuple[Any, ...], list[int]] = {}
    ours = [each for each in submissions if each["questionnaire"] == SMALL.version]
    for each in ours:
        given = dict(each["answers"])
        answers.update((each["wave"], each["party"], question, answer) for question, answer in given.items())
        for indicator in SMALL.indicators:
            answer = given.get(indicator.question)
            if answer is None or answer in SMALL.question(indicator.question).missing:
                continue
            keys = [(each["wave"], indicator.code, dimension, each[dimension]) for dimension in DIMENSIONS]
            places = [cells.setdefault(key, [0, 0]) for key in keys]
            places.append(companies.setdefault((each["wave"], indicator.code, each["company_cluster"]), [0, 0]))
            for place in places:
                place[0] += 1
                place[1] += answer in indicator.favourable
    sums: dict[tuple[Any, ...], list[int]] = {}
    for (wave, indicator, _), (n, y) in companies.items():
        so_far = sums.setdefault((wave, indicator), [0] * 6)
        sums[wave, indicator] = [a + b for a, b in zip(so_far, (1, n, y, n * n, n * y, y * y), strict=True)]
    return Counts(
        SMALL.version,
        len(ours),
        tuple(AnswerCount(*key, number) for key, number in sorted(answers.items())),
        tuple(ClusterSums(*key, *numbers) for key, numbers in sorted(sums.items())),
        tuple(CellCount(*key, *numbers) for key, numbers in sorted(cells.items())),
    )


@pytest.mark.parametrize("number", [0, 1, 400])
def test_the_counts_are_those_of_counting_row_by_row(duck, number):
    submissions = some(number)
    duck.register("submission", arrow(*submissions))
    assert counted(duck, SMALL) == plainly(submissions)


def test_the_order_in_which_submissions_stand_changes_nothing(duck):
    submissions = some(200)
    duck.register("submission", arrow(*submissions))
    first = counted(duck, SMALL)
    duck.register("submission", arrow(*reversed(submissions)))
    assert counted(duck, SMALL) == first
