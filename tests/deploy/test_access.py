"""A broker that asks everybody who they are: what follows from the grants is allowed there, and nothing else."""

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from chassis.brokers import Brokers
from chassis.consumer import Consumer
from chassis.database import Pool
from chassis.migrations import migrate
from chassis.relay import Relay
from chassis.replay import NotReplayed, Wanted, replay, topics_of
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from laptop import acls as broker_acls
from laptop.access import client, command
from laptop.acls import Difference, apply, difference, kept_passwords
from laptop.backing import ADMINISTRATOR
from laptop.kafka import Kafka
from laptop.roles import Database, drop, provision
from laptop.topics import create_topics
from pydantic import SecretStr
from sojourn_contracts.access import SINK, Kind, Operation, acls
from sojourn_contracts.command import command as contracts
from sojourn_contracts.grants import Grants, parse
from structlog.testing import capture_logs
from survey.main import service as survey
from survey.sink.process import Sink
from survey.sink.settings import SinkSettings
from typer.testing import CliRunner

from chassis import database as databases
from tests.chassis.given import MIGRATIONS, SERVICE, cancelled, declined, emit
from tests.chassis.receiving import Receiver

MINISTRY, INSTITUTE, PUBLIC = "labour-ministry", "research-institute", "everything-public"
GRANTS = """
clients:
  labour-ministry:
    topics: [CompanyRegistered]
  research-institute:
    topics: [ExchangeCompleted, SurveySubmitted]
  everything-public:
    topics: [public]
"""


@dataclass
class Place:
    """A broker with authorisation, and who administers it."""

    kafka: Kafka
    passwords: Path
    administrator: AdminClient

    def apply(self, grants: Grants) -> Difference:
        return apply(self.administrator, grants, self.passwords)

    def difference(self, grants: Grants) -> Difference:
        return difference(self.administrator, grants, self.passwords)

    def signed_in(self, user: str) -> Brokers:
        password = SecretStr(kept_passwords(self.passwords)[user])
        return Brokers(self.kafka.for_users, "SASL_PLAINTEXT", user, password)


@pytest.fixture(scope="module")
async def at(backing_folder: Path) -> AsyncIterator[Place]:
    folder = backing_folder / "authorised"
    kafka = Kafka(folder, administrator=ADMINISTRATOR)
    await kafka.start()
    try:
        await create_topics(kafka.bootstrap)
        place = Place(kafka, folder / "kafka-passwords.json", client(kafka.bootstrap))
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
        first = UserScramCredentialUpsertion(ADMINISTRATOR, how, b"at first")
        await asyncio.to_thread(place.administrator.alter_user_scram_credentials([first])[ADMINISTRATOR].result)
        await asyncio.to_thread(place.apply, parse(GRANTS))
        yield place
    finally:
        await kafka.stop()


@asynccontextmanager
async def reading(brokers: Brokers, *topics: str, group: str | None) -> AsyncGenerator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        *topics, group_id=group, auto_offset_reset="earliest", fetch_max_wait_ms=50, **brokers.client()
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def writing(brokers: Brokers, **more: str) -> AsyncGenerator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**brokers.client(), **more)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


async def refused_to_read(brokers: Brokers, topic: str, group: str | None) -> str | None:
    with pytest.raises(KafkaError) as refused:
        async with reading(brokers, topic, group=group) as consumer:
            await consumer.getmany(timeout_ms=2_000)
    return brokers.refusal(refused.value)


async def test_a_client_reads_what_it_is_granted_in_its_group_and_in_none(at: Place):
    relay = at.signed_in("registration")
    async with writing(relay, transactional_id="registration.relay") as producer, producer.transaction():
        await producer.send("CompanyRegistered", b"told", key=b"k")
    for group in (MINISTRY, None):
        async with reading(at.signed_in(MINISTRY), "CompanyRegistered", group=group) as consumer:
            async with asyncio.timeout(20):
                record = await consumer.getone()
        assert record.value == b"told"


async def test_reading_what_is_not_granted_is_refused_with_topic_and_client(at: Place):
    said = await refused_to_read(at.signed_in(MINISTRY), "ExchangeCompleted", MINISTRY)
    assert said == f"Kafka refuses {MINISTRY} the topic ExchangeCompleted"


async def test_a_topic_for_analysts_is_read_by_whom_a_grant_names_it_for(at: Place):
    assert await refused_to_read(at.signed_in(PUBLIC), "SurveySubmitted", PUBLIC)
    async with reading(at.signed_in(INSTITUTE), "SurveySubmitted", group=INSTITUTE) as consumer:
        await consumer.getmany(timeout_ms=200)


async def test_no_client_reads_an_internal_topic_or_knows_of_it(at: Place):
    for name in ("NoticeDue", "ErasureRequested", "relay-position"):
        assert await refused_to_read(at.signed_in(PUBLIC), name, None)
    async with reading(at.signed_in(PUBLIC), group=None) as consumer:
        known = await consumer.topics()
    assert "ExchangeCompleted" in known
    assert known.isdisjoint({"NoticeDue", "ErasureRequested", "relay-position", "SurveySubmitted"})


async def test_nobody_reads_in_anothers_group(at: Place):
    for group in ("matching", "matching.relay", INSTITUTE):
        said = await refused_to_read(at.signed_in(MINISTRY), "CompanyRegistered", group)
        assert said == f"Kafka refuses {MINISTRY} the group {group}"


async def test_a_client_writes_nothing_and_makes_no_topic(at: Place):
    brokers = at.signed_in(PUBLIC)
    async with writing(brokers) as producer:
        for topic in ("CompanyRegistered", "NoticeDue", "a-topic-of-my-own"):
            with pytest.raises(KafkaError) as refused:
                await producer.send_and_wait(topic, b"x", key=b"k")
            assert brokers.refusal(refused.value) == f"Kafka refuses {PUBLIC} the topic {topic}"
    with pytest.raises(TransactionalIdAuthorizationFailed):
        async with writing(brokers, transactional_id="matching.relay"):
            pass


async def test_a_service_writes_no_event_of_another(at: Place):
    async with writing(at.signed_in("matching")) as producer:
        with pytest.raises(TopicAuthorizationFailedError, match="CompanyRegistered"):
            await producer.send_and_wait("CompanyRegistered", b"x", key=b"k")


async def test_who_does_not_sign_in_or_has_a_wrong_password_is_not_let_in(at: Place):
    for brokers in (
        Brokers(at.kafka.for_users),
        Brokers(at.kafka.for_users, "SASL_PLAINTEXT", MINISTRY, SecretStr("wrong")),
    ):
        with pytest.raises(KafkaConnectionError):
            async with reading(brokers, "CompanyRegistered", group=None):
                pass


@contextmanager
def revoked(at: Place, kind: Kind, name: str, *operations: Operation, user: str = SERVICE) -> Iterator[None]:
    """Until the end of the block, the service has not all that it needs."""
    found = [
        broker_acls.binding(acl)
        for acl in acls(parse(GRANTS))
        if (acl.user, acl.kind, acl.name) == (user, kind, name) and (acl.operation in operations or not operations)
    ]
    assert found
    for future in at.administrator.delete_acls([broker_acls.exactly(acl) for acl in found]).values():
        future.result()
    try:
        yield
    finally:
        at.apply(parse(GRANTS))


@pytest.fixture(scope="module")
async def database(postgres: Database, at: Place) -> AsyncIterator[Database]:
    """Of what works at that broker: its topics hold what the logs here do."""
    fresh = await provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}")
    await migrate(fresh.migrator_url, SERVICE, MIGRATIONS)
    await migrate(fresh.migrator_url, survey.name, survey.migrations)
    yield fresh
    await drop(fresh)


@pytest.fixture(scope="module")
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with databases.pool(database.url(SERVICE), SERVICE, 10) as pool:
        yield pool


@asynccontextmanager
async def relaying(at: Place, pool: Pool) -> AsyncGenerator[Relay]:
    relay = Relay(SERVICE, pool, at.signed_in(SERVICE), lease_seconds=5)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await asyncio.wait_for(running, 20)
        gc.collect()  # aiokafka leaves a failed future behind, which would complain while pytest compiles something


@asynccontextmanager
async def consuming(at: Place, pool: Pool) -> AsyncGenerator[Consumer]:
    receiver = Receiver(pool)
    consumer = Consumer(SERVICE, receiver.inbox, at.signed_in(SERVICE), receiver.metrics, session_timeout_ms=6_000)
    consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def caught_up(consumer: Consumer) -> None:
    async with asyncio.timeout(40):
        while await consumer.lag() != 0:
            await asyncio.sleep(0.02)


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.02)


RELAYS = [
    (Kind.TOPIC, "MatchDeclined", ()),
    pytest.param(Kind.TOPIC, "MatchDeclined", (Operation.WRITE,), marks=pytest.mark.full),
    pytest.param(Kind.TOPIC, "MatchDeclined", (Operation.READ,), marks=pytest.mark.full),
    pytest.param(Kind.TOPIC, "relay-position", (), marks=pytest.mark.full),
    pytest.param(Kind.TOPIC, "relay-position", (Operation.READ,), marks=pytest.mark.full),
    (Kind.GROUP, "exchange.relay", ()),
    (Kind.TRANSACTIONAL_ID, "exchange.relay", ()),
]
CONSUMERS = [
    (Kind.TOPIC, "CompanyWithdrawn", ()),
    pytest.param(Kind.TOPIC, "CompanyWithdrawn", (Operation.READ,), marks=pytest.mark.full),
    (Kind.GROUP, "exchange", ()),
]


async def test_with_exactly_what_follows_from_the_catalogue_a_service_publishes_and_consumes(at: Place, pool: Pool):
    await emit(pool, declined(), cancelled())
    async with relaying(at, pool) as relay, consuming(at, pool) as consumer:
        await soon(lambda: relay.published == 2)
        await caught_up(consumer)
        assert (relay.halted, consumer.halted) == (False, False)


@pytest.mark.parametrize(("kind", "name", "operations"), RELAYS)
async def test_a_relay_without_one_of_its_rights_stops_and_says_which(
    at: Place, pool: Pool, kind: Kind, name: str, operations: tuple[Operation, ...]
):
    await emit(pool, declined())
    with revoked(at, kind, name, *operations), capture_logs() as lines:
        async with relaying(at, pool) as relay:
            await soon(lambda: relay.halted)
    [line] = [line for line in lines if line["log_level"] == "critical"]
    assert line["event"].startswith("relay stopped")
    assert line["reason"] == f"Kafka refuses exchange the {_said(kind)} {name}"
    async with relaying(at, pool) as relay:  # granted again, a start resumes
        end = await pool.fetchval("select count(*) from event_log") + await pool.fetchval("select count(*) from outbox")
        await soon(lambda: relay.published == end)


@pytest.mark.parametrize(("kind", "name", "operations"), CONSUMERS)
async def test_a_consumer_without_one_of_its_rights_stops_and_says_which(
    at: Place, pool: Pool, kind: Kind, name: str, operations: tuple[Operation, ...]
):
    with revoked(at, kind, name, *operations), capture_logs() as lines:
        async with consuming(at, pool) as consumer:
            await soon(lambda: consumer.halted)
    [line] = [line for line in lines if line["log_level"] == "critical"]
    assert line["event"].startswith("consuming stopped")
    assert line["reason"] == f"Kafka refuses exchange the {_said(kind)} {name}"


async def test_what_is_revoked_while_a_service_consumes_stops_it_too(at: Place, pool: Pool):
    async with consuming(at, pool) as consumer:
        await caught_up(consumer)
        with revoked(at, Kind.TOPIC, "CompanyWithdrawn"), capture_logs() as lines:
            await soon(lambda: consumer.halted)
    assert [line["reason"] for line in lines if line["log_level"] == "critical"] == [
        "Kafka refuses exchange the topic CompanyWithdrawn"
    ]


async def test_the_sink_without_its_right_says_which_and_goes_on_once_it_is_granted(
    at: Place, database: Database, tmp_path: Path
):
    brokers = at.signed_in(SINK)
    settings = SinkSettings(
        catalog_url=SecretStr(database.url("survey")),
        warehouse=str(tmp_path),
        kafka_bootstrap_servers=brokers.servers,
        kafka_username=SINK,
        kafka_password=brokers.password,
        kafka_security_protocol="SASL_PLAINTEXT",
    )
    sink = Sink(settings)
    with revoked(at, Kind.TOPIC, "SurveySubmitted", user=SINK):
        running = asyncio.create_task(sink.run())
        await soon(lambda: sink.waiting_for == "Kafka refuses survey-sink the topic SurveySubmitted")
    await soon(lambda: sink.waiting_for is None)
    sink.stopping.set()
    await running


async def test_a_service_replays_to_a_clients_own_topic_which_that_client_reads_and_no_other(at: Place, pool: Pool):
    own = "ministry.again"
    made_topic = at.administrator.create_topics([NewTopic(own, 1, 1)])[own]
    await asyncio.to_thread(made_topic.result)
    await emit(pool, declined())
    end = await pool.fetchval("select count(*) from event_log") + await pool.fetchval("select count(*) from outbox")
    async with relaying(at, pool) as relay:
        await soon(lambda: relay.published == end)
    wanted = Wanted(topics_of(SERVICE, ["MatchDeclined"]))
    with pytest.raises(NotReplayed, match="there is no topic"):
        await replay(SERVICE, pool, at.signed_in(SERVICE), own, wanted, 1_000, lambda *_: None)
    said = parse(GRANTS.replace("[CompanyRegistered]", f"[CompanyRegistered]\n    own: [{own}]"))
    by_hand = acl("somebody", own)
    made(at, by_hand)
    assert by_hand in (await asyncio.to_thread(at.apply, said)).surplus
    try:
        sent = await replay(SERVICE, pool, at.signed_in(SERVICE), own, wanted, 1_000, lambda *_: None)
        async with reading(at.signed_in(MINISTRY), own, group=MINISTRY) as consumer, asyncio.timeout(20):
            records = [await consumer.getone() for _ in range(sent)]
        assert {dict(record.headers)["ce_type"] for record in records} == {b"MatchDeclined.v1"}
        assert await refused_to_read(at.signed_in(PUBLIC), own, None) == f"Kafka refuses {PUBLIC} the topic {own}"
        async with writing(at.signed_in(MINISTRY)) as producer:
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(own, b"x")
    finally:
        await asyncio.to_thread(at.apply, parse(GRANTS))


def _said(kind: Kind) -> str:
    return "transactional id" if kind is Kind.TRANSACTIONAL_ID else kind.value


def acl(user: str, name: str, **differing: object) -> AclBinding:
    said = {
        "restype": ResourceType.TOPIC,
        "name": name,
        "resource_pattern_type": ResourcePatternType.LITERAL,
        "principal": f"User:{user}",
        "host": "*",
        "operation": AclOperation.READ,
        "permission_type": AclPermissionType.ALLOW,
    }
    return AclBinding(*(said | differing).values())  # pyright: ignore[reportArgumentType]


def made(at: Place, *given: AclBinding) -> None:
    for future in at.administrator.create_acls(list(given)).values():
        future.result()


def test_what_is_applied_twice_changes_nothing(at: Place):
    assert at.apply(parse(GRANTS)).nothing


def test_a_client_that_is_taken_out_of_the_file_is_no_user_any_more_and_may_nothing(at: Place):
    more = parse(GRANTS + "  a-guest:\n    topics: [public]\n")
    assert at.apply(more).new_users == ("a-guest",)
    assert "a-guest" in kept_passwords(at.passwords)
    assert at.apply(parse(GRANTS)).former_users == ("a-guest",)
    assert "a-guest" not in kept_passwords(at.passwords)
    left = at.administrator.describe_acls(broker_acls.EVERY).result()
    assert [each for each in left if each.principal == "User:a-guest"] == []
    assert "a-guest" not in at.administrator.describe_user_scram_credentials().result()


def test_what_somebody_granted_by_hand_over_our_topics_is_taken_back_and_nothing_else(at: Place):
    by_hand = acl("somebody", "NoticeDue")
    theirs = acl("somebody", "a-topic-of-theirs")
    made(at, by_hand, theirs)
    assert at.difference(parse(GRANTS)).surplus == (by_hand,)
    at.apply(parse(GRANTS))
    there = at.administrator.describe_acls(broker_acls.EVERY).result()
    assert by_hand not in there
    assert theirs in there


def test_what_reaches_our_topics_by_a_pattern_is_told_and_left_to_whoever_made_it(at: Place):
    patterns = [
        acl("exporter", "*"),
        acl("exporter", "Company", resource_pattern_type=ResourcePatternType.PREFIXED),
        acl(MINISTRY, "CompanyRegistered", permission_type=AclPermissionType.DENY),
    ]
    made(at, *patterns)
    try:
        found = at.apply(parse(GRANTS))
        assert found.nothing
        assert set(found.left) == set(patterns)
    finally:
        for future in at.administrator.delete_acls([broker_acls.exactly(each) for each in patterns]).values():
            future.result()


def test_a_user_whose_password_is_lost_gets_another(at: Place):
    known = kept_passwords(at.passwords)
    at.passwords.write_text(json.dumps({user: said for user, said in known.items() if user != MINISTRY}))
    assert at.apply(parse(GRANTS)).new_users == (MINISTRY,)
    assert kept_passwords(at.passwords)[MINISTRY] != known[MINISTRY]
    assert at.passwords.stat().st_mode & 0o077 == 0


def test_the_command_compares_and_applies_as_the_administrator_who_signs_in(at: Place, tmp_path: Path):
    file = tmp_path / "grants.yaml"
    file.write_text(GRANTS.replace("[CompanyRegistered]", "[CompanyRegistered, CompanyWithdrawn]"))
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": at.kafka.for_users,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_USERNAME": ADMINISTRATOR,
        "KAFKA_PASSWORD": "at first",
    }

    def run(*arguments: str) -> tuple[int, list[list[str]]]:
        done = CliRunner().invoke(command, arguments, env=environment)
        return done.exit_code, [line.split() for line in done.output.splitlines()]

    of_broker = (str(file), "--passwords", str(at.passwords))
    new = [["+", MINISTRY, "topic", "CompanyWithdrawn", operation] for operation in ("Describe", "Read")]
    assert run("diff", *of_broker) == (1, new)
    assert run("apply", *of_broker) == (0, new)
    assert run("diff", *of_broker) == (0, [])
    assert [MINISTRY, "topic", "CompanyWithdrawn", "Read"] in run("print", str(file))[1]
    file.write_text(GRANTS)
    assert run("apply", *of_broker)[0] == 0


def test_the_conformance_kit_signs_in(at: Place):
    given = [
        *("conformance", "--topic", "own-of-somebody", "--events", "CompanyUpdated", "--check", "gaps"),
        *("--state-command", "echo '{\"subjects\": {}}'", "--within", "0.2"),
    ]
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": at.kafka.for_users,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_USERNAME": ADMINISTRATOR,
        "KAFKA_PASSWORD": "at first",
    }
    told = CliRunner().invoke(contracts, given, env=environment)
    assert (told.exit_code, "VIOLATED   gaps" in told.stdout) == (1, True), told.output
    refused = CliRunner().invoke(contracts, given, env=environment | {"KAFKA_PASSWORD": "wrong"})
    assert (refused.exit_code, refused.stdout, refused.stderr[:10]) == (2, "", "not asked:")


def test_the_command_says_what_is_wrong_and_changes_nothing(at: Place, tmp_path: Path):
    file = tmp_path / "grants.yaml"
    file.write_text("clients:\n  a-ministry:\n    topics: [NoticeDue]\n")
    wrong = ["apply", str(file), "--passwords", str(at.passwords), "--servers", at.kafka.bootstrap]
    done = CliRunner().invoke(command, wrong)
    assert done.exit_code == 1
    assert "grants.yaml:3: clients.a-ministry.topics.0: NoticeDue is internal" in done.output
    assert at.difference(parse(GRANTS)).nothing
