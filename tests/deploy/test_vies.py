"""The stand-in for VIES: what it knows decides what it answers, and what it answered is kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from laptop.clock import StoppedClock
from laptop.ports import HOST
from laptop.vies import Register, StandIn, answered

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
REGISTER = Register(invalid=frozenset({"DE999"}), away=(NOON + WEEK, NOON + 2 * WEEK))


@pytest.fixture
def clock(tmp_path: Path) -> StoppedClock:
    return StoppedClock(tmp_path / "clock", NOON)


@pytest.fixture
async def url(tmp_path: Path, clock: StoppedClock) -> AsyncIterator[str]:
    REGISTER.write(tmp_path)
    stand_in = StandIn(tmp_path, clock.file)
    server = await asyncio.start_server(stand_in.serve, HOST, 0)
    yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    server.close()
    stand_in.close()


async def says(url: str, country: str, number: str) -> tuple[bool, str]:
    async with httpx.AsyncClient(timeout=10) as http:
        answer = (await http.get(f"{url}/ms/{country}/vat/{number}")).raise_for_status().json()
    assert answer["vatNumber"] == number
    return answer["isValid"], answer["userError"]


async def test_a_number_is_valid_unless_it_is_known_not_to_be(url: str):
    assert await says(url, "DE", "123") == (True, "VALID")
    assert await says(url, "DE", "999") == (False, "INVALID")
    assert await says(url, "AT", "999") == (True, "VALID")


async def test_while_it_is_away_a_number_is_refused_twice_and_then_answered(
    url: str, clock: StoppedClock, tmp_path: Path
):
    clock.set(NOON + WEEK)
    assert [await says(url, "DE", "123") for _ in range(3)] == [(False, "MS_UNAVAILABLE")] * 2 + [(True, "VALID")]
    assert await says(url, "DE", "999") == (False, "MS_UNAVAILABLE")
    clock.set(NOON + 2 * WEEK)
    assert await says(url, "DE", "999") == (False, "INVALID")
    assert answered(tmp_path) == {
        "DE123": ["MS_UNAVAILABLE", "MS_UNAVAILABLE", "VALID"],
        "DE999": ["MS_UNAVAILABLE", "INVALID"],
    }


async def test_what_is_no_question_is_not_found(url: str):
    async with httpx.AsyncClient(timeout=10) as http:
        assert (await http.get(f"{url}/else")).status_code == 404


async def test_somebody_who_only_knocks_does_it_no_harm(url: str):
    _, writer = await asyncio.open_connection(HOST, int(url.rpartition(":")[2]))
    writer.close()
    assert await says(url, "DE", "123") == (True, "VALID")


def test_nobody_has_asked_where_there_is_none(tmp_path: Path):
    assert answered(tmp_path) == {}


def test_a_register_is_read_as_it_was_written(tmp_path: Path):
    REGISTER.write(tmp_path)
    assert Register.read(tmp_path) == REGISTER
    assert json.loads((tmp_path / "vies.json").read_text())["invalid"] == ["DE999"]
