"""Steps the programme clock, and says when a step is over: when everything that follows from it has happened.

Two equal rounds of questions are asked: every process shows the new clock; nothing is due, backing off, in flight, in
an outbox, unpublished or unread. One round could fall between an event's publishing and its reading.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

PAUSE = 0.004
"""Seconds between rounds that are not yet quiet."""
PATIENCE = 60.0
"""Seconds of no quiet after which a step has failed."""


class NotSettled(RuntimeError):  # noqa: N818 - a state of the system
    """A step does not come to an end; the message says what each service still has to do."""


@dataclass(frozen=True)
class Standing:
    """What the services' /status said in the round that ended a step."""

    next_due: datetime | None
    changes: int
    """Grows whenever any service says anything."""


class Steps:
    """The one who steps the clock."""

    def __init__(self, clock_file: Path, status_urls: Mapping[str, str]) -> None:
        """One URL for each process, replicas included."""
        self._file = clock_file
        self._urls = status_urls
        self._http = httpx.AsyncClient(timeout=10)
        self.count = 0
        self.seconds: list[float] = []

    async def to(self, at: datetime) -> Standing:
        """Sets the clock to an instant that is not before the one that it shows, and waits until the step is over."""
        beside = self._file.with_suffix(".next")
        beside.write_text(at.isoformat())
        beside.replace(self._file)
        self.count += 1
        return await self.settled(at)

    async def settled(self, at: datetime) -> Standing:
        """Waits until nothing is left to do at this instant."""
        began = time.monotonic()
        before: Any = None
        while True:
            round_ = await asyncio.gather(*(self._status(url) for url in self._urls.values()))
            quiet = all(_quiet(status, at) for status in round_)
            if quiet and before == round_:
                self.seconds.append(time.monotonic() - began)
                return _standing(round_)
            before = round_ if quiet else None
            if time.monotonic() - began > PATIENCE:
                raise NotSettled(f"the step to {at.isoformat()} does not end: {_busy(round_, at)}")
            if not quiet:
                await asyncio.sleep(PAUSE)

    async def close(self) -> None:
        await self._http.aclose()

    async def _status(self, url: str) -> dict[str, Any]:
        answer = await self._http.get(f"{url}/status")
        answer.raise_for_status()
        return answer.json()


def _quiet(status: dict[str, Any], at: datetime) -> bool:
    return not _unfinished(status, at)


def _unfinished(status: dict[str, Any], at: datetime) -> dict[str, Any]:
    """What a process still has to do: empty when it is quiet."""
    due = status["due"]
    left = {
        "clock": status["clock"] if datetime.fromisoformat(status["clock"]) != at else None,
        "due": due["ready"],
        "backing off": due["backing_off"],
        "in flight": status["in_flight"],
        "outbox": status["outbox"],
        "unpublished": "unknown" if status["published"] is None else status["log_end"] - status["published"],
        "unread": "unknown" if status["lag"] is None else status["lag"],
        "halted": status["halted"],
    }
    return {name: value for name, value in left.items() if value}


def _busy(statuses: list[dict[str, Any]], at: datetime) -> str:
    unfinished = {status["service"]: left for status in statuses if (left := _unfinished(status, at))}
    return "; ".join(f"{service} {left}" for service, left in unfinished.items()) or "the figures keep changing"


def _standing(statuses: list[dict[str, Any]]) -> Standing:
    instants = [datetime.fromisoformat(at) for status in statuses if (at := status["due"]["next_at"])]
    return Standing(min(instants, default=None), sum(status["log_end"] for status in statuses))
