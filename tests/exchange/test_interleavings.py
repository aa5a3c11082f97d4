"""Two connections at once, interleaved at every await: whatever the order, the end is that of one after the other.

So neither of two transactions misses what the other does, none is lost, and none waits for the other for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from chassis.database import Connection
from chassis.doors import Door, consumes
from chassis.due import DueWork
from chassis.identity import Caller, Role
from chassis.inbox import Arrival, Inbox, arrival
from chassis.metrics import Metrics
from chassis.transaction import Cause, Transaction
from exchange import api, domain, during, handlers, store
from exchange.forms import AgreementForm, Approval, Cancellation, Decline, FitForm, Interrupting, SendingBack, Signature
from exchange.state import Exchange
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.event import Event
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import Party, Side
from uuid_utils.compat import uuid7

from tests.chassis_driver import Driver, SetClock, record
from tests.exchange import given
from tests.exchange.conftest import emptied
from tests.exchange.given import (
    AFTER,
    ASKS,
    CLOSES,
    EXPIRES,
    HOST,
    MATCH,
    NOON,
    SENDER,
    STARTS,
    STRANGER,
    TRAVELLER,
    proposal,
    sender_registered,
    sender_updated,
    withdrawn,
)
from tests.exchange.interleaver import Actor, Trace, Work, interleaved, schedules
from tests.exchange.world import stands_at

SHORTER = AgreementForm.model_validate(given.OTHER_TERMS, from_attributes=True)
LONGER = AgreementForm.model_validate(given.LONGER, from_attributes=True)


@dataclass(frozen=True)
class Does:
    """What one of the two does, and the programme's time at which it does."""

    work: Work
    now: datetime = NOON


def hears(*events: Event, doors: Sequence[Door] = handlers.DOORS) -> Does:
    """In one batch."""
    return _handles([arrival(record(event)) for event in events], doors)


def erases(event: type[Event], *subjects: UUID) -> Does:
    """In one batch."""
    return _handles([arrival(record(event, subject, event_id=uuid7())) for subject in subjects], handlers.DOORS)


def _handles(arrivals: Sequence[Arrival], doors: Sequence[Door]) -> Does:
    return Does(lambda actor: Inbox("exchange", doors, actor.open_transaction, METRICS).handle(arrivals))


def works_off(now: datetime) -> Does:
    async def round_(actor: Actor) -> None:
        await DueWork(handlers.DOORS, actor, actor.clock, actor.open_transaction, METRICS).round()  # type: ignore[arg-type]

    return Does(round_, now)


def asks(call: Callable[[Transaction], Awaitable[Any]], now: datetime = NOON) -> Does:
    async def request(actor: Actor) -> None:
        async with actor.open_transaction(Cause()) as tx:
            await call(tx)

    return Does(request, now)


METRICS = Metrics("exchange")
AS_SENDER = Caller(Role.COMPANY, "sender", SENDER)
AS_HOST = Caller(Role.COMPANY, "host", HOST)
AS_DENMARK = Caller(Role.CONTACT_POINT, "denmark", country="DK")
AS_TRAVELLER = Caller(Role.TRAVELLER, "traveller", SENDER, TRAVELLER)

ROUNDS = 20
ALMOST = timedelta(milliseconds=1)
LATE = STARTS + timedelta(days=20)
THERE = proposal("there", sender_id=STRANGER, host_id=HOST)
BACK = proposal("back", sender_id=HOST, host_id=STRANGER)
FIRST, LAST = sorted((SENDER, HOST))
"""By their ids: the order in which companies are locked, whatever order a batch names them in."""
SIGNED_BY_TWO = given.signed_by(Party.TRAVELLER, Party.HOST)

PAIRS: dict[str, tuple[Exchange | None, Does, Does]] = {
    "a proposal opens while its sender leaves": (None, hears(proposal()), hears(withdrawn(SENDER))),
    "a proposal opens while its host leaves": (None, hears(proposal()), hears(withdrawn(HOST))),
    "a proposal opens while its placement is dropped": (None, hears(proposal()), hears(sender_updated(2))),
    "a proposal opens while its sender is erased": (None, hears(proposal()), erases(CompanyRegistered, SENDER)),
    "a proposal opens while it is erased": (None, hears(proposal()), erases(MatchProposed, MATCH)),
    "a proposal opens twice": (None, hears(proposal()), hears(proposal(revision=2))),
    "two proposals open between companies not heard of yet": (None, hears(THERE), hears(BACK)),
    "both companies leave": (given.agreed(), hears(withdrawn(SENDER)), hears(withdrawn(HOST))),
    "both sides accept": (
        given.proposed(),
        asks(lambda tx: api.accept(MATCH, AS_SENDER, tx)),
        asks(lambda tx: api.accept(MATCH, AS_HOST, tx)),
    ),
    "one side accepts while the other declines": (
        given.proposed(),
        asks(lambda tx: api.accept(MATCH, AS_SENDER, tx)),
        asks(lambda tx: api.decline(MATCH, Decline(reason="dates"), AS_HOST, tx)),
    ),
    "the second side accepts as the proposal expires": (
        given.accepted_by(Side.HOST),
        asks(lambda tx: api.accept(MATCH, AS_SENDER, tx), EXPIRES - ALMOST),
        works_off(EXPIRES),
    ),
    "the second side accepts while the first one leaves": (
        given.accepted_by(Side.HOST),
        asks(lambda tx: api.accept(MATCH, AS_SENDER, tx)),
        hears(withdrawn(HOST)),
    ),
    "the last signature comes with a new draft": (
        SIGNED_BY_TWO,
        asks(lambda tx: api.sign(MATCH, Signature(version=1), AS_SENDER, tx)),
        asks(lambda tx: api.draft(MATCH, SHORTER, AS_HOST, tx)),
    ),
    "the last two signatures come together": (
        given.signed_by(Party.HOST),
        asks(lambda tx: api.sign(MATCH, Signature(version=1), AS_SENDER, tx)),
        asks(lambda tx: api.sign(MATCH, Signature(version=1), AS_TRAVELLER, tx)),
    ),
    "the last signature comes while the host leaves": (
        SIGNED_BY_TWO,
        asks(lambda tx: api.sign(MATCH, Signature(version=1), AS_SENDER, tx)),
        hears(withdrawn(HOST)),
    ),
    "the last signature comes while the placement is dropped": (
        SIGNED_BY_TWO,
        asks(lambda tx: api.sign(MATCH, Signature(version=1), AS_SENDER, tx)),
        hears(sender_updated(2)),
    ),
    "a stay is cancelled as it starts": (
        given.agreed(),
        asks(lambda tx: api.cancel(MATCH, Cancellation(reason="illness"), AS_HOST, tx), STARTS),
        works_off(STARTS),
    ),
    "completion is confirmed by both": (
        given.trained(),
        asks(lambda tx: api.complete(MATCH, AS_SENDER, tx), AFTER),
        asks(lambda tx: api.complete(MATCH, AS_HOST, tx), AFTER),
    ),
    "completion is confirmed as the exchange is closed": (
        during.ask(given.trained(), ASKS)[0],
        asks(lambda tx: api.complete(MATCH, AS_HOST, tx), CLOSES),
        works_off(CLOSES),
    ),
    "the last approval comes as the version is sent back": (
        domain.approve(given.in_validation(), "PT", 1, NOON)[0],
        asks(lambda tx: api.approve(MATCH, Approval(version=1), AS_DENMARK, tx)),
        asks(lambda tx: api.send_back(MATCH, SendingBack(version=1, remarks="No"), AS_DENMARK, tx)),
    ),
    "a stay ends early as its extension is signed by the last": (
        given.signed(given.draft(given.ongoing(), given.LONGER, STARTS)[0], Party.HOST, Party.TRAVELLER, now=STARTS),
        asks(lambda tx: api.sign(MATCH, Signature(version=2), AS_SENDER, tx), LATE),
        asks(lambda tx: api.end_early(MATCH, AS_HOST, tx), LATE),
    ),
    "a stay is interrupted as its extension is drafted": (
        given.ongoing(),
        asks(lambda tx: api.draft(MATCH, LONGER, AS_SENDER, tx), LATE),
        asks(lambda tx: api.interrupt(MATCH, Interrupting(reason="illness"), AS_HOST, tx), LATE),
    ),
    "a side says no while both are asked": (
        given.ongoing(),
        asks(lambda tx: api.say_if_it_fits(MATCH, FitForm(fits=False), AS_HOST, tx), ASKS),
        works_off(ASKS),
    ),
    "a stay starts in two processes": (given.agreed(), works_off(STARTS), works_off(STARTS)),
    "a stay starts while its host leaves": (given.agreed(), works_off(STARTS), hears(withdrawn(HOST))),
    "somebody accepts while the match is erased": (
        given.proposed(),
        asks(lambda tx: api.accept(MATCH, AS_SENDER, tx)),
        erases(MatchProposed, MATCH),
    ),
}

BATCHES: dict[str, tuple[Exchange | None, Does, Does]] = {
    "a proposal opens while both leave in one batch": (
        None,
        hears(proposal()),
        hears(withdrawn(LAST), withdrawn(FIRST)),
    ),
    "the last signature comes while both leave in one batch": (
        SIGNED_BY_TWO,
        asks(lambda tx: api.sign(MATCH, Signature(version=1), AS_SENDER, tx)),
        hears(withdrawn(LAST), withdrawn(FIRST)),
    ),
    "the last signature comes while both are erased in one batch": (
        SIGNED_BY_TWO,
        asks(lambda tx: api.sign(MATCH, Signature(version=1), AS_SENDER, tx)),
        erases(CompanyRegistered, LAST, FIRST),
    ),
}


@dataclass(frozen=True)
class End:
    """What two transactions led to, without times, and without reminders: the order may say whether one still goes out."""

    answers: tuple[str, str]
    exchanges: tuple[Exchange, ...]
    gone: frozenset[UUID]
    said: tuple[tuple[Any, ...], ...]
    due: frozenset[tuple[Any, ...]]


class Stand:
    """A database that is brought to the same state again and again, and two connections to it."""

    def __init__(self, driver: Driver, connections: Sequence[Connection]) -> None:
        self._driver = driver
        self._connections = connections

    async def run(self, start: Exchange | None, both: Sequence[Does], schedule: Sequence[int]) -> tuple[Trace, End]:
        await emptied(self._driver)
        if start is None:
            await self._driver.handle(sender_registered())
        else:
            await stands_at(self._driver, start)
        actors = [Actor(str(index), self._connections[index], _clock(does.now)) for index, does in enumerate(both)]
        trace = await interleaved(actors, [does.work for does in both], self._connections[2], schedule)
        await self._driver.rows("update due set not_before = null")
        await self._driver.run_due(max(does.now for does in both))
        return trace, await self._end((_answer(actors[0].outcome), _answer(actors[1].outcome)))

    async def _end(self, answers: tuple[str, str]) -> End:
        async with self._driver.process.open_transaction(Cause()) as tx:
            exchanges = await store.of_all(tx, store.Page(None, None, 10))
        gone = await self._driver.rows("select company_id from company where gone")
        said = await self._driver.rows(
            "select type, subject, data::jsonb ->> 'revision' as revision, data::jsonb ->> 'stage' as stage,"
            " data::jsonb ->> 'reason' as reason from outbox"
            " where coalesce(data::jsonb ->> 'template', '') not in ('reminder', 'checklist_reminder') order by id"
        )
        due = await self._driver.rows("select kind, subject, at from due")
        return End(
            answers=answers,
            exchanges=tuple(replace(exchange, changed_at=NOON) for exchange in exchanges),
            gone=frozenset(row["company_id"] for row in gone),
            said=tuple(tuple(row) for row in said),
            due=frozenset(tuple(row) for row in due),
        )


def _clock(now: datetime) -> SetClock:
    clock = SetClock()
    clock.now_is(now)
    return clock


def _answer(outcome: object) -> str:
    if isinstance(outcome, Refused):
        return outcome.rule
    assert not isinstance(outcome, BaseException), repr(outcome)
    return "done"


@pytest.fixture
async def stand(driver: Driver) -> AsyncIterator[Stand]:
    pool = driver.process.pool
    connections = [await pool.acquire() for _ in range(3)]
    try:
        for connection in connections:  # who is held at a gate is held there for as long as the other takes
            await connection.execute("set idle_in_transaction_session_timeout = 0; set lock_timeout = 0")
        yield Stand(driver, connections)
    finally:
        for connection in connections:
            await connection.execute("reset idle_in_transaction_session_timeout; reset lock_timeout")
            await pool.release(connection)


async def assert_serial(stand: Stand, start: Exchange | None, both: Sequence[Does], changes: int, at_most: int) -> int:
    """Every schedule ends as one of the two serial orders does; returns how many were tried."""
    serial: list[End] = []

    async def judged(schedule: Sequence[int]) -> Trace:
        trace, end = await stand.run(start, both, schedule)
        if len(serial) < 2:
            serial.append(end)
        assert end in serial, f"schedule {''.join(map(str, trace.chosen))}"
        return trace

    return await schedules(judged, changes=changes, at_most=at_most)


@pytest.mark.parametrize("name", PAIRS)
async def test_two_at_once_end_as_one_after_the_other(stand: Stand, name: str):
    start, one, other = PAIRS[name]
    assert await assert_serial(stand, start, (one, other), changes=2, at_most=14) > 10


@pytest.mark.full
@pytest.mark.parametrize("name", PAIRS | BATCHES)
async def test_two_at_once_end_as_one_after_the_other_in_many_orders(stand: Stand, name: str):
    start, one, other = (PAIRS | BATCHES)[name]
    await assert_serial(stand, start, (one, other), changes=6, at_most=200)


@pytest.mark.parametrize("name", [name for name, (start, *_) in PAIRS.items() if start is None])
async def test_no_exchange_is_open_whose_company_left(stand: Stand, name: str):
    _, one, other = PAIRS[name]
    for schedule in ((0,), (1,), (0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, 0, 0, 1), (1, 1, 1, 1, 0), (1, 1, 1, 1, 1, 1, 0)):
        _, end = await stand.run(None, (one, other), schedule)
        for exchange in end.exchanges:
            left = end.gone & {exchange.match.sender_id, exchange.match.host_id}
            assert exchange.stage.ended or not left


async def test_the_interleaver_finds_a_proposal_that_does_not_hold_its_companies(stand: Stand):
    """What the lock is for: without it, the company is still there when looked at, and nothing is found when it leaves."""

    async def open_without_holding(event: MatchProposed, tx: Transaction) -> None:
        rows = await tx.connection.fetch(
            "select company_id from company where gone and company_id = any($1)", [event.sender_id, event.host_id]
        )
        before = await store.locked_or_blank(tx, event.match_id)
        await store.save(tx, before, domain.open(before, event, not rows, tx.now))

    opens = hears(proposal(), doors=(consumes(MatchProposed)(open_without_holding),))
    with pytest.raises(AssertionError, match="schedule"):
        await assert_serial(stand, None, (opens, hears(withdrawn(SENDER))), changes=1, at_most=100)


async def test_the_interleaver_finds_two_that_wait_for_each_other(stand: Stand):
    """What one order of locks is for: companies in another order than theirs end in a deadlock."""

    async def hold(tx: Transaction, *company_ids: UUID) -> None:
        for company_id in company_ids:
            await store.companies_locked_or_blank(tx, company_id)

    there, back = asks(lambda tx: hold(tx, SENDER, HOST)), asks(lambda tx: hold(tx, HOST, SENDER))
    with pytest.raises(AssertionError, match="DeadlockDetectedError"):
        await assert_serial(stand, None, (there, back), changes=1, at_most=100)


async def test_batches_that_name_the_same_companies_in_different_orders_never_wait_for_each_other(driver: Driver):
    """Both at once, again and again, as two processes have them; PostgreSQL would end a deadlock after a second."""
    for number in range(ROUNDS):
        companies = sorted(uuid7() for _ in range(4))
        opening = [
            proposal(f"{number} {place}", sender_id=sender, host_id=host)
            for place, (sender, host) in enumerate(pairwise(companies))
        ]
        async with asyncio.TaskGroup() as both:
            both.create_task(driver.handle_together(*opening))
            both.create_task(driver.handle_together(*map(withdrawn, reversed(companies))))
    rows = await driver.rows("select stage, count(*) from exchange group by stage")
    assert [tuple(row) for row in rows] == [("withdrawn", 3 * ROUNDS)]
