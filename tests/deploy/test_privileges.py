"""What each of our roles must not do in the database is refused when it tries, and what it must do it can."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from chassis.migrations import migrate
from exchange.main import service as exchange
from laptop.roles import MIGRATOR, Database, drop, provision, runtime_role
from matching.main import service as matching
from registration.main import service as registration
from survey.main import service as survey

SERVICES = {service.name: service for service in (registration, matching, exchange, survey)}
LOGGED = (
    "insert into event_log (position, generation, topic, sequence, event_id, type, dataschema, subject, time, data, written_at)"
    " values (1, 1, 't', 1, gen_random_uuid(), 't', 't', gen_random_uuid(), now(), 'said', now())"
)


@pytest.fixture(scope="module")
async def migrated(postgres: Database) -> AsyncIterator[Database]:
    database = await provision(postgres.admin_url, postgres.passwords, name="privileges")
    for service in SERVICES.values():
        await migrate(database.migrator_url, service.name, service.migrations)
    yield database
    await drop(database)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def refused(connection: asyncpg.Connection, *statements: str) -> None:
    """Each for want of a right, and not because it is wrong."""
    done = []
    for statement in statements:
        try:
            await connection.execute(statement)
            done.append(statement)
        except asyncpg.InsufficientPrivilegeError:
            pass
    assert done == []


BEYOND_ITS_DATABASE = (
    "select rolpassword from pg_authid",
    "select passwd from pg_shadow",
    "select pg_read_file('PG_VERSION')",
    "select pg_ls_dir('.')",
    "select lo_import('/etc/passwd')",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/out'",
    "alter system set log_statement = 'all'",
    "select pg_reload_conf()",
    "set session_replication_role = 'replica'",
    "set log_statement = 'none'",
    "create role more",
    "create database more",
    "alter role current_user superuser",
    "alter role current_user createrole",
    "alter role postgres password 'known'",
    "create function run() returns void language c as 'libc.so.6', 'system'",
    "create subscription more connection 'host=elsewhere' publication all_of_it",
    "select pg_create_physical_replication_slot('more')",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
    "set role postgres",
    "set session authorization postgres",
)
OF_A_SHAPE = (
    "create table more (x int)",
    "create table public.more (x int)",
    "create temporary table more (x int)",
    "create schema more",
    "create view more as select 1",
    "create function more() returns int language sql as 'select 1'",
    "create sequence more",
    "create type more as enum ('x')",
    "create index on outbox (topic)",
    "create trigger more after insert on outbox execute function tsvector_update_trigger()",
    "create policy more on outbox",
    "create publication more for table outbox",
    "alter table outbox add more int",
    "alter table outbox disable trigger all",
    "alter table outbox owner to current_user",
    "drop table outbox",
    "drop schema {own}",
    "truncate outbox",
    "truncate event_log",
    "comment on table event_log is null",
    f"set role {MIGRATOR}",
    f"alter role {MIGRATOR} password 'known'",
)
NEVER_TAKEN_BACK = (
    "delete from event_log",
    "update event_log set position = position",
    "update event_log set sequence = sequence",
    "update event_log set event_id = event_id",
    "delete from erased",
    "update erased set subject = subject",
)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_reaches_no_other_schema_no_shape_and_nothing_of_the_server(migrated: Database, service: str):
    others = [name for name in SERVICES if name != service]
    elsewhere = [
        part.format(other)
        for other in others
        for part in ("select from {}.outbox", "insert into {0}.lease select from {0}.lease", "delete from {}.event_log",
                     "select from {}.schema_version", f"set role {runtime_role('{}')}")
    ]  # fmt: skip
    async with connected(migrated.url(service)) as role:
        shapes = [statement.format(own=service) for statement in OF_A_SHAPE]
        await refused(role, *BEYOND_ITS_DATABASE, *shapes, *elsewhere, *NEVER_TAKEN_BACK)
        await refused(role, "select from public._pogo_migration", "delete from public._pogo_migration")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_adds_to_its_log_and_forgets_what_was_said_there(migrated: Database, service: str):
    async with connected(migrated.url(service)) as role:
        tried = role.transaction()
        await tried.start()
        await role.execute(LOGGED)
        await role.execute("update event_log set data = null where position = 1")
        await role.execute("select from event_log where position = 1 for share")
        await role.execute("lock table erased in exclusive mode")
        await role.execute("insert into erased (subject) values (gen_random_uuid()) on conflict do nothing")
        await tried.rollback()


async def test_the_migrator_is_no_administrator_of_the_server(migrated: Database):
    async with connected(migrated.migrator_url) as role:
        await refused(role, *BEYOND_ITS_DATABASE, *(f"set role {runtime_role(service)}" for service in SERVICES))


async def test_rights_are_those_of_rows_in_ones_own_schema_and_roles_have_nothing_else(migrated: Database):
    """Of every table and function that there is: one that a migration adds tomorrow is among them."""
    async with connected(migrated.owner_url) as owner:
        tables = await owner.fetch(
            "select nspname as schema, relname as name, pg_class.oid, relkind::text as kind,"
            " obj_description(pg_class.oid, 'pg_class') as comment"
            " from pg_class join pg_namespace on pg_namespace.oid = relnamespace"
            " where relkind in ('r', 'v', 'm', 'p') and nspname !~ '^pg_' and nspname <> 'information_schema'"
        )
        assert {table["schema"] for table in tables} >= {*SERVICES, "survey_sink", "public"}
        for table in tables:
            for service in SERVICES:
                rights = {
                    right
                    for right in (
                        "select",
                        "insert",
                        "update",
                        "delete",
                        "truncate",
                        "references",
                        "trigger",
                        "maintain",
                    )
                    if await owner.fetchval(
                        "select has_table_privilege($1::text, $2::oid, $3)", runtime_role(service), table["oid"], right
                    )
                }
                ours = table["schema"] in (service, f"{service}_sink")
                rows = {"select", "insert", "update", "delete"}
                allowed = rows if ours and table["kind"] == "r" else {"select"} if ours else set[str]()
                if (table["comment"] or "").startswith("insert-only"):
                    allowed = (allowed - {"update", "delete"}) | (
                        {"maintain"} if "maintain" in table["comment"] else set()
                    )
                assert rights <= allowed or (rights <= rows and ours and table["kind"] == "v"), (table["name"], service)
        roles = await owner.fetch(
            "select rolname, rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as more,"
            " exists (select from pg_auth_members where member = pg_roles.oid) as member"
            " from pg_roles where rolname like 'sojourn_%'"
        )
        assert {role["rolname"] for role in roles} == {MIGRATOR, *map(runtime_role, SERVICES)}
        assert not any(role["more"] or role["member"] for role in roles)
        definers = await owner.fetch(
            "select oid::regprocedure::text as name from pg_proc where prosecdef and pronamespace = any("
            "select oid from pg_namespace where nspname !~ '^pg_')"
        )
        assert {row["name"] for row in definers} <= {"survey.destroy_cluster_keys(integer)"}


async def test_nobody_else_connects_to_the_database(migrated: Database):
    async with connected(migrated.owner_url) as owner:
        await owner.execute("create role passer_by login password 'for-this-test'")
    try:
        address = migrated.owner_url.rpartition("@")[2]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connected(f"postgresql://passer_by:for-this-test@{address}"):
                pass
    finally:
        async with connected(migrated.owner_url) as owner:
            await owner.execute("drop role passer_by")
