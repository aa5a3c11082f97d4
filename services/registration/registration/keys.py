"""The commands that keep a folder of signing keys, as SIGNING_KEY takes it. They need no other settings and no running system."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from chassis.commands import failed
from chassis.identity import ALGORITHM
from joserfc.jwk import OKPKey

from registration import signing
from registration.sign_in.domain import LIFE
from registration.signing import Key, UnusableKey

command = typer.Typer(no_args_is_help=True, help="Folders of signing keys, as SIGNING_KEY takes them.")

Folder = Annotated[Path, typer.Argument(envvar="SIGNING_KEY", help="the folder with the keys, one a file")]
WAIT = 15
"""Minutes until a new key signs: others read what is published every 10, and a mounted secret takes a while to change."""


@command.command()
def new(
    folder: Folder,
    wait: Annotated[float, typer.Option(min=0, metavar="MINUTES", help="after which the key begins to sign")] = WAIT,
) -> None:
    """Adds a key that begins to sign later, when everybody has read its public half; the first key of a folder signs at once."""
    if folder.exists() and not folder.is_dir():
        raise failed("should be a folder; make one, and move the file into it with a name that ends in .json")
    held = _held(folder) if folder.exists() and any(folder.glob("[!.]*.json")) else ()
    key = added(folder, time.time() + wait * 60 if held else time.time())
    typer.echo(_line(key, "next" if key.signs_from > time.time() else "current"))


@command.command("list")
def list_(folder: Folder) -> None:
    """Which keys there are, and what each does; one JSON object per line."""
    held = _held(folder)
    states = _states(held)
    for key in held:
        typer.echo(_line(key, states[key.kid]))


@command.command()
def retire(
    folder: Folder,
    kid: Annotated[
        str | None, typer.Argument(metavar="KID", help="this one now, as when it may be known to others")
    ] = None,
    token_lifetime_hours: Annotated[
        int, typer.Option(envvar="TOKEN_LIFETIME_HOURS", help="hours that the longest token is valid")
    ] = 720,
) -> None:
    """Removes the keys of which no token and no link can be valid any more; or one now, whose tokens end with it."""
    held = _held(folder)
    states = _states(held)
    if kid is None:
        gone = outlived(held, max(timedelta(hours=token_lifetime_hours), *LIFE.values()), time.time())
    elif states.get(kid) == "current":
        raise failed("this key signs; add another one first, with `new --wait 0` if it has to be at once")
    else:
        gone = [key for key in held if key.kid == kid]
        if not gone:
            raise failed(f"there is no key {kid}")
    for key in gone:
        key.file.unlink()
        typer.echo(_line(key, "retired"))


@command.command()
def jwks(folder: Folder) -> None:
    """Prints what is published, for services whose JWKS is a file."""
    typer.echo(json.dumps(signing.document(_held(folder))))


def added(folder: Path, signs_from: float) -> Key:
    """A new key in the folder; only its user reads the file, which is there whole or not at all."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    jwk = OKPKey.generate_key(ALGORITHM, auto_kid=True)
    while str(jwk.kid).startswith("-"):  # a command would take it for an option
        jwk = OKPKey.generate_key(ALGORITHM, auto_kid=True)
    file = folder / f"{int(signs_from)}-{jwk.kid}.json"
    unfinished = folder / f".{file.name}"
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as whole:
        json.dump({**jwk.as_dict(private=True), "nbf": signs_from}, whole)
    unfinished.rename(file)
    return signing.read_key(file)


def outlived(held: Sequence[Key], lifetime: timedelta, now: float) -> list[Key]:
    """The keys that stopped signing longer ago than anything that they signed is valid."""
    signing_ones = [key for key in held if key.jwk.is_private]
    return [key for key, successor in pairwise(signing_ones) if successor.signs_from + lifetime.total_seconds() < now]


def _states(held: tuple[Key, ...]) -> Mapping[str, str]:
    current = signing.signing_at(held, time.time())

    def state(key: Key) -> str:
        if key == current:
            return "current"
        return "previous" if not key.jwk.is_private or key.signs_from <= current.signs_from else "next"

    return {key.kid: state(key) for key in held}


def _held(folder: Path) -> tuple[Key, ...]:
    try:
        return signing.read(folder)
    except UnusableKey as error:
        raise failed(str(error)) from None


def _line(key: Key, state: str) -> str:
    return json.dumps({"kid": key.kid, "state": state, "signs_from": key.begins.isoformat(), "file": str(key.file)})
