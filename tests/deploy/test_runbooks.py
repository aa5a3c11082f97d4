"""Runbooks on a running system: a fault is made, the page's commands are executed, and the fault is gone.

The restore of PostgreSQL, a full disk and the loss of a broker have systems of their own; what an alert's page says to look at is
typed where all services run, in ``test_live_alerts.py``.
"""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from laptop.system import System
from sojourn_contracts import envelope
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.envelope import Envelope
from uuid_utils.compat import uuid7

from tests.chassis.given import an
from tests.deploy.registering import admitted, published
from tests.deploy.runbooks import OTHERS, blocks, execute, where_it_runs
from tests.faults.rounds import SETTINGS
from tests.faults.story import START

pytestmark = pytest.mark.installed

SERVICES = ("registration", "exchange")
PATIENCE = 60.0
REGISTRATION = str(Path(sys.executable).with_name("registration"))


@pytest.fixture(scope="module")
async def system(backing_folder: Path) -> AsyncIterator[System]:
    """Registration and exchange, whose keys are a folder and a file of their own."""
    folder = backing_folder / "mended"
    keys, public = folder / "signing-keys", folder / "public.json"
    folder.mkdir(parents=True)
    first = await asyncio.create_subprocess_exec(REGISTRATION, "keys", "new", str(keys))
    assert await first.wait() == 0
    environment = SETTINGS | {"SIGNING_KEY": str(keys), "JWKS": str(public)}
    with public.open("w") as file:
        told_to_all = await asyncio.create_subprocess_exec(REGISTRATION, "keys", "jwks", str(keys), stdout=file)
        assert await told_to_all.wait() == 0
    async with System(folder, stopped_at=START, environment=environment, services=SERVICES, kafka=None) as system:
        yield system


async def comes(about: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await about():
            await asyncio.sleep(0.1)


async def status(system: System, service: str) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=5) as http:
        return (await http.get(system.urls[service] + "/status")).json()


async def asked(system: System, query: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(system.database.owner_url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def told(system: System, *events: CompanyRegistered | bytes) -> None:
    """As registration tells: one that is not JSON is a broken record."""
    producer = AIOKafkaProducer(bootstrap_servers=system.kafka)
    await producer.start()
    try:
        for event in events:
            about = uuid7() if isinstance(event, bytes) else event.subject
            whole = an(CompanyRegistered, about) if isinstance(event, bytes) else event
            key, value, headers = envelope.encode(
                Envelope(uuid7(), "sojourn/elsewhere", CompanyRegistered, about, START, whole, sequence=1)
            )
            await producer.send_and_wait(
                CompanyRegistered.topic(), event if isinstance(event, bytes) else value, key=key, headers=headers
            )
    finally:
        await producer.stop()


async def known_to_exchange(system: System, *ids: str) -> None:
    async def all_are() -> bool:
        found = await asked(
            system, "select count(*) from exchange.company where company_id = any ($1::uuid[])", list(ids)
        )
        return found == len(ids)

    await comes(all_are)


def test_every_page_has_commands_that_are_executed():
    for page in OTHERS.glob("*.md"):
        assert blocks(page), page
    assert {page.stem for page in OTHERS.glob("*.md")} == {
        "disk-full", "erasure", "keys", "loss-of-a-broker", "partitions", "rebalance-storm", "replay", "restore",
    }  # fmt: skip


async def test_dead_letters(system: System):
    await told(system, b"{", b"[]", b"null")

    async def dead() -> int:
        return await asked(system, "select count(*) from exchange.dead_letter where state = 'dead'")

    async def all_three() -> bool:
        return await dead() == 3

    await comes(all_three)
    environment = where_it_runs(system, "exchange")
    assert "Malformed" in await execute("SojournDeadLetters", "Diagnosis", environment)
    # one of them can be handled by now, as after a repair
    whole = an(CompanyRegistered)
    letter = await asked(system, "select id from exchange.dead_letter where state = 'dead' limit 1")
    _, value, _ = envelope.encode(Envelope(uuid7(), "x", CompanyRegistered, whole.subject, START, whole, sequence=1))
    subject = await asked(system, "select convert_from(key, 'UTF8') from exchange.dead_letter where id = $1", letter)
    assert value is not None
    await asked(
        system,
        "update exchange.dead_letter set value = $2 where id = $1",
        letter,
        value.replace(str(whole.subject).encode(), subject.encode()),
    )
    said = await execute("SojournDeadLetters", "Mitigation", environment)
    assert said.count("replayed") == 1
    assert await dead() == 2
    await known_to_exchange(system, subject)
    for left in (1, 0):
        await execute("SojournDeadLetters", "Mitigation", environment, 1)
        assert await dead() == left


async def test_a_relay_that_stands_still(system: System):
    (whom,) = await admitted(system, 1)
    await known_to_exchange(system, whom)
    process = system.processes["registration"]
    process.freeze()
    await system.run("registration", "erase", "company", whom)  # what it emits waits for the relay
    environment = where_it_runs(system, "registration", PID=str(process.pid))
    assert await asked(system, "select count(*) from registration.outbox") > 0
    await execute("SojournOutboxAge", "Mitigation", environment)
    await system.kill("registration")  # it is gone, and collected
    await system.start_service("registration")

    await published(system)

    async def forgotten() -> bool:
        return await asked(system, "select count(*) from exchange.erased where subject = $1::uuid", whom) == 1

    await comes(forgotten)


async def test_a_relay_that_halted_since_kafka_lost_its_position(system: System):
    ids = await admitted(system, 3)
    await known_to_exchange(system, *ids)
    await system._stop_service(system.processes["registration"])
    lose = '--bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --delete --group registration.relay'
    environment = where_it_runs(system, "registration")
    shell = await asyncio.create_subprocess_exec("bash", "-c", f"kafka-consumer-groups.sh {lose}", env=environment)
    assert await shell.wait() == 0
    await system.start_service("registration")

    async def halted() -> bool:
        return (await status(system, "registration"))["halted"]

    await comes(halted)
    await execute("SojournHalted", "Diagnosis", environment)
    await system._stop_service(system.processes["registration"])
    assert json.loads(await execute("SojournHalted", "Mitigation", environment))["taken_back"] == 0
    await system.start_service("registration")
    more = await admitted(system, 1)
    await known_to_exchange(system, *more)
    assert not await halted()
    positions = await asked(system, "select array_agg(position order by position) from registration.event_log")
    assert positions == list(range(1, len(positions) + 1))


async def test_a_rebalance_storm(system: System):
    over = asyncio.Event()

    async def storm() -> None:
        while not over.is_set():
            intruder = AIOKafkaConsumer(
                CompanyRegistered.topic(),
                bootstrap_servers=system.kafka,
                group_id="exchange",
                client_id="intruder",
                partition_assignment_strategy=(RangePartitionAssignor,),
            )
            with suppress(Exception):
                await intruder.start()
                await asyncio.sleep(1.5)
            await intruder.stop()

    raging = asyncio.create_task(storm())
    environment = where_it_runs(system, "exchange")
    seen = ""
    for _ in range(5):
        seen += await execute("rebalance-storm", "Look", environment)
        if "intruder" in seen:
            break
    over.set()
    await raging
    assert "intruder" in seen
    ids = await admitted(system, 2)
    await known_to_exchange(system, *ids)

    async def stable() -> bool:
        with suppress(AssertionError):
            await execute("rebalance-storm", "It is over", environment)
            return True
        return False

    await comes(stable)


async def test_replay_of_a_topic(system: System, tmp_path: Path):
    ids = await admitted(system, 2)
    await known_to_exchange(system, *ids)
    own = {"OWN_TOPIC": f"own-{uuid4().hex[:8]}", "REPLICAS": "1", "TOPIC": CompanyRegistered.topic()}
    environment = where_it_runs(system, "registration", **own)
    said = await execute("replay", "", environment | {"OWN_TOPIC": own["OWN_TOPIC"]})
    logged = await asked(system, "select count(*) from registration.event_log where topic = 'CompanyRegistered'")
    assert json.loads(said.splitlines()[-1])["sent"] == logged
    # one of ours missed something: its group was set forward
    await system._stop_service(system.processes["exchange"])
    (missed,) = await admitted(system, 1)
    await published(system)
    forward = AIOKafkaConsumer(bootstrap_servers=system.kafka, group_id="exchange", enable_auto_commit=False)
    await forward.start()
    places = [TopicPartition(CompanyRegistered.topic(), number) for number in range(6)]
    forward.assign(places)
    await forward.commit(await forward.end_offsets(places))
    await forward.stop()
    since = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")
    await execute("replay", "", where_it_runs(system, "exchange", SINCE=since), 1)
    await system.start_service("exchange")
    await known_to_exchange(system, missed)


async def test_an_erasure(system: System):
    (whom,) = await admitted(system, 1)
    await known_to_exchange(system, whom)
    environment = where_it_runs(system, "registration", KIND="company", WHOM=whom)
    page = blocks(OTHERS / "erasure.md")[""]
    assert len(page) == 2
    # survey and matching do not run here, and so do not answer
    asking = page[0] + "echo $ERASURE"
    shell = await asyncio.create_subprocess_exec("bash", "-euo", "pipefail", "-c", asking, stdout=-1, env=environment)
    out, _ = await shell.communicate()
    erasure = out.decode().strip()
    for service in ("matching", "survey"):
        await asked(
            system,
            "insert into registration.erasure_answer (erasure_id, service, done_at) values ($1::uuid, $2, now())",
            erasure,
            service,
        )
    said = await execute("erasure", "", environment | {"ERASURE": erasure}, 1)
    assert json.loads(said[said.rindex('{\n  "done_at"') :])["outstanding"] == []
    assert await asked(system, "select count(*) from registration.company where company_id = $1::uuid", whom) == 0


async def test_keys_are_changed_without_anybody_being_refused(system: System):
    async def accepted(token: str) -> int:
        async with httpx.AsyncClient(timeout=5, headers={"authorization": f"Bearer {token}"}) as http:
            return (await http.get(system.urls["exchange"] + "/exchanges")).status_code

    former = (await system.run("registration", "token", "--role", "operator")).strip()
    assert await accepted(former) == 200
    environment = where_it_runs(system, "registration")
    states = await execute("keys", "Tokens", environment)
    assert '"next"' in states
    assert '"current"' in states
    await execute("keys", "Tokens", environment, 1)
    new = (await system.run("registration", "token", "--role", "operator")).strip()
    await asyncio.sleep(5)  # exchange asks for an unknown key at most so often
    assert await accepted(new) == 200
    public = json.loads(Path(environment["JWKS"]).read_text())["keys"]
    kid = json.loads(base64.urlsafe_b64decode(former.split(".")[0] + "=="))["kid"]
    assert kid not in {key["kid"] for key in public}

    environment = where_it_runs(system, "exchange")
    before = json.loads(Path(environment["MANIFEST_KEY"]).read_text())
    await execute("keys", "Manifests", environment)
    held = json.loads(Path(environment["MANIFEST_KEY"]).read_text())["keys"]
    assert "d" in held[0]
    assert "d" not in held[1]
    assert held[1]["x"] == before["x"]
    await system.restart("exchange")
    await execute("keys", "Manifests", environment, 1)
    Path(environment["MANIFEST_KEY"]).write_text(json.dumps(before))


async def test_moving_topics_to_more_partitions(system: System, tmp_path: Path):
    """Last: what is read afterwards has twelve partitions."""
    ids = await admitted(system, 4)
    await known_to_exchange(system, *ids)
    topics = ["CompanyRegistered", "CompanyUpdated", "CompanyWithdrawn"]
    own = {
        "TOPICS": " ".join(topics),
        "PARTITIONS": "12",
        "GROUPS_THAT_READ": "exchange",
        "BEFORE": str(tmp_path / "before.json"),
    }
    environment = where_it_runs(system, "registration", **own)
    await system._stop_service(system.processes["registration"])
    await execute("partitions", "Nobody writes, everybody has read", environment)
    said = await execute("partitions", "Raise", environment)
    sent = json.loads(said.splitlines()[-1])["sent"]
    newest = await asked(
        system, "select count(distinct (topic, subject)) from registration.event_log where topic = any ($1)", topics
    )
    assert sent >= newest > 0
    await system.restart("exchange")
    handled = await asked(system, "select count(*) from exchange.inbox")
    await execute("partitions", "Delete what stood there before", environment)
    await system.start_service("registration")
    more = await admitted(system, 4)
    await known_to_exchange(system, *more)
    assert await asked(system, "select count(*) from exchange.inbox") == handled + 4, "nothing was handled twice"

    places: dict[bytes, set[int]] = {}
    newest_of: dict[bytes, int] = {}
    reader = AIOKafkaConsumer(
        "CompanyRegistered",
        bootstrap_servers=system.kafka,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await reader.start()
    while batch := await reader.getmany(timeout_ms=2_000):
        for place, records in batch.items():
            for record in records:
                assert record.key is not None
                places.setdefault(record.key, set()).add(place.partition)
                newest_of[record.key] = int(dict(record.headers)["ce_sequence"])
    await reader.stop()
    assert {partition for found in places.values() for partition in found} - set(range(6)), "the new ones are used"
    assert all(len(found) == 1 for found in places.values()), "each key stands on one partition"
    assert {*ids, *more} <= {key.decode() for key in places}
    assert not (await status(system, "registration"))["halted"]
    await system.restart("registration")  # and a relay that takes over reads the newest of all twelve
    again = await admitted(system, 1)
    await known_to_exchange(system, *again)
