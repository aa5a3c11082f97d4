"""A table that can be gone on with, whatever has happened to its files.

Kafka keeps every event that the table holds, so what is broken is not mended: the table goes back to the newest state of which
every file can be read whole, and what came after it is read again. Is there no such state, it is made anew from the first event.
"""

from collections.abc import Iterator

import structlog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io import load_file_io
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of
from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from survey.sink import files, snapshots
from survey.sink.files import BrokenError, Folder
from survey.sink.table import NAME, NAMESPACE, made

logger = structlog.get_logger(__name__)


class NotThereError(OSError):
    """The warehouse has not one file of a table that the catalog knows: it is not mounted, or it is another one."""


def recovered(catalog: SqlCatalog, sound: set[tuple[str, int]]) -> tuple[Table, list[BrokenError]]:
    """The table at a snapshot that can be read whole, and what was found broken on the way there.

    ``sound`` are files that need no look, with their size; those that were read are added.

    Raises:
        CommitFailedException: another sink has moved the table meanwhile, and may have removed what is missed here.
        NotThereError: nothing is there; that is waited for, not made anew.
        OSError: the warehouse does not answer.
    """
    pointer = _pointer(catalog)
    if pointer is None:
        return made(catalog), []
    table, found = _with_readable_metadata(catalog, pointer)
    if table is None:
        return _anew(catalog, pointer), found
    newest = table.current_snapshot()
    if newest is None:
        return table, found
    for snapshot in ancestors_of(newest, table.metadata):
        wrong = list(files.broken(table, snapshot, sound))
        for error in wrong:
            logger.critical(
                "a file of the warehouse is broken", file=error.path, how=error.how, snapshot=snapshot.snapshot_id
            )
        if not wrong:
            if snapshot is not newest:
                snapshots.roll_back(table, snapshot)
                logger.critical("went back to the last good snapshot", snapshot=snapshot.snapshot_id)
            return table, found
        found += wrong
    return _anew(catalog, table.metadata_location), found


def _with_readable_metadata(catalog: SqlCatalog, pointer: str) -> tuple[Table | None, list[BrokenError]]:
    """The table at the newest version whose metadata can be parsed; None if there is none."""
    io = load_file_io(catalog.properties, pointer)
    assert isinstance(io, PyArrowFileIO)  # noqa: S101 - for the type checker: it is what this environment has
    at = files.folder_of(io, pointer.rsplit("/metadata/", 1)[0])
    if next(at.contents(), None) is None:
        raise NotThereError(f"{at.path} has no file, and the catalog has a table there")
    found: list[BrokenError] = []
    for version in _versions(at, pointer):
        try:
            at.bytes_of(version)
            files.parsed(version, lambda at=version: FromInputFile.table_metadata(io.new_input(at)))
        except BrokenError as error:
            logger.critical("the table's metadata is broken", file=error.path, how=error.how)
            found.append(error)
            continue
        if version != pointer:
            _point_to(catalog, pointer, version)
            logger.critical("went back to an earlier version of the table", metadata=version)
        return made(catalog), found
    return None, found


def _versions(at: Folder, pointer: str) -> Iterator[str]:
    """The version that the catalog names, and then those beside it from the newest on."""
    yield pointer
    beside, _, current = pointer.rpartition("/")
    names = {info.base_name for info in at.contents() if info.base_name.endswith(".metadata.json")} - {current}
    yield from (f"{beside}/{name}" for name in sorted(names, reverse=True) if name < current)


def _pointer(catalog: SqlCatalog) -> str | None:
    with Session(catalog.engine) as session:
        return session.scalar(
            select(IcebergTables.metadata_location).where(
                IcebergTables.catalog_name == catalog.name,
                IcebergTables.table_namespace == NAMESPACE,
                IcebergTables.table_name == NAME[-1],
            )
        )


def _point_to(catalog: SqlCatalog, former: str, version: str) -> None:
    """Raises CommitFailedException if another sink has moved it meanwhile."""
    with Session(catalog.engine) as session:
        moved = session.execute(
            update(IcebergTables)
            .where(IcebergTables.catalog_name == catalog.name, IcebergTables.metadata_location == former)
            .values(metadata_location=version, previous_metadata_location=None)
        )
        assert isinstance(moved, CursorResult)  # noqa: S101 - for the type checker
        if moved.rowcount != 1:
            raise CommitFailedException("another sink has moved the table meanwhile")
        session.commit()


def _anew(catalog: SqlCatalog, former: str) -> Table:
    """Raises CommitFailedException if another sink has moved it meanwhile."""
    with Session(catalog.engine) as session:
        dropped = session.execute(
            delete(IcebergTables).where(
                IcebergTables.catalog_name == catalog.name, IcebergTables.metadata_location == former
            )
        )
        assert isinstance(dropped, CursorResult)  # noqa: S101 - for the type checker
        if dropped.rowcount != 1:
            raise CommitFailedException("another sink has moved the table meanwhile")
        session.commit()
    logger.critical("no state of the table can be read whole: it is made anew from the first event on")
    return made(catalog)
