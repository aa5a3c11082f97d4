"""The feed: a service's events over HTTP, for who has no Kafka. It is read from the log, so it has what the topics have.

Guarantee 23: who follows the cursors gets every event of its topics once, in the order of the topics, whoever writes meanwhile; a
cursor of a log that was restored since is refused, never read on from.

That holds because an event is in the log only once it is committed, and one statement that no other can overtake gives it its
place: what can be seen is always the log's beginning without a hole. An event of the log can be lost by a restore alone, which
raises the generation that every cursor carries.

Public topics have the log's positions as places. A topic for analysts is read by itself, and its places are its own sequence:
positions would tell how much else went out between two of its records (docs/decisions/0029).

One reader of the log a process serves all who follow: it keeps what it read last, and who lags behind that reads the log.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from sojourn_contracts import catalogue
from sojourn_contracts.catalogue import Topic, Visibility
from sojourn_contracts.envelope import JSON

from chassis.database import Connection, Pool, listening
from chassis.failures import backoff
from chassis.http import link_to_next
from chassis.identity import Caller, Role, requires
from chassis.openapi import failures
from chassis.problems import FieldError, InvalidFields, Problem

BATCH = "application/cloudevents-batch+json"
STREAM = "text/event-stream"
START = "1-0"
"""The cursor before the first event."""
CURSOR = r"^[0-9]{1,9}-[0-9]{1,18}$"
LAST_EVENT = rf"^$|{CURSOR}"

CHUNK = 500
"""Events that are read at once for who follows."""
POLL = 0.5
"""Seconds between looks into the log while somebody follows, when nothing wakes the reader."""
REST = 0.02
"""Seconds between two looks at least: what is written meanwhile reaches everybody in one go."""
HEARTBEAT = 15.0
"""Seconds without an event after which a comment is sent, so that what stands between does not hang up."""
LONGEST = 900.0
"""Seconds that one answer lasts at most; who goes on following shows the token again."""
LONGEST_WAIT = 30
"""Seconds that a page may wait for its first event."""
KEPT_SECONDS = 10.0
KEPT_CHARACTERS = 8_000_000
"""What the reader keeps for who lags behind. No longer: an erasure that empties the log does not reach it."""

logger = structlog.get_logger(__name__)


class Cursor(NamedTuple):
    """A place in a log of that generation: the last event that was read."""

    generation: int
    place: int

    def __str__(self) -> str:
        return f"{self.generation}-{self.place}"


def cursor(text: str) -> Cursor:
    return Cursor(*map(int, text.split("-")))


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the log."""

    cursor: Cursor
    topic: str
    attributes: str
    """Its CloudEvents attributes: a JSON object."""
    data: str | None
    """JSON as it was emitted; None in a tombstone, and once its subject is erased."""

    @property
    def event(self) -> str:
        """The event in CloudEvents' JSON format; a tombstone has no ``data``."""
        return self.attributes if self.data is None else f'{self.attributes[:-1]},"data":{self.data}}}'


class Log:
    """Topics of a service's log that are read in one order."""

    def __init__(self, service: str, topics: Sequence[str], place: str) -> None:
        """``place`` is the column that numbers the events: ``position``, or ``sequence`` of a single topic."""
        self.topics = topics
        self._place = place
        attributes = f"""
            '{{"specversion":"1.0","id":"' || event_id || '","source":"sojourn/{service}","type":"' || type
            || '","subject":"' || subject || '","time":' || to_json(time) || ',"dataschema":"' || dataschema
            || '","datacontenttype":"{JSON.decode()}","sequence":"' || lpad(sequence::text, 18, '0') || '","generation":"' || generation || '"'
            || coalesce(',"correlationid":' || to_json(correlation_id), '')
            || coalesce(',"causationid":' || to_json(causation_id), '')
            || coalesce(',"traceparent":' || to_json(traceparent), '') || '}}'
        """
        self._read = f"""
            select place, generation, topic, attributes, data
            from (
                select position, place
                from unnest($2::text[]) as wanted(topic) cross join lateral (
                    select position, {place} as place from event_log
                    where event_log.topic = wanted.topic and {place} > $1 %s
                    order by {place} limit $3
                ) as of_topic
                order by place limit $3
            ) as found cross join lateral (
                select generation, topic, {attributes} as attributes, data
                from event_log where event_log.position = found.position offset 0
            ) as logged
            order by place
        """  # noqa: S608

    async def after(self, connection: Connection, topics: Sequence[str], place: int, limit: int) -> list[Entry]:
        """The next events of these topics, oldest first."""
        return await self._entries(connection, "", topics, place, limit)

    async def newest_after(self, connection: Connection, topics: Sequence[str], place: int, limit: int) -> list[Entry]:
        """The same without what a later event on the same topic about the same subject has superseded.

        Read page by page to its end, while others write, it is the state that the log comes to at the last place.
        """
        newest = """
            and not exists (
                select from event_log as later
                where later.subject = event_log.subject and later.topic = event_log.topic
                    and later.position > event_log.position
                offset 0
            )
        """
        return await self._entries(connection, newest, topics, place, limit)

    async def _entries(
        self, connection: Connection, condition: str, topics: Sequence[str], place: int, limit: int
    ) -> list[Entry]:
        rows = await connection.fetch(self._read % condition, place, topics, limit)
        return [
            Entry(Cursor(generation, place), topic, attributes, data)
            for place, generation, topic, attributes, data in rows
        ]

    async def holds(self, connection: Connection, at: Cursor) -> bool:
        """Whether an event of that generation stands there; every log holds its start."""
        generation = await connection.fetchval(
            f"select generation from event_log where {self._place} = $1 and ($2 or topic = any($3::text[]))",  # noqa: S608
            at.place,
            self._place == "position",
            self.topics,
        )
        return at.place == 0 or generation == at.generation

    async def end(self, connection: Connection) -> Cursor:
        """Of the newest event."""
        row = await connection.fetchrow(
            f"select generation, {self._place} from event_log where topic = any($1::text[])"  # noqa: S608
            f" order by {self._place} desc limit 1",
            self.topics,
        )
        return Cursor(*row) if row else cursor(START)


class Tail:
    """A log's end, as this process follows it while anybody does: read once, whoever and how many follow."""

    def __init__(self, log: Log, pool: Pool, channel: str, stopping: Callable[[], bool]) -> None:
        self._log = log
        self._pool = pool
        self._channel = channel
        self._stopping = stopping
        self._kept: deque[tuple[float, Entry]] = deque()
        self._characters = 0
        self._begin = 0
        """All later places up to the end are kept."""
        self._end: Cursor | None = None
        self._restores = 0
        self._look = asyncio.Event()
        self._grown = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self.followers = 0

    def wake(self) -> None:
        """Makes the reader look at once: the log may have grown."""
        self._look.set()

    async def follow(self, after: Cursor, topics: Sequence[str]) -> AsyncGenerator[list[Entry]]:
        """What comes after a cursor, as it comes; an empty list where nothing did for a while.

        Ends when the process is to stop, after a quarter of an hour, and when the log is restored to an earlier state.
        """
        now = asyncio.get_running_loop().time
        until, restores, at = now() + LONGEST, self._restores, after.place
        async with self._following():
            while not self._stopping() and restores == self._restores and (left := until - now()) > 0:
                grown, end = self._grown, self._end
                if end is not None and at >= self._begin:
                    entries = self._kept_after(at, topics)
                    at = max(at, end.place)
                else:
                    async with self._pool.acquire() as connection:
                        entries = await self._log.after(connection, topics, at, CHUNK)
                    seen = end.place if end is not None and len(entries) < CHUNK else 0
                    at = max(at, seen, *(entry.cursor.place for entry in entries[-1:]))
                if entries:
                    yield entries
                elif end is None or at >= end.place:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(left, HEARTBEAT)):
                            await grown.wait()
                            continue
                    yield []

    def _kept_after(self, place: int, topics: Sequence[str]) -> list[Entry]:
        found: list[Entry] = []
        for _, entry in reversed(self._kept):
            if entry.cursor.place <= place:
                break
            if entry.topic in topics:
                found.append(entry)
        return found[::-1]

    @asynccontextmanager
    async def _following(self) -> AsyncGenerator[None]:
        self.followers += 1
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="feed")
        try:
            yield
        finally:
            self.followers -= 1
            if not self.followers:
                await self._close()

    async def _close(self) -> None:
        reading, self._reading = self._reading, None
        self._forget(None)
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        attempt = 0
        while not self._stopping():
            try:
                async with self._pool.acquire() as connection, listening(connection, self._channel, self.wake):
                    while not self._stopping():
                        await self._read_on(connection)
                        attempt = 0
            except Exception as error:
                attempt += 1
                logger.warning("the feed waits", error=repr(error)[:300])
                await asyncio.sleep(backoff(attempt, longest=2.0))
        self._tell()

    async def _read_on(self, connection: Connection) -> None:
        """Reads what is new, tells everybody, and waits until there may be more."""
        self._look.clear()
        if self._end is None or not await self._log.holds(connection, self._end):
            self._restores += self._end is not None
            self._forget(await self._log.end(connection))
            self._tell()
        entries = await self._log.after(connection, self._log.topics, self._end.place if self._end else 0, CHUNK)
        self._keep(entries)
        if entries:
            self._tell()
        if len(entries) < CHUNK:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._look.wait()
            await asyncio.sleep(REST)

    def _keep(self, entries: Sequence[Entry]) -> None:
        now = asyncio.get_running_loop().time()
        for entry in entries:
            self._kept.append((now, entry))
            self._characters += len(entry.event)
            self._end = entry.cursor
        while self._kept and (self._kept[0][0] < now - KEPT_SECONDS or self._characters > KEPT_CHARACTERS):
            _, gone = self._kept.popleft()
            self._characters -= len(gone.event)
            self._begin = gone.cursor.place

    def _forget(self, end: Cursor | None) -> None:
        self._kept.clear()
        self._characters, self._end, self._begin = 0, end, end.place if end else 0

    def _tell(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


@dataclass(frozen=True)
class Reading:
    """What somebody reads: topics that they were granted, and the log that these stand in."""

    log: Log
    tail: Tail
    topics: Sequence[str]


class Feed:
    """One process' feed of its service's events."""

    def __init__(self, service: str, pool: Pool, followers: int, stopping: Callable[[], bool]) -> None:
        """``followers``: how many may follow at once."""
        self._service = service
        self._pool = pool
        self._limit = followers
        self._shown = {topic.name: topic for topic in catalogue.emitted_by(service) if _is_shown(topic)}
        public = [name for name, topic in self._shown.items() if topic.visibility is Visibility.PUBLIC]
        logs = [Log(service, public, "position")] if public else []
        logs += [Log(service, [name], "sequence") for name in self._shown if name not in public]
        self._readings = [Reading(log, Tail(log, pool, channel(service), stopping), log.topics) for log in logs]

    def wake(self) -> None:
        """Tells who follows that the log has grown."""
        for reading in self._readings:
            reading.tail.wake()

    def reading(self, caller: Caller, topics: str | None) -> Reading:
        """What the caller reads: these topics, divided by commas, or all that were granted.

        Raises:
            InvalidFields: a name is not that of a topic of this service that can be shown, or one is to be read by itself.
            Problem: 403, a topic was not granted, or none was.
        """
        names = [name for name in self._shown if _may_read(caller, name)] if topics is None else topics.split(",")
        wrong = [place for place, name in enumerate(names) if name not in self._shown]
        if wrong:
            allowed = ", ".join(self._shown) or "there are none"
            detail = f"is not a topic that {self._service} shows"
            raise InvalidFields([FieldError(f"query.topics.{place}", detail, allowed) for place in wrong])
        refused = [name for name in names or self._shown if not _may_read(caller, name)]
        if refused or not names:
            scopes = " ".join(map(_scope, refused))
            challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scopes}"'}
            raise Problem(403, "topic_not_granted", f"The token does not grant {', '.join(refused)}", challenge)
        for reading in self._readings:
            if set(names) <= set(reading.topics):
                return Reading(reading.log, reading.tail, names)
        apart = ", ".join(name for name in names if self._shown[name].visibility is not Visibility.PUBLIC)
        raise InvalidFields([FieldError("query.topics", f"{apart}: each is read by itself")])

    async def page(self, reading: Reading, after: Cursor, limit: int, wait: float = 0) -> list[Entry]:
        """The events after a cursor, oldest first; if there are none, the first that come within ``wait`` seconds.

        Raises:
            Problem: 410, the log does not hold the cursor; 503, too many are waiting.
        """
        async with self._pool.acquire() as connection:
            await self._require(connection, reading, after)
            entries = await reading.log.after(connection, reading.topics, after.place, limit)
        if entries or not wait:
            return entries
        self._require_room()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait), aclosing(reading.tail.follow(after, reading.topics)) as followed:
                async for entries in followed:
                    if entries:
                        return entries[:limit]
        return []

    async def snapshot(self, reading: Reading, after: Cursor, limit: int) -> list[Entry]:
        """The newest event per topic and subject, by their places, as far as these lie after a cursor.

        Raises:
            Problem: 410, the log does not hold the cursor.
        """
        async with self._pool.acquire() as connection:
            await self._require(connection, reading, after)
            return await reading.log.newest_after(connection, reading.topics, after.place, limit)

    async def stream(self, reading: Reading, after: Cursor) -> AsyncGenerator[bytes]:
        """Server-sent events, as in the HTML Standard, section 9.2: ids are cursors, data are CloudEvents.

        Raises:
            Problem: before the first of them: 410, the log does not hold the cursor; 503, too many follow.
        """
        async with self._pool.acquire() as connection:
            await self._require(connection, reading, after)
        self._require_room()
        return _server_sent(reading.tail.follow(after, reading.topics))

    def _require_room(self) -> None:
        if sum(reading.tail.followers for reading in self._readings) >= self._limit:
            detail = f"{self._limit} follow the feed here; try again"
            raise Problem(503, "too_many_listeners", detail, {"Retry-After": "30"})

    async def _require(self, connection: Connection, reading: Reading, after: Cursor) -> None:
        if not await reading.log.holds(connection, after):
            detail = "The log was restored since, and lacks what this cursor stands for: begin anew, with a snapshot"
            raise Problem(410, "cursor_gone", detail)


async def _server_sent(followed: AsyncGenerator[list[Entry]]) -> AsyncGenerator[bytes]:
    # not all come back at the same moment when a process ends
    yield b"retry: %d\n\n" % random.randint(1_000, 5_000)
    async with aclosing(followed):
        async for entries in followed:
            told = "".join(f"id: {entry.cursor}\ndata: {entry.event}\n\n" for entry in entries)
            yield told.encode() if told else b": nothing new\n\n"


def channel(service: str) -> str:
    """The NOTIFY channel on which a service's leading relay says that the log has grown."""
    return f"{service}_log"


def _is_shown(topic: Topic) -> bool:
    return topic.visibility is not Visibility.INTERNAL


def _scope(topic: str) -> str:
    return f"events:{topic}"


def _may_read(caller: Caller, topic: str) -> bool:
    if caller.role is Role.SUBSCRIBER:
        return _scope(topic) in caller.scopes
    analysts = any(each.name == topic and each.visibility is Visibility.ANALYSTS for each in catalogue.TOPICS)
    return caller.role is Role.OPERATOR or (caller.role is Role.ANALYST and analysts)


def _of_process(request: Request) -> Feed:
    return request.app.state.feed


TheFeed = Annotated[Feed, Depends(_of_process)]
Reader = Annotated[Caller, Depends(requires(Role.SUBSCRIBER, Role.OPERATOR, Role.ANALYST))]
Topics = Annotated[
    str | None,
    Query(max_length=1_000, description="names, divided by commas; without it, all that the token grants"),
]
After = Annotated[str, Query(pattern=CURSOR, description="the cursor of the last event that was read")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="events at most")]
Wait = Annotated[int, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait for an event if there is none")]
LastEvent = Annotated[
    str | None, Header(alias="Last-Event-ID", pattern=LAST_EVENT, description="the id of the last event; goes first")
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
    entries = await feed.page(feed.reading(caller, topics), cursor(after), limit, wait)
    response = _batch(entries)
    link_to_next(request, response, after=entries[-1].cursor if entries else after)
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
    """The newest event per topic and subject, as a batch of CloudEvents; of who was erased, the tombstone.

    The ``Link`` header leads on: from the last page, to ``/events`` with the cursor to continue from.
    """
    entries = await feed.snapshot(feed.reading(caller, topics), cursor(after), limit)
    response = _batch(entries)
    reached = entries[-1].cursor if entries else after
    link_to_next(request, response, request.url.path if len(entries) == limit else "/events", after=reached)
    return response


@routes.get(
    "/events/stream",
    response_class=StreamingResponse,
    responses={
        200: {"content": {STREAM: {}}, "description": "Server-sent events: ids are cursors, data are CloudEvents"},
        **failures(410),
    },
)
async def stream(
    caller: Reader,
    feed: TheFeed,
    topics: Topics = None,
    after: After = START,
    last_event_id: LastEvent = None,
) -> StreamingResponse:
    """The same as server-sent events, as they come; who comes back with ``Last-Event-ID`` goes on from there."""
    told = await feed.stream(feed.reading(caller, topics), cursor(last_event_id or after))
    return StreamingResponse(told, media_type=STREAM, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def _batch(entries: Sequence[Entry]) -> Response:
    content = "[" + ",\n".join([entry.event for entry in entries]) + "]"
    return Response(content, media_type=BATCH, headers={"Cache-Control": "no-store"})
