"""The sink on a real Kafka and a real PostgreSQL, in this process."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pyarrow import parquet
from pyiceberg.avro.file import AvroFile
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import PyArrowFileIO
from survey.sink import aside, snapshots
from survey.sink.process import GROUP, Sink
from survey.sink.records import Batch, Reader, Unreadable, row_schema
from survey.sink.table import NAME

from tests.chassis_driver import Record
from tests.survey.sinking import (
    TOPIC,
    Place,
    Written,
    data,
    drained,
    event_id,
    headers,
    paths,
    producing,
    record_id,
    sinking,
    submission,
    tombstone,
    until,
)


def once(numbers: range) -> Counter[int]:
    return Counter(numbers)


async def test_each_event_is_one_row_with_its_fields_and_its_place(sink_place: Place):
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce(submission(number) for number in range(300))
        await drained(sink, 300)
    assert sink_place.numbers() == once(range(300))
    rows = {row["record_id"]: row for row in sink_place.table().scan().to_arrow().to_pylist()}
    assert len({(row["kafka_partition"], row["kafka_offset"]) for row in rows.values()}) == 300
    found = rows[record_id(7)]
    assert 0 <= found.pop("kafka_partition") < 6
    assert found.pop("kafka_offset") >= 0
    said = data(7)
    assert found == {
        **said,
        "event_id": event_id(7),
        "released_on": date.fromisoformat(said["released_on"]),
        "answers": list(said["answers"].items()),
    }


async def test_a_sink_that_comes_back_goes_on_where_the_table_ends_whatever_kafka_was_told(sink_place: Place):
    async with producing(sink_place.kafka) as produce:
        await produce(submission(number) for number in range(100))
        async with sinking(sink_place) as sink:
            await drained(sink, 100)
        consumer = AIOKafkaConsumer(bootstrap_servers=sink_place.kafka, group_id=GROUP, enable_auto_commit=False)
        await consumer.start()
        places = [TopicPartition(TOPIC, partition) for partition in range(6)]
        consumer.assign(places)
        told = [await consumer.committed(place) for place in places]
        assert sum(offset or 0 for offset in told) == 100, "whoever looks at the lag is told the truth"
        await consumer.commit(dict.fromkeys(places, 0))
        await consumer.stop()
        await produce(submission(number) for number in range(100, 150))
        async with sinking(sink_place) as sink:
            await drained(sink, 150)
    assert sink_place.numbers() == once(range(150))


async def test_what_was_not_committed_on_the_topic_is_not_read(sink_place: Place):
    producer = AIOKafkaProducer(bootstrap_servers=sink_place.kafka, transactional_id="survey.relay-of-a-test")
    await producer.start()
    for first, committed in ((0, True), (100, False), (200, True)):
        await producer.begin_transaction()
        for number in range(first, first + 20):
            key, value, said = submission(number)
            await producer.send(TOPIC, key=key, value=value, headers=said)
        await (producer.commit_transaction() if committed else producer.abort_transaction())
    await producer.stop()
    async with sinking(sink_place) as sink:
        await until(lambda: sink.waiting_for is None and sink.lag == 0)
        await until(lambda: len(sink_place.numbers()) == 40)
    assert sink_place.numbers() == once(range(20)) + once(range(200, 220))


async def test_of_two_sinks_the_stale_one_writes_nothing_twice(sink_place: Place):
    """The first commits behind the second's back: its append fails, it looks again, and goes on from there."""
    async with producing(sink_place.kafka) as produce:
        await produce(submission(number) for number in range(50))
        async with sinking(sink_place, batch_events=20) as one, sinking(sink_place, batch_events=30) as other:
            for first in range(50, 1_050, 100):
                await produce(submission(number) for number in range(first, first + 100))
            await drained(one, 1_050)
            await drained(other, 1_050)
    assert sink_place.numbers() == once(range(1_050))


async def test_an_append_on_a_table_that_has_moved_fails_and_leaves_it_as_it_is(sink_place: Place):
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce([submission(0)])
        await drained(sink, 1)
    stale = sink_place.table()
    fresh = sink_place.table()
    batch = Reader().read([as_record(submission(1), offset=1)], [])
    snapshots.write(fresh, batch, {0: 2})
    with pytest.raises(CommitFailedException):
        snapshots.write(stale, batch, {0: 2})
    assert sink_place.numbers() == once(range(2))
    assert snapshots.offsets(sink_place.table()) == {0: 2}


async def test_small_files_are_put_together_and_an_incremental_reader_sees_no_row_twice(sink_place: Place):
    async with producing(sink_place.kafka) as produce, sinking(sink_place, maintain_every=10_000) as sink:
        for step in range(15):
            await produce(submission(number) for number in range(step * 10, step * 10 + 10))
            await drained(sink, step * 10 + 10)
    table = sink_place.table()
    before, many = table.current_snapshot(), len(paths(table))
    assert before is not None
    offsets = snapshots.offsets(table)
    assert snapshots.compact(table) == many
    table = sink_place.table()
    assert len(paths(table)) == 3, "one for each month"
    assert sink_place.numbers() == once(range(150))
    assert snapshots.offsets(table) == offsets
    new = table.incremental_append_scan(from_snapshot_id_exclusive=before.snapshot_id).to_arrow()
    assert len(new) == 0
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce(submission(number) for number in range(150, 160))
        await drained(sink, 160)
    table = sink_place.table()
    assert len(table.incremental_append_scan(from_snapshot_id_exclusive=before.snapshot_id).to_arrow()) == 10
    assert sink_place.numbers() == once(range(160))


async def test_old_snapshots_and_their_files_go_and_tagged_ones_stay(sink_place: Place):
    async with producing(sink_place.kafka) as produce:
        async with sinking(sink_place) as sink:
            await produce([submission(0)])
            await drained(sink, 1)
        table = sink_place.table()
        tagged = table.metadata.current_snapshot_id
        assert tagged is not None
        table.manage_snapshots().create_tag(tagged, "published").commit()
        async with sinking(sink_place, snapshots_kept=3, maintain_every=5) as sink:
            for number in range(1, 21):
                await produce([submission(number)])
                await drained(sink, number + 1)
            await until(lambda: len(sink_place.table().snapshots()) <= 8)
    table = sink_place.table()
    assert tagged in {snapshot.snapshot_id for snapshot in table.snapshots()}
    assert len(table.scan(snapshot_id=tagged).to_arrow()) == 1
    assert sink_place.numbers() == once(range(21))
    lists = [path for path in sink_place.files() if path.name.startswith("snap-")]
    assert len(lists) <= 8, "the files of forgotten snapshots are gone"


async def test_offsets_that_a_foreign_snapshot_lacks_are_those_of_its_parent_or_of_the_rows(sink_place: Place):
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce(submission(number) for number in range(60))
        await drained(sink, 60)
    table = sink_place.table()
    offsets = snapshots.offsets(table)
    table.append(row_schema().empty_table())
    assert snapshots.offsets(table) == offsets
    snapshots.expire(table, 1)
    assert snapshots.offsets(table) == {partition: offset for partition, offset in offsets.items() if offset}


async def test_an_erased_record_is_gone_from_the_table_its_history_and_the_disk(sink_place: Place):
    wanted = record_id(42)
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        for first in range(0, 90, 30):
            await produce(submission(number) for number in range(first, first + 30))
            await drained(sink, first + 30)
        table = sink_place.table()
        assert table.metadata.current_snapshot_id is not None
        table.manage_snapshots().create_tag(table.metadata.current_snapshot_id, "published").commit()
        assert [path for path in sink_place.files() if mentions(path, 42)], "it is found while it is there"
        await produce([tombstone(42)])
        await until(lambda: snapshots.PURGE not in sink_place.table().properties and 42 not in sink_place.numbers())
    assert sink_place.numbers() == once(range(90)) - Counter([42])
    table = sink_place.table()
    assert set(table.refs()) == {"main"}
    for snapshot in table.snapshots():
        assert wanted not in table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()["record_id"].to_pylist()
    assert [path for path in sink_place.files() if mentions(path, 42)] == []
    assert sum(snapshots.offsets(table).values()) == 91


def mentions(path: Path, number: int) -> bool:
    """Whether a file says its ids, also inside compressed pages and blocks."""
    needles = [record_id(number), event_id(number)]
    content = path.read_bytes()
    if path.suffix == ".parquet":
        text = json.dumps(parquet.read_table(path).to_pylist(), default=str) + repr(
            parquet.read_metadata(path).to_dict()
        )
    elif path.suffix == ".avro":
        with AvroFile[Any](PyArrowFileIO().new_input(str(path))) as found:
            text = repr(list(found))
    else:
        text = ""
    return any(needle in text or needle.encode() in content or needle[:16] in text for needle in needles)


async def test_a_record_that_is_erased_in_the_batch_that_brings_it_never_gets_there(sink_place: Place):
    async with producing(sink_place.kafka) as produce:
        await produce([submission(0), submission(1), tombstone(1)])
        async with sinking(sink_place) as sink:
            await drained(sink, 3)
    assert sink_place.numbers() == once(range(1))


async def test_an_erasure_that_was_cut_short_is_gone_on_with_at_the_next_start(sink_place: Place):
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce(submission(number) for number in range(10))
        await drained(sink, 10)
    table = sink_place.table()
    gone = Batch(row_schema().empty_table(), frozenset({record_id(3)}), ())
    snapshots.write(table, gone, snapshots.offsets(table))
    assert [path for path in sink_place.files() if mentions(path, 3)], "erased, and still on the disk"
    async with sinking(sink_place):
        await until(lambda: snapshots.PURGE not in sink_place.table().properties)
    assert [path for path in sink_place.files() if mentions(path, 3)] == []
    assert 3 not in sink_place.numbers()


async def test_a_young_file_that_nobody_names_stays_until_no_commit_can_name_it_any_more(sink_place: Place):
    async with producing(sink_place.kafka) as produce:
        async with sinking(sink_place, orphan_seconds=3_600) as sink:
            await produce([submission(0)])
            await drained(sink, 1)
            foreign = paths(sink_place.table())[0].with_name("another-sinks.parquet")
            foreign.write_bytes(b"PAR1 and half of a file")
            await produce([tombstone(0)])
            await until(lambda: not sink_place.numbers())
            await until(lambda: len([path for path in sink_place.files() if path.suffix == ".parquet"]) == 1)
            assert snapshots.PURGE in sink_place.table().properties, "the erasure is not over before it is gone"
            assert foreign.exists()
        async with sinking(sink_place, orphan_seconds=0):
            await until(lambda: not foreign.exists())
            await until(lambda: snapshots.PURGE not in sink_place.table().properties)


async def test_bad_records_are_set_aside_whole_and_the_good_ones_around_them_are_not_lost(sink_place: Place):
    key, _, said = submission(500)
    bad: list[Written] = [
        (key, b"{", said),
        (key, json.dumps(data(500) | {"party": "somebody"}).encode(), said),
        (key, json.dumps(data(500) | {"answers": {"OVERALL": 5}}).encode(), said),
        (key, json.dumps({name: value for name, value in data(500).items() if name != "wave"}).encode(), said),
        (key, json.dumps(data(501)).encode(), said),
        (key, json.dumps(data(500)).encode(), [pair for pair in said if pair[0] != "ce_id"]),
        (key, None, []),
        (key, b"\xff\xfe\x00", [("ce_type", b"\xff")]),
    ]
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce([*(submission(number) for number in range(40)), *bad, *map(submission, range(40, 80))])
        await drained(sink, 88)
        engine = sink_place.catalog.engine
        kept = aside.kept(engine)
        assert sorted((each.value or b"", each.headers) for each in kept) == sorted(
            (value or b"", said) for _, value, said in bad
        )
        causes = sorted(row["cause"] for row in aside.listing(engine))
        assert any(cause.startswith("data.party: ") for cause in causes)
        assert any(cause.startswith("data.answers.OVERALL: ") for cause in causes)
        assert any(cause.startswith("data.wave: ") for cause in causes)
        assert any(cause.startswith("ce_id: ") for cause in causes)
        await produce([submission(80)])
        await drained(sink, 89)
    assert sink_place.numbers() == once(range(81))


async def test_what_was_set_aside_becomes_a_row_once_it_can_be_read(sink_place: Place):
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce([submission(0), (record_id(1).encode(), b"{", headers(1))])
        await drained(sink, 2)
    engine = sink_place.catalog.engine
    with engine.begin() as connection:
        connection.exec_driver_sql("update set_aside set value = %s", (submission(1)[1],))
    for _ in range(2):
        async with sinking(sink_place) as sink:
            await until(lambda sink=sink: sink.waiting_for is None)
    assert aside.count(engine) == 0
    assert aside.listing(engine) == []
    assert sink_place.numbers() == once(range(2))
    assert len(sink_place.table().snapshots()) == 2, "nothing is written where nothing is new"


async def test_what_was_set_aside_and_is_still_to_come_from_kafka_is_one_row(sink_place: Place):
    """An append failed after that, or the table was made anew, and this version can read it."""
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce([submission(0), submission(1)])
        await drained(sink, 2)
    engine = sink_place.catalog.engine
    (row,) = sink_place.table().scan(f"record_id = '{record_id(1)}'").to_arrow().to_pylist()
    key, value, said = submission(1)
    waits = aside.Kept(row["kafka_partition"], row["kafka_offset"], key, value, said)
    aside.keep(engine, [Unreadable(waits, "an earlier version could not read it")])
    sink_place.catalog.drop_table(NAME)
    for waiting in (1, 0):
        async with sinking(sink_place) as sink:
            await drained(sink, 2)
        assert aside.count(engine) == waiting
        assert sink_place.numbers() == once(range(2))


async def test_what_was_set_aside_and_read_later_is_erased_everywhere(sink_place: Place):
    async with producing(sink_place.kafka) as produce:
        async with sinking(sink_place) as sink:
            await produce([submission(0), (record_id(1).encode(), b"{", headers(1))])
            await drained(sink, 2)
        engine = sink_place.catalog.engine
        with engine.begin() as connection:
            connection.exec_driver_sql("update set_aside set value = %s", (submission(1)[1],))
        async with sinking(sink_place) as sink:
            await until(lambda: sink_place.numbers() == once(range(2)))
            await produce([tombstone(1)])
            await drained(sink, 3)
        assert aside.kept(engine) == []
        async with sinking(sink_place) as sink:
            await drained(sink, 3)
    assert sink_place.numbers() == once(range(1))


async def test_an_optional_field_of_a_later_version_becomes_a_column(sink_place: Place):
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce(submission(number) for number in range(10))
        await drained(sink, 10)
        await produce([submission(10, channel="web", minutes=12, sure=True, parts=[1, 2]), submission(11)])
        await drained(sink, 12)
        await produce([submission(12, channel="paper", minutes="twelve"), submission(13, channel="paper", minutes=7)])
        await drained(sink, 14)
        engine = sink_place.catalog.engine
        assert [row["cause"].split(":")[0] for row in aside.listing(engine)] == ["data.minutes"]
    assert sink_place.numbers() == once(range(14)) - Counter([12])
    rows = {row["record_id"]: row for row in sink_place.table().scan().to_arrow().to_pylist()}
    got = [
        tuple(rows[record_id(number)][name] for name in ("channel", "minutes", "sure", "parts"))
        for number in (0, 10, 11, 13)
    ]
    assert got == [(None,) * 4, ("web", 12, True, "[1, 2]"), (None,) * 4, ("paper", 7, None, None)]


async def test_it_waits_for_kafka_and_the_catalog_and_goes_on_by_itself(sink_place: Place):
    nobody = Place("127.0.0.1:1", sink_place.url, sink_place.warehouse)
    async with sinking(nobody) as sink:
        await until(lambda: "Kafka" in (sink.waiting_for or ""))
        sink.settings = sink_place.settings()
        await until(lambda: sink.waiting_for is None)
    sink = Sink(sink_place.settings(catalog_url="postgresql://nobody:nothing@127.0.0.1:1/none"))
    running = asyncio.create_task(sink.run())
    await until(lambda: "OperationalError" in (sink.waiting_for or ""))
    assert "nothing" not in (sink.waiting_for or "")
    sink.stopping.set()
    await asyncio.wait_for(running, 10)


async def test_a_table_that_is_ahead_of_its_topic_is_not_written_to(sink_place: Place):
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce([submission(0)])
        await drained(sink, 1)
    table = sink_place.table()
    snapshots.write(table, Batch(row_schema().empty_table(), frozenset(), ()), {0: 1_000})
    async with sinking(sink_place) as sink:
        await until(lambda: "another topic, or it was restored" in (sink.waiting_for or ""))
    assert sink_place.numbers() == once(range(1))


def as_record(written: Written, offset: int = 0) -> Record:
    key, value, said = written
    return Record(TOPIC, key, value, said, 0, offset)


def test_reading_together_and_one_by_one_gives_the_same_rows():
    records = [as_record(submission(number), number) for number in range(200)]
    together = Reader().read(records, []).rows
    alone = pa.concat_tables([Reader().read([indented(record)], []).rows for record in records])
    assert together.to_pylist() == alone.to_pylist()
    assert together.schema == alone.schema == row_schema()


def indented(record: Record) -> Record:
    """The same: the space alone makes it unusual."""
    return replace(record, value=b" " + (record.value or b""))


def test_a_record_whose_key_is_another_ones_is_no_row_however_it_is_read():
    foreign = as_record((record_id(2).encode(), *submission(1)[1:]), 1)
    for wrong in (foreign, indented(foreign)):
        batch = Reader().read([as_record(submission(0)), wrong], [])
        assert [each.cause.split(":")[0] for each in batch.unreadable] == ["key"]
        assert batch.rows["record_id"].to_pylist() == [record_id(0)]


@pytest.mark.parametrize("value", ['{"record_id": 1}', "[]", "null", '"text"', "", " ", "{}{}", "NaN"])
def test_what_is_no_submission_is_told_with_its_cause(value: str):
    batch = Reader().read([as_record(submission(0)), as_record((b"k", value.encode(), headers(1)), 1)], [])
    assert [each.record.offset for each in batch.unreadable] == [1]
    assert batch.unreadable[0].cause.startswith("data")
    assert batch.rows["record_id"].to_pylist() == [record_id(0)]


def test_two_events_in_one_value_do_not_pass_for_two_records():
    whole = (submission(0)[1] or b"") + b"\n" + (submission(1)[1] or b"")
    records = [
        as_record((record_id(0).encode(), whole, headers(0))),
        as_record((record_id(1).encode(), b"", headers(1)), 1),
    ]
    batch = Reader().read(records, [])
    assert len(batch.rows) == 0
    assert len(batch.unreadable) == 2


def test_answers_that_look_like_times_stay_texts():
    batch = Reader().read([as_record(submission(0, answers={"DAY": "2026-01-05"}))], [])
    assert batch.rows["answers"].to_pylist() == [[("DAY", "2026-01-05")]]
    batch = Reader().read([as_record(submission(0, answers={}))], [])
    assert batch.rows["answers"].to_pylist() == [[]]
