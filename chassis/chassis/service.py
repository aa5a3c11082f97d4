"""A service, wired from data: its name, routes, handlers, migrations and settings. This is where the doors are hung.

One process serves HTTP, consumes events, does due work and offers itself as the relay's leader. Kafka or PostgreSQL being away
does not end it: it is live, not ready, and ready by itself. When it is told to stop, requests and handlers finish and the group
is left within 15 seconds.
"""

import asyncio
import gc
import math
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import typer
import uvicorn
from fastapi import APIRouter, FastAPI
from pydantic import SecretStr
from sojourn_contracts import catalogue

from chassis import (
    contract,
    due,
    feed,
    following,
    health,
    http,
    manifest_keys,
    manifests,
    migrations,
    retention,
    spans,
    telemetry,
)
from chassis.bounds import Bounds, serving
from chassis.clock import Clock, SteppedClock, SystemClock
from chassis.consumer import Consumer
from chassis.database import Connection, OldestTransaction, Pool, pool
from chassis.doors import Door, OnEvent
from chassis.due import DueWork
from chassis.erasure import empty_log, search_log
from chassis.failures import backoff
from chassis.feed import Feed
from chassis.identity import KeySource
from chassis.inbox import Inbox
from chassis.metrics import Gauged, Metrics, Observed
from chassis.relay import Relay, channel
from chassis.retention import Kept
from chassis.settings import Settings
from chassis.transaction import MANIFESTS, RETENTION, Cause, Transaction

logger = structlog.get_logger(__name__)

COUNTED_EVERY = 60.0
"""Seconds between two countings of what takes long to count, at least; and twenty times as long as the last one took."""
LISTENERS = 4
"""Connections at most that listen and do nothing else: the relay's, and one for each log that somebody follows."""


@dataclass(frozen=True)
class Service:
    """What a service is made of."""

    name: str
    migrations: Path
    doors: Sequence[Door] = ()
    routes: APIRouter = field(default_factory=APIRouter)
    settings: type[Settings] = Settings
    unlinked: tuple[str, ...] = ()
    """Beginnings of paths whose requests are not to be joined to others by who made them: see ``http.Observed``."""
    counters: Mapping[str, str] = field(default_factory=dict[str, str])
    """Metrics of its own that ``tx.count`` raises, each with what it counts."""
    durations: Mapping[str, str] = field(default_factory=dict[str, str])
    """Those that ``tx.lasted`` adds to, in seconds, each with what it measures."""
    gauges: Mapping[str, Gauged] = field(default_factory=dict[str, Gauged])
    """Those that ``known``, ``observed`` and ``counted`` tell; one that is left out has no value."""
    adopts: Sequence[OnEvent] = ()
    """What it brings back of its own events, when ``reconcile`` finds that a restore made it forget them."""
    kept: Sequence[Kept] = ()
    """What it forgets after a while, beside what every service does."""
    known: Callable[["Process"], Iterable[Observed]] | None = None
    """Values of its gauges that the process knows by itself, also while PostgreSQL is away."""
    observed: Callable[[Connection, "Process"], Awaitable[Iterable[Observed]]] | None = None
    """Those that are asked for whenever somebody reads the metrics, and so take milliseconds."""
    counted: Callable[[Connection, "Process"], Awaitable[Iterable[Observed]]] | None = None
    """Those that take longer the more there is: asked for beside, once in ``COUNTED_EVERY`` seconds at most."""
    prepare: Callable[["Process"], AbstractAsyncContextManager[Any]] | None = None
    """Makes what each process keeps in memory; handlers have it as ``tx.prepared``.

    Entered before the process joins its group and does due work, again and again while PostgreSQL is away; left after both.
    """

    def __post_init__(self) -> None:
        """Raises ValueError when the handlers are not those that the catalogue tells."""
        handled = Inbox(self.name, self.doors, _no_transaction, Metrics(self.name)).events
        wanted = {topic.event for topic in catalogue.consumed_by(self.name)}
        if self.name in catalogue.SERVICES and handled != wanted:
            difference = sorted(event.__name__ for event in handled ^ wanted)
            raise ValueError(f"{self.name} and the catalogue differ about who consumes {', '.join(difference)}")

    def command(self) -> typer.Typer:
        """The service's command line."""
        from chassis.commands import command_line

        return command_line(self)


def _no_transaction(cause: Cause) -> Any:
    raise RuntimeError("this inbox handles nothing")


class Process:
    """One running process of a service."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self.settings = settings
        self.clock: Clock = SteppedClock(settings.clock_file) if settings.clock_file else SystemClock()
        self.metrics = Metrics(service.name, service.counters, service.durations, service.gauges)
        self.pool: Pool = self._pool(settings.database_url, settings.pool_size)
        direct = settings.listen_database_url
        self._direct: Pool | None = self._pool(direct, LISTENERS) if direct else None
        """Where no pooler shares what listens; None where ``pool`` has none in between."""
        self.inbox = Inbox(service.name, service.doors, self.open_transaction, self.metrics)
        self.consumer = Consumer(
            service.name,
            self.inbox,
            settings.brokers,
            self.metrics,
            settings.group_session_timeout_ms,
        )
        keys = manifest_keys.read(settings.manifest_key) if settings.manifest_key else None
        own = (empty_log, search_log, retention.door(service.kept), *((manifests.door(keys),) if keys else ()))
        self._standing = (RETENTION, MANIFESTS) if keys else (RETENTION,)
        doors = (*service.doors, *own)
        self.due = DueWork(doors, self.pool, self.clock, self.open_transaction, self.metrics)
        self.relay = Relay(
            service.name,
            self.pool,
            settings.brokers,
            settings.lease_seconds,
            settings.relay_batch,
            self._log_has_grown,
            self._direct,
        )
        self.feed = Feed(service.name, self.pool, settings.feed_listeners, lambda: self.stopping, self._direct)
        self.stopping = False
        self.prepared: Any = None
        self._nudge = asyncio.Event()
        self._grown = asyncio.Event()
        self._requests = 0
        self._oldest_transaction = OldestTransaction()
        self._gauged: dict[str, list[Observed]] = {}
        """What the service's own gauges are, by who told it."""
        self._counting: asyncio.Task[None] | None = None
        self._counts_again_at = 0.0
        probes = health.Probes(
            missing_migrations=self.missing_migrations,
            stopping=lambda: self.stopping,
            prepared=lambda: self.service.prepare is None or self.prepared is not None,
            status=self.status,
            observe=self.observe,
            metrics=self.metrics,
        )
        self.app = http.application(
            service.name,
            (
                health.routes(probes),
                contract.routes,
                feed.routes,
                manifests.routes(f"sojourn/{service.name}", keys),
                service.routes,
            ),
            self.metrics,
            lifespan=self._lifespan,
            unlinked=service.unlinked,
            bounds=Bounds(settings.requests_per_client, settings.requests_at_once),
        )
        self.app.state.open_transaction = self.open_request
        self.app.state.keys = KeySource(settings.jwks)
        self.app.state.settings = settings
        self.app.state.feed = self.feed

    def _pool(self, url: SecretStr, size: int) -> Any:
        settings = self.settings
        return pool(
            url.get_secret_value(),
            self.service.name,
            size,
            settings.database_password_file,
            statements=settings.statement_cache_size,
        )

    @asynccontextmanager
    async def open_transaction(self, cause: Cause) -> AsyncGenerator[Transaction]:
        """Opens a transaction; after its commit, wakes who is to go on with what it left behind."""
        async with self.pool.acquire() as connection, connection.transaction():
            tx = Transaction(connection, self.service.name, self.clock.now(), cause, self.settings, self.prepared)
            yield tx
            await tx.flush()
        spans.committed()
        if tx.effects.events:
            self._nudge.set()
        if tx.effects.due:
            self.due.wake()
        for name, count in tx.effects.counts.items():
            self.metrics.count(name, count)
        for name, seconds in tx.effects.durations:
            self.metrics.lasted(name, seconds)

    @asynccontextmanager
    async def open_request(self, cause: Cause) -> AsyncGenerator[Transaction]:
        """The same for a request, which counts as work in flight."""
        self._requests += 1
        try:
            async with self.open_transaction(cause) as tx:
                yield tx
        finally:
            self._requests -= 1

    async def serve(self) -> None:
        """Serves until told to stop by a signal, and then ends cleanly: uvicorn raises the signal again once it has stopped."""
        _collect_less_often()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _ended_already)
        told = self.settings
        await _Server(self, serving(self.app, told.http_host, told.http_port, told.forwarded_allow_ips)).serve()

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncGenerator[None]:
        async with self.running():
            yield

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Runs the doors for events and time, and the relay, around the block."""
        telemetry.switch_on(self.service.name, self.settings)
        if MANIFESTS not in self._standing:
            logger.warning(
                "no manifests are issued, so nobody can prove to have missed nothing: MANIFEST_KEY is not set"
            )
        await self.pool
        if self._direct is not None:
            await self._direct
        kept = AsyncExitStack()
        tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("due", self._work(kept)),
                ("relay", self.relay.run()),
                ("nudges", self._pass_on_nudges()),
                ("growth", self._pass_on_growth()),
                ("standing", due.begin_when_possible(self.pool, self._standing)),
            )
        ]
        for task in tasks:
            task.add_done_callback(_name_a_failure)
        try:
            yield
        finally:
            self.stopping = True
            await self._stop(tasks, kept)

    @asynccontextmanager
    async def preparing(self) -> AsyncGenerator[None]:
        """Keeps around the block what the service prepares, if it does; raises what that raises."""
        if self.service.prepare is None:
            yield
            return
        async with self.service.prepare(self) as self.prepared:
            yield

    async def _work(self, kept: AsyncExitStack) -> None:
        """Joins the group and does due work, once all is prepared, for as long as that takes."""
        attempt = 0
        while self.service.prepare is not None and self.prepared is None and not self.stopping:
            try:
                await kept.enter_async_context(self.preparing())
            except Exception as error:
                attempt += 1
                logger.warning("not prepared yet", error=repr(error)[:300])
                await asyncio.sleep(backoff(attempt))
        if not self.stopping:
            self.consumer.start()
            await self.due.run()

    async def _stop(self, tasks: Sequence[asyncio.Task[None]], kept: AsyncExitStack) -> None:
        """Handlers first, the relay last, so that what they emit still has a chance to go out; with the requests, 15 s in all.

        What traces are left are exported last. What does not end is left behind: with Kafka or PostgreSQL silent, even what
        was cancelled waits for their answers.
        """
        began = time.monotonic()
        self.due.stop()
        leaving = asyncio.create_task(self.consumer.stop(), name="consumer")
        leaving.add_done_callback(_name_a_failure)
        await asyncio.wait((leaving,), timeout=5)
        self.relay.stop()
        working = [leaving, *(task for task in tasks if task.get_name() in ("due", "relay"))]
        _, slow = await asyncio.wait(working, timeout=3)
        beside = (leaving, *tasks, *((self._counting,) if self._counting else ()))
        for task in beside:
            task.cancel()
        await asyncio.wait(beside, timeout=1)
        await asyncio.wait((asyncio.create_task(kept.aclose()),), timeout=1)
        left = min(3.0, began + 10 - time.monotonic())
        await asyncio.gather(self._close_pool(), telemetry.switch_off(left))
        logger.info("stopped", unfinished=[task.get_name() for task in slow])

    async def _close_pool(self) -> None:
        pools = [self.pool] if self._direct is None else [self.pool, self._direct]
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(*(each.close() for each in pools))
        for each in pools:
            each.terminate()

    async def _pass_on_nudges(self) -> None:
        """Wakes the relay after commits: its own process's directly, another one's by NOTIFY, at most 200 times a second.

        Outside the transactions, since a NOTIFY at commit takes a lock that all commits share; the relay polls as well.
        """
        while True:
            await self._nudge.wait()
            self._nudge.clear()
            if self.relay.leading:
                self.relay.wake()
            else:
                await self._notify(channel(self.service.name))
                await asyncio.sleep(0.005)

    def _log_has_grown(self) -> None:
        self.feed.wake()
        self._grown.set()

    async def _pass_on_growth(self) -> None:
        """Tells the other processes' feeds what this one's relay moved to the log, at most 50 times a second."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            await self._notify(feed.channel(self.service.name))
            await asyncio.sleep(following.REST)

    async def _notify(self, channel: str) -> None:
        """Wakes who listens; if it cannot, they look by themselves after a while."""
        with suppress(Exception):
            await self.pool.execute("select pg_notify($1, '')", channel)

    async def missing_migrations(self) -> list[str]:
        """The migrations that this code needs and the database lacks."""
        async with self.pool.acquire() as connection:
            return await migrations.missing(connection, self.service.migrations)

    async def status(self) -> dict[str, Any]:
        """What is under way, for who steps the programme's clock; reading it takes note of the clock's step."""
        self.due.wake()
        async with self.pool.acquire() as connection:
            now = self.clock.now()
            works = await due.figures(connection, now)
            log = await connection.fetchrow(
                "select (select count(*) from outbox) as outbox, (select coalesce(max(position), 0) from event_log) as log_end,"
                " (select count(*) from dead_letter where state = 'dead') as dead_letters"
            )
        return {
            "service": self.service.name,
            "version": version(self.service.name),
            "clock": now,
            "due": {"ready": works["ready"], "next_at": works["next_at"], "backing_off": works["backing_off"]},
            "in_flight": self._requests + self.consumer.in_hand + self.due.in_hand,
            "done": self.consumer.done + self.due.done,
            "outbox": log["outbox"] if log else None,
            "log_end": log["log_end"] if log else None,
            "published": self.relay.published,
            "lag": await self.consumer.lag(),
            "dead_letters": log["dead_letters"] if log else None,
            "halted": self.halted,
        }

    @property
    def halted(self) -> bool:
        """A part of this process has stopped and waits for an operator; the log says which."""
        return self.consumer.halted or self.due.halted or self.relay.halted

    async def observe(self) -> None:
        """Brings the gauges up to date, when somebody reads them; those of Kafka also while PostgreSQL is away, and the reverse.

        Raises:
            Exception: what kept the others from it.
        """
        published = self.relay.published
        self.metrics.published_position(math.nan if published is None else published)
        self.metrics.halted(self.halted)
        try:
            failures = await asyncio.gather(self._observe_kafka(), self._observe_database(), return_exceptions=True)
        finally:
            if self.service.known is not None:
                self._gauged["known"] = list(self.service.known(self))
            self.metrics.observed(chain.from_iterable(self._gauged.values()))
        for failure in failures:
            if failure is not None:
                raise failure

    async def _observe_kafka(self) -> None:
        lag = await self.consumer.lag()
        self.metrics.consumer_lag(math.nan if lag is None else lag, self.consumer.seconds_behind(lag))

    async def _observe_database(self) -> None:
        async with self.pool.acquire() as connection:
            works = await due.figures(connection, self.clock.now())
            row = await connection.fetchrow(
                "select count(*) as size, coalesce(extract(epoch from clock_timestamp() - min(written_at)), 0)::float as age,"
                " (select coalesce(max(position), 0) from event_log) as log_end,"
                " (select count(*) from dead_letter where state = 'dead') as dead,"
                " (select count(*) from due where parked_at is not null) as parked from outbox"
            )
            self.metrics.oldest_transaction(await self._oldest_transaction.seconds(connection))
            self.metrics.due_late(works["late"])
            if row is not None:
                self.metrics.outbox(row["size"], max(row["age"], self.relay.seconds_unpublished))
                self.metrics.log_position(row["log_end"])
                self.metrics.dead_letters_open(row["dead"])
                self.metrics.due_parked(row["parked"])
            if self.service.observed is not None:
                self._gauged["observed"] = list(await self.service.observed(connection, self))
        await self._observe_counted()

    async def _observe_counted(self) -> None:
        """Begins to count, where it is time to; the first count is waited for, as long as who reads the metrics waits."""
        if self.service.counted is None:
            return
        if self._counting is None and time.monotonic() >= self._counts_again_at:
            self._counting = asyncio.create_task(self._count(self.service.counted), name="counting")
        if self._counting is not None and "counted" not in self._gauged:
            await asyncio.shield(self._counting)

    async def _count(self, ask: Callable[[Connection, "Process"], Awaitable[Iterable[Observed]]]) -> None:
        began = time.monotonic()
        try:
            async with self.pool.acquire() as connection:
                self._gauged["counted"] = list(await ask(connection, self))
        except Exception as error:
            logger.warning("gauges not counted", error=type(error).__name__)
        finally:
            self._counting = None
            self._counts_again_at = time.monotonic() + max(COUNTED_EVERY, 20 * (time.monotonic() - began))


class _Server(uvicorn.Server):
    """Says that the process is not ready from the signal on, before requests are drained."""

    def __init__(self, process: Process, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._process = process

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._process.stopping = True
        super().handle_exit(sig, frame)


def _collect_less_often() -> None:
    """What was imported and wired stays for good, and a request leaves few cycles: looking through all of it at Python's usual
    pace takes a fifth of the time of a busy process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _ended_already(number: int, frame: FrameType | None) -> None:
    """What is left to do on a signal that uvicorn has acted upon: nothing."""


def _name_a_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("a part of the process ended", part=task.get_name(), error=repr(error))
