"""Files of the warehouse are missing, cut short or overwritten: the sink says which, and nothing is lost."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from structlog.testing import capture_logs
from survey.sink import files, recovery, snapshots
from survey.sink.files import BrokenError
from survey.sink.records import Batch, row_schema

from tests.survey.sinking import (
    Place,
    drained,
    headers,
    paths,
    producing,
    record_id,
    sinking,
    submission,
    tombstone,
    until,
)

EVENTS = 60


async def filled(place: Place) -> None:
    """Three appends of 20 events each."""
    async with producing(place.kafka) as produce, sinking(place) as sink:
        for first in range(0, EVENTS, 20):
            await produce(submission(number) for number in range(first, first + 20))
            await drained(sink, first + 20)


def newest(place: Place, kind: str) -> Path:
    """A file of that kind that the newest snapshot alone needs."""
    table = place.table()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    if kind == "list of manifests":
        return local(snapshot.manifest_list)
    if kind == "metadata":
        return local(table.metadata_location)
    added = [each for each in snapshot.manifests(table.io) if each.added_snapshot_id == snapshot.snapshot_id]
    if kind == "manifest":
        return local(added[0].manifest_path)
    return local(added[0].fetch_manifest_entry(table.io)[0].data_file.file_path)


def local(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("data file", cut_in_half),
        ("data file", overwrite_the_middle),
        ("data file", Path.unlink),
        ("manifest", empty),
        ("list of manifests", cut_in_half),
        ("metadata", cut_in_half),
        ("metadata", Path.unlink),
    ],
)
async def test_a_broken_file_is_named_and_the_sink_goes_on_from_the_last_good_snapshot(
    sink_place: Place, kind: str, damage: Callable[[Path], None]
):
    await filled(sink_place)
    broken = newest(sink_place, kind)
    damage(broken)
    with capture_logs() as lines:
        async with sinking(sink_place) as sink:
            await drained(sink, EVENTS)
            await until(lambda: sink.lag == 0)
    named = [line for line in lines if line["log_level"] == "critical" and str(broken) in str(line.get("file"))]
    assert named, lines
    assert any("went back to" in line["event"] for line in lines)
    assert sink_place.numbers() == Counter(range(EVENTS))


async def test_a_file_that_every_snapshot_needs_makes_the_table_anew_from_the_topic(sink_place: Place):
    await filled(sink_place)
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce([tombstone(5)])
        await drained(sink, EVENTS + 1)
        await until(lambda: len(sink_place.table().snapshots()) == 1)
    cut_in_half(paths(sink_place.table())[0])
    with capture_logs() as lines:
        async with sinking(sink_place) as sink:
            await drained(sink, EVENTS + 1)
    assert any("made anew" in line["event"] for line in lines)
    assert sink_place.numbers() == Counter(range(EVENTS)) - Counter([5])


async def test_a_row_of_what_had_been_set_aside_comes_back_when_its_file_breaks(sink_place: Place):
    """The offsets of the snapshot that the table goes back to are past it: Kafka does not give it again."""
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        await produce([submission(0), (record_id(1).encode(), b"{", headers(1))])
        await drained(sink, 2)
    with sink_place.catalog.engine.begin() as connection:
        connection.exec_driver_sql("update set_aside set value = %s", (submission(1)[1],))
    async with sinking(sink_place) as sink:
        await drained(sink, 2)
    assert sink_place.numbers() == Counter(range(2))
    cut_in_half(newest(sink_place, "data file"))
    async with sinking(sink_place) as sink:
        await drained(sink, 2)
    assert sink_place.numbers() == Counter(range(2))


async def test_files_that_another_sink_has_removed_meanwhile_do_not_make_the_table_anew(
    sink_place: Place, monkeypatch: pytest.MonkeyPatch
):
    await filled(sink_place)
    look = files.broken

    def erased_before(table: Table, snapshot: Snapshot, sound: set[tuple[str, int]]) -> Iterator[BrokenError]:
        monkeypatch.setattr(files, "broken", look)
        others = sink_place.table()
        gone = Batch(row_schema().empty_table(), frozenset({record_id(5)}), ())
        snapshots.write(others, gone, snapshots.offsets(others))
        former = files.named(others)
        snapshots.expire_all(others)
        files.sweep(others, former, timedelta(0))
        return look(table, snapshot, sound)

    monkeypatch.setattr(files, "broken", erased_before)
    with pytest.raises(CommitFailedException):
        recovery.recovered(sink_place.catalog, set())
    table, found = recovery.recovered(sink_place.catalog, set())
    assert found == []
    assert table.metadata_location == sink_place.table().metadata_location
    assert sink_place.numbers() == Counter(range(EVENTS)) - Counter([5])


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (ConnectionResetError("the network"), ConnectionResetError),
        (PermissionError("not now"), PermissionError),
        (FileNotFoundError("gone"), BrokenError),
        (EOFError("cut short"), BrokenError),
        (ValueError("not Avro"), BrokenError),
    ],
)
def test_only_what_is_missing_or_cannot_be_decoded_is_broken(trouble: Exception, told: type[Exception]):
    def parse() -> None:
        raise trouble

    with pytest.raises(told):
        files.parsed("a.avro", parse)


async def test_a_warehouse_that_is_not_mounted_is_waited_for_and_not_made_anew(sink_place: Place):
    await filled(sink_place)
    away = sink_place.warehouse.with_name("unmounted")
    shutil.move(sink_place.warehouse, away)
    async with sinking(sink_place) as sink:
        await until(lambda: "NotThereError" in (sink.waiting_for or ""))
        assert not sink_place.files()
        shutil.move(away, sink_place.warehouse)
        await drained(sink, EVENTS)
    assert sink_place.numbers() == Counter(range(EVENTS))


async def test_a_file_that_breaks_while_the_sink_runs_is_found_when_it_gets_in_the_way(sink_place: Place):
    """An erasure reads all files; what it cannot read makes the sink look at everything again."""
    async with producing(sink_place.kafka) as produce, sinking(sink_place) as sink:
        for first in range(0, EVENTS, 20):
            await produce(submission(number) for number in range(first, first + 20))
            await drained(sink, first + 20)
        cut_in_half(newest(sink_place, "data file"))
        await produce([tombstone(3)])
        await drained(sink, EVENTS + 1)
        await until(lambda: sink_place.numbers() == Counter(range(EVENTS)) - Counter([3]))
