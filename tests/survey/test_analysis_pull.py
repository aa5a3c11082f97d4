"""Parquet and Arrow from where a reader left off: nothing is skipped or repeated, whoever writes meanwhile."""

import io
import json
import random
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chassis.identity import Caller, Role, issue
from joserfc.jwk import OKPKey
from pydantic import SecretStr
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table
from sqlalchemy.exc import OperationalError
from survey.analysis.files import FilesSettings, app
from survey.sink.snapshots import compact
from survey.sink.table import NAME, catalog, made, opened

from tests.chassis_driver import Driver
from tests.survey.asked import arrow, submission

KEY = OKPKey.generate_key("Ed25519", {"kid": "files"})


def token(role: Role) -> dict[str, str]:
    caller = Caller(role, str(role), company_id=uuid4(), person_id=uuid4(), country="DE")
    return {"Authorization": f"Bearer {issue(KEY, caller, timedelta(hours=1))}"}


@pytest.fixture
def settings(one_survey: Driver, tmp_path: Path) -> FilesSettings:
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    url = one_survey.process.settings.database_url.get_secret_value()
    return FilesSettings.model_validate(
        {"catalog_url": url, "warehouse": str(tmp_path / "warehouse"), "jwks": str(keys)}
    )


@pytest.fixture
def table(settings: FilesSettings) -> Iterator[Table]:
    found = catalog(settings)
    yield made(found)
    found.drop_table(NAME)


@pytest.fixture
async def files(settings: FilesSettings) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app(settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://files", headers=token(Role.ANALYST)) as client:
        yield client


def test_the_catalog_takes_the_password_that_a_file_holds_just_then(settings: FilesSettings, tmp_path: Path):
    role, _, address = settings.catalog_url.get_secret_value().rpartition("@")
    name, _, password = role.rpartition(":")
    file = tmp_path / "password"
    file.write_text(password + "\n")
    url = SecretStr(f"{name}@{address}")
    found = catalog(settings.model_copy(update={"catalog_url": url, "catalog_password_file": file}))
    assert found.engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    found.engine.dispose()
    file.write_text("another")
    with pytest.raises(OperationalError, match="password"):
        found.list_namespaces()
    file.write_text(password + "\n")
    assert found.list_namespaces() == catalog(settings).list_namespaces()


class Reader:
    """Follows the links."""

    def __init__(self, files: httpx.AsyncClient, form: str) -> None:
        self.files = files
        self.form = form
        self.link = f"/submissions.{form}"
        self.read: list[str] = []

    async def go_on(self) -> list[str]:
        answer = await self.files.get(self.link)
        assert answer.status_code == 200, answer.text
        source = io.BytesIO(answer.content)
        new = pa.ipc.open_stream(source).read_all() if self.form == "arrows" else pq.read_table(source)
        self.link = answer.links["next"]["url"]
        records = new["record_id"].to_pylist()
        self.read += records
        return records


def ids(*numbers: int) -> list[str]:
    return [str(UUID(int=number)) for number in numbers]


def append(table: Table, *numbers: int) -> int:
    table.append(arrow(*[submission(number, "host", {"NEWPROD": "no"}) for number in numbers]))
    return table.metadata.current_snapshot_id or 0


@pytest.mark.parametrize("form", ["arrows", "parquet"])
async def test_a_reader_gets_the_whole_table_and_then_only_what_was_appended(files, table, form):
    append(table, 1, 2)
    reader = Reader(files, form)
    assert sorted(await reader.go_on()) == ids(1, 2)
    assert await reader.go_on() == []
    append(table, 3)
    append(table, 4)
    assert sorted(await reader.go_on()) == ids(3, 4)


async def test_answers_arrive_as_they_were_given(files, table):
    append(table, 7)
    answer = await files.get("/submissions.arrows")
    [row] = pa.ipc.open_stream(answer.content).read_all().to_pylist()
    assert row == submission(7, "host", {"NEWPROD": "no"})


async def test_a_compaction_gives_a_reader_nothing_twice(files, table):
    reader = Reader(files, "arrows")
    append(table, 0)
    await reader.go_on()
    for number in range(1, 30):
        append(table, number * 28)  # all of one month
    assert compact(table) > 0
    append(table, 1)
    assert sorted(await reader.go_on()) == sorted(ids(*(number * 28 for number in range(1, 30)), 1))
    assert len(set(reader.read)) == len(reader.read) == 31


async def test_a_reader_is_told_when_something_it_may_have_was_erased(files, table):
    append(table, 1, 2, 3)
    reader = Reader(files, "parquet")
    await reader.go_on()
    table.delete(EqualTo("record_id", ids(2)[0]))
    append(table, 4)
    answer = await files.get(reader.link)
    assert (answer.status_code, answer.json()["rule"]) == (410, "cursor_gone")
    assert sorted(await Reader(files, "parquet").go_on()) == ids(1, 3, 4)


async def test_a_reader_is_told_when_its_snapshot_has_expired(files, table):
    append(table, 1)
    reader = Reader(files, "arrows")
    await reader.go_on()
    former = table.metadata.current_snapshot_id
    append(table, 2)
    table.maintenance.expire_snapshots().by_id(former).commit()
    answer = await files.get(reader.link)
    assert (answer.status_code, answer.json()["rule"]) == (410, "cursor_gone")


async def test_an_older_snapshot_can_be_read_as_it_was(files, table):
    first = append(table, 1)
    append(table, 2)
    listed = (await files.get("/snapshots")).json()
    assert [each["records"] for each in listed] == [2, 1]
    assert listed[1]["snapshot_id"] == first
    answer = await files.get(f"/submissions.parquet?until={first}")
    assert "link" not in answer.headers, "the end that was asked for is reached"
    assert pq.read_table(io.BytesIO(answer.content))["record_id"].to_pylist() == ids(1)


async def test_nothing_is_skipped_or_repeated_while_others_append(files, settings, table):
    """Three writers whose commits get in each other's way; each looks again and appends anew, as the sink does."""
    append(table, 1_000)
    errors: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            source = random.Random(writer)
            for step in range(5):
                rows = range(writer * 100 + step * 10, writer * 100 + step * 10 + source.randrange(1, 4))
                while True:
                    try:
                        append(opened(catalog(settings)), *rows)
                        break
                    except CommitFailedException:
                        continue
                written.extend(rows)
        except BaseException as error:
            errors.append(error)

    written: list[int] = [1_000]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    reader = Reader(files, "arrows")
    for each in writers:
        each.start()
    while any(each.is_alive() for each in writers):
        await reader.go_on()
    for each in writers:
        each.join()
    await reader.go_on()
    assert errors == []
    assert sorted(reader.read) == sorted(ids(*written))


@pytest.mark.parametrize(("query", "status"), [("after=1", 410), ("until=1", 404), ("after=x", 422)])
async def test_a_snapshot_that_is_none_is_refused(files, table, query, status):
    append(table, 1)
    assert (await files.get(f"/submissions.arrows?{query}")).status_code == status


async def test_before_anything_was_written_there_is_nothing_to_read(files, table):
    assert (await files.get("/submissions.arrows")).status_code == 404


@pytest.mark.parametrize("path", ["/snapshots", "/submissions.arrows", "/submissions.parquet"])
async def test_the_files_are_for_analysts_only(files, path):
    for role in Role:
        if role is not Role.ANALYST:
            assert (await files.get(path, headers=token(role))).status_code == 403
    assert (await files.get(path, headers={"Authorization": ""})).status_code == 401
