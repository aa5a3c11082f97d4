"""The relay on real Kafka and PostgreSQL: its guarantees one by one, and what it does about input it cannot publish.

``test_relay_steps.py`` goes through its path await by await.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, ProducerFenced
from chassis.lease import Lease, LeaseLost
from chassis.outbox import HEADERS_ROOM
from chassis.relay import POSITION, Relay
from chassis.transaction import Cause
from sojourn_contracts import catalogue
from sojourn_contracts.envelope import decode
from sojourn_contracts.match import MatchDeclined

from tests.chassis.given import declined, transaction
from tests.chassis.relays import TOPICS, Leader, World
from tests.chassis.topics import assert_published, header, reading, set_position
from tests.chassis.waiting import until


async def test_an_event_stands_on_its_topic_as_it_was_emitted_and_so_does_its_tombstone(world: World):
    cause = Cause("order-7", "c-6", "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")
    event = declined()
    async with reading(world.kafka, *TOPICS) as reader:
        async with transaction(world.pool, cause) as tx:
            tx.emit(event)
            tx.erase(MatchDeclined, event.match_id)
        world.emitted = 2
        async with world.another_leads():
            records = await reader.all(world.source)
    there, tombstone = sorted(records, key=lambda record: record.offset)
    read = decode(there.value, there.headers)
    assert read.data == event
    assert (read.correlation_id, read.causation_id, read.traceparent) == (
        cause.correlation_id, cause.causation_id, cause.traceparent,
    )  # fmt: skip
    assert tombstone.value is None
    assert there.key == tombstone.key == str(event.match_id).encode()
    assert there.partition == tombstone.partition
    own = {"ce_id", "ce_sequence"}
    assert [pair for pair in there.headers if pair[0] not in own] == [
        pair for pair in tombstone.headers if pair[0] not in own
    ]
    assert [header(record, "ce_sequence") for record in (there, tombstone)] == [f"{1:018}", f"{2:018}"]


async def test_the_largest_event_that_the_outbox_takes_is_published(world: World):
    room = catalogue.MAX_RECORD_BYTES - HEADERS_ROOM - len(declined(padding="").model_dump_json())
    await world.emit_these(declined(padding="x" * room))
    async with reading(world.kafka, *TOPICS) as reader, world.another_leads():
        await assert_published(world.pool, await reader.all(world.source), 1)


async def test_a_batch_after_the_other_is_published_in_log_order_while_events_keep_coming(world: World):
    async with reading(world.kafka, *TOPICS) as reader, world.one_leads() as relay:
        for _ in range(30):
            await world.emit(4)
            relay.wake()
        await world.published(relay)
        await assert_published(world.pool, await reader.all(world.source), 120)


async def test_a_leader_is_woken_by_a_notification(world: World):
    async with world.another_leads() as relay:
        await world.emit(4)
        await world.pool.execute("select pg_notify($1, '')", f"{world.name}_outbox")
        await world.published(relay)


@pytest.mark.parametrize("place", ["_publish_log", "send", "_move", "_pause"])
async def test_a_leader_that_wakes_up_deposed_publishes_and_moves_nothing(world: World, place: str):
    await world.begin(left_behind=True)
    async with reading(world.kafka, *TOPICS) as reader:
        leader = Leader(world, place)
        async with leader.elsewhere:
            await until(lambda: leader.elsewhere.held)
            await world.emit(2)
            await world.expire_the_lease()
            successor = Lease(world.pool, "relay", 60)
            await until(successor.acquire)
            producer = world.relay().producer()
            await producer.start()  # fences
            before = await world.pool.fetchrow(COUNTS), await reader.all(world.source)
            leader.elsewhere.thaw()
            await until(lambda: leader.is_deposed)
            leader.stop()
        await producer.stop()
        assert (await world.pool.fetchrow(COUNTS), await reader.all(world.source)) == before


COUNTS = "select (select count(*) from outbox) as outbox, (select count(*) from event_log) as log"


async def test_a_deposed_leader_that_fences_its_successor_notices_before_it_publishes(world: World):
    await world.begin(left_behind=True)
    lease = Lease(world.pool, "relay", 60)
    await lease.acquire()
    await world.expire_the_lease()
    await Lease(world.pool, "relay", 60).acquire()
    async with reading(world.kafka, *TOPICS) as reader:
        with pytest.raises(LeaseLost):
            await world.relay()._lead(lease)
        assert await reader.all(world.source) == []


async def test_a_leader_that_was_fenced_by_a_deposed_one_takes_over_anew(
    world: World, caplog: pytest.LogCaptureFixture
):
    await world.begin()
    async with reading(world.kafka, *TOPICS) as reader, world.another_leads() as relay:
        deposed = relay.producer()
        await deposed.start()
        await world.emit(4)
        await world.published(relay)
        await deposed.begin_transaction()
        with pytest.raises(ProducerFenced):
            await deposed.send_and_wait("MatchDeclined", key=b"", value=b"", headers=[])
        await deposed.stop()
        await assert_published(world.pool, await reader.all(world.source), 8)
    assert "ProducerFenced" in caplog.text


async def hold_up(world: World, statements: int) -> bool:
    """So many statements wait for a lock."""
    return await world.pool.fetchval("select count(distinct pid) from pg_locks where not granted") == statements


async def test_events_are_published_whose_move_was_cut_off_and_took_effect_later(world: World):
    world.lease_seconds = 10
    await world.emit(3)
    async with world.pool.acquire() as connection:
        held_up = connection.transaction()
        await held_up.start()
        await connection.execute("select from outbox for update")
        leader = Leader(world, None)
        async with leader.elsewhere:
            await until(lambda: hold_up(world, 1))
            leader.elsewhere.cut()
            await until(lambda: hold_up(world, 2))  # it takes over anew, and waits
            await held_up.rollback()
            await until(lambda: leader.has_published)
            leader.stop()


async def test_a_commit_whose_answer_is_lost_publishes_once_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch):
    commit, answers = AIOKafkaProducer.commit_transaction, iter([True, False, True, True, False])

    async def commit_and_lose_the_answer(producer: AIOKafkaProducer) -> None:
        await commit(producer)
        if next(answers, False):
            raise KafkaTimeoutError

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit_and_lose_the_answer)
    await world.begin()
    async with reading(world.kafka, *TOPICS) as reader, world.another_leads() as relay:
        await world.emit(8)
        await world.published(relay)
        await assert_published(world.pool, await reader.all(world.source), 12)
    assert next(answers, None) is None


async def test_a_cancellation_that_nobody_asked_for_does_not_end_the_relay(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    position, cancelled = Relay.position, False

    async def cancelled_once(relay: Relay) -> Any:
        nonlocal cancelled
        if not cancelled:
            cancelled = True
            raise asyncio.CancelledError
        return await position(relay)

    monkeypatch.setattr(Relay, "position", cancelled_once)
    await world.begin()
    async with world.another_leads():
        assert cancelled


async def test_a_refused_record_stops_what_comes_after_it_and_all_is_published_once_its_topic_takes_it(
    world: World, caplog: pytest.LogCaptureFixture
):
    async with reading(world.kafka, *TOPICS) as reader, world.one_leads() as relay:
        async with max_message_bytes(world.kafka, "MatchDeclined", 3_000):
            await world.emit(3)
            await world.published(relay)
            await world.emit_these(declined(world.keys[0], padding="x" * 5_000))
            await world.emit(5)
            await until(lambda: caplog.text.count(MessageSizeTooLargeError.__name__) >= 2)
            assert "relay takes over anew" in caplog.text
            assert len(await reader.all(world.source)) == 3
        await world.published(relay)
        await assert_published(world.pool, await reader.all(world.source), 9)


@asynccontextmanager
async def max_message_bytes(kafka: str, topic: str, limit: int) -> AsyncGenerator[None]:
    async def set_to(size: str) -> None:
        usual = catalogue.BY_NAME[topic].configuration | {"max.message.bytes": size}
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        try:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, usual)])
        finally:
            await admin.close()

    await set_to(str(limit))
    try:
        yield
    finally:
        await set_to(catalogue.BY_NAME[topic].configuration["max.message.bytes"])


class TestARestoredLog:
    """What Kafka knows and what the log says differ: nothing is published until an operator decides."""

    async def assert_it_stops(self, world: World, caplog: pytest.LogCaptureFixture, reason: str) -> None:
        async with reading(world.kafka, *TOPICS) as reader:
            world.lease_seconds = 0.3  # it doubts for three of them
            relay = world.relay()
            async with asyncio.timeout(15):
                await relay.run()
            assert relay.halted
            assert not relay.leading
            assert "relay stopped" in caplog.text
            assert reason in caplog.text
            assert await reader.all(world.source) == []
        assert await world.pool.fetchval("select count(*) from outbox") == 3, "it moves nothing either"

    async def publish_then_emit(self, world: World) -> None:
        await world.begin()
        async with world.another_leads():
            pass
        await world.emit(3)

    async def test_the_relay_stops_when_the_log_ends_before_what_is_published(self, world: World, caplog: Any):
        await self.publish_then_emit(world)
        await world.pool.execute("delete from event_log where position > 2")
        await self.assert_it_stops(world, caplog, "the log ends before position 4")

    async def test_the_relay_stops_when_another_event_stands_at_the_published_position(self, world: World, caplog: Any):
        await self.publish_then_emit(world)
        await world.pool.execute("update event_log set event_id = gen_random_uuid() where position = 4")
        await self.assert_it_stops(world, caplog, "position 4 holds")

    async def test_the_relay_stops_when_the_generation_differs(self, world: World, caplog: Any):
        await self.publish_then_emit(world)
        await world.pool.execute("update event_log set generation = 2 where position = 4")
        await self.assert_it_stops(world, caplog, "position 4 holds")

    async def test_the_relay_stops_when_the_position_is_missing_and_the_log_is_not_empty(
        self, world: World, caplog: Any
    ):
        await self.publish_then_emit(world)
        world.name += "-other"
        await self.assert_it_stops(world, caplog, "no published position")

    async def test_the_relay_stops_when_somebody_else_set_the_position(self, world: World, caplog: Any):
        await self.publish_then_emit(world)
        await set_position(world.kafka, world.group, POSITION, 2)
        await self.assert_it_stops(world, caplog, "was not set by a relay")


async def test_an_idle_position_is_committed_again(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.relay.RECOMMIT", 0.3)
    sent: list[int] = []
    send = Relay.send

    async def noted(relay: Relay, producer: Any, rows: Any, reached: Any) -> None:
        await send(relay, producer, rows, reached)
        sent.append(len(rows))

    monkeypatch.setattr(Relay, "send", noted)
    await world.begin()
    async with world.another_leads() as relay:
        await until(lambda: sent[-2:] == [0, 0])
        assert relay.published == 4
