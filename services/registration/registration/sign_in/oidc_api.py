"""Operators, analysts and contact points sign in by their organisation's OpenID provider, and end in a session like everybody's.

What a sign-in needs until somebody comes back is made of its id and a signing key: the browser's cookie, the nonce, and PKCE's
verifier. Only the id is kept. While the provider is asked, no transaction is open.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from chassis.openapi import failures
from chassis.problems import Problem
from fastapi import APIRouter, Cookie, Depends, Query, Request
from fastapi.responses import RedirectResponse

from registration import programme, signing
from registration.people.links import derived, deriving
from registration.settings import RegistrationSettings
from registration.sign_in import limits, oidc, sessions, store
from registration.sign_in.api import NOT_KEPT
from registration.sign_in.domain import Session, staff_part
from registration.sign_in.limits import Client, Limit
from registration.sign_in.oidc import Provider
from registration.sign_in.sessions import SessionView

routes = APIRouter()

COOKIE = "sojourn_sign_in"
BROWSER, NONCE, VERIFIER = "oidc browser", "oidc nonce", "oidc verifier"


async def _configured(request: Request) -> RegistrationSettings:
    settings = request.app.state.settings
    if settings.oidc_issuer is None:
        raise Problem(404, "no_provider", "No OpenID provider is configured here")
    return settings


Configured = Annotated[RegistrationSettings, Depends(_configured)]


def _provider(settings: RegistrationSettings) -> Provider:
    return oidc.provider(str(settings.oidc_issuer))


@routes.get(
    "/sign-in/oidc",
    status_code=303,
    response_class=RedirectResponse,
    responses=failures(HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS),
)
async def leave(request: Request, settings: Configured, client: Client) -> RedirectResponse:
    """Sends somebody to the provider; the cookie sees to it that the same browser comes back."""
    sign_in_id = uuid4()
    key = signing.keys(settings.signing_key).signing.jwk
    nonce, verifier = derived(key, NONCE, sign_in_id), derived(key, VERIFIER, sign_in_id)
    url = await _provider(settings).authorization_url(settings, str(sign_in_id), nonce, verifier)
    async with request.app.state.open_transaction(request.state.cause) as tx:
        await limits.spend(tx, Limit("sign-ins of a client", settings.sign_ins_per_client), client)
        await store.add_oidc_sign_in(tx, sign_in_id)
    response = RedirectResponse(url, 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        COOKIE,
        derived(key, BROWSER, sign_in_id),
        max_age=600,
        path="/sign-in/oidc",
        secure=str(settings.oidc_redirect_url).startswith("https://"),
        httponly=True,
        samesite="lax",
    )
    return response


@routes.get(
    "/sign-in/oidc/callback",
    dependencies=[NOT_KEPT],
    responses=failures(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
)
async def come_back(
    request: Request,
    settings: Configured,
    state: Annotated[UUID, Query()],
    code: Annotated[str, Query(max_length=4_096)] = "",
    browser: Annotated[str, Cookie(alias=COOKIE, max_length=64)] = "",
) -> SessionView:
    """Opens a session for whoever the provider sends back. It says ``code``, or else that they did not sign in."""
    key = deriving(browser, BROWSER, state, settings)
    if key is None:
        raise oidc.refused("OtherBrowser", "")
    async with request.app.state.open_transaction(request.state.cause) as tx:
        awaited = await store.taken_oidc_sign_in(tx, state)
    if not awaited or not code:
        raise oidc.refused("NotAwaited" if not awaited else "NoCode", "")
    nonce, verifier = derived(key, NONCE, state), derived(key, VERIFIER, state)
    claims = await _provider(settings).claims(settings, code, nonce, verifier)
    part = staff_part(
        _roles(claims, settings.oidc_role_claim),
        _text(_at(claims, settings.oidc_country_claim)),
        settings.oidc_roles,
        programme.COUNTRIES,
    )
    subject = uuid5(NAMESPACE_URL, f"{settings.oidc_issuer}#{claims['sub']}")
    async with request.app.state.open_transaction(request.state.cause) as tx:
        return await sessions.opened_for_staff(tx, Session(uuid4(), subject, part))


def _roles(claims: Mapping[str, Any], path: str) -> list[str]:
    said = _at(claims, path)
    return [role for role in (said if isinstance(said, list) else [said]) if isinstance(role, str)]


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by a path into one, ``realm_access.roles``: some providers' names have dots, too."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
