"""The process that hands out the table's files: Arrow and Parquet over HTTP for analysts, whole or from where they left off."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from chassis.bounds import serving
from chassis.http import application, link_to_next
from chassis.identity import Caller, KeySource, Role, requires
from chassis.metrics import CONTENT_TYPE, Metrics
from chassis.problems import Problem
from chassis.settings import Proxies, keys_location
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import AfterValidator, BaseModel, Field
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from sqlalchemy.exc import OperationalError
from starlette.background import BackgroundTask

from survey.analysis.pull import CursorGone, appended
from survey.analysis.snapshot import UnknownSnapshot, snapshot_of
from survey.sink.settings import TableSettings
from survey.sink.table import catalog, opened

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
LISTED = 1_000

routes = APIRouter()


class FilesSettings(TableSettings):
    """What the process takes from the environment."""

    http_host: str = Field(default="127.0.0.1", description="address that HTTP listens on; 0.0.0.0 in a container")
    http_port: int = Field(default=8000, ge=0, le=65_535, description="port that HTTP listens on; 0 takes a free one")
    forwarded_allow_ips: Proxies = "127.0.0.1"
    jwks: Annotated[str, AfterValidator(keys_location)] = Field(
        description="public keys that tokens are verified with: a JWKS file's path, or its http(s) URL"
    )


class ListedSnapshot(BaseModel):
    snapshot_id: int
    records: int


def newest(request: Request) -> Table:
    """The table as it stands now."""
    try:
        return opened(request.app.state.catalog)
    except NoSuchTableError:
        raise Problem(404, "nothing_written", "The sink has not written anything yet") from None
    except OperationalError:
        raise Problem(503, "unavailable", "The table's catalog is away; try again", {"Retry-After": "2"}) from None


Analyst = Annotated[Caller, Depends(requires(Role.ANALYST))]
Newest = Annotated[Table, Depends(newest)]
After = Annotated[int | None, Query(ge=0, description="the snapshot that was read last; what came after it is given")]
Until = Annotated[
    int | None,
    Query(ge=0, description="the last snapshot to give, after which no page follows; the newest, if it is left out"),
]


@routes.get("/snapshots")
def snapshots(_caller: Analyst, table: Newest) -> list[ListedSnapshot]:
    """Those that can be read, newest first; the id of one fixes what an evaluation is made of."""
    ordered = sorted(table.snapshots(), key=lambda each: each.sequence_number or 0, reverse=True)
    return [
        ListedSnapshot(
            snapshot_id=each.snapshot_id,
            records=int(each.summary.additional_properties.get("total-records", 0)) if each.summary else 0,
        )
        for each in ordered[:LISTED]
    ]


@routes.get("/submissions.arrows", response_class=StreamingResponse)
def arrow(_caller: Analyst, table: Newest, request: Request, after: After = None, until: Until = None) -> Response:
    """An Arrow IPC stream; it is whole if it ends with the end-of-stream marker, which readers look for."""
    reader, last = _range(table, after, until)
    response = StreamingResponse(_stream(reader), media_type=ARROW)
    if until is None:
        link_to_next(request, response, after=last)
    return response


@routes.get("/submissions.parquet", response_class=FileResponse)
def parquet(_caller: Analyst, table: Newest, request: Request, after: After = None, until: Until = None) -> Response:
    """A Parquet file."""
    reader, last = _range(table, after, until)
    with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as file:
        path = Path(file.name)
    try:
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except BaseException:
        path.unlink()
        raise
    response = FileResponse(path, media_type=PARQUET, background=BackgroundTask(path.unlink))
    if until is None:
        link_to_next(request, response, after=last)
    return response


def _range(table: Table, after: int | None, until: int | None) -> tuple[pa.RecordBatchReader, int]:
    try:
        last = snapshot_of(table, until)
        return appended(table, after, last), last
    except UnknownSnapshot as error:
        raise Problem(404, "unknown_snapshot", str(error)) from None
    except CursorGone as error:
        raise Problem(410, "cursor_gone", str(error)) from None


class _Chunks:
    """Takes what an Arrow writer writes, until somebody fetches it."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        written, self._written = self._written, []
        return b"".join(written)


def _stream(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    chunks = _Chunks()
    with pa.ipc.new_stream(pa.PythonFile(chunks, "w"), reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            yield chunks.taken()
    yield chunks.taken()


def app(settings: FilesSettings) -> FastAPI:
    """The process's ASGI application."""
    metrics = Metrics("survey-files")
    probes = APIRouter(include_in_schema=False)

    @probes.get("/live")
    @probes.get("/ready")
    def live() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"state": "live"}

    @probes.get("/metrics")
    def told() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    made = application("survey files", (routes, probes), metrics)
    made.state.keys = KeySource(settings.jwks)
    made.state.catalog = catalog(settings)
    return made


def serve(settings: FilesSettings) -> None:
    """Until told to stop."""
    config = serving(app(settings), settings.http_host, settings.http_port, settings.forwarded_allow_ips)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run()
