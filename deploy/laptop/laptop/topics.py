"""Makes the catalogue's topics, and the relays' position topic, at a broker."""

from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code
from sojourn_contracts.catalogue import POSITION_CONFIGURATION, POSITION_TOPIC, TOPICS


class TopicsError(RuntimeError):
    """A topic is there and is not what the catalogue says, or could not be made."""


@dataclass(frozen=True)
class Wanted:
    partitions: int
    configuration: dict[str, str]


def wanted() -> dict[str, Wanted]:
    """All topics of an installation."""
    topics = {topic.name: Wanted(topic.partitions, topic.configuration) for topic in TOPICS}
    return topics | {POSITION_TOPIC: Wanted(1, POSITION_CONFIGURATION)}


async def create_topics(bootstrap: str, replication: int | None = None) -> None:
    """Make those that are missing; raise ``TopicsError`` when one is there with another number of partitions.

    Each is on ``replication`` brokers, by default on three or as many as there are; all but one of them must have a record before
    it counts, so that any one may be lost.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if replication is None:
            replication = min(len((await admin.describe_cluster())["brokers"]), 3)
        in_sync = {"min.insync.replicas": str(max(1, replication - 1))}
        there = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        differing = [
            f"{name} has {there[name]} partitions, not {topic.partitions}"
            for name, topic in wanted().items()
            if name in there and there[name] != topic.partitions
        ]
        if differing:
            raise TopicsError("topics differ from the catalogue: " + "; ".join(differing))
        missing = [
            NewTopic(name, topic.partitions, replication, topic_configs=topic.configuration | in_sync)
            for name, topic in wanted().items()
            if name not in there
        ]
        if missing:
            answer = await admin.create_topics(missing)
            refused = [
                f"{name}: {for_code(code).__name__} {text or ''}" for name, code, text in answer.topic_errors if code
            ]
            if refused:
                raise TopicsError("topics could not be made: " + "; ".join(refused))
    finally:
        await admin.close()
