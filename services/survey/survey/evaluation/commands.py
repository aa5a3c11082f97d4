"""What an operator does about the evaluation, on the command line."""

import json
from dataclasses import asdict

import typer
from aiokafka.errors import KafkaError
from chassis.commands import on_process
from chassis.service import Service


def add_to(command: typer.Typer, service: Service) -> None:
    """Adds the commands to the survey's."""

    @command.command()
    def rebuild() -> None:  # pyright: ignore[reportUnusedFunction]
        """Builds what figures are read from anew, from the topics and the survey's own log; says what it found."""
        from survey.evaluation import rebuild

        try:
            found = on_process(service, rebuild.rebuild)
        except KafkaError as error:
            typer.echo(f"the topics cannot be read: {error}", err=True)
            raise typer.Exit(1) from None
        typer.echo(json.dumps(asdict(found)))
        if found.unknown:
            raise typer.Exit(1)
