"""Other systems get their tokens here: OAuth 2, by client credentials (RFC 6749, 4.4)."""

import base64
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote_plus

import structlog
from chassis.http import Tx
from chassis.openapi import failures
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chassis import problems
from registration import signing
from registration.clients import secret
from registration.clients.granted import granted
from registration.sign_in import limits
from registration.sign_in.api import NOT_KEPT
from registration.sign_in.limits import Client, Limit
from registration.sign_in.sessions import ACCESS

routes = APIRouter()
logger = structlog.get_logger(__name__)


class Refusal(Exception):  # noqa: N818 - the RFC's words are in it
    """Answered, not raised: what was counted stays counted."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description

    def answer(self) -> JSONResponse:
        """Problem details, with what an OAuth client looks for beside them."""
        unknown = self.error == "invalid_client"
        headers = {"Cache-Control": "no-store", **({"WWW-Authenticate": 'Basic realm="sojourn"'} if unknown else {})}
        members = {"error": self.error, "error_description": self.description}
        return problems.answer(401 if unknown else 400, self.error, self.description, headers=headers, members=members)


class Asked(BaseModel):
    """A request's form; the secret may stand in the ``Authorization`` header instead."""

    client_id: str
    client_secret: str
    scope: frozenset[str] | None


class TokenView(BaseModel):
    """For all services; there is no refresh token, the same request gives the next one."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a scheme
    expires_in: int = int(ACCESS.total_seconds())
    """Seconds that the token is valid: so long, too, after the grant was taken back."""
    scope: str


_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "description": "client_credentials"},
                        "client_id": {"type": "string", "description": "unless HTTP Basic says it"},
                        "client_secret": {"type": "string", "description": "unless HTTP Basic says it"},
                        "scope": {
                            "type": "string",
                            "description": "some of the granted scopes, separated by spaces; without it, all of them",
                        },
                    },
                }
            }
        },
    }
}


@routes.post(
    "/token",
    response_model=TokenView,
    dependencies=[NOT_KEPT],
    responses=failures(HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS),
    openapi_extra=_FORM,
)
async def token(request: Request, client: Client, tx: Tx) -> TokenView | JSONResponse:
    """A short token with the scopes that the client has been granted. Why it gets none, it is not told."""
    await limits.spend(tx, Limit("tokens of an address", tx.settings.tokens_per_address), client)
    try:
        return await _given(_asked(await request.body(), request.headers.get("Authorization", "")), tx)
    except Refusal as refusal:
        logger.info("token refused", reason=refusal.error)
        return refusal.answer()


async def _given(asked: Asked, tx: Tx) -> TokenView:
    file = tx.settings.grants
    caller = granted(file).caller(asked.client_id) if file else None
    name = asked.client_id.replace("\0", "")  # which no text of PostgreSQL has
    if not await secret.proves(tx, name, asked.client_secret) or caller is None:
        raise Refusal("invalid_client", "There is no such client with this secret and a grant over HTTP")
    if asked.scope is not None:
        if not asked.scope <= caller.scopes:
            raise Refusal("invalid_scope", "Not all of these scopes are granted")
        caller = replace(caller, scopes=asked.scope)
    logger.info("token given", client=caller.subject, scopes=len(caller.scopes))
    return TokenView(access_token=signing.token(caller, tx.settings, ACCESS), scope=" ".join(sorted(caller.scopes)))


def _asked(body: bytes, authorization: str) -> Asked:
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    form = dict(pairs)
    if len(form) < len(pairs):
        raise Refusal("invalid_request", "A parameter stands there twice")
    if "grant_type" not in form:
        raise Refusal("invalid_request", "grant_type is required")
    if form["grant_type"] != "client_credentials":
        raise Refusal("unsupported_grant_type", "Only client_credentials are taken here")
    if authorization and "client_secret" in form:
        raise Refusal("invalid_request", "The client's secret stands there twice")
    id_, said = _basic(authorization) if authorization else (form.get("client_id", ""), form.get("client_secret", ""))
    if authorization and form.get("client_id", id_) != id_:
        raise Refusal("invalid_request", "Two clients are named")
    scope = frozenset(form["scope"].split()) if form.get("scope", "").strip() else None
    return Asked(client_id=id_, client_secret=said, scope=scope)


def _basic(authorization: str) -> tuple[str, str]:
    """Id and secret, each form-encoded as the RFC has it."""
    scheme, _, said = authorization.partition(" ")
    try:
        id_, colon, secret_ = base64.b64decode(said.strip(), validate=True).decode().partition(":")
    except ValueError:
        scheme = id_ = colon = secret_ = ""
    if scheme.lower() != "basic" or not colon:
        raise Refusal("invalid_client", "The Authorization header should be HTTP Basic")
    return unquote_plus(id_), unquote_plus(secret_)
