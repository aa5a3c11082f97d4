"""What the sink writes into the table: each commit carries the Kafka offsets up to which the table holds all there was.

So rows and offsets land together or not at all, and whoever comes next goes on from the newest snapshot. A commit on anything
but the newest snapshot fails: of two sinks, one has to look again.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, In, Reference
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files, schema_to_pyarrow
from pyiceberg.table import FileScanTask, Table, Transaction
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot

from survey.sink.records import Batch
from survey.sink.table import SCHEMA

OFFSETS = "survey-sink.offsets"
"""Of a snapshot: by partition, the offset of the next record."""
PURGE = "survey-sink.purge-before"
"""Of the table, while something erased may still be in a file: files from before this time, in milliseconds, have to go."""

SMALL = 8 * 1024 * 1024
"""Bytes of a file that is put together with others, and roughly of what comes of it."""
MANY = 12
"""Small files in one month from which on they are put together."""

Offsets = Mapping[int, int]


def offsets(table: Table) -> dict[int, int]:
    """Up to where the table holds everything, by partition; none for partitions that were never read.

    Snapshots of others do not say it; then their parents do, or else the rows themselves.
    """
    snapshot = table.current_snapshot()
    if snapshot is None:
        return {}
    while snapshot is not None:
        summary = snapshot.summary
        if summary is not None and (said := summary.additional_properties.get(OFFSETS)):
            return {int(partition): offset for partition, offset in json.loads(said).items()}
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.snapshot_by_id(parent)
    places = table.scan(selected_fields=("kafka_partition", "kafka_offset")).to_arrow()
    newest = places.group_by("kafka_partition").aggregate([("kafka_offset", "max")]).to_pydict()
    return {
        partition: offset + 1
        for partition, offset in zip(newest["kafka_partition"], newest["kafka_offset_max"], strict=True)
    }


def _carrying(upto: Offsets) -> dict[str, str]:
    return {OFFSETS: json.dumps({str(partition): upto[partition] for partition in sorted(upto)})}


def more_columns(table: Table) -> list[pa.Field]:
    """Those that the table has beyond ``SCHEMA``, as they are read from JSON."""
    own = {field.name for field in SCHEMA.fields}
    found = schema_to_pyarrow(table.schema(), include_field_ids=False)
    return [
        pa.field(field.name, pa.string() if field.type == pa.large_string() else field.type)
        for field in found
        if field.name not in own
    ]


def write(table: Table, batch: Batch, upto: Offsets) -> None:
    """Erases and appends what the batch says, with new columns where it brings fields, all in one commit.

    Raises:
        CommitFailedException: somebody else has committed since this table was loaded; nothing was written.
    """
    carried = _carrying(upto)
    with table.transaction() as tx:
        _widen(tx, batch.rows.schema)
        if batch.erased and table.current_snapshot() is not None:
            tx.delete(_among("record_id", batch.erased), snapshot_properties=carried)
            newest = tx.table_metadata.current_snapshot()
            if newest is not None and newest.snapshot_id != table.metadata.current_snapshot_id:
                tx.set_properties({PURGE: str(newest.timestamp_ms)})
        tx.append(batch.rows, snapshot_properties=carried)


def _among(column: str, ids: Iterable[str]) -> BooleanExpression:
    return In(Reference(column), set(ids))  # pyright: ignore[reportCallIssue] - pydantic's own constructor hides this one


def _widen(tx: Transaction, schema: pa.Schema) -> None:
    known = {field.name for field in tx.table_metadata.schema().fields}
    new = [field for field in schema if field.name not in known]
    if new:
        with tx.update_schema() as change:
            change.union_by_name(pa.schema(new))


def compact(table: Table) -> int:
    """Puts the small files of each month together, and gives how many they were: one snapshot in which no row is new.

    Raises:
        CommitFailedException: as ``write`` does.
    """
    groups = [
        group
        for month in _small_files(table).values()
        if len(month) >= MANY
        for group in _of_size(month)
        if len(group) > 1
    ]
    if not groups:
        return 0
    with table.transaction() as tx:
        change = tx.update_snapshot(snapshot_properties=_carrying(offsets(table))).overwrite()
        for group in groups:
            rows = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table(group)
            for task in group:
                change.delete_data_file(task.file)
            for made in _dataframe_to_data_files(table.metadata, rows, table.io, write_uuid=change.commit_uuid):
                change.append_data_file(made)
        change.commit()
    return sum(map(len, groups))


def _small_files(table: Table) -> dict[str, list[FileScanTask]]:
    months: dict[str, list[FileScanTask]] = defaultdict(list)
    for task in table.scan().plan_files():
        if task.file.file_size_in_bytes < SMALL:
            months[str(task.file.partition)].append(task)
    return months


def _of_size(tasks: Sequence[FileScanTask]) -> Iterator[list[FileScanTask]]:
    """In groups that become a file each, so that memory holds no more than one of them."""
    group: list[FileScanTask] = []
    size = 0
    for task in tasks:
        group.append(task)
        size += task.file.file_size_in_bytes
        if size >= SMALL:
            yield group
            group, size = [], 0
    if group:
        yield group


def expire(table: Table, kept: int) -> int:
    """Forgets all but the newest snapshots and those with a tag, and gives how many: appends stay as cheap as the first."""
    protected = {reference.snapshot_id for reference in table.refs().values()}
    newest_first = sorted(table.snapshots(), key=lambda snapshot: snapshot.sequence_number or 0, reverse=True)
    old = [each.snapshot_id for each in newest_first[kept:] if each.snapshot_id not in protected]
    if old:
        table.maintenance.expire_snapshots().by_ids(old).commit()
    return len(old)


def expire_all(table: Table) -> None:
    """Forgets every snapshot but the newest, and every tag: what was erased is in none that can be read."""
    tags = [name for name in table.refs() if name != MAIN_BRANCH]
    if tags:
        with table.manage_snapshots() as change:
            for name in tags:
                change.remove_tag(name)
    expire(table, 1)


def roll_back(table: Table, snapshot: Snapshot) -> None:
    """Makes an earlier snapshot the newest one, and forgets those that came after it."""
    table.manage_snapshots().set_current_snapshot(snapshot.snapshot_id).commit()
    later = {
        each.snapshot_id for each in table.snapshots() if (each.sequence_number or 0) > (snapshot.sequence_number or 0)
    } - {reference.snapshot_id for reference in table.refs().values()}
    if later:
        table.maintenance.expire_snapshots().by_ids(sorted(later)).commit()


def without_known(table: Table, batch: Batch) -> Batch:
    """The batch without the rows that the table has already, and without the erasures of what it does not have."""
    ids = batch.rows["event_id"].to_pylist()
    known = _there(table, "event_id", ids)
    rows = batch.rows.filter(pa.array([id_ not in known for id_ in ids], pa.bool_()))
    return replace(batch, rows=rows, erased=batch.erased & _there(table, "record_id", batch.erased))


def _there(table: Table, column: str, ids: Collection[str]) -> set[str]:
    """Which of them are in the column."""
    if not ids:
        return set()
    return set(table.scan(_among(column, ids), selected_fields=(column,)).to_arrow()[column].to_pylist())


def purge_before(table: Table) -> datetime | None:
    """When the newest erasure was written whose traces may still be in a file; None if there is none."""
    said = table.properties.get(PURGE)
    return None if said is None else datetime.fromtimestamp(int(said) / 1000, UTC)


def purged(table: Table) -> None:
    """Notes that no such file is left."""
    with table.transaction() as tx:
        tx.remove_properties(PURGE)
