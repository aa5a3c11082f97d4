"""The outbox: what a transaction emits, and that it goes with the transaction."""

import asyncio
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import asyncpg
import pytest
from chassis.database import Pool
from chassis.lease import Lease
from chassis.outbox import HEADERS_ROOM, TooLarge
from chassis.relay import MOVE
from chassis.transaction import Cause
from sojourn_contracts import catalogue
from sojourn_contracts.erasure import ErasureDone
from sojourn_contracts.match import MatchDeclined
from uuid_utils.compat import uuid7

from tests.chassis.given import SERVICE, a_service, an, cancelled, declined, transaction, withdrawn
from tests.chassis_driver import NOON
from tests.conftest import Driving


class Boom(Exception):
    pass


async def test_an_event_is_in_the_outbox_if_and_only_if_its_transaction_was_committed(driving: Driving):
    driver = await driving(a_service())
    kept, lost, too_late = declined(), declined(), declined()
    async with driver.process.open_transaction(Cause()) as tx:
        tx.emit(kept)
    with pytest.raises(Boom):
        async with driver.process.open_transaction(Cause()) as tx:
            tx.emit(lost)
            raise Boom
    with pytest.raises(Boom):
        async with driver.process.open_transaction(Cause()) as tx:
            tx.emit(too_late)
            await tx.flush()  # as if it failed just before the commit
            raise Boom
    assert await driver.emitted() == [kept]


async def test_an_event_that_no_topic_takes_is_refused_before_it_reaches_the_outbox(pool: Pool):
    async with transaction(pool) as tx:
        for character in ("x", "\u20ac"):
            size = len(character.encode())
            with pytest.raises(TooLarge):
                tx.emit(declined(padding=character * (catalogue.MAX_RECORD_BYTES // size)))
    assert await pool.fetchval("select count(*) from outbox") == 0


async def test_the_largest_event_that_the_outbox_takes_leaves_room_for_key_and_headers(pool: Pool):
    bare = len(declined(padding="").model_dump_json().encode())
    room = catalogue.MAX_RECORD_BYTES - HEADERS_ROOM - bare
    async with transaction(pool) as tx:
        tx.emit(declined(padding="x" * room))
        with pytest.raises(TooLarge):
            tx.emit(declined(padding="x" * (room + 1)))
    assert await pool.fetchval("select octet_length(data) from outbox") == catalogue.MAX_RECORD_BYTES - HEADERS_ROOM


async def test_an_event_of_another_producer_is_refused(pool: Pool):
    async with transaction(pool) as tx:
        with pytest.raises(ValueError, match="does not let exchange emit CompanyWithdrawn"):
            tx.emit(withdrawn())
        with pytest.raises(ValueError, match="does not let exchange emit CompanyWithdrawn"):
            tx.erase(type(withdrawn()), uuid7())
    assert await pool.fetchval("select count(*) from outbox") == 0


async def test_an_event_that_is_only_planned_is_refused_since_its_topic_does_not_exist(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
):
    topic = catalogue.BY_NAME["ErasureDone"]
    assert SERVICE in topic.producers
    monkeypatch.setitem(catalogue.BY_NAME, "ErasureDone", replace(topic, planned=True))
    async with transaction(pool) as tx:
        with pytest.raises(ValueError, match="does not let exchange emit ErasureDone"):
            tx.emit(an(ErasureDone))
    assert await pool.fetchval("select count(*) from outbox") == 0


async def test_the_events_of_a_transaction_keep_the_order_in_which_they_were_emitted(pool: Pool):
    subjects = [uuid7() for _ in range(50)]
    Random(3).shuffle(subjects)
    async with transaction(pool) as tx:
        for number, subject in enumerate(subjects):
            if number % 5 == 4:
                tx.erase(MatchDeclined, subject)
            else:
                tx.emit((declined, cancelled)[number % 2](subject))
    assert [row["subject"] for row in await pool.fetch("select subject from outbox order by id")] == subjects


async def test_a_tombstone_is_a_row_like_an_events_without_data(pool: Pool):
    subject = uuid7()
    cause = Cause("order-7", str(uuid7()), "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")
    async with transaction(pool, cause) as tx:
        tx.emit(declined(subject))
        tx.erase(MatchDeclined, subject)
    event, tombstone = await pool.fetch(
        "select topic, type, dataschema, subject, time, correlation_id, causation_id, traceparent from outbox order by id"
    )
    assert dict(event) == dict(tombstone)
    assert [row["data"] is None for row in await pool.fetch("select data from outbox order by id")] == [False, True]


async def test_an_unlinked_event_has_a_random_id_a_day_and_no_cause(pool: Pool):
    cause = Cause("order-7", str(uuid7()), "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")
    async with transaction(pool, cause) as tx:
        tx.emit(declined())
        tx.emit_unlinked(declined(), declined())
    linked, *unlinked = await pool.fetch(
        "select event_id, time, correlation_id, causation_id, traceparent from outbox order by id"
    )
    assert (linked["correlation_id"], linked["causation_id"], linked["traceparent"]) == (
        cause.correlation_id, cause.causation_id, cause.traceparent,
    )  # fmt: skip
    assert (linked["event_id"].version, linked["time"]) == (7, NOON)
    for row in unlinked:
        assert (row["event_id"].version, row["time"]) == (4, datetime(NOON.year, NOON.month, NOON.day, tzinfo=UTC))
        assert (row["correlation_id"], row["causation_id"], row["traceparent"]) == (None, None, None)


async def moved(pool: Pool, lease: Lease, limit: int = 7) -> int:
    return len(await pool.fetch(MOVE, lease.holder, lease.epoch, limit))


async def write(pool: Pool, keys: list[UUID], source: Random) -> int:
    """Emits a few events on one key whose writers wait for each other, as they do for an aggregate's row; some give up."""
    key = source.choice(keys)
    committed = source.randrange(1, 4)
    try:
        async with transaction(pool) as tx:
            await tx.connection.execute("select pg_advisory_xact_lock(hashtext($1::text))", str(key))
            so_far = await tx.connection.fetchval("select coalesce(max(number), 0) from effect where subject = $1", key)
            await tx.connection.execute(
                "insert into effect (subject, note, number) values ($1, '', $2)", key, so_far + committed
            )
            tx.emit(*(declined(key, revision=so_far + number + 1) for number in range(committed)))
            await tx.flush()
            tx.effects.events.clear()
            await tx.connection.execute("select pg_sleep($1)", source.choice((0, 0, 0.002, 0.02)))
            if source.random() < 0.2:
                raise Boom
    except Boom:
        return 0
    return committed


async def test_every_event_gets_one_dense_position_and_a_keys_events_their_order_whoever_writes_meanwhile(pool: Pool):
    source, keys = Random(5), [uuid7() for _ in range(5)]
    lease = Lease(pool, "relay", 30)
    await lease.acquire()

    async def writer() -> int:
        return sum([await write(pool, keys, source) for _ in range(12)])

    writers = asyncio.gather(*(writer() for _ in range(6)))
    while not writers.done() or await moved(pool, lease):
        await moved(pool, lease)
    emitted = sum(await writers)
    log = await pool.fetch(
        "select position, sequence, subject, (data::json ->> 'revision')::int as revision from event_log order by position"
    )
    assert [row["position"] for row in log] == list(range(1, emitted + 1))
    assert [row["sequence"] for row in log] == list(range(1, emitted + 1))
    revisions: dict[UUID, list[int]] = defaultdict(list)
    for row in log:
        revisions[row["subject"]].append(row["revision"])
    assert list(revisions.values()) == [list(range(1, len(found) + 1)) for found in revisions.values()]
    assert await pool.fetchval("select last_value from outbox_id_seq") > emitted, "some ids are holes"


async def test_only_a_statement_of_the_lease_that_is_held_now_moves_anything(pool: Pool):
    """Guarantee 15: none of another holder, of an epoch before, or of a lease that is over."""
    async with transaction(pool) as tx:
        tx.emit(declined())
    lease = Lease(pool, "relay", 30)
    await lease.acquire()
    await lease.begin_anew()
    for holder, epoch in ((uuid7(), lease.epoch), (lease.holder, lease.epoch - 1)):
        assert await pool.fetch(MOVE, holder, epoch, 7) == []
    await pool.execute("update lease set until = clock_timestamp()")
    assert await moved(pool, lease) == 0
    await lease.acquire()
    assert await moved(pool, lease) == 1


async def test_two_movers_cannot_both_win(pool: Pool):
    async with transaction(pool) as tx:
        tx.emit(*(declined() for _ in range(6)))
    lease = Lease(pool, "relay", 30)
    await lease.acquire()
    async with pool.acquire() as first, pool.acquire() as second:
        held = first.transaction()
        await held.start()
        await first.fetch(MOVE, lease.holder, lease.epoch, 3)
        late = asyncio.create_task(second.fetch(MOVE, lease.holder, lease.epoch, 6))
        while not await pool.fetchval("select cardinality(pg_blocking_pids($1)) > 0", second.get_server_pid()):
            await asyncio.sleep(0.005)
        await held.commit()
        with pytest.raises(asyncpg.UniqueViolationError):
            await late
    while await moved(pool, lease, 3):
        pass
    log = await pool.fetch(
        "select position, count(*) over (partition by event_id) as copies from event_log order by position"
    )
    assert [(row["position"], row["copies"]) for row in log] == [(position, 1) for position in range(1, 7)]
