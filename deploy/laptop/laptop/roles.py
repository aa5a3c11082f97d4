"""The database, its roles and its schemas: one schema per service, and a service reaches its own and no other.

The migrator owns the schemas and everything in them. A runtime role reads and writes rows in its own schema, and may define
nothing. All of this may be done again at any time, also on a database server that is not ours.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from chassis.database import BY_ROLE
from sojourn_contracts.catalogue import SERVICES

from laptop.postgres import private_file

DATABASE = "sojourn"
MIGRATOR = "sojourn_migrator"
_PROVISIONING = 0x50_4A_52_4E


def runtime_role(service: str) -> str:
    return f"sojourn_{service}"


ROLES = (MIGRATOR, *map(runtime_role, SERVICES))
"""All of an installation."""


def limits(role: str) -> dict[str, str]:
    """The settings that its sessions begin with."""
    if role == MIGRATOR:
        return {"lock_timeout": BY_ROLE["lock_timeout"]}
    return BY_ROLE | {"search_path": role.removeprefix(runtime_role(""))}


@dataclass(frozen=True)
class Database:
    """Where a provisioned database is. Every URL holds a password: not for logs."""

    admin_url: str = field(repr=False)
    name: str
    passwords: Mapping[str, str] = field(repr=False)

    @property
    def migrator_url(self) -> str:
        return _url(self.admin_url, self.name, MIGRATOR, self.passwords[MIGRATOR])

    def url(self, service: str) -> str:
        """For the service's runtime role."""
        role = runtime_role(service)
        return _url(self.admin_url, self.name, role, self.passwords[role])

    @property
    def owner_url(self) -> str:
        """For the administrator, in this database."""
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{self.name}"))


def kept_passwords(file: Path) -> dict[str, str]:
    """This installation's passwords: made at random once, then kept where only its user reads them."""
    passwords: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    missing = set(ROLES) - passwords.keys()
    if missing:
        passwords |= {role: secrets.token_urlsafe(24) for role in missing}
        private_file(file, json.dumps(passwords))
    return passwords


async def provision(admin_url: str, passwords: Mapping[str, str], name: str = DATABASE) -> Database:
    """Make sure that database, roles, schemas and rights are there; the administrator must be allowed to create roles."""
    database = Database(admin_url, name, passwords)
    admin = await asyncpg.connect(admin_url, timeout=10)
    try:
        # Roles belong to the whole server: two of us at once would collide.
        await admin.execute("select pg_advisory_lock($1)", _PROVISIONING)
        await _make_roles(admin, passwords)
        if not await admin.fetchval("select true from pg_database where datname = $1", name):
            await admin.execute(f'create database "{name}"')
        await open_to_our_roles_only(database)
        await _make_schemas(database)
    finally:
        await admin.close(timeout=10)
    return database


async def drop(database: Database) -> None:
    """Remove the database with all that is in it; the roles stay."""
    admin = await asyncpg.connect(database.admin_url, timeout=10)
    try:
        await admin.execute(f'drop database if exists "{database.name}" with (force)')
    finally:
        await admin.close(timeout=10)


async def _make_roles(admin: asyncpg.Connection, passwords: Mapping[str, str]) -> None:
    for role in ROLES:
        if not await admin.fetchval("select true from pg_roles where rolname = $1", role):
            await admin.execute(f"create role {role} login nocreatedb nocreaterole")
        statement = await admin.fetchval(
            "select format('alter role %I password %L', $1::text, $2::text)", role, passwords[role]
        )
        await admin.execute(statement)
        for name, value in limits(role).items():
            await admin.execute(f"alter role {role} set {name} = '{value}'")


async def open_to_our_roles_only(database: Database) -> None:
    """Let the migrator and the runtime roles connect, and nobody else; a copy of a database needs this anew."""
    roles = ", ".join(runtime_role(service) for service in SERVICES)
    admin = await asyncpg.connect(database.owner_url, timeout=10)
    try:
        await admin.execute(
            f"""
            revoke all on database "{database.name}" from public;
            grant connect, create on database "{database.name}" to {MIGRATOR};
            grant connect on database "{database.name}" to {roles};
            revoke all on schema public from public;
            grant usage, create on schema public to {MIGRATOR};
            """
        )
    finally:
        await admin.close(timeout=10)


async def _make_schemas(database: Database) -> None:
    migrator = await asyncpg.connect(database.migrator_url, timeout=10)
    try:
        for service in SERVICES:
            role = runtime_role(service)
            await migrator.execute(
                f"""
                create schema if not exists {service};
                grant usage on schema {service} to {role};
                alter default privileges in schema {service} grant select, insert, update, delete on tables to {role};
                alter default privileges in schema {service} grant usage, select on sequences to {role};
                """
            )
    finally:
        await migrator.close(timeout=10)


def _url(admin_url: str, database: str, role: str, password: str) -> str:
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{address}", path=f"/{database}"))
