"""A traveller and a company are forgotten after their journey: nothing of them is found in any table, on any topic, in any line.

By the real system: its processes, its commands, Kafka and PostgreSQL.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from laptop.system import System
from pilot.choices import Choices
from pilot.demo import SETTINGS, played
from pilot.logs import Published, published
from pilot.population import START, Company
from sojourn_contracts.catalogue import SERVICES, TOPICS, Cleanup
from sojourn_contracts.schemas import schema

from tests.chassis.waiting import until
from tests.data_protection.personal_data import in_headers, looking
from tests.journeys.pair import EVERYBODY_DOES, HOST, SENDER, UNTIL

TRAVELLER = {"name": "Zsuzsanna Quittenbaum", "email": "zsuzsanna@quittenbaum.example", "reads": "de"}
COMPANY = {
    "name": "Ochsenfrosch Werke",
    "contact": {"name": "Ottokar Wunderlich", "email": "ottokar@ochsenfrosch.example", "reads": "de"},
}
NAMES = ("Zsuzsanna", "Quittenbaum", "zsuzsanna@", "Ochsenfrosch", "ochsenfrosch", "Ottokar", "Wunderlich")
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


def companies() -> list[Company]:
    (placement,) = SENDER.form["placements"]
    return [
        _always(SENDER, SENDER.form | {"placements": [placement | {"traveller": TRAVELLER}]}),
        _always(HOST, HOST.form | COMPANY),
    ]


def _always(company: Company, form: dict[str, Any]) -> Company:
    """It says the same from its first draft on."""
    return replace(company, first=form, form=form)


@pytest.fixture
async def system(backing_folder: Path) -> AsyncIterator[System]:
    settings = SETTINGS | {"LOG_LEVEL": "info"}
    async with System(backing_folder / "erasure", stopped_at=START, environment=settings) as started:
        yield started


async def test_nothing_is_found_of_a_traveller_and_a_company_but_bare_ids(system: System):
    _, evaluated = await played(system, companies(), Choices(7, EVERYBODY_DOES), UNTIL)
    (exchange,) = evaluated.exchanges
    ids = {UUID(exchange["traveller_id"]), UUID(exchange["host_id"])}
    people = await rows(system, "select person_id from registration.person where company_id = $1", exchange["host_id"])
    ids |= {row["person_id"] for row in people}
    before = await found_in_tables(system, [*NAMES, *map(str, ids)])
    assert {"registration.person", "registration.company", "matching.matches", "exchange.exchange"} <= before.keys()

    erasures = [
        json.loads(await system.run("registration", "erase", "person", exchange["traveller_id"])),
        json.loads(await system.run("registration", "erase", "company", exchange["host_id"])),
    ]
    for erasure in erasures:
        await until(lambda: done(system, erasure["erasure_id"]), within=60)  # noqa: B023
        shown = json.loads(await system.run("registration", "erasures", "show", erasure["erasure_id"]))
        assert shown["answers"].keys() == set(SERVICES)
        assert shown["outstanding"] == []
    assert await system.run("registration", "erasures", "list") == ""
    again = json.loads(await system.run("registration", "erase", "person", exchange["traveller_id"]))
    assert again["erasure_id"] == erasures[0]["erasure_id"]

    await until(lambda: outboxes_are_empty(system), within=30)
    assert await system.stop_services() == []
    assert await found_in_tables(system, [*NAMES, *map(str, ids)]) == {}
    records = await published(system.kafka, [topic.name for topic in TOPICS])
    assert found_on_topics(newest(records), [*NAMES, *map(str, ids)]) == []
    everything = [record for of_topic in records.values() for record in of_topic]
    assert found_on_topics(everything, NAMES) == [], "nor on those that the broker empties by age"
    assert found_on_topics(newest(records), [exchange["placement_id"], exchange["offer_id"]]) == [], (
        "nor what they offered"
    )
    assert {record.topic for record in everything} >= IN_THIS_STORY
    assert said_of_anybody(everything) == []
    assert {record.topic for record in newest(records) if record.value is None} >= {
        "CompanyRegistered",
        "MatchProposed",
        "ExchangeCompleted",
    }
    assert found_in_logs(system.logs, NAMES) == []

    await compact(system.kafka)
    await until(lambda: compacted(system, [*NAMES, *map(str, ids)]), within=90)

    payments = await rows(system, "select exchange_id, payee_id, amount_cents from exchange.payment")
    assert {(str(row["exchange_id"]), str(row["payee_id"])) for row in payments} == {
        (exchange["exchange_id"], exchange["sender_id"])
    }
    assert sum(row["amount_cents"] for row in payments) == exchange["allowance_cents"]
    (grounds,) = await rows(system, "select string_agg(content, '') as text from registration.decision")
    assert not any(name in grounds["text"] for name in NAMES)


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
