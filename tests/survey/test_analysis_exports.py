"""What analysts get as files, and the codebook that says what stands in them."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import frictionless
import polars as pl
import pyreadstat
import pytest
from sojourn_contracts.survey import SurveySubmitted
from survey.analysis.codebook import markdown, table_schema
from survey.analysis.exports import Format, UnknownCodes, export
from survey.analysis.variables import RECORD
from survey.questionnaires.questionnaire import LANGUAGES

from tests.survey.asked import SMALL, arrow, submission

ROWS = (
    submission(2, "host", {"NEWPROD": "no"}),
    submission(1, "sender", {"SEND_MATCH": "5", "NEWPROD": "yes", "DURATION": "right"}),
    submission(3, "sender", {"SEND_MATCH": "98", "NEWPROD": "99"}, size_class="micro"),
    submission(4, "sender", {"SEND_MATCH": "97", "NEWPROD": "98"}, wave=2),
    submission(5, "sender", {"SEND_MATCH": "1"}, questionnaire="t.2"),
)


@pytest.fixture
def stored() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.register("submission", arrow(*ROWS))
        yield connection


def test_an_exported_csv_is_valid_by_its_table_schema(stored, tmp_path):
    out = tmp_path / "answers.csv"
    assert export(stored, SMALL, Format.CSV, "en", out) == 4
    for language in LANGUAGES:
        assert validity(out, language) == []


def test_the_table_schema_finds_a_code_that_was_never_asked(stored, tmp_path):
    out = tmp_path / "answers.csv"
    export(stored, SMALL, Format.CSV, "en", out)
    out.write_text(out.read_text().replace("yes", "maybe"))
    assert validity(out, "en") == ["constraint-error"]


def validity(out: Path, language: str) -> list[str]:
    descriptor = json.loads(json.dumps(table_schema(SMALL, language)))
    resource = frictionless.Resource(
        path=out.name, basepath=str(out.parent), schema=frictionless.Schema.from_descriptor(descriptor)
    )
    report = resource.validate()
    return [error.type for task in report.tasks for error in task.errors] + [error.type for error in report.errors]


@pytest.mark.parametrize("kind", [Format.CSV, Format.PARQUET, Format.JSON_LINES])
def test_open_formats_have_the_codes_as_they_are_stored(stored, tmp_path, kind):
    out = tmp_path / "answers"
    export(stored, SMALL, kind, "en", out)
    read = {Format.CSV: pl.read_csv, Format.PARQUET: pl.read_parquet, Format.JSON_LINES: pl.read_ndjson}[kind]
    frame = read(out)
    assert frame.columns == [*[each.name for each in RECORD], "SEND_MATCH", "NEWPROD", "DURATION"]
    assert frame["NEWPROD"].cast(str).to_list() == ["yes", "no", "99", "98"]
    assert frame["SEND_MATCH"].cast(str).to_list() == ["5", None, "98", "97"]
    assert frame["wave"].to_list() == [1, 1, 1, 2]


def test_spss_has_labels_in_the_chosen_language_and_its_own_missing_codes(stored, tmp_path):
    out = tmp_path / "answers.sav"
    export(stored, SMALL, Format.SPSS, "fr", out)
    frame, about = pyreadstat.read_sav(out, user_missing=True, output_format="polars")
    assert frame["NEWPROD"].to_list() == [1, 2, 99, 98]
    assert frame["released_on"].to_list()[0] == date(2026, 3, 2)
    assert about.column_names_to_labels["NEWPROD"] == "New products? (fr) è, ü, ç"
    assert about.variable_value_labels["NEWPROD"][1] == "yes (fr) è, ü, ç"
    assert about.variable_value_labels["party"] == {
        1: "Entreprise d'envoi",
        2: "Entreprise d'accueil",
        3: "Personne en mobilité",
    }
    assert about.variable_measure["SEND_MATCH"] == "ordinal"
    valid, _ = pyreadstat.read_sav(out, output_format="polars")
    assert valid["NEWPROD"].to_list() == [1, 2, None, None]
    assert valid["SEND_MATCH"].to_list() == [5, None, None, None]


def test_stata_has_labels_and_letters_for_missing_codes(stored, tmp_path):
    out = tmp_path / "answers.dta"
    export(stored, SMALL, Format.STATA, "de", out)
    frame, about = pyreadstat.read_dta(out, user_missing=True, output_format="polars")
    assert list(frame["NEWPROD"]) == [1, 2, "c", "b"]
    assert list(frame["SEND_MATCH"]) == [5, None, "b", "a"]
    assert about.variable_value_labels["NEWPROD"] == {
        1: "yes (de) è, ü, ç",
        2: "no (de) è, ü, ç",
        "a": "declined (de) è, ü, ç",
        "b": "do not know (de) è, ü, ç",
        "c": "not applicable (de) è, ü, ç",
    }
    label = about.column_names_to_labels["SEND_MATCH"]
    assert (len(label), label[:32], label[-1]) == (80, "Needs and competences were well ", "…")
    valid, _ = pyreadstat.read_dta(out, output_format="polars")
    assert valid["NEWPROD"].to_list() == [1, 2, None, None]


@pytest.mark.parametrize("kind", list(Format))
def test_answers_with_unknown_codes_are_named_and_nothing_is_written(tmp_path, kind):
    with duckdb.connect() as connection:
        connection.register("submission", arrow(submission(1, "sender", {"SEND_MATCH": "6", "NEWPROD": "maybe"})))
        with pytest.raises(UnknownCodes, match="SEND_MATCH: 6; NEWPROD: maybe"):
            export(connection, SMALL, kind, "en", tmp_path / "answers")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", list(Format))
def test_an_export_of_nothing_has_its_columns(tmp_path, kind):
    with duckdb.connect() as connection:
        connection.register("submission", arrow())
        assert export(connection, SMALL, kind, "it", tmp_path / "answers") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["answers"]


def test_the_codebook_tells_every_question_in_every_language():
    for language in LANGUAGES:
        book = markdown(SMALL, language)
        for question in SMALL.questions[:4]:
            assert f"\n\n{question.texts[language]}\n\n" in book
            assert book.count(f"### {question.code}\n") == 1
            for code, label in question.codes.items():
                assert f"| `{code}` | {label[language]} |" in book
        assert "OPEN" not in book
    assert "| `99` | not applicable (en) è, ü, ç | no | 99 | .c |" in markdown(SMALL, "en")
    assert "Nur wenn `NEWPROD` mit `yes` beantwortet wurde." in markdown(SMALL, "de")
    assert "| `NEWPROD` | new products (fr) è, ü, ç | `yes` | 75% |" in markdown(SMALL, "fr")


def test_the_columns_are_those_of_the_event():
    assert [each.name for each in RECORD] == [name for name in SurveySubmitted.model_fields if name != "answers"]
