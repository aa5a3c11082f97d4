"""``laptop up`` leaves the whole system running and says where everything is; ``laptop down`` stops it."""

import asyncio
import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from aiokafka.errors import KafkaError
from asyncpg import PostgresError
from rich.console import Console
from sojourn_contracts.access import SINK

from laptop import access
from laptop.backing import Backing
from laptop.containers import Contained, remove_volumes
from laptop.mails import catch as catch_mails
from laptop.mails import kept
from laptop.process import Running, StartError, together
from laptop.roles import ROLES, provision
from laptop.signing import kept_keys
from laptop.system import STOP_WITHIN, System, terminated_like_ctrl_c
from laptop.topics import TopicsError, create_topics
from laptop.vies import stand_in

FOLDER = Path(__file__).resolve().parents[3] / ".run"
Folder = Annotated[Path, typer.Option(help="where data, logs, keys and passwords are kept")]

command = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
caught = typer.Typer(add_completion=False)
command.add_typer(caught, name="mails")
command.add_typer(access.command, name="access")
out = Console(highlight=False, soft_wrap=True)


@command.command()
def up(folder: Folder = FOLDER) -> None:
    """Start Kafka, PostgreSQL and the services, and leave them running."""
    with _alone(folder):
        try:
            if any(running.find() for running in _recorded(folder)):
                raise _failed("It is running already; `make down` stops it.")
            system = System(folder, say=lambda text: out.print(f"{text} ..."))
            with terminated_like_ctrl_c():
                asyncio.run(system.start())
        except (StartError, TopicsError, KafkaError, PostgresError, OSError) as error:
            raise _failed(f"The start failed, and everything that had been started is stopped.\n{error}") from None
        except KeyboardInterrupt:
            raise _failed("Interrupted; everything that had been started is stopped.") from None
        # Written before the processes are let go: there is no moment at which `down` would miss one.
        record = folder / "system.json"
        record.write_text(json.dumps([asdict(running) for running in system.running()], indent=1))
        system.write_settings()
        system.let_go()
    out.print(_where(system))


@command.command("provision")
def provision_(
    servers: access.Servers,
    database_url: Annotated[str, typer.Option(envvar="DATABASE_URL", help="PostgreSQL, as who may make roles")],
    password: Annotated[str, typer.Option(envvar="ROLES_PASSWORD", help="of every role; letters, digits, - and _")],
    folder: Annotated[Path, typer.Option(help="where the key that signs tokens is kept")],
) -> None:
    """Makes topics, roles, schemas and a signing key where Kafka and PostgreSQL run already; what is there stays."""
    try:
        asyncio.run(_provision(servers, database_url, password))
    except (TopicsError, KafkaError, PostgresError, OSError) as error:
        raise _failed(f"Not provisioned: {error}") from None
    folder.mkdir(parents=True, exist_ok=True)
    kept_keys(folder)
    out.print("Provisioned.")


async def _provision(servers: str, database_url: str, password: str) -> None:
    await together(create_topics(servers), _provision_database(database_url, password))


async def _provision_database(database_url: str, password: str) -> None:
    await provision(database_url, dict.fromkeys(ROLES, password))


@caught.callback(invoke_without_command=True)
def mails(
    context: typer.Context,
    folder: Folder = FOLDER,
    to: Annotated[str | None, typer.Option(metavar="ADDRESS", help="those to this address only")] = None,
    template: Annotated[str | None, typer.Option(metavar="CODE", help="those of this template only")] = None,
) -> None:
    """The e-mails that the services sent: nobody else got them."""
    if context.invoked_subcommand is not None:
        return
    for mail in kept(folder, to=to, template=template):
        out.print(f"{mail.number:>6}  {mail.template:<18} {mail.to:<40} {mail.message['Subject']}", markup=False)


@caught.command()
def show(number: int, folder: Folder = FOLDER) -> None:
    """One of them, as text."""
    for mail in kept(folder):
        if mail.number == number:
            said = [f"{name}: {mail.message[name]}" for name in ("Date", "From", "To", "Subject", "Message-ID")]
            out.print("\n".join([*said, "", mail.text]), markup=False)
            return
    raise _failed(f"There is no mail {number}.")


@caught.command(hidden=True)
def catch(port: Annotated[int, typer.Option()], folder: Folder = FOLDER) -> None:
    """Takes mails at a port of this machine, until it is told to stop; `up` starts it."""
    asyncio.run(catch_mails(folder, port))


@command.command(hidden=True)
def vies(
    port: Annotated[int, typer.Option()],
    clock: Annotated[Path, typer.Option(help="file with the programme's time")],
    folder: Folder = FOLDER,
) -> None:
    """Stands in for the Union's VAT register at a port of this machine, until it is told to stop; the demo starts it."""
    asyncio.run(stand_in(folder, clock, port))


@command.command()
def down(
    folder: Folder = FOLDER,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="remove the volumes, too, in which containers keep data")
    ] = False,
) -> None:
    """Stop what `up` started; data and logs stay."""
    with _alone(folder):
        recorded = _recorded(folder)
        try:
            gone, killed = asyncio.run(_stop(recorded))
            (folder / "system.json").unlink(missing_ok=True)
            if volumes:
                remove_volumes(folder)
        except StartError as error:
            raise _failed(str(error)) from None
    if not recorded:
        out.print("Nothing is running.")
        return
    if gone:
        out.print(f"Had ended before: {', '.join(gone)}. Logs: {folder / 'logs'}")
    if killed:
        raise _failed(f"Did not stop in time and had to be killed: {', '.join(killed)}.")
    out.print("Stopped.")


async def _stop(recorded: list[Running | Contained]) -> tuple[list[str], list[str]]:
    """Services first, each within its time; then what they work on. Returns who had ended before, and who had to be killed."""
    gone: list[str] = []
    killed: list[str] = []

    async def stop(running: Running | Contained) -> None:
        if running.find() is None:
            gone.append(running.name)
        if not await running.stop(STOP_WITHIN):
            killed.append(running.name)

    backing = [running for running in recorded if running.name.startswith(("Kafka", "PostgreSQL", "mails"))]
    await together(*(stop(running) for running in recorded if running not in backing))
    await together(*(stop(running) for running in backing))
    return gone, killed


def _recorded(folder: Path) -> list[Running | Contained]:
    record = folder / "system.json"
    entries = json.loads(record.read_text()) if record.exists() else []
    return [Contained(**entry) if "container" in entry else Running(**entry) for entry in entries]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One `up` or `down` at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _failed("Another `up` or `down` is at work here.") from None
        yield


def _where(system: System) -> str:
    """Where everything is; no password, no token."""
    database = urlsplit(system.database.owner_url)
    address = f"postgresql://{database.hostname}:{database.port}/{system.database.name}"
    token = f"SIGNING_KEY={system.folder / 'signing-key.json'} uv run registration token --role operator"
    rows: list[tuple[str, str, str]] = [
        *((name, f"{url}/openapi.json", str(system.logs / f"{name}.log")) for name, url in system.urls.items()),
        (SINK, str(system.warehouse), str(system.logs / f"{SINK}.log")),
        ("the contract", f"{system.urls['registration']}/contracts/", ""),
        ("Kafka", _servers(system), _logs(system.broker)),
        ("PostgreSQL", address, _logs(system.server)),
        ("passwords", str(system.folder / "passwords.json"), ""),
        ("e-mails", f"uv run laptop mails{_folder(system)}", str(system.logs / "mails.log")),
        ("a token", token, ""),
        ("a check", f"uv run sojourn doctor --environments {system.folder / 'environments'}", ""),
        ("stop", "make down", ""),
    ]
    return "\n".join(f"{name:<13} {where:<48} {log}".rstrip() for name, where, log in rows)


def _servers(system: System) -> str:
    """Where users sign in, if they do."""
    return system.kafka_of(SINK)["KAFKA_BOOTSTRAP_SERVERS"]


def _folder(system: System) -> str:
    return "" if system.folder == FOLDER else f" --folder {system.folder}"


def _logs(backing: Backing | None) -> str:
    return "not ours" if backing is None else ", ".join(str(part.log) for part in backing.parts)


def _failed(text: str) -> typer.Exit:
    Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(text)
    return typer.Exit(1)


if __name__ == "__main__":
    command()
