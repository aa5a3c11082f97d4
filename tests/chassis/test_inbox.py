"""The inbox on a real database: an event has its effect once, whatever ends a transaction and whoever else handles it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import chassis.inbox
import pytest
from chassis.database import Pool
from chassis.doors import LocksFirst, OnErasure, OnEvents, Received
from chassis.failures import is_trouble
from chassis.inbox import Inbox
from chassis.metrics import Metrics
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyWithdrawn
from sojourn_contracts.envelope import Envelope, Malformed
from sojourn_contracts.event import Event
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Refused
from uuid_utils.compat import uuid7

from tests.chassis.given import SERVICE, an, declined, note, withdrawn
from tests.chassis.receiving import Gate, Receiver
from tests.chassis.steps import Steps
from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Record, record

Way = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture
def receiver(pool: Pool) -> Receiver:
    return Receiver(pool, withdrawal=act)


@pytest.fixture
async def admin(pool: Pool) -> AsyncIterator["Admin"]:
    async with pool.acquire() as connection:
        yield Admin(connection)


async def test_an_event_has_its_effect_once_however_often_its_record_comes(receiver: Receiver):
    """Guarantee 8: within a batch, in a later one, and after a while."""
    once, twice = withdrawn(), withdrawn()
    records = [record(once), record(twice), record(once, event_id=(again := uuid7()))]
    await receiver.handle(records[0], records[1], records[0], records[1])
    await receiver.handle(records[1], records[2], records[2], records[0])
    await receiver.run(*records)
    assert await receiver.notes(once.subject) == ["CompanyWithdrawn"] * 2, "another id is another event"
    assert await receiver.notes(twice.subject) == ["CompanyWithdrawn"]
    assert await receiver.handled(again) == 1


async def test_two_members_with_the_same_event_at_once_handle_it_once(pool: Pool, receiver: Receiver):
    event, gate = withdrawn(), Gate()
    same = record(event)
    first = asyncio.create_task(Receiver(pool, withdrawal=gate.handle).handle(same))
    await until(gate.reached.is_set)
    second = asyncio.create_task(receiver.handle(same))
    await until(lambda: second.done() or receiver.waiting_for_a_lock(1))
    gate.open()
    await asyncio.gather(first, second)
    assert await receiver.notes(event.subject) == ["CompanyWithdrawn"]


async def test_of_two_members_with_the_same_event_the_second_handles_it_when_the_first_fails(
    pool: Pool, receiver: Receiver
):
    event, gate = withdrawn(), Gate()
    same = record(event)
    first = asyncio.create_task(Receiver(pool, withdrawal=gate.handle).handle(same))
    await until(gate.reached.is_set)
    second = asyncio.create_task(receiver.handle(same))
    await until(lambda: receiver.waiting_for_a_lock(1))
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert await receiver.notes(event.subject) == ["CompanyWithdrawn"]


async def test_overlapping_batches_of_two_members_do_not_wait_for_each_other_in_a_circle(pool: Pool):
    """They hold up at the same event, in the middle: each would have its own first one by then, and want the other's."""
    one, two, events = Receiver(pool), Receiver(pool), [withdrawn() for _ in range(3)]
    ids = sorted(uuid7() for _ in events)
    records = [record(event, event_id=event_id) for event, event_id in zip(events, ids, strict=True)]
    async with pool.acquire() as elsewhere:
        async with elsewhere.transaction():
            await elsewhere.execute("insert into inbox (event_id) values ($1)", ids[1])
            first = asyncio.create_task(one.handle(*records))
            await until(lambda: one.waiting_for_a_lock(1))
            second = asyncio.create_task(two.handle(*reversed(records)))
            await until(lambda: one.waiting_for_a_lock(2))
        await asyncio.gather(first, second)
    assert await one.notes(*[event.subject for event in events]) == ["CompanyWithdrawn"] * 2, (
        "the third was elsewhere's"
    )


async def test_what_is_locked_first_is_told_all_of_a_batch_at_once_before_any_handler(pool: Pool):
    told: list[Envelope] = []

    async def lock(envelopes: Sequence[Envelope], tx: Transaction) -> None:
        assert await tx.connection.fetchval("select count(*) from effect") == 0
        told.extend(envelopes)

    first, last, gone = withdrawn(), withdrawn(), uuid7()
    receiver = Receiver(pool, LocksFirst(lock))
    about_who_is_gone = an(CompanyWithdrawn, gone)
    await receiver.handle(*map(record, (first, about_who_is_gone, last)), record(CompanyWithdrawn, gone))
    assert [envelope.data for envelope in told] == [first, last, None]
    assert await receiver.notes(first.subject, last.subject, gone) == ["CompanyWithdrawn"] * 2 + ["erased"]


async def test_poison_is_isolated_and_the_rest_takes_effect_exactly_once(pool: Pool):
    events = [withdrawn() for _ in range(9)]
    bad = events[4].subject

    async def sometimes(event: CompanyWithdrawn, tx: Transaction) -> None:
        await note(event, tx)
        if event.subject == bad:
            raise Refused("not_here", "the company is not known")

    receiver = Receiver(pool, withdrawal=sometimes)
    records = [record(event) for event in events]
    await receiver.run(*records)
    await receiver.run(*records)
    assert await receiver.notes(*[event.subject for event in events]) == ["CompanyWithdrawn"] * 8
    assert await receiver.notes(bad) == []
    letters = await receiver.letters()
    assert [(letter["cause"], letter["key"]) for letter in letters] == [("not_here", str(bad).encode())]


async def test_a_missing_column_is_trouble_and_sets_nothing_aside(pool: Pool, database: Any):
    receiver, event = Receiver(pool), withdrawn()
    migrator = await asyncpg.connect(database.migrator_url)
    try:
        await migrator.execute(f"alter table {SERVICE}.effect rename note to away")
        with pytest.raises(asyncpg.UndefinedColumnError):
            await receiver.run(record(event))
        assert await receiver.letters() == []
        await migrator.execute(f"alter table {SERVICE}.effect rename away to note")
    finally:
        await migrator.close()
    await receiver.run(record(event, event_id=uuid7()))
    assert await receiver.notes(event.subject) == ["CompanyWithdrawn"]


async def test_a_commit_whose_answer_is_lost_has_its_effect_once(receiver: Receiver):
    event = withdrawn()
    receiver.answers_lost = 1
    with pytest.raises(ConnectionResetError):
        await receiver.run(record(event, event_id=(same := uuid7())))
    await receiver.run(record(event, event_id=same))
    assert await receiver.notes(event.subject) == ["CompanyWithdrawn"]


@pytest.mark.parametrize("end", ["killed", "cancelled"])
async def test_a_transaction_that_ends_at_any_await_leaves_all_or_nothing_and_a_repeat_completes_it(
    pool: Pool, receiver: Receiver, admin: "Admin", end: str
):
    for number in count(1):
        records = [record(withdrawn()), record(withdrawn()), record(CompanyRegistered, uuid7())]
        task: asyncio.Task[None]

        async def act() -> None:
            if end == "killed":
                await admin.end_all_others()
            else:
                task.cancel()  # noqa: B023 - of this round

        steps = Steps(chassis.inbox, at=number, act=act)
        task = asyncio.create_task(steps.over(receiver.handle(*records)))
        (error,) = await asyncio.gather(task, return_exceptions=True)
        if steps.held_at is None:
            assert error is None
            break
        assert await admin.left_behind(records) in ([0, 0, 0, 0, 0], [2, 2, 2, 1, 3]), steps.held_at
        await until(lambda: handles(receiver, records))  # noqa: B023
        assert await admin.left_behind(records) == [2, 2, 2, 1, 3], steps.held_at
    held = " ".join(steps.places)
    for function in ("_hold_erasures", "_mark_handled", "_effects"):
        assert function in held, "every statement had its turn"


async def test_a_record_is_set_aside_and_marked_handled_at_once_or_not_at_all(
    pool: Pool, receiver: Receiver, admin: "Admin"
):
    """Guarantee 7: killed at every await."""
    for number in count(1):
        bad = chassis.inbox.arrival(record(withdrawn()))
        steps = Steps(chassis.inbox, at=number, act=admin.end_all_others)
        aside = asyncio.create_task(steps.over(receiver.inbox.set_aside(bad, ValueError("no"))))
        await asyncio.gather(aside, return_exceptions=True)
        if steps.held_at is None:
            break
        found = await admin.letters_and_marks(bad.event_id)
        assert found in ([0, 0], [1, 1]), steps.held_at

        async def repeats() -> bool:
            return await succeeds(lambda: receiver.inbox.set_aside(bad, ValueError("no")))  # noqa: B023

        await until(repeats)
        assert await admin.letters_and_marks(bad.event_id) == [1, 1], steps.held_at
    assert number > 3


async def test_a_replay_has_its_effect_and_ends_its_letter_at_once_or_not_at_all(
    pool: Pool, receiver: Receiver, admin: "Admin"
):
    """Guarantee 7: killed at every await."""
    for number in count(1):
        dead = chassis.inbox.arrival(record(event := withdrawn()))
        await until(lambda: succeeds(lambda: receiver.inbox.set_aside(dead, ValueError("no"))))  # noqa: B023
        letter = await admin.letter(dead.event_id)
        steps = Steps(chassis.inbox, at=number, act=admin.end_all_others)
        replay = asyncio.create_task(steps.over(receiver.inbox.replay(letter)))
        await asyncio.gather(replay, return_exceptions=True)
        if steps.held_at is None:
            break
        assert await admin.effects_and_replays(event.subject, letter) in ([0, 0], [1, 1]), steps.held_at
        await until(lambda: succeeds(lambda: receiver.inbox.replay(letter)))  # noqa: B023
        assert await admin.effects_and_replays(event.subject, letter) == [1, 1], steps.held_at
    assert number > 5


async def test_a_tombstone_is_final_in_either_order_and_in_one_batch(receiver: Receiver, admin: "Admin"):
    """Guarantee 9: in one batch, nothing of what it erases is said or asked for."""
    before, after, together = withdrawn(), withdrawn(), withdrawn()
    await receiver.handle(record(before))
    await receiver.handle(record(CompanyWithdrawn, before.subject))
    await receiver.handle(record(CompanyWithdrawn, after.subject))
    await receiver.handle(record(after))
    batch = [record(together), record(CompanyWithdrawn, together.subject), record(together)]
    await receiver.handle(*batch)
    assert await admin.left_behind(batch) == [1, 0, 0, 1, 3]
    for event in (before, after, together):
        assert await receiver.notes(event.subject) == ["erased"]
        await receiver.handle(record(event), record(event))
        assert await receiver.notes(event.subject) == ["erased"], "for good"


async def test_a_tombstone_may_come_again_and_on_another_topic(receiver: Receiver):
    """Guarantee 9."""
    event = withdrawn()
    await receiver.handle(record(CompanyWithdrawn, event.subject), record(CompanyRegistered, event.subject))
    await receiver.handle(record(CompanyWithdrawn, event.subject))
    await receiver.handle(record(event))
    assert await receiver.notes(event.subject) == ["erased"]
    assert await receiver.letters() == []


async def by_its_record(receiver: Receiver, sent: Record) -> Way:
    return lambda: receiver.handle(sent)


async def by_a_replay(receiver: Receiver, sent: Record) -> Way:
    await receiver.inbox.set_aside(chassis.inbox.arrival(sent), ValueError("no"))
    (letter,) = await receiver.letters()
    return lambda: receiver.inbox.replay(letter["id"])


@pytest.mark.parametrize("way", [by_its_record, by_a_replay])
async def test_an_event_in_hand_elsewhere_does_not_survive_its_tombstone(pool: Pool, receiver: Receiver, way: Any):
    """Guarantee 9: the event first."""
    event, gate = withdrawn(), Gate()
    erase = await way(receiver, record(CompanyWithdrawn, event.subject))
    handling = asyncio.create_task(Receiver(pool, withdrawal=gate.handle).handle(record(event)))
    await until(gate.reached.is_set)
    erasing = asyncio.create_task(erase())
    await until(lambda: erasing.done() or receiver.waiting_for_a_lock(1))
    gate.open()
    await asyncio.gather(handling, erasing)
    assert await receiver.notes(event.subject) == ["erased"]


@pytest.mark.parametrize("way", [by_its_record, by_a_replay])
async def test_an_event_does_not_slip_past_a_tombstone_in_hand_elsewhere(pool: Pool, receiver: Receiver, way: Any):
    """Guarantee 9: the tombstone first."""
    event, gate = withdrawn(), Gate()
    handle = await way(receiver, record(event))
    other = Receiver(pool, OnErasure(CompanyWithdrawn, gate.erase))
    erasing = asyncio.create_task(other.handle(record(CompanyWithdrawn, event.subject)))
    await until(gate.reached.is_set)
    handling = asyncio.create_task(handle())
    await until(lambda: handling.done() or receiver.waiting_for_a_lock(1))
    gate.open()
    await asyncio.gather(handling, erasing)
    assert await receiver.notes(event.subject) == ["erased"]


async def test_a_batch_handler_gets_each_new_event_once_and_none_that_is_erased(pool: Pool):
    batches: list[list[UUID]] = []

    async def all_at_once(received: Sequence[Received[CompanyWithdrawn]]) -> None:
        batches.append([each.event.subject for each in received])
        for each in received:
            assert each.tx.cause.causation_id == str(each.envelope.id)
            await note(each.event, each.tx)

    receiver = Receiver(pool, OnEvents(CompanyWithdrawn, all_at_once))
    one, two, gone = withdrawn(), withdrawn(), withdrawn()
    await receiver.handle(
        first := record(one), first, record(gone), record(two), record(CompanyWithdrawn, gone.subject)
    )
    await receiver.handle(first)
    assert batches == [[one.subject, two.subject]]


async def test_events_of_several_kinds_that_share_a_handler_come_to_it_in_one_call(pool: Pool):
    batches: list[list[str]] = []

    async def all_at_once(received: Sequence[Received[Event]]) -> None:
        batches.append([type(each.event).__name__ for each in received])

    receiver = Receiver(pool, OnEvents(CompanyWithdrawn, all_at_once), OnEvents(MatchProposed, all_at_once))
    await receiver.handle(record(withdrawn()), record(an(MatchProposed)), record(withdrawn()))
    assert batches == [["CompanyWithdrawn", "MatchProposed", "CompanyWithdrawn"]]


async def test_an_event_of_another_consumer_is_malformed_here(pool: Pool, receiver: Receiver):
    await receiver.run(record(declined()))
    assert [(letter["cause"], letter["detail"]) for letter in await receiver.letters()] == [
        ("Malformed", "ce_type: MatchDeclined.v1 is not consumed by exchange")
    ]
    with pytest.raises(Malformed):
        await Inbox(SERVICE, (), receiver.open, Metrics(SERVICE)).handle([chassis.inbox.arrival(record(withdrawn()))])


async def act(event: CompanyWithdrawn, tx: Transaction) -> None:
    """All that a handler can leave behind."""
    await note(event, tx)
    tx.emit(declined(event.subject))
    tx.schedule("ask", event.subject, NOON)


async def handles(receiver: Receiver, records: Sequence[Record]) -> bool:
    return await succeeds(lambda: receiver.handle(*records))


async def succeeds(work: Callable[[], Awaitable[Any]]) -> bool:
    """False when it meets trouble: a connection of the pool that was killed."""
    try:
        await work()
    except Exception as error:
        if not is_trouble(error):
            raise
        return False
    return True


class Admin:
    """A connection of one's own, beside those that are killed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def end_all_others(self) -> None:
        await self._connection.fetch(
            "select pg_terminate_backend(pid, 2000) from pg_stat_activity"
            " where datname = current_database() and usename = current_user and pid <> pg_backend_pid()"
        )

    async def left_behind(self, records: Sequence[Record]) -> list[int]:
        """State, emitted events, due work, tombstones and inbox rows of these records, as of one moment."""
        row = await self._connection.fetchrow(
            "select (select count(*) from effect where subject = any($1)),"
            " (select count(*) from outbox where subject = any($1)),"
            " (select count(*) from due where subject = any($1::uuid[]::text[])),"
            " (select count(*) from erased where subject = any($1)),"
            " (select count(*) from inbox where event_id = any($2::uuid[]))",
            [UUID((each.key or b"").decode()) for each in records],
            [chassis.inbox.arrival(each).event_id for each in records],
        )
        return list(row)

    async def letters_and_marks(self, event_id: UUID) -> list[int]:
        row = await self._connection.fetchrow(
            "select (select count(*) from dead_letter where event_id = $1),"
            " (select count(*) from inbox where event_id = $1)",
            event_id,
        )
        return list(row)

    async def letter(self, event_id: UUID) -> UUID:
        return await self._connection.fetchval("select id from dead_letter where event_id = $1", event_id)

    async def effects_and_replays(self, subject: UUID, letter: UUID) -> list[int]:
        row = await self._connection.fetchrow(
            "select (select count(*) from effect where subject = $1),"
            " (select count(*) from dead_letter where id = $2 and state = 'replayed')",
            subject,
            letter,
        )
        return list(row)
