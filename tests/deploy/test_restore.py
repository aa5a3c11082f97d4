"""PostgreSQL restored to a moment under load, for real: afterwards nothing contradicts what the world was told."""

import asyncio
import json
import os
import random
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from laptop.postgres import Postgres, system_user
from laptop.process import until
from laptop.system import System
from pilot.invariants import World
from sojourn_contracts.catalogue import SERVICES

from tests.deploy.runbooks import Failed, execute, where_it_runs
from tests.faults import aftermath
from tests.faults.judges import Aftermath, gaps, inboxes_that_differ
from tests.faults.public import Public
from tests.faults.rounds import SETTINGS
from tests.faults.story import START, Company, Promises, Story, competitors, strangers

pytestmark = pytest.mark.installed

STRANGERS = 12


@dataclass
class Restored:
    """A system that was restored and reconciled, and runs again."""

    system: System
    story: Story
    companies: list[Company]
    erased: str
    """A company that was forgotten after the moment."""
    before: World
    """What had been told when the damage was done."""
    logs: dict[str, int] = field(default_factory=dict[str, int])
    """By service, the position up to which its restored log went."""
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    """By service, what ``reconcile`` printed."""
    refused: str = ""
    """What it said while the service was running."""
    found: Aftermath | None = None
    """Once all was quiet, and the companies had gone on."""


@pytest.fixture(scope="module")
async def restored(backing_folder: Path) -> AsyncIterator[Restored]:
    folder = backing_folder / "restored"
    archive, backup = folder / "archive", folder / "backup"
    archive.mkdir(parents=True)
    folder.chmod(0o711)
    archived = {"archive_mode": "on", "archive_command": f'cp "%p" "{archive}/%f"', "fsync": "off"}
    server = Postgres(folder / "postgres", settings=archived)
    _owned_by_the_server(archive)
    await server.start()
    try:
        system = System(
            folder, stopped_at=START, environment=SETTINGS, services=SERVICES, database_url=server.admin_url
        )
        async with system:
            yield await _restored(system, server, archive, backup)
    finally:
        await server.stop()


async def _restored(system: System, server: Postgres, archive: Path, backup: Path) -> Restored:
    of_server = {
        "ADMIN_DATABASE_URL": server.admin_url,
        "BACKUP": str(backup),
        "PGDATA": str(server._data),
        "ARCHIVE": str(archive),
    }
    await execute("restore", "Ahead", where_it_runs(system, "registration", **of_server))
    async with Public({service: [url] for service, url in system.urls.items()}, random.Random(9)) as public:
        story = Story(public, system.folder, system.clock, Promises(), "restore")
        companies = [*competitors(story, 0)]
        passing = list(strangers(story, 0))[:STRANGERS]
        async with asyncio.TaskGroup() as living:
            for company in companies:
                company.leaves = False
                living.create_task(company.live())
            for stranger in passing[: STRANGERS // 2]:
                await stranger.pass_by()
            assert await until(lambda: len(story.seen.get("accepted", ())) >= 1, 60), story.seen
            moment = await _now(server)
            for stranger in passing[STRANGERS // 2 :]:
                await stranger.pass_by()
            erased = passing[0].id
            await system.run("registration", "erase", "company", erased)
            assert await until(lambda: len(story.seen.get("agreed", ())) >= 1, 60), story.seen
            await asyncio.sleep(1)
            story.over.set()
        await aftermath.settled(system)
        before = (await aftermath.read(system)).world
        result = Restored(system, story, companies, erased, before)

        await system.stop_services()
        connection = await asyncpg.connect(server.admin_url)
        await connection.execute("select pg_switch_wal()")
        assert await _archived(archive, await connection.fetchval("select pg_walfile_name(pg_current_wal_lsn() - 1)"))
        await connection.close()
        await server.stop()
        shutil.move(server._data, server._data.with_name("damaged"))
        to = {"RESTORE_TO": moment.isoformat()}
        await execute("restore", "Restore", where_it_runs(system, "registration", **of_server, **to))
        _owned_by_the_server(server._data)
        await server.start()
        for service in SERVICES:
            connection = await asyncpg.connect(system.database.owner_url)
            while await connection.fetchval("select pg_is_in_recovery()"):
                await asyncio.sleep(0.1)
            result.logs[service] = await connection.fetchval(f"select max(position) from {service}.event_log") or 0
            await connection.close()

        await system.start_service("exchange")  # too early: it joins its group, and publishes nothing
        with pytest.raises(Failed) as refusal:
            await reconciled(system, "exchange")
        result.refused = str(refusal.value)
        await system._stop_service(system.processes["exchange"])
        for service in SERVICES:
            result.told[service] = await reconciled(system, service)
        for service in SERVICES:
            await system.start_service(service)
        await aftermath.settled(system)
        for service in SERVICES:
            await execute("restore", "Start, and look", where_it_runs(system, service))

        story.over.clear()  # whoever is still known goes on
        async with httpx.AsyncClient(base_url=system.urls["registration"]) as http:
            known = [
                company
                for company in companies
                if (await http.get(f"/companies/{company.id}", headers=_bearer(company))).status_code == 200
            ]
        assert known
        for company in known:
            await company._change()
            for _ in range(2):
                with suppress(AssertionError):
                    await company._look()
        result.found = await aftermath.read(system)
    return result


def _bearer(company: Company) -> dict[str, str]:
    return {"authorization": f"Bearer {company._token}"}


async def reconciled(system: System, service: str) -> list[dict[str, Any]]:
    commands = await execute("restore", "Reconcile", where_it_runs(system, service))
    return [json.loads(line) for line in commands.splitlines() if line.startswith("{")]


async def _now(server: Postgres) -> datetime:
    connection = await asyncpg.connect(server.admin_url)
    try:
        return await connection.fetchval("select clock_timestamp()")
    finally:
        await connection.close()


async def _archived(archive: Path, segment: str) -> bool:
    return await until(lambda: (archive / segment).exists(), 20)


def _owned_by_the_server(path: Path) -> None:
    if os.geteuid() == 0:
        owner = system_user()
        for each in (path, *path.rglob("*")):
            os.chown(each, *owner)


def found(restored: Restored) -> Aftermath:
    assert restored.found is not None
    return restored.found


def test_something_was_forgotten_by_every_service_that_publishes_much(restored: Restored):
    for service in ("registration", "matching", "exchange"):
        done = restored.told[service][-1]
        assert done["done"]
        assert done["taken_back"] > 0
        assert done["generation"] == 2
        assert done["position"] > restored.logs[service]


def test_it_is_refused_while_the_service_runs(restored: Restored):
    assert "exchange is running: stop all its processes first" in restored.refused


def test_the_logs_are_dense_and_say_what_the_topics_say_and_no_id_is_there_twice(restored: Restored):
    after = found(restored)
    assert list(gaps(after)) == []
    logged = {
        str(event.event_id): (event.topic, event.sequence, event.generation, str(event.subject))
        for log in after.world.logs.values()
        for event in log
    }
    assert len(logged) == sum(map(len, after.world.logs.values()))
    on_topics = {
        record.headers["ce_id"]: (
            topic,
            int(record.headers["ce_sequence"]),
            int(record.headers["ce_generation"]),
            record.key,
        )
        for topic, records in after.world.topics.items()
        for record in records
    }
    assert len(on_topics) == sum(map(len, after.world.topics.values()))
    assert on_topics == logged
    content = {
        record.headers["ce_id"]: record.value for records in restored.before.topics.values() for record in records
    }
    assert content.keys() < on_topics.keys()
    for records in after.world.topics.values():
        assert all(content.get(record.headers["ce_id"], record.value) == record.value for record in records)


def test_every_state_is_told_at_a_later_revision_than_the_one_before(restored: Restored):
    later = 0
    for log in found(restored).world.logs.values():
        told: dict[Any, int] = defaultdict(int)
        for event in log:
            revision = event.content.get("revision")
            if revision is not None:
                assert revision > told[event.subject], event
                later += event.generation == 2 and told[event.subject] > 0
                told[event.subject] = revision
    assert later > 0, "somebody went on"


def test_whoever_hears_has_heard_all_and_knows_the_last_that_was_told_of_each_company_and_exchange(restored: Restored):
    after = found(restored)
    assert list(inboxes_that_differ(after)) == []
    known = {table: {str(next(iter(row.values()))): row for row in rows} for table, rows in after.tables.items()}
    for id_, events in after.events.items():
        last = events[-1]
        if id_ == restored.erased:
            continue
        if last.type == "CompanyUpdated.v1":
            for table, column in (
                ("matching.companies", "payload"),
                ("exchange.company", "profile"),
                ("survey.company", "profile"),
            ):
                assert json.loads(known[table][id_][column]) == last.content, (table, id_)
        elif last.type.startswith("Exchange"):
            assert json.loads(known["survey.exchange"][id_]["payload"]) == last.content
    for id_ in after.proposals:
        assert known["matching.matches"][id_]["state"] != "blank"
        assert id_ in known["exchange.exchange"]


def test_no_placement_is_promised_twice(restored: Restored):
    live = [
        row["placement_id"]
        for row in found(restored).tables["matching.matches"]
        if row["state"] in ("proposed", "agreed")
    ]
    assert len(live) == len(set(live))


def test_who_was_forgotten_after_the_moment_is_forgotten_again(restored: Restored):
    after = found(restored)
    assert restored.erased not in {str(row["company_id"]) for row in after.tables["registration.company"]}
    told = [event for event in after.world.logs["registration"] if str(event.subject) == restored.erased]
    assert told
    assert not any(event.data for event in told)
    assert {
        (line["forgotten"], line["brought_back"])
        for line in restored.told["registration"]
        if line.get("forgotten") == "ErasureRequested"
    } == {("ErasureRequested", True)}


async def test_a_cursor_of_what_was_forgotten_is_gone_and_an_earlier_one_leads_on(restored: Restored):
    token = (await restored.system.run("registration", "token", "--role", "operator")).strip()
    restored_to = restored.logs["registration"]
    async with httpx.AsyncClient(
        base_url=restored.system.urls["registration"], headers={"authorization": f"Bearer {token}"}
    ) as http:
        gone = await http.get("/events", params={"after": f"1-{restored_to + 1}"})
        assert (gone.status_code, gone.json()["rule"]) == (410, "cursor_gone")
        log = found(restored).world.logs["registration"]
        last = max(
            event.position for event in log if event.position <= restored_to and event.topic.startswith("Company")
        )
        page = await http.get("/events", params={"after": f"1-{last}", "limit": "10000"})
        expected = [str(e.event_id) for e in log if e.position > last and e.topic.startswith("Company")]
        assert [event["id"] for event in page.json()] == expected


async def test_called_again_it_changes_nothing(restored: Restored):
    system = restored.system
    await system._stop_service(system.processes["matching"])
    done = (await reconciled(system, "matching"))[-1]
    assert (done["taken_back"], done["generation"]) == (0, 2)
    assert done["position"] == len(found(restored).world.logs["matching"])
    await system.start_service("matching")
    await aftermath.settled(system)
