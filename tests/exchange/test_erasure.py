"""Whoever is forgotten leaves nothing in exchange but bare ids, whatever came before and whatever comes late."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from chassis.inbox import Arrival, arrival
from sojourn_contracts.erasure import ErasureDone, ErasureRequested
from sojourn_contracts.exchange import ExchangeCancelled

from tests.chassis_driver import NOON, Driver, record
from tests.exchange import given
from tests.exchange.given import HOST, MATCH, SENDER, TRAVELLER, proposal, sender_registered, sender_updated
from tests.exchange.world import held, stands_at, tombstones

BARE = {("erased", "subject"), ("company", "company_id"), ("outbox", "subject"), ("due", "subject"), ("due", "data")}


def erasure(kind: str, whom: UUID) -> ErasureRequested:
    return ErasureRequested(erasure_id=uuid4(), erased_id=whom, kind=kind, requested_at=NOON)


async def moved(driver: Driver) -> None:
    """As the relay would: from the outbox to the log."""
    await driver.rows(
        """
        with gone as (delete from outbox returning *)
        insert into event_log
        select coalesce((select max(position) from event_log), 0) + row_number() over (order by id), 1, topic,
               coalesce((select max(sequence) from event_log as other where other.topic = gone.topic), 0)
                   + row_number() over (partition by topic order by id),
               event_id, type, dataschema, subject, time, data, correlation_id, causation_id, traceparent, written_at
        from gone
        """
    )


async def found(driver: Driver, whom: UUID) -> set[tuple[str, str]]:
    """Tables and columns in which the id stands, but for bare ids and the erasure's own events."""
    columns = await driver.rows(
        "select table_name, column_name from information_schema.columns join information_schema.tables"
        " using (table_catalog, table_schema, table_name) where table_schema = 'exchange' and table_type = 'BASE TABLE'"
    )
    there: set[tuple[str, str]] = set()
    for table, column in columns:
        others = " and type not like 'Erasure%'" if table in ("event_log", "outbox") else ""
        if await driver.rows(f'select from {table} where "{column}"::text like $1{others}', f"%{whom}%"):
            there.add((table, column))
    return there - BARE


@pytest.fixture(autouse=True)
async def no_log(driver: Driver) -> None:
    await driver.rows("delete from event_log")
    await driver.rows("delete from dead_letter")
    await driver.rows("delete from payment")


@pytest.mark.parametrize(("kind", "whom"), [("person", TRAVELLER), ("company", SENDER), ("company", HOST)])
async def test_a_live_stay_is_called_off_and_forgotten_and_the_service_answers_once_nothing_is_left(
    driver: Driver, kind: str, whom: UUID
):
    await stands_at(driver, given.ongoing())
    await driver.http.get(f"/exchanges/{MATCH}", headers=driver.token("operator"))
    request = erasure(kind, whom)
    before = len(await driver.notices())
    await driver.handle(request)
    assert await held(driver) is None
    told = (await driver.notices())[before:]
    assert {notice.template for notice in told} == {"stay_called_off"}
    assert {notice.recipient_id for notice in told} == {
        TRAVELLER: {SENDER, HOST},
        SENDER: {HOST},
        HOST: {SENDER, TRAVELLER},
    }[whom]
    assert {subject for _, subject in await tombstones(driver)} == {MATCH}
    assert [event.reason for event in await driver.emitted() if isinstance(event, ExchangeCancelled)] == [
        "company_gone"
    ]

    await driver.run_due()
    assert not [event for event in await driver.emitted() if isinstance(event, ErasureDone)], (
        "the log is not emptied yet"
    )
    await moved(driver)
    await driver.rows("update due set not_before = null")
    await driver.run_due()
    [done] = [event for event in await driver.emitted() if isinstance(event, ErasureDone)]
    assert (done.erasure_id, done.erased_id, done.kind, done.done_by) == (request.erasure_id, whom, kind, "exchange")
    assert await found(driver, whom) == set()


@pytest.mark.parametrize(("kind", "whom"), [("person", TRAVELLER), ("company", SENDER), ("company", HOST)])
async def test_what_was_said_before_the_erasure_and_comes_after_it_brings_nothing_back(
    driver: Driver, kind: str, whom: UUID
):
    await driver.handle(erasure(kind, whom))
    await driver.handle(sender_registered(), given.host_registered(), sender_updated(7, given.PLACEMENT), proposal())
    assert await held(driver) is None
    assert await found(driver, whom) == set()


async def test_in_one_batch_the_erasure_comes_first_wherever_it_stands(driver: Driver):
    def arrives(event: Any) -> Arrival:
        return arrival(record(event))

    await driver.deliver(arrives(sender_registered()), arrives(proposal()), arrives(erasure("person", TRAVELLER)))
    assert await held(driver) is None
    assert await found(driver, TRAVELLER) == set()


async def test_dead_letters_kept_answers_and_due_work_that_name_somebody_go_and_others_stay(driver: Driver):
    for whom in (TRAVELLER, HOST):
        broken = arrival(record(proposal(str(whom), traveller_id=whom, sender_id=uuid4(), host_id=uuid4())))
        await driver.process.inbox.set_aside(broken, ValueError("broken"))
        await driver.rows(
            "insert into answer (scope, key, digest, body) values ($1, 'a', '', '{}'), ('POST /x', $2, '', $3)",
            f"POST /x {whom}",
            str(whom)[:8],
            f'{{"id": "{whom}"}}',
        )
        await driver.rows(
            "insert into due (id, kind, subject, at, data) values (gen_random_uuid(), 'x', $1, now(), '{}')", str(whom)
        )
    await driver.handle(erasure("person", TRAVELLER))
    assert await found(driver, TRAVELLER) == set()
    assert await found(driver, HOST) >= {("answer", "scope"), ("answer", "body"), ("dead_letter", "detail")} - {
        ("dead_letter", "detail")
    }
    assert len(await driver.rows("select id from dead_letter")) == 1
    assert [row["body"] for row in await driver.rows("select body from answer where key = $1", str(TRAVELLER)[:8])] == [
        None
    ]


async def test_payments_are_kept_and_lose_the_payee_only_when_the_payee_is_erased(driver: Driver):
    await stands_at(driver, given.ongoing())
    assert {row["kind"] for row in await driver.rows("select kind from payment")} == {"advance"}
    await driver.rows("update payment set due_day = $1", (NOON - timedelta(days=1)).date())
    await driver.handle(erasure("person", TRAVELLER))
    paid = await driver.rows("select payee_id, exchange_id from payment where kind = 'advance'")
    assert [tuple(row) for row in paid] == [(SENDER, MATCH)]
    await driver.handle(erasure("company", SENDER))
    left = await driver.rows("select payee_id, exchange_id from payment where kind = 'advance'")
    assert [tuple(row) for row in left] == [(None, MATCH)]


async def test_exchanges_that_ended_long_ago_are_forgotten_and_their_payments_later(driver: Driver):
    await stands_at(driver, given.completed())
    await driver.rows("delete from payment")
    await driver.rows(
        "insert into payment values (gen_random_uuid(), $1, $2, 'final', 50, $3)", MATCH, SENDER, NOON.date()
    )
    ended = (await held(driver)).changed_at  # pyright: ignore[reportOptionalMemberAccess]

    async def look(days: int) -> None:
        await driver.rows(
            "insert into due (id, kind, subject, at, data) values (gen_random_uuid(), 'retention', 'tables', 'epoch', '{}')"
            " on conflict (kind, subject) do update set not_before = null"
        )
        await driver.run_due(ended + timedelta(days=days))

    await look(1_094)
    assert await held(driver) is not None
    await look(1_096)
    assert await held(driver) is None
    assert len(await driver.rows("select payment_id from payment")) == 1
    await look(2_000)
    assert await driver.rows("select payment_id from payment") == []
