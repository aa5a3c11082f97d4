"""Invitations, submissions and the evaluation over HTTP."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from chassis.identity import Role
from sojourn_contracts.company import CompanyRegistered

from tests.chassis_driver import Driver
from tests.survey.story import (
    ACCEPTED,
    COMPLETED,
    EXCHANGE,
    HOST,
    HOST_ANSWERS,
    HOST_REGISTERED,
    NOON,
    PROPOSED,
    SENDER,
    SENDER_ANSWERS,
    SENDER_LEFT,
    SENDER_REGISTERED,
    TRAVELLER,
    TRAVELLER_ANSWERS,
)


def caller(survey: Driver, who: UUID) -> dict[str, str]:
    if who == TRAVELLER:
        return survey.token(Role.TRAVELLER, company_id=SENDER, person_id=TRAVELLER)
    return survey.token(Role.COMPANY, company_id=who)


async def invitations(survey: Driver, who: UUID) -> list[dict]:
    answer = await survey.http.get("/invitations", headers=caller(survey, who))
    assert answer.status_code == 200
    return answer.json()


async def submit(
    survey: Driver, who: UUID, answers: object, *, of: UUID | None = None, key: str = ""
) -> httpx.Response:
    """Submits for ``who``, on the invitation of ``of`` if that is another."""
    [invited] = await invitations(survey, of or who)
    return await survey.http.post(
        f"/invitations/{invited['invitation_id']}/submission",
        json={"answers": answers},
        headers=caller(survey, who) | {"Idempotency-Key": key or str(uuid4())},
    )


async def waiting(survey: Driver) -> int:
    return len(await survey.rows("select invitation_id from waiting"))


@pytest.mark.parametrize(
    ("who", "party", "first"),
    [(SENDER, "sender", "SEND_MATCH"), (HOST, "host", "HOST_MATCH"), (TRAVELLER, "traveller", "EMP_PROFDEV")],
)
async def test_each_party_sees_its_own_invitation_with_its_questions(survey, who, party, first):
    await survey.handle(COMPLETED)
    [invited] = await invitations(survey, who)
    assert (invited["party"], invited["wave"], invited["state"]) == (party, 1, "open")
    assert invited["exchange_id"] == str(EXCHANGE)
    assert invited["closes_at"] == "2027-01-08T09:00:00Z"
    assert invited["questions"][0]["code"] == first
    assert invited["questions"][0]["answers"]["98"] == "don't know"


@pytest.mark.parametrize(
    ("who", "answers"), [(SENDER, SENDER_ANSWERS), (HOST, HOST_ANSWERS), (TRAVELLER, TRAVELLER_ANSWERS)]
)
async def test_an_invited_party_submits(survey, who, answers):
    await survey.handle(COMPLETED)
    answer = await submit(survey, who, answers)
    [invited] = await invitations(survey, who)
    assert (answer.status_code, answer.json()) == (201, {"invitation_id": invited["invitation_id"]})
    assert invited["state"] == "submitted"
    assert await waiting(survey) == 1
    assert len(await survey.rows("select id from due where kind = 'close'")) == 2


async def test_a_second_submission_is_refused(survey):
    await survey.handle(COMPLETED)
    await submit(survey, HOST, HOST_ANSWERS)
    answer = await submit(survey, HOST, HOST_ANSWERS | {"XBORDER": "5"})
    assert (answer.status_code, answer.json()["rule"]) == (409, "already_submitted")
    assert await waiting(survey) == 1


async def test_a_repeated_request_gets_the_first_answer(survey):
    await survey.handle(COMPLETED)
    first = await submit(survey, HOST, HOST_ANSWERS, key="a-key-of-16-chars")
    again = await submit(survey, HOST, HOST_ANSWERS, key="a-key-of-16-chars")
    other = await submit(survey, HOST, HOST_ANSWERS | {"XBORDER": "5"}, key="a-key-of-16-chars")
    assert (again.status_code, again.json()) == (201, first.json())
    assert other.status_code == 422
    assert await waiting(survey) == 1


async def test_a_closed_invitation_takes_no_answer(survey):
    await survey.handle(COMPLETED)
    survey.clock.now_is(COMPLETED.changed_at + timedelta(days=60))
    answer = await submit(survey, HOST, HOST_ANSWERS)
    assert (answer.status_code, answer.json()["rule"]) == (409, "invitation_closed")
    [invited] = await invitations(survey, HOST)
    assert invited["state"] == "closed"


@pytest.mark.parametrize(("who", "of"), [(HOST, SENDER), (TRAVELLER, SENDER), (SENDER, TRAVELLER)])
async def test_nobody_submits_for_another_party(survey, who, of):
    await survey.handle(COMPLETED)
    answer = await submit(survey, who, SENDER_ANSWERS, of=of)
    assert answer.status_code == 403
    assert await waiting(survey) == 0


async def test_an_unknown_invitation_is_not_found(survey):
    headers = caller(survey, HOST) | {"Idempotency-Key": str(uuid4())}
    answer = await survey.http.post(
        f"/invitations/{uuid4()}/submission", json={"answers": HOST_ANSWERS}, headers=headers
    )
    assert answer.status_code == 404


async def test_every_wrong_answer_is_named_in_one_go(survey):
    await survey.handle(COMPLETED)
    answer = await submit(survey, HOST, {"HOST_MATCH": "6", "SEND_MATCH": "1", "XBORDER": "4", "BURDEN": ""})
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["answers.BURDEN"]
    answer = await submit(survey, HOST, {"HOST_MATCH": "6", "SEND_MATCH": "1", "XBORDER": "4"})
    assert answer.status_code == 422
    assert {error["path"]: error["detail"] for error in answer.json()["errors"]} == {
        "answers.NEWPROD": "is required",
        "answers.OVERALL": "is required",
        "answers.HOST_MATCH": "is not an answer to this question",
        "answers.SEND_MATCH": "is not asked of this party",
    }
    assert await waiting(survey) == 0
    assert (await invitations(survey, HOST))[0]["state"] == "open"


@pytest.mark.parametrize(
    "answers",
    [
        None,
        [],
        "5",
        {"HOST_MATCH": 5},
        {"HOST_MATCH": ["5"]},
        {f"Q{number}": "1" for number in range(51)},
        {"Q" * 33: "1"},
    ],
)
async def test_what_is_no_set_of_answers_is_refused_and_nothing_stored(survey, answers):
    await survey.handle(COMPLETED)
    answer = await submit(survey, HOST, answers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"].startswith("answers")
    assert await waiting(survey) == 0


async def test_a_submission_needs_a_key_that_makes_it_repeatable(survey):
    await survey.handle(COMPLETED)
    [invited] = await invitations(survey, HOST)
    answer = await survey.http.post(
        f"/invitations/{invited['invitation_id']}/submission",
        json={"answers": HOST_ANSWERS},
        headers=caller(survey, HOST),
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/invitations"), ("GET", "/evaluation"), ("POST", f"/invitations/{HOST}/submission")]
)
async def test_without_a_token_nobody_gets_in(survey, method, path):
    answer = await survey.http.request(method, path, json={"answers": {}}, headers={"Idempotency-Key": "k" * 16})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("role", "path"), [("analyst", "/invitations"), ("operator", "/invitations"), ("company", "/evaluation")]
)
async def test_each_role_has_its_own_doors(survey, role, path):
    answer = await survey.http.get(path, headers=survey.token(role, company_id=uuid4(), person_id=uuid4()))
    assert answer.status_code == 403


async def test_the_evaluation_counts_what_was_released(survey):
    await survey.handle(SENDER_REGISTERED, HOST_REGISTERED, SENDER_LEFT, PROPOSED, COMPLETED)
    await survey.handle(ACCEPTED.model_copy(update={"exchange_id": uuid4()}))
    for who, answers in ((SENDER, SENDER_ANSWERS), (HOST, HOST_ANSWERS), (TRAVELLER, TRAVELLER_ANSWERS)):
        await submit(survey, who, answers)
    before = (await survey.http.get("/evaluation", headers=survey.token(Role.ANALYST))).json()
    assert {indicator["valid"] for indicator in before["indicators"]} == {0}
    await survey.run_due(NOON + timedelta(days=1))
    found = (await survey.http.get("/evaluation", headers=survey.token(Role.OPERATOR))).json()
    at_the_end = {each["code"]: each for each in found["indicators"] if each["wave"] == 1}
    xborder = at_the_end["XBORDER"]
    assert {name: xborder[name] for name in ("count", "valid", "n", "share", "pilot", "dont_know")} == {
        "count": 1,
        "valid": 1,
        "n": 2,
        "share": 1.0,
        "pilot": 0.9,
        "dont_know": 1,
    }
    assert (round(xborder["low"], 3), xborder["high"]) == (0.207, 1.0)
    assert {code: (each["count"], each["valid"]) for code, each in at_the_end.items()} == {
        "SEND_MATCH": (1, 1),
        "HOST_MATCH": (0, 1),
        "XBORDER": (1, 1),
        "NEWPROD": (1, 2),
        "EMP_PROFDEV": (1, 1),
    }
    programme = found["programme"]
    assert [
        (each["party"], each["invited"], each["sent"], each["started"], each["complete"], each["declined"])
        for each in programme["responses"]
    ] == [(party, 1, 0, 1, 1, 0) for party in ("host", "sender", "traveller")]
    assert {each["stage"]: each["number"] for each in programme["funnel"]} == {
        "registered": 2,
        "proposed": 2,
        "accepted": 2,
        "drafted": 1,
        "agreed": 1,
        "ongoing": 1,
        "completed": 1,
    }
    assert programme["left"] == 1


async def test_an_empty_programme_has_an_evaluation(survey):
    found = (await survey.http.get("/evaluation", headers=survey.token(Role.ANALYST))).json()
    assert [each["share"] for each in found["indicators"] if each["wave"] == 1] == [None] * 5
    assert found["programme"]["responses"] == []
    assert {each["number"] for each in found["programme"]["funnel"] + found["programme"]["ends"]} == {0}


async def test_an_erased_company_is_asked_nothing_any_more(survey):
    await survey.handle(COMPLETED)
    await survey.erase(CompanyRegistered, SENDER)
    assert await invitations(survey, SENDER) == await invitations(survey, TRAVELLER) == []
