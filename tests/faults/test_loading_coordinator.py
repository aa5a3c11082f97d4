"""A broker that comes back answers before it has loaded its groups; no relay takes that for a lost position."""

from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupLoadInProgressError
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from chassis.brokers import Brokers
from chassis.failures import is_trouble
from chassis.relay import POSITION_TOPIC, Published, Relay

LOADING = OffsetFetchResponse_v3(0, [], GroupLoadInProgressError.errno)
NO_OFFSET = OffsetFetchResponse_v3(0, [(POSITION_TOPIC, [(0, -1, "", 0)])], 0)
AT_61 = OffsetFetchResponse_v3(0, [(POSITION_TOPIC, [(0, 61, '[1, "id"]', 0)])], 0)


def relay(monkeypatch: pytest.MonkeyPatch, answer: Any) -> Relay:
    """One that aiokafka's client tells what it makes of this answer of a broker's."""
    for name in ("start", "close"):
        monkeypatch.setattr(AIOKafkaAdminClient, name, AsyncMock())
    monkeypatch.setattr(AIOKafkaAdminClient, "find_coordinator", AsyncMock(return_value=1))
    monkeypatch.setattr(AIOKafkaAdminClient, "_send_request", AsyncMock(return_value=answer))
    return Relay("exchange", AsyncMock(), Brokers("127.0.0.1:1"), lease_seconds=1)


async def test_groups_that_are_not_loaded_yet_are_trouble_and_no_missing_position(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(GroupLoadInProgressError) as raised:
        await relay(monkeypatch, LOADING).position()
    assert is_trouble(raised.value)


async def test_a_loaded_group_tells_its_position_or_that_there_is_none(monkeypatch: pytest.MonkeyPatch):
    assert await relay(monkeypatch, NO_OFFSET).position() is None
    assert await relay(monkeypatch, AT_61).position() == Published(61, 1, "id")
