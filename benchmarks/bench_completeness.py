"""Proving that nothing is missing beside plain reading: the same records of a real topic, in turn and in the same run.

Reading is aiokafka alone, which hands out records. Verifying reads them the same way, takes each of them, and then compares
them with the manifests of some hours: signatures, chain, gaps and digests. What verifying adds is told by itself, too.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from backing import backing, company, report
from chassis.manifests import signed
from joserfc.jwk import OKPKey
from sojourn_contracts import envelope
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.completeness import Received, verify
from sojourn_contracts.manifest import HOUR, Jwk, ManifestIssued, trusted_keys

EVENTS = int(os.environ.get("EVENTS", "1000000"))
HOURS = int(os.environ.get("HOURS", "100"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SIZE = int(os.environ.get("SIZE", "600"))
"""Bytes of an event's JSON."""
TOPIC, SOURCE = CompanyRegistered.topic(), "sojourn/registration"
TARGET = 1.5
BEGAN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOURS * HOUR


async def filled(bootstrap: str) -> list[UUID]:
    """The ids of the events that were put on the topic, in their order."""
    value = company(size=SIZE).model_dump_json().encode()
    ids = [uuid4() for _ in range(EVENTS)]
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5, max_batch_size=500_000
    ) as producer:
        for first in range(0, EVENTS, 5_000):
            sent = [
                await producer.send(TOPIC, value, subject.encode(), headers=_headers(id_, subject, number))
                for number, id_ in enumerate(ids[first : first + 5_000], first + 1)
                for subject in (str(UUID(int=number * 7919)),)
            ]
            await asyncio.gather(*sent)
    return ids


def _headers(id_: UUID, subject: str, sequence: int) -> list[tuple[str, bytes]]:
    return envelope.headers(
        id_=id_,
        source=SOURCE,
        type_=CompanyRegistered.type(),
        dataschema=CompanyRegistered.dataschema(),
        subject=subject,
        time=BEGAN,
        sequence=sequence,
        generation=1,
        correlation_id=str(id_),
        causation_id=None,
        traceparent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01",
    )


def manifests(ids: Sequence[UUID], key: OKPKey) -> list[ManifestIssued]:
    made: list[ManifestIssued] = []
    for hour in range(HOURS):
        first, last = EVENTS * hour // HOURS, EVENTS * (hour + 1) // HOURS
        made.append(
            signed(
                ManifestIssued,
                key,
                topic_name=TOPIC,
                source=SOURCE,
                generation=1,
                hour=BEGAN + hour * HOUR,
                first_sequence=first + 1,
                last_sequence=last,
                digest=sha256(b"".join(each.bytes for each in ids[first:last])).hexdigest(),
                previous=made[-1].manifest_id if made else None,
            )
        )
    return made


async def reading(bootstrap: str, take: Callable[[str, list[ConsumerRecord]], object]) -> float:
    """Seconds from the first record that is asked for until the last one was taken."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        began, done = time.perf_counter(), 0
        while done < EVENTS:
            for place, records in (await consumer.getmany(timeout_ms=1_000)).items():
                take(place.topic, records)
                done += len(records)
        return time.perf_counter() - began
    finally:
        await consumer.stop()


def leave(topic: str, records: list[ConsumerRecord]) -> None:
    """Plain reading does nothing with them."""


async def verifying(bootstrap: str, made: Sequence[ManifestIssued], keys: dict[str, Jwk]) -> tuple[float, float]:
    """Seconds of reading, taking and comparing; and of comparing alone."""
    received = Received()
    seconds = await reading(bootstrap, received.add_records)
    began = time.perf_counter()
    verdict = verify(received, made, keys, read_at=datetime.now(UTC), compaction_lag=timedelta(days=7))
    compared = time.perf_counter() - began
    [found] = verdict.streams
    assert verdict.complete and found.proven == EVENTS, found
    return seconds + compared, compared


async def main() -> None:
    key = OKPKey.generate_key("Ed25519", auto_kid=True)
    keys = trusted_keys({"keys": [key.as_dict(private=False) | {"source": SOURCE}]})
    plain: list[float] = []
    cpu: list[tuple[float, float]] = []
    verified: list[tuple[float, float]] = []
    async with backing() as servers:
        ids = await filled(servers.bootstrap)
        made = manifests(ids, key)
        await reading(servers.bootstrap, leave)  # once, so that neither is the first
        for _ in range(ROUNDS):
            began = time.process_time()
            plain.append(await reading(servers.bootstrap, leave))
            between = time.process_time()
            verified.append(await verifying(servers.bootstrap, made, keys))
            cpu.append((between - began, time.process_time() - between))
    read, both = statistics.median(plain), statistics.median(each for each, _ in verified)
    report(
        "completeness",
        {
            "events": EVENTS,
            "manifests": HOURS,
            "plain_seconds": read,
            "verified_seconds": both,
            "comparing_seconds": statistics.median(each for _, each in verified),
            "plain_per_second": EVENTS / read,
            "ratio": both / read,
            "ratio_target": TARGET,
            "cpu_ratio": statistics.median(after / before for before, after in cpu),
        },
    )


if __name__ == "__main__":
    asyncio.run(main())
