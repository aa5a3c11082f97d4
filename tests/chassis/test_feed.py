"""The feed over HTTP: whoever follows it gets every event once, in the log's order, and nothing that was not granted."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from chassis.following import Tail
from chassis.identity import Caller, Role
from chassis.lease import Lease
from chassis.logged import Cursor, Entry
from chassis.relay import MOVE, record
from chassis.transaction import UNLINKED, Cause
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from laptop.roles import Database, drop, provision
from sojourn_contracts.exchange import ExchangeCancelled
from sojourn_contracts.manifest import ManifestIssued
from sojourn_contracts.match import MatchDeclined
from sojourn_contracts.notice import NoticeDue
from uuid_utils.compat import uuid7

from chassis import feed, following, identity
from tests.chassis.given import MIGRATIONS, SERVICE, a_service, an, cancelled, declined
from tests.chassis.waiting import until
from tests.chassis_driver import Driver, driving
from tests.http.serving import served
from tests.migrated import migrated

SHOWN = [
    "MatchDeclined",
    "ExchangeUpdated",
    "ExchangeAgreed",
    "ExchangeCancelled",
    "ExchangeCompleted",
    "ManifestIssued",
]
PROMPT = 5.0
"""Seconds: far less than what would pass if nothing but time ended a wait."""


@pytest.fixture(scope="module")
async def one_exchange(postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Driver]:
    database = await provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}")
    await migrated(database, SERVICE, MIGRATIONS)
    async with driving(a_service(), database.url(SERVICE), tmp_path_factory.mktemp("feed")) as driver:
        yield driver
    await drop(database)


class World:
    """A service whose events a test emits and moves to the log."""

    def __init__(self, driver: Driver, lease: Lease) -> None:
        self.driver = driver
        self.http = driver.http
        self.feed = driver.process.feed
        self._lease = lease

    @property
    def subscriber(self) -> dict[str, str]:
        """Who was granted the two topics that these tests emit on."""
        return self.granted("MatchDeclined", "ExchangeCancelled")

    def granted(self, *topics: str) -> dict[str, str]:
        return self.driver.token(Role.SUBSCRIBER, scopes=[f"events:{topic}" for topic in topics])

    async def emit(self, *events: Any, cause: Cause = UNLINKED) -> None:
        async with self.driver.process.open_transaction(cause) as tx:
            tx.emit(*events)

    async def move(self, limit: int = 1_000) -> int:
        """As a leading relay does it in another process, which nobody here hears of."""
        return len(await self.driver.process.pool.fetch(MOVE, self._lease.holder, self._lease.epoch, limit))

    async def log(self, *events: Any) -> None:
        await self.emit(*events)
        await self.move()

    async def erase(self, event: type, subject: UUID) -> None:
        async with self.driver.process.open_transaction(UNLINKED) as tx:
            tx.erase(event, subject)
        await self.move()
        await self.driver.run_due()

    async def logged(self, *topics: str) -> list[str]:
        """The ids of the log's events, in its order."""
        rows = await self.driver.rows(
            "select event_id::text from event_log where topic = any($1) order by position", topics or SHOWN
        )
        return [row["event_id"] for row in rows]

    async def restore(self, place: int) -> None:
        """Takes the log back to an earlier state."""
        await self.driver.process.pool.execute(
            f"delete from event_log where position > {place}; update log_generation set generation = generation + 1"
        )

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.get(path, headers=headers or self.subscriber)

    async def page(self, path: str = "/events") -> tuple[list[dict[str, Any]], str]:
        """Its events, and where it goes on."""
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/cloudevents-batch+json"
        return answer.json(), answer.links["next"]["url"]

    @property
    def tail(self) -> Tail:
        [reading] = self.feed._readings
        return reading.tail

    def followed(self, *topics: str) -> AsyncGenerator[list[Entry]]:
        """From the start, in this process."""
        return self.tail.follow(Cursor(1, 0), topics or SHOWN)

    async def followers(self, number: int) -> None:
        await until(lambda: self.tail.followers == number)


@pytest.fixture
async def world(one_exchange: Driver) -> AsyncIterator[World]:
    pool = one_exchange.process.pool
    await pool.execute(
        "delete from event_log; delete from outbox; delete from lease; delete from due; delete from erased;"
        " update log_generation set generation = 1"
    )
    lease = Lease(pool, "relay", 60)
    assert await lease.acquire()
    world = World(one_exchange, lease)
    yield world
    await world.followers(0)
    await until(lambda: world.tail._reading is None)


@pytest.fixture
def lifetime(world: World) -> Callable[[float], dict[str, str]]:
    """A subscriber's token that ends after so many seconds."""

    def token(seconds: float) -> dict[str, str]:
        caller = Caller(Role.SUBSCRIBER, "subscriber", scopes=frozenset({"events:MatchDeclined"}))
        return {"Authorization": f"Bearer {identity.issue(world.driver._key, caller, timedelta(seconds=seconds))}"}

    return token


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in events]


class Stream:
    """Server-sent events, as a client reads them."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.comments = 0
        self.last = ""

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PROMPT):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last = value
                elif name == "data":
                    return json.loads(value)
                elif line.startswith(":"):
                    self.comments += 1
        raise EOFError

    async def take(self, number: int) -> list[str]:
        return [(await self.next())["id"] for _ in range(number)]

    async def ended(self) -> bool:
        try:
            await self.next()
        except EOFError:
            return True
        return False


@asynccontextmanager
async def streamed(world: World, url: str, query: str = "", last: str | None = None) -> AsyncIterator[Stream]:
    headers = world.subscriber | ({} if last is None else {"Last-Event-ID": last})
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("GET", f"{url}/events/stream{query}", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


async def test_a_page_has_what_the_topics_have_in_their_order(world: World):
    cause = Cause('c-1 "quoted"', str(uuid7()), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await world.emit(declined(), cancelled(), cause=cause)
    await world.log(declined())
    await world.erase(MatchDeclined, uuid7())
    rows = await world.driver.rows(
        "select position, generation, topic, sequence, event_id::text, type, dataschema, subject::text, time, data,"
        " correlation_id, causation_id, traceparent from event_log order by position"
    )
    events, _ = await world.page()
    assert len(events) == 4
    for event, row in zip(events, rows, strict=True):
        key, value, headers = record(SERVICE, row)
        attributes = {name.removeprefix("ce_"): text.decode() for name, text in headers}
        attributes["datacontenttype"] = attributes.pop("content-type")
        data = {} if value is None else {"data": json.loads(value)}
        times = datetime.fromisoformat(event.pop("time")), datetime.fromisoformat(attributes.pop("time"))
        assert times[0] == times[1]
        assert event == attributes | data
        assert event["subject"].encode() == key


async def test_the_official_sdk_reads_what_a_page_has(world: World):
    await world.log(declined())
    await world.erase(MatchDeclined, uuid7())
    for event in (await world.page())[0]:
        read = from_http_event(
            HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(event).encode())
        )
        assert (read.get_id(), read.get_source()) == (event["id"], f"sojourn/{SERVICE}")
        assert read.get_extension("sequence") == event["sequence"]
        assert read.get_data() == event.get("data")


async def test_pages_and_streams_have_no_hole_and_no_repeat_while_others_write(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """Writers commit in another order than they began, some give up, and the relay moves a few at a time."""
    monkeypatch.setattr(following, "POLL", 0.02)
    source = random.Random(7)

    async def writer() -> None:
        for _ in range(10):
            events = [source.choice((declined, cancelled))() for _ in range(source.randrange(1, 4))]
            gives_up, pause = source.random() < 0.2, source.choice((0, 0, 0.005, 0.02))
            try:
                async with world.driver.process.open_transaction(UNLINKED) as tx:
                    tx.emit(*events, an(NoticeDue))
                    await tx.flush()
                    tx.effects.events.clear()
                    await tx.connection.execute("select pg_sleep($1)", pause)
                    if gives_up:
                        raise InterruptedError
            except InterruptedError:
                continue

    async def mover(writers: asyncio.Future) -> None:
        while not writers.done() or await world.move(3):
            await world.move(3)
        await world.log(last)

    async def follow(link: str) -> list[str]:
        read: list[dict[str, Any]] = []
        while not read or read[-1]["subject"] != str(last.subject):
            events, link = await world.page(link)
            read += events
        return ids(read)

    async def streaming(url: str) -> list[str]:
        read: list[dict[str, Any]] = []
        async with streamed(world, url) as stream:
            while not read or read[-1]["subject"] != str(last.subject):
                read.append(await stream.next())
        return ids(read)

    last = cancelled()
    async with served(world.driver) as url:
        writers = asyncio.gather(*(writer() for _ in range(4)))
        async with asyncio.timeout(60):
            _, *found = await asyncio.gather(
                mover(writers),
                follow("/events?limit=2"),
                follow("/events?limit=100"),
                follow("/events?limit=5&wait=1"),
                streaming(url),
                follow("/events?topics=ExchangeCancelled&limit=3"),
            )
    logged = await world.logged()
    assert len(logged) > 40
    assert all(read == logged for read in found[:4])
    assert found[4] == await world.logged("ExchangeCancelled")


async def by_the_relay_of_this_process(world: World) -> None:
    world.driver.process._log_has_grown()


async def by_notify(world: World) -> None:
    await world.driver.process.pool.execute("select pg_notify($1, '')", feed.channel(SERVICE))


@pytest.mark.parametrize("wake", [by_the_relay_of_this_process, by_notify])
async def test_a_page_that_waits_is_answered_as_soon_as_an_event_is_there(
    world: World, wake: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "POLL", 60.0)
    await world.log(declined())
    _, link = await world.page("/events?wait=30&topics=ExchangeCancelled,MatchDeclined")
    waiting = asyncio.create_task(world.page(link))
    await until(lambda: world.tail._end is not None)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await world.log(cancelled())
    await wake(world)
    async with asyncio.timeout(PROMPT):
        events, link = await waiting
    assert ids(events) == (await world.logged())[1:]
    assert "after=1-2" in link


async def test_a_page_that_waits_in_vain_is_empty_and_leads_to_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "POLL", 0.02)
    await world.log(cancelled())
    waiting = asyncio.create_task(world.page("/events?topics=ExchangeCancelled&after=1-1&wait=1"))
    await world.followers(1)
    await world.log(declined())  # of another topic
    events, link = await waiting
    assert events == []
    assert "after=1-1" in link


async def test_a_stream_goes_on_from_the_last_event_that_its_client_has(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "POLL", 0.02)
    await world.log(*(declined() for _ in range(3)), an(NoticeDue), cancelled(), cancelled())
    logged = await world.logged()
    async with served(world.driver) as url:
        async with streamed(world, url) as stream:
            assert await stream.take(3) == logged[:3]
        async with streamed(world, url, "?after=1-1", stream.last) as stream:
            assert await stream.take(2) == logged[3:]
            await world.log(declined())
            assert await stream.take(1) == (await world.logged())[5:]
            assert stream.last == "1-7"
        async with streamed(world, url, "?topics=ExchangeCancelled&after=1-5", last="") as stream:
            assert await stream.take(1) == logged[4:]
    await world.followers(0)


async def test_a_stream_without_events_has_comments(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "HEARTBEAT", 0.02)
    async with served(world.driver) as url, streamed(world, url) as stream:
        reading = asyncio.create_task(stream.next())
        await until(lambda: stream.comments > 2)
        await world.log(declined())
        assert (await reading)["id"] in await world.logged()


async def test_streams_and_waiting_pages_end_when_the_process_is_to_stop(world: World):
    async with served(world.driver) as url, streamed(world, url) as stream:
        waiting = asyncio.create_task(world.page("/events?wait=30"))
        await world.followers(2)
        world.driver.process.stopping = True
        try:
            async with asyncio.timeout(PROMPT):
                assert await stream.ended()
                assert (await waiting)[0] == []
        finally:
            world.driver.process.stopping = False


async def test_a_stream_ends_with_the_token_that_it_was_asked_for_with(
    world: World, monkeypatch: pytest.MonkeyPatch, lifetime: Callable[[float], dict[str, str]]
):
    monkeypatch.setattr(identity, "LEEWAY_SECONDS", 0)
    async with (
        served(world.driver) as url,
        httpx.AsyncClient(timeout=30) as http,
        http.stream("GET", f"{url}/events/stream", headers=lifetime(2)) as answer,
    ):
        stream = Stream(answer)
        await world.log(declined())
        assert len(await stream.take(1)) == 1
        assert await stream.ended()


async def test_who_reads_nothing_of_what_is_sent_does_not_follow_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "LONGEST", 0.5)
    await world.log(*(declined() for _ in range(60)))
    await world.driver.process.pool.execute("update event_log set data = to_json(repeat('x', 200000))::text")
    async with served(world.driver) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1_000)  # bytes, and then it stops reading
        headers = "".join(f"{name}: {value}\r\n" for name, value in world.subscriber.items())
        writer.write(f"GET /events/stream HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode())
        try:
            await world.followers(1)
            await until(lambda: world.tail.followers == 0, within=PROMPT)
        finally:
            writer.transport.abort()


async def test_many_who_follow_are_served_by_one_reader_and_hold_one_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "POLL", 0.02)
    pool = world.driver.process.pool
    async with AsyncExitStack() as hang_up:
        streams = [await hang_up.enter_async_context(aclosing(feed._server_sent(world.followed()))) for _ in range(50)]
        for each in streams:
            assert (await anext(each)).startswith(b"retry: ")
        chunks = [asyncio.create_task(anext(each)) for each in streams]
        await world.followers(50)
        await until(lambda: pool.get_size() - pool.get_idle_size() == 1)
        assert len([task for task in asyncio.all_tasks() if task.get_name() == "feed"]) == 1
        await world.log(declined())
        [chunk] = set(await asyncio.gather(*chunks))
        assert chunk.startswith(b"id: 1-1\ndata: {")


async def test_who_lags_behind_what_is_kept_gets_everything_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "POLL", 0.01)
    monkeypatch.setattr(following, "CHUNK", 3)
    monkeypatch.setattr(following, "KEPT_CHARACTERS", 2_500)
    read: dict[str, list[str]] = {"slow": [], "quick": []}

    async def next_of(name: str) -> None:
        read[name] += [json.loads(entry.event)["id"] for entry in await anext(followed[name])]

    async with aclosing(world.followed("MatchDeclined")) as slow, aclosing(world.followed("MatchDeclined")) as quick:
        followed = {"slow": slow, "quick": quick}
        await world.log(declined())
        await next_of("slow")
        for _ in range(8):
            await world.log(*(declined() for _ in range(4)), cancelled())
            logged = await world.logged("MatchDeclined")
            while len(read["quick"]) < len(logged):
                await next_of("quick")
        while len(read["slow"]) < len(logged):
            await next_of("slow")
    assert read == {"slow": logged, "quick": logged}


async def test_a_stream_survives_the_loss_of_its_readers_connection(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "POLL", 0.02)
    async with served(world.driver) as url, streamed(world, url) as stream:
        await world.log(declined())
        await stream.take(1)
        async with world.driver.process.pool.acquire() as connection:
            await connection.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid() and application_name = $1",
                SERVICE,
            )
        await world.log(declined())
        assert await stream.take(1) == (await world.logged())[1:]


@pytest.mark.parametrize("path", ["/events", "/events/snapshot", "/events/stream"])
async def test_a_cursor_of_a_log_that_was_restored_since_is_gone(world: World, path: str):
    await world.log(declined(), declined(), declined())
    await world.restore(2)
    headers = world.subscriber
    for _ in range(2):  # before and after somebody wrote there again
        answer = await world.get(f"{path}?after=1-3", headers)
        assert (answer.status_code, answer.json()["rule"]) == (410, "cursor_gone")
        await world.log(declined())
    assert (await world.get(f"{path}?after=2-2", headers)).status_code == 410
    if path == "/events/stream":
        answer = await world.get(path, headers | {"Last-Event-ID": "1-3"})
        assert (answer.status_code, answer.json()["rule"]) == (410, "cursor_gone")


async def test_a_cursor_from_before_the_restored_state_leads_on_into_the_new_generation(world: World):
    await world.log(declined(), declined(), declined())
    await world.restore(2)
    await world.log(declined())
    events, link = await world.page("/events?after=1-1")
    assert [(event["sequence"], event["generation"]) for event in events] == [
        (f"{2:018}", "1"),
        (f"{3:018}", "2"),
    ]
    assert "after=2-3" in link


async def test_what_a_restored_log_took_back_is_read_by_cursors_of_the_new_order(world: World):
    await world.log(declined(), declined(), declined())
    await world.driver.rows("update event_log set adopted = 2 where position > 1")
    await world.driver.rows("update log_generation set generation = 2")
    events, link = await world.page("/events?after=1-1")
    assert [event["generation"] for event in events] == ["1", "1"]
    assert "after=2-3" in link
    assert [event["sequence"] for event in (await world.page("/events?after=2-2"))[0]] == [f"{3:018}"]
    assert (await world.get("/events?after=1-2")).status_code == 410


async def test_a_stream_ends_when_the_log_is_restored_beneath_it(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "POLL", 0.02)
    await world.log(declined(), declined())
    async with served(world.driver) as url, streamed(world, url) as stream:
        await stream.take(2)
        await until(lambda: world.tail._end is not None)
        await world.restore(1)
        assert await stream.ended()
        answer = await world.get("/events/stream", world.subscriber | {"Last-Event-ID": stream.last})
        assert answer.status_code == 410


async def test_of_who_was_erased_a_reader_gets_no_data_and_the_tombstone(world: World):
    gone, kept = declined(), declined()
    await world.log(gone, kept, gone.model_copy(update={"revision": gone.revision + 1}))
    await world.erase(MatchDeclined, gone.subject)
    told = [(event["subject"], "data" in event) for event in (await world.page())[0]]
    theirs, other = str(gone.subject), str(kept.subject)
    assert told == [(theirs, False), (other, True), (theirs, False), (theirs, False)]
    told = [(event["subject"], "data" in event) for event in (await world.page("/events/snapshot"))[0]]
    assert told == [(other, True), (theirs, False)]


async def test_who_was_erased_is_soon_not_even_kept_for_who_lags_behind(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "POLL", 0.01)
    monkeypatch.setattr(following, "KEPT_SECONDS", 0.05)
    async with aclosing(world.followed()) as followed:
        for _ in range(2):
            await world.log(declined())
            await anext(followed)
        await until(lambda: not world.tail._kept)


def folded(state: dict[tuple[str, str], Any], events: list[dict[str, Any]]) -> None:
    for event in events:
        state[event["type"], event["subject"]] = event.get("data")


async def test_a_snapshot_and_what_follows_its_position_come_to_the_state_of_the_whole_log(world: World):
    source = random.Random(3)
    alive = {kind: [uuid7() for _ in range(8)] for kind in (MatchDeclined, ExchangeCancelled)}

    async def write(count: int) -> None:
        for number in range(count):
            kind = source.choice((MatchDeclined, ExchangeCancelled))
            await world.log(an(kind, source.choice(alive[kind]), revision=number + 1))
        for kind, subjects in alive.items():
            await world.erase(kind, subjects.pop(source.randrange(len(subjects))))

    await write(40)
    state: dict[tuple[str, str], Any] = {}
    link, read, pages = "/events/snapshot?limit=4", 0, 0
    while link.startswith("/events/snapshot"):
        events, link = await world.page(link)
        read, pages = read + len(events), pages + 1
        folded(state, events)
        if pages == 2:
            await write(10)  # while it is read
    assert read < len(await world.logged())
    await write(10)
    events = [{}]
    while events:
        events, link = await world.page(link)
        folded(state, events)
    whole: dict[tuple[str, str], Any] = {}
    folded(whole, (await world.page("/events?limit=1000"))[0])
    assert state == whole
    assert None in whole.values()


async def test_a_snapshot_has_the_newest_event_of_each_topic_and_subject_once(world: World):
    first, second = uuid7(), uuid7()
    await world.log(declined(first, revision=1), cancelled(first, revision=2), declined(second, revision=1))
    await world.log(declined(first, revision=3))
    events, link = await world.page("/events/snapshot")
    assert [(event["type"], event["subject"]) for event in events] == [
        ("ExchangeCancelled.v1", str(first)),
        ("MatchDeclined.v1", str(second)),
        ("MatchDeclined.v1", str(first)),
    ]
    assert link == "/events?after=1-4"
    assert await world.page("/events/snapshot?topics=MatchDeclined") == (
        events[1:],
        "/events?topics=MatchDeclined&after=1-4",
    )


async def test_what_is_superseded_is_left_out_of_a_snapshots_pages_and_their_links_say_which_is_the_last(world: World):
    first, second = uuid7(), uuid7()
    await world.log(*(declined(first, revision=number) for number in range(1, 5)), declined(second), declined(first))
    link, pages = "/events/snapshot?topics=MatchDeclined&limit=2", []
    for _ in range(4):
        events, link = await world.page(link)
        pages.append([int(event["sequence"]) for event in events])
    assert pages == [[], [], [5, 6], []]
    assert link == "/events?topics=MatchDeclined&limit=2&after=1-6"


async def test_without_topics_a_reader_gets_what_was_granted_but_the_manifests(world: World):
    await world.log(declined(), cancelled(), an(NoticeDue), an(ManifestIssued))
    for headers, topics in (
        (world.granted("MatchDeclined"), ["MatchDeclined"]),
        (
            world.granted("MatchDeclined", "ExchangeCancelled", "CompanyRegistered"),
            ["MatchDeclined", "ExchangeCancelled"],
        ),
        (world.granted("MatchDeclined", "ManifestIssued"), ["MatchDeclined"]),
        (world.driver.token(Role.OPERATOR), SHOWN[:-1]),
    ):
        answer = await world.get("/events", headers)
        assert ids(answer.json()) == await world.logged(*topics)


@pytest.mark.parametrize("path", ["/events", "/events/snapshot", "/events/stream"])
async def test_a_topic_that_was_not_granted_is_refused_by_name(world: World, path: str):
    await world.log(declined(), cancelled())
    answer = await world.get(f"{path}?topics=MatchDeclined,ExchangeCancelled", world.granted("MatchDeclined"))
    assert (answer.status_code, answer.json()["rule"]) == (403, "topic_not_granted")
    assert answer.json()["detail"] == "The token does not grant ExchangeCancelled"
    assert answer.headers["WWW-Authenticate"] == ('Bearer error="insufficient_scope", scope="events:ExchangeCancelled"')


@pytest.mark.parametrize("scopes", [[], ["events:SurveySubmitted"], ["events:NoticeDue", "MatchDeclined", "events:*"]])
async def test_who_was_granted_nothing_of_this_service_is_told_what_could_be(world: World, scopes: list[str]):
    answer = await world.get("/events", world.driver.token(Role.SUBSCRIBER, scopes=scopes))
    assert (answer.status_code, answer.json()["rule"]) == (403, "topic_not_granted")
    assert all(topic in answer.json()["detail"] for topic in SHOWN)


async def test_an_analyst_is_granted_no_public_topic_by_its_role(world: World):
    answer = await world.get("/events?topics=MatchDeclined", world.driver.token(Role.ANALYST))
    assert (answer.status_code, answer.json()["rule"]) == (403, "topic_not_granted")


@pytest.mark.parametrize("topic", ["NoticeDue", "ErasureDone", "CompanyRegistered", "Nothing", "", "matchdeclined"])
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUBSCRIBER])
async def test_what_is_no_topic_to_be_shown_is_refused_with_those_that_are(world: World, topic: str, role: Role):
    headers = world.driver.token(role, scopes=[f"events:{name}" for name in ("MatchDeclined", topic)])
    answer = await world.get(f"/events?topics=MatchDeclined,{topic}", headers)
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["path"]) == (422, "query.topics.1")
    assert error["allowed"] == ", ".join(SHOWN)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/events", "after=7"),
        ("/events", "after=1-x"),
        ("/events", "after=-1-2"),
        ("/events", f"after=1-{10**18}"),
        ("/events", "limit=0"),
        ("/events", "limit=10001"),
        ("/events", "wait=-1"),
        ("/events", "wait=31"),
        ("/events", "wait=nan"),
        ("/events/snapshot", "after=1"),
        ("/events/snapshot", "limit=0"),
        ("/events/stream", "after=1"),
    ],
)
async def test_what_is_malformed_is_refused_with_the_field(world: World, path: str, query: str):
    answer = await world.get(f"{path}?{query}")
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["path"]) == (422, f"query.{query.partition('=')[0]}")


async def test_a_last_event_id_that_is_no_cursor_is_refused(world: World):
    answer = await world.get("/events/stream", world.subscriber | {"Last-Event-ID": "7"})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["path"]) == (422, "header.Last-Event-ID")


@pytest.mark.parametrize("path", ["/events?wait=1", "/events/stream"])
async def test_one_too_many_is_told_to_come_back(world: World, path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(world.feed, "_limit", 0)
    answer = await world.get(path)
    assert (answer.status_code, answer.json()["rule"]) == (503, "too_many_listeners")
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_topic_that_is_named_twice_is_read_once(world: World):
    await world.log(declined(), declined())
    events, _ = await world.page("/events?topics=MatchDeclined,MatchDeclined")
    assert ids(events) == await world.logged("MatchDeclined")
