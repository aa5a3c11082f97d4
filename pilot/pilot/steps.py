"""Steps the programme clock, and says when a step is over: when everything that follows from it has happened.

Two equal rounds of questions are asked: every process shows the new clock; nothing is due, backing off, in flight, in
an outbox, unpublished or unread; no topic has an open transaction. One round could fall between an event's publishing and
its reading; and Kafka confirms a commit before ``read_committed`` readers, and so a consumer's lag, get to see it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from sojourn_contracts.catalogue import TOPICS

PAUSE, LONGEST_PAUSE = 0.005, 0.05
"""Seconds before somebody who was not quiet is asked again: a seventh of what the step took up to then, within these."""
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
    ends: Mapping[TopicPartition, int]
    """Up to where the topics can be read."""


class Steps:
    """The one who steps the clock."""

    def __init__(self, set_clock: Callable[[datetime], None], urls: Mapping[str, str], ends: "TopicEnds") -> None:
        """``urls``: one for each process, replicas included."""
        self._set_clock = set_clock
        self._urls = urls
        self._ends = ends
        self._http = httpx.AsyncClient(timeout=10)
        self.count = 0
        self.seconds: list[float] = []

    def to(self, at: datetime) -> None:
        """Sets the clock to an instant that is not before the one that it shows."""
        self._set_clock(at)
        self.count += 1

    async def settled(self, at: datetime, patience: float = PATIENCE) -> Standing:
        """Waits until every process shows this instant and nothing is left to do at it, so many seconds at most.

        The first round asks one after the other, and each again until it is quiet: along the way that events take, this is
        the cheapest. Counters only grow, so a round that equals the one before says that nothing happened in between.
        """
        began = time.monotonic()
        deadline = began + patience
        before: list[dict[str, Any]] = []
        for url in self._urls.values():
            while _unfinished(status := await self._status(url), at):
                await self._pause(began, deadline, at, [status])
            before.append(status)
        while True:
            committed = await self._ends.all_committed()
            round_ = await asyncio.gather(*(self._status(url) for url in self._urls.values()))
            if committed and before == round_ and not any(_unfinished(status, at) for status in round_):
                self.seconds.append(time.monotonic() - began)
                return _standing(round_, self._ends.committed)
            before = round_
            await self._pause(began, deadline, at, round_)

    async def _pause(self, began: float, deadline: float, at: datetime, statuses: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        if now > deadline:
            raise NotSettled(f"the step to {at.isoformat()} does not end: {_busy(statuses, at)}")
        await asyncio.sleep(min(LONGEST_PAUSE, max(PAUSE, (now - began) / 7)))

    async def __aenter__(self) -> "Steps":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def _status(self, url: str) -> dict[str, Any]:
        answer = await self._http.get(f"{url}/status")
        answer.raise_for_status()
        return answer.json()


class TopicEnds:
    """Where the topics end, for readers of everything and for readers of what is committed."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._readers = [
            AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, isolation_level=level, enable_auto_commit=False)
            for level in ("read_uncommitted", "read_committed")
        ]
        self._partitions = [
            TopicPartition(topic.name, partition) for topic in TOPICS for partition in range(topic.partitions)
        ]
        self.committed: dict[TopicPartition, int] = {}
        """Up to where all was readable when it was last asked."""

    async def __aenter__(self) -> "TopicEnds":
        await asyncio.gather(*(reader.start() for reader in self._readers))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(reader.stop() for reader in self._readers))

    async def all_committed(self) -> bool:
        """Whether every transaction that was begun on a topic is over, as its readers see it."""
        everything, self.committed = await asyncio.gather(
            *(reader.end_offsets(self._partitions) for reader in self._readers)
        )
        return everything == self.committed


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


def _standing(statuses: list[dict[str, Any]], ends: Mapping[TopicPartition, int]) -> Standing:
    instants = [datetime.fromisoformat(at) for status in statuses if (at := status["due"]["next_at"])]
    return Standing(min(instants, default=None), sum(status["log_end"] for status in statuses), ends)
