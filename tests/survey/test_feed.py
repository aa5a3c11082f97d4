"""Released submissions over HTTP: whoever follows the cursors skips nothing and gets nothing twice."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from chassis.identity import Role
from chassis.lease import Lease
from chassis.relay import MOVE
from chassis.transaction import UNLINKED
from sojourn_contracts.survey import SurveySubmitted

from tests.chassis_driver import Driver
from tests.survey.story import COMPLETED, example

RECORD = example(SurveySubmitted)


def record() -> SurveySubmitted:
    return RECORD.model_copy(update={"record_id": uuid4()})


@pytest.fixture
async def lease(survey: Driver) -> AsyncIterator[Lease]:
    held = Lease(survey.process.pool, "relay", 60)
    assert await held.acquire()
    yield held
    await held.release()


async def move(survey: Driver, lease: Lease, limit: int = 1_000) -> int:
    return len(await survey.process.pool.fetch(MOVE, lease.holder, lease.epoch, limit))


async def emit(survey: Driver, *records: SurveySubmitted) -> None:
    async with survey.process.open_transaction(UNLINKED) as tx:
        tx.emit_unlinked(*records)


class Reader:
    """Follows the links."""

    def __init__(self, survey: Driver, limit: int = 1_000) -> None:
        self.survey = survey
        self.link = f"/submissions?limit={limit}"
        self.lines: list[dict] = []

    async def read(self) -> int:
        answer = await self.survey.http.get(self.link, headers=self.survey.token(Role.ANALYST))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        self.link = answer.links["next"]["url"]
        page = [json.loads(line) for line in answer.text.splitlines()]
        self.lines += page
        return len(page)


async def test_a_reader_gets_what_was_released_and_later_only_what_is_new(survey, lease):
    first, second = record(), record()
    reader = Reader(survey)
    assert await reader.read() == 0
    await emit(survey, first)
    await move(survey, lease)
    assert await reader.read() == 1
    assert await reader.read() == 0
    await survey.handle(COMPLETED)  # whose notices stand in the log between the records
    await emit(survey, second)
    await move(survey, lease)
    assert await reader.read() == 1
    events = [{key: line[key] for key in line.keys() - {"cursor", "event_id"}} for line in reader.lines]
    assert events == [first.model_dump(mode="json"), second.model_dump(mode="json")]
    assert [line["cursor"] for line in reader.lines] == ["1-1", "1-2"]


async def test_a_reader_that_broke_off_goes_on_after_the_last_line_it_has(survey, lease):
    records = [record() for _ in range(5)]
    await emit(survey, *records)
    await move(survey, lease)
    reader = Reader(survey)
    await reader.read()
    broken = Reader(survey)
    broken.link = f"/submissions?after={reader.lines[2]['cursor']}"
    await broken.read()
    assert [line["record_id"] for line in broken.lines] == [str(each.record_id) for each in records[3:]]


async def test_nothing_is_skipped_or_repeated_while_others_write(survey, lease):
    """Writers commit in another order than they began, some give up, and the relay moves a few at a time."""
    source, committed = random.Random(7), set[UUID]()

    async def writer() -> None:
        for _ in range(12):
            records = [record() for _ in range(source.randrange(1, 4))]
            gives_up, pause = source.random() < 0.2, source.choice((0, 0, 0.005, 0.02))
            try:
                async with survey.process.open_transaction(UNLINKED) as tx:
                    tx.emit_unlinked(*records)
                    await tx.flush()
                    tx.effects.events.clear()
                    await tx.connection.execute("select pg_sleep($1)", pause)
                    if gives_up:
                        raise InterruptedError
            except InterruptedError:
                continue
            committed.update(each.record_id for each in records)

    async def mover(writers: asyncio.Future) -> None:
        while not writers.done() or await move(survey, lease, 3):
            await move(survey, lease, 3)

    async def follow(reader: Reader, until: asyncio.Future) -> None:
        while not until.done() or await reader.read():
            await reader.read()

    writers = asyncio.gather(*(writer() for _ in range(4)))
    moving = asyncio.ensure_future(mover(writers))
    readers = [Reader(survey, 2), Reader(survey, 100)]
    await asyncio.gather(writers, moving, *(follow(reader, moving) for reader in readers))
    assert committed
    for reader in readers:
        assert len(reader.lines) == len(committed)
        assert {UUID(line["record_id"]) for line in reader.lines} == committed


async def test_an_erased_record_is_said_to_be_forgotten(survey, lease):
    kept, gone = record(), record()
    await emit(survey, kept, gone)
    await move(survey, lease)
    reader = Reader(survey)
    await reader.read()
    async with survey.process.open_transaction(UNLINKED) as tx:
        tx.erase(SurveySubmitted, gone.record_id)
    await move(survey, lease)
    await survey.run_due()
    await reader.read()
    assert {key: reader.lines[-1][key] for key in ("record_id", "erased")} == {
        "record_id": str(gone.record_id),
        "erased": True,
    }
    afresh = Reader(survey)
    await afresh.read()
    assert [line.get("erased", False) for line in afresh.lines] == [False, True, True]
    assert str(gone.record_id) in {line["record_id"] for line in afresh.lines if "erased" in line}


async def test_a_cursor_of_a_log_that_was_restored_since_is_refused(survey, lease):
    await emit(survey, record(), record())
    await move(survey, lease)
    reader = Reader(survey)
    await reader.read()
    async with survey.process.pool.acquire() as connection:
        await connection.execute("delete from event_log where sequence = 2; update log_generation set generation = 2")
    try:
        assert await status(survey, reader.link) == (410, "cursor_gone")
        await emit(survey, record(), record())
        await move(survey, lease)
        assert await status(survey, reader.link) == (410, "cursor_gone")
        before = Reader(survey)
        before.link = "/submissions?after=1-1"
        assert await before.read() == 2
        assert [line["cursor"] for line in before.lines] == ["2-2", "2-3"]
    finally:
        async with survey.process.pool.acquire() as connection:
            await connection.execute("update log_generation set generation = 1")


async def status(survey: Driver, link: str) -> tuple[int, str]:
    answer = await survey.http.get(link, headers=survey.token(Role.ANALYST))
    return answer.status_code, answer.json()["rule"]


@pytest.mark.parametrize("query", ["after=7", "after=1-x", "after=-1-2", "limit=0", "limit=10001"])
async def test_a_cursor_that_is_none_is_refused_with_what_is_allowed(survey, query):
    answer = await survey.http.get(f"/submissions?{query}", headers=survey.token(Role.ANALYST))
    [error] = answer.json()["errors"]
    assert answer.status_code == 422
    assert error["path"] == f"query.{query.partition('=')[0]}"
    assert error["allowed"]


@pytest.mark.parametrize(("role", "code"), [("evaluator", 403), ("company", 403), ("traveller", 403), (None, 401)])
async def test_records_are_for_those_only_who_may_read_their_topic(survey, role, code):
    headers = survey.token(role, company_id=uuid4(), person_id=uuid4()) if role else {}
    assert (await survey.http.get("/submissions", headers=headers)).status_code == code


@pytest.mark.parametrize("path", ["/events", "/events/snapshot"])
async def test_cursors_of_records_do_not_tell_how_much_else_went_out_between_them(survey, lease, path):
    """Positions of the log would: they are shared with notices, reminders and erasures."""
    await emit(survey, record())
    await survey.handle(COMPLETED)
    await move(survey, lease)
    await emit(survey, record())
    await move(survey, lease)
    [notices] = await survey.rows("select count(*) from event_log where topic <> 'SurveySubmitted'")
    assert notices["count"]
    for role, scopes in ((Role.ANALYST, []), (Role.OPERATOR, []), (Role.SUBSCRIBER, ["events:SurveySubmitted"])):
        answer = await survey.http.get(f"{path}?after=1-1", headers=survey.token(role, scopes=scopes))
        assert [int(event["sequence"]) for event in answer.json()] == [2]
        assert answer.links["next"]["url"] == "/events?after=1-2"
