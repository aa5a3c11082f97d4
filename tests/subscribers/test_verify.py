"""Whoever reads the topics of a real broker can prove to lack nothing, and is told what is missing: deleted, or never sent."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from chassis.brokers import Brokers
from chassis.manifest_keys import read
from chassis.manifests import signed
from chassis.relay import Relay
from chassis.transaction import Cause
from fastapi import FastAPI, Request, Response
from laptop.kafka import Kafka
from laptop.ports import HOST, free_port
from laptop.roles import Database, drop, provision
from sojourn_contracts import catalogue
from sojourn_contracts.command import command
from sojourn_contracts.completeness import Span, Stream
from sojourn_contracts.envelope import Envelope, encode
from sojourn_contracts.exchange import ExchangeCancelled, ExchangeUpdated
from sojourn_contracts.kit import verify
from sojourn_contracts.manifest import ManifestIssued
from sojourn_contracts.match import MatchDeclined, MatchProposed
from typer.testing import CliRunner
from uuid_utils.compat import uuid7

from tests.chassis.given import MIGRATIONS, SERVICE, a_service, an
from tests.chassis.manifesting import a_key, hours_ago, look, published
from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Driver, driving
from tests.conftest import COMPACTS_SOON, with_topics
from tests.migrated import migrated

COMMAND = Path(sys.executable).with_name("sojourn-contracts")
OLD = 24 * 30
"""Hours: by then a topic may have been compacted."""


class Ended(NamedTuple):
    code: int | None
    out: str
    error: str

    @property
    def verdict(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def missing(self) -> list[int]:
        [stream] = self.verdict["streams"]
        return [sequence for first, last in stream["missing"] for sequence in range(first, last + 1)]


@dataclass(frozen=True)
class World:
    """A service with its log and topics, and what a subscriber is given."""

    driver: Driver
    kafka: str
    keys: Path
    """A file with the service's public keys."""

    async def relayed(self) -> None:
        """All that was emitted stands on the topics."""
        relay = Relay(SERVICE, self.driver.process.pool, Brokers(self.kafka), lease_seconds=2)
        leading = asyncio.create_task(relay.run())

        async def all_is_published() -> bool:
            [row] = await self.driver.rows(
                "select (select count(*) from outbox) as outbox, (select coalesce(max(position), 0) from event_log) as log_end"
            )
            return not row["outbox"] and row["log_end"] == relay.published

        await until(all_is_published, within=60)
        relay.stop()
        await leading

    async def verify(self, topic: str, *options: str, service: str | None = None, token: str = "") -> Ended:
        given = ["--kafka", self.kafka, "--topic", topic, "--service", service or str(self.keys), "--json", *options]
        environment = {"SOJOURN_TOKEN": token} if token else {}
        ended = await asyncio.to_thread(CliRunner().invoke, command, ["verify", *given], env=environment)
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    async def delete(self, topic: str, choose: Callable[[Sequence[ConsumerRecord]], ConsumerRecord]) -> list[int]:
        """Deletes all up to the chosen record of its partition, and gives their sequences."""
        records = await records_of(self.kafka, topic)
        last = choose(records)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            await admin.delete_records(
                {TopicPartition(topic, last.partition): RecordsToDelete(before_offset=last.offset + 1)}
            )
        finally:
            await admin.close()
        gone = [each for each in records if each.partition == last.partition and each.offset <= last.offset]
        return sorted(sequence(each) for each in gone)


def sequence(record: ConsumerRecord) -> int:
    return int(dict(record.headers)["ce_sequence"])


async def records_of(kafka: str, topic: str) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    found: list[ConsumerRecord] = []
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
    finally:
        await consumer.stop()
    return found


async def configure(kafka: str, topic: str, settings: Mapping[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        usual = catalogue.BY_NAME[topic].configuration
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, usual | settings)])
    finally:
        await admin.close()


@pytest.fixture(scope="module")
async def broker(backing_folder: Path) -> AsyncIterator[str]:
    """One that compacts soon, where that is asked of it."""
    async with with_topics(Kafka(backing_folder / "verified", settings=COMPACTS_SOON)) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="module")
async def world(broker: str, postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Of each topic of its own: events of two hours, some of them about the same subjects, and their manifests."""
    folder = tmp_path_factory.mktemp("verified")
    database = await provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}")
    await migrated(database, SERVICE, MIGRATIONS)
    async with driving(a_service(), database.url(SERVICE), folder, manifest_key=a_key(folder)) as driver:
        keys = folder / "manifest-keys.json"
        keys.write_text((await driver.http.get("/.well-known/manifest-keys.json")).text)
        made = World(driver, broker, keys)
        await made.relayed()  # nothing yet: so that Kafka has a position
        for kind in (ExchangeCancelled, ExchangeUpdated):
            await published(driver, hours_ago(5), *(an(kind) for _ in range(30)))
            await published(driver, hours_ago(3), *(an(kind) for _ in range(10)))
        subjects = [uuid7() for _ in range(12)]
        for hours in (OLD, OLD - 1, OLD - 5):
            await published(driver, hours_ago(hours), *(an(MatchDeclined, subject) for subject in subjects * 2))
        await look(driver)
        await made.relayed()
        yield made
    await drop(database)


async def test_who_reads_everything_has_proven_it(world: World):
    ended = await world.verify("ExchangeUpdated")
    assert (ended.code, ended.error) == (0, "")
    [found] = ended.verdict["streams"]
    assert (found["received"], found["proven"], found["unproven"]) == (40, 40, 0)
    assert found["until"] == str(hours_ago(2))
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "verify", "--topic", "ExchangeUpdated", "--service", world.keys),
        stdout=PIPE,
        env={"KAFKA_BOOTSTRAP_SERVERS": world.kafka},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert "40 events, 40 of them proven" in out.decode()
    assert out.decode().endswith("nothing is missing\n")


async def test_records_that_were_deleted_are_named(world: World):
    await configure(world.kafka, "ExchangeCancelled", {"cleanup.policy": "compact,delete"})
    gone = await world.delete("ExchangeCancelled", lambda records: records[len(records) // 2])
    assert gone
    ended = await world.verify("ExchangeCancelled")
    assert ended.code == 1
    assert ended.missing == gone
    assert not ended.verdict["complete"]


async def test_an_event_that_was_signed_for_and_never_sent_is_named_be_it_the_last(world: World, tmp_path: Path):
    keys = read(a_key(tmp_path))
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(keys.document("sojourn/matching")))
    events = [an(MatchProposed) for _ in range(20)]
    ids = [uuid7() for _ in events]
    manifest = signed(
        ManifestIssued,
        keys.signing,
        topic_name="MatchProposed",
        source="sojourn/matching",
        generation=1,
        hour=hours_ago(4),
        first_sequence=1,
        last_sequence=20,
        digest=sha256(b"".join(each.bytes for each in ids)).hexdigest(),
        previous=None,
    )
    async with AIOKafkaProducer(bootstrap_servers=world.kafka) as producer:
        for number, (event, id_) in enumerate(zip(events, ids, strict=True), 1):
            if number not in (7, 20):
                said = Envelope(id_, "sojourn/matching", type(event), event.subject, NOON, event, number)
                key, value, headers = encode(said)
                await producer.send_and_wait("MatchProposed", value, key, headers=headers)
        said = Envelope(uuid7(), "sojourn/matching", ManifestIssued, manifest.manifest_id, NOON, manifest, 1)
        key, value, headers = encode(said)
        await producer.send_and_wait("ManifestIssued", value, key, headers=headers)
    ended = await world.verify("MatchProposed", service=str(path))
    assert (ended.code, ended.missing) == (1, [7, 20])
    both = await world.verify("MatchProposed", "--topic", "ExchangeUpdated", service=str(path))
    assert len(both.verdict["refused"]) == 2, "without the other service's key, its manifests prove nothing"


@asynccontextmanager
async def served(world: World, token: str) -> AsyncIterator[str]:
    """The service's keys, and its feed as it is agreed upon."""
    app = FastAPI()

    @app.get("/.well-known/manifest-keys.json")
    async def keys() -> Any:
        return json.loads(world.keys.read_text())

    @app.get("/events")
    async def events(request: Request, response: Response, topics: str, limit: int, after: str = "1-0") -> Any:
        if request.headers["authorization"] != f"Bearer {token}":
            return Response(status_code=401)
        rows = await world.driver.rows(
            "select position, generation, topic, sequence, event_id, subject, data from event_log"
            " where topic = $1 and position > $2 order by position limit $3",
            topics,
            int(after.split("-")[1]),
            limit,
        )
        following = f"1-{rows[-1]['position']}" if rows else after
        response.headers["link"] = f'</events?topics={topics}&limit={limit}&after={following}>; rel="next"'
        return [
            {
                "id": str(row["event_id"]),
                "source": f"sojourn/{SERVICE}",
                "subject": str(row["subject"]),
                "sequence": str(row["sequence"]),
                "generation": str(row["generation"]),
                **({"data": json.loads(row["data"])} if row["data"] else {}),
            }
            for row in rows
        ]

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_config=None))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        await serving


async def test_after_real_compaction_nothing_is_missing_and_the_log_proves_it(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    topic = "MatchDeclined"
    before = await records_of(world.kafka, topic)
    assert len(before) == 72
    await configure(
        world.kafka,
        topic,
        {
            "cleanup.policy": "compact,delete",  # or nothing could be deleted by hand
            "segment.ms": "100",
            "min.compaction.lag.ms": "0",
            "max.compaction.lag.ms": "100",
            "min.cleanable.dirty.ratio": "0.0001",
        },
    )

    async def is_compacted() -> bool:
        """A segment ends when something comes after it; what is in the last one stays."""
        async with world.driver.process.open_transaction(Cause()) as tx:
            tx.emit(*(an(MatchDeclined) for _ in range(20)))
        await world.relayed()
        return len([each for each in await records_of(world.kafka, topic) if sequence(each) <= 72]) == 12

    await until(is_compacted, within=60, every=0.5)
    by_age = await world.verify(topic)
    [found] = by_age.verdict["streams"]
    assert (by_age.code, sum(last - first + 1 for first, last in found["compacted"])) == (0, 60)
    assert found["proven"] < 12, "an hour's digest cannot be made with holes in it"
    assert (await world.verify(topic, "--compaction-lag", str(3600 * 24 * 60))).code == 1, "not so soon"
    async with served(world, "granted") as url:
        by_log = await world.verify(topic, service=url, token="granted")
        [found] = by_log.verdict["streams"]
        assert (by_log.code, found["proven"], by_log.missing) == (0, 12, [])
        refused = await world.verify(topic, service=url, token="other")
        assert (refused.code, "401" in refused.error) == (2, True)
        await assert_pages_are_followed(monkeypatch, url)

        lost = await world.delete(topic, lambda records: next(each for each in records if sequence(each) <= 72))
        newest = [each for each in lost if each > 48]
        told = await world.verify(topic, service=url, token="granted")
        assert (told.code, [each for each in told.missing if each <= 72]) == (1, newest)


async def assert_pages_are_followed(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    stream = Stream("MatchDeclined", f"sojourn/{SERVICE}", 1)
    gaps = {
        stream: (Span(2, 4), Span(30, 30), Span(70, 71)),
        Stream("MatchDeclined", "sojourn/other", 1): (Span(1, 1),),
    }
    async with httpx.AsyncClient(headers={"Authorization": "Bearer granted"}) as http:
        with monkeypatch.context() as small:
            small.setattr(verify, "PAGE", 7)
            log = await verify.told(http, {stream.source: url}, gaps)
    assert {each: list(told) for each, told in log.items()} == {stream: [2, 3, 4, 30, 70, 71]}


async def test_what_cannot_be_asked_is_said_and_is_neither_yes_nor_no(world: World, tmp_path: Path):
    nowhere = f"{HOST}:{free_port()}"
    no_keys = tmp_path / "none.json"
    no_keys.write_text("[]")
    others = tmp_path / "others.json"
    others.write_text(json.dumps(read(a_key(tmp_path)).document(f"sojourn/{SERVICE}")))
    both = tmp_path / "both.json"
    [own], [other] = (json.loads(each.read_text())["keys"] for each in (world.keys, others))
    both.write_text(json.dumps({"keys": [own, other | {"source": "sojourn/registration"}]}))
    for options, service, says in (
        (("--kafka", nowhere), None, "cannot be told"),
        (("--topic", "NoticeDue"), None, "NoticeDue"),
        ((), f"http://{nowhere}", "keys"),
        ((), str(no_keys), "keys"),
        (("--service", str(others)), None, f"{others} are not believed: two documents name different keys"),
        ((), str(both), f"{both} are not believed: one document names keys of several sources"),
    ):
        ended = await world.verify("ExchangeUpdated", *options, service=service)
        assert (ended.code, says in ended.error, ended.out) == (2, True, "")
