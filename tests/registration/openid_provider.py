"""An OpenID provider on this machine: it signs in whoever comes, checks what a client has to prove, and lies when told to."""

import asyncio
import base64
import hashlib
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT, SECRET = "sojourn", "the-secret-of-the-client"
BASIC = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()


@cache
def own_key() -> RSAKey:
    return RSAKey.generate_key(2048, auto_kid=True)


@dataclass
class OpenIdProvider:
    """What it says, by default of a good sign-in; ``claims`` replace those of the id token, None leaves one out."""

    url: str
    claims: dict[str, Any] = field(default_factory=dict)
    key: RSAKey | ECKey = field(default_factory=own_key)
    signs_with: Any = None
    """Another key than the one that it publishes."""
    algorithm: str = "RS256"
    document: dict[str, Any] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    """Paths that answer 500."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        good = {"iss": self.url, "sub": "somebody|7", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
        said = {name: value for name, value in (good | self.claims).items() if value is not None}
        key = self.signs_with or self.key
        return jwt.encode({"alg": self.algorithm, "kid": self.key.kid}, said, key, algorithms=[self.algorithm])


def application(provider: OpenIdProvider) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def trouble(request: Request, call_next: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
        provider.asked.append(request.url.path)
        return JSONResponse({}, 500) if request.url.path in provider.broken else await call_next(request)

    @app.get("/.well-known/openid-configuration")
    async def document() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {
            "issuer": provider.url,
            "authorization_endpoint": f"{provider.url}/authorize",
            "token_endpoint": f"{provider.url}/token",
            "jwks_uri": f"{provider.url}/jwks",
            **provider.document,
        }

    @app.get("/jwks")
    async def jwks() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"keys": [provider.key.as_dict(private=False)]}

    @app.get("/authorize")
    async def authorize(request: Request) -> RedirectResponse:  # pyright: ignore[reportUnusedFunction]
        said = dict(request.query_params)
        assert (said["response_type"], said["client_id"], said["code_challenge_method"]) == ("code", CLIENT, "S256")
        code = f"code-{len(provider.codes)}"
        provider.codes[code] = said
        return RedirectResponse(said["redirect_uri"] + "?" + urlencode({"code": code, "state": said["state"]}), 303)

    @app.post("/token", response_model=None)
    async def token(request: Request) -> dict[str, Any] | JSONResponse:  # pyright: ignore[reportUnusedFunction]
        said = dict(parse_qsl((await request.body()).decode()))
        begun = provider.codes.pop(said.get("code", ""), None)
        verifier = said.get("code_verifier", "").encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        in_body = (said.get("client_id"), said.get("client_secret")) == (CLIENT, SECRET)
        basic = "client_secret_post" not in provider.document.get("token_endpoint_auth_methods_supported", ())
        proven = request.headers.get("authorization") == BASIC if basic else in_body
        if (
            begun is None
            or not proven
            or said.get("grant_type") != "authorization_code"
            or (begun["code_challenge"], begun["redirect_uri"]) != (challenge, said.get("redirect_uri"))
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return {"access_token": "for nothing", "token_type": "Bearer", "id_token": provider.id_token(begun["nonce"])}

    return app


@asynccontextmanager
async def running(port: int = 0) -> AsyncGenerator[OpenIdProvider]:
    """A provider that answers over HTTP on a loopback address."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        provider = OpenIdProvider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(application(provider), log_config=None, lifespan="off", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield provider
        finally:
            server.should_exit = True
            await serving
