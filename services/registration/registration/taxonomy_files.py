"""The commands that make and check folders with a taxonomy. They need neither settings nor a running system."""

from pathlib import Path
from typing import Annotated

import typer
from sojourn_contracts import taxonomy
from sojourn_contracts.taxonomy import Taxonomy, TaxonomyError

from registration.esco import EscoError, import_esco

command = typer.Typer(no_args_is_help=True, help="Folders with a skills taxonomy, as TAXONOMY takes them.")


@command.command("import-esco")
def from_esco(
    source: Annotated[
        Path, typer.Argument(help="ESCO's CSV files: a .zip, or a folder with .zip, .csv or .csv.gz files")
    ],
    target: Annotated[Path, typer.Argument(help="the folder to make; it must not be there, or be empty")],
    release: Annotated[
        str | None, typer.Option(metavar="VERSION", help="as in 1.2.0; needed where no file's name tells it")
    ] = None,
) -> None:
    """Makes a taxonomy of the files that ESCO is published as."""
    try:
        made = import_esco(source, target, release, lambda step: typer.echo(step, err=True))
    except (EscoError, TaxonomyError, OSError) as error:
        typer.echo(f"not imported, and nothing was changed: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(_summary(target, made))


@command.command()
def check(folder: Annotated[Path, typer.Argument(help="the folder with the taxonomy")]) -> None:
    """Names every fault in a taxonomy's files, each with line and column."""
    try:
        found = taxonomy.read(folder)
    except TaxonomyError as error:
        typer.echo(f"{folder} {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(_summary(folder, found))


def _summary(folder: Path, found: Taxonomy) -> str:
    counts = f"{len(found.skills):,} skills, {len(found.groups):,} groups, {len(found.occupations):,} occupations"
    lines = [f"{folder}: {found.title}, version {found.version}: {counts}, labels in {', '.join(found.languages)}"]
    return "\n".join([*lines, found.attribution] if found.attribution else lines)
