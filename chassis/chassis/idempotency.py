"""``Idempotency-Key``: a POST that creates may be repeated until its answer arrives, and creates once.

Guarantee 18: the same key with the same body gets the same answer and creates once; with another body it is a 422.

The key is taken and the answer kept in the transaction that creates, so a failed attempt leaves no trace, and a second
one that arrives meanwhile waits for the first one's outcome. A key belongs to its caller, method and path. What is kept
holds no token: those are added after. It holds neither key nor body: the key as its hash, the body as a digest under the key, so
that nobody who reads the table finds out a body by trying.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID, uuid5

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from chassis.http import Tx
from chassis.identity import MaybeCaller
from chassis.problems import Problem
from chassis.transaction import Transaction

Made = TypeVar("Made", bound=BaseModel)

_NAMESPACE = UUID("5e1d0f5c-6e0a-5b5b-9d1c-0d6c2f0f4a11")
_KEY = re.compile(r"^[\x21-\x7e]{16,128}$")


@dataclass(frozen=True)
class OneCreation:
    """One creation, by whatever number of requests it takes."""

    scope: str
    """Method, path and caller."""
    key: str
    tx: Transaction

    def id(self, name: str) -> UUID:
        """An id that is the same on every repeat, and another one for every name."""
        return uuid5(_NAMESPACE, f"{self.scope}\n{self.key}\n{name}")

    @property
    def _kept_key(self) -> str:
        return hashlib.sha256(self.key.encode()).hexdigest()

    async def answer(self, body: BaseModel, kind: type[Made], create: Callable[[], Awaitable[Made]]) -> Made:
        """Runs ``create`` if nobody has under this key, else gives what it made then.

        Raises:
            Problem: 422, the key was used with another body; 410, who was created then has been erased.
        """
        digest = _digest(self.key, body)
        taken = await self.tx.connection.fetchval(
            "insert into answer (scope, key, digest) values ($1, $2, $3) on conflict do nothing returning true",
            self.scope,
            self._kept_key,
            digest,
        )
        if not taken:
            return await self._earlier(digest, kind)
        made = await create()
        await self.tx.connection.execute(
            "update answer set body = $3 where scope = $1 and key = $2",
            self.scope,
            self._kept_key,
            made.model_dump_json(),
        )
        return made

    async def _earlier(self, digest: bytes, kind: type[Made]) -> Made:
        earlier: Any = await self.tx.connection.fetchrow(
            "select digest, body from answer where scope = $1 and key = $2", self.scope, self._kept_key
        )
        if earlier["digest"] != digest:
            raise Problem(422, "idempotency_key_reused", "This Idempotency-Key was used with another body")
        if earlier["body"] is None:
            raise Problem(410, "erased", "What was created under this Idempotency-Key has been erased")
        return kind.model_validate_json(earlier["body"])


async def _once(
    request: Request,
    caller: MaybeCaller,
    tx: Tx,
    key: Annotated[str | None, Header(alias="Idempotency-Key", description="16 to 128 printable characters")] = None,
) -> OneCreation:
    if key is None:
        raise Problem(400, "idempotency_key_missing", "The header Idempotency-Key is required")
    if not _KEY.match(key):
        raise Problem(
            400, "idempotency_key_invalid", "Idempotency-Key: 16 to 128 printable ASCII characters, no spaces"
        )
    return OneCreation(f"{request.method} {request.url.path} {caller.subject if caller else 'anonymous'}", key, tx)


Once = Annotated[OneCreation, Depends(_once)]


def _digest(key: str, body: BaseModel) -> bytes:
    canonical = json.dumps(body.model_dump(), sort_keys=True, separators=(",", ":"), default=_plain)
    return hmac.digest(key.encode(), canonical.encode(), "sha256")


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):  # the order of a set of texts differs from process to process
        return sorted(cast("set[Any]", value), key=str)
    return to_jsonable_python(value)
