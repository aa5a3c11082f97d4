"""A side says that a stay does not fit: the contact points of both countries see it until each has acknowledged it."""

from typing import Any

from chassis.identity import Role
from exchange import during

from tests.chassis_driver import Driver
from tests.exchange import given
from tests.exchange.given import ASKS, HOST, MATCH
from tests.exchange.world import stands_at


async def listed(driver: Driver, country: str, query: str = "") -> list[dict[str, Any]]:
    response = await driver.http.get(f"/alerts{query}", headers=driver.token(Role.CONTACT_POINT, country=country))
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_no_is_seen_by_both_countries_until_each_has_acknowledged_it(driver: Driver):
    await stands_at(driver, during.ask(given.ongoing(), ASKS)[0])
    driver.clock.now_is(ASKS)
    host = driver.token(Role.COMPANY, HOST)
    assert await listed(driver, "PT") == []
    for _ in range(2):
        await driver.http.put(f"/exchanges/{MATCH}/fit", headers=host, json={"fits": False})
    (alert,) = await listed(driver, "PT")
    assert (alert["exchange_id"], alert["raised_by"], alert["acknowledged_by"]) == (str(MATCH), "host", [])
    assert await listed(driver, "DK") == [alert]
    assert await listed(driver, "DE") == []

    path = f"/alerts/{alert['alert_id']}/acknowledgement"
    for _ in range(2):
        response = await driver.http.post(path, headers=driver.token(Role.CONTACT_POINT, country="PT"))
        assert (response.status_code, response.json()["acknowledged_by"]) == (200, ["PT"])
    assert await listed(driver, "PT") == []
    assert [one["acknowledged_by"] for one in await listed(driver, "DK")] == [["PT"]]
    response = await driver.http.post(path, headers=driver.token(Role.CONTACT_POINT, country="DE"))
    assert (response.status_code, response.json()["rule"]) == (404, "unknown_alert")


async def test_alerts_are_for_contact_points(driver: Driver):
    for token in (driver.token(Role.COMPANY, HOST), driver.token(Role.OPERATOR)):
        assert (await driver.http.get("/alerts", headers=token)).status_code == 403
    assert (await driver.http.get("/alerts")).status_code == 401


async def test_a_listing_of_alerts_is_bounded_and_its_pages_follow_each_other(driver: Driver):
    asked = during.ask(given.ongoing(), ASKS)[0]
    doubtful = asked
    for party in (given.Party.HOST, given.Party.TRAVELLER):
        doubtful, _ = during.say_if_it_fits(doubtful, party, False, ASKS)
    await stands_at(driver, doubtful)
    token = driver.token(Role.CONTACT_POINT, country="PT")
    first = await driver.http.get("/alerts?limit=1", headers=token)
    second = await driver.http.get(first.links["next"]["url"], headers=token)
    assert {one["raised_by"] for one in (*first.json(), *second.json())} == {"host", "sender"}
    assert "next" not in second.links


async def test_an_alert_goes_with_its_exchange(driver: Driver):
    asked = during.ask(given.ongoing(), ASKS)[0]
    await stands_at(driver, during.say_if_it_fits(asked, given.Party.HOST, False, ASKS)[0])
    await driver.erase(type(given.proposal()), MATCH)
    assert await listed(driver, "PT") == []
    assert await driver.rows("select exchange_id from held_days") == []
