"""Registering, updating and leaving over HTTP, on a real database."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from chassis.identity import Role
from fastapi import FastAPI
from registration.companies import api
from registration.main import service
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn

from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving
from tests.registration.forms import (
    Form,
    company_form,
    named,
    offer_form,
    person_form,
    placement_form,
    registration_form,
)

KEY = "a-key-of-sixteen-or-more"


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    return await driving(service)


async def post(driver: Driver, form: Any, key: str = KEY) -> httpx.Response:
    return await driver.http.post("/companies", json=form, headers={"Idempotency-Key": key})


async def drafted(driver: Driver, form: Form | None = None, key: str = KEY) -> dict[str, Any]:
    answer = await post(driver, form or registration_form(), key)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def submit(driver: Driver, made: dict[str, Any]) -> httpx.Response:
    return await driver.http.post(f"/companies/{made['company_id']}/submission", headers=bearer(made["access_token"]))


async def registered(driver: Driver, form: Form | None = None, key: str = KEY) -> dict[str, Any]:
    """Admitted, by the rules alone."""
    made = await drafted(driver, form, key)
    answer = await submit(driver, made)
    assert (answer.status_code, answer.json().get("status")) == (200, "admitted"), answer.text
    return made | answer.json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def rows_left(driver: Driver) -> int:
    tables = ("company", "person", "outbox", "answer", "decision")
    [row] = await driver.rows(
        "select " + " + ".join(f"(select count(*) from {table})" for table in tables) + " as count"
    )
    return row["count"]


async def test_a_company_is_admitted_by_the_rules_and_everybody_is_told(driver: Driver):
    form = registration_form(placements=[placement_form(), placement_form(traveller=person_form("Jan Novák"))])
    made = await registered(driver, form)
    [event] = await driver.emitted()
    assert isinstance(event, CompanyRegistered)
    assert str(event.company_id) == made["company_id"]
    assert made["revision"] == event.revision
    assert [str(placement.placement_id) for placement in event.placements] == [
        placement["placement_id"] for placement in made["placements"]
    ]
    assert [str(placement.traveller_id) for placement in event.placements] == [
        placement["traveller_id"] for placement in made["placements"]
    ]
    assert [str(offer.offer_id) for offer in event.offers] == [offer["offer_id"] for offer in made["offers"]]


async def test_a_draft_is_nobodys_news_and_has_the_ids_that_it_will_have(driver: Driver):
    made = await drafted(driver)
    assert (made["status"], made["revision"], made["missing"]) == ("draft", 1, [])
    assert await driver.emitted() == []
    admitted = (await submit(driver, made)).json()
    ids = [(each["placement_id"], each["traveller_id"]) for each in made["placements"]]
    assert [(each["placement_id"], each["traveller_id"]) for each in admitted["placements"]] == ids
    assert admitted["offers"] == made["offers"]


async def test_a_draft_is_saved_with_what_is_there_and_has_to_be_whole_when_it_is_submitted(driver: Driver):
    made = await drafted(driver, {"name": "Zahnrad", "contact": person_form("Uwe Müller")})
    assert made["status"] == "draft"
    assert {"country", "accounts", "placements"} <= set(made["missing"])
    path, headers = f"/companies/{made['company_id']}", bearer(made["access_token"])
    refused = await submit(driver, made)
    assert refused.status_code == 422
    assert set(named(refused.json()["errors"])) == set(made["missing"])
    half = await driver.http.put(path, json={"name": "Zahnrad", "country": "DE"}, headers=headers)
    assert "country" not in half.json()["missing"]
    seen = (await driver.http.get(path, headers=headers)).json()
    assert (seen["status"], seen["draft"]) == ("draft", {"name": "Zahnrad", "country": "DE"})
    wrong = await driver.http.put(path, json={"nace": "99.99"}, headers=headers)
    assert (wrong.status_code, set(named(wrong.json()["errors"]))) == (422, {"nace"})
    whole = await driver.http.put(path, json=company_form(), headers=headers)
    assert whole.json()["missing"] == []
    assert (await submit(driver, made)).json()["status"] == "admitted"
    [event] = await driver.emitted()
    assert isinstance(event, CompanyRegistered)


async def test_a_draft_without_somebody_to_write_to_is_not_saved(driver: Driver):
    answer = await post(driver, company_form())
    assert (answer.status_code, set(named(answer.json()["errors"]))) == (422, {"contact"})
    answer = await post(driver, {"contact": {"name": "Uwe"}})
    assert set(named(answer.json()["errors"])) == {"contact.email", "contact.reads"}
    assert await rows_left(driver) == 0


async def test_what_was_right_when_it_was_drafted_is_judged_anew_when_it_is_submitted(driver: Driver):
    made = await drafted(driver)
    driver.clock.now_is(NOON + timedelta(days=300))
    refused = await submit(driver, made)
    assert "placements.0.window.last" in named(refused.json()["errors"])
    assert await driver.emitted() == []


async def test_a_submission_that_is_repeated_happens_once(driver: Driver):
    made = await drafted(driver)
    first, second = (await submit(driver, made)).json(), (await submit(driver, made)).json()
    assert first["revision"] == second["revision"]
    assert len(await driver.emitted()) == 1
    [row] = await driver.rows("select count(*) as count from decision")
    assert row["count"] == 2, "submitted, and admitted by the rules"


async def test_submissions_at_once_are_one(driver: Driver):
    made = await drafted(driver)
    answers = await asyncio.gather(*(submit(driver, made) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await driver.emitted()) == 1


async def test_a_company_sees_what_it_said(driver: Driver):
    form = registration_form()
    made = await registered(driver, form)
    answer = await driver.http.get(f"/companies/{made['company_id']}", headers=bearer(made["access_token"]))
    seen = answer.json()
    assert answer.status_code == 200
    assert (seen["status"], seen["revision"], seen["draft"]) == ("admitted", made["revision"], None)
    assert {name: seen[name] for name in form if name not in ("placements", "offers", "contact")} == {
        name: said for name, said in form.items() if name not in ("placements", "offers", "contact")
    }
    assert seen["computed_size_class"] == "small"
    [placement], [offer] = seen["placements"], seen["offers"]
    given = {name: made["placements"][0][name] for name in ("placement_id", "traveller_id")}
    assert placement == {**form["placements"][0], **given, "state": None}
    assert offer == {**form["offers"][0], **made["offers"][0], "state": None}


async def test_a_repeated_registration_gives_the_same_ids_and_happens_once(driver: Driver):
    first, second = await drafted(driver), await drafted(driver)
    ids = ("company_id", "revision", "offers")
    assert {name: first[name] for name in ids} == {name: second[name] for name in ids}
    assert first["placements"][0]["placement_id"] == second["placements"][0]["placement_id"]
    [row] = await driver.rows("select count(*) as count from company")
    assert row["count"] == 1


async def test_who_asks_again_has_another_session_as_long_as_they_speak_for_the_company(driver: Driver):
    first, second = await registered(driver), await registered(driver)
    assert first["refresh_token"] != second["refresh_token"]
    for made in (first, second):
        path, headers = f"/companies/{made['company_id']}", bearer(made["access_token"])
        assert (await driver.http.get(path, headers=headers)).status_code == 200
        answer = await driver.http.post("/sessions/refresh", json={"refresh_token": made["refresh_token"]})
        assert answer.status_code == 200
    await driver.rows("delete from person where part = 'admin'")
    answer = await post(driver, registration_form())
    assert (answer.status_code, answer.json()["rule"]) == (409, "contact_gone")


async def test_two_registrations_at_once_under_one_key_are_one(driver: Driver):
    answers = await asyncio.gather(*(post(driver, registration_form()) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["company_id"] for answer in answers}) == 1


async def test_a_repeat_is_answered_even_when_the_windows_have_passed(driver: Driver):
    first = await drafted(driver)
    driver.clock.now_is(NOON + timedelta(days=600))
    assert (await drafted(driver))["company_id"] == first["company_id"]
    assert (await post(driver, registration_form(), "another-key-of-sixteen")).status_code == 422


async def test_another_form_under_the_same_key_is_refused(driver: Driver):
    await drafted(driver)
    answer = await post(driver, registration_form(name="Another one"))
    assert (answer.status_code, answer.json()["rule"]) == (422, "idempotency_key_reused")
    [row] = await driver.rows("select count(*) as count from company")
    assert row["count"] == 1


async def test_a_registration_needs_a_key(driver: Driver):
    answer = await driver.http.post("/companies", json=registration_form())
    assert (answer.status_code, answer.json()["rule"]) == (400, "idempotency_key_missing")


async def test_no_token_and_no_name_is_in_a_stored_answer(driver: Driver):
    made = await registered(driver)
    [row] = await driver.rows("select body from answer")
    for secret in (made["access_token"], made["refresh_token"], "token", "Müller", "Kovač"):
        assert secret not in row["body"]


async def test_everything_that_is_wrong_is_in_one_answer_and_nothing_is_stored(driver: Driver):
    form = registration_form(
        name="A\x00",
        nace="99.99",
        placements=[placement_form(destinations=["DE"], min_days=5, skills_brought=["alchemy"])],
        offers=[offer_form(window={"first": "2025-01-01", "last": "2025-06-01"})],
    )
    answer = await post(driver, form)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    found = named(answer.json()["errors"])
    assert set(found) == {
        "name",
        "nace",
        "placements.0.destinations.0",
        "placements.0.min_days",
        "placements.0.skills_brought.0",
        "offers.0.window.last",
    }
    assert found["placements.0.min_days"].allowed == "14 to 62 days"
    assert await rows_left(driver) == 0
    assert (await post(driver, registration_form())).status_code == 201, "the key is still free"


async def test_a_body_that_is_no_form_is_the_clients_mistake(driver: Driver):
    headers = {"Idempotency-Key": KEY, "Content-Type": "application/json"}
    for body, status in (
        (b"", 422),
        (b"[]", 422),
        (b"{", 422),
        (b'{"name": "\\ud800"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"name": NaN}', 422),
        (b"\xff", 400),
        (b'{"name": ' + b"9" * 5000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b" " * (1024 * 1024 + 1), 413),
    ):
        answer = await driver.http.post("/companies", content=body, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), body[:20]
    assert await rows_left(driver) == 0


async def test_an_update_is_told_at_the_next_revision(driver: Driver):
    made = await registered(driver)
    keep = placement_form(placement_id=made["placements"][0]["placement_id"], max_days=60)
    form = company_form(placements=[placement_form(traveller=person_form("Jan Novák")), keep], offers=[])
    answer = await driver.http.put(f"/companies/{made['company_id']}", json=form, headers=bearer(made["access_token"]))
    assert answer.status_code == 200, answer.text
    updated = answer.json()
    _, event = await driver.emitted()
    assert isinstance(event, CompanyUpdated)
    assert event.revision == updated["revision"] == made["revision"] + 1
    assert [str(placement.placement_id) for placement in event.placements] == [
        placement["placement_id"] for placement in updated["placements"]
    ]
    assert updated["placements"][1]["traveller_id"] == made["placements"][0]["traveller_id"]
    assert updated["placements"][0]["traveller_id"] != made["placements"][0]["traveller_id"]
    assert updated["offers"] == []


async def test_an_update_sent_twice_changes_nothing_the_second_time(driver: Driver):
    made = await registered(driver)
    form = company_form(placements=[placement_form(), placement_form(traveller=person_form("Jan Novák"))])

    async def put() -> dict[str, Any]:
        path = f"/companies/{made['company_id']}"
        return (await driver.http.put(path, json=form, headers=bearer(made["access_token"]))).json()

    first, second = await put(), await put()
    assert first["revision"] == second["revision"] == made["revision"] + 1
    assert [placement["placement_id"] for placement in first["placements"]] == [
        placement["placement_id"] for placement in second["placements"]
    ]
    assert len(await driver.emitted()) == 2


async def test_updates_at_once_come_one_after_the_other(driver: Driver):
    made = await registered(driver)
    forms = [company_form(name=f"Name {number}") for number in range(4)]
    answers = await asyncio.gather(
        *(
            driver.http.put(f"/companies/{made['company_id']}", json=form, headers=bearer(made["access_token"]))
            for form in forms
        )
    )
    following = [made["revision"] + number for number in range(1, 5)]
    assert sorted(answer.json()["revision"] for answer in answers) == following
    assert [event.revision for event in await driver.emitted() if isinstance(event, CompanyUpdated)] == following


async def test_a_wrong_update_changes_nothing(driver: Driver):
    made = await registered(driver)
    theirs = await registered(driver, key="another-key-of-sixteen")
    stolen = placement_form(placement_id=theirs["placements"][0]["placement_id"], max_days=99)
    answer = await driver.http.put(
        f"/companies/{made['company_id']}", json=company_form(placements=[stolen]), headers=bearer(made["access_token"])
    )
    assert answer.status_code == 422
    assert set(named(answer.json()["errors"])) == {"placements.0.placement_id", "placements.0.max_days"}
    assert len(await driver.emitted()) == 2


async def test_a_name_is_corrected(driver: Driver):
    made = await registered(driver)
    changed = placement_form(placement_id=made["placements"][0]["placement_id"], traveller=person_form("Ana Horvat"))
    path, headers = f"/companies/{made['company_id']}", bearer(made["access_token"])
    await driver.http.put(path, json=company_form(name="Zahnrad SE", placements=[changed]), headers=headers)
    seen = (await driver.http.get(path, headers=headers)).json()
    assert (seen["name"], seen["placements"][0]["traveller"]["name"]) == ("Zahnrad SE", "Ana Horvat")


async def test_a_company_leaves_once_and_is_not_updated_any_more(driver: Driver):
    made = await registered(driver)
    path, headers = f"/companies/{made['company_id']}", bearer(made["access_token"])
    for _ in range(2):
        answer = await driver.http.post(f"{path}/withdrawal", json={"reason": "left"}, headers=headers)
        assert answer.status_code == 204
    _, event = await driver.emitted()
    left = CompanyWithdrawn(company_id=UUID(made["company_id"]), revision=made["revision"] + 1, reason="left")
    assert event == left
    answer = await driver.http.put(path, json=company_form(name="Back again"), headers=headers)
    assert (answer.status_code, answer.json()["rule"]) == (409, "company_withdrawn")
    seen = (await driver.http.get(path, headers=headers)).json()
    assert (seen["status"], seen["name"]) == ("withdrawn", company_form()["name"])


async def test_a_draft_is_given_up_without_a_word_to_others(driver: Driver):
    made = await drafted(driver)
    path, headers = f"/companies/{made['company_id']}", bearer(made["access_token"])
    unheard = await driver.http.post(f"{path}/withdrawal", json={"reason": "bored"}, headers=headers)
    assert unheard.status_code == 422
    await driver.http.post(f"{path}/withdrawal", json={"reason": "left"}, headers=headers)
    assert (await driver.http.get(path, headers=headers)).json()["status"] == "withdrawn"
    assert await driver.emitted() == []
    assert (await submit(driver, made)).json()["rule"] == "company_withdrawn"


async def test_a_company_is_nobody_elses(driver: Driver):
    made = await registered(driver)
    theirs = await registered(driver, key="another-key-of-sixteen")
    path, offer = f"/companies/{made['company_id']}", made["offers"][0]["offer_id"]
    for headers, status, rule in (
        ({}, 401, "token_missing"),
        (bearer("no.token.really"), 401, "token_invalid"),
        (bearer(theirs["access_token"]), 403, "not_your_company"),
        (driver.token(Role.TRAVELLER, person_id=UUID(made["placements"][0]["traveller_id"])), 403, "wrong_role"),
        (driver.token(Role.ANALYST), 403, "wrong_role"),
    ):
        for answer in (
            await driver.http.get(path, headers=headers),
            await driver.http.put(path, json=company_form(name="Stolen"), headers=headers),
            await driver.http.post(f"{path}/withdrawal", json={"reason": "left"}, headers=headers),
            await driver.http.post(f"{path}/submission", headers=headers),
            await driver.http.post(f"{path}/interest", headers=headers),
            *[await driver.http.post(f"{path}/stays/{offer}/{how}", headers=headers) for how in ("pause", "closure")],
            await driver.http.post(f"{path}/stays/{offer}/renewal", json={}, headers=headers),
        ):
            assert (answer.status_code, answer.json()["rule"]) == (status, rule)
    assert len(await driver.emitted()) == 2


async def test_an_operator_acts_for_a_company_and_learns_of_unknown_ones(driver: Driver):
    made = await registered(driver)
    operator = driver.token(Role.OPERATOR)
    assert (await driver.http.get(f"/companies/{made['company_id']}", headers=operator)).status_code == 200
    for answer in (
        await driver.http.get(f"/companies/{uuid4()}", headers=operator),
        await driver.http.put(f"/companies/{uuid4()}", json=company_form(), headers=operator),
        await driver.http.post(f"/companies/{uuid4()}/withdrawal", json={"reason": "left"}, headers=operator),
    ):
        assert (answer.status_code, answer.json()["rule"]) == (404, "unknown_company")


def test_the_form_is_documented_with_its_bounds():
    app = FastAPI()
    app.include_router(api.routes)
    document = app.openapi()
    for method, path in (("post", "/companies"), ("put", "/companies/{company_id}")):
        schema = document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
        assert schema["properties"]["placements"]["maxItems"] == 20
        assert "name" in schema["required"]
    offer = document["components"]["schemas"]["OfferForm"]["properties"]
    assert (offer["capacity"]["minimum"], offer["capacity"]["maximum"]) == (1, 50)
    assert (offer["min_days"]["minimum"], offer["min_days"]["maximum"]) == (14, 62)


async def test_a_body_that_is_not_sent_as_json_is_the_clients_mistake(driver: Driver):
    said = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "k" * 20}
    answer = await driver.http.post("/companies", content=b'{"name": "\xff"}', headers=said)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
