"""The feed: a service's events over HTTP, for who has no Kafka. It is read from the log, so it has what the topics have.

Public topics have the log's positions as places. A topic for analysts is read by itself, and its places are its own sequence:
positions would tell how much else went out between two of its records (docs/decisions/0029).
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from sojourn_contracts import catalogue
from sojourn_contracts.catalogue import Topic, Visibility
from sojourn_contracts.grants import scope_of
from starlette.types import Receive, Scope, Send

from chassis import following
from chassis.database import Connection, Pool
from chassis.following import Tail
from chassis.http import link_to_next
from chassis.identity import Caller, Role, requires
from chassis.logged import PATTERN, START, Cursor, Entry, Log, Page, cursor
from chassis.openapi import failures
from chassis.problems import FieldError, InvalidFields, Problem

BATCH = "application/cloudevents-batch+json"
LONGEST_WAIT = 30
"""Seconds that a page may wait for its first event."""
SLOW = 1.0
"""Seconds that a client has for what was sent to it last, when a stream ends."""


@dataclass(frozen=True)
class Reading:
    """What somebody reads: topics that they were granted, and the log that these stand in."""

    log: Log
    tail: Tail
    topics: Sequence[str]


class ServerSent(StreamingResponse):
    """Tells what comes, until nothing does or the client hangs up; who followed has left when this ends."""

    media_type = "text/event-stream"
    within = math.inf
    """Seconds after which it ends even if the client takes nothing of what is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = cast("AsyncGenerator[bytes]", self.body_iterator)
        with suppress(TimeoutError):
            async with aclosing(told):  # a hang-up while something is sent would leave it open
                async with asyncio.timeout(self.within):
                    await super().__call__(scope, receive, send)


async def _server_sent(followed: AsyncGenerator[list[Entry]]) -> AsyncGenerator[bytes]:
    """As in the HTML Standard, section 9.2: ids are cursors, data are CloudEvents."""
    # not all come back at the same moment when a process ends
    yield b"retry: %d\n\n" % random.randint(1_000, 5_000)
    async with aclosing(followed):
        async for entries in followed:
            told = "".join(f"id: {entry.cursor}\ndata: {entry.event}\n\n" for entry in entries)
            yield told.encode() if told else b": nothing new\n\n"


class Feed:
    """One process' feed of its service's events."""

    def __init__(
        self, service: str, pool: Pool, followers: int, stopping: Callable[[], bool], direct: Pool | None = None
    ) -> None:
        """``followers``: how many may follow at once; ``direct``: see ``database.ear``."""
        self._service = service
        self._pool = pool
        self._limit = followers
        self._shown = {topic.name: topic for topic in catalogue.emitted_by(service) if scope_of(topic)}
        public = [name for name, topic in self._shown.items() if topic.visibility is Visibility.PUBLIC]
        logs = [Log(service, public, "position")] if public else []
        logs += [Log(service, [name], "sequence") for name in self._shown if name not in public]
        self._readings = [Reading(log, Tail(log, pool, channel(service), stopping, direct), log.topics) for log in logs]

    def wake(self) -> None:
        """Tells who follows that the log has grown."""
        for reading in self._readings:
            reading.tail.wake()

    def reading(self, caller: Caller, topics: str | None) -> Reading:
        """What the caller reads: these topics, divided by commas, or all that were granted but the manifests.

        Raises:
            InvalidFields: a name is not that of a topic of this service that can be shown, or one is to be read by itself.
            Problem: 403, a topic was not granted, or none was.
        """
        granted = [name for name, topic in self._shown.items() if _may_read(caller, topic)]
        usual = [name for name in granted if not self._shown[name].is_of_manifests]
        asked = usual if topics is None else topics.split(",")
        wrong = [place for place, name in enumerate(asked) if name not in self._shown]
        if wrong:
            allowed = ", ".join(self._shown) or "there are none"
            detail = f"is not a topic that {self._service} shows"
            raise InvalidFields([FieldError(f"query.topics.{place}", detail, allowed) for place in wrong])
        names = list(dict.fromkeys(asked))
        refused = [name for name in names or self._shown if name not in granted]
        if refused or not names:
            scopes = " ".join(scope for name in refused if (scope := scope_of(self._shown[name])))
            challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scopes}"'}
            raise Problem(403, "topic_not_granted", f"The token does not grant {', '.join(refused)}", challenge)
        for reading in self._readings:
            if set(names) <= set(reading.topics):
                return Reading(reading.log, reading.tail, names)
        apart = ", ".join(name for name in names if self._shown[name].visibility is not Visibility.PUBLIC)
        raise InvalidFields([FieldError("query.topics", f"{apart}: each is read by itself")])

    async def page(self, reading: Reading, after: Cursor, limit: int, wait: float = 0) -> Page:
        """The events after a cursor; if there are none, the first that come within ``wait`` seconds.

        Raises:
            Problem: 410, the log does not hold the cursor; 503, too many are waiting.
        """
        async with self._pool.acquire() as connection:
            await self._require(connection, reading, after)
            page = await reading.log.after(connection, reading.topics, after, limit)
        if page.entries or not wait:
            return page
        self._require_room()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait), aclosing(reading.tail.follow(after, reading.topics)) as followed:
                async for entries in followed:
                    if entries:
                        come = entries[:limit]
                        return Page(come, come[-1].cursor, len(entries) < limit)
        return page

    async def snapshot(self, reading: Reading, after: Cursor, limit: int) -> Page:
        """The newest events of each topic about each subject, as far as they are among the next ``limit`` of the log.

        Raises:
            Problem: 410, the log does not hold the cursor.
        """
        async with self._pool.acquire() as connection:
            await self._require(connection, reading, after)
            return await reading.log.newest_after(connection, reading.topics, after, limit)

    async def stream(self, reading: Reading, after: Cursor, within: float) -> ServerSent:
        """What comes after a cursor within so many seconds, as it comes.

        Raises:
            Problem: 410, the log does not hold the cursor; 503, too many follow.
        """
        async with self._pool.acquire() as connection:
            await self._require(connection, reading, after)
        self._require_room()
        told = _server_sent(reading.tail.follow(after, reading.topics, within))
        sent = ServerSent(told, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        sent.within = min(within, following.LONGEST) + SLOW
        return sent

    def _require_room(self) -> None:
        if sum(reading.tail.followers for reading in self._readings) >= self._limit:
            detail = f"{self._limit} follow the feed here; try again"
            raise Problem(503, "too_many_listeners", detail, {"Retry-After": "30"})

    async def _require(self, connection: Connection, reading: Reading, after: Cursor) -> None:
        if not await reading.log.holds(connection, after):
            detail = "The log was restored since, and lacks what this cursor stands for: begin anew, with a snapshot"
            raise Problem(410, "cursor_gone", detail)


def channel(service: str) -> str:
    """The NOTIFY channel on which a service's leading relay says that the log has grown."""
    return f"{service}_log"


def _may_read(caller: Caller, topic: Topic) -> bool:
    """Of a topic that is shown."""
    if caller.role is Role.SUBSCRIBER:
        return scope_of(topic) in caller.scopes
    of_analysts = topic.visibility is Visibility.ANALYSTS
    return caller.role is Role.OPERATOR or (caller.role is Role.ANALYST and of_analysts)


def _of_process(request: Request) -> Feed:
    return request.app.state.feed


TheFeed = Annotated[Feed, Depends(_of_process)]
Reader = Annotated[Caller, Depends(requires(Role.SUBSCRIBER, Role.OPERATOR, Role.ANALYST))]
Topics = Annotated[
    str | None,
    Query(
        max_length=1_000, description="names, divided by commas; without it, all that the token grants but manifests"
    ),
]
After = Annotated[str, Query(pattern=PATTERN, description="the cursor of the last event that was read")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="events at most")]
Wait = Annotated[int, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait for an event if there is none")]
LastEvent = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=rf"^$|{PATTERN}", description="the id of the last event; goes first"),
]
PAGE = {
    "description": "CloudEvents, oldest first; ``Link`` leads on",
    "content": {
        BATCH: {"schema": {"type": "array", "items": {"type": "object", "required": ["id", "type", "subject"]}}}
    },
}

routes = APIRouter()


@routes.get("/events", response_class=Response, responses={200: PAGE, **failures(410)})
async def events(
    caller: Reader,
    feed: TheFeed,
    request: Request,
    topics: Topics = None,
    after: After = START,
    limit: Limit = 1_000,
    wait: Wait = 0,
) -> Response:
    """This service's events after a cursor, oldest first, as a batch of CloudEvents.

    The ``Link`` header leads on. A page with fewer events than ``limit`` was the last for now; its link is where to ask later.
    """
    page = await feed.page(feed.reading(caller, topics), cursor(after), limit, wait)
    response = _batch(page.entries)
    link_to_next(request, response, after=page.reached)
    return response


@routes.get("/events/snapshot", response_class=Response, responses={200: PAGE, **failures(410)})
async def snapshot(
    caller: Reader,
    feed: TheFeed,
    request: Request,
    topics: Topics = None,
    after: After = START,
    limit: Limit = 1_000,
) -> Response:
    """The newest event of each topic about each subject, as a batch of CloudEvents; of who was erased, the tombstone.

    The ``Link`` header leads on: after the last page, to ``/events`` with the cursor to continue from. A page that is not
    the last may have fewer events than ``limit``, or none: what was superseded is left out.
    """
    page = await feed.snapshot(feed.reading(caller, topics), cursor(after), limit)
    response = _batch(page.entries)
    link_to_next(request, response, "/events" if page.ended else None, after=page.reached)
    return response


@routes.get(
    "/events/stream",
    response_class=ServerSent,
    responses={200: {"description": "Server-sent events: ids are cursors, data are CloudEvents"}, **failures(410)},
)
async def stream(
    caller: Reader,
    feed: TheFeed,
    topics: Topics = None,
    after: After = START,
    last_event_id: LastEvent = None,
) -> ServerSent:
    """The same as server-sent events, as they come; who comes back with ``Last-Event-ID`` goes on from there."""
    reading = feed.reading(caller, topics)
    return await feed.stream(reading, cursor(last_event_id or after), caller.ends_at - time.time())


def _batch(entries: Sequence[Entry]) -> Response:
    content = "[" + ",\n".join([entry.event for entry in entries]) + "]"
    return Response(content, media_type=BATCH, headers={"Cache-Control": "no-store"})
