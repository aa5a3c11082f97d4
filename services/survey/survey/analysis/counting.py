"""Counts for the evaluation, from the submissions of a snapshot: the same that the live counters come to."""

# ruff: noqa: S608 - what is put into SQL comes from a questionnaire that was checked, and is quoted
from collections.abc import Iterable

import duckdb

from survey.evaluation.figures import DIMENSIONS, AnswerCount, CellCount, ClusterSums, Counts
from survey.questionnaires.questionnaire import Indicator, Kind, Questionnaire


def counted(connection: duckdb.DuckDBPyConnection, questionnaire: Questionnaire) -> Counts:
    """What ``submission`` holds of this version, in a fixed order; what it holds of others is not looked at.

    The files are read once, into a table with a column for each question, and ``n`` and ``y`` for each indicator: whether the
    answer is valid, and favourable. A company is a cluster within a programme year: in the next its keyed hash is another.
    """
    questions = [each.code for each in questionnaire.questions if each.kind is not Kind.TEXT]
    given = [f"answers[{_text(code)}] as {_name(code)}" for code in questions]
    flags = [
        flag for i, indicator in enumerate(questionnaire.indicators) for flag in _flags(i, indicator, questionnaire)
    ]
    connection.execute(
        f"create or replace temp table answered as select {', '.join(['*', *flags])} from"
        f" (select {', '.join(['wave', 'company_cluster', *DIMENSIONS, *given])} from submission where questionnaire = ?)",
        [questionnaire.version],
    )
    [(submissions,)] = connection.execute("select count(*) from answered").fetchall()
    counts = Counts(
        questionnaire=questionnaire.version,
        submissions=submissions,
        answers=_answers(connection, questions),
        clusters=_clusters(connection, questionnaire.indicators),
        cells=_cells(connection, questionnaire.indicators),
    )
    connection.execute("drop table answered")
    return counts


def _flags(i: int, indicator: Indicator, questionnaire: Questionnaire) -> tuple[str, str]:
    answer, missing = _name(indicator.question), questionnaire.question(indicator.question).missing
    return (
        f"({answer} is not null and not list_contains({_texts(missing)}, {answer}))::int as n{i}",
        f"coalesce(list_contains({_texts(indicator.favourable)}, {answer}), false)::int as y{i}",
    )


def _answers(connection: duckdb.DuckDBPyConnection, questions: Iterable[str]) -> tuple[AnswerCount, ...]:
    counts = [
        AnswerCount(wave, party, question, answer, number)
        for question in questions
        for wave, party, answer, number in connection.execute(
            f"select wave, party, {_name(question)} as answer, count(*)"
            " from answered where answer is not null group by wave, party, answer"
        ).fetchall()
    ]
    return tuple(sorted(counts, key=lambda each: (each.wave, each.party, each.question, each.answer)))


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


def _name(code: str) -> str:
    return '"' + code.replace('"', '""') + '"'


def _text(code: str) -> str:
    return "'" + code.replace("'", "''") + "'"


def _texts(codes: Iterable[str]) -> str:
    return f"[{', '.join(_text(code) for code in sorted(codes))}]::varchar[]"
