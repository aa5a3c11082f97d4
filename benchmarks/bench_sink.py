"""The sink beside a plain consumer: events a second from the topic into files.

The plain one reads the same topic with aiokafka, decodes with ``pyarrow.json`` and writes a Parquet file for each batch, in turn
with the sink and in the same run: no table, no fields checked, no ids from headers, and what it loses in a crash is lost.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from backing import Backing, backing, report
from pyarrow import json as arrow_json
from pyarrow import parquet
from sojourn_contracts import envelope
from sojourn_contracts.survey import SurveySubmitted
from sqlalchemy import text
from survey.main import service
from survey.sink.process import Sink
from survey.sink.settings import SinkSettings
from survey.sink.table import catalog

EVENTS = int(os.environ.get("EVENTS", "100000"))
BATCH = int(os.environ.get("BATCH", "5000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
TOPIC = SurveySubmitted.topic()
TARGET_RATIO, TARGET_RATE = 0.5, 15_000


def submission(number: int) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """About as large as the real ones: twenty answers."""
    subject = str(uuid4())
    value = {
        "record_id": subject,
        "questionnaire": "2026.1",
        "party": ("sender", "host", "traveller")[number % 3],
        "wave": 1 + number % 2,
        "released_on": date(2026, 1 + number % 2, 5).isoformat(),
        "exchange_cluster": f"{number // 3:064x}",
        "company_cluster": f"{number // 5:064x}",
        "country": ("DE", "FR", "IT", "ES")[number % 4],
        "sector_section": "CGJKM"[number % 5],
        "size_class": ("micro", "small", "medium")[number % 3],
        "duration_band": "31-45",
        "training_direction": "traveller",
        "answers": {f"QUESTION_{code:02}": str(1 + (number + code) % 5) for code in range(20)},
    }
    headers = envelope.headers(
        id_=uuid4(),
        source="sojourn/survey",
        type_=SurveySubmitted.type(),
        dataschema=SurveySubmitted.dataschema(),
        subject=subject,
        time=datetime(2026, 1, 5, tzinfo=UTC),
        sequence=number + 1,
        generation=1,
        correlation_id=None,
        causation_id=None,
        traceparent=None,
    )
    return subject.encode(), json.dumps(value, separators=(",", ":")).encode(), headers


async def fill(bootstrap: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5, max_batch_size=500_000
    )
    await producer.start()
    for first in range(0, EVENTS, 5_000):
        made = map(submission, range(first, min(first + 5_000, EVENTS)))
        await asyncio.gather(*[await producer.send(TOPIC, key=k, value=v, headers=h) for k, v, h in made])
    await producer.stop()


async def plain(bootstrap: str, folder: Path) -> float:
    """Events a second, from the first record asked for to the last file closed."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    places = [TopicPartition(TOPIC, partition) for partition in range(6)]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    began, done = time.perf_counter(), 0
    while done < EVENTS:
        values: list[bytes] = []
        while len(values) < min(BATCH, EVENTS - done):
            found = await consumer.getmany(timeout_ms=200, max_records=BATCH - len(values))
            values += [record.value or b"" for records in found.values() for record in records]
        rows = arrow_json.read_json(pa.BufferReader(b"\n".join(values)))
        parquet.write_table(rows, folder / f"{done}.parquet", compression="zstd")
        done += len(values)
    seconds = time.perf_counter() - began
    await consumer.stop()
    return EVENTS / seconds


async def sink(settings: SinkSettings) -> float:
    """The same, once it is ready: from its first record to its last commit."""
    one = Sink(settings)
    running = asyncio.create_task(one.run())
    while one.waiting_for is not None:
        await asyncio.sleep(0.001)
    began = time.perf_counter()
    while sum(one.offsets.values()) < EVENTS:
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - began
    one.stopping.set()
    await running
    return EVENTS / seconds


def forget(settings: SinkSettings) -> None:
    """Makes the next round begin with no table."""
    found = catalog(settings)
    with found.engine.begin() as connection:
        connection.execute(text("delete from iceberg_tables"))
    found.engine.dispose()


async def measured(at: Backing, folder: Path) -> None:
    url = await at.migrated("survey", service.migrations)
    await fill(at.bootstrap)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(ROUNDS):
        settings = SinkSettings.model_validate(
            {
                "kafka_bootstrap_servers": at.bootstrap,
                "catalog_url": url,
                "warehouse": str(folder / f"warehouse-{number}"),
                "batch_events": BATCH,
            }
        )
        files = folder / f"plain-{number}"
        files.mkdir()
        theirs.append(await plain(at.bootstrap, files))
        ours.append(await sink(settings))
        forget(settings)
    report(
        "sink",
        {
            "events": EVENTS,
            "batch": BATCH,
            "sink_per_s": statistics.median(ours),
            "plain_per_s": statistics.median(theirs),
            "ratio": statistics.median(one / other for one, other in zip(ours, theirs, strict=True)),
            "target_ratio": TARGET_RATIO,
            "target_per_s": TARGET_RATE,
        },
    )


async def main() -> None:
    async with backing() as at:
        with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
            await measured(at, Path(name))


if __name__ == "__main__":
    asyncio.run(main())
