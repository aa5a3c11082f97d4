"""The transaction behind each door: whole or not at all, and what follows from it knows where it came from."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from chassis.doors import OnDue, OnEvent, Work
from chassis.http import Tx
from chassis.inbox import Arrival, arrival
from chassis.migrations import migrate
from chassis.service import Service
from chassis.transaction import Cause, Transaction
from fastapi import APIRouter
from laptop.roles import Database
from sojourn_contracts import catalogue
from sojourn_contracts.company import CompanyWithdrawn
from sojourn_contracts.envelope import Envelope, encode
from sojourn_contracts.match import MatchDeclined, MatchProposed
from uuid_utils.compat import uuid7

from tests.chassis.given import MIGRATIONS, a_service, an, declined, note, withdrawn
from tests.chassis.killing import killing
from tests.chassis_driver import NOON, Driver, Record, record
from tests.chassis_driver import driving as driving_on
from tests.conftest import Driving

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def all_of_it(event: CompanyWithdrawn, tx: Transaction) -> None:
    await note(event, tx)
    tx.emit(declined(event.subject))
    tx.schedule("remind", event.subject, NOON)


async def left_behind(driver: Driver, subject: UUID, event_id: UUID) -> list[int]:
    """How many rows of state, inbox, events and due work there are."""
    (row,) = await driver.rows(
        "select (select count(*) from effect where subject = $1), (select count(*) from inbox where event_id = $2),"
        " (select count(*) from outbox where subject = $1), (select count(*) from due where subject = $1::text)",
        subject,
        event_id,
    )
    return list(row.values())


async def test_state_inbox_events_and_due_work_are_committed_together_or_not_at_all(driving: Driving):
    driver = await driving(a_service(OnDue("remind", note), withdrawal=all_of_it))
    fates: set[int] = set()
    async with killing(driver) as killer:
        for step in count(1):
            event = withdrawn()
            arrived = arrival(record(event))
            reached = await killer.at(step, driver.deliver(arrived))
            left = await left_behind(driver, event.subject, arrived.event_id)
            assert left in ([0, 0, 0, 0], [1, 1, 1, 1]), f"step {step}"
            fates.add(left[0])
            await driver.deliver(arrived)
            assert await left_behind(driver, event.subject, arrived.event_id) == [1, 1, 1, 1], f"step {step}"
            if not reached:
                break
    assert step >= 8
    assert fates == {0, 1}


async def test_a_handler_that_raises_after_it_said_all_leaves_nothing(driving: Driving):
    async def refuse(event: CompanyWithdrawn, tx: Transaction) -> None:
        await all_of_it(event, tx)
        await tx.flush()
        raise LookupError

    driver = await driving(a_service(OnDue("remind", note), withdrawal=refuse))
    arrived = arrival(record(event := withdrawn()))
    with pytest.raises(LookupError):
        await driver.deliver(arrived)
    assert await left_behind(driver, event.subject, arrived.event_id) == [0, 0, 0, 0]


async def due(driver: Driver) -> list[tuple[str, str, object, object, str]]:
    rows = await driver.rows("select kind, subject, at, not_before, data from due order by kind, subject")
    return [tuple(row.values()) for row in rows]


async def test_asking_again_replaces_what_was_asked_for_even_parked_and_claimed(driving: Driving):
    driver = await driving(a_service())
    later = NOON + timedelta(hours=1)
    async with driver.process.open_transaction(Cause("c-1")) as tx:
        tx.schedule("remind", "a", NOON, not_before=NOON, data={"n": 1})
        tx.schedule("remind", "b", NOON)
        tx.schedule("expire", "a", NOON)
    ids = [row["id"] for row in await driver.rows("select id from due")]
    await driver.rows("update due set parked_at = now(), cause = 'x', attempts = 3, claimed_until = now()")
    async with driver.process.open_transaction(Cause("c-2")) as tx:
        tx.schedule("remind", "a", later, data={"n": 2})
    assert await due(driver) == [
        ("expire", "a", NOON, None, "{}"),
        ("remind", "a", later, None, '{"n": 2}'),
        ("remind", "b", NOON, None, "{}"),
    ]
    (asked,) = await driver.rows("select * from due where kind = 'remind' and subject = 'a'")
    assert asked["id"] not in ids, "it is new work, so that an attempt at the old one cannot end it"
    assert (asked["attempts"], asked["parked_at"], asked["cause"], asked["claimed_until"]) == (0, None, None, None)
    assert asked["correlation_id"] == "c-2"


async def test_the_last_word_in_a_transaction_counts(driving: Driving):
    driver = await driving(a_service())
    async with driver.process.open_transaction(Cause()) as tx:
        tx.schedule("remind", "kept", NOON)
        tx.unschedule("remind", "never there")
    async with driver.process.open_transaction(Cause()) as tx:
        tx.unschedule("remind", "kept")
        tx.schedule("remind", "kept", NOON + timedelta(days=1))
        tx.schedule("remind", "taken back", NOON)
        tx.unschedule("remind", "taken back")
    assert await due(driver) == [("remind", "kept", NOON + timedelta(days=1), None, "{}")]
    async with driver.process.open_transaction(Cause()) as tx:
        tx.unschedule("remind", "kept")
    assert await due(driver) == []


@pytest.fixture
async def two_services(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Driver, Driver]]:
    """Exchange declines by HTTP; matching proposes anew, by due work that its handler asks for."""
    routes = APIRouter()

    @routes.post("/declines")
    async def decline(tx: Tx) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        tx.emit(declined())
        return {}

    async def seek(event: MatchDeclined, tx: Transaction) -> None:
        tx.schedule("propose", event.subject, NOON)

    async def propose(work: Work, tx: Transaction) -> None:
        tx.emit(an(MatchProposed, UUID(work.subject)))

    consumed = {topic.event for topic in catalogue.consumed_by("matching")} - {MatchDeclined}
    doors = (*(OnEvent(event, note) for event in consumed), OnEvent(MatchDeclined, seek), OnDue("propose", propose))
    async with AsyncExitStack() as stack:
        services = replace(a_service(), routes=routes), Service("matching", MIGRATIONS, doors)
        drivers: list[Driver] = []
        for service in services:
            await migrate(database.migrator_url, service.name, service.migrations)
            drivers.append(await stack.enter_async_context(driving_on(service, database.url(service.name), tmp_path)))
        yield drivers[0], drivers[1]


async def published(driver: Driver) -> tuple[Envelope, Arrival]:
    """The only event of the outbox, and how it would arrive elsewhere."""
    (row,) = await driver.rows("select * from outbox")
    event = catalogue.BY_NAME[row["type"].rpartition(".v")[0]].event
    envelope = Envelope(
        id=row["event_id"],
        source="sojourn/" + driver.process.service.name,
        event=event,
        subject=row["subject"],
        time=row["time"],
        data=event.model_validate_json(row["data"]),
        sequence=1,
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        traceparent=row["traceparent"],
    )
    key, value, headers = encode(envelope)
    return envelope, arrival(Record(event.topic(), key, value, headers))


async def test_a_request_is_known_by_its_correlation_and_trace_to_its_last_effect(
    two_services: tuple[Driver, Driver],
):
    exchange, matching = two_services
    said = {"X-Correlation-ID": str(uuid7()), "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    assert (await exchange.http.post("/declines", headers=said)).status_code == 200
    first, arrived = await published(exchange)
    assert (first.correlation_id, first.causation_id) == (said["X-Correlation-ID"], None)

    await matching.deliver(arrived)
    (work,) = await matching.rows("select * from due")
    assert (work["correlation_id"], work["causation_id"]) == (said["X-Correlation-ID"], str(first.id))

    await matching.run_due()
    last, _ = await published(matching)
    assert (last.correlation_id, last.causation_id) == (said["X-Correlation-ID"], str(first.id))

    traces = [first.traceparent, work["traceparent"], last.traceparent]
    assert [trace.split("-")[1] for trace in traces if trace] == [TRACE] * 3
    assert len(set(traces)) == 3, "each effect has a span of its own"
