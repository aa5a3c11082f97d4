"""``<service> doctor``: what one service can see of the installation; and ``sojourn doctor``: the same of all services."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sojourn_contracts.catalogue import SERVICES

from chassis.doctor.judging import Finding, Report, Severity, Unseen

if TYPE_CHECKING:
    from chassis.service import Service

LONGEST = 120.0
"""Seconds that the doctor of one service may take."""

Urls = Annotated[
    list[str] | None, typer.Option("--url", help="a process to ask, as http://host:port; may be given several times")
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object, for programs")]


def doctor_of(service: "Service") -> Any:
    """The command of a service."""

    def doctor(urls: Urls = None, as_json: AsJson = False) -> None:
        """Checks what this service needs, with its own settings and rights, and says what to do: a line for each finding.

        Ends with 0 when nothing is wrong, 1 when something is, 2 when not all could be looked at.
        """
        from chassis.doctor.looking import examined

        _tell([asyncio.run(examined(service, urls or ()))], as_json)

    return doctor


sojourn = typer.Typer(no_args_is_help=True, add_completion=False, help="An installation of Sojourn as a whole.")


@sojourn.callback()
def _whole() -> None:
    """Makes ``doctor`` a command of its own, also while it is the only one."""


@sojourn.command("doctor")
def doctor(
    environments: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="with a file <service>.env for each service: a line NAME=value for each setting"
        ),
    ] = None,
    urls: Urls = None,
    as_json: AsJson = False,
) -> None:
    """Runs `<service> doctor` of every service that is installed here, each in its environment, and tells all in one.

    Without a folder, this command's own environment is taken for each: in an image with one service, that one's.
    """
    here = [service for service in SERVICES if _command(service).exists()]
    if not here:
        typer.echo("no service is installed beside this command", err=True)
        raise typer.Exit(2)
    reports = (reported_by(service, _environment(service, environments), urls or ()) for service in here)
    _tell(list(reports), as_json)


def reported_by(service: str, environment: Mapping[str, str] | None, urls: Iterable[str]) -> Report:
    """What the service's own doctor reports in this environment."""
    if environment is None:
        return Report(service, unchecked=[Unseen("settings", f"there is no {service}.env in the folder")])
    options = [option for url in urls for option in ("--url", url)]
    try:
        ended = subprocess.run(  # noqa: S603 - our own command
            [_command(service), "doctor", "--json", *options],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        [told] = json.loads(ended.stdout)["services"]
    except (subprocess.TimeoutExpired, ValueError, KeyError) as error:
        return Report(service, unchecked=[Unseen("doctor", f"`{service} doctor` gave no report: {error!r}"[:300])])
    return Report(
        service,
        [Finding(**each | {"severity": Severity(each["severity"])}) for each in told["findings"]],
        [Unseen(**each) for each in told["unchecked"]],
        [Unseen(**each) for each in told["left_out"]],
    )


def _command(service: str) -> Path:
    return Path(sys.executable).parent / service


def _environment(service: str, folder: Path | None) -> dict[str, str] | None:
    """This process' environment, and over it what the service's file says; None if there is none."""
    if folder is None:
        return dict(os.environ)
    file = folder / f"{service}.env"
    if not file.is_file():
        return None
    lines = (line for line in file.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return os.environ | {name: value for name, _, value in (line.partition("=") for line in lines)}


def _tell(reports: list[Report], as_json: bool) -> None:
    code = max(report.exit_code for report in reports)
    if as_json:
        typer.echo(json.dumps({"exit_code": code, "services": [asdict(report) for report in reports]}))
        raise typer.Exit(code)
    for report in reports:
        for finding in report.findings:
            typer.echo(f"{report.service:<12} {finding}")
        for unseen in report.unchecked:
            typer.echo(f"{report.service:<12} {'unknown':<8} {unseen.check:<12} {unseen.why}")
        for unseen in report.left_out:
            typer.echo(f"{report.service:<12} {'left out':<8} {unseen.check:<12} {unseen.why}")
        if report.exit_code == 0:
            typer.echo(f"{report.service:<12} nothing is wrong")
    raise typer.Exit(code)
