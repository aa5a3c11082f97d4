"""What one client, or all of them together, can make a process hold: silent connections, heads without an end, requests.

Guarantee 26: whoever sends slowly, much or often takes nothing from the others: its connection is closed, or it is answered 408,
413, 429 or 431, and probes are answered all the while.
"""

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chassis import problems

PROBES = frozenset({"/live", "/ready", "/metrics", "/status"})
HEAD_LIMIT = 32 * 1024
"""Bytes of a request's line and headers."""
HEAD_WITHIN = 15.0
"""Seconds from the first byte of a request to the end of its headers."""
KEPT_ALIVE = 75
"""Seconds that a connection is kept on which nothing is asked, before a first request or after one.

Longer than what stands before us keeps an idle one, or it would send a request on one that has just been closed.
"""
WINDOW = 60.0
KNOWN = 20_000
"""Clients whose requests are counted; of more, those are forgotten that asked longest ago."""
SHARE = 10
"""One client may have so much of all that may be in hand: one part of so many."""


@dataclass(frozen=True)
class Bounds:
    """Of one process."""

    per_client: int = 6_000
    """Requests of one client in a minute."""
    at_once: int = 2_500
    """Requests in hand, those included that wait for events."""

    @property
    def share(self) -> int:
        """Of these, those of one client."""
        return max(1, self.at_once // SHARE)


class Bounded:
    """Answers 429 to who asks too often or has too much in hand, and 503 when all have; says when to come again."""

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self._app = app
        self._bounds = bounds
        self._used_until: dict[str, float] = {}
        self._in_hand = 0
        self._of_client = Counter[str]()
        """The same, by who asked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        client = client_of(scope)
        if wait := self._wait(client):
            seconds = {"Retry-After": str(wait)}
            detail = f"Too many; try again in {wait} seconds"
            await problems.answer(429, "too_many_requests", detail, headers=seconds)(scope, receive, send)
            return
        if self._in_hand >= self._bounds.at_once:
            detail = f"{self._bounds.at_once} requests are in hand; try again"
            await problems.answer(503, "unavailable", detail, headers={"Retry-After": "2"})(scope, receive, send)
            return
        if self._of_client[client] >= self._bounds.share:
            detail = f"{self._bounds.share} of your requests are in hand; try again when one is answered"
            await problems.answer(429, "too_many_requests", detail, headers={"Retry-After": "2"})(scope, receive, send)
            return
        self._in_hand += 1
        self._of_client[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_hand -= 1
            self._of_client[client] -= 1
            if not self._of_client[client]:
                del self._of_client[client]

    def _wait(self, client: str) -> int:
        """Counts one request, or tells in how many seconds there is room for it.

        A bucket that empties steadily and holds a minute's requests. Sign-ins are counted in the same way, but for all replicas
        together, at a transaction each.
        """
        now, each = time.monotonic(), WINDOW / self._bounds.per_client
        used_until = max(self._used_until.pop(client, now), now)
        room = (used_until - now) - (WINDOW - each)
        self._used_until[client] = used_until if room > 0 else used_until + each
        while len(self._used_until) > KNOWN:
            del self._used_until[next(iter(self._used_until))]
        return math.ceil(room) if room > 0 else 0


def client_of(scope: Scope) -> str:
    """Who asks, as far as the network tells: whoever has one IPv6 address has its network of 64 bits.

    Behind a proxy, FORWARDED_ALLOW_IPS lets uvicorn believe what that says.
    """
    client = scope.get("client")
    if client is None:
        return ""
    try:
        address = ip_address(client[0])
    except ValueError:
        return str(client[0])
    return str(address if not isinstance(address, IPv6Address) else address.ipv4_mapped or int(address) >> 64)


def serving(app: ASGIApp, host: str, port: int, believed: str = "127.0.0.1") -> uvicorn.Config:
    """How every process serves HTTP; ``believed``: the addresses and networks of proxies, several separated by commas."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        http=Impatient,
        server_header=False,
        forwarded_allow_ips=believed,
        timeout_keep_alive=KEPT_ALIVE,
        timeout_graceful_shutdown=5,
    )


class Patience:
    """Answers 408 to a body that does not come."""

    def __init__(self, app: ASGIApp, within: float = 30.0) -> None:
        self._app = app
        self._within = within

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        until: float | None = asyncio.get_running_loop().time() + self._within

        async def in_time() -> Message:
            nonlocal until
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise problems.TooSlow(f"A body may take {self._within:.0f} seconds") from None
            if not message.get("more_body", False):
                until = None  # what is asked for from now on is whether the client is still there
            return message

        await self._app(scope, in_time, send)


class Impatient(HttpToolsProtocol):
    """Waits for a request's head no longer than it takes an honest client, and reads no more of it than one sends.

    uvicorn limits neither: who opens connections and says little on each would have all that there are. On a connection on which
    nothing was begun it says nothing, or whoever kept that for later would take it for the answer to what it asks just then.
    """

    _late: asyncio.TimerHandle | None = None
    """Runs from the first byte that belongs to no request in hand, until a head is whole."""
    _begun = False
    """Whether these bytes begin a head; line ends, or the rest of a body that nobody waited for, do not."""
    _size = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._come()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if not self.cycle or self.cycle.response_complete:
            self._expect()
        if self._late is not None:
            self._size += len(data)
        super().data_received(data)
        if self._begun and self._size > HEAD_LIMIT:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect()
        self._begun = True

    def on_headers_complete(self) -> None:
        self._come()
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > HEAD_LIMIT:
            self._refuse(b"431 Request Header Fields Too Large")
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.transport.is_closing():
            return
        super().on_message_complete()
        if self.cycle.response_complete:
            self._come()
            self._rest()

    def _rest(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _expect(self) -> None:
        self._unset_keepalive_if_required()
        if self._late is None:
            self._late = self.loop.call_later(HEAD_WITHIN, self._is_late)

    def _come(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late, self._begun, self._size = None, False, 0

    def _is_late(self) -> None:
        if self._begun:
            self._refuse(b"408 Request Timeout")
        else:
            self._come()
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        self._come()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()
