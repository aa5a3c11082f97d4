"""What is public cannot be joined to the rest: not by an id, not by a time, not by an order, not by a trace."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

import pytest
from chassis.transaction import Transaction
from sojourn_contracts.survey import SurveySubmitted
from survey import store
from survey.release import Submission

from chassis import spans
from tests.chassis_driver import Driver
from tests.recorded import Recorded, attributes, ids
from tests.survey.story import NOON, SENDER_ANSWERS, completed, registered

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")


async def answered(survey: Driver, *numbers: int, answers: dict[str, str] = SENDER_ANSWERS, known: bool = True) -> None:
    """Exchanges complete, and their senders answer in this order; their companies are known, or not yet."""
    for number in numbers:
        event = completed(number)
        await survey.handle(event)
        if known:
            await survey.handle(registered(event.sender_id))
        token = survey.token("company", company_id=event.sender_id)
        [invited] = (await survey.http.get("/invitations", headers=token)).json()
        answer = await survey.http.post(
            f"/invitations/{invited['invitation_id']}/submission",
            json={"answers": answers},
            headers=token | {"Idempotency-Key": str(uuid4()), "X-Correlation-ID": str(UUID(int=number))},
        )
        assert answer.status_code == 201


async def released(survey: Driver) -> list[SurveySubmitted]:
    return [event for event in await survey.emitted() if isinstance(event, SurveySubmitted)]


async def everything_else(survey: Driver) -> str:
    """All text that the survey's schema holds, outside the outbox."""
    tables = await survey.rows(
        "select table_name from information_schema.tables where table_schema = 'survey' and table_type = 'BASE TABLE'"
    )
    kept = {row["table_name"] for row in tables} - {"outbox"}
    assert {"answer", "due", "inbox", "invitation", "released", "waiting"} < kept
    texts = [await survey.rows(f"select row.*::text as text from {table} as row") for table in sorted(kept)]
    return "\n".join(row["text"] for rows in texts for row in rows)


async def test_submissions_are_released_on_the_next_night_all_at_once(survey):
    await answered(survey, 1, 2, 3)
    await survey.run_due(datetime(2026, 11, 10, 23, 59, 59, tzinfo=UTC))
    assert await released(survey) == []
    await survey.run_due(datetime(2026, 11, 11, tzinfo=UTC))
    assert len(await released(survey)) == 3
    assert await survey.rows("select invitation_id from waiting") == []
    await survey.run_due(NOON + timedelta(days=5))
    assert len(await released(survey)) == 3


async def test_fewer_than_three_wait_until_there_are_more(survey):
    await answered(survey, 1, 2)
    await survey.run_due(NOON + timedelta(days=3))
    assert await released(survey) == []
    await answered(survey, 3)
    await survey.run_due(NOON + timedelta(days=4))
    assert len(await released(survey)) == 3


async def test_a_company_that_becomes_known_late_is_released_late(survey):
    await answered(survey, 1, known=False)
    await answered(survey, 2, 3, 4)
    await survey.run_due(NOON + timedelta(days=1))
    assert len(await released(survey)) == 3
    await survey.handle(registered(completed(1).sender_id, country="PL"))
    await answered(survey, 5, 6)
    await survey.run_due(NOON + timedelta(days=2))
    assert sorted(event.country for event in await released(survey)) == ["PL", *["PT"] * 5]


async def test_three_that_wait_for_one_company_are_released_when_it_is_known(survey):
    await answered(survey, 1, known=False)
    await answered(survey, 2, 3)
    await survey.run_due(NOON + timedelta(days=9))
    assert await released(survey) == []
    await survey.handle(registered(completed(1).sender_id))
    await survey.run_due(NOON + timedelta(days=10))
    assert len(await released(survey)) == 3


async def test_what_is_released_has_no_id_that_stands_elsewhere(survey):
    await answered(survey, 1, 2, 3)
    await survey.run_due(NOON + timedelta(days=1))
    rows = await survey.rows(
        "select event_id, subject, data, correlation_id, causation_id, traceparent from outbox"
        " where topic = 'SurveySubmitted'"
    )
    asked = [notice.model_dump_json() for notice in await survey.notices()]
    assert len(asked) == 9
    elsewhere = "\n".join([await everything_else(survey), *asked])
    assert len(rows) == 3
    for row in rows:
        assert [row["correlation_id"], row["causation_id"], row["traceparent"]] == [None] * 3
        assert row["event_id"].version == UUID(str(row["subject"])).version == 4
        data = json.loads(row["data"])
        clusters = [data.pop("exchange_cluster"), data.pop("company_cluster")]
        assert set(_UUID.findall(json.dumps(data))) == {str(row["subject"])}
        for public in (str(row["event_id"]), str(row["subject"]), row["subject"].hex, *clusters):
            assert public not in elsewhere


async def test_a_release_has_the_day_as_its_finest_time(survey):
    await answered(survey, 1, 2, 3)
    await survey.run_due(datetime(2026, 11, 11, 7, 31, 12, tzinfo=UTC))
    rows = await survey.rows("select time from outbox where topic = 'SurveySubmitted'")
    assert {row["time"] for row in rows} == {datetime(2026, 11, 11, tzinfo=UTC)}
    assert {event.released_on.isoformat() for event in await released(survey)} == {"2026-11-11"}


async def test_the_note_for_a_release_does_not_lead_back_to_a_submission(survey):
    await answered(survey, 1)
    [note] = await survey.rows("select correlation_id, causation_id, traceparent from due where kind = 'release'")
    assert tuple(note) == (None, None, None)


async def test_nothing_links_a_released_answer_to_its_invitation(survey):
    await answered(survey, 1, 2, 3)
    await survey.run_due(NOON + timedelta(days=1))
    columns = await survey.rows("select column_name from information_schema.columns where table_name = 'released'")
    assert {row["column_name"] for row in columns} == {"questionnaire", "party", "wave", "answers"}


async def test_no_span_of_the_release_leads_back_to_a_submission(survey, recorded: Recorded):
    """Although invitations close in the same batch, whose work is linked."""
    await answered(survey, 1, 2, 3)
    await survey.handle(completed(4))
    await survey.run_due(NOON + timedelta(days=90))
    rows = await survey.rows("select topic, traceparent, event_id, subject from outbox where topic = 'SurveySubmitted'")
    async with spans.publishing((row["topic"], row["traceparent"]) for row in rows):
        pass

    release, published = recorded.one("due release"), recorded.one("publish SurveySubmitted")
    assert len(recorded.named("due close")) == 9
    assert len(recorded.named("POST /invitations/{invitation_id}/submission")) == 3
    traces = Counter(ids(span).trace_id for span in recorded.spans)
    for span in (release, published):
        assert (span.parent, span.links) == (None, ())
        assert traces[ids(span).trace_id] == 1, "nothing else is in its trace"
    assert attributes(release) == {}
    assert not recorded.named("emit SurveySubmitted")
    for span in recorded.spans:
        assert not set(_UUID.findall(span.to_json())) & {
            str(row[name]) for row in rows for name in ("event_id", "subject")
        }
        assert not span.links


async def test_a_release_that_fails_tells_no_more(survey, recorded: Recorded, monkeypatch: pytest.MonkeyPatch):
    async def fail(tx: Transaction, ready: list[Submission]) -> None:
        raise ValueError(f"invitations {[submission.invitation.invitation_id for submission in ready]}")

    monkeypatch.setattr(store, "move_to_released", fail)
    await answered(survey, 1, 2, 3)
    await survey.run_due(NOON + timedelta(days=1))
    failed = recorded.named("due release")
    assert {attributes(span)["error.type"] for span in failed} == {"ValueError"}
    for span in failed:
        assert (span.parent, span.links) == (None, ())
        assert not set(_UUID.findall(span.to_json())) & set(_UUID.findall(await everything_else(survey)))


async def test_answers_are_released_in_an_order_that_tells_nothing(survey):
    """Neither as they came nor by their invitations; by chance, that happens once in 20! times."""
    numbers = list(range(1, 21))
    marks = {number: {"OVERALL": str(number // 5 + 1), "BURDEN": str(number % 5 + 1)} for number in numbers}
    for number in numbers:
        await answered(survey, number, answers=SENDER_ANSWERS | marks[number])
    by_invitation = sorted(numbers, key=lambda number: uuid5(completed(number).exchange_id, "sender/1"))
    await survey.run_due(NOON + timedelta(days=1))

    def order(sets_of_answers: list[dict[str, str]]) -> list[int]:
        return [number for each in sets_of_answers for number in numbers if marks[number].items() <= each.items()]

    gone = order([event.answers for event in await released(survey)])
    kept = order([json.loads(row["answers"]) for row in await survey.rows("select answers from released")])
    assert sorted(gone) == numbers
    assert gone not in (numbers, by_invitation)
    assert kept == gone


async def test_clusters_hold_within_a_programme_year_and_not_across(survey):
    sender = uuid4()
    for number, year in ((1, 2026), (2, 2026), (3, 2027)):
        moved = {"sender_id": sender, "changed_at": datetime(year, 11, 9, 9, tzinfo=UTC)}
        await survey.handle(completed(number).model_copy(update=moved))
    await survey.handle(registered(sender))
    await survey.rows("insert into waiting select invitation_id, '{}' from invitation where party = 'sender'")
    await survey.rows("update invitation set state = 'submitted' where party = 'sender'")
    await survey.rows(
        "insert into due (id, kind, subject, at, data) values (gen_random_uuid(), 'release', 'x', now(), '{}')"
    )
    await survey.run_due(datetime(2028, 1, 1, tzinfo=UTC))
    events = await released(survey)
    assert len({event.exchange_cluster for event in events}) == 3
    companies = [event.company_cluster for event in events]
    assert sorted(companies.count(each) for each in set(companies)) == [1, 2]
