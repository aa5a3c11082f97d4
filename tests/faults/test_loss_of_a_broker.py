"""The random kills again, on three brokers that hold the same: in each round one of them is lost or stands still for a while."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from laptop.kafka import CLUSTER

from tests.faults.rounds import Struck, struck_system

ROUNDS = 10

pytestmark = [
    pytest.mark.full,
    # aiokafka leaves a connection behind that it was making when a broker went
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
async def struck(backing_folder: Path) -> AsyncIterator[Struck]:
    async with struck_system(backing_folder / "struck-cluster", brokers=CLUSTER) as struck:
        yield struck


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_every_event_stands_once_and_has_its_effect_once_though_a_broker_is_lost(struck: Struck, number: int):
    await struck.play(number)
