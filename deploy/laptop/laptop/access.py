"""``laptop access``: a broker's users and ACLs, as the grants say; at any broker, not only at one of ours."""

from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka.admin import AdminClient
from rich.console import Console
from sojourn_contracts import grants as granting
from sojourn_contracts.access import acls
from sojourn_contracts.connection import SIGNS_IN
from sojourn_contracts.grants import Grants, GrantsError
from sojourn_contracts.kit.connection import CaFile, Password, Protocol, Username

from laptop.acls import AccessError, apply, difference

command = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Users and ACLs of a broker, as the file of grants says."
)
out = Console(highlight=False, soft_wrap=True, markup=False)


def _read(file: Path) -> Grants:
    try:
        return granting.read(file)
    except GrantsError as error:
        raise _failed(str(error)) from None


File = Annotated[Path, typer.Argument(metavar="GRANTS", help="the file of grants, in YAML")]
Passwords = Annotated[
    Path, typer.Option(help="file with the users' passwords; who has none there gets one, whose line goes gets another")
]
Servers = Annotated[str, typer.Option(envvar="KAFKA_BOOTSTRAP_SERVERS", help="host:port, several separated by commas")]


@command.command("print")
def print_(file: File) -> None:
    """What follows from the grants: user, kind of resource, its name, operation; a line for each ACL."""
    for acl in acls(_read(file)):
        out.print(str(acl))


@command.command()
def diff(
    file: File,
    passwords: Passwords,
    servers: Servers,
    security_protocol: Protocol = "PLAINTEXT",
    username: Username = None,
    password: Password = None,
    ca_file: CaFile = None,
) -> None:
    """What `apply` would add (+) and remove (-), and what it would leave to you (?); ends with 1 if there is any."""
    grants, broker = _read(file), client(servers, security_protocol, username, password, ca_file)
    try:
        found = difference(broker, grants, passwords)
    except AccessError as error:
        raise _failed(str(error)) from None
    if not found.nothing or found.left:
        out.print(str(found))
        raise typer.Exit(1)


@command.command("apply")
def apply_(
    file: File,
    passwords: Passwords,
    servers: Servers,
    security_protocol: Protocol = "PLAINTEXT",
    username: Username = None,
    password: Password = None,
    ca_file: CaFile = None,
) -> None:
    """Makes the broker's users and ACLs what the grants say, and tells what it changed."""
    grants, broker = _read(file), client(servers, security_protocol, username, password, ca_file)
    if username in grants.clients:
        raise _failed(f"{username} administers this broker: as a client of the grants it would get another password")
    try:
        found = apply(broker, grants, passwords)
    except AccessError as error:
        raise _failed(str(error)) from None
    out.print(str(found) or "Nothing to change.")


def client(
    servers: str,
    protocol: str = "PLAINTEXT",
    username: str | None = None,
    password: str | None = None,
    ca_file: Path | None = None,
) -> AdminClient:
    """Of a broker's administrator."""
    signs_in = {"sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": username or "", "sasl.password": password or ""}
    return AdminClient(
        {
            "bootstrap.servers": servers,
            "security.protocol": protocol,
            "log_level": 2,
            **(signs_in if protocol in SIGNS_IN else {}),
            **({"ssl.ca.location": str(ca_file)} if ca_file else {}),
        }
    )


def _failed(text: str) -> typer.Exit:
    Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(text)
    return typer.Exit(1)
