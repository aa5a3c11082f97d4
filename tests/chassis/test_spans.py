"""What spans there are behind each door, what each descends from, and what it tells."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from chassis.database import Pool
from chassis.doors import Door, Errand, LocksFirst, OnAllDue, OnDue, OnEvents, Received, Work
from chassis.http import Tx
from chassis.problems import Problem
from chassis.service import Service
from chassis.transaction import UNLINKED, Cause, Transaction
from fastapi import APIRouter
from sojourn_contracts import envelope
from sojourn_contracts.company import CompanyWithdrawn
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.match import MatchDeclined
from uuid_utils.compat import uuid7

from chassis import telemetry
from tests.chassis.given import MIGRATIONS, SERVICE, a_service, cancelled, declined, note, transaction, withdrawn
from tests.chassis.receiving import Receiver
from tests.chassis.relays import World
from tests.chassis_driver import NOON, Driver, Record
from tests.conftest import Driving
from tests.recorded import Recorded, attributes, links, parent, traceparent

INCOMING = f"00-{'ab' * 16}-{'cd' * 8}-01"
OTHER = f"00-{'12' * 16}-{'34' * 8}-01"
KAFKA = {"messaging.system": "kafka"}

routes = APIRouter()


@routes.post("/declines/{number}")
async def decline(number: int, tx: Tx) -> None:
    tx.emit(declined())
    tx.schedule("one", uuid7(), NOON)


@routes.post("/broken")
async def break_down(tx: Tx) -> None:
    raise KeyError("ana@example.org")


@routes.post("/away")
async def be_away() -> None:
    raise Problem(503, "away", "Nobody is there")


@routes.get("/status")
async def status() -> None:
    pass


def arriving(
    event: CompanyWithdrawn | None = None, trace: str | None = INCOMING, event_id: UUID | None = None
) -> Record:
    """A record of what the service consumes; of a tombstone without an event."""
    about = event.subject if event else uuid7()
    key, value, headers = envelope.encode(
        Envelope(
            event_id or uuid7(), "sojourn/registration", CompanyWithdrawn, about, NOON, event, 1, traceparent=trace
        )
    )
    return Record(CompanyWithdrawn.topic(), key, value, headers)


async def answer(event: CompanyWithdrawn, tx: Transaction) -> None:
    tx.emit(declined(event.subject))


@asynccontextmanager
async def leading(run: Callable[[], Coroutine[Any, Any, None]], stop: Callable[[], None]) -> AsyncGenerator[None]:
    task = asyncio.create_task(run())
    try:
        yield
    finally:
        stop()
        await task


async def outbox(pool: Pool) -> list[Any]:
    return list(await pool.fetch("select event_id, topic, traceparent from outbox order by id"))


async def do(work: Work, tx: Transaction) -> None:
    tx.emit(declined(UUID(work.subject)))


async def driven(driving: Driving, *doors: Any) -> Driver:
    service = a_service(*doors)
    return await driving(Service(SERVICE, MIGRATIONS, service.doors, routes))


async def ask(driver: Driver, kind: str, *causes: Cause) -> None:
    for number, cause in enumerate(causes):
        async with driver.process.open_transaction(cause) as tx:
            tx.schedule(kind, uuid7(), NOON + timedelta(seconds=number))
    driver.clock.now_is(NOON + timedelta(hours=1))


async def test_a_request_its_event_and_its_due_work_are_one_trace(driving: Driving, recorded: Recorded):
    driver = await driven(driving, OnDue("one", do))
    answered = await driver.http.post("/declines/7?who=ana", headers={"traceparent": INCOMING})
    await driver.run_due(NOON)
    request, work = recorded.one("POST /declines/{number}"), recorded.one("due one")
    by_request, by_work = recorded.named("emit MatchDeclined")
    assert parent(request) == INCOMING
    assert parent(by_request) == parent(work) == traceparent(request) == answered.headers["traceresponse"]
    assert parent(by_work) == traceparent(work)
    assert (request.kind.name, by_request.kind.name) == ("SERVER", "PRODUCER")
    assert attributes(request) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/declines/{number}",
        "http.response.status_code": 200,
    }
    assert [event.name for event in request.events] == ["committed"]
    assert request.status.status_code.name == "UNSET"
    (first, second) = await outbox(driver.process.pool)
    assert [first["traceparent"], second["traceparent"]] == [traceparent(by_request), traceparent(by_work)]
    assert attributes(by_request) == KAFKA | {
        "messaging.operation.name": "emit",
        "messaging.operation.type": "create",
        "messaging.destination.name": "MatchDeclined",
        "messaging.message.id": str(first["event_id"]),
    }


@pytest.mark.parametrize(
    ("method", "path", "name", "error"),
    [
        ("POST", "/broken", "POST /broken", "KeyError"),
        ("POST", "/away", "POST /away", "503"),
        ("GET", "/nowhere/ana", "GET", None),
        ("BREW", "/nowhere/ana", "HTTP", None),
    ],
)
async def test_an_answer_that_is_our_fault_is_an_error_and_no_path_is_told(
    driving: Driving, recorded: Recorded, method: str, path: str, name: str, error: str | None
):
    driver = await driven(driving)
    await driver.http.request(method, path)
    span = recorded.one(name)
    assert (span.status.status_code.name == "ERROR", attributes(span).get("error.type")) == (error is not None, error)
    assert attributes(span)["http.request.method"] == ("_OTHER" if name == "HTTP" else method)
    assert "ana" not in span.to_json().replace('KeyError(\\"ana@example.org\\")', "")


async def test_probes_are_not_recorded(driving: Driving, recorded: Recorded):
    driver = await driven(driving)
    for probe in ("/live", "/ready", "/metrics", "/status"):
        assert (await driver.http.get(probe)).headers["traceresponse"]
    assert recorded.names == []


async def test_an_event_descends_from_its_emitting_and_what_it_leads_to_descends_from_it(
    pool: Pool, recorded: Recorded
):
    receiver = Receiver(pool, withdrawal=answer)
    await receiver.handle(arriving(withdrawn(), event_id=(event_id := uuid7())), tombstone := arriving())
    handled, erased = recorded.named("process CompanyWithdrawn")[::-1]
    assert parent(handled) == parent(erased) == INCOMING
    assert handled.kind.name == "CONSUMER"
    assert attributes(handled) == KAFKA | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "CompanyWithdrawn",
        "messaging.message.id": str(event_id),
    }
    assert tombstone.value is None
    assert parent(recorded.one("emit MatchDeclined")) == traceparent(handled)


async def fail(event: CompanyWithdrawn, tx: Transaction) -> None:
    raise ValueError(f"{event.company_id}")


async def lock_nothing(envelopes: Sequence[Envelope], tx: Transaction) -> None:
    raise ValueError("cannot be locked")


@pytest.mark.parametrize(
    ("doors", "withdrawal"), [((), fail), ((LocksFirst(lock_nothing),), note)], ids=["a handler", "what it locks"]
)
async def test_what_fails_is_an_error_at_each_try(
    pool: Pool, recorded: Recorded, doors: Sequence[Door], withdrawal: Callable[..., Any]
):
    await Receiver(pool, *doors, withdrawal=withdrawal).run(arriving(withdrawn()))
    spans = recorded.named("process CompanyWithdrawn")
    assert len(spans) >= 3
    assert {(span.status.status_code.name, attributes(span)["error.type"]) for span in spans} == {
        ("ERROR", "ValueError")
    }


async def test_a_handler_of_batches_has_one_span_that_links_to_its_causes_and_each_effect_its_own_cause(
    pool: Pool, recorded: Recorded
):
    async def all_at_once(received: Sequence[Received[CompanyWithdrawn]]) -> None:
        for each in received:
            each.tx.emit(declined(each.event.subject))

    receiver = Receiver(pool, OnEvents(CompanyWithdrawn, all_at_once))
    await receiver.handle(*[arriving(withdrawn(), trace) for trace in (INCOMING, OTHER, None)])
    span = recorded.one("process CompanyWithdrawn")
    assert (parent(span), links(span)) == (None, [INCOMING, OTHER])
    assert attributes(span)["messaging.batch.message_count"] == 3
    assert [parent(emitting) for emitting in recorded.named("emit MatchDeclined")] == [INCOMING, OTHER]
    assert [row["traceparent"] for row in await outbox(pool)] == [
        *(traceparent(emitting) for emitting in recorded.named("emit MatchDeclined")),
        None,
    ]


async def test_due_work_of_a_batch_links_to_what_asked_for_it_and_each_effect_keeps_its_own_cause(
    driving: Driving, recorded: Recorded
):
    async def do_all(works: Sequence[tuple[Work, Transaction]]) -> None:
        for work, tx in works:
            await do(work, tx)

    driver = await driven(driving, OnAllDue("all", do_all))
    await ask(driver, "all", Cause(traceparent=INCOMING), UNLINKED, Cause(traceparent=OTHER))
    await driver.run_due()
    span = recorded.one("due all")
    assert (parent(span), links(span)) == (None, [INCOMING, OTHER])
    assert [parent(emitting) for emitting in recorded.named("emit MatchDeclined")] == [INCOMING, OTHER]


async def test_unlinked_work_starts_a_trace_of_its_own_whatever_is_done_beside_it(driving: Driving, recorded: Recorded):
    driver = await driven(driving, OnDue("one", do))
    with telemetry.span("elsewhere", OTHER):  # a batch is done at once, and somebody's span may be open
        await ask(driver, "one", Cause(traceparent=INCOMING), UNLINKED)
        await driver.run_due()
    linked, unlinked = recorded.named("due one")
    assert parent(linked) == INCOMING
    assert (parent(unlinked), links(unlinked)) == (None, [])
    assert traceparent(unlinked).split("-")[1] not in INCOMING + OTHER


async def test_an_errand_is_one_span_around_its_call_and_its_outcome(driving: Driving, recorded: Recorded):
    answers: list[Any] = [ConnectionError("away"), "sent"]
    inside: list[str | None] = []

    async def call(work: Work) -> Any:
        inside.append(work.cause.traceparent)
        if isinstance(said := answers.pop(0), Exception):
            raise said
        return said

    async def outcome(work: Work, result: str, tx: Transaction) -> None:
        tx.emit(declined(UUID(work.subject)))

    driver = await driven(driving, Errand("send", call, outcome))
    await ask(driver, "send", Cause(traceparent=INCOMING))
    await driver.run_due()
    await driver.rows("update due set not_before = null")
    await driver.run_due()
    failed, sent = recorded.named("due send")
    assert parent(failed) == parent(sent) == INCOMING
    assert [failed.status.is_ok, attributes(failed)["error.type"]] == [False, "ConnectionError"]
    assert inside == [traceparent(failed), traceparent(sent)]
    assert parent(recorded.one("emit MatchDeclined")) == traceparent(sent)
    assert [event.name for event in sent.events] == ["committed"]


async def test_publishing_links_to_the_emitting_of_each_event_topic_by_topic(world: World, recorded: Recorded):
    async with transaction(world.pool, Cause(traceparent=INCOMING)) as tx:
        tx.emit(declined(), declined(), cancelled())
        tx.emit_unlinked(cancelled())
        tx.erase(MatchDeclined, uuid7())
    world.emitted = 5
    relay = world.relay()
    relay._batch = 5
    async with leading(relay.run, relay.stop):
        await world.published(relay)
    emitted = [traceparent(span) for span in recorded.spans if span.name.startswith("emit ")]
    assert len(emitted) == 4, "an unlinked event has no span"
    ends, cancellations = recorded.one("publish MatchDeclined"), recorded.one("publish ExchangeCancelled")
    assert links(ends) == [emitted[0], emitted[1], emitted[3]]
    assert links(cancellations) == [emitted[2]]
    assert [attributes(span)["messaging.batch.message_count"] for span in (ends, cancellations)] == [3, 2]
    assert [(parent(span), span.kind.name) for span in (ends, cancellations)] == [(None, "CLIENT")] * 2


async def test_publishing_that_fails_is_an_error_and_done_again(
    world: World, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
):
    relay = world.relay()
    deliver, fails = relay._deliver, [True]

    async def failing(*sent: Any) -> Any:
        if fails and fails.pop():
            raise ConnectionError("away")
        return await deliver(*sent)

    monkeypatch.setattr(relay, "_deliver", failing)
    await world.emit_these(declined())
    async with leading(relay.run, relay.stop):
        await world.published(relay)
    failed, done = recorded.named("publish MatchDeclined")
    assert (failed.status.status_code.name, done.status.status_code.name) == ("ERROR", "UNSET")


async def test_switched_off_an_event_carries_its_cause_and_a_batch_opens_nothing(pool: Pool):
    opened: list[str | None] = []

    async def all_at_once(received: Sequence[Received[CompanyWithdrawn]]) -> None:
        opened.append(telemetry.current_traceparent())
        for each in received:
            each.tx.emit(declined(each.event.subject))

    await Receiver(pool, OnEvents(CompanyWithdrawn, all_at_once)).handle(arriving(withdrawn()))
    assert opened == [None]
    assert [row["traceparent"] for row in await outbox(pool)] == [INCOMING]
