"""The OpenID provider of those who run the programme: where it is, by its discovery document, and whom it says somebody is.

Authorization code with PKCE, state and nonce. What authlib's core makes and checks is left to it; the requests are ours.
"""

import ssl
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import structlog
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from chassis.identity import LEEWAY_SECONDS
from chassis.problems import Problem
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel

if TYPE_CHECKING:
    from registration.settings import RegistrationSettings

ALGORITHMS = ["RS256", "PS256", "ES256", "Ed25519"]
"""Asymmetric ones only: a token that is signed with the client's secret, or not at all, proves nothing."""
MAX_AGE = 3_600.0
"""Seconds after which the provider's document and keys are read again."""
PATIENCE = 5.0
"""Seconds that one of its answers may take."""

M = TypeVar("M", bound=BaseModel)

logger = structlog.get_logger(__name__)


class Document(BaseModel):
    """What is needed of the provider's discovery document."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic",)


class Tokens(BaseModel):
    """What is needed of the answer with the tokens."""

    id_token: str
    access_token: str


class Provider:
    """One OpenID provider. All of its methods raise Problem, 503, when it is away or answers nonsense."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._document: Document | None = None
        self._keys: KeySet | None = None
        self._read_at = 0.0

    async def authorization_url(self, settings: "RegistrationSettings", state: str, nonce: str, verifier: str) -> str:
        """Where somebody is sent to sign in."""
        document = await self._described()
        return prepare_grant_uri(
            document.authorization_endpoint,
            client_id=settings.oidc_client_id,
            response_type="code",
            redirect_uri=str(settings.oidc_redirect_url),
            scope=settings.oidc_scopes,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )

    async def claims(self, settings: "RegistrationSettings", code: str, nonce: str, verifier: str) -> Mapping[str, Any]:
        """What the provider says of whoever came back with this code.

        Raises:
            Problem: 401, it does not take the code, or its token is not for us, not of now, or not of this sign-in.
        """
        tokens = await self._tokens(settings, code, verifier)
        try:
            token = await self._decoded(tokens.id_token)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self._issuer},
                    "aud": {"essential": True, "value": str(settings.oidc_client_id)},
                },
                {"nonce": nonce, "client_id": settings.oidc_client_id, "access_token": tokens.access_token},
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            raise refused(type(error).__name__, str(getattr(error, "claim", ""))) from None
        return claims

    async def _tokens(self, settings: "RegistrationSettings", code: str, verifier: str) -> Tokens:
        document = await self._described()
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=str(settings.oidc_redirect_url), code_verifier=verifier
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        secret = settings.oidc_client_secret
        methods = document.token_endpoint_auth_methods_supported
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        signs = ClientAuth(
            settings.oidc_client_id, secret.get_secret_value() if secret else "", method if secret else "none"
        )
        url, headers, body = signs.prepare("POST", document.token_endpoint, headers, body)
        answer = await _asked("POST", url, headers, body)
        if answer.is_client_error:
            raise refused("CodeRefused", "")
        return _read(Tokens, answer)

    async def _decoded(self, id_token: str) -> jwt.Token:
        """Once more with keys that are read again, if it names one that is not known: the provider may have rotated them."""
        known = self._keys
        keys = known or await self._read_keys()
        try:
            return jwt.decode(id_token, keys, algorithms=ALGORITHMS)
        except (InvalidKeyIdError, ValueError):
            if known is None:
                raise
            return jwt.decode(id_token, await self._read_keys(), algorithms=ALGORITHMS)

    async def _described(self) -> Document:
        if self._document is None or time.monotonic() - self._read_at > MAX_AGE:
            answer = await _asked("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            document = _read(Document, answer)
            if document.issuer != self._issuer:
                logger.error("the OpenID provider has another name for itself than OIDC_ISSUER")
                raise _away()
            self._document, self._keys, self._read_at = document, None, time.monotonic()
        return self._document

    async def _read_keys(self) -> KeySet:
        answer = await _asked("GET", (await self._described()).jwks_uri)
        try:
            self._keys = KeySet.import_key_set(answer.raise_for_status().json())
        except (httpx.HTTPError, JoseError, ValueError, TypeError, KeyError):
            raise _away() from None
        return self._keys


@cache
def provider(issuer: str) -> Provider:
    """The one copy of a process."""
    return Provider(issuer)


def refused(error: str, claim: str) -> Problem:
    """Why, stands in the log: whoever forges a token is not told."""
    logger.warning("OpenID sign-in refused", error=error, claim=claim)
    return Problem(401, "oidc_refused", "The sign-in was not completed; begin anew", {"WWW-Authenticate": "Bearer"})


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates takes longer than a request."""
    return httpx.create_ssl_context()


async def _asked(
    method: str, url: str, headers: Mapping[str, str] | None = None, body: str | None = None
) -> httpx.Response:
    try:
        async with httpx.AsyncClient(verify=_trusted(), timeout=PATIENCE) as http:
            answer = await http.request(method, url, headers=headers, content=body)
    except (httpx.HTTPError, OSError) as error:
        logger.warning("OpenID provider away", error=type(error).__name__)
        raise _away() from None
    if answer.is_server_error:
        logger.warning("OpenID provider away", status=answer.status_code)
        raise _away()
    return answer


def _read(model: type[M], answer: httpx.Response) -> M:
    try:
        return model.model_validate_json(answer.raise_for_status().content)
    except (httpx.HTTPError, ValueError) as error:
        logger.warning("OpenID provider answers nonsense", error=type(error).__name__)
        raise _away() from None


def _away() -> Problem:
    return Problem(503, "provider_unavailable", "Your organisation's sign-in is away; try again", {"Retry-After": "5"})
