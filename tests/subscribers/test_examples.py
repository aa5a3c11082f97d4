"""The example subscribers, on a real broker with records as relays write them: killed, they lose and repeat none."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from laptop.access import client
from laptop.acls import apply, kept_passwords
from laptop.backing import ADMINISTRATOR
from laptop.kafka import Kafka
from laptop.process import Process
from sojourn_contracts.grants import parse

from tests.chassis.waiting import until
from tests.conftest import with_topics
from tests.contracts.examples import Example, example
from tests.subscribers import toolchain
from tests.subscribers.programs import CURL, EXAMPLES, JAVA, Row, java, kept, python, typescript

TOPICS = ("SurveySubmitted", "ExchangeCompleted")
USER = "research-institute"
KEYS = {"SurveySubmitted": "record_id", "ExchangeCompleted": "exchange_id"}
FILES = (
    EXAMPLES / "python/subscriber.py",
    JAVA,
    EXAMPLES / "typescript/subscriber.ts",
    CURL,
)


@pytest.fixture(scope="module")
async def broker(backing_folder: Path) -> AsyncIterator[Kafka]:
    """It asks users who they are. One of its own: on the other tests' topics stands much that no relay would write."""
    async with with_topics(Kafka(backing_folder / "kafka-subscribers", administrator=ADMINISTRATOR)) as broker:
        yield broker


@pytest.fixture(scope="module")
async def environment(broker: Kafka, backing_folder: Path) -> dict[str, str]:
    """What a subscriber is told: where the broker is, and the user that was granted both topics."""
    passwords = backing_folder / "kafka-subscribers" / "passwords.json"
    grants = parse(f"clients: {{{USER}: {{topics: [{', '.join(TOPICS)}]}}}}")
    await asyncio.to_thread(apply, client(broker.bootstrap), grants, passwords)
    return os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": broker.for_users,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_USERNAME": USER,
        "KAFKA_PASSWORD": kept_passwords(passwords)[USER],
    }


@pytest.fixture(scope="module")
async def relay(broker: Kafka) -> AsyncIterator[AIOKafkaProducer]:
    """What writes as a relay does."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap, transactional_id="example.relay", retry_backoff_ms=3, linger_ms=0
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


class Published:
    """What was published, and so what is to be kept of it."""

    def __init__(self, relay: AIOKafkaProducer) -> None:
        self._relay = relay
        self.kept: list[Row] = []
        self._sequence = 0

    async def events(self, count: int) -> list[Example]:
        """So many on each topic, in transactions of some, as relays write them; those of one topic after the other's."""
        written: dict[str, list[Example]] = {topic: [] for topic in TOPICS}
        for start in range(0, count, 20):
            async with self._relay.transaction():
                for topic in TOPICS:
                    for _ in range(min(20, count - start)):
                        event = self._event(topic)
                        await self._send(topic, event, event.record[0])
                        self.kept.append((topic, event.key, event.headers["ce_id"], event.value))
                        written[topic].append(event)
        return [event for topic in TOPICS for event in written[topic]]

    async def again(self, topic: str, event: Example) -> None:
        """The same event, under its id, as when a topic is filled anew."""
        async with self._relay.transaction():
            await self._send(topic, event, event.record[0])

    async def tombstone(self, topic: str, event: Example) -> None:
        """And behind it an event about the same subject, which nobody may take for new."""
        gone, late = self._event(topic, event.key), self._event(topic, event.key)
        async with self._relay.transaction():
            await self._send(topic, gone, None)
            await self._send(topic, late, late.record[0])
        self.kept = [row for row in self.kept if row[:2] != (topic, event.key)]
        self.kept.append((topic, event.key, gone.headers["ce_id"], None))

    async def aborted(self) -> None:
        """What a leader sent that was deposed in the middle."""
        await self._relay.begin_transaction()
        for topic in TOPICS:
            for _ in range(20):
                event = self._event(topic)
                sent = await self._send(topic, event, event.record[0])
            await sent
        await self._relay.abort_transaction()

    async def of_another_version(self) -> None:
        async with self._relay.transaction():
            for topic in TOPICS:
                await self._send(topic, self._event(topic).headed(ce_type=f"{topic}.v2"), b'{"nobody": "knows"}')

    def _event(self, topic: str, subject: str | None = None) -> Example:
        """As the contract's example, with a field of a later minor version."""
        self._sequence += 1
        own = subject or str(uuid4())
        said = {"ce_id": str(uuid4()), "ce_subject": own, "ce_sequence": str(self._sequence)}
        newer = (
            example(topic)
            .but(KEYS[topic], value=own)
            .but("later", value={"\u00dcn\u00efcode": [1, None]})
            .headed(**said)
        )
        return Example(own, newer.value, newer.headers)

    async def _send(self, topic: str, event: Example, value: bytes | None) -> "asyncio.Future[Any]":
        return await self._relay.send(topic, key=event.key.encode(), value=value, headers=event.record[1])


@pytest.fixture(scope="module")
async def published(relay: AIOKafkaProducer) -> Published:
    """All that a subscriber has to be ready for."""
    published = Published(relay)
    surveys, exchanges = (written := await published.events(60))[:60], written[60:]
    for topic, events in zip(TOPICS, (surveys, exchanges), strict=True):
        await published.aborted()
        await published.again(topic, events[0])
        await published.tombstone(topic, events[1])
    await published.of_another_version()
    return published


def by_subject(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """Events of one subject keep their order; others have none."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault(row[:2], []).append(row)
    return found


@pytest.mark.parametrize(("command", "kills"), [(python, 2), (java, 1), (typescript, 1)])
async def test_a_subscriber_that_is_killed_in_the_middle_keeps_what_was_published_and_nothing_else(
    command: Callable[[], list[str]], kills: int, environment: dict[str, str], published: Published, tmp_path: Path
):
    store = tmp_path / "events.sqlite"
    said = {**environment, "STORE": str(store)}
    subscriber = Process(command.__name__, await asyncio.to_thread(command), log=tmp_path / "log", environment=said)

    def has_gone_on() -> bool:
        subscriber.require_alive()
        return len(kept(store)) > before

    try:
        for _ in range(kills):
            before = len(kept(store))
            publishing = asyncio.create_task(published.events(100))
            subscriber.spawn()
            await until(has_gone_on, within=60)
            await subscriber.kill()
            await publishing
            await published.events(40)
        subscriber.spawn()
        before = len(published.kept) - 1
        await until(has_gone_on, within=60)
        assert by_subject(kept(store)) == by_subject(published.kept)
    finally:
        await subscriber.kill()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_has_at_most_60_lines(file: Path):
    assert len(file.read_text().splitlines()) <= 60


@pytest.mark.full
def test_the_typescript_example_has_sound_types():
    command = toolchain.node(EXAMPLES / "typescript", "node_modules/typescript/bin/tsc", tools=True)
    checked = subprocess.run(
        command, cwd=Path(command[1]).parents[3], capture_output=True, text=True, timeout=120, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.full
def test_maven_builds_the_java_example(tmp_path: Path):
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip(
            "Maven is not installed here: only its pom.xml's dependencies were used, not the build that it says"
        )
    shutil.copytree(EXAMPLES / "java", tmp_path / "java")
    built = subprocess.run(
        [maven, "-q", "compile"], cwd=tmp_path / "java", capture_output=True, text=True, timeout=600, check=False
    )
    assert built.returncode == 0, built.stdout
    assert (tmp_path / "java/target/classes/Subscriber.class").exists()
