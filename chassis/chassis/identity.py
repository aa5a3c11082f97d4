"""Who is calling: a bearer token that registration signed, verified here without asking anybody.

Guarantee 20: a caller is who a token says that one of our keys signed, that has not ended, and that names a known role
with its ids; any other token is a 401.

The algorithm is EdDSA over Ed25519, under the name that RFC 9864 gives it; nothing else is accepted. The public keys
come from a file or a URL; the last good ones are kept while the source is away.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OKPKey
from pydantic import BaseModel, TypeAdapter
from sojourn_contracts.refusal import NotYours

from chassis.problems import Problem

ALGORITHM = "Ed25519"
ISSUER = "urn:sojourn:registration"
LEEWAY_SECONDS = 30
MAX_TOKEN = 4_096

logger = structlog.get_logger(__name__)


class Role(StrEnum):
    COMPANY = "company"
    """Somebody who speaks for a company."""
    COMPANY_ADMIN = "company_admin"
    """The same, who also says who else does; whatever is for a company is for its admin."""
    TRAVELLER = "traveller"
    CONTACT_POINT = "contact_point"
    OPERATOR = "operator"
    ANALYST = "analyst"
    EVALUATOR = "evaluator"
    """Reads what people wrote to the survey in their own words, which no analyst does."""
    SUBSCRIBER = "subscriber"
    """Another system, which reads the events of the topics that its token's scopes name."""


@dataclass(frozen=True)
class Caller:
    """Who is calling, as the token says: a company has its id, a traveller its person's id and its company's."""

    role: Role
    subject: str
    company_id: UUID | None = None
    person_id: UUID | None = None
    country: str | None = None
    """ISO 3166-1 alpha-2, of a contact point: that of the companies which it decides about."""
    session_id: UUID | None = None
    """The session that the token is of, if it is of one."""
    scopes: frozenset[str] = frozenset()
    """What a subscriber may read, as in ``events:CompanyRegistered``."""
    ends_at: float = field(default=math.inf, compare=False)
    """When the token that says so is taken no more: seconds since 1970."""


def issue(key: OKPKey, caller: Caller, lifetime: timedelta) -> str:
    """Signs a token; only registration has the key. Its end is a time of day, whatever the programme's clock says."""
    key.ensure_kid()
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": caller.subject,
        "role": caller.role.value,
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
        "company_id": str(caller.company_id) if caller.company_id else None,
        "person_id": str(caller.person_id) if caller.person_id else None,
        "country": caller.country,
        "sid": str(caller.session_id) if caller.session_id else None,
        "scope": " ".join(sorted(caller.scopes)) or None,
    }
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, said, key, algorithms=[ALGORITHM])


class KeySource:
    """The public keys of a JWKS file or URL.

    Read when first needed, again every ten minutes, and again when a token names a key that is not known, at most every
    five seconds. If the source is away or holds nothing usable, the last good keys stay.
    """

    MAX_AGE = 600.0
    PAUSE = 5.0

    def __init__(self, location: str, read: Callable[[str], Awaitable[bytes]] | None = None) -> None:
        self._location = location
        self._read = read or _read
        self._keys: dict[str, OKPKey] = {}
        self._good_at = -self.MAX_AGE
        self._next_try = 0.0
        self._away = False
        """Of the last attempt to read."""
        self._reading = asyncio.Lock()

    async def key(self, kid: str) -> OKPKey | None:
        """The key of this name, or None.

        Raises:
            Problem: 503, there was never a key to verify with, or this one may be new and the source is away.
        """
        if kid not in self._keys or time.monotonic() - self._good_at > self.MAX_AGE:
            await self._refresh()
        if not self._keys or (kid not in self._keys and self._away):
            raise Problem(503, "no_keys", "The keys that tokens are verified with are away", {"Retry-After": "2"})
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        if self._keys and self._reading.locked():
            return
        async with self._reading:
            if time.monotonic() < self._next_try:
                return
            try:
                async with asyncio.timeout(3):
                    self._keys = _keys(await self._read(self._location))
                self._good_at = time.monotonic()
                self._away = False
            except (OSError, TimeoutError, ValueError, httpx.HTTPError, JoseError) as error:
                self._away = True
                logger.warning(
                    "keys not read", location=self._location, error=type(error).__name__, known=len(self._keys)
                )
            self._next_try = time.monotonic() + (self.PAUSE if self._keys else 1.0)


async def public_keys(location: str) -> Collection[str]:
    """The names of the keys of a JWKS file or URL.

    Raises:
        OSError, httpx.HTTPError: it cannot be read.
        ValueError: it has none that tokens could be verified with.
    """
    try:
        return _keys(await _read(location)).keys()
    except JoseError as error:
        raise ValueError("keys that are none") from error


async def _read(location: str) -> bytes:
    if location.startswith(("http://", "https://")):
        async with httpx.AsyncClient(timeout=2) as client:
            response = await client.get(location)
            return response.raise_for_status().content
    return await asyncio.to_thread(Path(location).read_bytes)


def _keys(document: bytes) -> dict[str, OKPKey]:
    """The usable keys of a JWKS document by their names; keys of other kinds may stand beside them.

    Raises:
        ValueError: there are none.
    """
    usable: dict[str, OKPKey] = {}
    for entry in _Listed.model_validate_json(document).keys:
        if entry.get("crv") == ALGORITHM and "x" in entry and "kid" in entry:
            # Only these parts: a private one does not belong here, and "alg" may have EdDSA's former name.
            usable[entry["kid"]] = OKPKey.import_key({name: str(entry[name]) for name in ("kty", "crv", "x", "kid")})
    if not usable:
        raise ValueError("no key for Ed25519")
    return usable


class _Listed(BaseModel):
    keys: list[dict[str, Any]]


_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="a token that registration gave")
_CLAIMS = TypeAdapter(dict[str, Any])
_claims = jwt.JWTClaimsRegistry(
    leeway=LEEWAY_SECONDS,
    iss={"essential": True, "value": ISSUER},
    sub={"essential": True},
    exp={"essential": True},
    role={"essential": True},
)


async def verify(token: str, keys: KeySource) -> Caller:
    """Who the token says is calling.

    Raises:
        Problem: 401, it is not valid or has expired; 503, there are no keys to tell.
    """
    if len(token) > MAX_TOKEN:
        raise _unauthenticated("token_invalid", "The token is not valid")
    try:
        signed = jws.extract_compact(token.encode())
        key = await keys.key(str(signed.headers().get("kid", "")))
        if key is None:
            raise _unauthenticated("token_invalid", "The token is signed with a key that is not known")
        if not jws.validate_compact(signed, key, algorithms=[ALGORITHM]):
            raise _unauthenticated("token_invalid", "The token is not valid")
        claims = _CLAIMS.validate_json(signed.payload or b"")
        _claims.validate(claims)
        return _caller(claims)
    except ExpiredTokenError:
        raise _unauthenticated("token_expired", "The token has expired") from None
    except (JoseError, ValueError, TypeError):
        raise _unauthenticated("token_invalid", "The token is not valid") from None


def _caller(claims: Mapping[str, Any]) -> Caller:
    def id_of(name: str) -> UUID | None:
        return UUID(str(claims[name])) if claims.get(name) is not None else None

    role, country = Role(claims["role"]), claims.get("country")
    scopes = frozenset(str(claims.get("scope", "")).split())
    about = id_of("company_id"), id_of("person_id"), country and str(country), id_of("sid")
    caller = Caller(role, claims["sub"], *about, scopes, float(claims["exp"]) + LEEWAY_SECONDS)
    if (
        (role in (Role.COMPANY, Role.COMPANY_ADMIN) and caller.company_id is None)
        or (role is Role.TRAVELLER and caller.person_id is None)
        or (role is Role.CONTACT_POINT and caller.country is None)
    ):
        raise ValueError("the token does not say which company, person or country it is for")
    return caller


def _unauthenticated(rule: str, detail: str) -> Problem:
    error = "" if rule == "token_missing" else ' error="invalid_token"'
    return Problem(401, rule, detail, {"WWW-Authenticate": f"Bearer{error}"})


async def _presented(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller | None:
    if credentials is not None:
        return await verify(credentials.credentials, request.app.state.keys)
    if request.headers.get("authorization"):
        raise _unauthenticated("token_invalid", "The Authorization header is not a bearer token")
    return None


MaybeCaller = Annotated[Caller | None, Depends(_presented)]
"""Who is calling where no token is needed; one that is presented all the same must be valid."""


def requires(*roles: Role) -> Callable[[Caller | None], Awaitable[Caller]]:
    """A dependency that gives the caller: without a token 401, in another role 403."""

    permitted_roles = {*roles, *((Role.COMPANY_ADMIN,) if Role.COMPANY in roles else ())}

    async def permitted(caller: MaybeCaller) -> Caller:
        if caller is None:
            raise _unauthenticated("token_missing", "A bearer token is needed")
        if caller.role not in permitted_roles:
            raise NotYours("wrong_role", f"This is for {', '.join(roles)}; the token is for {caller.role}")
        return caller

    return permitted


AnyCaller = Annotated[Caller, Depends(requires(*Role))]
