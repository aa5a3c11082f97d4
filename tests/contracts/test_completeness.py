"""What a subscriber can prove: what is there, what is missing and where, and what compaction explains."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

import pytest
from chassis.manifests import signed
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey
from sojourn_contracts.completeness import Doubled, Findings, Log, Received, Span, Stream, Told, Verdict, verify
from sojourn_contracts.envelope import Malformed
from sojourn_contracts.manifest import HOUR, ManifestIssued, trusted_keys

NOW = datetime(2026, 3, 20, 12, 30, tzinfo=UTC)
LAG = timedelta(days=7)
STREAM = Stream("MatchDeclined", "sojourn/exchange", 1)
KEY = OKPKey.generate_key("Ed25519", auto_kid=True)
KEYS = trusted_keys({"keys": [KEY.as_dict(private=False) | {"source": STREAM.source}]})


@dataclass(frozen=True)
class Said:
    """One event that the source put on the topic."""

    sequence: int
    hour: datetime
    subject: UUID
    tombstone: bool = False

    @property
    def id(self) -> UUID:
        return UUID(int=self.sequence * 7919)


def said(*hours: tuple[datetime, int], subjects: int = 5, first: int = 1) -> list[Said]:
    """So many events in each hour, about so many subjects in turn."""
    begins = [hour for hour, count in hours for _ in range(count)]
    return [Said(first + n, hour, UUID(int=n % subjects + 1)) for n, hour in enumerate(begins)]


def manifests(events: Sequence[Said], stream: Stream = STREAM, previous: UUID | None = None) -> list[ManifestIssued]:
    made: list[ManifestIssued] = []
    for hour in sorted({event.hour for event in events}):
        its = [event for event in events if event.hour == hour]
        made.append(
            signed(
                ManifestIssued,
                KEY,
                topic_name=stream.topic,
                source=stream.source,
                generation=stream.generation,
                hour=hour,
                first_sequence=its[0].sequence,
                last_sequence=its[-1].sequence,
                digest=sha256(b"".join(event.id.bytes for event in its)).hexdigest(),
                previous=made[-1].manifest_id if made else previous,
            )
        )
    return made


def received(events: Iterable[Said], stream: Stream = STREAM, into: Received | None = None) -> Received:
    found = into or Received()
    for event in events:
        found.add(stream, event.sequence, event.id, event.subject, event.hour + HOUR / 2)
    return found


def compacted(events: Sequence[Said], before: datetime) -> list[Said]:
    """What Kafka leaves: the newest of each subject, and what is too young."""
    newest = {event.subject: event.sequence for event in events}
    return [event for event in events if event.hour >= before or newest[event.subject] == event.sequence]


def log_of(events: Sequence[Said], erased: Iterable[UUID] = (), stream: Stream = STREAM) -> Log:
    gone = set(erased)
    return {stream: {event.sequence: Told(event.id, event.subject, event.subject in gone) for event in events}}


def judged(found: Received, made: Iterable[ManifestIssued], **about) -> Verdict:
    return verify(found, made, KEYS, read_at=NOW, **about)


def only(verdict: Verdict) -> Findings:
    [found] = verdict.streams
    return found


TODAY = [(NOW.replace(hour=hour, minute=0), count) for hour, count in ((8, 30), (9, 1), (11, 12))]
OLD = [(NOW.replace(day=2, hour=hour, minute=0), 40) for hour in (8, 9, 17)]


def test_who_has_everything_has_proven_it_in_whatever_order_and_how_often_it_came():
    events = said(*TODAY)
    came = events * 2
    Random(3).shuffle(came)
    found = only(judged(received(came), manifests(events)))
    assert (found.received, found.repeats, found.proven, found.unproven) == (43, 43, 43, 0)
    assert found.until == NOW.replace(minute=0)
    assert found.complete


@settings(max_examples=50)
@given(st.sets(st.integers(1, 43), min_size=1), st.booleans())
def test_whatever_is_missing_is_named_and_nothing_else_is(gone: set[int], late: bool):
    events = said(*TODAY)
    verdict = judged(
        received(event for event in events if event.sequence not in gone),
        manifests(events),
        compaction_lag=LAG if late else None,
    )
    assert not verdict.complete
    found = only(verdict)
    assert [n for span in found.missing for n in range(span.first, span.last + 1)] == sorted(gone)
    assert found.until is None or all(event.hour >= found.until for event in events if event.sequence in gone)


def test_what_is_missing_after_the_last_manifest_is_seen_by_what_came_later():
    events = said(*TODAY)
    kept = [event for event in events if event.sequence not in (34, 35, 43)]
    found = only(judged(received(kept), manifests(events)[:2]))
    assert found.missing == (Span(34, 35),)
    assert (found.until, found.proven, found.unproven) == (NOW.replace(hour=10, minute=0), 31, 9)


def test_a_topic_of_which_nothing_came_is_missing_whole():
    assert only(judged(Received(), manifests(said(*TODAY)))).missing == (Span(1, 30), Span(31, 31), Span(32, 43))


def test_long_gaps_and_high_sequences_are_no_trouble():
    few = [Said(n, TODAY[0][0], UUID(int=1)) for n in (1, 2, 4_096, 4_097, 10**12)]
    assert only(judged(received(few), [])).missing == (Span(3, 4_095), Span(4_098, 10**12 - 1))
    for sequence in (0, -1, 10**18):
        with pytest.raises(ValueError, match="no sequence"):
            Received().add(STREAM, sequence, UUID(int=1), UUID(int=1), NOW)


def test_a_manifest_that_was_not_received_is_named_and_nothing_is_proven_beyond_it():
    events = said(*TODAY)
    first, second, third = manifests(events)
    verdict = judged(received(events), [first, third])
    assert [(lost.manifest_id, lost.before) for lost in verdict.lost] == [(second.manifest_id, third.hour)]
    assert not verdict.complete
    assert only(verdict).until == NOW.replace(hour=9, minute=0)
    assert [lost.manifest_id for lost in judged(received(events), [second, third]).lost] == [first.manifest_id]


def test_what_no_manifest_covers_at_the_beginning_is_not_proven():
    events = said(*TODAY)
    found = only(judged(received(events), manifests(events[4:])))
    assert (found.until, found.proven, found.missing) == (None, 39, ())


def test_the_last_manifest_is_missed_once_it_is_overdue():
    events = said((NOW.replace(hour=6, minute=0), 3), (NOW.replace(hour=8, minute=0), 2))
    found = only(judged(received(events), manifests(events)[:1]))
    assert (found.overdue, found.complete) == (True, False)
    assert not only(verify(received(events), manifests(events)[:1], KEYS, read_at=NOW.replace(hour=11))).overdue
    assert only(judged(received(events), [])).overdue


def test_a_manifest_that_is_not_signed_by_its_source_proves_nothing():
    events = said(*TODAY)
    made = manifests(events)
    forged = made[1].model_copy(update={"signature": made[0].signature})
    verdict = judged(received(events), [made[0], forged, made[2]])
    assert [(each.manifest, verdict.complete) for each in verdict.refused] == [(forged, False)]
    assert verdict.lost == ()
    assert only(verdict).until == NOW.replace(hour=9, minute=0)
    assert len(verify(received(events), made, {}, read_at=NOW).refused) == 3


def test_another_id_than_the_source_signed_for_is_seen():
    events = said(*TODAY)
    changed = received(events[:10])
    changed.add(STREAM, 11, UUID(int=1), events[10].subject, NOW)
    found = only(judged(received(events[11:], into=changed), manifests(events)))
    assert (found.altered, found.missing, found.until) == ((Span(1, 30),), (), None)
    assert found.proven == 13
    assert not found.complete


def test_two_events_under_one_sequence_are_seen_and_one_that_came_twice_is_no_fault():
    events = said(*TODAY)
    twice = received([*events, events[4]])
    twice.add(STREAM, 7, UUID(int=1), events[6].subject, NOW)
    found = only(judged(twice, manifests(events)))
    assert found.doubled == (Doubled(7, events[6].id, UUID(int=1)),)
    assert (found.received, found.repeats, found.complete) == (43, 1, False)


def test_who_came_late_lacks_what_compaction_may_have_taken_and_who_did_not_misses_it():
    events = said(*OLD, *TODAY)
    left = received(compacted(events, NOW - LAG))
    late = judged(left, manifests(events), compaction_lag=LAG)
    assert late.complete
    found = only(late)
    assert found.until == NOW.replace(minute=0)
    assert sum(span.size for span in found.compacted) == 120
    assert found.proven == 43
    early = judged(left, manifests(events))
    assert only(early).missing == found.compacted
    assert not early.complete


def test_what_is_too_young_to_be_compacted_is_missing_whoever_asks():
    hours = [NOW.replace(hour=12, minute=0) - LAG + HOUR * n for n in (-1, 0, 1, 2)]
    events = said(*((hour, 10) for hour in hours))
    lacking = [event for event in events if event.sequence % 10 != 3]
    found = only(judged(received(lacking), manifests(events), compaction_lag=LAG))
    assert (found.compacted, found.missing) == ((Span(3, 3), Span(13, 13)), (Span(23, 23), Span(33, 33)))
    on_the_hour = NOW.replace(minute=0)
    found = only(verify(received(lacking), manifests(events), KEYS, read_at=on_the_hour, compaction_lag=LAG))
    assert found.compacted == (Span(3, 3),)


def test_the_log_proves_that_what_is_gone_was_compacted_away():
    events = said(*OLD, *TODAY)
    left = received(compacted(events, NOW - LAG))
    verdict = judged(left, manifests(events), compaction_lag=LAG, log=log_of(events))
    assert verdict.complete
    found = only(verdict)
    assert (found.received, found.proven) == (43, 43)
    assert sum(span.size for span in found.compacted) == 120


def test_the_log_tells_what_compaction_does_not_explain():
    subjects = 200
    events = said(*OLD, *TODAY, subjects=subjects)
    left = [event for event in compacted(events, NOW - LAG) if event.sequence not in (60, 61)]
    found = only(judged(received(left), manifests(events), compaction_lag=LAG, log=log_of(events)))
    assert (found.missing, found.compacted) == ((Span(60, 61),), ())
    assert found.until == OLD[0][0] + HOUR
    some = said(*OLD, *TODAY)
    unexplained = {STREAM: {n: told for n, told in log_of(some)[STREAM].items() if n != 50}}
    found = only(judged(received(some[120:]), manifests(some), compaction_lag=LAG, log=unexplained))
    assert found.missing == (Span(50, 50),), "a log that does not have it explains nothing"


def test_who_was_erased_is_gone_with_their_tombstone():
    events = said(*OLD, *TODAY)
    erased = UUID(int=2)
    last = max(event.sequence for event in events if event.subject == erased)
    events[last - 1] = replace(events[last - 1], tombstone=True)
    old = [event for event in events if event.sequence <= 120]
    gone = [event for event in old if event.subject != erased]
    left = received(compacted(gone, NOW - LAG))
    assert judged(left, manifests(old), compaction_lag=LAG, log=log_of(old, [erased])).complete
    found = only(judged(left, manifests(old), compaction_lag=LAG, log=log_of(old)))
    assert found.missing == (Span(117, 117),), "who is not erased has a newest event, and that alone is missed"


def test_a_log_that_says_other_than_the_source_signed_for_is_seen():
    events = said(*OLD, *TODAY)
    wrong = dict(log_of(events)[STREAM])
    wrong[3] = replace(wrong[3], id=UUID(int=1))
    left = received(compacted(events, NOW - LAG))
    found = only(judged(left, manifests(events), compaction_lag=LAG, log={STREAM: wrong}))
    assert (found.altered, found.until) == ((Span(1, 40),), None)


def test_a_restored_log_goes_on_in_a_generation_of_its_own():
    before = said(*OLD)
    restored = Stream(STREAM.topic, STREAM.source, 2)
    first = manifests(before)
    after = said(*TODAY, first=101)
    second = manifests(after, restored, previous=first[1].manifest_id)
    both = received(after, restored, into=received(before))
    verdict = judged(both, [*first, *second])
    assert verdict.complete
    assert [(found.stream, found.proven) for found in verdict.streams] == [(STREAM, 120), (restored, 43)]
    gone = received(after[1:], restored, into=received(before))
    assert judged(gone, [*first, *second]).streams[1].missing == (Span(101, 101),)
    assert judged(both, [first[0], first[2], *second]).lost != ()


def test_what_a_lost_log_published_without_a_manifest_is_overdue_and_not_missing_and_the_new_one_is_complete():
    before, restored = said(*OLD), Stream(STREAM.topic, STREAM.source, 2)
    signed_for = manifests(before)[:2]
    after = said(*TODAY, first=81)
    both = received(after, restored, into=received(before))
    verdict = judged(both, [*signed_for, *manifests(after, restored, previous=signed_for[-1].manifest_id)])
    former, new = verdict.streams
    assert (former.overdue, former.unproven, former.missing, former.altered) == (True, 40, (), ())
    assert (verdict.lost, new.complete, new.proven) == ((), True, 43)
    left = received(after, restored, into=received(before[:80]))  # once the others were superseded and compacted away
    assert judged(left, [*signed_for, *manifests(after, restored, previous=signed_for[-1].manifest_id)]).complete


def test_each_topic_and_source_is_counted_by_itself():
    other = Stream("ExchangeCancelled", STREAM.source, 1)
    events = said(*TODAY)
    verdict = judged(
        received(events[5:], other, into=received(events)), [*manifests(events), *manifests(events, other)]
    )
    assert [(found.stream.topic, found.missing) for found in verdict.streams] == [
        ("ExchangeCancelled", (Span(1, 5),)),
        ("MatchDeclined", ()),
    ]


@dataclass(frozen=True)
class Record:
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int


def record(event: Said, **headers: str | None) -> Record:
    own: Mapping[str, str | None] = {
        "ce_id": str(event.id),
        "ce_source": STREAM.source,
        "ce_sequence": str(event.sequence),
        "ce_generation": "1",
        **headers,
    }
    pairs = [(name, text.encode()) for name, text in own.items() if text is not None]
    return Record(str(event.subject).encode(), pairs, int((event.hour + HOUR / 2).timestamp() * 1000))


def test_records_of_kafka_are_taken_like_any_other_events():
    events = said(*TODAY)
    taken = Received()
    taken.add_records(STREAM.topic, map(record, events[20:]))
    taken.add_records(STREAM.topic, [])
    taken.add_records(STREAM.topic, [record(event) for event in events[:21]])
    assert judged(taken, manifests(events)) == judged(received([*events, events[20]]), manifests(events))


def test_records_of_several_sources_and_generations_may_be_mixed():
    events = said(*TODAY)
    taken = Received()
    mixed = [record(event, ce_source=f"sojourn/{event.sequence % 2}", ce_generation=None) for event in events]
    taken.add_records(STREAM.topic, [*mixed, record(events[0], ce_generation="2")])
    assert {stream: found.count for stream, found in taken.streams.items()} == {
        Stream(STREAM.topic, "sojourn/0", 1): 21,
        Stream(STREAM.topic, "sojourn/1", 1): 22,
        Stream(STREAM.topic, STREAM.source, 2): 1,
    }


def test_headers_may_stand_in_any_order_and_change_it_between_records():
    events = said(*TODAY)
    taken = Received()
    mixed = [record(event) for event in events]
    for number, each in enumerate(mixed):
        headers = [("traceparent", b"x"), *each.headers][number % 2 :]
        mixed[number] = replace(each, headers=headers if number % 3 else headers[::-1])
    taken.add_records(STREAM.topic, mixed)
    assert judged(taken, manifests(events)) == judged(received(events), manifests(events))


@pytest.mark.parametrize("header", ["ce_id", "ce_source", "ce_sequence"])
def test_a_header_without_a_value_is_missing_wherever_it_stands(header: str):
    first, second, *_ = map(record, said(*TODAY))
    nothing: Any = None
    empty = replace(second, headers=[(name, nothing if name == header else value) for name, value in second.headers])
    with pytest.raises(Malformed) as refused:
        Received().add_records(STREAM.topic, [first, empty])
    assert refused.value.path == header


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_id", None), ("ce_id", "42"), ("ce_id", "zzzzzzzz-0000-0000-0000-000000000000"),
        ("ce_source", None), ("ce_sequence", None), ("ce_sequence", "0"), ("ce_sequence", "one"), ("ce_sequence", "9" * 19),
        ("ce_generation", "x"),
    ],
)  # fmt: skip
def test_a_record_that_breaks_the_contract_is_refused_by_its_header(header: str, value: str | None):
    event = said(*TODAY)[0]
    with pytest.raises(Malformed) as refused:
        Received().add_records(STREAM.topic, [record(event, **{header: value})])
    assert refused.value.path == header
    with pytest.raises(Malformed, match="ce_subject"):
        Received().add_records(STREAM.topic, [replace(record(event), key=None)])
