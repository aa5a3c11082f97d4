"""What roles may do, and which topics there are."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from laptop import topics
from laptop.postgres import Postgres
from laptop.roles import ROLES, Database, drop, kept_passwords, provision
from laptop.topics import POSITION_TOPIC, TopicsError, create_topics
from sojourn_contracts.catalogue import SERVICES, TOPICS


@pytest.fixture
async def fresh(postgres: Database):
    """A database of its own with one table per schema, made as migrations make them."""
    database = await provision(postgres.admin_url, postgres.passwords, name="provisioning")
    migrator = await asyncpg.connect(database.migrator_url)
    for service in SERVICES:
        await migrator.execute(f"create table {service}.stay (id bigint generated always as identity, days int)")
    await migrator.execute("create table public._pogo_migration (migration_id text)")
    await migrator.close()
    yield database
    await drop(database)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_runtime_role_reads_and_writes_its_own_schema_and_no_other(fresh: Database, service: str):
    connection = await asyncpg.connect(fresh.url(service))
    try:
        await connection.execute("insert into stay (days) values (14)")
        await connection.execute("update stay set days = 15")
        assert await connection.fetchval("select days from stay") == 15
        await connection.execute("delete from stay")
        for other in (*(f"{name}.stay" for name in SERVICES if name != service), "public._pogo_migration"):
            for statement in ("select 1 from {}", "insert into {} default values", "delete from {}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement.format(other))
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "create table matching.more (x int)",
        "create table public.more (x int)",
        "create temporary table more (x int)",
        "create schema more",
        "alter table matching.stay add more int",
        "drop table matching.stay",
        "truncate matching.stay",
        "create role more",
        "set role sojourn_migrator",
    ],
)
async def test_a_runtime_role_defines_nothing(fresh: Database, statement: str):
    connection = await asyncpg.connect(fresh.url("matching"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_every_role_has_its_time_limits(fresh: Database):
    for url, idle in ((fresh.migrator_url, "0"), *((fresh.url(service), "5s") for service in SERVICES)):
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("show lock_timeout") == "5s"
        assert await connection.fetchval("show idle_in_transaction_session_timeout") == idle
        await connection.close()


async def test_provisioning_again_changes_nothing(fresh: Database):
    before = await _rights(fresh)
    again = await provision(fresh.admin_url, fresh.passwords, name=fresh.name)
    assert again == fresh
    assert await _rights(fresh) == before


async def test_an_administrator_who_is_no_superuser_can_provision(postgres: Database):
    superuser = await asyncpg.connect(postgres.admin_url)
    await superuser.execute("create role landlord login createrole createdb password 'for-this-test'")
    for role in postgres.passwords:
        await superuser.execute(f"grant {role} to landlord with admin option")
    address = postgres.admin_url.rpartition("@")[2]
    url = f"postgresql://landlord:for-this-test@{address}"
    try:
        database = await provision(url, postgres.passwords, name="let")
        connection = await asyncpg.connect(database.url("survey"))
        assert await connection.fetchval("select current_schema()") == "survey"
        await connection.close()
        await drop(database)
    finally:
        await superuser.execute("drop owned by landlord cascade")
        await superuser.execute("drop role landlord")
        await superuser.close()


def test_passwords_are_random_kept_and_nobody_elses_to_read(tmp_path: Path):
    file = tmp_path / "passwords.json"
    passwords = kept_passwords(file)
    assert len(set(passwords.values())) == 5
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept_passwords(file) == passwords
    assert kept_passwords(tmp_path / "another.json") != passwords


def test_a_database_prints_no_password(postgres: Database):
    printed = repr(postgres)
    assert not any(password in printed for password in postgres.passwords.values())
    assert postgres.admin_url not in printed


async def test_topics_are_those_of_the_catalogue(kafka: str):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        there = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        ours = {name: partitions for name, partitions in there.items() if not name.startswith("__")}
        expected = {topic.name: topic.partitions for topic in TOPICS} | {POSITION_TOPIC: 1}
        assert expected.items() <= ours.items()
        for topic in TOPICS:
            [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
            settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
            assert topic.configuration.items() <= settings.items()
    finally:
        await admin.close()


async def test_making_topics_again_changes_nothing_and_another_partition_count_is_an_error(
    kafka: str, monkeypatch: pytest.MonkeyPatch
):
    await create_topics(kafka)
    wanted = topics.wanted()
    name, topic = next(iter(wanted.items()))
    wanted[name] = topics.Wanted(topic.partitions + 1, topic.configuration)
    monkeypatch.setattr(topics, "wanted", lambda: wanted)
    with pytest.raises(TopicsError, match=f"{name} has {topic.partitions} partitions, not {topic.partitions + 1}"):
        await create_topics(kafka)


async def test_a_topic_that_the_broker_refuses_is_an_error(kafka: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(topics, "wanted", lambda: {"refused": topics.Wanted(1, {"cleanup.policy": "nonsense"})})
    with pytest.raises(TopicsError, match="refused: InvalidConfig"):
        await create_topics(kafka)


@pytest.mark.installed
async def test_one_command_provisions_what_runs_elsewhere_and_may_be_repeated(server_folder: Path, kafka: str):
    server = Postgres(server_folder / "postgres", settings={"fsync": "off"})
    await server.start()
    try:
        given = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "DATABASE_URL": server.admin_url, "ROLES_PASSWORD": "chosen"}
        folder = server_folder / "keys"
        command = [Path(sys.executable).with_name("laptop"), "provision", "--folder", folder]
        keys = []
        for _ in range(2):
            done = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            keys.append((folder / "signing-key.json").read_text())
        assert keys[0] == keys[1]
        database = Database(server.admin_url, "sojourn", dict.fromkeys(ROLES, "chosen"))
        for service in SERVICES:
            connection = await asyncpg.connect(database.url(service))
            assert await connection.fetchval("select current_schema()") == service
            await connection.close()
        given["DATABASE_URL"] = database.url("survey")
        refused = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, timeout=60)
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
        assert "Not provisioned: " in refused.stderr
    finally:
        await server.stop()


async def _rights(database: Database) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(database.owner_url)
    try:
        rows = await connection.fetch(
            """
            select 'schema', nspname::text, nspacl::text from pg_namespace where nspname !~ '^pg_'
            union all select 'table', relname::text, relacl::text from pg_class where relname in ('stay', '_pogo_migration')
            union all select 'default', defaclobjtype::text, defaclacl::text from pg_default_acl
            union all select 'database', datname::text, datacl::text from pg_database where datname = current_database()
            order by 1, 2, 3
            """
        )
        return [tuple(row) for row in rows]
    finally:
        await connection.close()
