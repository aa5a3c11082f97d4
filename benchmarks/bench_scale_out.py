"""Each consumer goes from one process to three and back to one, under a steady load: is every event processed once, and for how
long does each rebalance stop its consumer?

Real Kafka, real PostgreSQL, the services as they are started everywhere, all four at once. ``pause`` is how long an event
waited at most, from its sending until the database took its id as handled: so long did its partition stand still.
``standstill`` is the longest time in which no process of the group handled anything, less the time between two events of the
load. Beside both, from the same run, the same of a time in which nothing was scaled.

An event was processed once if its id is in the inbox and the row that its handler writes was written as often as everybody
else's; what is missing, more than that, or dead is counted.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from backing import company, report
from bench_relay import producer
from laptop.system import System
from sojourn_contracts import envelope
from sojourn_contracts.catalogue import SERVICES
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.event import Event
from sojourn_contracts.notice import NoticeDue
from uuid_utils.compat import uuid7

RATE = float(os.environ.get("RATE", "100"))
"""Events a second, of each of the two kinds."""
REPLICAS = int(os.environ.get("REPLICAS", "3"))
STEADY = float(os.environ.get("STEADY", "5"))
"""Seconds in which nothing is scaled, before each service and between its two changes."""
PATIENCE = 180.0
TARGET_PAUSE_S = 5.0
WRITTEN = {
    "registration": ("notice", "notice_id"),
    "matching": ("companies", "company_id"),
    "exchange": ("company", "company_id"),
    "survey": ("company", "company_id"),
}
"""By service: the table that has a row for each event's subject."""


@dataclass
class Load:
    """What was sent: the ids of the events by their subjects, and when; of companies, and of notices."""

    companies: dict[UUID, UUID] = field(default_factory=dict)
    notices: dict[UUID, UUID] = field(default_factory=dict)
    sent_at: dict[UUID, float] = field(default_factory=dict)

    def of(self, service: str) -> dict[UUID, UUID]:
        return self.notices if service == "registration" else self.companies


def notice() -> NoticeDue:
    """To nobody that registration knows: it is taken note of, and no mail is written."""
    said = {
        **{"exchange_id": str(uuid7()), "side": "sender", "country": "DE", "learns_1": "welding", "gains_1": "baking"},
        **{"language": "en", "language_level": "B2", "window_first": "2026-05-01", "window_last": "2026-08-31"},
        **{"min_days": "14", "max_days": "30", "answer_by": "2026-03-09T12:00:00+00:00"},
    }
    return NoticeDue(notice_id=uuid7(), recipient_id=uuid7(), template="match_proposed", parameters=said)


@asynccontextmanager
async def loading(bootstrap: str, load: Load) -> AsyncGenerator[None]:
    """Sends at a steady rate around the block; all is sent when it is over."""
    sender = producer(bootstrap)
    await sender.start()

    async def send(event: Event, source: str, told: dict[UUID, UUID]) -> None:
        event_id, now = uuid7(), datetime.now(UTC)
        key, value, headers = envelope.encode(
            Envelope(event_id, f"sojourn/{source}", type(event), event.subject, now, event, len(told) + 1)
        )
        told[event.subject], load.sent_at[event_id] = event_id, time.time()
        await sender.send(event.topic(), value=value, key=key, headers=headers)

    async def send_on() -> None:
        began, number = time.monotonic(), 0
        while True:
            await send(company(), "registration", load.companies)
            await send(notice(), "exchange", load.notices)
            number += 1
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))

    sending = asyncio.create_task(send_on())
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await sender.stop()


async def joined(bootstrap: str, group: str, members: int) -> None:
    """Waits until the group is stable with so many."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(KafkaError):
                    [answer] = await admin.describe_consumer_groups([group])
                    _, _, state, _, _, found, *_ = answer.groups[0]
                    if state == "Stable" and len(found) == members:
                        return
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def level(connection: asyncpg.Connection, service: str, load: Load) -> None:
    """Waits until the service has handled all that was sent by now."""
    sent = list(load.of(service).values())
    async with asyncio.timeout(PATIENCE):
        while await handled(connection, service, sent) < len(sent):
            await asyncio.sleep(0.2)


async def handled(connection: asyncpg.Connection, service: str, sent: list[UUID]) -> int:
    return await connection.fetchval(f"select count(*) from {service}.inbox where event_id = any($1)", sent)


async def halts(connection: asyncpg.Connection, service: str, load: Load, since: float) -> dict[str, float]:
    """The longest that an event waited, and the longest time without one, of those that were handled since then."""
    rows = await connection.fetch(
        f"select event_id, extract(epoch from handled_at)::float as at from {service}.inbox"
        " where handled_at >= to_timestamp($1) order by handled_at",
        since,
    )
    times = [row["at"] for row in rows]
    gaps = [after - before for before, after in pairwise(times)]
    waits = [row["at"] - load.sent_at[row["event_id"]] for row in rows if row["event_id"] in load.sent_at]
    return {"pause_s": max(waits), "standstill_s": max(0.0, max(gaps) - 1 / RATE)}


async def count_writes(owner: asyncpg.Connection) -> None:
    """Has the database note each write of a row that an event's handler makes, in the transaction that makes it."""
    await owner.execute("create schema bench; create table bench.written (service text, subject uuid)")
    for service, (table, key) in WRITTEN.items():
        await owner.execute(
            f"create function bench.note_{service}() returns trigger language plpgsql security definer as"
            f" $$ begin insert into bench.written values ('{service}', new.{key}); return null; end $$;"
            f" create trigger bench after insert or update on {service}.{table}"
            f" for each row execute function bench.note_{service}()"
        )


async def wrong(owner: asyncpg.Connection, service: str, load: Load) -> dict[str, int]:
    """How many events were not processed, and how many more than once; how many are dead."""
    told = load.of(service)
    times = dict(
        await owner.fetch(
            "select subject, count(*) from bench.written where service = $1 and subject = any($2) group by subject",
            service,
            list(told),
        )
    )
    once = min(times.values())
    known = await handled(owner, service, list(told.values()))
    return {
        "lost": max(len(told) - known, len(told) - len(times)),
        "repeated": sum(count > once for count in times.values()),
        "dead": await owner.fetchval(f"select count(*) from {service}.dead_letter"),
    }


async def scaled(system: System, owner: asyncpg.Connection, service: str, load: Load) -> dict[str, float]:
    """Out and back; what each of both cost, and what a time without any did."""
    found: dict[str, float] = {}
    began = time.time()
    await asyncio.sleep(STEADY)
    await level(owner, service, load)
    found |= {f"{service}_steady_{name}": value for name, value in (await halts(owner, service, load, began)).items()}
    for way, replicas in (("out", REPLICAS), ("back", 1)):
        began = time.time()
        await system.scale(service, replicas)
        await joined(system.kafka, service, replicas)
        await level(owner, service, load)
        await asyncio.sleep(1)
        found |= {
            f"{service}_{way}_{name}": value for name, value in (await halts(owner, service, load, began)).items()
        }
        if way == "out":
            await asyncio.sleep(STEADY)
    return found


async def main() -> None:
    load, found = Load(), dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        environment = {"LOG_LEVEL": "warning", "PLANNER_TICK_HOURS": "24", "POOL_SIZE": "5"}
        async with System(folder, environment=environment, services=SERVICES) as system:
            owner = await asyncpg.connect(system.database.owner_url)
            await count_writes(owner)
            async with loading(system.kafka, load):
                for service in SERVICES:
                    found |= await scaled(system, owner, service, load)
            for service in SERVICES:
                await level(owner, service, load)
            broken = [await wrong(owner, service, load) for service in SERVICES]
            await owner.close()
    pauses = {way: max(found[f"{service}_{way}_pause_s"] for service in SERVICES) for way in ("steady", "out", "back")}
    report(
        "scale_out",
        {
            "replicas": REPLICAS, "events": len(load.companies) * 3 + len(load.notices), "events_per_s": RATE,
            **{kind: sum(each[kind] for each in broken) for kind in ("lost", "repeated", "dead")},
            **{f"longest_{way}_pause_s": pause for way, pause in pauses.items()}, "target_pause_s": TARGET_PAUSE_S,
            **found,
        },
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
