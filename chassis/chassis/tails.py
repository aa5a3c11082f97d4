"""The newest of a service's events on each of its topics, as ``read_committed`` readers see it.

It is what the relay checks the published position against. A group's coordinator may tell an older position, or none, for a
moment: a broker that loses and regains the group's partition while it is still loading it takes the end of the first load for
that of the second (run: Kafka 4.1.1, killed and started again). What stands on the topics is not told from memory.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from sojourn_contracts import catalogue

from chassis.brokers import Brokers

LOOK_BACK = 200
"""Offsets before a partition's end that are read first; more, if they hold only what was aborted, and markers."""
FETCH_MS = 50


@dataclass(frozen=True)
class Newest:
    """A topic's newest event."""

    topic: str
    generation: int
    sequence: int
    event_id: str

    @property
    def age(self) -> tuple[int, int]:
        """Later is greater, over generations."""
        return self.generation, self.sequence


async def newest(brokers: Brokers, service: str) -> list[Newest]:
    """The newest event of each topic that the service writes and that holds one."""
    places = await brokers.partitions([topic.name for topic in catalogue.emitted_by(service)])
    if not places:
        return []
    consumer = AIOKafkaConsumer(
        **brokers.client(),
        client_id=f"{service}.relay",
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_MS,
    )
    try:
        await consumer.start()
        last = await _last(consumer, places, f"sojourn/{service}".encode())
    finally:
        await consumer.stop()
    found: dict[str, Newest] = {}
    for record in last:
        event = _read(record)
        if event.topic not in found or found[event.topic].age < event.age:
            found[event.topic] = event
    return list(found.values())


async def _last(consumer: AIOKafkaConsumer, places: Sequence[TopicPartition], source: bytes) -> list[ConsumerRecord]:
    """The last readable record from this source in each of these partitions that holds any."""
    begins, ends = await asyncio.gather(consumer.beginning_offsets(places), consumer.end_offsets(places))
    last: dict[TopicPartition, ConsumerRecord] = {}
    looking, back = [place for place in places if ends[place] > begins[place]], LOOK_BACK
    while looking:
        consumer.assign(looking)
        for place in looking:
            consumer.seek(place, max(begins[place], ends[place] - back))
        while any([await consumer.position(place) < ends[place] for place in looking]):
            for place, records in (await consumer.getmany(timeout_ms=FETCH_MS)).items():
                last.update((place, record) for record in records if ("ce_source", source) in record.headers)
        looking = [place for place in looking if place not in last and ends[place] - back > begins[place]]
        back *= 10
    return list(last.values())


def _read(record: ConsumerRecord) -> Newest:
    headers = dict(record.headers)
    return Newest(record.topic, int(headers["ce_generation"]), int(headers["ce_sequence"]), headers["ce_id"].decode())
