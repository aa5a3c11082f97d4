"""When a step of the programme's clock is over: asked of services that play a script."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pilot.steps import NotSettled, Steps

NOW = datetime(2016, 11, 1, 8, tzinfo=UTC)
LATER = datetime(2016, 11, 3, tzinfo=UTC)


def status(service: str, **said: Any) -> dict[str, Any]:
    due = {"ready": said.pop("ready", 0), "next_at": said.pop("next_at", None), "backing_off": 0}
    quiet = {"clock": NOW.isoformat(), "in_flight": 0, "done": 5, "outbox": 0, "log_end": 3, "published": 3, "lag": 0}
    return {"service": service, "due": due, "dead_letters": 0, "halted": False, **quiet, **said}


class Ends:
    """Topics whose transactions are open for the first so many questions."""

    def __init__(self, open_for: int = 0) -> None:
        self.open_for = open_for
        self.committed: dict[Any, int] = {}

    async def all_committed(self) -> bool:
        self.open_for -= 1
        return self.open_for < 0


class Scripted:
    """Services that answer with one status after the other, and with the last one from then on."""

    def __init__(self, script: dict[str, list[dict[str, Any]]], ends: Ends | None = None) -> None:
        self.asked: list[str] = []
        self.set: list[datetime] = []
        self._script = script
        urls = {service: f"http://{service}" for service in script}
        self.steps = Steps(self.set.append, urls, ends or Ends())  # pyright: ignore[reportArgumentType]
        self.steps._http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        service = request.url.host
        self.asked.append(service)
        left = self._script[service]
        return httpx.Response(200, json=left.pop(0) if len(left) > 1 else left[0])


async def settled(
    script: dict[str, list[dict[str, Any]]], ends: Ends | None = None, patience: float = 60
) -> tuple[Scripted, Any]:
    scripted = Scripted(script, ends)
    async with scripted.steps as under_test:
        under_test.to(NOW)
        return scripted, await under_test.settled(NOW, patience)


async def test_a_step_is_over_after_two_equal_quiet_rounds():
    scripted, standing = await settled(
        {
            "matching": [status("matching", next_at=LATER.isoformat())],
            "survey": [status("survey", log_end=1, published=1)],
        }
    )
    assert scripted.asked == ["matching", "survey"] * 2
    assert (standing.next_due, standing.changes) == (LATER, 4)
    assert scripted.set == [NOW]


@pytest.mark.parametrize(
    "busy",
    [
        {"clock": "2016-11-01T07:00:00+00:00"},
        {"ready": 1},
        {"in_flight": 1},
        {"outbox": 1},
        {"log_end": 4},
        {"published": None},
        {"lag": 2},
        {"lag": None},
    ],
)
async def test_a_step_is_not_over_while_a_service_has_something_to_do(busy: dict[str, Any]):
    scripted, _ = await settled(
        {"matching": [status("matching", **busy), status("matching")], "survey": [status("survey")]}
    )
    assert scripted.asked == ["matching", *["matching", "survey"] * 2]


async def test_a_step_is_not_over_while_something_still_happened_between_the_rounds():
    done = [status("matching", done=count) for count in (5, 6, 6)]
    scripted, _ = await settled({"matching": done, "survey": [status("survey")]})
    assert scripted.asked == ["matching", "survey"] * 3


async def test_a_step_is_not_over_while_a_topic_has_an_open_transaction():
    scripted, _ = await settled({"matching": [status("matching")]}, Ends(open_for=2))
    assert scripted.asked == ["matching"] * 4


async def test_a_step_that_does_not_end_is_told_with_what_is_left_to_do():
    busy: Sequence[dict[str, Any]] = [status("matching", lag=2, halted=True)]
    with pytest.raises(NotSettled, match=r"matching .*'unread': 2.*'halted': True"):
        await settled({"matching": list(busy)}, patience=0.05)
