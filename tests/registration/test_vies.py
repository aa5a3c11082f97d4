"""VIES, by a stand-in that also fails: what is an answer counts, and an outage is never a refusal."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from registration.companies.eligibility import Vies
from registration.companies.vies import Register
from registration.main import service

from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving
from tests.registration.forms import company_form
from tests.registration.lives import contact_point, submitted
from tests.registration.vies_stand_in import (
    Answers,
    StandIn,
    body,
    broken_off,
    fails_with,
    hangs,
    invalid,
    nothing,
    standing_in,
    status,
    trickles,
    valid,
)

NUMBER = "DE136695976"
ANOTHER = "DE111111125"
SECONDS = 1.0
FAILURES = (
    fails_with("MS_UNAVAILABLE"),
    fails_with("MS_MAX_CONCURRENT_REQ"),
    fails_with("GLOBAL_MAX_CONCURRENT_REQ"),
    fails_with("SERVICE_UNAVAILABLE"),
    fails_with("TIMEOUT"),
    fails_with("VALID"),
    fails_with("a wholly new one"),
    status(500),
    status(302),
    status(404),
    body(b""),
    body(b"<html>maintenance</html>"),
    body(b"[]"),
    body(b'{"isValid": "true", "userError": "VALID"}'),
    body(b'{"isValid": true}'),
    body(b'{"isValid": true, "userError": "VALID", "vatNumber": "999999999"}'),
    body(b" " * 100_000),
    broken_off,
    nothing,
    hangs,
    trickles,
)


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with standing_in() as standing:
        yield standing


@pytest.fixture
async def driver(driving: Driving, stand_in: StandIn) -> Driver:
    settings = {"vies_url": stand_in.url, "vies_timeout_seconds": SECONDS, "vies_pause_seconds": 0.05}
    return await driving(service, **settings)


async def looked_up(driver: Driver, stand_in: StandIn, looks: int) -> None:
    """Until it was asked so often; what is due later on the wall clock is waited for."""
    deadline = time.monotonic() + 20
    while len(stand_in.asked) < looks:
        assert time.monotonic() < deadline, "not asked so often"
        await driver.run_due()
        await asyncio.sleep(0.02)
    await driver.run_due()


@pytest.mark.parametrize(("answers", "says"), [(valid, Vies.VALID), (invalid, Vies.INVALID)])
async def test_an_answer_counts(stand_in: StandIn, answers: Answers, says: Vies):
    stand_in.answers = [answers]
    assert await Register(stand_in.url, SECONDS).says(NUMBER) is says
    assert stand_in.asked == [NUMBER]


@pytest.mark.parametrize("fails", FAILURES)
async def test_whatever_is_no_answer_is_unavailable_and_in_time(stand_in: StandIn, fails: Answers):
    stand_in.answers = [fails]
    began = time.monotonic()
    assert await Register(stand_in.url, SECONDS).says(NUMBER) is Vies.UNAVAILABLE
    assert time.monotonic() - began < SECONDS + 2


async def test_nobody_at_the_address_is_unavailable():
    assert await Register("http://127.0.0.1:1", SECONDS).says(NUMBER) is Vies.UNAVAILABLE


async def test_too_many_callers_at_one_moment_are_tried_again_at_once(stand_in: StandIn):
    stand_in.answers = [fails_with("MS_MAX_CONCURRENT_REQ"), valid]
    assert await Register(stand_in.url, 5).says(NUMBER) is Vies.VALID
    assert len(stand_in.asked) == 2


async def test_a_registered_number_admits_once_the_register_has_said_so(driver: Driver, stand_in: StandIn):
    life = await submitted(driver, vat=NUMBER)
    assert ((await life.seen())["status"], await driver.emitted()) == ("submitted", [])
    await looked_up(driver, stand_in, 1)
    assert (await life.seen())["status"] == "admitted"
    assert len(await driver.emitted()) == 1


async def test_a_number_that_the_register_does_not_know_is_for_a_human(driver: Driver, stand_in: StandIn):
    stand_in.answers = [invalid]
    life = await submitted(driver, vat=NUMBER)
    await looked_up(driver, stand_in, 1)
    [review] = (await driver.http.get("/reviews", headers=contact_point(driver))).json()
    assert [(each["rule"], each["reason"]) for each in review["unclear"]] == [("vat_number_registered", "invalid")]
    assert (await life.decide("admit")).status_code == 204


async def test_an_outage_is_looked_at_again_and_is_no_refusal(driver: Driver, stand_in: StandIn):
    stand_in.answers = [*[fails_with("MS_UNAVAILABLE")] * 5, valid]
    life = await submitted(driver, vat=NUMBER)
    await driver.run_due()
    assert ((await life.seen())["status"], (await life.seen())["undecided"]) == ("submitted", True)
    assert (await driver.http.get("/reviews", headers=contact_point(driver))).json() == []
    await looked_up(driver, stand_in, 6)
    assert (await life.seen())["status"] == "admitted"
    assert [row["parked_at"] for row in await driver.rows("select parked_at from due where kind = 'look_up_vat'")] == []


async def test_a_hanging_register_holds_no_connection_and_nobody_up(driver: Driver, stand_in: StandIn):
    stand_in.answers = [hangs]
    life = await submitted(driver, vat=NUMBER)
    looking = asyncio.create_task(driver.process.due.round())
    while not stand_in.asked:
        await asyncio.sleep(0.01)
    open_ones = (
        "select count(*) as n from pg_stat_activity where state like 'idle in%' and datname = current_database()"
    )
    assert (await driver.rows(open_ones))[0]["n"] == 0
    assert (await life.seen())["status"] == "submitted"
    await looking


async def test_after_the_programmes_patience_a_human_decides(driving: Driving, stand_in: StandIn):
    stand_in.answers = [fails_with("MS_UNAVAILABLE")]
    settings = {"vies_url": stand_in.url, "vies_timeout_seconds": 2, "vies_patience_hours": 0}
    driver = await driving(service, **settings)
    life = await submitted(driver, vat=NUMBER)
    await driver.run_due()
    [review] = (await driver.http.get("/reviews", headers=contact_point(driver))).json()
    assert [each["reason"] for each in review["unclear"]] == ["unavailable"]
    assert (await life.decide("admit")).status_code == 204
    assert (await life.seen())["status"] == "admitted"


async def test_what_was_said_is_not_asked_again_until_it_is_too_old(driver: Driver, stand_in: StandIn):
    await submitted(driver, vat=NUMBER)
    await looked_up(driver, stand_in, 1)
    second = await submitted(driver, "another-key-of-sixteen", vat=NUMBER)
    assert (await second.seen())["status"] == "admitted"
    assert len(stand_in.asked) == 1
    await driver.rows("update vat_check set checked_at = checked_at - interval '169 hours'")
    third = await submitted(driver, "a-third-key-of-sixteen", vat=NUMBER)
    assert (await third.seen())["status"] == "submitted"
    await looked_up(driver, stand_in, 2)
    assert (await third.seen())["status"] == "admitted"


async def test_an_outage_is_not_remembered(driver: Driver, stand_in: StandIn):
    stand_in.answers = [fails_with("MS_UNAVAILABLE")]
    await submitted(driver, vat=NUMBER)
    await driver.run_due()
    assert await driver.rows("select number from vat_check") == []


async def test_a_withdrawn_company_is_not_looked_up(driver: Driver, stand_in: StandIn):
    life = await submitted(driver, vat=NUMBER)
    await life.post("withdrawal", {"reason": "left"})
    await driver.run_due(NOON + timedelta(days=1))
    assert stand_in.asked == []


async def test_another_number_of_an_admitted_company_is_looked_up_while_it_goes_on(driver: Driver, stand_in: StandIn):
    life = await submitted(driver)
    assert (await life.seen())["status"] == "admitted"
    changed = (await life.put(company_form(vat=NUMBER))).json()
    assert (changed["status"], changed["undecided"]) == ("admitted", True)
    await looked_up(driver, stand_in, 1)
    assert (await life.seen())["undecided"] is False


async def test_without_the_register_a_number_is_judged_by_its_form(driving: Driving):
    life = await submitted(await driving(service), vat=NUMBER)
    assert (await life.seen())["status"] == "admitted"
