"""Drafts, declined invitations, later waves, languages and texts over HTTP, with all that is stored."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from chassis.identity import Role
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.exchange import ExchangeCompleted
from sojourn_contracts.survey import SurveySubmitted
from sojourn_contracts.vocabulary import Party
from survey.questionnaires.published import newest

from tests.chassis_driver import Driver
from tests.survey.story import (
    COMPLETED,
    EXCHANGE,
    HOST,
    HOST_ANSWERS,
    HOST_REGISTERED,
    NOON,
    SENDER,
    SENDER_ANSWERS,
    SENDER_REGISTERED,
    TRAVELLER,
    TRAVELLER_ANSWERS,
    completed,
    registered,
)

LATER = datetime(2027, 5, 8, tzinfo=UTC)
"""Six months after the last day of the stay."""
LATER_ANSWERS = {"XBORDER": "4", "NEWPROD": "yes", "OVERALL": "5"}
SECRET = "Ask for Anna, she has the keys."


def caller(survey: Driver, who: UUID) -> dict[str, str]:
    if who == TRAVELLER:
        return survey.token(Role.TRAVELLER, company_id=SENDER, person_id=TRAVELLER)
    return survey.token(Role.COMPANY, company_id=who)


async def invited(survey: Driver, who: UUID, wave: int = 1) -> str:
    """The path of the invitation."""
    answer = await survey.http.get("/invitations", headers=caller(survey, who))
    [id_] = [each["invitation_id"] for each in answer.json() if each["wave"] == wave]
    return f"/invitations/{id_}"


async def seen(survey: Driver, who: UUID, wave: int = 1) -> dict:
    return (await survey.http.get(await invited(survey, who, wave), headers=caller(survey, who))).json()


async def draft(survey: Driver, who: UUID, answers: object, *, by: UUID | None = None) -> httpx.Response:
    path = await invited(survey, who)
    return await survey.http.put(f"{path}/draft", json={"answers": answers}, headers=caller(survey, by or who))


async def submit(survey: Driver, who: UUID, answers: object, wave: int = 1) -> httpx.Response:
    path = await invited(survey, who, wave)
    headers = caller(survey, who) | {"Idempotency-Key": str(uuid4())}
    return await survey.http.post(f"{path}/submission", json={"answers": answers}, headers=headers)


async def decline(survey: Driver, who: UUID, *, by: UUID | None = None) -> httpx.Response:
    return await survey.http.post(f"{await invited(survey, who)}/decline", headers=caller(survey, by or who))


async def remarks(survey: Driver, query: str = "") -> list[dict]:
    answer = await survey.http.get(f"/remarks{query}", headers=survey.token(Role.EVALUATOR))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored(survey: Driver) -> dict[str, int]:
    rows = await survey.rows(
        "select (select count(*) from draft) as draft, (select count(*) from waiting) as waiting,"
        " (select count(*) from remark) as remark, (select count(*) from invitation where state <> 'open') as ended"
    )
    return {name: number for name, number in rows[0].items() if number}


async def test_a_draft_is_kept_as_it_was_saved_last(survey):
    await survey.handle(COMPLETED)
    for answers in ({"HOST_MATCH": "4"}, {"XBORDER": "98", "REMARKS": SECRET}):
        assert (await draft(survey, HOST, answers)).status_code == 204
        assert (await seen(survey, HOST))["draft"] == answers
    assert (await seen(survey, SENDER))["draft"] == {}
    assert await stored(survey) == {"draft": 1}


async def test_a_draft_goes_once_it_is_submitted_and_what_is_submitted_counts(survey):
    await survey.handle(COMPLETED)
    await draft(survey, HOST, {"HOST_MATCH": "1"})
    assert (await submit(survey, HOST, HOST_ANSWERS)).status_code == 201
    assert ((await seen(survey, HOST))["draft"], await stored(survey)) == ({}, {"waiting": 1, "ended": 1})
    [row] = await survey.rows("select answers->>'HOST_MATCH' as answer from waiting")
    assert row["answer"] == HOST_ANSWERS["HOST_MATCH"]
    refused = await draft(survey, HOST, {"HOST_MATCH": "1"})
    assert (refused.status_code, refused.json()["rule"]) == (409, "already_submitted")
    assert refused.json()["questions"] == "HOST_MATCH"


async def test_a_draft_goes_when_its_invitation_closes(survey):
    await survey.handle(COMPLETED)
    await draft(survey, HOST, {"HOST_MATCH": "1"})
    await survey.run_due(COMPLETED.changed_at + timedelta(days=60))
    assert await stored(survey) == {"ended": 3}
    refused = await draft(survey, HOST, {"HOST_MATCH": "1"})
    assert (refused.status_code, refused.json()["rule"]) == (409, "invitation_closed")


async def test_a_draft_with_a_wrong_answer_is_refused_whole(survey):
    await survey.handle(COMPLETED)
    answer = await draft(survey, HOST, {"HOST_MATCH": "6", "SEND_MATCH": "1", "XBORDER": "4"})
    assert answer.status_code == 422
    assert [each["path"] for each in answer.json()["errors"]] == ["answers.HOST_MATCH", "answers.SEND_MATCH"]
    assert await stored(survey) == {}


@pytest.mark.parametrize("stranger", [SENDER, TRAVELLER, uuid4()])
async def test_an_invitation_is_seen_drafted_and_declined_by_the_invited_party_alone(survey, stranger):
    await survey.handle(COMPLETED)
    await draft(survey, HOST, {"HOST_MATCH": "4"})
    look = await survey.http.get(await invited(survey, HOST), headers=caller(survey, stranger))
    answers = [look, await draft(survey, HOST, {}, by=stranger), await decline(survey, HOST, by=stranger)]
    assert {(each.status_code, each.json()["rule"]) for each in answers} == {(403, "not_invited")}
    assert "HOST_MATCH" not in look.text
    assert (await seen(survey, HOST))["draft"] == {"HOST_MATCH": "4"}


async def test_an_unknown_invitation_is_not_found(survey):
    answer = await survey.http.get(f"/invitations/{uuid4()}", headers=caller(survey, HOST))
    assert (answer.status_code, answer.json()["rule"]) == (404, "unknown_invitation")


async def test_who_declines_is_reminded_of_nothing_and_may_say_so_again(survey):
    await survey.handle(COMPLETED)
    await draft(survey, HOST, {"HOST_MATCH": "4"})
    assert [(await decline(survey, HOST)).status_code for _ in range(2)] == [204, 204]
    assert (await seen(survey, HOST))["state"] == "declined"
    assert await stored(survey) == {"ended": 1}
    refused = await submit(survey, HOST, HOST_ANSWERS)
    assert (refused.status_code, refused.json()["rule"]) == (409, "invitation_declined")
    assert refused.json()["questions"] == ", ".join(HOST_ANSWERS)
    await survey.run_due(NOON + timedelta(days=20))
    reminded = {each.recipient_id for each in await survey.notices() if each.template == "survey_reminder"}
    assert reminded == {SENDER, TRAVELLER}


async def test_what_was_submitted_or_is_closed_cannot_be_declined(survey):
    await survey.handle(COMPLETED)
    await submit(survey, HOST, HOST_ANSWERS)
    assert (await decline(survey, HOST)).json()["rule"] == "already_submitted"
    survey.clock.now_is(COMPLETED.changed_at + timedelta(days=60))
    assert (await decline(survey, SENDER)).json()["rule"] == "invitation_closed"


async def test_a_routed_question_is_refused_from_whom_it_is_not_asked(survey):
    await survey.handle(COMPLETED)
    answer = await submit(survey, HOST, HOST_ANSWERS | {"COSTS": "no", "COSTS_AMOUNT": "to_100"})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["path"], error["allowed"]) == ("answers.COSTS_AMOUNT", "COSTS: yes")
    assert await stored(survey) == {}
    answers = HOST_ANSWERS | {"COSTS": "yes", "COSTS_AMOUNT": "97", "DURATION": "97"}
    assert (await submit(survey, HOST, answers)).status_code == 201


async def test_responses_tell_invited_started_complete_and_declined_by_party_and_wave_also_of_who_is_erased(survey):
    await survey.handle(COMPLETED)
    await draft(survey, SENDER, {"SEND_MATCH": "4"})
    await submit(survey, HOST, HOST_ANSWERS)
    await decline(survey, TRAVELLER)

    async def responses() -> dict[str, tuple[int, ...]]:
        evaluation = (await survey.http.get("/evaluation", headers=survey.token(Role.ANALYST))).json()
        found = evaluation["programme"]["responses"]
        names = ("wave", "invited", "started", "complete", "declined")
        return {each["party"]: tuple(each[name] for name in names) for each in found}

    expected = {"sender": (1, 1, 1, 0, 0), "host": (1, 1, 1, 1, 0), "traveller": (1, 1, 0, 0, 1)}
    assert await responses() == expected
    await survey.erase(ExchangeCompleted, EXCHANGE)
    assert await survey.rows("select invitation_id from invitation") == []
    assert await responses() == expected


async def test_six_months_after_the_stay_everybody_is_asked_what_came_of_it(survey):
    await survey.handle(SENDER_REGISTERED, HOST_REGISTERED, COMPLETED)
    for who, answers in ((SENDER, SENDER_ANSWERS), (HOST, HOST_ANSWERS), (TRAVELLER, TRAVELLER_ANSWERS)):
        await submit(survey, who, answers)
    await survey.run_due(LATER - timedelta(seconds=1))
    assert len(await survey.rows("select from invitation")) == 3
    await survey.run_due(LATER)
    asked = await seen(survey, HOST, wave=2)
    assert (asked["state"], asked["closes_at"]) == ("open", "2027-07-07T00:00:00Z")
    texts = {each["code"]: each["text"] for each in asked["questions"]}
    assert texts["NEWPROD"] == "Did you introduce new products or services thanks to the exchange?"
    assert "HOST_MATCH" not in texts
    for who, answers in (
        (SENDER, LATER_ANSWERS),
        (HOST, LATER_ANSWERS),
        (TRAVELLER, {"EMP_PROFDEV": "4", "OVERALL": "4"}),
    ):
        assert (await submit(survey, who, answers, wave=2)).status_code == 201
    await survey.run_due(LATER + timedelta(days=1))
    released = [event for event in await survey.emitted() if isinstance(event, SurveySubmitted)]
    assert sorted(event.wave for event in released) == [1, 1, 1, 2, 2, 2]
    assert len({event.exchange_cluster for event in released}) == 1, "both waves tell of the same exchange"


async def test_a_repeated_or_late_second_wave_asks_nobody_twice(survey):
    await survey.handle(COMPLETED)
    await survey.run_due(LATER + timedelta(days=3))
    await survey.rows(
        "insert into due (id, kind, subject, at, data) values (gen_random_uuid(), 'invite_again', $1, 'epoch', '{}')",
        str(EXCHANGE),
    )
    await survey.run_due()
    rows = await survey.rows("select distinct closes_at from invitation where wave = 2")
    assert [row["closes_at"] for row in rows] == [LATER + timedelta(days=63)]
    assert len(await survey.rows("select from invitation where wave = 2")) == 3


async def test_of_an_erased_exchange_nobody_is_asked_later(survey):
    await survey.handle(COMPLETED)
    await survey.erase(CompanyRegistered, SENDER)
    await survey.run_due(LATER)
    assert await survey.rows("select from invitation") == []


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.5", "de"),
        ("", "pt;q=1.0, fr;q=0.8, it;q=0.9", "it"),
        ("", "de;q=0, fr;q=x, pt", "en"),
        ("?language=fr", "de", "fr"),
    ],
)
async def test_questions_come_in_the_readers_language(survey, query, accepted, language):
    await survey.handle(COMPLETED)
    answer = await survey.http.get(f"/invitations{query}", headers=caller(survey, HOST) | {"Accept-Language": accepted})
    asked = newest().asked(Party.HOST, 1)
    [found] = answer.json()
    assert answer.headers["Content-Language"] == language
    assert [each["text"] for each in found["questions"]] == [each.texts[language] for each in asked]
    assert found["questions"][0]["answers"]["97"] == asked[0].codes["97"][language]


async def test_a_language_that_we_do_not_have_cannot_be_asked_for(survey):
    answer = await survey.http.get("/invitations?language=pt", headers=caller(survey, HOST))
    assert answer.status_code == 422


async def test_an_invitation_of_a_questionnaire_that_is_not_known_yet_is_answered_later(survey):
    await survey.handle(COMPLETED)
    path = await invited(survey, HOST)
    await survey.rows("update invitation set questionnaire = '2099.1'")
    headers = caller(survey, HOST) | {"Idempotency-Key": str(uuid4())}
    answer = await survey.http.post(f"{path}/submission", json={"answers": HOST_ANSWERS}, headers=headers)
    assert (answer.status_code, answer.json()["rule"]) == (503, "unknown_questionnaire")
    assert await stored(survey) == {}


async def test_a_text_is_for_evaluators_from_the_next_month_on_and_in_no_event(survey):
    await survey.handle(SENDER_REGISTERED, HOST_REGISTERED, COMPLETED)
    await submit(survey, SENDER, SENDER_ANSWERS)
    await submit(survey, TRAVELLER, TRAVELLER_ANSWERS)
    await submit(survey, HOST, HOST_ANSWERS | {"REMARKS": f"  {SECRET} "})
    await survey.run_due(datetime(2026, 11, 30, 23, tzinfo=UTC))
    assert await remarks(survey) == []
    await survey.run_due(datetime(2026, 12, 1, tzinfo=UTC))
    [found] = await remarks(survey)
    assert found.pop("remark_id")
    assert found == {"questionnaire": "2026.1", "party": "host", "wave": 1, "question": "REMARKS", "text": SECRET}
    outside = [row["data"] for row in await survey.rows("select data from outbox")]
    outside += [row["answers"] for row in await survey.rows("select answers from released")]
    assert len([text for text in outside if "XBORDER" in text]) == 4
    assert not [text for text in outside if "Anna" in text or "REMARKS" in text]
    kept = await survey.rows("select body::text from answer union all select data::text from due")
    assert not [row for row in kept if "Anna" in row["body"]]


async def test_a_text_shares_no_id_and_no_day_with_what_is_released(survey):
    """An evaluator who holds all records: neither an id, nor an order, nor a day leads from a text to its record."""
    for number in range(1, 13):
        event = completed(number)
        await survey.handle(event, registered(event.sender_id))
        token = survey.token(Role.COMPANY, company_id=event.sender_id)
        [asked] = (await survey.http.get("/invitations", headers=token)).json()
        await survey.http.post(
            f"/invitations/{asked['invitation_id']}/submission",
            json={"answers": SENDER_ANSWERS | {"REMARKS": f"text {number}"}},
            headers=token | {"Idempotency-Key": str(uuid4())},
        )
        survey.clock.now_is(NOON + timedelta(days=number // 4))
    await survey.run_due(datetime(2026, 12, 1, tzinfo=UTC))
    records = "\n".join(each.model_dump_json() for each in await survey.emitted() if isinstance(each, SurveySubmitted))
    assert records.count("record_id") == 12
    rows = await survey.rows("select remark_id, invitation_id, readable_on from remark")
    assert {row["readable_on"] for row in rows} == {date(2026, 12, 1)}
    for row in rows:
        assert str(row["remark_id"]) not in records
        assert str(row["invitation_id"]) not in records
    order = [int(each["text"].split()[1]) for each in await remarks(survey)]
    assert sorted(order) == list(range(1, 13))
    assert order != sorted(order), "by chance once in 12! times"


async def test_texts_come_in_pages_by_party_and_wave(survey):
    await survey.handle(COMPLETED)
    for who, answers in ((SENDER, SENDER_ANSWERS), (HOST, HOST_ANSWERS), (TRAVELLER, TRAVELLER_ANSWERS)):
        await submit(survey, who, answers | {"REMARKS": str(who)})
    await survey.run_due(NOON + timedelta(days=40))
    whole = await remarks(survey)
    assert len(whole) == 3
    paged, query = list[dict](), "?limit=2"
    while query:
        answer = await survey.http.get(f"/remarks{query}", headers=survey.token(Role.EVALUATOR))
        paged += answer.json()
        following = answer.links.get("next", {}).get("url", "")
        query = f"?{following.partition('?')[2]}" if following else ""
    assert paged == whole
    assert [each["text"] for each in await remarks(survey, "?party=host&wave=1")] == [str(HOST)]
    assert await remarks(survey, "?wave=2") == []


@pytest.mark.parametrize("erased", [SENDER, HOST])
async def test_a_text_and_a_draft_go_with_who_gave_them(survey, erased):
    await survey.handle(COMPLETED)
    await submit(survey, SENDER, SENDER_ANSWERS | {"REMARKS": SECRET})
    await draft(survey, HOST, {"REMARKS": SECRET})
    await survey.erase(CompanyRegistered, erased)
    assert await stored(survey) == {}
    await survey.run_due(NOON + timedelta(days=40))
    assert await remarks(survey) == []


@pytest.mark.parametrize("text", ["", "   ", "a\u0000b", "x" * 4_001, "\ud800"])
async def test_what_is_no_text_is_refused(survey, text):
    await survey.handle(COMPLETED)
    path = await invited(survey, HOST)
    headers = caller(survey, HOST) | {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
    body = json.dumps({"answers": HOST_ANSWERS | {"REMARKS": text}})
    answer = await survey.http.post(f"{path}/submission", content=body, headers=headers)
    assert (answer.status_code, [each["path"] for each in answer.json()["errors"]]) == (422, ["answers.REMARKS"])
    assert await stored(survey) == {}


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.EVALUATOR}))
async def test_nobody_but_evaluators_reads_texts(survey, role):
    token = survey.token(role, company_id=uuid4(), person_id=uuid4(), country="DE")
    assert (await survey.http.get("/remarks", headers=token)).status_code == 403


async def test_answers_side_by_side_ask_for_one_release_and_none_is_left_out(survey):
    """A release that is due waits for who is answering meanwhile."""
    for number in range(1, 4):
        event = completed(number)
        await survey.handle(event, registered(event.sender_id))
    for number in range(1, 3):
        token = survey.token(Role.COMPANY, company_id=completed(number).sender_id)
        [asked] = (await survey.http.get("/invitations", headers=token)).json()
        await survey.http.post(
            f"/invitations/{asked['invitation_id']}/submission",
            json={"answers": SENDER_ANSWERS},
            headers=token | {"Idempotency-Key": str(uuid4())},
        )
    assert len(await survey.rows("select from due where kind = 'release'")) == 1
    async with survey.process.pool.acquire() as other, other.transaction():
        await other.execute("select from due where kind = 'release' for key share")
        await other.execute(
            "insert into waiting select invitation_id, $1 from invitation where company_id = $2 and party = 'sender'",
            '{"OVERALL": "5"}',
            completed(3).sender_id,
        )
        survey.clock.now_is(NOON + timedelta(days=1))
        await survey.process.due.round()
        assert len(await survey.rows("select from waiting")) == 2, "nothing is released while somebody answers"
    await survey.run_due()
    assert len([each for each in await survey.emitted() if isinstance(each, SurveySubmitted)]) == 3


async def test_questionnaires_are_public(survey):
    listed = (await survey.http.get("/questionnaires")).json()
    assert [each["version"] for each in listed] == ["2026.1"]
    answer = await survey.http.get("/questionnaires/2026.1")
    assert "immutable" in answer.headers["Cache-Control"]
    found = answer.json()
    assert len(found["questions"]) == len(newest().questions)
    question = next(each for each in found["questions"] if each["code"] == "COSTS_AMOUNT")
    assert question["asked_if"] == {"question": "COSTS", "answers": ["yes"]}
    assert question["missing"] == ["97", "98", "99"]
    assert {each["code"]: each["pilot"] for each in found["indicators"]}["HOST_MATCH"] == 0.95
    unknown = await survey.http.get("/questionnaires/1999.1")
    assert (unknown.status_code, unknown.json()["rule"]) == (404, "unknown_questionnaire")
