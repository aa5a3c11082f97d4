"""The system once all that was struck is back: waits until it is quiet, and reads logs, topics and tables to be judged."""

import asyncio
import time
from collections import defaultdict
from datetime import datetime
from typing import Any

import asyncpg
import httpx
from chassis.due import STANDING
from laptop.system import System
from pilot.logs import Logged
from sojourn_contracts.catalogue import SERVICES, consumed_by

from pilot import invariants
from tests.faults.judges import PROPOSED, Aftermath, Row
from tests.faults.public import PATIENCE

TABLES = {
    "registration.company": "company_id, revision, name, status",
    "matching.companies": "company_id, revision, kind, payload, withdrawn",
    "matching.placements": "placement_id",
    "matching.offers": "offer_id",
    "matching.matches": "match_id, state, made_here, placement_id, proposal, payload",
    "exchange.company": "company_id, profile, dropped, gone",
    "exchange.exchange": "exchange_id, revision, stage, proposal, accepted_by, agreement",
    "exchange.due": "kind, subject",
    "survey.company": "company_id, profile, withdrawn",
    "survey.exchange": "exchange_id, event, payload, stage",
    "survey.invitation": "invitation_id, exchange_id, party, state",
}


async def settled(system: System) -> dict[str, Any]:
    """Waits until nothing is left to do anywhere; returns how far the logs went.

    Raises:
        AssertionError: that takes too long; the message says what is left.
    """
    deadline = time.monotonic() + PATIENCE
    before: dict[str, Any] = {}
    async with httpx.AsyncClient(timeout=5) as http:
        while True:
            for process in system.processes.values():
                process.require_alive()
            left, ends = await _left(system, http)
            if not left and before == ends:
                return ends
            before = {} if left else ends
            assert time.monotonic() < deadline, (
                f"not quiet after {PATIENCE:.0f} s: {left or 'the figures keep changing'}"
            )
            await asyncio.sleep(0.1)


async def _left(system: System, http: httpx.AsyncClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is still to be done by whom, and how far the logs go: the database in one snapshot, then every process."""
    left: dict[str, Any] = {}
    connection = await asyncpg.connect(system.database.owner_url, timeout=5)
    try:
        rows = await connection.fetch(_figures(), system.clock.now, list(STANDING))
    finally:
        await connection.close(timeout=5)
    ends = {row["service"]: row["log_end"] for row in rows}
    for row in rows:
        if row["outbox"] or row["due"] or row["handled"] != row["to_handle"]:
            left[row["service"]] = dict(row)
    published: dict[str, list[Any]] = defaultdict(list)
    for name, url in system.urls.items():
        try:
            status = (await http.get(url + "/status")).raise_for_status().json()
        except httpx.HTTPError as error:
            left[name] = repr(error)
            continue
        published[status["service"]].append(status["published"])
        if status["in_flight"] or status["lag"] != 0 or status["halted"]:
            left[name] = status
    for service, positions in published.items():
        if ends[service] not in positions:
            left[f"{service}'s relay"] = positions
    return left, ends


def _figures() -> str:
    def one(service: str) -> str:
        topics = " union all ".join(
            f"select count(*) as n from {producer}.event_log where topic = '{topic.name}'"
            for topic in consumed_by(service)
            for producer in topic.producers
        )
        return f"""
            select '{service}' as service, (select count(*) from {service}.outbox) as outbox,
                   (select coalesce(max(position), 0) from {service}.event_log) as log_end,
                   (select count(*) from {service}.inbox) as handled,
                   (select coalesce(sum(n), 0) from ({topics or "select 0 as n"}) topics)::bigint as to_handle,
                   (select count(*) from {service}.due where parked_at is null and at <= $1
                    and kind <> all ($2)) as due
        """

    return " union all ".join(map(one, SERVICES))


async def read(system: System) -> Aftermath:
    """Reads logs, topics and tables while nothing happens: what begins meanwhile makes it read again."""
    while True:
        before = await settled(system)
        world = await invariants.read(system.database.owner_url, system.kafka, system.folder)
        connection = await asyncpg.connect(system.database.owner_url, timeout=10)
        try:
            inboxes, tables, written = await _tables(connection)
        finally:
            await connection.close(timeout=10)
        if await settled(system) == before:
            break
    events: dict[str, list[Logged]] = defaultdict(list)
    for event in (event for log in world.logs.values() for event in log if event.type != PROPOSED):
        events[str(event.subject)].append(event)
    proposals = {str(event.subject): event for event in world.said("MatchProposed")}
    return Aftermath(world, inboxes, tables, written, events, proposals)


async def _tables(
    connection: asyncpg.Connection,
) -> tuple[dict[str, list[str]], dict[str, list[Row]], dict[str, datetime]]:
    inboxes = {
        service: [str(row["event_id"]) for row in await connection.fetch(f"select event_id from {service}.inbox")]
        for service in SERVICES
    }
    tables = {table: await connection.fetch(f"select {columns} from {table}") for table, columns in TABLES.items()}
    written = {
        str(row["event_id"]): row["written_at"]
        for service in SERVICES
        for row in await connection.fetch(f"select event_id, written_at from {service}.event_log")
    }
    return inboxes, tables, written
