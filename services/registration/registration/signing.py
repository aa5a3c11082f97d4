"""The keys that registration signs with: it signs the tokens that say who is calling, and publishes what they are verified with.

``SIGNING_KEY`` is a file with one private key, or a folder with several, of which the newest that has begun to sign does. A key
is published from when it is in the folder, and begins to sign later, when everybody has read it; the former one stays until
no token of it is valid any more. So keys rotate without a restart and without a token that somebody cannot verify.

The private keys never leave this service, and no token is ever stored.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from chassis.identity import ALGORITHM, Caller, issue
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

if TYPE_CHECKING:
    from registration.settings import SigningSettings

REREAD = 5.0
"""Seconds after which the files are read again: a mounted secret changes under a running process."""

logger = structlog.get_logger(__name__)


class UnusableKey(ValueError):  # noqa: N818 - it describes the key
    """The file or folder does not hold the Ed25519 keys that tokens are signed with."""


@dataclass(frozen=True)
class Key:
    """One key; one without its private half only verifies."""

    jwk: OKPKey
    signs_from: float
    """Seconds since 1970, from the member ``nbf``; a key without it signs at once."""
    file: Path

    @property
    def kid(self) -> str:
        return str(self.jwk.kid)

    @property
    def begins(self) -> datetime:
        return datetime.fromtimestamp(self.signs_from, UTC)


class Keys:
    """The keys of a file or folder, read again every few seconds; while that fails, the last good ones stay."""

    def __init__(self, path: Path) -> None:
        """Raises: UnusableKey."""
        self._path = path
        self._held = read(path)
        self._next_read = time.monotonic() + REREAD

    @property
    def held(self) -> tuple[Key, ...]:
        """All of them, in the order in which they begin to sign."""
        if time.monotonic() >= self._next_read:
            self._next_read = time.monotonic() + REREAD
            try:
                self._held = read(self._path)
            except UnusableKey as error:
                logger.warning("signing keys not read again", reason=str(error), known=len(self._held))
        return self._held

    @property
    def signing(self) -> Key:
        """The one that signs now."""
        return signing_at(self.held, time.time())


def signing_at(keys: tuple[Key, ...], now: float) -> Key:
    """The newest private key that has begun to sign.

    Raises:
        UnusableKey: none has.
    """
    begun = [key for key in keys if key.jwk.is_private and key.signs_from <= now]
    if not begun:
        raise UnusableKey(f"should hold a private key for {ALGORITHM} that signs already")
    return begun[-1]


@cache
def keys(path: Path) -> Keys:
    """The one copy of a process.

    Raises:
        UnusableKey: there is no file or folder, or it holds no such keys.
    """
    return Keys(path)


def token(caller: Caller, settings: "SigningSettings", lifetime: timedelta | None = None) -> str:
    """A token for this caller, from now on, by the wall clock; without a lifetime, for ``TOKEN_LIFETIME_HOURS``."""
    signs = keys(settings.signing_key).signing.jwk
    return issue(signs, caller, lifetime or timedelta(hours=settings.token_lifetime_hours))


def key_set(settings: "SigningSettings") -> dict[str, Any]:
    """The public halves as a JWKS document: those that will sign, the one that does, and those that did."""
    return document(keys(settings.signing_key).held)


def document(held: Sequence[Key]) -> dict[str, Any]:
    """The public halves of these keys, and nothing else."""
    return {"keys": [{**key.jwk.as_dict(private=False), "use": "sig"} for key in held]}


def read(path: Path) -> tuple[Key, ...]:
    """The keys in a file or folder, in the order in which they begin to sign.

    Raises:
        UnusableKey: they cannot be read, or none of them signs yet.
    """
    try:
        # Kubernetes mounts a secret's files as links into a folder whose name begins with two dots.
        files = sorted(path.glob("[!.]*.json")) if path.is_dir() else [path]
        found = sorted((read_key(file) for file in files), key=lambda key: (key.signs_from, key.kid))
    except OSError:
        raise UnusableKey("should be a file or a folder that can be read") from None
    if len({key.kid for key in found}) < len(found):
        raise UnusableKey("should not hold two keys of one name")
    signing_at(tuple(found), time.time())
    return tuple(found)


def read_key(file: Path) -> Key:
    """The key in a file.

    Raises:
        OSError: it cannot be read.
        UnusableKey: it holds no such key.
    """
    try:
        jwk = json.loads(file.read_text())
        # Only these: what else a key's maker wrote, such as "alg" with EdDSA's former name, may contradict our use of it.
        imported = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "d", "kid") if name in jwk})
        signs_from = float(jwk.get("nbf", 0))
    except (JoseError, ValueError, TypeError, AttributeError):
        raise UnusableKey("should be a JWK in a file of its own") from None
    if imported.curve_name != ALGORITHM:
        raise UnusableKey(f"should be a private key for {ALGORITHM}")
    imported.ensure_kid()
    return Key(imported, signs_from, file)
