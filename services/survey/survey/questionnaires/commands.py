"""What who writes questionnaires does: ``survey questionnaire check``, ``diff``, ``render``, ``publish``."""

from pathlib import Path
from typing import Annotated

import typer
from chassis.commands import failed
from sojourn_contracts.vocabulary import Party

from survey.questionnaires.language import OTHERWISE, Language
from survey.questionnaires.loading import Document, Faulty
from survey.questionnaires.published import FILES, Shelf, publish, read
from survey.questionnaires.questionnaire import END_OF_STAY, SIX_MONTHS_LATER
from survey.questionnaires.rendering import difference, render

app = typer.Typer(no_args_is_help=True, help="Questionnaires: files that are checked, compared, read and published.")

Folder = Annotated[Path, typer.Option(exists=True, file_okay=False, help="where the files are")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="as the file is named, without .yaml")]


def _right(folder: Path) -> Shelf:
    """All versions; a file that is wrong ends the command, with a line for each thing that is."""
    shelf = read(folder)
    if shelf.wrong:
        raise failed(str(Faulty(shelf.wrong)))
    return shelf


def _document(shelf: Shelf, version: str) -> Document:
    if version not in shelf.documents:
        raise failed(f"There is no version {version}; there are {', '.join(shelf.documents)}.", code=2)
    return shelf.documents[version]


@app.command()
def check(folder: Folder = FILES) -> None:
    """Looks whether all files are right, and what is published is as it was; names everything that is wrong with its line."""
    shelf = _right(folder)
    for version, document in shelf.documents.items():
        state = "published" if version in shelf.published else "a draft"
        typer.echo(f"{version}: {state}, {len(document.questionnaire.questions)} questions, right")


@app.command()
def diff(old: Version, new: Version, folder: Folder = FILES) -> None:
    """Says what differs between two versions."""
    shelf = _right(folder)
    for line in difference(_document(shelf, old), _document(shelf, new)):
        typer.echo(line)


@app.command(name="render")
def render_(
    version: Version,
    party: Annotated[Party, typer.Option(help="who is asked")] = Party.SENDER,
    wave: Annotated[int, typer.Option(min=END_OF_STAY, max=SIX_MONTHS_LATER, help="1: end of the stay")] = END_OF_STAY,
    language: Annotated[Language, typer.Option(help="in which it is read")] = OTHERWISE,
    folder: Folder = FILES,
) -> None:
    """Prints what a party is asked in a wave, as Markdown."""
    typer.echo(render(_document(_right(folder), version).questionnaire, party, wave, language))


@app.command(name="publish")
def publish_(version: Version, folder: Folder = FILES) -> None:
    """Fixes a draft for good: from then on nothing in it changes, and it is asked if it is the newest."""
    _document(_right(folder), version)
    made = publish(version, folder)
    typer.echo(f"{version}: published" if made else f"{version}: was published before")
