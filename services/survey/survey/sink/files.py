"""The table's files in the warehouse: which ones it names, which of those are broken, and which may go.

A file is only ever written by a sink whose commit may still come. So one that no snapshot names goes when it is older than any
append takes; one that a snapshot named until it was forgotten goes at once, since no commit can name it again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs, parquet
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

T = TypeVar("T")


class BrokenError(Exception):
    """A file of the warehouse is missing, cut short, or not what it should be."""

    def __init__(self, path: str, how: str) -> None:
        super().__init__(f"{path} {how}")
        self.path = path
        self.how = how


@dataclass(frozen=True)
class Folder:
    """The table's place in a file system: paths in it have no scheme."""

    system: fs.FileSystem
    path: str

    def file(self, location: str) -> str:
        """The path of a file that the table names."""
        return PyArrowFileIO.parse_location(location)[2]

    def contents(self) -> Iterator[fs.FileInfo]:
        selector = fs.FileSelector(self.path, allow_not_found=True, recursive=True)
        return (info for info in self.system.get_file_info(selector) if info.type == fs.FileType.File)

    def bytes_of(self, location: str) -> bytes:
        """All of a file. Raises BrokenError if it is not there; what else goes wrong is no fault of the file's."""
        try:
            with self.system.open_input_file(self.file(location)) as file:
                return file.read()
        except FileNotFoundError:
            raise BrokenError(location, "is missing") from None


def folder_of(io: PyArrowFileIO, location: str) -> Folder:
    scheme, host, path = PyArrowFileIO.parse_location(location)
    return Folder(io.fs_by_scheme(scheme, host), path)


def folder(table: Table) -> Folder:
    assert isinstance(table.io, PyArrowFileIO)  # noqa: S101 - for the type checker: it is what this environment has
    return folder_of(table.io, table.location())


def named(table: Table) -> set[str]:
    """The paths of all files that are needed for any snapshot."""
    at = folder(table)
    found = {at.file(table.metadata_location), *(at.file(entry.metadata_file) for entry in table.metadata.metadata_log)}
    read: set[str] = set()
    for snapshot in table.snapshots():
        found.add(at.file(snapshot.manifest_list))
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in read:
                read.add(manifest.manifest_path)
                found.add(at.file(manifest.manifest_path))
                for entry in manifest.fetch_manifest_entry(table.io):
                    found.add(at.file(entry.data_file.file_path))
    return found


def sweep(table: Table, former: set[str], youngest: timedelta) -> list[datetime]:
    """Removes the files that no snapshot names: the ``former`` ones at once, others from that age on.

    Gives when those were written that are left for now.
    """
    at, needed, limit = folder(table), named(table), datetime.now(UTC) - youngest
    left: list[datetime] = []
    for info in at.contents():
        if info.path in needed:
            continue
        if info.path in former or info.mtime <= limit:
            at.system.delete_file(info.path)
        else:
            left.append(info.mtime)
    return left


def broken(table: Table, snapshot: Snapshot, sound: set[tuple[str, int]]) -> Iterator[BrokenError]:
    """The files that the snapshot needs and that cannot be read whole; ``sound`` gets those that can, with their size."""
    at = folder(table)
    try:
        at.bytes_of(snapshot.manifest_list)
        manifests = parsed(snapshot.manifest_list, lambda: snapshot.manifests(table.io))
    except BrokenError as error:
        yield error
        return
    for manifest in manifests:
        try:
            at.bytes_of(manifest.manifest_path)
            entries = parsed(manifest.manifest_path, lambda m=manifest: m.fetch_manifest_entry(table.io))
        except BrokenError as error:
            yield error
            continue
        for entry in entries:
            key = (entry.data_file.file_path, entry.data_file.file_size_in_bytes)
            if key in sound:
                continue
            try:
                _check(at, entry.data_file)
            except BrokenError as error:
                yield error
            else:
                sound.add(key)


def parsed(location: str, parse: Callable[[], T]) -> T:
    """What ``parse`` makes of the file.

    Raises:
        BrokenError: it is missing, or cannot be decoded.
        OSError: the file system's trouble, and no fault of the file's.
    """
    try:
        return parse()
    except FileNotFoundError:
        raise BrokenError(location, "is missing") from None
    except OSError:
        raise
    except Exception as error:
        raise BrokenError(location, f"cannot be parsed: {error!r:.200}") from error


def _check(at: Folder, file: DataFile) -> None:
    """Reads all of it: a file is small, and a cut or overwritten one is not always seen at its end."""
    content = at.bytes_of(file.file_path)
    if len(content) != file.file_size_in_bytes:
        raise BrokenError(file.file_path, f"has {len(content)} bytes, not {file.file_size_in_bytes}")
    try:
        rows = parquet.read_table(pa.BufferReader(content)).num_rows
    except Exception as error:
        raise BrokenError(file.file_path, f"cannot be read: {error!r:.200}") from error
    if rows != file.record_count:
        raise BrokenError(file.file_path, f"has {rows} rows, not {file.record_count}")
