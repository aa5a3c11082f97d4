"""The contact points' queue, what they decide, and that nobody else does."""

from datetime import timedelta
from typing import Any

import pytest
from chassis.identity import Role
from registration.main import service
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.notice import contact_point as contact_point_of

from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving
from tests.registration.forms import accounts_form, company_form, named, offer_form
from tests.registration.lives import REASON, Life, contact_point, drafted, submitted

LARGE = accounts_form(headcount=300, turnover=60_000_000, balance_sheet=60_000_000)


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    return await driving(service)


async def referred(driver: Driver, key: str = "a-key-of-sixteen-or-more", **changes: Any) -> Life:
    return await submitted(driver, key, **{"learning_only": False, **changes})


async def queue(driver: Driver, headers: dict[str, str], **query: Any) -> list[Any]:
    answer = await driver.http.get("/reviews", headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_who_the_rules_are_not_clear_about_waits_for_the_contact_point_with_what_is_unclear(driver: Driver):
    life = await referred(driver, accounts=[LARGE, accounts_form()])
    seen = await life.seen()
    assert (seen["status"], seen["undecided"]) == ("submitted", True)
    [review] = await queue(driver, contact_point(driver))
    assert (review["company_id"], review["revision"]) == (str(life.id), seen["revision"])
    assert [(each["rule"], each["reason"]) for each in review["unclear"]] == [
        ("a_large_company_only_hosts", "borderline"),
        ("learning_only_declared", "not_declared"),
    ]
    assert await driver.emitted() == []


async def test_the_contact_point_of_the_country_is_told_once_of_each_submission_without_a_name_or_an_id(driver: Driver):
    life = await referred(driver)
    told = "select recipient_id, template, parameters, reason from notice where template = 'review_waits'"
    [row] = await driver.rows(told)
    assert tuple(row) == (contact_point_of("DE"), "review_waits", "{}", "recipient_unknown")
    assert (await life.decide("needs_changes")).status_code == 204
    assert len(await driver.rows(told)) == 1
    await life.put(company_form(learning_only=False, accounts=[LARGE, accounts_form()]))
    await life.submit()
    assert len(await driver.rows(told)) == 2


async def test_a_queue_is_of_one_country_oldest_first_and_an_operator_sees_all(driver: Driver):
    lives: list[Life] = []
    for number, country in enumerate(("DE", "FR", "DE", "DE")):
        driver.clock.now_is(NOON + timedelta(hours=number))
        where = {"region": "FR1", "placements": []} if country == "FR" else {}
        lives.append(await referred(driver, f"the-key-of-company-{number}", country=country, **where))
    ids = [str(life.id) for life in lives]
    assert [each["company_id"] for each in await queue(driver, contact_point(driver))] == [ids[0], ids[2], ids[3]]
    assert [each["company_id"] for each in await queue(driver, contact_point(driver, "FR"))] == [ids[1]]
    assert [each["company_id"] for each in await queue(driver, driver.token(Role.OPERATOR))] == ids


async def test_a_queue_comes_in_pages(driver: Driver):
    ids = [str((await referred(driver, f"the-key-of-company-{number}")).id) for number in range(5)]
    found: list[str] = []
    path: str | None = "/reviews?limit=2"
    pages = 0
    while path:
        answer = await driver.http.get(path, headers=contact_point(driver))
        found += [each["company_id"] for each in answer.json()]
        path = answer.links.get("next", {}).get("url")
        pages += 1
    assert (sorted(found), len(found), pages) == (sorted(ids), 5, 3)
    broken = await driver.http.get("/reviews?after=" + ids[0], headers=contact_point(driver))
    assert broken.status_code == 422


async def test_a_contact_point_admits_and_everybody_is_told_once(driver: Driver):
    life = await referred(driver)
    revision = (await life.seen())["revision"]
    for _ in range(2):
        assert (await life.decide("admit", revision=revision)).status_code == 204
    [event] = await driver.emitted()
    assert isinstance(event, CompanyRegistered)
    assert await queue(driver, contact_point(driver)) == []
    assert await life.commands() == [
        ("submit", "company"),
        ("refer", "programme"),
        ("admit", "contact_point"),
    ]


async def test_who_is_sent_back_sees_why_changes_it_and_is_admitted_by_the_rules(driver: Driver):
    life = await referred(driver)
    remark = {"path": "learning_only", "remark": "Please declare it."}
    assert (await life.decide("needs_changes", remarks=[remark])).status_code == 204
    seen = await life.seen()
    assert (seen["status"], seen["undecided"]) == ("needs_changes", False)
    assert seen["told"] == {"command": "send_back", "words": {"reason": REASON, "remarks": [remark]}}
    assert (await life.post("submission")).json()["rule"] == "nothing_changed"
    keep = [{**company_form()["placements"][0], "placement_id": life.made["placements"][0]["placement_id"]}]
    assert (await life.put(company_form(placements=keep))).json()["status"] == "needs_changes"
    again = await life.submit()
    assert again["status"] == "admitted"
    assert again["placements"][0]["traveller_id"] == life.made["placements"][0]["traveller_id"]
    [event] = await driver.emitted()
    assert isinstance(event, CompanyRegistered)


async def test_a_rejected_company_is_out_and_was_never_told_of(driver: Driver):
    life = await referred(driver)
    assert (await life.decide("reject")).status_code == 204
    assert (await life.seen())["status"] == "rejected"
    assert (await life.put(company_form())).json()["rule"] == "company_rejected"
    assert (await life.post("submission")).json()["rule"] == "company_rejected"
    assert await driver.emitted() == []


async def test_a_decision_about_what_the_company_said_before_is_stale(driver: Driver):
    life = await referred(driver)
    answer = await life.decide("admit", revision=1)
    assert (answer.status_code, answer.json()["rule"]) == (409, "stale_revision")
    assert await driver.emitted() == []


async def test_what_is_decided_already_is_not_decided_otherwise(driver: Driver):
    life = await referred(driver)
    await life.decide("admit")
    for decision in ("admit", "reject", "needs_changes"):
        answer = await life.decide(decision)
        assert (answer.status_code, answer.json()["rule"]) == (409, "nothing_to_decide")
    assert len(await driver.emitted()) == 1


async def test_a_decision_that_keeps_a_company_from_moving_can_be_sent_again(driver: Driver):
    life = await submitted(driver, placements=[])
    await life.put(company_form(country="FR", region="FR1", learning_only=False, placements=[]))
    revision = (await life.seen())["revision"]
    for _ in range(2):
        assert (await life.decide("reject", "FR", revision=revision)).status_code == 204
    assert (await life.decide("admit", "FR", revision=revision)).json()["rule"] == "not_your_country"
    assert (await life.seen())["country"] == "DE"


async def test_a_decision_has_a_reason_and_remarks_name_fields(driver: Driver):
    life = await referred(driver)
    answer = await life.decide("needs_changes", reason=" ", remarks=[{"path": "Not a path", "remark": "x"}])
    assert (answer.status_code, set(named(answer.json()["errors"]))) == (422, {"reason", "remarks.0.path"})


async def test_only_the_contact_point_of_the_country_or_an_operator_decides(driver: Driver):
    life = await referred(driver)
    body = {"revision": (await life.seen())["revision"], "decision": "admit", "reason": REASON}
    for headers, rule in (
        (contact_point(driver, "FR"), "not_your_country"),
        (life.own, "wrong_role"),
        (driver.token(Role.ANALYST), "wrong_role"),
    ):
        for answer in (
            await life.post("decision", body, headers),
            await life.post("exclusion", {"reason": REASON}, headers),
            await driver.http.get(f"{life.path}/decisions", headers=headers),
        ):
            assert (answer.status_code, answer.json()["rule"]) == (403, rule)
    assert (await driver.http.get(life.path, headers=contact_point(driver, "FR"))).status_code == 403
    assert (await driver.http.get(life.path, headers=contact_point(driver))).status_code == 200
    assert (await driver.http.get("/reviews", headers=life.own)).status_code == 403
    assert (await life.post("decision", body, driver.token(Role.OPERATOR))).status_code == 204


async def test_a_draft_is_no_contact_points_business(driver: Driver):
    life = await drafted(driver)
    assert (await driver.http.get(life.path, headers=contact_point(driver))).status_code == 403


async def test_an_excluded_company_is_told_of_once_and_why_stays_here(driver: Driver):
    life = await submitted(driver)
    for _ in range(2):
        answer = await life.post("exclusion", {"reason": "It posted workers."}, contact_point(driver))
        assert answer.status_code == 204
    _, event = await driver.emitted()
    assert isinstance(event, CompanyWithdrawn)
    assert event.reason == "excluded"
    assert (await life.seen())["status"] == "excluded"
    rows = await driver.rows("select data from outbox")
    assert not any("posted" in row["data"] for row in rows)
    assert (await life.put(company_form())).json()["rule"] == "company_excluded"


async def test_a_withdrawn_company_leaves_the_queue(driver: Driver):
    life = await referred(driver)
    assert (await life.post("withdrawal", {"reason": "left"})).status_code == 204
    assert await queue(driver, contact_point(driver)) == []
    assert await driver.emitted() == []


async def test_a_company_that_a_public_body_holds_waits_for_the_contact_point_and_shows_who_holds_it(driver: Driver):
    holders = [{"body": "local_authority", "share": 30, "budget": 12_000_000, "inhabitants": 4_000}]
    life = await submitted(driver, public_holders=holders)
    [review] = await queue(driver, contact_point(driver))
    assert [(each["rule"], each["reason"]) for each in review["unclear"]] == [
        ("a_large_company_only_hosts", "public_bodies")
    ]
    seen = await life.seen()
    assert seen["public_holders"] == [{**holders[0], "linked": False}]
    assert (seen["size_class"], seen["computed_size_class"]) == ("small", "large")


async def test_an_edit_that_brings_in_a_public_body_is_decided_anew(driver: Driver):
    life = await submitted(driver)
    excepted = [{"body": "university_or_research_centre", "share": 40}]
    changed = (await life.put(company_form(public_holders=excepted))).json()
    assert (changed["undecided"], (await life.commands())[-1]) == (False, ("admit", "programme"))
    changed = (await life.put(company_form(public_holders=[{"body": "other", "share": 40}]))).json()
    assert changed["undecided"] is True


async def test_an_edit_of_a_stay_is_in_force_at_once_though_a_human_once_had_to_decide(driver: Driver):
    life = await referred(driver)
    await life.decide("admit")
    changed = await life.put(company_form(learning_only=False, offers=[offer_form(capacity=9)]))
    assert (changed.json()["status"], changed.json()["undecided"]) == ("admitted", False)
    assert [type(event) for event in await driver.emitted()] == [CompanyRegistered, CompanyUpdated]


async def test_an_edit_of_the_accounts_is_decided_by_the_rules_and_told(driver: Driver):
    life = await submitted(driver)
    micro = accounts_form(headcount=3, turnover=100_000)
    changed = (await life.put(company_form(accounts=[micro, micro]))).json()
    assert changed["undecided"] is False
    assert (await driver.emitted())[-1].model_dump()["size_class"] == "micro"
    assert (await life.commands())[-1] == ("admit", "programme")


async def test_an_edit_that_the_rules_are_not_clear_about_waits_and_what_was_told_stays(driver: Driver):
    life = await submitted(driver)
    form = company_form(accounts=[LARGE, LARGE], name="Zahnrad SE")
    changed = (await life.put(form)).json()
    assert (changed["status"], changed["undecided"]) == ("admitted", True)
    assert len(await driver.emitted()) == 1
    [review] = await queue(driver, contact_point(driver))
    assert review["revision"] == changed["revision"]
    assert (await life.decide("reject")).status_code == 204
    assert (await life.seen())["computed_size_class"] == "small"
    assert len(await driver.emitted()) == 1
    changed = (await life.put(form)).json()
    assert (await life.decide("admit")).status_code == 204
    assert (await driver.emitted())[-1].model_dump()["size_class"] == "large"


async def test_a_company_that_moves_is_the_new_countrys_to_decide_about(driver: Driver):
    life = await submitted(driver)
    moved = company_form(country="FR", region="FR1", placements=[], learning_only=False)
    assert (await life.put(moved)).json()["undecided"] is True
    assert await queue(driver, contact_point(driver)) == []
    assert len(await queue(driver, contact_point(driver, "FR"))) == 1
    for decision in ("admit", "needs_changes", "reject"):
        answer = await life.decide(decision, "DE")
        assert (answer.status_code, answer.json()["rule"]) == (403, "not_your_country")
    assert (await life.seen())["undecided"] is True
    assert (await life.decide("admit", "FR")).status_code == 204
    assert (await driver.emitted())[-1].model_dump()["country"] == "FR"


async def test_while_a_move_waits_both_countries_look_and_can_put_the_company_out(driver: Driver):
    moved = company_form(country="FR", region="FR1", placements=[], learning_only=False)
    for number, country in enumerate(("DE", "FR")):
        life = await submitted(driver, f"the-key-of-company-{number}")
        assert (await life.put(moved)).json()["undecided"] is True
        headers = contact_point(driver, country)
        assert (await driver.http.get(life.path, headers=headers)).status_code == 200
        assert (await driver.http.get(f"{life.path}/decisions", headers=headers)).status_code == 200
        assert (await life.post("exclusion", {"reason": REASON}, headers)).status_code == 204
