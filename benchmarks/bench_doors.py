"""The doors for events and for time: events per second into the inbox with one upsert each, and due work per second.

Beside it, in the same run and in turn: a raw loop that reads the same records with aiokafka, decodes their JSON and upserts
them in one statement a batch, with no inbox, no validation and no guarantee; for due work, a raw ``delete ... returning``.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from backing import NO_MIGRATIONS, Backing, backing, company, report
from bench_relay import producer
from chassis.brokers import Brokers
from chassis.clock import SystemClock
from chassis.consumer import Consumer
from chassis.database import pool as database_pool
from chassis.doors import OnAllDue, OnDue, OnEvent, OnEvents, Received, Work
from chassis.due import DueWork
from chassis.inbox import Inbox
from chassis.metrics import Metrics
from chassis.transaction import Cause, OpenTransaction, Transaction
from sojourn_contracts import envelope
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.envelope import Envelope
from uuid_utils.compat import uuid7

EVENTS = int(os.environ.get("EVENTS", "30000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SERVICE = "survey"
TOPIC = CompanyRegistered.topic()

UPSERT = (
    "insert into seen (company_id, revision, payload) select * from unnest($1::uuid[], $2::int[], $3::text[])"
    " on conflict (company_id) do update set revision = excluded.revision, payload = excluded.payload"
    " where seen.revision < excluded.revision"
)


async def each(event: CompanyRegistered, tx: Transaction) -> None:
    await tx.connection.execute(UPSERT, [event.company_id], [event.revision], [event.model_dump_json()])


async def together(received: Sequence[Received[CompanyRegistered]]) -> None:
    events = [one.event for one in received]
    await received[0].tx.connection.execute(
        UPSERT,
        [event.company_id for event in events],
        [event.revision for event in events],
        [event.model_dump_json() for event in events],
    )


async def fill(bootstrap: str) -> None:
    """Puts the events on the topic, each about a company of its own."""
    sender = producer(bootstrap)
    await sender.start()
    now = datetime.now(UTC)
    sent = []
    for sequence in range(EVENTS):
        event = company()
        key, value, headers = envelope.encode(
            Envelope(uuid7(), "sojourn/registration", CompanyRegistered, event.company_id, now, event, sequence)
        )
        sent.append(await sender.send(TOPIC, value=value, key=key, headers=headers))
    for delivery in sent:
        await delivery
    await sender.stop()


def transactions(pool: asyncpg.Pool) -> OpenTransaction:
    """Opens transactions as a service's process does."""

    @asynccontextmanager
    async def open_transaction(cause: Cause) -> AsyncGenerator[Transaction]:
        async with pool.acquire() as connection, connection.transaction():
            tx = Transaction(connection, SERVICE, datetime.now(UTC), cause)
            yield tx
            await tx.flush()

    return open_transaction


async def from_the_start(bootstrap: str) -> None:
    """Sets the group back to the first record."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=SERVICE, enable_auto_commit=False)
    await reader.start()
    places = [TopicPartition(TOPIC, partition) for partition in range(6)]
    reader.assign(places)
    await reader.commit(dict.fromkeys(places, 0))
    await reader.stop()


async def consumed(at: Backing, url: str, door: OnEvent | OnEvents) -> float:
    """Events per second, from the first ones in hand to the last one handled."""
    await from_the_start(at.bootstrap)
    async with database_pool(url, SERVICE, 5) as pool:
        metrics = Metrics(SERVICE)
        inbox = Inbox(SERVICE, [door], transactions(pool), metrics)
        consumer = Consumer(SERVICE, inbox, Brokers(at.bootstrap), metrics, 10_000)
        consumer.start()
        try:
            return await _rate(consumer)
        finally:
            await consumer.stop()


async def _rate(consumer: Consumer) -> float:
    while not consumer.in_hand and not consumer.done:
        await asyncio.sleep(0.002)
    first, began = consumer.done, time.perf_counter()
    while consumer.done < EVENTS:
        await asyncio.sleep(0.002)
    return (EVENTS - first) / max(time.perf_counter() - began, 1e-6)


async def raw_consumed(at: Backing, url: str, group: int) -> float:
    reader = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=at.bootstrap, group_id=f"raw-{group}", auto_offset_reset="earliest",
        enable_auto_commit=False, isolation_level="read_committed", max_partition_fetch_bytes=4 * 1024 * 1024,
    )  # fmt: skip
    await reader.start()
    done, began = 0, 0.0
    async with database_pool(url, SERVICE, 2) as pool:
        while done < EVENTS:
            batch = await reader.getmany(timeout_ms=1000, max_records=4000)
            records = [record for found in batch.values() for record in found]
            if not records:
                continue
            began = began or time.perf_counter()
            values = [json.loads(record.value or b"") for record in records]
            await pool.execute(
                UPSERT,
                [UUID(value["company_id"]) for value in values],
                [value["revision"] for value in values],
                [(record.value or b"").decode() for record in records],
            )
            await reader.commit()
            done += len(records)
    seconds = time.perf_counter() - began
    await reader.stop()
    return EVENTS / max(seconds, 1e-6)


async def due_done(url: str, owner: asyncpg.Connection, door: OnDue | OnAllDue) -> float:
    """Works per second, each with one upsert."""
    await _plan(owner)
    async with database_pool(url, SERVICE, 5) as pool:
        clock = SystemClock()
        work = DueWork([door], pool, clock, transactions(pool), Metrics(SERVICE))
        began = time.perf_counter()
        done = 0
        while done < EVENTS:
            done += await work.round()
        return EVENTS / (time.perf_counter() - began)


async def raw_due(url: str, owner: asyncpg.Connection) -> float:
    await _plan(owner)
    async with database_pool(url, SERVICE, 2) as pool:
        began, done = time.perf_counter(), 0
        while done < EVENTS:
            async with pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(
                    "delete from due where id in (select id from due where at <= now() order by at, kind, subject"
                    " for update skip locked limit 500) returning subject"
                )
                subjects = [UUID(row["subject"]) for row in rows]
                await connection.execute(UPSERT, subjects, [1] * len(rows), ["{}"] * len(rows))
            done += len(rows)
        return EVENTS / (time.perf_counter() - began)


async def _plan(owner: asyncpg.Connection) -> None:
    await owner.execute("truncate due, seen")
    await owner.execute(
        "insert into due (id, kind, subject, at, data) select gen_random_uuid(), 'bench', gen_random_uuid()::text, now(), '{}'"
        " from generate_series(1, $1)",
        EVENTS,
    )


async def due_together(works: Sequence[tuple[Work, Transaction]]) -> None:
    subjects = [UUID(work.subject) for work, _ in works]
    await works[0][1].connection.execute(UPSERT, subjects, [1] * len(works), ["{}"] * len(works))


async def due_each(work: Work, tx: Transaction) -> None:
    await tx.connection.execute(UPSERT, [UUID(work.subject)], [1], ["{}"])


async def main() -> None:
    async with backing() as at:
        url = await at.migrated(SERVICE, NO_MIGRATIONS)
        owner = await asyncpg.connect(at.database.migrator_url, server_settings={"search_path": SERVICE})
        await owner.execute(
            "create table seen (company_id uuid primary key, revision int not null, payload text not null)"
        )
        await fill(at.bootstrap)
        figures: dict[str, list[float]] = {
            name: [] for name in ("each", "together", "raw", "due", "due_each", "raw_due")
        }
        for round_ in range(ROUNDS):
            await owner.execute("truncate seen, inbox")
            figures["each"].append(await consumed(at, url, OnEvent(CompanyRegistered, each)))
            await owner.execute("truncate seen, inbox")
            figures["together"].append(await consumed(at, url, OnEvents(CompanyRegistered, together)))
            await owner.execute("truncate seen, inbox")
            figures["raw"].append(await raw_consumed(at, url, round_))
            figures["due"].append(await due_done(url, owner, OnAllDue("bench", due_together)))
            figures["due_each"].append(await due_done(url, owner, OnDue("bench", due_each)))
            figures["raw_due"].append(await raw_due(url, owner))
        await owner.close()
    of = {name: statistics.median(values) for name, values in figures.items()}
    report(
        "consumer",
        {
            "events": EVENTS, "per_event_per_s": of["each"], "target_per_event_per_s": 3000,
            "set_based_per_s": of["together"], "target_set_based_per_s": 12000, "raw_per_s": of["raw"],
            "per_event_to_raw": of["each"] / of["raw"], "set_based_to_raw": of["together"] / of["raw"],
        },
    )  # fmt: skip
    report(
        "due",
        {
            "works": EVENTS, "set_based_per_s": of["due"], "target_set_based_per_s": 3000, "per_work_per_s": of["due_each"],
            "raw_per_s": of["raw_due"], "set_based_to_raw": of["due"] / of["raw_due"],
        },
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
