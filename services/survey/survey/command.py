"""The survey's command line: what every service has, and the processes and commands of its analysts.

What a command needs is imported when it runs: a serving process never loads the analysis stack.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from chassis.commands import read

from survey.main import service

command = service.command()

Version = Annotated[
    str | None, typer.Option("--questionnaire", metavar="VERSION", help="of the questionnaire; unset, the newest")
]
Snapshot = Annotated[
    int | None, typer.Option("--snapshot", metavar="ID", help="of the table of submissions; unset, the newest")
]
Language = Annotated[Literal["en", "it", "de", "fr"], typer.Option(help="of labels and texts")]
Out = Annotated[Path, typer.Option(metavar="FILE", help="file to write")]
MaybeOut = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="file to write; unset, standard output")]


@command.command()
def sink() -> None:
    """Keeps the table of released submissions, the same events as on their topic, until told to stop."""
    from survey.sink import process
    from survey.sink.settings import SinkSettings

    settings: SinkSettings = read(SinkSettings, "survey-sink")
    process.run(settings)


@command.command()
def export(
    out: Out,
    form: Annotated[
        Literal["parquet", "csv", "sav", "dta", "jsonl"],
        typer.Option("--format", help="sav is for SPSS, dta for Stata: with labels"),
    ],
    snapshot: Snapshot = None,
    questionnaire: Version = None,
    language: Language = "en",
) -> None:
    """Writes the submissions of a snapshot to one version of the questionnaire, a column for each question."""
    from survey.analysis.commands import write_export
    from survey.analysis.exports import Format
    from survey.questionnaires.published import published
    from survey.sink.settings import TableSettings

    settings = read(TableSettings, "survey-export")
    with _told() as say:
        say(write_export(settings, published(), questionnaire, snapshot, Format(form), language, out))


@command.command()
def evaluate(
    snapshot: Snapshot = None,
    questionnaire: Version = None,
    out: MaybeOut = None,
) -> None:
    """Evaluates a snapshot, as JSON: the same snapshot and code give the same bytes. Small cells are hidden."""
    from survey.analysis.commands import figures
    from survey.analysis.settings import EvaluationSettings
    from survey.questionnaires.published import published

    settings = read(EvaluationSettings, "survey-evaluate")
    with _told() as say:
        told, notes = figures(settings, published(), questionnaire, snapshot, settings.suppression_threshold)
        say(notes)
        _write(told, out)


@command.command()
def codebook(
    form: Annotated[Literal["markdown", "table-schema"], typer.Option("--format")] = "markdown",
    questionnaire: Version = None,
    language: Language = "en",
    out: MaybeOut = None,
) -> None:
    """Says what stands in an export: for people, or for programs as a Frictionless Table Schema of its CSV."""
    from survey.analysis.chosen import chosen
    from survey.analysis.codebook import markdown, table_schema
    from survey.questionnaires.published import published

    with _told():
        asked = chosen(published(), questionnaire)
        if form == "markdown":
            told = markdown(asked, language)
        else:
            told = json.dumps(table_schema(asked, language), indent=2, ensure_ascii=False) + "\n"
        _write(told.encode(), out)


@command.command()
def files() -> None:
    """Serves the table's files to analysts over HTTP, whole or from where they left off, until told to stop."""
    from survey.analysis.files import FilesSettings, serve

    serve(read(FilesSettings, "survey-files"))


@contextmanager
def _told() -> Iterator[Callable[[Iterable[str]], None]]:
    """What there is to say goes to standard error, beside what was asked for; what cannot be done ends the command."""
    from survey.analysis.chosen import Failed

    def say(lines: Iterable[str]) -> None:
        for line in lines:
            typer.echo(line, err=True)

    try:
        yield say
    except Failed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _write(data: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(data)
    else:
        out.write_bytes(data)
