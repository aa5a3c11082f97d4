"""Who has news: what the public topics say of matches and exchanges, read as any other system may read it.

It stands for the e-mails that tell people to have a look. What they then see and do goes over HTTP, as everybody's does.
"""

import json
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from sojourn_contracts import catalogue
from sojourn_contracts.exchange import Stage

TOPICS = (
    "MatchProposed",
    "MatchDeclined",
    "ExchangeUpdated",
    "ExchangeAgreed",
    "ExchangeCancelled",
    "ExchangeCompleted",
)
FOR_TRAVELLERS = (Stage.DRAFTED, Stage.AGREED, Stage.ONGOING, Stage.INTERRUPTED, Stage.COMPLETED)
"""Stages at which there is something for the traveller to do: sign, see to the checklist, take part in the stay, or answer."""
FOR_CONTACT_POINTS = (Stage.IN_VALIDATION, Stage.ONGOING, Stage.INTERRUPTED)
"""Stages at which there is something for the contact points of both countries: an agreement, or perhaps an alert."""


def concerned(said: Mapping[str, Any]) -> set[str]:
    """For whom an event of one of these topics is news: ids of companies and of the traveller, countries of contact points."""
    found, stage = {said["sender_id"], said["host_id"]}, said.get("stage")
    if stage in FOR_TRAVELLERS:
        found.add(said["traveller_id"])
    if stage in FOR_CONTACT_POINTS:
        found |= {said["sender_country"], said["host_country"]}
    return found


class News:
    """A reader of the topics, from their beginning."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._reader = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers, isolation_level="read_committed", enable_auto_commit=False
        )
        self._partitions = [
            TopicPartition(topic.name, number)
            for topic in catalogue.TOPICS
            if topic.event.__name__ in TOPICS
            for number in range(topic.partitions)
        ]

    async def __aenter__(self) -> "News":
        await self._reader.start()
        self._reader.assign(self._partitions)
        await self._reader.seek_to_beginning()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.stop()

    async def up_to(self, ends: Mapping[TopicPartition, int]) -> set[str]:
        """For whom there is something new before these ends of the topics."""
        found: set[str] = set()
        while any([await self._reader.position(place) < ends[place] for place in self._partitions]):
            for records in (await self._reader.getmany(timeout_ms=20)).values():
                for record in records:
                    found |= concerned(json.loads(record.value)) if record.value else set()
        return found
