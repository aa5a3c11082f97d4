"""Signing in by a link, and what becomes of the session."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from chassis.identity import Caller, Role, verify
from registration.main import service
from registration.people import links
from registration.people.domain import Addressee, Part, Person, Reads
from registration.sign_in.domain import Link, Purpose, confirmed

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration.forms import person_form, placement_form, registration_form
from tests.registration.signing_in import asked_for, bearer, opened, opening, registered, signed_in

UWE, ANA = "uwe@zahnrad.example", "ana@zahnrad.example"


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    return await driving(service)


async def who(driver: Driver, session: dict[str, Any]) -> Caller:
    return await verify(session["access_token"], driver.process.app.state.keys)


async def refreshed(driver: Driver, session: dict[str, Any]) -> httpx.Response:
    return await driver.http.post("/sessions/refresh", json={"refresh_token": session["refresh_token"]})


async def test_who_speaks_for_a_company_and_who_travels_sign_in_by_a_link_each(driver: Driver):
    made = await registered(driver)
    speaks, travels = await signed_in(driver, "Uwe@Zahnrad.example"), await signed_in(driver, ANA)
    uwe, ana = await who(driver, speaks), await who(driver, travels)
    assert (uwe.role, str(uwe.company_id)) == (Role.COMPANY_ADMIN, made["company_id"])
    assert uwe.subject == str(uwe.person_id)
    assert (ana.role, str(ana.person_id)) == (Role.TRAVELLER, made["placements"][0]["traveller_id"])
    assert ana.company_id is None
    assert speaks["expires_in"] == 600
    view = await driver.http.get(f"/companies/{made['company_id']}", headers=bearer(speaks["access_token"]))
    assert view.status_code == 200


async def test_one_address_of_several_persons_gets_a_link_for_each(driver: Driver):
    form = registration_form(
        contact=person_form("Ana Kovač"),
        placements=[placement_form(), placement_form(traveller=person_form("Ana Two", email=ANA))],
    )
    made = await registered(driver, form)
    sessions = [(await opened(driver, said)).json() for said in await asked_for(driver, ANA)]
    callers = [await who(driver, session) for session in sessions]
    assert sorted(caller.role for caller in callers) == [Role.COMPANY_ADMIN, Role.TRAVELLER, Role.TRAVELLER]
    travellers = {placement["traveller_id"] for placement in made["placements"]}
    assert {str(caller.person_id) for caller in callers if caller.role is Role.TRAVELLER} == travellers


async def test_an_address_that_nobody_has_gets_the_same_answer_and_no_link(driver: Driver):
    await registered(driver)
    known = await driver.http.post("/sign-in", json={"email": UWE})
    unknown = await driver.http.post("/sign-in", json={"email": "nobody@zahnrad.example"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    ids = {"x-correlation-id", "traceresponse"}
    assert {name: value for name, value in known.headers.items() if name not in ids} == {
        name: value for name, value in unknown.headers.items() if name not in ids
    }
    await driver.run_due()
    [link] = await driver.rows("select email from link")
    assert link["email"] == UWE


async def test_asking_does_the_same_work_whether_or_not_somebody_has_the_address(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
):
    """The statements are the same, so the time is: measuring it here would tell how busy the machine is."""
    await registered(driver)
    said: dict[str, list[str]] = {}
    async with driver.process.pool.acquire() as connection:
        kind = type(connection._con)  # pyright: ignore[reportAttributeAccessIssue]
    plain = kind._execute

    async def noted(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        said[current].append(query)
        return await plain(self, query, *args, **kwargs)

    monkeypatch.setattr(kind, "_execute", noted)
    for current in (UWE, "nobody@zahnrad.example"):
        said[current] = []
        assert (await driver.http.post("/sign-in", json={"email": current})).status_code == 202
    assert said[UWE]
    assert said[UWE] == said["nobody@zahnrad.example"]


async def test_a_link_is_good_once(driver: Driver):
    await registered(driver)
    [said] = await asked_for(driver, UWE)
    assert (await opened(driver, said)).status_code == 201
    again = await opened(driver, said)
    assert (again.status_code, again.json()["rule"]) == (401, "link_invalid")


async def test_of_many_who_use_a_link_at_once_one_gets_a_session(driver: Driver):
    await registered(driver)
    [said] = await asked_for(driver, UWE)
    answers = await asyncio.gather(*(opened(driver, said) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [401] * 7
    [row] = await driver.rows("select count(*) as count from session")
    assert row["count"] == 2, "with the one of the registration"


async def test_a_link_lives_for_fifteen_minutes(driver: Driver):
    await registered(driver)
    [said] = await asked_for(driver, UWE)
    [row] = await driver.rows("select expires_at - clock_timestamp() as left from link")
    assert timedelta(minutes=14) < row["left"] <= timedelta(minutes=15)
    await driver.rows("update link set expires_at = clock_timestamp()")
    assert (await opened(driver, said)).status_code == 401


async def test_a_wrong_secret_opens_nothing_and_uses_nothing_up(driver: Driver):
    await registered(driver)
    [said] = await asked_for(driver, UWE)
    other = links.secret(uuid4(), driver.process.settings)
    refused = await opened(driver, {**said, "secret": other})
    unknown = await opened(driver, {"link": str(uuid4()), "secret": other})
    nobodys = uuid4()
    proven = await opened(driver, {"link": str(nobodys), "secret": links.secret(nobodys, driver.process.settings)})
    assert refused.status_code == unknown.status_code == proven.status_code == 401
    assert refused.json() == unknown.json() == proven.json()
    assert (await opened(driver, {**said, "secret": "short"})).status_code == 422
    assert (await opened(driver, said)).status_code == 201


async def test_no_secret_and_no_token_is_in_any_table(driver: Driver):
    await registered(driver)
    [said] = await asked_for(driver, UWE)
    session = (await opened(driver, said)).json()
    session = (await refreshed(driver, session)).json()
    tables = await driver.rows("select tablename from pg_tables where schemaname = 'registration'")
    stored = ""
    for table in tables:
        stored += "".join(
            str(row["row"]) for row in await driver.rows(f"select t::text as row from {table['tablename']} t")
        )
    assert said["link"] in stored
    for secret in (said["secret"], session["refresh_token"], session["access_token"]):
        assert secret not in stored


def test_a_link_to_an_address_that_was_changed_since_is_good_for_nothing():
    person = Person(uuid4(), uuid4(), Part.MEMBER, Addressee("Ana", "new@x.example", Reads.EN))
    for purpose in (Purpose.SIGN_IN, Purpose.INVITATION):
        assert confirmed(Link(uuid4(), person.person_id, purpose, "old@x.example"), person) is None
        assert confirmed(Link(uuid4(), person.person_id, purpose, "new@x.example"), person) == person.addressee
    changed = confirmed(Link(uuid4(), person.person_id, Purpose.ADDRESS, "newer@x.example"), person)
    assert changed == Addressee("Ana", "newer@x.example", Reads.EN)


async def test_an_address_can_ask_for_some_links_and_then_has_to_wait(driving: Driving):
    driver = await driving(service, sign_ins_per_address=3)
    for address in ("nobody@zahnrad.example", UWE):
        if address == UWE:
            await registered(driver)
        answers = [await driver.http.post("/sign-in", json={"email": address}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429], "the same, known or not"
        assert answers[-1].json()["rule"] == "too_many_requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 300
    await driver.run_due()
    [row] = await driver.rows("select count(*) as count from link")
    assert row["count"] == 3
    await driver.rows("update rate_limit set used_until = used_until - interval '300 seconds'")
    assert (await driver.http.post("/sign-in", json={"email": UWE})).status_code == 202, "one has run out of the bucket"
    assert (await driver.http.post("/sign-in", json={"email": UWE})).status_code == 429


async def test_a_client_can_ask_for_some_links_whatever_the_addresses(driving: Driving):
    driver = await driving(service, sign_ins_per_client=4)

    def address(number: int) -> str:
        return f"{number}@zahnrad.example"

    answers = await asyncio.gather(
        *(driver.http.post("/sign-in", json={"email": address(number)}) for number in range(9))
    )
    assert sorted(answer.status_code for answer in answers) == [202] * 4 + [429] * 5
    other = httpx.ASGITransport(driver.process.app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=other, base_url="http://service") as http:
        assert (await http.post("/sign-in", json={"email": address(10)})).status_code == 202


async def test_a_client_has_all_addresses_of_its_ipv6_network(driving: Driving):
    driver = await driving(service, sign_ins_per_client=1)
    statuses: list[int] = []
    for host in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"):
        transport = httpx.ASGITransport(driver.process.app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
            statuses.append((await http.post("/sign-in", json={"email": f"{uuid4()}@x.example"})).status_code)
    assert statuses == [202, 429, 202, 202, 202]


async def test_a_refresh_token_is_good_once_and_one_that_comes_again_ends_the_session(driver: Driver):
    await registered(driver)
    first, elsewhere = await signed_in(driver, UWE), await signed_in(driver, UWE)
    second = (await refreshed(driver, first)).json()
    third = (await refreshed(driver, second)).json()
    assert (await who(driver, third)).session_id == (await who(driver, first)).session_id
    stolen = await refreshed(driver, first)
    assert (stolen.status_code, stolen.json()["rule"]) == (401, "session_ended")
    assert (await refreshed(driver, third)).status_code == 401, "the whole family has ended"
    assert (await refreshed(driver, elsewhere)).status_code == 200, "another session has not"


async def test_of_two_refreshes_at_once_one_is_a_repeat_that_ends_the_session(driver: Driver):
    await registered(driver)
    session = await signed_in(driver, UWE)
    answers = await asyncio.gather(*(refreshed(driver, session) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    [winner] = [answer for answer in answers if answer.status_code == 200]
    assert (await refreshed(driver, winner.json())).status_code == 401


async def test_a_session_ends_after_its_days(driver: Driver):
    await registered(driver)
    session = await signed_in(driver, UWE)
    [row, _] = await driver.rows("select expires_at - clock_timestamp() as left from session order by opened_at desc")
    assert timedelta(days=29) < row["left"] <= timedelta(days=30)
    await driver.rows("update session set expires_at = clock_timestamp()")
    assert (await refreshed(driver, session)).status_code == 401


async def test_a_refreshed_token_says_what_the_person_is_by_now(driver: Driver):
    await registered(driver)
    session = await signed_in(driver, UWE)
    await driver.rows("update person set part = 'member' where email = $1", UWE)
    assert (await who(driver, (await refreshed(driver, session)).json())).role is Role.COMPANY


async def test_signing_out_ends_this_session_and_no_other(driver: Driver):
    await registered(driver)
    here, there = await signed_in(driver, UWE), await signed_in(driver, UWE)
    for _ in range(2):
        answer = await driver.http.delete("/sessions/current", headers=bearer(here["access_token"]))
        assert answer.status_code == 204
    assert (await refreshed(driver, here)).status_code == 401
    assert (await refreshed(driver, there)).status_code == 200
    of_none = await driver.http.delete("/sessions/current", headers=driver.token(Role.OPERATOR))
    assert (of_none.status_code, of_none.json()["rule"]) == (409, "no_session")


@pytest.mark.parametrize("by", ["themselves", "their admin", "an operator"])
async def test_all_sessions_of_a_person_are_ended_by(driver: Driver, by: str):
    await registered(driver)
    sessions = [await signed_in(driver, ANA) for _ in range(2)]
    ana = (await who(driver, sessions[0])).person_id
    admin = await signed_in(driver, UWE)
    headers = {
        "themselves": bearer(sessions[0]["access_token"]),
        "their admin": bearer(admin["access_token"]),
        "an operator": driver.token(Role.OPERATOR),
    }[by]
    assert (await driver.http.delete(f"/people/{ana}/sessions", headers=headers)).status_code == 204
    assert [(await refreshed(driver, session)).status_code for session in sessions] == [401, 401]
    assert (await refreshed(driver, admin)).status_code == 200


async def test_nobody_else_ends_a_persons_sessions(driver: Driver):
    made = await registered(driver)
    ana = made["placements"][0]["traveller_id"]
    company = UUID(made["company_id"])
    for headers, status in (
        ({}, 401),
        (driver.token(Role.COMPANY, company, uuid4()), 403),
        (driver.token(Role.COMPANY_ADMIN, uuid4()), 403),
        (driver.token(Role.TRAVELLER, person_id=uuid4()), 403),
        (driver.token(Role.ANALYST), 403),
    ):
        assert (await driver.http.delete(f"/people/{ana}/sessions", headers=headers)).status_code == status


async def test_what_says_nothing_once_it_has_ended_is_forgotten_when_somebody_signs_in(driver: Driver):
    await registered(driver)
    await signed_in(driver, UWE)
    for age in ("1 second", "-1 minute"):
        await driver.rows(
            "insert into oidc_sign_in (sign_in_id, expires_at)"
            f" values (gen_random_uuid(), clock_timestamp() - interval '{age}')"
        )
    await driver.rows("update rate_limit set used_until = clock_timestamp() - interval '1 second'")
    await asked_for(driver, "nobody@zahnrad.example")
    counts = [
        (await driver.rows(f"select count(*) as count from {table}"))[0]["count"]
        for table in ("rate_limit", "oidc_sign_in")
    ]
    assert counts == [2, 1], "those of who has just asked, and who may still come back"


async def test_an_answer_with_tokens_is_not_to_be_kept(driver: Driver):
    await registered(driver)
    [said] = await asked_for(driver, UWE)
    answer = await opened(driver, said)
    assert answer.headers["cache-control"] == "no-store"
    assert (await refreshed(driver, answer.json())).headers["cache-control"] == "no-store"


async def test_the_secret_stands_in_the_fragment_which_nobody_is_sent(driver: Driver):
    await registered(driver)
    [said] = await asked_for(driver, UWE)
    url = httpx.URL(links.url(UUID(said["link"]), driver.process.settings))
    assert said["secret"] in url.fragment
    assert not url.query
    assert opening(driver, UUID(said["link"])) == said
