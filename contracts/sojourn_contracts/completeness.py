"""Whether a subscriber has missed anything: what it received, compared with what the services signed for.

``Received`` takes what came, from Kafka or from a subscriber's own tables; ``verify`` compares it with the manifests. Nothing
here asks anybody anything. Signatures need joserfc, which comes with the extra ``kit``; the rest needs no more than the contract.

A compacted topic keeps the newest event of each key. So who comes late lacks others, and says by ``compaction_lag`` how old an
event must be for that: a younger one is missing, an older one may be. What the service's log says of the older ones (``Told``,
from its feed over HTTP) settles it: one was compacted away if there is a later event of its key, or if its subject is erased. The
newest of a key that is not erased is missing. Who received everything as it came has no such gaps, and gives no lag.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sojourn_contracts.envelope import Malformed
from sojourn_contracts.manifest import Distrusted, Jwk, ManifestIssued, check

OVERDUE = timedelta(hours=3)
"""After which an event's manifest must be there: its hour, the next one, and an hour for what is slow."""
_PAGE = 4_096
"""Sequences that are kept together."""
_LIMIT = 10**18


class Stream(NamedTuple):
    """What is numbered without holes: a source's events on a topic, within one generation of the source's log."""

    topic: str
    source: str
    generation: int

    def __str__(self) -> str:
        return f"{self.topic} of {self.source}, generation {self.generation}"


class Span(NamedTuple):
    """Sequences that follow on each other, first and last included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True)
class Doubled:
    """Two events with different ids under one sequence."""

    sequence: int
    received: UUID
    also: UUID


@dataclass(frozen=True)
class Told:
    """What a service's log has at a sequence; ``erased``: no data, so it is a tombstone, or its subject was erased later."""

    id: UUID
    subject: UUID
    erased: bool


Log = Mapping[Stream, Mapping[int, Told]]


class Record(Protocol):
    """A record as Kafka's clients give it; ``timestamp`` in milliseconds."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...
    @property
    def timestamp(self) -> int: ...


class _Page:
    """The events of so many sequences: ids and subjects of 16 bytes each, times in milliseconds, and whether there is one."""

    __slots__ = ("ids", "seen", "subjects", "times")

    def __init__(self) -> None:
        self.ids = bytearray(16 * _PAGE)
        self.subjects = bytearray(16 * _PAGE)
        self.times = array("q", bytes(8 * _PAGE))
        self.seen = bytearray(_PAGE)


class _Events:
    """What was received of a stream."""

    def __init__(self) -> None:
        self.pages: dict[int, _Page] = {}
        self.count = 0
        self.repeats = 0
        self.doubled: list[Doubled] = []

    def add(self, sequences: Sequence[int], ids: bytes, subjects: bytes, times: Sequence[int]) -> None:
        faults = self.repeats + len(self.doubled)
        current = sequences[0] // _PAGE
        page = self._page(current)
        its_ids, its_subjects, its_times, seen = page.ids, page.subjects, page.times, page.seen
        start = 0
        for sequence, time in zip(sequences, times, strict=True):
            number, at = sequence // _PAGE, sequence % _PAGE
            if number != current:  # what comes in order stays on its page for long
                page, current = self._page(number), number
                its_ids, its_subjects, its_times, seen = page.ids, page.subjects, page.times, page.seen
            place, end = at * 16, start + 16
            if seen[at]:
                self._again(page, sequence, place, ids[start:end])
            else:
                seen[at] = 1
                its_ids[place : place + 16] = ids[start:end]
                its_subjects[place : place + 16] = subjects[start:end]
                its_times[at] = time
            start = end
        self.count += len(sequences) - (self.repeats + len(self.doubled) - faults)

    def _page(self, number: int) -> _Page:
        if number not in self.pages:
            self.pages[number] = _Page()
        return self.pages[number]

    def _again(self, page: _Page, sequence: int, place: int, id_: bytes) -> None:
        there = bytes(page.ids[place : place + 16])
        if there == id_:
            self.repeats += 1
        else:
            self.doubled.append(Doubled(sequence, UUID(bytes=there), UUID(bytes=id_)))

    def holes(self, span: Span) -> Iterator[Span]:
        """The sequences of the span that were not received."""
        at = span.first
        while at <= span.last:
            first = self._next(at, span.last, 0)
            if first is None:
                return
            at = self._next(first, span.last, 1) or span.last + 1
            yield Span(first, at - 1)

    def there(self, span: Span) -> Iterator[int]:
        """The sequences of the span that were received."""
        at = span.first
        while (found := self._next(at, span.last, 1)) is not None:
            yield found
            at = found + 1

    def _next(self, first: int, last: int, seen: int) -> int | None:
        """The first sequence between two that was received (1), or was not (0)."""
        while first <= last:
            number, at = divmod(first, _PAGE)
            page = self.pages.get(number)
            if page is None and seen == 0:
                return first
            if page is None:
                first = min((each for each in self.pages if each > number), default=last) * _PAGE
                continue
            found = page.seen.find(seen, at)
            if found >= 0:
                return number * _PAGE + found if number * _PAGE + found <= last else None
            first = (number + 1) * _PAGE
        return None

    def ids(self, span: Span) -> bytearray:
        """The ids of the span, 16 bytes each; zeros where there is none."""
        ids = bytearray()
        first = span.first
        while first <= span.last:
            number, at = divmod(first, _PAGE)
            end = min(_PAGE, at + span.last - first + 1)
            page = self.pages.get(number)
            ids += page.ids[16 * at : 16 * end] if page else bytes(16 * (end - at))
            first = number * _PAGE + end
        return ids

    def received(self, span: Span) -> int:
        """How many of the span there are."""
        return span.size - sum(hole.size for hole in self.holes(span))

    @property
    def first(self) -> int:
        number = min(self.pages)
        return number * _PAGE + self.pages[number].seen.find(1)

    @property
    def last(self) -> int:
        number = max(self.pages)
        return number * _PAGE + self.pages[number].seen.rfind(1)

    def time(self, sequence: int) -> datetime:
        number, at = divmod(sequence, _PAGE)
        return datetime.fromtimestamp(self.pages[number].times[at] / 1000, UTC)

    def newest(self) -> dict[bytes, int]:
        """Subject to the last sequence that was received of it."""
        newest: dict[bytes, int] = {}
        for number in sorted(self.pages):
            page = self.pages[number]
            subjects = bytes(page.subjects)
            at = page.seen.find(1)
            while at >= 0:
                newest[subjects[16 * at : 16 * at + 16]] = number * _PAGE + at
                at = page.seen.find(1, at + 1)
        return newest


class Received:
    """All that a subscriber received, in any order and with repeats; about 41 bytes an event."""

    def __init__(self) -> None:
        self.streams: dict[Stream, _Events] = {}

    def add(self, stream: Stream, sequence: int, id_: UUID, subject: UUID, published: datetime) -> None:
        """One event or tombstone.

        ``published`` is the record's timestamp; from a feed, which does not tell it, the time at which it was received.
        """
        if not 0 < sequence < _LIMIT:
            raise ValueError(f"{sequence} is no sequence")
        time = int(published.timestamp() * 1000)
        self._of(*stream).add((sequence,), id_.bytes, subject.bytes, (time,))

    def add_records(self, topic: str, records: Iterable[Record]) -> None:
        """Records of a topic, as a Kafka client gives them.

        Raises:
            Malformed: a record breaks the contract; those before it, and none after it, may have been taken.
        """
        stamp = _Stamps().of
        source, generation = b"", b""
        sequences: list[int] = []
        ids: list[bytes] = []
        keys: list[bytes | None] = []
        times: list[int] = []
        for record in records:
            of, within, sequence, id_ = stamp(record.headers)
            if of != source or within != generation:
                self._add(topic, source, generation, sequences, ids, keys, times)
                source, generation = of, within
                sequences, ids, keys, times = [], [], [], []
            try:
                sequences.append(int(sequence))
            except (ValueError, TypeError):
                raise Malformed("ce_sequence", "is not a whole number from 1 on") from None
            ids.append(id_)
            keys.append(record.key)
            times.append(record.timestamp)
        self._add(topic, source, generation, sequences, ids, keys, times)

    def _add(
        self,
        topic: str,
        source: bytes,
        generation: bytes,
        sequences: list[int],
        ids: list[bytes],
        keys: list[bytes | None],
        times: list[int],
    ) -> None:
        if not sequences:
            return
        if not 0 < min(sequences) <= max(sequences) < _LIMIT:
            raise Malformed("ce_sequence", "is not a whole number from 1 on")
        try:
            of = source.decode()
        except (UnicodeDecodeError, AttributeError):
            raise Malformed("ce_source", "is not UTF-8 text") from None
        try:
            within = int(generation)
        except (ValueError, TypeError):
            raise Malformed("ce_generation", "is not a whole number from 1 on") from None
        subjects = _uuids("ce_subject", [key or b"" for key in keys])
        self._of(topic, of, within).add(sequences, _uuids("ce_id", ids), subjects, times)

    def _of(self, topic: str, source: str, generation: int) -> _Events:
        stream = Stream(topic, source, generation)
        if stream not in self.streams:
            self.streams[stream] = _Events()
        return self.streams[stream]


class _Stamps:
    """Reads four headers of each record, and looks for them where they stood last: one writer writes them in one order."""

    def __init__(self) -> None:
        self._pick = itemgetter(0, 0, 0, 0)

    def of(self, headers: Sequence[tuple[str, Any]]) -> tuple[bytes, bytes, bytes, bytes]:
        """Source, generation, sequence and id.

        Raises:
            Malformed: one is missing, or has no value.
        """
        try:
            (a, source), (b, generation), (c, sequence), (d, id_) = self._pick(headers)
            if a == "ce_source" and b == "ce_generation" and c == "ce_sequence" and d == "ce_id":
                return source, generation, sequence, id_
        except IndexError:
            pass
        places = {name: place for place, (name, value) in enumerate(headers) if value is not None}
        for name in ("ce_source", "ce_sequence", "ce_id"):
            if name not in places:
                raise Malformed(name, "is missing")
        if "ce_generation" not in places:
            return headers[places["ce_source"]][1], b"1", headers[places["ce_sequence"]][1], headers[places["ce_id"]][1]
        self._pick = itemgetter(*(places[name] for name in ("ce_source", "ce_generation", "ce_sequence", "ce_id")))
        return self.of(headers)


def _uuids(name: str, texts: Sequence[bytes]) -> bytes:
    """Of UUIDs as texts, 16 bytes each."""
    try:
        made = bytes.fromhex(b"".join(texts).decode().replace("-", ""))
    except (ValueError, TypeError):
        made = b""
    if len(made) != 16 * len(texts) or set(map(len, texts)) != {36}:
        raise Malformed(name, "is not a UUID")
    return made


@dataclass(frozen=True)
class Findings:
    """What is known of one stream."""

    stream: Stream
    received: int
    """Events, each counted once."""
    repeats: int
    """Further times that one of them came, under the same id: no fault."""
    proven: int
    """Events received whose ids are those that the source signed for."""
    until: datetime | None
    """All that the source put on the topic before this time of day is there or was compacted away; None: nothing is proven."""
    compacted: tuple[Span, ...]
    """Not received, and no loss: compacted away, as far as can be told from their age, or as the log told."""
    unproven: int
    """Events received that no manifest covers yet."""
    overdue: bool
    """One of these is so old that its manifest should be there."""
    missing: tuple[Span, ...]
    doubled: tuple[Doubled, ...]
    altered: tuple[Span, ...]
    """All are there, but their ids are not those that the source signed for."""

    @property
    def complete(self) -> bool:
        return not (self.missing or self.doubled or self.altered or self.overdue)


@dataclass(frozen=True)
class Lost:
    """A manifest that another one names, and that was not received."""

    manifest_id: UUID
    topic: str
    source: str
    before: datetime
    """Begin of the hour of the manifest that names it."""


@dataclass(frozen=True)
class Refused:
    """A manifest that proves nothing."""

    manifest: ManifestIssued
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What was missed, if anything was."""

    streams: tuple[Findings, ...]
    lost: tuple[Lost, ...]
    refused: tuple[Refused, ...]

    @property
    def complete(self) -> bool:
        """Nothing is known to be missing, doubled or altered: up to each stream's ``until``, it is proven."""
        return not self.lost and not self.refused and all(found.complete for found in self.streams)


def verify(
    received: Received,
    manifests: Iterable[ManifestIssued],
    keys: Mapping[str, Jwk],
    *,
    read_at: datetime,
    compaction_lag: timedelta | None = None,
    log: Log | None = None,
) -> Verdict:
    """Compares what was received with the manifests. These must not be newer than it: who reads both reads them first.

    ``keys`` are the services' public keys (``manifest.trusted_keys``). ``compaction_lag`` is ``min.compaction.lag.ms`` of the
    topics, for who came late and read what was left; ``log`` then tells of the sequences that ``compacted`` names.
    ``read_at`` is when reading ended.
    """
    by_id = {manifest.manifest_id: manifest for manifest in manifests}
    trusted: dict[Stream, list[ManifestIssued]] = {stream: [] for stream in received.streams}
    refused: list[Refused] = []
    for manifest in by_id.values():
        try:
            check(manifest, keys)
        except Distrusted as error:
            refused.append(Refused(manifest, str(error)))
        else:
            stream = Stream(manifest.topic_name, manifest.source, manifest.generation)
            trusted.setdefault(stream, []).append(manifest)
    lost = [
        Lost(manifest.previous, manifest.topic_name, manifest.source, manifest.hour)
        for listed in trusted.values()
        for manifest in listed
        if manifest.previous is not None and manifest.previous not in by_id
    ]
    known = {manifest.manifest_id for listed in trusted.values() for manifest in listed}
    compacted_before = None if compaction_lag is None else read_at - compaction_lag
    gone = _Gone(received, log, compacted_before)
    return Verdict(
        tuple(
            _compared(
                stream,
                received.streams.get(stream, _Events()),
                sorted(trusted[stream], key=lambda each: (each.first_sequence, each.last_sequence)),
                known,
                gone,
                read_at,
            )
            for stream in sorted(trusted)
        ),
        tuple(sorted(lost, key=lambda each: (each.topic, each.source, each.before))),
        tuple(refused),
    )


def _compared(
    stream: Stream,
    events: _Events,
    manifests: Sequence[ManifestIssued],
    known: Set[UUID],
    gone: "_Gone",
    read_at: datetime,
) -> Findings:
    """One stream and its manifests, in the order of their sequences."""
    compacted, missing, altered = list[Span](), list[Span](), list[Span]()
    proven, until, whole, since = 0, None, True, None

    def sound(span: Span) -> bool:
        """Whether nothing of it is missing; its gaps are noted. All of it was published since ``since``, if that is known."""
        left = [hole for hole in events.holes(span) for hole in gone.split(stream, hole, since)]
        compacted.extend(hole for hole, is_gone in left if is_gone)
        missing.extend(hole for hole, is_gone in left if not is_gone)
        return all(is_gone for _, is_gone in left)

    # a log begins with 1, and a later generation of it where the first of its manifests says
    begins = 1 if stream.generation == 1 else None
    for manifest in manifests:
        span = Span(manifest.first_sequence, manifest.last_sequence)
        if begins is not None and begins < span.first:
            sound(Span(begins, span.first - 1))
            whole = False
        whole = whole and (manifest.previous is None or manifest.previous in known)
        since = manifest.hour
        fresh = Span(max(begins or span.first, span.first), span.last)
        if sound(fresh):
            digest = sha256(gone.filled(stream, events, span)).hexdigest()
            if digest == manifest.digest:
                proven += events.received(fresh)
            elif gone.told or not any(events.holes(span)):
                altered.append(span)
                whole = False
        else:
            whole = False
        until = manifest.ends if whole else until
        begins = max(begins or 1, span.last + 1)
    unproven, overdue = 0, False
    if events.count:
        tail = Span(begins or events.first, events.last)
        if tail.first <= tail.last:
            sound(tail)
            unproven = events.received(tail)
            first = next(events.there(tail), None)
            overdue = first is not None and events.time(first) < read_at - OVERDUE
    return Findings(
        stream=stream,
        received=events.count,
        repeats=events.repeats,
        proven=proven,
        until=until,
        compacted=tuple(compacted),
        unproven=unproven,
        overdue=overdue,
        missing=tuple(missing),
        doubled=tuple(events.doubled),
        altered=tuple(altered),
    )


class _Gone:
    """Which events that were not received may have been compacted away."""

    def __init__(self, received: Received, log: Log | None, before: datetime | None) -> None:
        """``before``: what was published later cannot have been; None if nothing can."""
        self._received = received
        self._log = log
        self._before = before
        self._newest: dict[str, dict[bytes, tuple[int, int]]] = {}

    @property
    def told(self) -> bool:
        """The log was asked."""
        return self._log is not None

    def split(self, stream: Stream, hole: Span, since: datetime | None) -> Iterator[tuple[Span, bool]]:
        """The parts of a gap, each with whether it was compacted away."""
        if self._before is None or (since is not None and since >= self._before):
            yield hole, False
        elif self._log is None:
            yield hole, True
        else:
            told = self._log.get(stream, {})
            for is_gone, run in groupby(
                range(hole.first, hole.last + 1), lambda each: self._superseded(stream, each, told.get(each))
            ):
                sequences = list(run)
                yield Span(sequences[0], sequences[-1]), is_gone

    def _superseded(self, stream: Stream, sequence: int, told: Told | None) -> bool:
        if told is None or told.erased:
            return told is not None
        if stream.topic not in self._newest:
            newest: dict[bytes, tuple[int, int]] = {}
            self._newest[stream.topic] = newest
            for other in sorted(each for each in self._received.streams if each.topic == stream.topic):
                for subject, last in self._received.streams[other].newest().items():
                    newest[subject] = max(newest.get(subject, (0, 0)), (other.generation, last))
            for other, events in self._log.items() if self._log else ():
                for last, each in events.items() if other.topic == stream.topic else ():
                    subject = each.subject.bytes
                    newest[subject] = max(newest.get(subject, (0, 0)), (other.generation, last))
        return self._newest[stream.topic].get(told.subject.bytes, (0, 0)) > (stream.generation, sequence)

    def filled(self, stream: Stream, events: _Events, span: Span) -> bytearray:
        """The ids of a span, those that were not received as the log tells them."""
        ids = events.ids(span)
        told: Mapping[int, Told] = self._log.get(stream, {}) if self._log else {}
        for hole in events.holes(span) if told else ():
            for sequence in range(hole.first, hole.last + 1):
                if sequence in told:
                    at = 16 * (sequence - span.first)
                    ids[at : at + 16] = told[sequence].id.bytes
        return ids
