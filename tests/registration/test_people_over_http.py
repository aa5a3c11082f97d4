"""Who speaks for a company, by its admins; and what everybody says about themselves."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from chassis.identity import Role, verify
from chassis.transaction import Cause
from registration.companies import store as companies
from registration.main import service
from registration.people.domain import MOST

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration.forms import Form, company_form, named, person_form, placement_form
from tests.registration.signing_in import bearer, opened, registered, sent, signed_in

UWE, ANA, MIA = "uwe@zahnrad.example", "ana@zahnrad.example", "mia@zahnrad.example"


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    return await driving(service, sign_ins_per_address=100)


@pytest.fixture
async def company(driver: Driver) -> dict[str, Any]:
    return await registered(driver)


@pytest.fixture
async def admin(driver: Driver, company: dict[str, Any]) -> dict[str, str]:
    return bearer((await signed_in(driver, UWE))["access_token"])


def path(company: dict[str, Any], *more: object) -> str:
    return "/".join(("/companies", company["company_id"], "people", *map(str, more)))


async def invited(
    driver: Driver, company: dict[str, Any], headers: dict[str, str], form: Form, key: str | None = None
) -> httpx.Response:
    return await driver.http.post(path(company), json=form, headers={**headers, "Idempotency-Key": key or str(uuid4())})


async def joined(
    driver: Driver, company: dict[str, Any], headers: dict[str, str], name: str = "Mia Member", part: str = "member"
) -> str:
    answer = await invited(driver, company, headers, person_form(name, part=part))
    assert answer.status_code == 201, answer.text
    return answer.json()["person_id"]


async def listed(driver: Driver, company: dict[str, Any], headers: dict[str, str]) -> list[dict[str, Any]]:
    answer = await driver.http.get(path(company), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_company_sees_who_speaks_for_it_and_who_travels(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    mia = await joined(driver, company, admin)
    people = await listed(driver, company, admin)
    assert [(person["part"], person["email"], person["reads"]) for person in people] == [
        ("admin", UWE, "de"),
        ("member", MIA, "de"),
        ("traveller", ANA, "de"),
    ]
    assert people[1] == {"person_id": mia, "part": "member", "name": "Mia Member", "email": MIA, "reads": "de"}
    assert await listed(driver, company, driver.token(Role.OPERATOR)) == people


async def test_an_invited_member_signs_in_by_the_invitation_and_speaks_for_the_company(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    await joined(driver, company, admin)
    [said] = await sent(driver, MIA, "invited")
    [row] = await driver.rows(
        "select expires_at > clock_timestamp() + interval '6 days' as long from link where email = $1", MIA
    )
    assert row["long"]
    session = (await opened(driver, said)).json()
    mia = await verify(session["access_token"], driver.process.app.state.keys)
    assert (mia.role, str(mia.company_id)) == (Role.COMPANY, company["company_id"])
    assert len(await listed(driver, company, bearer(session["access_token"]))) == 3
    assert (await opened(driver, said)).status_code == 401


async def test_an_invitation_that_is_sent_twice_is_one(driver: Driver, company: dict[str, Any], admin: dict[str, str]):
    form, key = person_form("Mia Member", part="admin"), str(uuid4())
    first, second = [await invited(driver, company, admin, form, key) for _ in range(2)]
    assert first.json() == second.json()
    assert len(await sent(driver, MIA, "invited")) == 1
    again = await invited(driver, company, admin, form)
    assert (again.status_code, again.json()["rule"]) == (409, "already_speaks")
    stored = await driver.rows("select body::text as body from answer")
    assert len(stored) == 2
    assert all("Mia" not in row["body"] and MIA not in row["body"] for row in stored)


async def test_who_travels_can_speak_for_the_company_too_as_another_person(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    answer = await invited(driver, company, admin, person_form("Ana Kovač"))
    assert answer.status_code == 201
    assert answer.json()["person_id"] != company["placements"][0]["traveller_id"]


async def test_a_wrong_invitation_is_told_all_that_is_wrong(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    answer = await invited(
        driver, company, admin, {"name": " ", "email": "nowhere", "reads": "la", "part": "traveller"}
    )
    assert answer.status_code == 422
    assert {path: error.allowed for path, error in named(answer.json()["errors"]).items()} == {
        "name": "1 to 120 characters, none of them a control character",
        "email": "an address as in ana@example.org, of 254 characters at most",
        "reads": "en, it, de, fr",
        "part": "admin, member",
    }


async def test_so_many_people_can_speak_for_a_company_and_no_more(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    for number in range(MOST - 2):
        await driver.rows(
            "insert into person (person_id, company_id, part, name, email, reads) values ($1, $2, 'member', 'X', $3, 'en')",
            uuid4(),
            UUID(company["company_id"]),
            f"{number}@zahnrad.example",
        )
    answers = await asyncio.gather(
        *(invited(driver, company, admin, person_form(f"{name} M")) for name in ("Mia", "Max", "Moa"))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {answer.json().get("rule") for answer in answers} == {None, "too_many_people"}


async def test_invitations_of_a_company_are_limited(driver: Driver, company: dict[str, Any], admin: dict[str, str]):
    for number in range(30):
        person = await joined(driver, company, admin, f"Mia{number} M")
        await driver.http.delete(path(company, person), headers=admin)
    answer = await invited(driver, company, admin, person_form("One More"))
    assert answer.status_code == 429
    assert "retry-after" in answer.headers


async def test_an_admin_makes_a_member_an_admin_and_the_other_way_round(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    mia = await joined(driver, company, admin)
    for part in ("admin", "admin", "member"):
        answer = await driver.http.put(path(company, mia, "part"), json={"part": part}, headers=admin)
        assert answer.status_code == 204
        assert {person["part"] for person in await listed(driver, company, admin) if person["person_id"] == mia} == {
            part
        }
    for person, status in ((company["placements"][0]["traveller_id"], 404), (uuid4(), 404)):
        answer = await driver.http.put(path(company, person, "part"), json={"part": "admin"}, headers=admin)
        assert answer.status_code == status


async def test_the_last_admin_stays_one(driver: Driver, company: dict[str, Any], admin: dict[str, str]):
    await joined(driver, company, admin)
    [uwe] = [person["person_id"] for person in await listed(driver, company, admin) if person["part"] == "admin"]
    for answer in (
        await driver.http.delete(path(company, uwe), headers=admin),
        await driver.http.put(path(company, uwe, "part"), json={"part": "member"}, headers=admin),
        await driver.http.delete(path(company, uwe), headers=driver.token(Role.OPERATOR)),
    ):
        assert (answer.status_code, answer.json()["rule"]) == (409, "last_admin")


async def test_of_two_admins_who_remove_each_other_at_once_one_stays(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    other = await joined(driver, company, admin, part="admin")
    [said] = await sent(driver, MIA, "invited")
    mia = bearer((await opened(driver, said)).json()["access_token"])
    [uwe] = [
        person["person_id"]
        for person in await listed(driver, company, admin)
        if person["part"] == "admin" and person["person_id"] != other
    ]
    answers = await asyncio.gather(
        driver.http.delete(path(company, other), headers=admin), driver.http.delete(path(company, uwe), headers=mia)
    )
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_who_is_removed_is_forgotten_and_their_sessions_and_links_end(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    mia = await joined(driver, company, admin)
    [said] = await sent(driver, MIA, "invited")
    session = await signed_in(driver, MIA)
    for _ in range(2):
        assert (await driver.http.delete(path(company, mia), headers=admin)).status_code == 204
    refreshed = await driver.http.post("/sessions/refresh", json={"refresh_token": session["refresh_token"]})
    assert refreshed.status_code == 401
    assert (await opened(driver, said)).status_code == 401
    assert MIA not in str(await listed(driver, company, admin))
    assert not await driver.rows("select from link where email = $1", MIA)


async def test_a_traveller_is_not_removed_here(driver: Driver, company: dict[str, Any], admin: dict[str, str]):
    ana = company["placements"][0]["traveller_id"]
    assert (await driver.http.delete(path(company, ana), headers=admin)).status_code == 204
    assert ana in str(await listed(driver, company, admin))


async def test_only_an_admin_of_the_company_or_an_operator_says_who_speaks_for_it(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    mia = await joined(driver, company, admin)
    id_ = UUID(company["company_id"])
    for headers, status in (
        ({}, 401),
        (driver.token(Role.COMPANY, id_), 403),
        (driver.token(Role.COMPANY_ADMIN, uuid4()), 403),
        (driver.token(Role.TRAVELLER, person_id=uuid4()), 403),
        (driver.token(Role.CONTACT_POINT, country="DE"), 403),
        (driver.token(Role.ANALYST), 403),
    ):
        answers = [
            await invited(driver, company, headers, person_form("Max M")),
            await driver.http.put(path(company, mia, "part"), json={"part": "admin"}, headers=headers),
            await driver.http.delete(path(company, mia), headers=headers),
        ]
        assert [answer.status_code for answer in answers] == [status] * 3, headers
    assert (await driver.http.get(path(company), headers=driver.token(Role.COMPANY, uuid4()))).status_code == 403
    unknown = {"company_id": str(uuid4())}
    answer = await invited(driver, unknown, driver.token(Role.OPERATOR), person_form("Max M"))
    assert (answer.status_code, answer.json()["rule"]) == (404, "unknown_company")
    assert len(await listed(driver, company, admin)) == 3


async def own(driver: Driver, email: str) -> tuple[str, dict[str, str]]:
    session = await signed_in(driver, email)
    caller = await verify(session["access_token"], driver.process.app.state.keys)
    return f"/people/{caller.person_id}", bearer(session["access_token"])


async def test_a_new_address_is_good_once_its_link_is_used_and_until_then_the_old_one(
    driver: Driver, company: dict[str, Any]
):
    me, headers = await own(driver, ANA)
    said = {"name": "Ana Horvat", "email": "Horvat@zahnrad.example", "reads": "it"}
    for _ in range(2):
        answer = await driver.http.put(me, json=said, headers=headers)
        assert answer.status_code == 200, answer.text
    seen = (await driver.http.get(me, headers=headers)).json()
    assert seen == answer.json()
    assert (seen["name"], seen["email"], seen["reads"]) == ("Ana Horvat", ANA, "it")
    assert seen["unconfirmed_email"] == "horvat@zahnrad.example"
    [confirms] = await sent(driver, "horvat@zahnrad.example", "new_address")
    await signed_in(driver, ANA)
    assert (await opened(driver, confirms)).status_code == 201
    seen = (await driver.http.get(me, headers=headers)).json()
    assert (seen["email"], seen["unconfirmed_email"]) == ("horvat@zahnrad.example", None)
    await signed_in(driver, "horvat@zahnrad.example")


async def test_a_link_that_went_to_the_former_address_opens_nothing(driver: Driver, company: dict[str, Any]):
    me, headers = await own(driver, ANA)
    await driver.http.post("/sign-in", json={"email": ANA})
    await driver.run_due()
    former = (await sent(driver, ANA, "sign_in"))[-1]
    await driver.http.put(me, json=person_form("Ana", email="new@zahnrad.example"), headers=headers)
    [confirms] = await sent(driver, "new@zahnrad.example", "new_address")
    assert (await opened(driver, confirms)).status_code == 201
    assert (await opened(driver, former)).status_code == 401


async def test_of_several_new_addresses_only_the_latest_can_be_confirmed(driver: Driver, company: dict[str, Any]):
    me, headers = await own(driver, ANA)
    links = []
    for email in ("one@zahnrad.example", "two@zahnrad.example"):
        await driver.http.put(me, json=person_form("Ana", email=email), headers=headers)
        links += await sent(driver, email, "new_address")
    assert [(await opened(driver, link)).status_code for link in links] == [401, 201]
    await driver.http.put(me, json=person_form("Ana", email="three@zahnrad.example"), headers=headers)
    [given_up] = await sent(driver, "three@zahnrad.example", "new_address")
    await driver.http.put(me, json=person_form("Ana", email="two@zahnrad.example"), headers=headers)
    assert (await opened(driver, given_up)).status_code == 401


async def test_a_person_is_shown_and_changed_by_themselves_alone(driver: Driver, company: dict[str, Any]):
    me, headers = await own(driver, ANA)
    theirs, uwe = await own(driver, UWE)
    for shown, changed, by in (
        (401, 401, {}),
        (403, 403, uwe),
        (403, 403, driver.token(Role.TRAVELLER, person_id=uuid4())),
        (403, 403, driver.token(Role.ANALYST)),
        (200, 403, driver.token(Role.OPERATOR)),
        (200, 200, headers),
    ):
        assert (await driver.http.get(me, headers=by)).status_code == shown
        assert (await driver.http.put(me, json=person_form("Ana"), headers=by)).status_code == changed
    assert (await driver.http.get(theirs, headers=uwe)).json()["unconfirmed_email"] is None
    nobody = await driver.http.get(f"/people/{uuid4()}", headers=driver.token(Role.OPERATOR))
    assert nobody.status_code == 404
    gone = uuid4()
    answer = await driver.http.put(
        f"/people/{gone}", json=person_form(), headers=driver.token(Role.TRAVELLER, person_id=gone)
    )
    assert answer.status_code == 404


async def test_a_changed_name_is_the_one_that_the_company_sees_and_nobody_else_is_told(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    told = len(await driver.emitted())
    me, headers = await own(driver, ANA)
    await driver.http.put(me, json=person_form("Ana Horvat", email=ANA), headers=headers)
    view = (await driver.http.get(f"/companies/{company['company_id']}", headers=admin)).json()
    assert view["placements"][0]["traveller"]["name"] == "Ana Horvat"
    assert len(await driver.emitted()) == told


async def ana_as_seen(driver: Driver, company: dict[str, Any], admin: dict[str, str]) -> dict[str, Any]:
    view = (await driver.http.get(f"/companies/{company['company_id']}", headers=admin)).json()
    [placement] = view["placements"]
    return {name: placement["traveller"][name] for name in ("name", "email", "reads")} | {
        "traveller_id": placement["traveller_id"]
    }


OWN = {"name": "Ana Horvat", "email": "horvat@zahnrad.example", "reads": "it"}


async def as_she_says(driver: Driver) -> None:
    """Ana says what she is called, where she is written to, and in which language."""
    me, headers = await own(driver, ANA)
    assert (await driver.http.put(me, json=OWN, headers=headers)).status_code == 200
    [confirms] = await sent(driver, OWN["email"], "new_address")
    assert (await opened(driver, confirms)).status_code == 201


@pytest.mark.parametrize("said", [person_form(), person_form("Ana Horvat"), person_form("Anna K", reads="fr")])
async def test_what_a_traveller_said_of_themself_is_not_undone_by_their_company(
    driver: Driver, company: dict[str, Any], admin: dict[str, str], said: Form
):
    given = company["placements"][0]
    await as_she_says(driver)
    form = company_form(placements=[placement_form(placement_id=given["placement_id"], max_days=25, traveller=said)])
    answers = [await driver.http.put(f"/companies/{company['company_id']}", json=form, headers=admin) for _ in range(2)]
    assert [answer.json()["revision"] - company["revision"] for answer in answers] == [1, 1], "a repeat changes nothing"
    assert await ana_as_seen(driver, company, admin) == OWN | {"traveller_id": given["traveller_id"]}


@pytest.mark.parametrize("said", [person_form("Ana Horvat"), person_form("Ana K", email=OWN["email"]), OWN])
async def test_who_is_said_again_by_name_or_by_address_is_the_traveller_who_said_more_of_themself(
    driver: Driver, company: dict[str, Any], admin: dict[str, str], said: Form
):
    given = company["placements"][0]
    await as_she_says(driver)
    form = company_form(placements=[placement_form(traveller=said)])
    answer = await driver.http.put(f"/companies/{company['company_id']}", json=form, headers=admin)
    assert answer.json()["revision"] == company["revision"], "nothing was changed"
    assert await ana_as_seen(driver, company, admin) == OWN | {"traveller_id": given["traveller_id"]}


async def test_the_company_goes_on_naming_who_travels(driver: Driver, company: dict[str, Any], admin: dict[str, str]):
    await as_she_says(driver)
    form = company_form(placements=[placement_form(traveller=person_form("Jan Novák"))])
    await driver.http.put(f"/companies/{company['company_id']}", json=form, headers=admin)
    seen = await ana_as_seen(driver, company, admin)
    assert seen["name"] == "Jan Novák"
    assert seen["traveller_id"] != company["placements"][0]["traveller_id"]


async def test_what_a_traveller_says_while_their_company_is_being_changed_is_not_lost(
    driver: Driver, company: dict[str, Any], admin: dict[str, str]
):
    async with driver.process.open_transaction(Cause()) as tx:
        before = await companies.locked(tx, UUID(company["company_id"]))
        await as_she_says(driver)
        await companies.save(tx, before)
    assert await ana_as_seen(driver, company, admin) == OWN | {"traveller_id": company["placements"][0]["traveller_id"]}
