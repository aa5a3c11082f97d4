"""The command `sojourn-contracts`, for who subscribes: it comes with the extra `kit`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from jsonschema import Draft202012Validator, SchemaError

from sojourn_contracts import compatibility
from sojourn_contracts.compatibility import Json, Version
from sojourn_contracts.kit import verify
from sojourn_contracts.kit.over_kafka import conformance

command = typer.Typer(no_args_is_help=True, add_completion=False)
command.command()(conformance)


@command.callback()
def about() -> None:
    """What a subscriber can check of the contract, of what it received and of itself."""


def _require_schemas(folder: Path, versions: Mapping[Version, Json]) -> None:
    """Raises Unreadable if one is no JSON Schema: what would be compared may mean anything."""
    for version, schema in versions.items():
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            path = folder / version.event / f"{version.number}.json"
            raise compatibility.Unreadable(f"{path} is no JSON Schema: {error.json_path}: {error.message}") from None


@command.command()
def check(
    old: Annotated[
        Path, typer.Argument(help="what is published: <Event>/<major>.<minor>.json", exists=True, file_okay=False)
    ],
    new: Annotated[Path, typer.Argument(help="the same, and what is to come", exists=True, file_okay=False)],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of lines")] = False,
) -> None:
    """Can old readers read the new events, and new readers the old ones?

    Each JSON Schema that is new is compared with every other one of its event and major version, and none that was published
    may be gone or changed. Exit status: 0 if nothing is broken, 1 if something is, 2 if a folder cannot be read.
    """
    try:
        former, present = compatibility.versions(old), compatibility.versions(new)
        for folder, versions in ((old, former), (new, present)):
            _require_schemas(folder, versions)
    except compatibility.Unreadable as unreadable:
        typer.echo(str(unreadable), err=True)
        raise typer.Exit(2) from None
    found = compatibility.findings(former, present)
    pairs = compatibility.compared(former, present)
    if as_json:
        breaks = [
            {
                "event": each.version.event,
                "version": each.version.number,
                "against": each.against.number,
                "path": each.broken.path,
                "rule": each.broken.rule,
                "fails": each.broken.fails.name.lower(),
                "detail": each.broken.detail,
            }
            for each in found
        ]
        typer.echo(json.dumps({"compatible": not found, "compared": len(pairs), "breaks": breaks}, indent=2))
    else:
        for each in found:
            typer.echo(str(each))
        typer.echo(f"{len(present)} versions, {len(pairs)} pairs compared, {len(found)} breaks")
    if found:
        raise typer.Exit(1)


command.command("verify")(verify.command)
