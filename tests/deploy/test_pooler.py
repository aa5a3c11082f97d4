"""A service's processes behind PgBouncer, which lends a connection for a transaction and no longer."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from chassis.doctor.looking import examined
from chassis.migrations import MigrationError, migrate
from exchange.main import service as exchange
from laptop import as_user
from laptop.ports import HOST, free_port
from laptop.postgres import _system_user, private_file
from laptop.process import Process
from laptop.system import System
from sojourn_contracts.company import CompanyWithdrawn
from sojourn_contracts.match import MatchDeclined, MatchProposed
from uuid_utils.compat import uuid7

from tests.chassis.given import an
from tests.chassis_driver import record

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
SERVICE = exchange.name
LENT = 4
"""Connections of the service that PgBouncer has at PostgreSQL, at most; each process would take ten."""
PASSED_OVER = (
    "extra_float_digits", "search_path", "idle_in_transaction_session_timeout", "transaction_timeout", "lock_timeout",
    "max_parallel_workers_per_gather", "jit",
)  # fmt: skip
"""As docs/capacity.md says."""
MATCHES = 150

pytestmark = [
    pytest.mark.installed,
    pytest.mark.skipif(
        PGBOUNCER is None,
        reason="pgbouncer is not there, so NO POOLER IS TESTED (Debian: apt-get install pgbouncer)",
    ),
]


@pytest.fixture(scope="module")
async def system(backing_folder: Path) -> AsyncIterator[System]:
    """Kafka and PostgreSQL alone, with the service's schema."""
    folder = backing_folder / "pooled"
    folder.mkdir()
    async with System(folder, services=[]) as system:
        await system.run(SERVICE, "migrate")
        yield system


def _statements() -> int:
    """Kept on each connection: PgBouncer knows of them since 1.21."""
    told = subprocess.run([str(PGBOUNCER), "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = map(int, re.findall(r"PgBouncer (\d+)\.(\d+)", told)[0])
    return 100 if (major, minor) >= (1, 21) else 0


@pytest.fixture(scope="module")
async def pooled(system: System) -> AsyncIterator[dict[str, str]]:
    """What a process needs to work through PgBouncer, but the connection for listening."""
    folder, port = system.folder / "pgbouncer", free_port()
    folder.mkdir()
    database = system.database
    at = urlsplit(database.admin_url)
    private_file(folder / "users", "".join(f'"{role}" "{word}"\n' for role, word in database.passwords.items()))
    statements = _statements()
    said = {
        "listen_addr": HOST, "listen_port": port, "auth_type": "scram-sha-256", "auth_file": folder / "users",
        "unix_socket_dir": "", "pool_mode": "transaction", "default_pool_size": LENT,
        "ignore_startup_parameters": ", ".join(PASSED_OVER),
        **({"max_prepared_statements": 2 * statements} if statements else {}),
    }  # fmt: skip
    lines = "".join(f"{name} = {value}\n" for name, value in said.items())
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{database.name} = host={at.hostname} port={at.port}\n[pgbouncer]\n{lines}"
    )
    command = [str(PGBOUNCER), str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:  # as which it refuses to run
        owner = _system_user()
        for path in (folder, *folder.iterdir()):
            os.chown(path, *owner)
        command = [*as_user.command(*owner), *command]
    bouncer = Process("PgBouncer", command, log=system.logs / "pgbouncer.log", environment={})
    bouncer.spawn()
    address = f"@{HOST}:{port}/"
    url = re.sub(r"@[^/]+/", address, database.url(SERVICE))
    async with asyncio.timeout(20):
        while True:
            try:
                await (await asyncpg.connect(url, statement_cache_size=0)).close()
                break
            except (OSError, asyncpg.PostgresError):
                bouncer.require_alive()
                await asyncio.sleep(0.1)
    yield {"DATABASE_URL": url, "STATEMENT_CACHE_SIZE": str(statements)}
    await bouncer.stop()


def directly(system: System, pooled: dict[str, str]) -> dict[str, str]:
    return pooled | {"LISTEN_DATABASE_URL": system.database.url(SERVICE)}


async def test_two_processes_share_few_connections_and_handle_and_publish_each_event_once(
    system: System, pooled: dict[str, str]
):
    processes = [
        Process(
            f"exchange-{number}",
            [Path(sys.executable).with_name(SERVICE), "serve"],
            log=system.logs / f"exchange-{number}.log",
            environment=system.environment(SERVICE) | directly(system, pooled) | {"HTTP_PORT": str(free_port())},
        )
        for number in (1, 2)
    ]
    owner = await asyncpg.connect(system.database.owner_url)
    most = {"listening": 0, "in all": 0}
    for process in processes:
        process.spawn()
    try:
        told = await tell(system)
        async with asyncio.timeout(90):
            while await owner.fetchval("select count(*) from exchange.inbox where event_id = any($1)", told) < len(
                told
            ):
                for process in processes:
                    process.require_alive()
                await note_connections(owner, most)
                await asyncio.sleep(0.05)
            while await owner.fetchval("select count(*) from exchange.outbox"):
                await note_connections(owner, most)
                await asyncio.sleep(0.05)
        declined = await published(system)
        assert len(declined) == len(set(declined)) == MATCHES
        assert await owner.fetchval("select count(*) from exchange.dead_letter") == 0
        assert most["listening"] == 1  # that of the relay that leads, past the pooler
        assert most["in all"] <= LENT + 1
        said = "".join(process.log.read_text() for process in processes)
        assert "takes over anew" not in said
        assert [line for line in said.splitlines() if "events wait" in line] == []
    finally:
        codes = [await process.stop() for process in processes]
        await owner.close()
    assert codes == [0, 0]


async def note_connections(owner: asyncpg.Connection, most: dict[str, int]) -> None:
    row = await owner.fetchrow(
        "select count(*) filter (where query ilike 'listen %') as listening, count(*) as \"in all\""
        " from pg_stat_activity where usename = 'sojourn_exchange'"
    )
    for kind in most:
        most[kind] = max(most[kind], row[kind])


async def tell(system: System) -> list[UUID]:
    """Companies leave, and are proposed: each match is declined once, whichever is heard first."""
    told: list[UUID] = []
    async with AIOKafkaProducer(bootstrap_servers=system.kafka) as producer:
        for _ in range(MATCHES):
            sender = uuid7()
            for event in (an(CompanyWithdrawn, sender), an(MatchProposed, sender_id=sender)):
                event_id = uuid7()
                sent = record(event, event_id=event_id)
                await producer.send(sent.topic, sent.value, sent.key, headers=sent.headers)
                told.append(event_id)
        await producer.flush()
    return told


async def published(system: System) -> list[UUID]:
    """The matches whose declining stands on the topic, as often as it does."""
    found: list[UUID] = []
    async with asyncio.timeout(30):
        async with AIOKafkaConsumer(
            bootstrap_servers=system.kafka, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer:
            places = [TopicPartition(MatchDeclined.topic(), number) for number in range(6)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [UUID(json.loads(record.value)["match_id"]) for record in records if record.value]
    return found


async def test_the_doctor_says_that_nothing_is_heard_through_it_and_finds_nothing_with_a_way_past_it(
    system: System, pooled: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in (system.settings(SERVICE) | pooled).items():
        monkeypatch.setenv(name, value)
    [finding] = (await examined(exchange, ())).findings
    assert finding.check == "listening"
    assert "LISTEN_DATABASE_URL" in finding.remedy
    monkeypatch.setenv("LISTEN_DATABASE_URL", system.database.url(SERVICE))
    assert (await examined(exchange, ())).findings == []


async def test_migrations_refuse_to_go_through_it(system: System, pooled: dict[str, str]):
    address = urlsplit(pooled["DATABASE_URL"]).netloc.rpartition("@")[2]
    through = re.sub(r"@[^/]+/", f"@{address}/", system.database.migrator_url)
    with pytest.raises(MigrationError, match="a pooler stands before PostgreSQL"):
        await migrate(through, SERVICE, exchange.migrations)
