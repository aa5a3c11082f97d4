"""What the sink's tests stand on: its topic, filled by hand; the sink, in this process or as one of its own; its table."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaProducer
from laptop.ports import free_port
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from sojourn_contracts import envelope
from sojourn_contracts.survey import SurveySubmitted
from survey.sink.process import Sink
from survey.sink.settings import SinkSettings
from survey.sink.table import catalog, opened

TOPIC = SurveySubmitted.topic()
Written = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers of a record."""


def record_id(number: int) -> str:
    return str(UUID(int=(0xA << 124) + number))


def event_id(number: int) -> str:
    return str(UUID(int=(0xE << 124) + number))


def data(number: int, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id(number),
        "questionnaire": "2026.1",
        "party": ("sender", "host", "traveller")[number % 3],
        "wave": 1 + number % 2,
        "released_on": date(2026, 1 + number % 3, 5).isoformat(),
        "exchange_cluster": f"{number // 3:064x}",
        "company_cluster": f"{number // 5:064x}",
        "country": ("DE", "FR", "IT")[number % 3],
        "sector_section": "K",
        "size_class": "small",
        "duration_band": "14-30",
        "training_direction": "traveller",
        "answers": {"OVERALL": str(1 + number % 5), "REPEAT": "yes"} | ({"XBORDER": "4"} if number % 2 else {}),
        **more,
    }


def headers(number: int) -> list[tuple[str, bytes]]:
    return envelope.headers(
        id_=event_id(number),
        source="sojourn/survey",
        type_=SurveySubmitted.type(),
        dataschema=SurveySubmitted.dataschema(),
        subject=record_id(number),
        time=datetime(2026, 1, 5, tzinfo=UTC),
        sequence=number + 1,
        generation=1,
        correlation_id=None,
        causation_id=None,
        traceparent=None,
    )


def submission(number: int, **more: Any) -> Written:
    return record_id(number).encode(), json.dumps(data(number, **more)).encode(), headers(number)


def tombstone(number: int) -> Written:
    return record_id(number).encode(), None, headers(10_000_000 + number)[:4] + headers(number)[4:]


@asynccontextmanager
async def producing(kafka: str) -> AsyncIterator[Callable[[Iterable[Written]], Any]]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, linger_ms=5, max_batch_size=256_000)
    await producer.start()

    async def produce(records: Iterable[Written]) -> None:
        sent = [await producer.send(TOPIC, key=key, value=value, headers=said) for key, value, said in records]
        await asyncio.gather(*sent)

    try:
        yield produce
    finally:
        await producer.stop()


@dataclass(frozen=True)
class Place:
    """Where one test's sink works."""

    kafka: str
    url: str
    warehouse: Path

    def settings(self, **more: Any) -> SinkSettings:
        values = {"batch_seconds": 0.2, "orphan_seconds": 0, **more}
        return SinkSettings.model_validate(
            {
                "kafka_bootstrap_servers": self.kafka,
                "catalog_url": self.url,
                "warehouse": str(self.warehouse),
                **values,
            }
        )

    def catalog(self) -> SqlCatalog:
        return catalog(self.settings())

    def table(self) -> Table:
        found = self.catalog()
        try:
            return opened(found)
        finally:
            found.engine.dispose()

    def column(self, name: str) -> list[Any]:
        try:
            return self.table().scan(selected_fields=(name,)).to_arrow()[name].to_pylist()
        except NoSuchTableError:
            return []

    def numbers(self) -> Counter[int]:
        """How often each submission is in the table."""
        return Counter(UUID(id_).int & 0xFFFFFFFF for id_ in self.column("record_id"))

    def files(self) -> list[Path]:
        return sorted(path for path in self.warehouse.rglob("*") if path.is_file())

    def environment(self, **more: str) -> Mapping[str, str]:
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "CATALOG_URL": self.url,
            "WAREHOUSE": str(self.warehouse),
            "BATCH_SECONDS": "0.2",
            "ORPHAN_SECONDS": "3600",
            "HTTP_PORT": str(free_port()),
            "LOG_FORMAT": "json",
            **more,
        }

    def start(self, log: Path, before: str = "", **more: str) -> "subprocess.Popen[bytes]":
        """``survey sink`` in a process of its own; ``before`` is Python that it runs first."""
        program = f"{before}\nfrom survey.command import command\ncommand(['sink'])"
        with log.open("ab") as written:
            return subprocess.Popen(
                [sys.executable, "-c", program], env=self.environment(**more), stdout=written, stderr=written
            )


@asynccontextmanager
async def sinking(place: Place, **more: Any) -> AsyncIterator[Sink]:
    """The sink in this process, around the block."""
    sink = Sink(place.settings(**more))
    running = asyncio.create_task(sink.run())
    try:
        yield sink
    finally:
        sink.stopping.set()
        await asyncio.wait_for(running, 30)


async def until(condition: Callable[[], bool], within: float = 60) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.05)


async def drained(sink: Sink, upto: int) -> None:
    """Until the offsets have passed that many records."""
    await until(lambda: sink.waiting_for is None and sum(sink.offsets.values()) >= upto)


def ids(numbers: Iterable[int]) -> Counter[int]:
    return Counter(numbers)


def paths(table: Table) -> Sequence[Path]:
    return [Path(task.file.file_path.removeprefix("file://")) for task in table.scan().plan_files()]
