"""The command line that every service has: serve, migrate, and what an operator does when something is to be mended."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import asyncpg
import typer
import uvloop

from chassis import dead_letters, due, log, migrations, reconcile, replay, spread, telemetry
from chassis.doctor.command import doctor_of
from chassis.settings import LogSettings, MigrateSettings, SettingsError, describe, load

if TYPE_CHECKING:
    from chassis.database import Connection
    from chassis.service import Process, Service

S = TypeVar("S", bound=LogSettings)
R = TypeVar("R")

LetterId = Annotated[UUID, typer.Argument(metavar="ID", help="the id that `list` shows")]


def command_line(service: "Service") -> typer.Typer:
    """The typer application of a service; it may add commands of its own."""
    app = typer.Typer(
        name=service.name,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help=f"The {service.name} service of Sojourn.",
        epilog=None,
    )
    settings_help = "\b\n\nFrom the environment:\n\n\b\n" + describe(service.settings)

    @app.command(epilog=settings_help)
    def serve() -> None:  # pyright: ignore[reportUnusedFunction]
        """Serves HTTP, consumes events, does due work and publishes, until told to stop."""
        settings = read(service.settings, service.name)
        uvloop.run(_serve(service, settings))

    @app.command(epilog="\b\n\nFrom the environment:\n\n\b\n" + describe(MigrateSettings))
    def migrate() -> None:  # pyright: ignore[reportUnusedFunction]
        """Brings the schema to this version, as the migrator role and under a lock."""
        settings = read(MigrateSettings, service.name)
        url, file = settings.migrator_database_url.get_secret_value(), settings.migrator_database_password_file
        try:
            applied = asyncio.run(migrations.migrate(url, service.name, service.migrations, password_file=file))
        except (migrations.MigrationError, OSError) as error:
            raise failed(f"not migrated: {error}") from None
        typer.echo(f"{service.name}: applied {', '.join(applied) or 'nothing, it is up to date'}")

    app.command("replay", epilog=settings_help)(replay.command(service))
    app.command("doctor", epilog=settings_help)(doctor_of(service))
    app.command("reconcile", epilog=settings_help)(reconcile.command(service))
    app.command("spread", epilog=settings_help)(spread.command(service))
    app.add_typer(_dead_letters(service), name="dead-letters")
    app.add_typer(_due(service), name="due")
    return app


async def _serve(service: "Service", settings: Any) -> None:
    from chassis.service import Process

    await Process(service, settings).serve()


def read(settings: type[S], service: str) -> S:
    """The settings from the environment, with logging set up; a wrong environment ends the command with all its errors."""
    try:
        found = load(settings)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(SettingsError.exit_code) from None
    log.configure(service, found.log_format, found.log_level)
    return found


def failed(text: str, code: int = 1) -> typer.Exit:
    """Ends the command with this exit code, and says why."""
    typer.echo(text, err=True)
    return typer.Exit(code)


@asynccontextmanager
async def _process(service: "Service") -> AsyncGenerator["Process"]:
    """A process of the service that runs none of its doors by itself."""
    from chassis.service import Process

    process = Process(service, read(service.settings, service.name))
    async with process.pool:
        yield process


def on_process(service: "Service", ask: "Callable[[Process], Coroutine[Any, Any, R]]") -> R:
    """What a coroutine finds out from a process that runs none of its doors; a database that is away ends the command."""

    async def run() -> R:
        async with _process(service) as process:
            return await ask(process)

    try:
        return asyncio.run(run())
    except (OSError, asyncpg.PostgresError) as error:
        raise failed(f"the database cannot be asked: {error}") from None


def _on_connection(service: "Service", ask: "Callable[[Connection], Coroutine[Any, Any, R]]") -> R:
    async def in_transaction(process: "Process") -> R:
        async with process.pool.acquire() as connection, connection.transaction():
            return await ask(connection)

    return on_process(service, in_transaction)


def _print(row: dict[str, Any]) -> None:
    typer.echo(json.dumps(row, default=str, ensure_ascii=False))


def _dead_letters(service: "Service") -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Records that could not be handled: one JSON object per line.")

    @app.command("list")
    def list_() -> None:  # pyright: ignore[reportUnusedFunction]
        """Those that wait, oldest first."""
        for row in _on_connection(service, dead_letters.listing):
            _print(row)

    @app.command()
    def show(letter: LetterId) -> None:  # pyright: ignore[reportUnusedFunction]
        """One of them, whole."""
        row = _on_connection(service, lambda connection: dead_letters.show(connection, letter))
        if row is None:
            raise failed(f"no dead letter {letter}")
        _print(row)

    @app.command("replay")
    def replay_(letter: LetterId) -> None:  # pyright: ignore[reportUnusedFunction]
        """Runs it through its handler again; if that fails, it waits on."""

        async def run() -> bool:
            async with _process(service) as process:
                telemetry.switch_on(service.name, process.settings)
                try:
                    return await process.inbox.replay(letter)
                finally:
                    await telemetry.switch_off(5)

        try:
            replayed = asyncio.run(run())
        except Exception as error:
            raise failed(f"still dead: {type(error).__name__}: {error}") from None
        if not replayed:
            raise failed(f"no dead letter {letter} waits")
        typer.echo(f"replayed {letter}")

    @app.command()
    def discard(letter: LetterId) -> None:  # pyright: ignore[reportUnusedFunction]
        """Gives it up for good; the record is kept, marked as discarded."""
        if not _on_connection(service, lambda connection: dead_letters.settle(connection, letter, "discarded")):
            raise failed(f"no dead letter {letter} waits")
        typer.echo(f"discarded {letter}")

    return app


def _due(service: "Service") -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Due work: parked first, then what is due soonest.")

    @app.command("list")
    def list_() -> None:  # pyright: ignore[reportUnusedFunction]
        """One JSON object per line; ``parked_at`` and ``cause`` where it was given up."""
        for row in _on_connection(service, due.listing):
            _print(row)

    @app.command()
    def retry(work: LetterId) -> None:  # pyright: ignore[reportUnusedFunction]
        """Makes parked work due again."""
        if not _on_connection(service, lambda connection: due.retry(connection, work)):
            raise failed(f"no parked work {work}")
        typer.echo(f"due again: {work}")

    @app.command()
    def discard(work: LetterId) -> None:  # pyright: ignore[reportUnusedFunction]
        """Drops parked work for good."""
        if not _on_connection(service, lambda connection: due.discard(connection, work)):
            raise failed(f"no parked work {work}")
        typer.echo(f"discarded {work}")

    return app
