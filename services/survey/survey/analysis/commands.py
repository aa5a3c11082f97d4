"""What the analysts' commands do: each says what it made of which snapshot, or raises ``Failed`` with a sentence for people."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pyiceberg.exceptions import NoSuchTableError
from sqlalchemy.exc import OperationalError

from survey.analysis.chosen import Failed, Known, chosen
from survey.analysis.evaluation import code_version, of_snapshot
from survey.analysis.exports import Format, UnknownCodes, export
from survey.analysis.snapshot import UnknownSnapshot, snapshot_of, submissions, versions
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import encoded
from survey.evaluation.steps import suppressed
from survey.questionnaires.questionnaire import Questionnaire
from survey.sink.settings import TableSettings
from survey.sink.table import catalog, opened


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except NoSuchTableError:
        raise Failed("the sink has not written anything yet: there is no table") from None
    except OperationalError:
        raise Failed("the table's catalog cannot be reached") from None
    except (UnknownSnapshot, UnknownCodes) as error:
        raise Failed(str(error)) from None


def _others(found: Mapping[str, int], questionnaire: Questionnaire, known: Known) -> list[str]:
    """What is left out, said."""
    return [
        f"{number} submissions answer {name}: ask for them with --questionnaire {name}"
        if name in known
        else f"{number} submissions answer {name}, which is not known here: they are kept until it is"
        for name, number in found.items()
        if name != questionnaire.version
    ]


def write_export(
    settings: TableSettings,
    known: Known,
    version: str | None,
    snapshot: int | None,
    kind: Format,
    language: str,
    out: Path,
) -> list[str]:
    """Writes the file; gives what there is to say about it.

    Raises:
        Failed: there is no such snapshot or version, or what is in it cannot be labelled.
    """
    questionnaire = chosen(known, version)
    with _said():
        table = opened(catalog(settings))
        snapshot_id = snapshot_of(table, snapshot)
        with submissions(table, snapshot_id) as connection:
            rows = export(connection, questionnaire, kind, language, out)
            return [
                f"{rows} submissions to {questionnaire.version} of snapshot {snapshot_id} are in {out}",
                *_others(versions(connection), questionnaire, known),
            ]


def figures(
    settings: TableSettings, known: Known, version: str | None, snapshot: int | None, threshold: int
) -> tuple[bytes, list[str]]:
    """The evaluation of a snapshot as JSON, and what there is to say about it.

    Raises:
        Failed: there is no such snapshot or version.
    """
    questionnaire = chosen(known, version)
    with _said():
        table = opened(catalog(settings))
        snapshot_id = snapshot_of(table, snapshot)
        counted = of_snapshot(table, snapshot_id, questionnaire)
    return encoded(evaluate(suppressed(counted.counts, threshold), questionnaire)), [
        f"snapshot {snapshot_id}, questionnaire {questionnaire.version}, code {code_version()}",
        *_others(counted.versions, questionnaire, known),
    ]
