"""Coming late: the present state of every subject from the compacted topics, and the place from which to go on live.

Topics keep no order among each other, and Kafka's compaction leaves the newest event per key on each. What is present is decided
here as every subscriber has to decide it: sequences order one source's events on one topic; between topics of one subject the
revision does, except that what exchange says of a match comes after its proposal; a tombstone is final.
"""

from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol, Self, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic_core import from_json

from sojourn_contracts.envelope import Envelope, decode
from sojourn_contracts.match import MatchProposed

FETCH_BYTES = 4 * 1024 * 1024
POLL_MS = 50
"""Milliseconds to wait for records; what ends in a transaction's marker is known to be read after them."""
UNREADABLE = 1_000
"""Records that are kept to be looked at: whoever reads for months may come upon any number."""

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """What is used of aiokafka's ``ConsumerRecord``."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Unreadable(ValueError):  # noqa: N818 - it describes the record
    """The record has not the headers, or not the revision, that order it."""


class Told:
    """An event as it stands on its topic; what is in it is read when it is asked for."""

    __slots__ = ("age", "headers", "source", "topic", "value")

    def __init__(self, record: Record) -> None:
        self.topic = record.topic
        self.value = record.value
        self.headers = record.headers
        found = dict(record.headers)
        try:
            self.source = found["ce_source"]
            self.age = (int(found.get("ce_generation", b"1")), int(found["ce_sequence"]))
        except (KeyError, ValueError) as error:
            raise Unreadable(f"a record of {record.topic} without a sequence: {error!r}") from None
        if found.get("ce_subject") != record.key:
            raise Unreadable(f"a record of {record.topic} whose key is not its ce_subject")

    @property
    def data(self) -> dict[str, Any]:
        """The event's data as JSON has it.

        Raises:
            ValueError: it is not JSON, or not an object.
        """
        data = from_json(self.value or b"{}", cache_strings="keys")
        if not isinstance(data, dict):
            raise Unreadable(f"a record of {self.topic} is not an object")
        return cast("dict[str, Any]", data)

    @property
    def rank(self) -> tuple[bool, int]:
        """What orders it among the events of its subject on other topics."""
        revision = self.data.get("revision", 1)
        if not isinstance(revision, int):
            raise Unreadable(f"a record of {self.topic} whose revision is not a number")
        return self.topic != MatchProposed.topic(), revision

    def read(self) -> Envelope:
        """The event with its attributes, validated.

        Raises:
            Malformed: see ``sojourn_contracts.envelope.decode``.
        """
        return decode(self.value, self.headers)


class Present:
    """The newest event of each subject, whatever order records come in and however often."""

    def __init__(self) -> None:
        self.forgotten: set[bytes] = set()
        """Ids of subjects that a tombstone erased; nothing more may be known of them."""
        self.unreadable: deque[Record] = deque(maxlen=UNREADABLE)
        """What could not be placed, the last ones: it is for somebody to look at, and holds up nothing."""
        self._newest: dict[bytes, Told | list[Told]] = {}
        """By subject; of who was told of on several topics, the newest of each."""

    def take(self, records: Iterable[Record]) -> list[bytes]:
        """Takes records in; returns the ids of the subjects of whom something new is known, in order."""
        changed: list[bytes] = []
        newest, forgotten = self._newest, self.forgotten
        for record in records:
            subject = record.key
            try:
                told = Told(record)
                if subject is None or subject in forgotten:
                    continue
                if told.value is None:
                    forgotten.add(subject)
                    newest.pop(subject, None)
                else:
                    before = newest.get(subject)
                    if before is not None:
                        after = _with(before, told)
                        if after is None:
                            continue
                        told = after
                    newest[subject] = told
            except ValueError:
                self.unreadable.append(record)
            else:
                changed.append(subject)
        return changed

    def __len__(self) -> int:
        return len(self._newest)

    def __iter__(self) -> Iterator[bytes]:
        """The ids of the subjects that are there."""
        return iter(self._newest)

    def __getitem__(self, subject: bytes) -> Told:
        """The newest event of a subject, from whichever topic; raises KeyError when there is none."""
        told = self._newest[subject]
        return told if isinstance(told, Told) else max(told, key=lambda each: each.rank)

    def get(self, subject: bytes) -> Told | None:
        """The same, and None when there is none."""
        return self[subject] if subject in self._newest else None


def _with(before: Told | list[Told], told: Told) -> Told | list[Told] | None:
    """What is known with one event more; None when it is older than what is known from there."""
    known = [before] if isinstance(before, Told) else before
    others = [each for each in known if (each.topic, each.source) != (told.topic, told.source)]
    if any(each.age >= told.age for each in known if each not in others):
        return None
    if not others:
        return told
    told.rank  # noqa: B018 - who cannot be ordered is unreadable now, not when somebody asks
    return [*others, told]


class Backfill:
    """Reads topics from their beginning, and then goes on with them.

    ``async with Backfill({"bootstrap_servers": "..."}, ["CompanyRegistered"]) as backfill: await backfill.catch_up()``. It reads
    as ``read_committed`` and belongs to no consumer group: ``offsets`` is for the subscriber to keep, in the transaction that
    keeps what it made of ``present``. Who goes on from them has an empty ``present``: it compares revisions with what it kept,
    and gives the ids that were ``forgotten`` back to it before it reads.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        topics: Collection[str],
        offsets: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        """``connection``: aiokafka's settings for brokers, identity and security; ``offsets``: where to go on, if not anew."""
        ours = {
            "isolation_level": "read_committed",
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "group_id": None,
        }
        self._consumer = AIOKafkaConsumer(
            *topics,
            **{"max_partition_fetch_bytes": FETCH_BYTES, **connection, **ours},  # pyright: ignore[reportArgumentType]
        )
        self.offsets: dict[TopicPartition, int] = dict(offsets or {})
        """Of each partition, the offset after the last record that is in ``present``."""
        self.present = Present()

    async def __aenter__(self) -> Self:
        """Raises aiokafka's KafkaError: no broker answers, or a topic is not there or may not be read."""
        try:
            await self._consumer.start()
            for place, offset in self.offsets.items():
                self._consumer.seek(place, offset)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def catch_up(self) -> Present:
        """Reads up to where the topics end now; what is open in a transaction is not there yet."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        behind = list(ends)
        while behind := [place for place in behind if await self._consumer.position(place) < ends[place]]:
            await self._read(behind)
        await self._keep_offsets()
        return self.present

    async def live(self) -> AsyncGenerator[list[bytes]]:
        """Goes on for ever: the ids of subjects of whom something new is known, a batch at a time."""
        while True:
            if changed := await self._read([]):
                await self._keep_offsets()
                yield changed

    async def _read(self, places: Sequence[TopicPartition]) -> list[bytes]:
        """Takes in a batch from these partitions, or from all."""
        found = await self._consumer.getmany(*places, timeout_ms=POLL_MS)
        return self.present.take(chain.from_iterable(cast("dict[TopicPartition, list[Record]]", found).values()))

    async def _keep_offsets(self) -> None:
        self.offsets = {place: await self._consumer.position(place) for place in self._consumer.assignment()}
