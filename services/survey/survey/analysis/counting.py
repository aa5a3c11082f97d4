"""Counts for the evaluation, from the submissions of a snapshot: the same that the live counters come to."""

# ruff: noqa: S608 - what is put into SQL comes from a questionnaire that was checked, and is quoted
from collections.abc import Iterable

import duckdb

from survey.evaluation.figures import DIMENSIONS, AnswerCount, CellCount, ClusterSums, Counts
from survey.questionnaires.questionnaire import Indicator, Questionnaire


def counted(connection: duckdb.DuckDBPyConnection, questionnaire: Questionnaire) -> Counts:
    """What ``submission`` holds of this version, in a fixed order; what it holds of others is not looked at.

    The files are read once, into a table with ``n`` and ``y`` for each indicator: whether its answer is valid, and favourable.
    A company is a cluster within a programme year: in the next its keyed hash is another.
    """
    flags = [flag for i, each in enumerate(questionnaire.indicators) for flag in _flags(i, each, questionnaire)]
    columns = ["wave", "company_cluster", *DIMENSIONS, "answers", *flags]
    connection.execute(
        f"create or replace temp table answered as select {', '.join(columns)} from submission where questionnaire = ?",
        [questionnaire.version],
    )
    [(submissions,)] = connection.execute("select count(*) from answered").fetchall()
    counts = Counts(
        questionnaire=questionnaire.version,
        submissions=submissions,
        answers=_answers(connection),
        clusters=_clusters(connection, questionnaire.indicators),
        cells=_cells(connection, questionnaire.indicators),
    )
    connection.execute("drop table answered")
    return counts


def _flags(i: int, indicator: Indicator, questionnaire: Questionnaire) -> tuple[str, str]:
    answer = f"answers[{_text(indicator.question)}]"
    missing = questionnaire.question(indicator.question).missing
    return (
        f"({answer} is not null and not coalesce({answer} in ({_texts(missing)}), false))::int as n{i}",
        f"coalesce({answer} in ({_texts(indicator.favourable)}), false)::int as y{i}",
    )


def _answers(connection: duckdb.DuckDBPyConnection) -> tuple[AnswerCount, ...]:
    rows = connection.execute(
        "select wave, party, given.key, given.value, count(*)"
        " from (select wave, party, unnest(map_entries(answers)) as given from answered) group by all"
    ).fetchall()
    return tuple(
        sorted(
            (AnswerCount(*row) for row in rows), key=lambda each: (each.wave, each.party, each.question, each.answer)
        )
    )


def _clusters(connection: duckdb.DuckDBPyConnection, indicators: tuple[Indicator, ...]) -> tuple[ClusterSums, ...]:
    of_company = "".join(f", sum(n{i}) as n{i}, sum(y{i}) as y{i}" for i in range(len(indicators)))
    sums = "".join(
        f", [count(*) filter (n{i} > 0), sum(n{i}), sum(y{i}), sum(n{i} * n{i}), sum(n{i} * y{i}), sum(y{i} * y{i})]"
        for i in range(len(indicators))
    )
    rows = connection.execute(
        f"select wave{sums} from (select wave{of_company} from answered group by wave, company_cluster) group by wave"
    ).fetchall()
    found = [
        ClusterSums(wave, indicator.code, *numbers)
        for wave, *of_all in rows
        for indicator, numbers in zip(indicators, of_all, strict=True)
        if numbers[0]
    ]
    return tuple(sorted(found, key=lambda each: (each.wave, each.indicator)))


def _cells(connection: duckdb.DuckDBPyConnection, indicators: tuple[Indicator, ...]) -> tuple[CellCount, ...]:
    sums = "".join(f", [sum(n{i}), sum(y{i})]" for i in range(len(indicators)))
    cells = [
        CellCount(wave, indicator.code, dimension, category, valid, favourable)
        for dimension in DIMENSIONS
        for wave, category, *of_all in connection.execute(
            f"select wave, {dimension}{sums} from answered group by wave, {dimension}"
        ).fetchall()
        for indicator, (valid, favourable) in zip(indicators, of_all, strict=True)
        if valid
    ]
    return tuple(sorted(cells, key=lambda each: (each.wave, each.indicator, each.dimension, each.category)))


def _text(code: str) -> str:
    return "'" + code.replace("'", "''") + "'"


def _texts(codes: Iterable[str]) -> str:
    return ", ".join(_text(code) for code in sorted(codes)) or "null"
