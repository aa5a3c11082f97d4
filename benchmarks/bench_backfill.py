"""Coming late: the present state of 100,000 companies from the compacted topics, beside a plain aiokafka read of the same bytes.

In turn, in one run, with the same settings. The companies are registered with a placement and an offer each; one in five changed,
one in a hundred was erased. The topics hold what compaction leaves: one record per key.
"""

import asyncio
import gc
import os
import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from backing import report
from laptop.kafka import Kafka
from laptop.topics import create_topics
from sojourn_contracts import envelope
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.event import Event
from sojourn_contracts.kit.backfill import FETCH_BYTES, Backfill
from sojourn_contracts.kit.history import NOON, history
from uuid_utils.compat import uuid7

COMPANIES = int(os.environ.get("COMPANIES", "100000"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
TOPICS = (CompanyRegistered.topic(), CompanyUpdated.topic())
BATCH = 2_000


def _a_company() -> CompanyRegistered:
    """With what it sends and what it hosts."""
    sends, hosts = history([CompanyRegistered.topic()])[:2]
    offers = CompanyRegistered.model_validate_json(hosts.value or b"").offers
    return CompanyRegistered.model_validate_json(sends.value or b"").model_copy(update={"offers": offers})


def _records() -> list[tuple[str, bytes, bytes | None, list[tuple[str, bytes]]]]:
    """Topic, key, value and headers."""
    company = _a_company()
    value = company.model_dump_json().encode()
    changed = value.replace(b'"revision":1', b'"revision":2')
    ids = [uuid7() for _ in range(COMPANIES)]

    def made(kind: type[Event], place: int, id_: UUID, data: bytes | None) -> tuple[str, bytes, bytes | None, list]:
        about = Envelope(uuid7(), "sojourn/registration", kind, id_, NOON, None, place + 1, correlation_id=str(id_))
        key, _, headers = envelope.encode(about)
        return kind.topic(), key, data and data.replace(str(company.company_id).encode(), key), headers

    return [
        *(made(CompanyRegistered, place, id_, value) for place, id_ in enumerate(ids)),
        *(made(CompanyUpdated, place, id_, None if place % 20 == 0 else changed) for place, id_ in enumerate(ids[::5])),
    ]


async def produce(bootstrap: str) -> int:
    """Returns how many bytes the values have."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=256_000, linger_ms=5)
    await producer.start()
    try:
        records = _records()
        for first in range(0, len(records), BATCH):
            sent = [
                await producer.send(topic, value=value, key=key, headers=headers)
                for topic, key, value, headers in records[first : first + BATCH]
            ]
            for each in sent:
                await each
    finally:
        await producer.stop()
    return sum(len(value or b"") for _, _, value, _ in records)


async def plain(bootstrap: str) -> tuple[float, int]:
    """Seconds and records of reading all that is there, and doing nothing with it."""
    began, records = time.perf_counter(), 0
    consumer = AIOKafkaConsumer(
        *TOPICS,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await consumer.start()
    try:
        places = list(consumer.assignment())
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            records += sum(map(len, (await consumer.getmany(timeout_ms=50)).values()))
    finally:
        await consumer.stop()
    return time.perf_counter() - began, records


async def backfill(bootstrap: str) -> tuple[float, int]:
    """Seconds until the present state is known, and of how many companies."""
    began = time.perf_counter()
    async with Backfill({"bootstrap_servers": bootstrap}, TOPICS) as reading:
        companies = len(await reading.catch_up())
    return time.perf_counter() - began, companies


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        kafka = Kafka(Path(name) / "kafka", java_options=("-Xmx512m",))
        try:
            await kafka.start()
            await create_topics(kafka.bootstrap)
            size = await produce(kafka.bootstrap)
            await plain(kafka.bootstrap)  # compiles the broker's reading, fills the page cache
            seconds: dict[str, list[float]] = {"plain": [], "backfill": []}
            found = {"plain": 0, "backfill": 0}
            for _ in range(ROUNDS):
                for which, read in (("plain", plain), ("backfill", backfill)):
                    gc.collect()
                    took, found[which] = await read(kafka.bootstrap)
                    seconds[which].append(took)
        finally:
            await kafka.stop()
    if found != {"plain": COMPANIES * 6 // 5, "backfill": COMPANIES - COMPANIES // 100}:
        raise RuntimeError(f"not all was read: {found}")
    ratios = [late / read for late, read in zip(seconds["backfill"], seconds["plain"], strict=True)]
    report(
        "backfill",
        {
            "companies": COMPANIES,
            "megabytes": size / 1e6,
            "plain_s": statistics.median(seconds["plain"]),
            "backfill_s": statistics.median(seconds["backfill"]),
            "ratio": statistics.median(ratios),
            "worst_ratio": max(ratios),
        },
    )


if __name__ == "__main__":
    asyncio.run(main())
