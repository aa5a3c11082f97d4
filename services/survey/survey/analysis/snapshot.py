"""The submissions of one snapshot, as DuckDB reads them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import duckdb
from pyiceberg.table import Table


class UnknownSnapshot(LookupError):  # noqa: N818 - it says what is wrong
    """The table has no such snapshot, or no longer: the text names it."""


def snapshot_of(table: Table, snapshot_id: int | None) -> int:
    """The id that was asked for, or the newest one's.

    Raises:
        UnknownSnapshot: the table does not have it.
    """
    if snapshot_id is None:
        newest = table.current_snapshot()
        if newest is None:
            raise UnknownSnapshot("nothing has been written yet: there is no snapshot")
        return newest.snapshot_id
    if table.snapshot_by_id(snapshot_id) is None:
        raise UnknownSnapshot(f"there is no snapshot {snapshot_id}, or no longer")
    return snapshot_id


@contextmanager
def submissions(table: Table, snapshot_id: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory in which ``submission`` is what the table held at that snapshot.

    DuckDB reads the Parquet files themselves, the fastest way that was measured; that is right because the table is
    copy-on-write and so has no delete files. A warehouse that is not a folder is read through Arrow.
    """
    scan = table.scan(snapshot_id=snapshot_id)
    paths = [local_path(task.file.file_path) for task in scan.plan_files()]
    with duckdb.connect() as connection:
        if paths and all(path is not None for path in paths):
            connection.read_parquet([path for path in paths if path], union_by_name=True).create_view("submission")
        else:
            connection.register("submission", scan.to_arrow())
        yield connection


def local_path(location: str) -> str | None:
    """Of a file's location; None if it is not on this machine."""
    parts = urlsplit(location)
    if parts.scheme == "":
        return location
    return unquote(parts.path) if parts.scheme == "file" else None


def versions(connection: duckdb.DuckDBPyConnection) -> Mapping[str, int]:
    """How many submissions answer each version of the questionnaire."""
    rows = connection.execute("select questionnaire, count(*) from submission group by questionnaire order by 1")
    return dict(rows.fetchall())
