"""Looks for what is left of somebody who was forgotten: in every table, on every topic, in every line of the logs."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from laptop.system import System
from pilot.logs import Published, published
from sojourn_contracts.catalogue import SERVICES, TOPICS, Cleanup
from sojourn_contracts.schemas import schema

from tests.data_protection.personal_data import in_headers, looking

BARE = {
    "erased": {"subject"},
    "erasure": {"erased_id"},
    "company": {"company_id"},
    "companies": {"company_id"},
    "event_log": {"subject"},
    "decision": {"company_id", "content"},
}
"""By table, the columns in which a bare id stands for good: in tombstones, the erasure's own rows, the chain of decisions."""
IN_THIS_STORY = {
    "CompanyRegistered",
    "CompanyUpdated",
    "MatchProposed",
    "ExchangeUpdated",
    "ExchangeAgreed",
    "ExchangeCompleted",
    "SurveySubmitted",
    "NoticeDue",
    "NoticeSent",
    "ErasureRequested",
    "ErasureDone",
}
COMPACTED = [topic.name for topic in TOPICS if topic.cleanup is Cleanup.COMPACT]


async def done(system: System, erasure_id: str) -> bool:
    async with httpx.AsyncClient(base_url=system.urls["registration"]) as http:
        return (await http.get(f"/erasures/{erasure_id}")).json()["done_at"] is not None


async def rows(system: System, query: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(system.database.owner_url)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def outboxes_are_empty(system: System) -> bool:
    counts = [await rows(system, f"select id from {service}.outbox limit 1") for service in SERVICES]
    return not any(counts)


async def found_in_tables(system: System, needles: Iterable[str]) -> dict[str, list[str]]:
    """By table, the columns in which one of these stands, as text or as bytes; bare ids left out."""
    wanted = [pattern for needle in needles for pattern in (needle, needle.encode().hex())]
    found: dict[str, list[str]] = {}
    for column in await rows(
        system,
        "select table_schema, table_name, column_name from information_schema.columns join information_schema.tables"
        " using (table_catalog, table_schema, table_name) where table_schema = any($1) and table_type = 'BASE TABLE'",
        list(SERVICES),
    ):
        schema, table, name = column
        if name in BARE.get(table, ()):
            continue
        others = " and type not like 'Erasure%'" if table == "event_log" else ""
        query = f'select exists (select from {schema}.{table} where "{name}"::text like any ($1){others})'
        if (await rows(system, query, [f"%{pattern}%" for pattern in wanted]))[0][0]:
            found.setdefault(f"{schema}.{table}", []).append(name)
    return found


def newest(records: dict[str, list[Published]]) -> list[Published]:
    """What compaction leaves of the public topics; the ids on internal ones go by age, after 21 days."""
    return list({(record.topic, record.key): record for topic in COMPACTED for record in records[topic]}.values())


def found_on_topics(records: Iterable[Published], needles: Iterable[str]) -> list[str]:
    """Where one of these stands; the bare ids of an erasure's own events, and of tombstones, left out."""
    return [
        f"{record.topic}/{record.partition}/{record.offset}: {needle}"
        for record in records
        for needle in needles
        if needle in _said(record)
    ]


def _said(record: Published) -> str:
    if record.value is None:
        return ""
    said: dict[str, Any] = json.loads(record.value)
    said.pop("erased_id", None)
    return json.dumps([said, record.key, record.headers])


def said_of_anybody(records: Iterable[Published]) -> list[str]:
    """What looks like a name, an address, a number to call or a sentence, in events as the whole system emitted them."""
    looks = {topic.name: looking(schema(topic.event)) for topic in TOPICS}
    return [
        f"{record.topic}/{record.partition}/{record.offset}: {found}"
        for record in records
        for found in (
            *in_headers(record.headers),
            *(looks[record.topic](json.loads(record.value)) if record.value else ()),
        )
    ]


def found_in_logs(folder: Path, needles: Iterable[str]) -> list[str]:
    return [
        f"{file.name}: {needle}"
        for file in folder.rglob("*")
        if file.is_file()
        for needle in needles
        if needle.encode() in file.read_bytes()
    ]


async def compact(bootstrap: str) -> None:
    """Makes the broker compact what it would keep for a week, but for what is in the segment that is written to."""
    soon = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.compaction.lag.ms": "0",
        "max.compaction.lag.ms": "100",
        "min.cleanable.dirty.ratio": "0.0001",
    }
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, soon) for topic in COMPACTED])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for _ in range(3):
            for topic in TOPICS:
                for partition in range(topic.partitions if topic.name in COMPACTED else 0):
                    await producer.send_and_wait(topic.name, b"{}", b"filler", partition)
            await asyncio.sleep(0.3)  # a segment ends when something comes that is so much younger than it


async def compacted(system: System, needles: Iterable[str]) -> bool:
    records = await published(system.kafka, COMPACTED)
    return found_on_topics((record for topic in COMPACTED for record in records[topic]), needles) == []
