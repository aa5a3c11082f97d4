"""The log published again for one subscriber: the same records, on a topic of its own, and nowhere else."""

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from chassis.brokers import Brokers
from chassis.database import Pool
from chassis.lease import Lease
from chassis.relay import MOVE, record
from chassis.replay import NotReplayed, Wanted, replay, topics_of
from laptop.roles import Database
from sojourn_contracts.catalogue import TOPICS
from sojourn_contracts.survey import SurveySubmitted
from survey.main import service as survey

from chassis import database as databases
from tests.chassis.commands import run
from tests.chassis.given import SERVICE, an, transaction
from tests.chassis.relays import TOPICS as TOLD
from tests.chassis.relays import World
from tests.chassis.topics import reading
from tests.migrated import migrated

Row = dict[str, Any]
FAST = 100_000
OURS = SurveySubmitted.topic()


@pytest.fixture
async def own(kafka: str) -> str:
    """A topic of a subscriber's own."""
    name = f"own-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()
    return name


@pytest.fixture
async def log(world: World) -> Sequence[Row]:
    """Twelve events, the sixth and the last of them tombstones; the third was erased since."""
    for _ in range(2):
        await world.emit(6)
        await world.move()
    await world.pool.execute("update event_log set data = null where position = 3")
    rows = await world.pool.fetch("select * from event_log order by position")
    return [{**row, "event_id": str(row["event_id"]), "subject": str(row["subject"])} for row in rows]


def told(records: Sequence[ConsumerRecord]) -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    return [(each.key, each.value, list(each.headers)) for each in records]


def quiet(position: int, sent: int) -> None:
    pass


async def test_every_record_is_what_the_relay_sends(kafka: str, pool: Pool, own: str, log: Sequence[Row]):
    async with reading(kafka, own, partitions=1) as reader:
        sent = await replay(SERVICE, pool, Brokers(kafka), own, Wanted(TOLD), FAST, quiet)
        records = await reader.all()
    assert sent == len(log) == 12
    assert told(records) == [record(SERVICE, row) for row in log]
    assert [each.value is None for each in records].count(True) == 3


async def test_only_what_is_wanted_is_sent(kafka: str, pool: Pool, own: str, log: Sequence[Row]):
    between = log[6]["written_at"]
    async with reading(kafka, own, partitions=1) as reader:
        for wanted in (
            Wanted(["ExchangeCancelled"]),
            Wanted(TOLD, after=2, until=4),
            Wanted(TOLD, since=between),
            Wanted(TOLD, before=between, after=1),
            Wanted(TOLD, since=between + timedelta(days=1)),
        ):
            await replay(SERVICE, pool, Brokers(kafka), own, wanted, FAST, quiet)
        ids = [dict(each.headers)["ce_id"].decode() for each in await reader.all()]
    expected = [
        *(row for row in log if row["topic"] == "ExchangeCancelled"),
        *log[2:4],
        *log[6:],
        *log[1:6],
    ]
    assert ids == [row["event_id"] for row in expected]


async def test_one_that_was_killed_goes_on_after_what_it_told_last(
    kafka: str, pool: Pool, own: str, log: Sequence[Row]
):
    positions: list[int] = []

    def killed_at_once(position: int, sent: int) -> None:
        positions.append(position)
        raise KeyboardInterrupt

    async with reading(kafka, own, partitions=1) as reader:
        with pytest.raises(KeyboardInterrupt):
            await replay(SERVICE, pool, Brokers(kafka), own, Wanted(TOLD), 5, killed_at_once)
        await replay(SERVICE, pool, Brokers(kafka), own, Wanted(TOLD, after=positions[0]), FAST, quiet)
        records = await reader.all()
    assert positions == [5]
    assert told(records) == [record(SERVICE, row) for row in log]


async def test_it_sends_no_faster_than_it_may(kafka: str, pool: Pool, own: str, log: Sequence[Row]):
    began, at = time.monotonic(), list[float]()
    await replay(SERVICE, pool, Brokers(kafka), own, Wanted(TOLD), 10, lambda *_: at.append(time.monotonic() - began))
    assert [seconds >= least for seconds, least in zip(at, (0, 1), strict=True)] == [True, True]
    assert time.monotonic() - began >= 1.2


@pytest.mark.parametrize("topic", [*(topic.name for topic in TOPICS), "MatchDeclined.v2", "relay-position"])
async def test_nothing_is_replayed_to_a_topic_of_the_services(kafka: str, pool: Pool, topic: str):
    with pytest.raises(NotReplayed, match=f"not replayed to {topic}: {topic} is .*; name a topic of the subscriber's"):
        await replay(SERVICE, pool, Brokers(kafka), topic, Wanted(TOLD), FAST, quiet)


async def test_a_topic_is_not_made(kafka: str, pool: Pool):
    with pytest.raises(
        NotReplayed, match=f"there is no topic nobodys that {SERVICE} knows of: the broker.s administrator makes it"
    ):
        await replay(SERVICE, pool, Brokers(kafka), "nobodys", Wanted(TOLD), FAST, quiet)


def test_without_names_what_is_public_is_replayed_and_never_what_is_internal():
    public = ["MatchDeclined", "ExchangeUpdated", "ExchangeAgreed", "ExchangeCancelled", "ExchangeCompleted"]
    assert topics_of("exchange", []) == [*public, "ManifestIssued"]
    assert topics_of("survey", ["SurveySubmitted"]) == ["SurveySubmitted"]
    for service, names, reason in (
        ("exchange", ["NoticeDue"], "NoticeDue is internal"),
        ("exchange", ["MatchProposed"], "exchange writes no topic MatchProposed"),
        ("survey", [], "survey writes no public topic"),
    ):
        with pytest.raises(NotReplayed, match=reason):
            topics_of(service, names)


async def test_an_operator_is_told_how_far_it_is(kafka: str, database: Database, own: str):
    await migrated(database, survey.name, survey.migrations)
    url = database.url(survey.name)
    async with databases.pool(url, survey.name, 2) as pool:
        async with transaction(pool, service=survey.name) as tx:
            tx.emit(*(an(SurveySubmitted) for _ in range(3)))
        lease = Lease(pool, "relay", 5)
        assert await lease.acquire()
        await pool.fetch(MOVE, lease.holder, lease.epoch, 10)
    environment = {"DATABASE_URL": url, "KAFKA_BOOTSTRAP_SERVERS": kafka, "JWKS": "/nowhere", "LOG_LEVEL": "error"}
    async with reading(kafka, own, partitions=1) as reader:
        done, refused = await asyncio.gather(
            *(
                run("replay", "--to", to, "--topics", "SurveySubmitted", "--after", "1", **environment)
                for to in (own, OURS)
            )
        )
        assert len(await reader.all()) == 2
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"position": 3, "sent": 2},
        {"done": True, "sent": 2},
    ]
    assert (done.code, refused.code, refused.out) == (0, 1, "")
    assert refused.error.startswith(f"not replayed to {OURS}: {OURS} is a topic of the catalogue")
