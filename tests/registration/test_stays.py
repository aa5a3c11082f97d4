"""Placements and hosting offers that rest, come back and end, and whether a company is still interested."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from registration.main import service
from sojourn_contracts.company import CompanyUpdated

from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving
from tests.registration.forms import company_form, named, offer_form
from tests.registration.lives import Life, drafted, submitted

YEAR, MONTH = timedelta(days=365), timedelta(days=30)
WINDOW = {"first": "2026-06-01", "last": "2026-10-31"}


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    return await driving(service)


@pytest.fixture
async def life(driver: Driver) -> Life:
    return await submitted(driver)


def offer_of(life: Life) -> str:
    return life.made["offers"][0]["offer_id"]


async def told(driver: Driver) -> tuple[int, int]:
    """How many placements and offers others know of."""
    event: Any = (await driver.emitted())[-1]
    return len(event.placements), len(event.offers)


async def notices(driver: Driver, template: str) -> int:
    [row] = await driver.rows("select count(*) as n from notice where template = $1", template)
    return row["n"]


async def test_a_paused_offer_is_not_told_of_until_it_is_renewed_with_another_window(driver: Driver, life: Life):
    path = f"stays/{offer_of(life)}"
    for _ in range(2):
        assert (await life.post(f"{path}/pause")).status_code == 200
    assert await told(driver) == (1, 0)
    assert len(await driver.emitted()) == 2, "told once"
    assert (await life.seen())["offers"][0]["state"] == "paused"
    for _ in range(2):
        assert (await life.post(f"{path}/renewal", {"window": WINDOW})).status_code == 200
    event = (await driver.emitted())[-1]
    assert isinstance(event, CompanyUpdated)
    assert event.offers[0].window.model_dump(mode="json") == WINDOW
    assert len(await driver.emitted()) == 3


async def test_a_closed_placement_stays_closed(driver: Driver, life: Life):
    path = f"stays/{life.made['placements'][0]['placement_id']}"
    for _ in range(2):
        assert (await life.post(f"{path}/closure")).status_code == 200
    assert await told(driver) == (0, 1)
    for what, body in (("pause", None), ("renewal", {"window": WINDOW})):
        answer = await life.post(f"{path}/{what}", body)
        assert (answer.status_code, answer.json()["rule"]) == (409, "stay_closed")


async def test_a_window_has_to_leave_time_for_the_shortest_stay(life: Life):
    path = f"stays/{offer_of(life)}/renewal"
    for window, wrong in (
        ({"first": "2026-06-01", "last": "2026-06-20"}, "window"),
        ({"first": "2025-06-01", "last": "2025-10-20"}, "window.last"),
        ({"first": "2026-06-01"}, "window.last"),
    ):
        answer = await life.post(path, {"window": window})
        assert (answer.status_code, set(named(answer.json()["errors"]))) == (422, {wrong})


async def test_only_stays_of_an_admitted_company_rest(driver: Driver, life: Life):
    unknown = await life.post(f"stays/{uuid4()}/pause")
    assert (unknown.status_code, unknown.json()["rule"]) == (404, "unknown_stay")
    draft = await drafted(driver, "another-key-of-sixteen")
    answer = await draft.post(f"stays/{offer_of(draft)}/pause")
    assert (answer.status_code, answer.json()["rule"]) == (409, "company_draft")


async def test_what_rests_does_so_through_an_edit(driver: Driver, life: Life):
    await life.post(f"stays/{offer_of(life)}/pause")
    kept = offer_form(offer_id=offer_of(life), capacity=5)
    await life.put(company_form(offers=[kept, offer_form()]))
    assert await told(driver) == (1, 1)


async def test_once_a_year_a_company_is_asked_and_silence_closes_its_stays(driver: Driver, life: Life):
    await driver.run_due(NOON + YEAR - timedelta(days=1))
    assert await notices(driver, "still_interested") == 0
    await driver.run_due(NOON + YEAR)
    assert await notices(driver, "still_interested") == 1
    await driver.run_due(NOON + YEAR + MONTH - timedelta(days=1))
    assert await told(driver) == (1, 1)
    await driver.run_due(NOON + YEAR + MONTH)
    assert await told(driver) == (0, 0)
    assert (await life.seen())["status"] == "admitted"
    assert (await life.commands())[-1] == ("close_stays", "programme")


async def test_who_is_still_interested_says_so_and_is_asked_again_a_year_later(driver: Driver, life: Life):
    await driver.run_due(NOON + YEAR)
    for _ in range(2):
        assert (await life.post("interest")).status_code == 204
    await driver.run_due(NOON + 2 * YEAR - timedelta(days=1))
    assert await told(driver) == (1, 1)
    assert await notices(driver, "still_interested") == 1
    await driver.run_due(NOON + 2 * YEAR)
    assert await notices(driver, "still_interested") == 2


async def test_who_changes_something_shows_interest(driver: Driver, life: Life):
    await driver.run_due(NOON + YEAR)
    await life.post(f"stays/{offer_of(life)}/pause")
    await driver.run_due(NOON + YEAR + MONTH)
    assert await told(driver) == (1, 0)


async def test_who_left_is_not_asked(driver: Driver, life: Life):
    await life.post("withdrawal", {"reason": "left"})
    await driver.run_due(NOON + 2 * YEAR)
    assert await notices(driver, "still_interested") == 0


async def test_a_company_is_told_what_was_decided(driver: Driver, life: Life):
    other = await submitted(driver, "another-key-of-sixteen", learning_only=False)
    await other.decide("needs_changes")
    third = await submitted(driver, "a-third-key-of-sixteen", learning_only=False)
    await third.decide("reject")
    assert [await notices(driver, each) for each in ("admitted", "needs_changes", "rejected")] == [1, 1, 1]
