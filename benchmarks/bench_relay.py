"""The relay: how fast it drains a backlog beside plain aiokafka, and how long an event takes from commit to consumer.

Beside it, in the same run and in turn: an idempotent aiokafka producer that sends the same records from memory (drain), and a
plain relay that reads, sends and deletes without Kafka transactions, log or lease (latency).
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from backing import NO_MIGRATIONS, Backing, backing, company, percentile, postgres_cpu_seconds, report
from chassis.brokers import Brokers
from chassis.database import pool as database_pool
from chassis.outbox import entry, write
from chassis.relay import Relay
from chassis.transaction import Cause
from sojourn_contracts.company import CompanyRegistered
from uuid_utils.compat import uuid7

from chassis import relay

EVENTS = int(os.environ.get("EVENTS", "100000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = int(os.environ.get("SECONDS", "10"))
RATE = 1_000
TOPIC = CompanyRegistered.topic()

FILL = """
insert into outbox (event_id, topic, type, dataschema, subject, time, data, correlation_id, causation_id, traceparent)
select gen_random_uuid(), topic, type, dataschema, gen_random_uuid(), time, data, correlation_id, causation_id, traceparent
from outbox_sample, generate_series(1, $1)
"""


def producer(bootstrap: str, **more: Any) -> AIOKafkaProducer:
    """With the relay's settings, but for the transactions."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        max_request_size=1_050_000,
        max_batch_size=256_000,
        retry_backoff_ms=3,
        linger_ms=0,
        **more,
    )


ELSE = "someone-else"
"""As long a name as ours: what stands under ours on a topic and not in the log would stop the relay."""


async def raw_drain(bootstrap: str, row: asyncpg.Record) -> float:
    """Events per second of plain aiokafka, with the same keys, values and headers."""
    sender = producer(bootstrap)
    await sender.start()
    try:
        _, value, headers = relay.record(ELSE, row)
        keys = [str(uuid7()).encode() for _ in range(EVENTS)]
        began = time.perf_counter()
        for first in range(0, EVENTS, relay.BATCH):
            sent = [
                await sender.send(TOPIC, value=value, key=key, headers=headers)
                for key in keys[first : first + relay.BATCH]
            ]
            for delivery in sent:
                await delivery
        return EVENTS / (time.perf_counter() - began)
    finally:
        await sender.stop()


async def relay_drain(at: Backing, url: str) -> tuple[float, float, float]:
    """Events per second of the relay, and CPU seconds of it and of PostgreSQL per 100,000 events."""
    async with database_pool(url, "registration", 10) as pool:
        filled = await pool.fetchval("select coalesce(max(position), 0) from event_log")
        await pool.execute(FILL, EVENTS, timeout=300)
        one = Relay("registration", pool, Brokers(at.bootstrap), lease_seconds=5)
        began, cpu, database_cpu = time.perf_counter(), time.process_time(), postgres_cpu_seconds()
        running = asyncio.create_task(one.run())
        while one.published is None and not running.done():
            await asyncio.sleep(0.001)
        began = time.perf_counter()
        while (one.published or 0) < filled + EVENTS:
            if running.done():
                running.result()
                raise RuntimeError("the relay has stopped")
            await asyncio.sleep(0.005)
        seconds = time.perf_counter() - began
        spent, database_spent = time.process_time() - cpu, postgres_cpu_seconds() - database_cpu
        one.stop()
        await running
    return EVENTS / seconds, spent * 100_000 / EVENTS, database_spent * 100_000 / EVENTS


async def plain_relay(pool: asyncpg.Pool, bootstrap: str, woken: asyncio.Event) -> None:
    """Reads, sends, deletes: at least once, in order, nothing else."""
    sender = producer(bootstrap)
    await sender.start()
    try:
        while True:
            woken.clear()
            async with pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(
                    "select id as position, 1 as generation, topic, id as sequence, event_id, type, dataschema, subject::text,"
                    " time, data, correlation_id, causation_id, traceparent from outbox order by id limit 2000"
                    " for update skip locked"
                )
                if rows:
                    sent = []
                    for row in rows:
                        key, value, headers = relay.record(ELSE, row)
                        sent.append(await sender.send(TOPIC, value=value, key=key, headers=headers))
                    for delivery in sent:
                        await delivery
                    await connection.execute("delete from outbox where id = any($1)", [row["position"] for row in rows])
            if not rows:
                with suppress(TimeoutError):
                    async with asyncio.timeout(relay.POLL):
                        await woken.wait()
    finally:
        await sender.stop()


async def latencies(
    at: Backing, url: str, start: Callable[[asyncpg.Pool, asyncio.Event], Awaitable[None]]
) -> list[float]:
    """Milliseconds from after the commit to the consumer, at 1,000 events a second in transactions of five."""
    async with database_pool(url, "registration", 10) as pool:
        woken = asyncio.Event()
        running = asyncio.create_task(start(pool, woken))  # type: ignore[arg-type]
        reader = AIOKafkaConsumer(
            bootstrap_servers=at.bootstrap, isolation_level="read_committed", fetch_max_wait_ms=100
        )
        await reader.start()
        reader.assign([TopicPartition(TOPIC, partition) for partition in range(6)])
        await reader.seek_to_end()
        for place in reader.assignment():
            await reader.position(place)
        committed: dict[str, float] = {}
        took: list[float] = []
        writing = asyncio.create_task(_write(pool, woken, committed))
        try:
            while len(took) < RATE * SECONDS:
                async with asyncio.timeout(30):
                    batch = await reader.getmany(timeout_ms=1000)
                now = time.perf_counter()
                for record in (record for records in batch.values() for record in records):
                    key = (record.key or b"").decode()
                    # an event may be read before its writer is scheduled again: that is 0 ms
                    took.append((now - committed.get(key, now)) * 1000)
        finally:
            await reader.stop()
            await writing
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return took[RATE:]


async def _write(pool: asyncpg.Pool, woken: asyncio.Event, committed: dict[str, float]) -> None:
    began = time.perf_counter()
    for step in range(RATE * SECONDS // 5):
        events = [company() for _ in range(5)]
        async with pool.acquire() as connection, connection.transaction():
            await write(connection, [entry("registration", event, uuid7(), event_time(), Cause()) for event in events])
        at = time.perf_counter()
        committed.update((str(event.company_id), at) for event in events)
        woken.set()
        await asyncio.sleep(max(0.0, began + step * 5 / RATE - time.perf_counter()))


def event_time() -> datetime:
    return datetime.now(UTC)


async def main() -> None:
    async with backing() as at:
        url = await at.migrated("registration", NO_MIGRATIONS)
        owner = await asyncpg.connect(at.database.migrator_url, server_settings={"search_path": "registration"})
        async with database_pool(url, "registration", 2) as pool:
            await write(pool, [entry("registration", company(), uuid7(), event_time(), Cause("c", "c"))])
            row = await pool.fetchrow(
                "select 1::bigint as position, 1 as generation, 1::bigint as sequence, event_id, topic, type, dataschema,"
                " subject::text, time, data, correlation_id, causation_id, traceparent from outbox"
            )
        await owner.execute("create table outbox_sample as select * from outbox; truncate outbox")

        raw: list[float] = []
        ours: list[tuple[float, float, float]] = []
        for _ in range(ROUNDS):
            raw.append(await raw_drain(at.bootstrap, row))
            ours.append(await relay_drain(at, url))
        ratios = [one[0] / other for one, other in zip(ours, raw, strict=True)]
        report(
            "relay_drain",
            {
                "events": EVENTS,
                "relay_per_s": statistics.median(one[0] for one in ours),
                "raw_aiokafka_per_s": statistics.median(raw),
                "ratio": statistics.median(ratios),
                "target_ratio": 0.45,
                "relay_cpu_s_per_100k": statistics.median(one[1] for one in ours),
                "postgres_cpu_s_per_100k": statistics.median(one[2] for one in ours),
            },
        )

        async def with_relay(pool: asyncpg.Pool, woken: asyncio.Event) -> None:
            one = Relay("registration", pool, Brokers(at.bootstrap), lease_seconds=5)
            woken.set = one.wake  # type: ignore[method-assign]
            await one.run()

        async def with_plain(pool: asyncpg.Pool, woken: asyncio.Event) -> None:
            await plain_relay(pool, at.bootstrap, woken)

        figures: dict[str, list[float]] = {"relay": [], "plain": []}
        p50: list[float] = []
        p99: list[float] = []
        for _ in range(ROUNDS):
            plain = await latencies(at, url, with_plain)
            full = await latencies(at, url, with_relay)
            figures["plain"] += plain
            figures["relay"] += full
            p50.append(percentile(full, 0.5) / percentile(plain, 0.5))
            p99.append(percentile(full, 0.99) / percentile(plain, 0.99))
        await owner.close()
        report(
            "relay_latency",
            {
                "events_per_s": RATE,
                "p50_ms": percentile(figures["relay"], 0.5),
                "p99_ms": percentile(figures["relay"], 0.99),
                "plain_p50_ms": percentile(figures["plain"], 0.5),
                "plain_p99_ms": percentile(figures["plain"], 0.99),
                "p50_ratio": statistics.median(p50),
                "p99_ratio": statistics.median(p99),
                "target_ratio": 4.0,
            },
        )


if __name__ == "__main__":
    asyncio.run(main())
