"""Drives one service without Kafka: events through its inbox, work as it falls due, and HTTP, on a real database."""

import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
from chassis.identity import Caller, Role
from chassis.inbox import Arrival, arrival
from chassis.service import Process, Service
from joserfc.jwk import OKPKey
from sojourn_contracts import catalogue, envelope
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.event import Event
from sojourn_contracts.notice import NoticeDue
from uuid_utils.compat import uuid7

from chassis import identity

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Record:
    """What Kafka would hand to the consumer."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_700_000_000_000


def record(event: Event | type[Event], subject: UUID | None = None, *, event_id: UUID | None = None) -> Record:
    """The record of an event; of its tombstone for ``subject`` if only the event's class is given."""
    kind = event if isinstance(event, type) else type(event)
    data = None if isinstance(event, type) else event
    about = subject or (data.subject if data else uuid7())
    producer = catalogue.BY_NAME[kind.__name__].producers[0]
    key, value, headers = envelope.encode(
        Envelope(event_id or uuid7(), f"sojourn/{producer}", kind, about, NOON, data, sequence=1, correlation_id="c-1")
    )
    return Record(kind.topic(), key, value, headers)


class SetClock:
    """Programme time as a test sets it."""

    def __init__(self) -> None:
        self._now = NOON

    def now(self) -> datetime:
        return self._now

    def now_is(self, now: datetime) -> None:
        self._now = now


class Driver:
    """One service's process whose doors a test opens by hand."""

    def __init__(self, process: Process, clock: SetClock, key: OKPKey, http: httpx.AsyncClient) -> None:
        self.process = process
        self.clock = clock
        self.http = http
        self._key = key

    async def handle(self, *events: Event, event_id: UUID | None = None) -> None:
        """Handles each event in a transaction of its own; raises what its handler raises."""
        for event in events:
            await self.process.inbox.handle([arrival(record(event, event_id=event_id))])

    async def handle_together(self, *events: Event) -> None:
        """Handles the events as one batch."""
        await self.process.inbox.handle([arrival(record(event)) for event in events])

    async def erase(self, event: type[Event], subject: UUID) -> None:
        """Handles a tombstone."""
        await self.process.inbox.handle([arrival(record(event, subject))])

    async def deliver(self, *arrivals: Arrival) -> None:
        await self.process.inbox.handle(arrivals)

    async def run_due(self, now: datetime | None = None) -> None:
        """Does what is due now, and what that makes due, until nothing is."""
        if now is not None:
            self.clock.now_is(now)
        while await self.process.due.round():
            pass

    async def emitted(self) -> list[Event]:
        """The events that were emitted so far, in order; tombstones left out, and what ``notices`` gives."""
        return [event for event in await self._outbox() if not isinstance(event, NoticeDue)]

    async def notices(self) -> list[NoticeDue]:
        """The notices that were asked for so far, in order."""
        return [event for event in await self._outbox() if isinstance(event, NoticeDue)]

    async def _outbox(self) -> list[Event]:
        rows = await self.rows("select type, data from outbox where data is not null order by id")
        return [
            catalogue.BY_NAME[row["type"].rpartition(".v")[0]].event.model_validate_json(row["data"]) for row in rows
        ]

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self.process.pool.acquire() as connection:
            return await connection.fetch(query, *arguments)

    def token(
        self,
        role: Role | str,
        company_id: UUID | None = None,
        person_id: UUID | None = None,
        country: str | None = None,
        scopes: Iterable[str] = (),
    ) -> dict[str, str]:
        """The header that says who is calling."""
        about = company_id, person_id, country
        caller = Caller(Role(role), str(person_id or company_id or role), *about, scopes=frozenset(scopes))
        return {"Authorization": f"Bearer {identity.issue(self._key, caller, timedelta(hours=1))}"}


@asynccontextmanager
async def driving(service: Service, url: str, folder: Path, **settings: object) -> AsyncGenerator[Driver]:
    """A driver of the service on a migrated database; further settings by their field names."""
    key = OKPKey.generate_key("Ed25519", {"kid": "test"})
    keys = folder / f"jwks-{uuid7()}.json"
    keys.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    private = folder / f"key-{uuid7()}.json"
    private.write_text(json.dumps(key.as_dict(private=True)))
    if "signing_key" in service.settings.model_fields:
        settings.setdefault("signing_key", private)
    found = service.settings.model_validate(
        {"database_url": url, "kafka_bootstrap_servers": "127.0.0.1:1", "jwks": str(keys), **settings}
    )
    process = Process(service, found)
    clock = SetClock()
    process.clock = clock
    process.due.clock = clock
    async with process.pool, process.preparing():
        transport = httpx.ASGITransport(process.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
            yield Driver(process, clock, key, http)
