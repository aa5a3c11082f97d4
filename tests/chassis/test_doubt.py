"""A broker that comes back may tell a published position from before, or none, for a moment; the topics prove it wrong."""

import asyncio
from collections.abc import Callable
from itertools import cycle

import pytest
from chassis.relay import Published, Relay
from sojourn_contracts import catalogue
from sojourn_contracts.catalogue import emitted_by

from tests.chassis.given import SERVICE
from tests.chassis.relays import TOPICS, World
from tests.chassis.topics import assert_published, reading


@pytest.fixture
async def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """One whose relay knows its topics, whatever its name."""
    monkeypatch.setattr(catalogue, "emitted_by", lambda _: emitted_by(SERVICE))
    return world


async def from_before(world: World) -> Published:
    row = await world.pool.fetchrow("select position, generation, event_id::text from event_log where position = 2")
    return Published(*row)


def told(monkeypatch: pytest.MonkeyPatch, *instead: Published | None, until: Callable[[], bool]) -> None:
    """The broker tells these positions, one after the other, instead of the true one."""
    others, truly = cycle(instead), Relay.position

    async def position(relay: Relay) -> Published | None:
        return await truly(relay) if until() else next(others)

    monkeypatch.setattr(Relay, "position", position)


async def test_a_position_from_before_or_none_is_doubted_until_the_true_one_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async with reading(world.kafka, *TOPICS) as reader:
        await world.begin()
        async with world.another_leads():
            pass
        await world.emit(3)
        told(monkeypatch, await from_before(world), None, until=lambda: caplog.text.count("relay in doubt") == 4)
        async with world.another_leads() as relay:
            assert not relay.halted
        await assert_published(world.pool, await reader.all(world.source), world.emitted)
    assert caplog.text.count("relay in doubt") == 4


async def test_a_position_from_before_that_is_told_again_and_again_stops_the_relay(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    async with reading(world.kafka, *TOPICS) as reader:
        await world.begin()
        async with world.another_leads():
            pass
        told(monkeypatch, await from_before(world), until=lambda: False)
        relay = world.relay()
        async with asyncio.timeout(30):
            await relay.run()
        assert relay.halted
        await assert_published(world.pool, await reader.all(world.source), world.emitted)


async def test_an_event_on_a_topic_that_the_log_does_not_hold_stops_the_relay(
    world: World, caplog: pytest.LogCaptureFixture
):
    await world.begin()
    async with world.another_leads():
        pass
    await world.pool.execute("update event_log set event_id = gen_random_uuid() where position = 2")
    relay = world.relay()
    async with asyncio.timeout(30):
        await relay.run()
    assert relay.halted
    assert "the log does not hold event" in caplog.text
