"""The relay's whole path, await by await: frozen, killed, cancelled, failing and cut off at each of them.

Whatever happened: every committed event stands exactly once on its topic, in log order, the newest per key last, and
sequences and positions are dense.
"""

import os
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from tests.chassis.relays import TOPICS, Leader, World
from tests.chassis.steps import sample
from tests.chassis.topics import Reader, assert_published, reading
from tests.chassis.waiting import until

FULL = "FULL" in os.environ
SEED = int(os.environ.get("SEED", Random().randrange(10**6)))
POINTS = 2
"""Steps per way to be disturbed and per beginning, unless all are tried."""


async def frozen(world: World, leader: Leader) -> None:
    await world.expire_the_lease()
    async with world.another_leads() as other:
        leader.elsewhere.thaw()
        await until(lambda: leader.is_deposed)
        await world.emit(2)
        await world.published(other)
    leader.stop()


async def killed(world: World, leader: Leader) -> None:
    leader.elsewhere.kill()
    await world.expire_the_lease()
    async with world.another_leads():
        pass


async def stopped(world: World, leader: Leader) -> None:
    leader.elsewhere.cancel()
    async with world.another_leads():
        pass


async def failing(world: World, leader: Leader) -> None:
    leader.elsewhere.fail(ConnectionResetError("gone"))
    await until(lambda: leader.has_published)
    leader.stop()


async def cut_off(world: World, leader: Leader) -> None:
    leader.elsewhere.cut()
    await until(lambda: leader.has_published)
    leader.stop()


Disturbance = Callable[[World, Leader], Awaitable[None]]


async def undisturbed(world: World, left_behind: bool) -> list[str]:
    """The steps of a leader that nobody disturbs."""
    await world.begin(left_behind)
    leader = Leader(world, None)
    async with leader.elsewhere:
        await until(lambda: leader.has_published)
        leader.stop()
    return leader.elsewhere.steps.places


async def disturbed(world: World, reader: Reader, left_behind: bool, at: int, disturb: Disturbance) -> bool:
    """False when the path ended before this step."""
    await world.begin(left_behind)
    leader = Leader(world, at)
    try:
        async with leader.elsewhere:
            await until(lambda: leader.elsewhere.held or leader.has_published)
            reached = leader.elsewhere.held
            if reached:
                await disturb(world, leader)
            leader.stop()
        await assert_published(world.pool, await reader.all(world.source), world.emitted)
    except BaseException as error:
        error.add_note(f"{disturb.__name__} at step {at}, SEED={SEED}; {leader.elsewhere}")
        raise
    return reached


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what is killed does not tidy up
@pytest.mark.parametrize("left_behind", [False, True], ids=["from-nothing", "with-a-log"])
@pytest.mark.parametrize("disturb", [frozen, killed, stopped, failing, cut_off])
async def test_a_leader_disturbed_at_any_await_loses_and_doubles_nothing(
    world: World, disturb: Disturbance, left_behind: bool
):
    places = await undisturbed(world, left_behind)
    steps = os.environ.get("STEPS")
    at = (
        range(*map(int, steps.split("-")))
        if steps
        else range(1, 10_000)
        if FULL
        else sample(places, POINTS, Random(SEED))
    )
    async with reading(world.kafka, *TOPICS) as reader:
        for step in at:
            if not await disturbed(world, reader, left_behind, step, disturb):
                break
