"""Files for analysts: one row per submission, one column per question, for the answers to one version of a questionnaire.

Parquet, CSV and JSON Lines have the codes as they are stored. SPSS and Stata have the numbers that ``variables`` gives
them, with labels in the chosen language. Rows stand in the order of their random ids, which says nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyreadstat

from survey.analysis.variables import Variable, stata_missing, variables
from survey.questionnaires.questionnaire import Questionnaire

STATA_LABEL = 80
"""Characters of a variable's label that Stata takes; the codebook has the whole text."""
SPSS_LABEL = 120
"""Of a value's."""


class Format(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"
    SPSS = "sav"
    STATA = "dta"
    JSON_LINES = "jsonl"


class UnknownCodes(ValueError):  # noqa: N818 - it says what is wrong
    """Answers that the questionnaire's version does not have, each named with its question."""


def export(
    connection: duckdb.DuckDBPyConnection, questionnaire: Questionnaire, kind: Format, language: str, out: Path
) -> int:
    """Writes the file and gives the number of its rows. A file is there whole or not at all.

    Raises:
        UnknownCodes: the answers cannot be labelled.
    """
    frame = _wide(connection, questionnaire)
    _check(frame, variables(questionnaire))
    unfinished = out.with_name(f"{out.name}.unfinished")
    try:
        WRITERS[kind](frame, questionnaire, language, unfinished)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return frame.height


def _wide(connection: duckdb.DuckDBPyConnection, questionnaire: Questionnaire) -> pl.DataFrame:
    columns = ", ".join(
        f"answers['{each.name}'] as {_quoted(each.name)}" if each.asked else _quoted(each.name)
        for each in variables(questionnaire)
    )
    query = f"select {columns} from submission where questionnaire = ? order by record_id"  # noqa: S608
    return connection.sql(query, params=[questionnaire.version]).pl()


def _quoted(name: str) -> str:
    return f'"{name}"'


def _check(frame: pl.DataFrame, columns: Sequence[Variable]) -> None:
    strange = {
        each.name: sorted(set(frame[each.name].drop_nulls().cast(str).unique()) - set(each.codes))
        for each in columns
        if each.codes
    }
    named = [f"{name}: {', '.join(codes)}" for name, codes in strange.items() if codes]
    if named:
        raise UnknownCodes("these codes are not in the questionnaire: " + "; ".join(named))


def _parquet(frame: pl.DataFrame, _questionnaire: Questionnaire, _language: str, out: Path) -> None:
    frame.write_parquet(out)


def _csv(frame: pl.DataFrame, _questionnaire: Questionnaire, _language: str, out: Path) -> None:
    frame.write_csv(out)


def _json_lines(frame: pl.DataFrame, _questionnaire: Questionnaire, _language: str, out: Path) -> None:
    frame.write_ndjson(out)


def _spss(frame: pl.DataFrame, questionnaire: Questionnaire, language: str, out: Path) -> None:
    columns = variables(questionnaire)
    labelled = [each for each in columns if each.codes]
    numbered: Any = frame.with_columns([_numbers(each, each.numbers) for each in labelled])
    pyreadstat.write_sav(
        numbered,
        out,
        file_label=_file_label(questionnaire, language),
        column_labels={each.name: each.label[language] for each in columns},
        variable_value_labels={
            each.name: {
                number: _shortened(each.codes[code][language], SPSS_LABEL) for code, number in each.numbers.items()
            }
            for each in labelled
        },
        missing_ranges={
            each.name: [each.numbers[code] for code in sorted(each.missing)] for each in columns if each.missing
        },
        variable_measure={each.name: "ordinal" if each.ordered else "nominal" for each in columns},
    )


def _stata(frame: pl.DataFrame, questionnaire: Questionnaire, language: str, out: Path) -> None:
    columns = variables(questionnaire)
    letters = stata_missing(questionnaire)
    values: dict[str, Mapping[str, Any]] = {
        each.name: {code: letters[code] if code in each.missing else number for code, number in each.numbers.items()}
        for each in columns
        if each.codes
    }
    mixed: Any = frame.with_columns([_mixed(frame, each, values[each.name]) for each in columns if each.codes])
    pyreadstat.write_dta(
        mixed,
        out,
        version=15,
        file_label=_shortened(_file_label(questionnaire, language), STATA_LABEL),
        column_labels={each.name: _shortened(each.label[language], STATA_LABEL) for each in columns},
        variable_value_labels={
            each.name: {values[each.name][code]: label[language] for code, label in each.codes.items()}
            for each in columns
            if each.codes
        },
        missing_user_values={
            each.name: sorted(letters[code] for code in each.missing) for each in columns if each.missing
        },
    )


def _numbers(variable: Variable, numbers: Mapping[str, int]) -> pl.Expr:
    return pl.col(variable.name).cast(str).replace_strict(numbers, return_dtype=pl.Int32)


def _mixed(frame: pl.DataFrame, variable: Variable, values: Mapping[str, Any]) -> Any:
    """Numbers and, for user-missing values, letters in one column, as pyreadstat takes them for Stata."""
    if not variable.missing:
        return _numbers(variable, values)
    codes = frame[variable.name].to_list()
    return pl.Series(variable.name, [code and values[code] for code in codes], dtype=pl.Object)


def _file_label(questionnaire: Questionnaire, language: str) -> str:
    return f"{questionnaire.title[language]}, {questionnaire.version}"[:64]


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


WRITERS: Mapping[Format, Callable[[pl.DataFrame, Questionnaire, str, Path], None]] = {
    Format.PARQUET: _parquet,
    Format.CSV: _csv,
    Format.SPSS: _spss,
    Format.STATA: _stata,
    Format.JSON_LINES: _json_lines,
}
