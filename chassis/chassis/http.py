"""The HTTP door: what stands around every request, and the one transaction inside it.

Guarantee 17: a request is answered with success only after its transaction was committed; if the commit fails, or its
answer is lost, the client gets a 5xx.

A body is never read beyond its limit. A request's correlation id is in every line and event that descends from it, and in
the answer. So is its trace: who sends the answer's ``traceresponse`` as ``traceparent`` with the next request goes on with it.
"""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from chassis import log, openapi, problems, spans, telemetry
from chassis.bounds import PROBES, Bounded, Bounds, Patience
from chassis.metrics import Metrics
from chassis.transaction import UNLINKED, Cause, OpenTransaction, Transaction

BODY_LIMIT = 1024 * 1024
CORRELATION = "X-Correlation-ID"
TRACE = "traceresponse"
"""As in W3C's draft for answers; what it says has the form of a ``traceparent``."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""What is taken from a client: events carry it for good, on topics that anybody may read, so it must not say anything."""
STANDING = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer that does not say otherwise: most of them tell of somebody, and only pages with a policy of their own show."""
ENCRYPTED = {"Strict-Transport-Security": "max-age=31536000"}
"""Beside them, of answers to what came encrypted, to us or, as a proxy that is believed says, to it."""
_UNKNOWN = "unknown"

logger = structlog.get_logger(__name__)


async def _transaction(request: Request) -> AsyncIterator[Transaction]:
    open_transaction: OpenTransaction = request.app.state.open_transaction
    async with open_transaction(request.state.cause) as tx:
        yield tx


Tx = Annotated[Transaction, Depends(_transaction, scope="function")]
"""The request's transaction. It ends with the function, before the answer is sent: FastAPI's usual scope ends after it.

Name the caller before it in an endpoint: dependencies run in order, and a request without a token needs no connection.
"""


def _opening(request: Request) -> Callable[[], AbstractAsyncContextManager[Transaction]]:
    return lambda: request.app.state.open_transaction(request.state.cause)


OpenTx = Annotated[Callable[[], AbstractAsyncContextManager[Transaction]], Depends(_opening)]
"""Opens the request's transaction for a block, ``async with open_tx() as tx``: where something slow comes before or after it."""


def link_to_next(request: Request, response: Response, path: str | None = None, /, **place: object) -> None:
    """Says in a ``Link`` header (RFC 8288) where the next page is: at this request's address, with these parameters.

    ``path``: of the next page, if it is another one's.
    """
    following = request.url.replace(path=path or request.url.path).include_query_params(**place)
    response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'


def application(
    service: str,
    routers: tuple[APIRouter, ...],
    metrics: Metrics,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    body_limit: int = BODY_LIMIT,
    unlinked: tuple[str, ...] = (),
    bounds: Bounds | None = None,
) -> FastAPI:
    """The service's ASGI application; ``unlinked`` are the beginnings of paths whose requests are not to be joined to others.

    ``app.state`` is filled by whoever starts it: ``open_transaction`` (for ``Tx``) and ``keys`` (for ``identity``).
    """
    app = FastAPI(
        title=f"Sojourn {service}",
        lifespan=lifespan,
        docs_url=None,  # pages that run scripts of another site; the document itself is there
        redoc_url=None,
        # its own tells paths, queries and the messages of exceptions
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    for router in routers:
        app.include_router(router)
    problems.install(app)
    app.openapi = partial(openapi.document, app)
    app.add_middleware(BodyLimit, limit=body_limit)
    app.add_middleware(Patience)
    app.add_middleware(Bounded, bounds=bounds or Bounds())
    app.add_middleware(Observed, metrics=metrics, unlinked=unlinked)
    return app


class BodyLimit:
    """Answers 413 to a body that says it is too large, or turns out to be while it is read."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if said.isdecimal() and int(said) > self._limit:
            await problems.answer(413, problems.TooLarge.rule, self._detail())(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise problems.TooLarge(self._detail())
            return message

        await self._app(scope, counted, send)

    def _detail(self) -> str:
        return f"A body may have {self._limit} bytes"


class Observed:
    """Gives a request its ids, its line in the log and its place in the metrics; what nobody expected becomes a 500.

    An unlinked one has a correlation id of its own, whatever its client says, lines that name no trace, and effects without a
    cause: nothing in the log or on a topic tells that it was made by who made another one.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, unlinked: tuple[str, ...] = ()) -> None:
        self._app = app
        self._metrics = metrics
        self._unlinked = unlinked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        unlinked = scope["path"].startswith(self._unlinked)
        said = "" if unlinked else headers.get(CORRELATION, "")
        correlation_id = said.lower() if _UUID.fullmatch(said) else str(uuid7())
        come = headers.get("traceparent")
        opening = telemetry.ids(come) if scope["path"] in PROBES else spans.request(scope, come)
        lines = log.untraced() if unlinked else nullcontext()
        with opening as traceparent, lines, log.bound(correlation_id=correlation_id):
            cause = UNLINKED if unlinked else Cause(correlation_id, traceparent=traceparent)
            scope.setdefault("state", {})["cause"] = cause
            await self._observe(scope, receive, send, {CORRELATION: correlation_id, TRACE: traceparent})

    async def _observe(self, scope: Scope, receive: Receive, send: Send, ids: dict[str, str]) -> None:
        began = time.perf_counter()
        status = 0
        failure: Exception | None = None
        standing = STANDING | ENCRYPTED if scope["scheme"] == "https" else STANDING

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(ids)
                for name, said in standing.items():
                    headers.setdefault(name, said)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            problem = problems.unexpected(error)
            if status:  # the answer has begun, all that is left is to break it off
                raise
            failure = error
            await problem(scope, receive, answer)
        finally:
            self._note(scope, status, time.perf_counter() - began, failure)

    def _note(self, scope: Scope, status: int, seconds: float, failure: Exception | None) -> None:
        method, route = scope["method"], _route(scope)
        spans.answered(scope, None if route == _UNKNOWN else route, status, failure)
        self._metrics.request(method, route, status, seconds)
        say = logger.debug if route in PROBES else logger.info
        say("answered", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def _route(scope: Scope) -> str:
    """The route's pattern, not the path: ids make no good labels, and a path that is none of ours may say anything."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", _UNKNOWN))
