"""Checks of a subscriber: what it is told in each of them, and which state it has to be in afterwards.

A check resets the subscriber, feeds it records, asks for its state, and judges by that alone: whatever was repeated, reordered,
cut into batches or left out, the state has to be the one after the plain history. How a subscriber gets there is its own affair.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from random import Random
from typing import Any, Protocol, cast

from sojourn_contracts.kit.history import FORGOTTEN, Record, another_id, compacted, history, id_of, tombstones

Records = Sequence[Record]

BATCH = 7
"""Records that are fed at once, where a check says nothing else."""
ORDERS = 6
"""In which ``permutations`` tells the history, beside its own."""
UNKNOWN_FIELD = "not_known_yet"
"""Name of the fields that no version has. Who keeps them has them at the end, and who passes them over has not: both is right."""


class Subscriber(Protocol):
    """What the kit needs of a subscriber; the three calls return once their effect is there."""

    @property
    def topics(self) -> Collection[str]:
        """Names of the topics that it takes."""
        ...

    def reset(self) -> None:
        """Forgets everything, as if it had never been started."""
        ...

    def feed(self, records: Records) -> None:
        """Hands it a batch, as Kafka would."""
        ...

    def state(self) -> Mapping[str, Any]:
        """``{"subjects": {id: what is known of it}, "effects": {event id: how often it had its effect}}``, as JSON has it.

        Each subject that it was told of is there, with its revision at least, but for those that a tombstone erased: they are
        absent, or null. ``effects`` may be left out: it is for who does something that cannot be taken back, as sending a mail.
        """
        ...


class Violated(AssertionError):  # noqa: N818 - a promise, not a fault of this program
    """The subscriber broke what the check is about; the text says by what."""


class NotApplicable(Exception):  # noqa: N818 - nothing is wrong
    """The check has nothing to tell this subscriber; the text says why."""


@dataclass(frozen=True)
class Check:
    """``promise`` is what a subscriber has to keep."""

    name: str
    promise: str
    run: Callable[[Subscriber], None]
    """Raises Violated or NotApplicable."""


CHECKS: dict[str, Check] = {}
"""All of them by name, in the order in which they are best read."""


def _check(promise: str) -> Callable[[Callable[[Subscriber], None]], Callable[[Subscriber], None]]:
    def keep(run: Callable[[Subscriber], None]) -> Callable[[Subscriber], None]:
        name = run.__name__.lstrip("_")
        CHECKS[name] = Check(name, promise, run)
        return run

    return keep


@_check("After the plain history, each of its subjects is in the state.")
def _knows(subscriber: Subscriber) -> None:
    state = _after_history(subscriber)
    missing = {record.subject for record in history(subscriber.topics)} - state.subjects.keys()
    if missing:
        raise Violated(f"{len(missing)} subjects are not in the state: {_some(sorted(missing))}")


@_check("An event that comes again changes nothing.")
def _duplicates(subscriber: Subscriber) -> None:
    expected = _after_history(subscriber)
    records = history(subscriber.topics)
    twice = list(chain.from_iterable((record, record) for record in records))
    _same(_after(subscriber, *_batches([*twice, *records])), expected)


@_check("An event has its effect once, however often it comes; who reports no effects is not asked.")
def _effects(subscriber: Subscriber) -> None:
    once = _after_history(subscriber).effects
    if once is None:
        raise NotApplicable("the state has no `effects`")
    records = history(subscriber.topics)
    again = _after(subscriber, *_batches(records), *_batches(records), records).effects or {}
    several = sorted(event_id for counts in (once, again) for event_id, count in counts.items() if count > 1)
    if several:
        raise Violated(f"{len(several)} events had their effect more than once: {_some(several)}")
    if again != once:
        raise Violated(f"{len(once.keys() ^ again.keys())} events had an effect in one of two tellings only")


@_check("In whatever order events come, the state is the same: between topics there is none, and a revision decides.")
def _permutations(subscriber: Subscriber) -> None:
    expected = _after_history(subscriber)
    records = history(subscriber.topics)
    random = Random(8)
    for order in (records[::-1], *(random.sample(records, len(records)) for _ in range(ORDERS))):
        _same(_after(subscriber, *_batches(order)), expected)


@_check("However the records are cut into batches, the state is the same.")
def _batching(subscriber: Subscriber) -> None:
    expected = _after_history(subscriber)
    records = history(subscriber.topics)
    _same(_after(subscriber, *([record] for record in records)), expected)
    _same(_after(subscriber, records), expected)


@_check(
    "A batch that comes again, after a crash before its commit or a rebalance, changes nothing, even if newer ones came since."
)
def _redelivered_batch(subscriber: Subscriber) -> None:
    expected = _after_history(subscriber)
    batches = _batches(_placed(history(subscriber.topics)))
    told = [batches[0], batches[0]]
    for before, batch in pairwise(batches):
        told += [batch, before, batch]
    _same(_after(subscriber, *told, batches[0], batches[-1]), expected)


@_check("Fields that this version does not know are passed over or kept, wherever they stand.")
def _unknown_fields(subscriber: Subscriber) -> None:
    expected = _after_history(subscriber)
    records = [replace(record, value=_with_unknown(record)) for record in history(subscriber.topics)]
    _same(_after(subscriber, *_batches(records)), expected)


@_check("An event of a later minor version is read as one of the version that is known.")
def _later_minor(subscriber: Subscriber) -> None:
    expected = _after_history(subscriber)
    records = [
        replace(record, value=_with_unknown(record)).headed(
            ce_dataschema=f"{record.header('ce_dataschema').rpartition('.')[0]}.99"
        )
        for record in history(subscriber.topics)
    ]
    _same(_after(subscriber, *_batches(records)), expected)


@_check("A major version that is not known has no effect, and what comes after it is handled.")
def _unknown_major(subscriber: Subscriber) -> None:
    def of_another_major(record: Record) -> Record:
        name = record.header("ce_type").partition(".v")[0]
        return record.headed(ce_type=f"{name}.v99", ce_dataschema=f"urn:sojourn:schema:{name}:99.0")

    _without_effect(subscriber, of_another_major)


@_check("A type that is not known has no effect, and what comes after it is handled.")
def _unknown_type(subscriber: Subscriber) -> None:
    _without_effect(
        subscriber,
        lambda record: record.headed(ce_type="NeverHeardOf.v1", ce_dataschema="urn:sojourn:schema:NeverHeardOf:1.0"),
    )


@_check("A tombstone erases its subject, and nothing else.")
def _tombstones(subscriber: Subscriber) -> None:
    _forgotten(subscriber, history(subscriber.topics), _tombstones_for(subscriber))


@_check("A tombstone is final even when it comes before the events of its subject.")
def _tombstone_first(subscriber: Subscriber) -> None:
    _forgotten(subscriber, _tombstones_for(subscriber), history(subscriber.topics))


@_check("After a tombstone, an older event of its subject has no effect, whether it was seen before or not.")
def _older_event_after_tombstone(subscriber: Subscriber) -> None:
    records = history(subscriber.topics)
    older = [record for record in records if record.subject in FORGOTTEN]
    unseen = [record.headed(ce_id=another_id(record.event_id)) for record in older]
    _forgotten(subscriber, records, _tombstones_for(subscriber), older, unseen)


@_check("Sequences may have holes: nothing waits for what never comes.")
def _gaps(subscriber: Subscriber) -> None:
    expected = _after_history(subscriber)
    records = [
        record.headed(ce_sequence=str(int(record.header("ce_sequence")) * 3)) for record in history(subscriber.topics)
    ]
    _same(_after(subscriber, *_batches(records)), expected)


@_check("What compaction leaves of the topics gives the same state, so that it does not matter when a subscriber came.")
def _compaction(subscriber: Subscriber) -> None:
    records = history(subscriber.topics)
    newest = {(record.topic, record.key): record for record in records if compacted(record.topic)}
    left = [record for record in records if newest.get((record.topic, record.key), record) is record]
    if left == records:
        raise NotApplicable("none of its topics tells of a subject twice and is compacted")
    expected = _after_history(subscriber)
    _same(_after(subscriber, *_batches(left)), expected)


@dataclass(frozen=True)
class _State:
    subjects: Mapping[str, Any]
    effects: Mapping[str, int] | None


def _after_history(subscriber: Subscriber) -> _State:
    return _after(subscriber, *_batches(history(subscriber.topics)))


def _after(subscriber: Subscriber, *batches: Records) -> _State:
    """The state of a subscriber that was told nothing else."""
    subscriber.reset()
    records = _placed(list(chain.from_iterable(batches)))
    begin = 0
    for batch in batches:
        fed = records[begin : begin + len(batch)]
        begin += len(batch)
        try:
            subscriber.feed(fed)
        except Violated:
            raise
        except Exception as error:
            types = sorted({record.header("ce_type") for record in fed})
            raise Violated(f"it raised {type(error).__name__}: {error}, when it was fed {', '.join(types)}") from error
    return _read(subscriber.state())


def _read(told: Mapping[str, Any]) -> _State:
    """As JSON has it, unknown fields left out."""
    try:
        state = json.loads(json.dumps(told, default=str))
    except TypeError as error:
        raise Violated(f"its state is not JSON: {error}") from None
    subjects, effects = state.get("subjects"), state.get("effects")
    if not isinstance(subjects, dict) or not isinstance(effects, dict | None):
        raise Violated('its state is not {"subjects": {...}}, with or without "effects": {...}')
    known = {subject: _known(value) for subject, value in cast("dict[str, Any]", subjects).items() if value is not None}
    return _State(known, cast("dict[str, int] | None", effects))


def _known(value: Any) -> Any:
    if isinstance(value, list):
        return [_known(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _known(each) for name, each in cast("dict[str, Any]", value).items() if name != UNKNOWN_FIELD}
    return value


def _batches(records: Records) -> list[Records]:
    return [records[first : first + BATCH] for first in range(0, len(records), BATCH)]


def _placed(records: Records) -> list[Record]:
    """Each at the end of its topic, where it has no place yet."""
    ends = Counter[str]()
    placed: list[Record] = []
    for record in records:
        if record.offset < 0:
            record = replace(record, offset=ends[record.topic])
        ends[record.topic] = max(ends[record.topic], record.offset + 1)
        placed.append(record)
    return placed


def _with_unknown(record: Record) -> bytes:
    return json.dumps(_grown(json.loads(record.value or b"null"))).encode()


def _grown(value: Any) -> Any:
    """With one more field in each object that has the fields of a model: codes by code, as answers are, stay as they are."""
    if isinstance(value, list):
        return [_grown(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    grown = {name: each if name in ("answers", "parameters") else _grown(each) for name, each in fields.items()}
    return grown | {UNKNOWN_FIELD: {"since": "a later version"}}


def _without_effect(subscriber: Subscriber, changed: Callable[[Record], Record]) -> None:
    """Beside each record, one is told that nobody can know: of the same subject at a later revision, or of another one."""
    expected = _after_history(subscriber)
    told: list[Record] = []
    for place, record in enumerate(history(subscriber.topics)):
        about = record if place % 2 else _of_another_subject(record)
        strange = replace(about, value=_at_revision(about, 50)).headed(ce_id=another_id(record.event_id))
        told += [changed(strange), record]
    _same(_after(subscriber, *_batches(told)), expected)


def _of_another_subject(record: Record) -> Record:
    subject, other = record.subject.encode(), str(id_of(f"not {record.subject}")).encode()
    value = (record.value or b"").replace(subject, other)
    return replace(record, key=other, value=value).headed(ce_subject=other.decode())


def _at_revision(record: Record, revision: int) -> bytes:
    data = json.loads(record.value or b"null")
    return json.dumps(data | {"revision": revision} if "revision" in data else data).encode()


def _tombstones_for(subscriber: Subscriber) -> Records:
    found = tombstones(subscriber.topics)
    if not found:
        raise NotApplicable("none of its topics is compacted: only those carry tombstones")
    return found


def _forgotten(subscriber: Subscriber, *told: Records) -> None:
    """Whose tombstone was told is not in the state, and of all others it says what it says without."""
    everybody = _after_history(subscriber)
    others = {subject: value for subject, value in everybody.subjects.items() if subject not in FORGOTTEN}
    state = _after(subscriber, *chain.from_iterable(_batches(records) for records in told))
    if remembered := sorted(state.subjects.keys() & FORGOTTEN):
        raise Violated(f"{len(remembered)} erased subjects are in the state: {_some(remembered)}")
    _same(state, _State(others, None))


def _same(state: _State, expected: _State) -> None:
    wrong = [
        f"{subject}: {_told(state.subjects, subject)}, not {_told(expected.subjects, subject)}"
        for subject in sorted(expected.subjects.keys() | state.subjects.keys())
        if state.subjects.get(subject) != expected.subjects.get(subject)
    ]
    if wrong:
        raise Violated(f"{len(wrong)} subjects are not as after the plain history: {_some(wrong)}")


def _told(subjects: Mapping[str, Any], subject: str) -> str:
    return json.dumps(subjects[subject])[:200] if subject in subjects else "absent"


def _some(texts: Sequence[str], most: int = 3) -> str:
    return "; ".join(texts[:most]) + (f"; and {len(texts) - most} more" if len(texts) > most else "")
