"""Who may have whom forgotten, what is left of them here, and how it is proved."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from chassis.identity import Role
from registration.main import service
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated
from sojourn_contracts.erasure import ErasureDone, ErasureRequested

from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving
from tests.registration.forms import company_form, person_form, placement_form
from tests.registration.lives import submitted
from tests.registration.test_companies_over_http import registered

OTHERS = ("matching", "exchange", "survey")


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    return await driving(service)


async def person(driver: Driver, part: str) -> UUID:
    return (await driver.rows("select person_id from person where part = $1", part))[0]["person_id"]


async def asked(driver: Driver, path: str, status: int = 202, **who: Any) -> dict[str, Any]:
    answer = await driver.http.post(f"{path}/erasure", headers=driver.token(**who))
    assert answer.status_code == status, answer.text
    return answer.json()


async def shown(driver: Driver, erasure_id: str) -> dict[str, Any]:
    return (await driver.http.get(f"/erasures/{erasure_id}")).json()


async def published(driver: Driver) -> None:
    """As the relay would; what is in the log is none of this test's."""
    await driver.rows("delete from outbox")
    await driver.rows("update due set not_before = null")
    await driver.run_due()


async def test_a_traveller_is_forgotten_and_their_company_is_told_anew_without_them(driver: Driver):
    made = await registered(driver)
    traveller = await person(driver, "traveller")
    erasure = await asked(driver, f"/people/{traveller}", role=Role.TRAVELLER, person_id=traveller)
    assert await driver.rows("select person_id from person where person_id = $1", traveller) == []
    first, again, updated, request = await driver.emitted()
    assert isinstance(first, CompanyRegistered)
    assert isinstance(again, CompanyRegistered)
    assert isinstance(updated, CompanyUpdated)
    assert isinstance(request, ErasureRequested)
    assert [place.traveller_id for place in first.placements] == [traveller]
    assert again.placements == updated.placements == ()
    assert again.revision == updated.revision > first.revision
    assert (request.erased_id, request.kind, str(request.erasure_id)) == (traveller, "person", erasure["erasure_id"])
    company = await driver.rows("select profile::text || coalesce(said::text, '') as text from company")
    assert str(traveller) not in company[0]["text"]
    assert made["company_id"]


@pytest.mark.parametrize(
    "traveller",
    [
        {"email": "Ana@Zahnrad.example"},
        {"email": "ana.former@zahnrad.example"},
        {"name": "Ana", "email": "ana.former@zahnrad.example", "by_id": True},
    ],
)
async def test_a_draft_forgets_a_traveller_however_it_was_written_and_keeps_their_colleagues(
    driver: Driver, traveller: dict[str, Any]
):
    jan = placement_form(traveller=person_form("Jan Novák"))
    life = await submitted(driver, learning_only=False, placements=[placement_form(), jan])
    assert (await life.decide("needs_changes")).status_code == 204
    [ana, _] = life.made["placements"]
    by_id = {"placement_id": ana["placement_id"]} if traveller.pop("by_id", False) else {}
    said = placement_form(traveller=person_form() | traveller, **by_id)
    assert (await life.put(company_form(placements=[said, jan]))).status_code == 200
    person_id = UUID(ana["traveller_id"])
    await asked(driver, f"/people/{person_id}", role=Role.TRAVELLER, person_id=person_id)
    [placement] = (await life.seen())["draft"]["placements"]
    assert placement == jan


async def test_a_persons_export_has_their_part_of_what_the_company_said_and_nothing_of_others(driver: Driver):
    jan = placement_form(traveller=person_form("Jan Novák"))
    life = await submitted(driver, learning_only=False, placements=[placement_form(), jan])
    assert (await life.decide("needs_changes")).status_code == 204
    [ana, of_jan] = life.made["placements"]
    assert (await life.put(company_form(placements=[placement_form(), jan]))).status_code == 200
    person_id = UUID(ana["traveller_id"])
    answer = await driver.http.get(
        f"/export/people/{person_id}", headers=driver.token(Role.TRAVELLER, person_id=person_id)
    )
    [company] = answer.json()["held"]["company"]
    assert [placement["traveller_id"] for placement in company["said"]] == [str(person_id)]
    [drafted] = [placement_form()["traveller"]]
    assert company["draft"] == [drafted]
    assert "Jan" not in answer.text
    assert of_jan["traveller_id"] not in str(company)


async def test_each_services_answer_and_what_is_outstanding_is_shown_to_whoever_has_the_id(driver: Driver):
    await registered(driver)
    traveller = await person(driver, "traveller")
    erasure = await asked(driver, f"/people/{traveller}", role=Role.TRAVELLER, person_id=traveller)
    assert sorted(erasure["outstanding"]) == sorted(["registration", *OTHERS])
    [open_one] = (await driver.http.get("/erasures", headers=driver.token(Role.OPERATOR))).json()
    assert open_one["erasure_id"] == erasure["erasure_id"]
    await published(driver)
    driver.clock.now_is(NOON + timedelta(hours=30))
    view = await shown(driver, erasure["erasure_id"])
    assert (sorted(view["outstanding"]), view["done_at"], view["age_seconds"]) == (sorted(OTHERS), None, 30 * 3600)
    metrics = (await driver.http.get("/metrics")).text
    assert 'sojourn_erasures_overdue{service="registration"} 1.0' in metrics
    for name in OTHERS:
        done = {"erasure_id": erasure["erasure_id"], "erased_id": traveller, "kind": "person", "done_by": name}
        await driver.handle(ErasureDone.model_validate(done | {"done_at": NOON + timedelta(hours=31)}))
    view = await shown(driver, erasure["erasure_id"])
    assert (view["outstanding"], view["age_seconds"]) == ([], 31 * 3600)
    assert set(view["answers"]) == {"registration", *OTHERS}
    assert str(traveller) not in str(view)
    assert (await driver.http.get("/erasures", headers=driver.token(Role.OPERATOR))).json() == []
    assert 'sojourn_erasures_overdue{service="registration"} 0.0' in (await driver.http.get("/metrics")).text


async def test_a_repeat_asks_nobody_twice_and_answers_the_same(driver: Driver):
    await registered(driver)
    traveller = await person(driver, "traveller")
    first = await asked(driver, f"/people/{traveller}", role=Role.TRAVELLER, person_id=traveller)
    again = await asked(driver, f"/people/{traveller}", role=Role.OPERATOR)
    assert again["erasure_id"] == first["erasure_id"]
    assert len([event for event in await driver.emitted() if isinstance(event, ErasureRequested)]) == 1


async def test_of_a_company_nothing_stays_but_the_bare_id_and_each_of_its_people_is_forgotten(driver: Driver):
    made = await registered(driver)
    company_id = UUID(made["company_id"])
    people = {row["person_id"] for row in await driver.rows("select person_id from person")}
    await asked(driver, f"/companies/{company_id}", role=Role.COMPANY_ADMIN, company_id=company_id)
    requests = [event for event in await driver.emitted() if isinstance(event, ErasureRequested)]
    assert {event.erased_id for event in requests} == {company_id, *people}
    tombstones = await driver.rows("select topic from outbox where data is null and subject = $1", company_id)
    assert {row["topic"] for row in tombstones} == {"CompanyRegistered", "CompanyUpdated", "CompanyWithdrawn"}
    for table in ("company", "person", "review", "decision_words", "link", "session", "notice", "mail"):
        assert await driver.rows(f"select from {table}") == [], table
    answer = await driver.http.get(
        f"/export/companies/{company_id}", headers=driver.token(Role.COMPANY_ADMIN, company_id)
    )
    assert {table for table, rows in answer.json()["held"].items() if rows} <= {"outbox"}


async def test_an_admin_erases_the_company_and_nobody_of_it_but_themself(driver: Driver):
    made = await registered(driver)
    company_id, traveller = UUID(made["company_id"]), await person(driver, "traveller")
    admin = {"role": Role.COMPANY_ADMIN, "company_id": company_id, "person_id": await person(driver, "admin")}
    await asked(driver, f"/people/{traveller}", status=403, **admin)
    await asked(driver, f"/companies/{uuid4()}", status=403, **admin)
    member = {"role": Role.COMPANY, "company_id": company_id}
    await asked(driver, f"/companies/{company_id}", status=403, **member)
    refused = await asked(driver, f"/people/{admin['person_id']}", status=409, **admin)
    assert refused["rule"] == "last_admin"
    await asked(driver, f"/people/{admin['person_id']}", role=Role.OPERATOR)


async def test_somebody_who_never_was_is_not_found(driver: Driver):
    for path in ("people", "companies"):
        assert (await asked(driver, f"/{path}/{uuid4()}", status=404, role=Role.OPERATOR))["rule"].startswith("unknown")
    assert (await driver.http.get(f"/erasures/{uuid4()}")).status_code == 404


async def test_a_repeated_registration_of_who_was_erased_creates_nobody(driver: Driver):
    made = await registered(driver)
    company_id = UUID(made["company_id"])
    await asked(driver, f"/companies/{company_id}", role=Role.OPERATOR)
    from tests.registration.test_companies_over_http import post, registration_form

    answer = await post(driver, registration_form())
    assert (answer.status_code, answer.json()["rule"]) == (410, "erased")
    assert await driver.rows("select from company") == []


@pytest.mark.parametrize(("status", "days"), [("draft", 180), ("withdrawn", 730), ("rejected", 730)])
async def test_drafts_and_companies_that_are_out_are_erased_after_a_while(driver: Driver, status: str, days: int):
    await registered(driver)
    await driver.rows("update company set status = $1", status)

    async def left(after: timedelta) -> int:
        await look(driver, after)
        return len(await driver.rows("select from company"))

    assert await left(timedelta(days=days) - timedelta(hours=1)) == 1
    assert await left(timedelta(days=days) + timedelta(hours=1)) == 0


async def test_a_notice_is_forgotten_after_a_while_and_one_that_waits_to_be_sent_is_not(driver: Driver):
    await registered(driver)
    ended, waits, nobodys = (uuid4() for _ in range(3))
    await driver.rows("delete from notice")
    for notice, answered_at in ((ended, NOON), (waits, None), (nobodys, None)):
        await driver.rows(
            "insert into notice (notice_id, asked_by, recipient_id, template, parameters, asked_at, answered_at)"
            " values ($1, 'survey', $2, 'admitted', '{}', $3, $4)",
            notice,
            uuid4(),
            NOON - timedelta(days=1),
            answered_at,
        )
    await driver.rows("insert into mail (notice_id, person_id) values ($1, $2)", waits, uuid4())

    async def left(after: timedelta) -> set[UUID]:
        await look(driver, after)
        return {row["notice_id"] for row in await driver.rows("select notice_id from notice")}

    assert await left(timedelta(days=179) - timedelta(hours=1)) == {ended, waits, nobodys}
    assert await left(timedelta(days=180) - timedelta(hours=1)) == {ended, waits}
    assert await left(timedelta(days=180) + timedelta(hours=1)) == {waits}


async def look(driver: Driver, after: timedelta) -> None:
    """For what is old, so long after noon."""
    await driver.rows(
        "insert into due (id, kind, subject, at, data) values (gen_random_uuid(), 'retention', 'tables', 'epoch', '{}')"
        " on conflict (kind, subject) do update set not_before = null"
    )
    driver.clock.now_is(NOON + after)
    await driver.process.due.round()
