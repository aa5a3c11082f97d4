"""What was appended to the table since a snapshot that a reader has: the cursor is that snapshot's id.

Snapshots follow each other in one line, and a commit on anything but the newest one fails, whoever writes at the same time: so
what lies between two of them is neither more nor less than what was appended meanwhile.
"""

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, ancestors_of

from survey.analysis.snapshot import snapshot_of


class CursorGone(LookupError):  # noqa: N818 - it says what is wrong
    """What was appended since cannot be told any more; the reader has to begin anew. The text says why."""


def appended(table: Table, after: int | None, until: int) -> pa.RecordBatchReader:
    """The rows that came after one snapshot, up to another; all that the table then had, if after None.

    Raises:
        UnknownSnapshot: the table does not have ``until``.
        CursorGone: ``after`` has expired or was rolled back, or something was erased since.
    """
    snapshot_of(table, until)
    if after is None:
        return table.scan(snapshot_id=until).to_arrow_batch_reader()
    if after == until:
        return pa.RecordBatchReader.from_batches(schema_to_pyarrow(table.schema(), include_field_ids=False), [])
    for snapshot in _between(table, after, until):
        if erases(snapshot):
            raise CursorGone("records were erased since: forget what you have, and read the whole table")
    return table.incremental_append_scan(
        from_snapshot_id_exclusive=after, to_snapshot_id_inclusive=until
    ).to_arrow_batch_reader()


def _between(table: Table, after: int, until: int) -> list[Snapshot]:
    found: list[Snapshot] = []
    for snapshot in ancestors_of(table.snapshot_by_id(until), table.metadata):
        if snapshot.snapshot_id == after:
            return found
        found.append(snapshot)
    raise CursorGone("this snapshot has expired or was rolled back: forget what you have, and read the whole table")


def erases(snapshot: Snapshot) -> bool:
    """Whether rows went. A compaction writes as many again as it takes away."""
    if snapshot.summary is None or snapshot.summary.operation is Operation.APPEND:
        return False
    said = snapshot.summary.additional_properties
    return int(said.get("deleted-records", 0)) > int(said.get("added-records", 0))
