"""A subscriber that is right, and what subscribers get wrong: each of the others breaks one promise."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from sojourn_contracts import catalogue
from sojourn_contracts.kit.history import Record

TOPICS = [topic.name for topic in catalogue.TOPICS if topic.manifest]  # not those of manifests, nor internal ones
"""What somebody outside can be granted, but for what is about the topics themselves."""
TYPES = {f"{name}.v1" for name in TOPICS}


class Right:
    """Knows of each subject its latest revision; what exchange says of a match comes after its proposal."""

    topics = TOPICS

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.known: dict[str, Any] = {}
        self.forgotten: set[str] = set()
        self.handled: set[str] = set()
        self.effects: Counter[str] = Counter()

    def feed(self, records: Sequence[Record]) -> None:
        for record in records:
            self.handle(record)

    def state(self) -> dict[str, Any]:
        return {"subjects": self.known, "effects": self.effects}

    def handle(self, record: Record) -> None:
        if record.header("ce_type") not in TYPES or record.subject in self.forgotten:
            return
        if record.value is None:
            self.erase(record.subject)
        elif self.is_new(record):
            self.effects[record.event_id] += 1
            self.take(record, json.loads(record.value))

    def is_new(self, record: Record) -> bool:
        if record.event_id in self.handled:
            return False
        self.handled.add(record.event_id)
        return True

    def erase(self, subject: str) -> None:
        self.forgotten.add(subject)
        self.known.pop(subject, None)

    def take(self, record: Record, data: dict[str, Any]) -> None:
        self.known[record.subject] = max(self.known.get(record.subject, [-1, -1]), self.place(record, data))

    def place(self, record: Record, data: dict[str, Any]) -> list[int]:
        return [int(record.topic != "MatchProposed"), data.get("revision", 1)]


class BlindToTheSurvey(Right):
    def take(self, record: Record, data: dict[str, Any]) -> None:
        if record.topic != "SurveySubmitted":
            super().take(record, data)


class CountsRepeats(Right):
    def handle(self, record: Record) -> None:
        super().handle(record)
        if record.subject in self.known:
            place, times = [*self.known[record.subject], 0, 0][:2], (*self.known[record.subject], 0, 0)[2]
            self.known[record.subject] = [*place, times + 1]


class MailsAgain(Right):
    def is_new(self, record: Record) -> bool:
        return True


class LastWriteWins(Right):
    def take(self, record: Record, data: dict[str, Any]) -> None:
        self.known[record.subject] = self.place(record, data)


class OncePerBatch(Right):
    def feed(self, records: Sequence[Record]) -> None:
        firsts: dict[str, Record] = {}
        for record in records:
            firsts.setdefault(record.subject, record)
        super().feed(list(firsts.values()))


class GoesBackWithTheOffset(Right):
    def reset(self) -> None:
        super().reset()
        self.ends: dict[str, int] = defaultdict(lambda: -1)

    def handle(self, record: Record) -> None:
        super().handle(record)
        if record.offset <= self.ends[record.topic] and record.value is not None and record.subject in self.known:
            self.known[record.subject] = self.place(record, json.loads(record.value))
        self.ends[record.topic] = record.offset


class Strict(Right):
    def take(self, record: Record, data: dict[str, Any]) -> None:
        if unknown := data.keys() - catalogue.BY_NAME[record.topic].event.model_fields:
            raise ValueError(f"unexpected {unknown}")
        super().take(record, data)


class OneSchema(Right):
    def handle(self, record: Record) -> None:
        if record.header("ce_dataschema") == catalogue.BY_NAME[record.topic].event.dataschema():
            super().handle(record)


class AnyMajor(Right):
    def handle(self, record: Record) -> None:
        name = record.header("ce_type").partition(".v")[0]
        super().handle(record.headed(ce_type=f"{name}.v1"))


class AnyType(Right):
    def handle(self, record: Record) -> None:
        if record.header("ce_type").endswith(".v1"):
            super().handle(record.headed(ce_type=f"{record.topic}.v1"))


class KeepsTheErased(Right):
    def erase(self, subject: str) -> None:
        pass


class ForgetsWhomItKnows(Right):
    def erase(self, subject: str) -> None:
        if subject in self.known:
            super().erase(subject)


class ForgetsWhomItDoesNotKnow(Right):
    def erase(self, subject: str) -> None:
        if self.known.pop(subject, None) is None:
            super().erase(subject)


class WaitsForTheNext(Right):
    def reset(self) -> None:
        super().reset()
        self.last: Counter[str] = Counter()

    def handle(self, record: Record) -> None:
        if record.value is not None:
            if int(record.header("ce_sequence")) > self.last[record.topic] + 1:
                return
            self.last[record.topic] = int(record.header("ce_sequence"))
        super().handle(record)


class KeepsAHistory(Right):
    def take(self, record: Record, data: dict[str, Any]) -> None:
        seen = self.known.get(record.subject, [])
        self.known[record.subject] = sorted([*seen, self.place(record, data)])


BROKEN: dict[str, type[Right]] = {
    "knows": BlindToTheSurvey,
    "duplicates": CountsRepeats,
    "effects": MailsAgain,
    "permutations": LastWriteWins,
    "batching": OncePerBatch,
    "redelivered_batch": GoesBackWithTheOffset,
    "unknown_fields": Strict,
    "later_minor": OneSchema,
    "unknown_major": AnyMajor,
    "unknown_type": AnyType,
    "tombstones": KeepsTheErased,
    "tombstone_first": ForgetsWhomItKnows,
    "older_event_after_tombstone": ForgetsWhomItDoesNotKnow,
    "gaps": WaitsForTheNext,
    "compaction": KeepsAHistory,
}
"""For each check a subscriber that fails it."""
