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

from survey.evaluation import commands as evaluation
from survey.main import service
from survey.questionnaires.commands import app as questionnaires

command = service.command()
command.add_typer(questionnaires, name="questionnaire")
evaluation.add_to(command, service)


@command.command()
def sink() -> None:
    """Keeps the table of released submissions, the same events as on their topic, until told to stop."""
    from survey.sink import process
    from survey.sink.settings import SinkSettings

    settings: SinkSettings = read(SinkSettings, "survey-sink")
    process.run(settings)


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
    from survey.analysis import commands
    from survey.analysis.exports import Format
    from survey.questionnaires.published import published
    from survey.sink.settings import TableSettings

    settings = read(TableSettings, "survey-export")
    with _told() as say:
        say(commands.export(settings, published(), questionnaire, snapshot, Format(form), language, out))


@command.command()
def evaluate(
    snapshot: Snapshot = None,
    questionnaire: Version = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="tell the public, if enough submissions came since the last time")
    ] = False,
    out: MaybeOut = None,
) -> None:
    """A snapshot's figures as JSON, small cells hidden; of a published one, what was published, made again byte for byte."""
    from survey.analysis import commands
    from survey.analysis.settings import EvaluationSettings
    from survey.questionnaires.published import published

    settings = read(EvaluationSettings, "survey-evaluate")
    do = commands.publish if publish else commands.evaluate
    with _told() as say:
        figures, notes = do(settings, published(), questionnaire, snapshot)
        say(notes)
        _write(figures, out)


@command.command()
def publications(questionnaire: Version = None) -> None:
    """What was published: a line of JSON each, with whether it can still be made again."""
    from survey.analysis import commands
    from survey.analysis.settings import EvaluationSettings
    from survey.questionnaires.published import published

    settings = read(EvaluationSettings, "survey-evaluate")
    with _told():
        for line in commands.publications(settings, published(), questionnaire):
            typer.echo(line)


@command.command()
def report(
    out: Out,
    form: Annotated[Literal["html", "pdf"], typer.Option("--format", help="both need nothing else, and no network")],
    language: Language = "en",
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="what `survey evaluate` wrote, or the answer of GET /figures; unset, a snapshot's"
        ),
    ] = None,
    snapshot: Snapshot = None,
    questionnaire: Version = None,
) -> None:
    """The evaluation to look at: charts with their tables and what they say in sentences."""
    from survey.analysis.report import commands
    from survey.analysis.settings import EvaluationSettings
    from survey.questionnaires.published import published

    with _told() as say:
        if figures is None:
            settings = read(EvaluationSettings, "survey-report")
            told, notes = commands.of_snapshot(settings, published(), questionnaire, snapshot, language, form)
            say(notes)
        else:
            told = commands.of_file(figures, published(), language, form)
        out.write_bytes(told)


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
