"""Contact points validate what all three have signed, where the programme asks for it: with what they may say, and when."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from chassis.identity import Role
from chassis.settings import SettingsError, load
from exchange import domain
from exchange.main import service
from exchange.settings import ExchangeSettings
from laptop.roles import Database
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeUpdated, Stage
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import Party

from tests import chassis_driver
from tests.chassis_driver import Driver
from tests.exchange import given
from tests.exchange.conftest import emptied
from tests.exchange.given import DAY, LONGER, MATCH, NOON, SENDER, STARTS, TRAVELLER
from tests.exchange.test_api import AGREEMENT
from tests.exchange.world import stands_at


def test_nobody_is_asked_unless_the_settings_name_a_country_of_the_two():
    for validating in ("", "DE FR"):
        assert given.signed(given.drafted(validating=validating)).stage is Stage.AGREED


def test_what_all_have_signed_waits_for_the_contact_points_and_is_not_agreed_before():
    waiting = given.signed(given.drafted(validating="PT DK"), Party.HOST, Party.TRAVELLER)
    exchange, events = domain.sign(waiting, Party.SENDER, 1, NOON)
    assert (exchange.stage, exchange.drafted.awaits) == (Stage.IN_VALIDATION, ("PT", "DK"))
    assert [type(event) for event in events] == [ExchangeUpdated]
    exchange, events = domain.approve(exchange, "DK", 1, NOON)
    assert (exchange.stage, exchange.drafted.awaits) == (Stage.IN_VALIDATION, ("PT",))
    assert [type(event) for event in events] == [ExchangeUpdated]
    assert domain.approve(exchange, "DK", 1, NOON) == (exchange, [])
    exchange, events = domain.approve(exchange, "PT", 1, NOON)
    assert exchange.stage is Stage.AGREED
    assert [type(event) for event in events] == [ExchangeAgreed]
    assert domain.approve(exchange, "PT", 1, NOON) == (exchange, [])


def test_one_country_is_enough_if_the_settings_say_so():
    exchange, _ = domain.approve(given.in_validation("DK"), "DK", 1, NOON)
    assert exchange.stage is Stage.AGREED
    with pytest.raises(NotYours):
        domain.approve(given.in_validation("DK"), "PT", 1, NOON)


def test_what_is_sent_back_takes_a_new_version():
    back, events = domain.send_back(given.in_validation(), "PT", 1, "Who insures her?", NOON)
    assert (back.stage, back.drafted.sent_back) == (Stage.DRAFTED, True)
    assert [type(event) for event in events] == [ExchangeUpdated]
    assert "insures" not in events[0].model_dump_json()
    assert domain.send_back(back, "PT", 1, "Who insures her?", NOON) == (back, [])
    with pytest.raises(Refused, match="too_early"):
        domain.approve(back, "DK", 1, NOON)
    again, _ = given.draft(back, given.TERMS, NOON, validating="PT DK")
    assert (again.agreement_version, again.drafted.signed_by, again.drafted.sent_back) == (2, (), False)


def test_a_second_contact_point_is_told_that_its_remarks_come_too_late():
    back, _ = domain.send_back(given.in_validation(), "PT", 1, "Who insures her?", NOON)
    with pytest.raises(Refused, match="too_early"):
        domain.send_back(back, "DK", 1, "Name the trainer.", NOON)
    one, _ = domain.send_back(given.in_validation("PT"), "PT", 1, "Who insures her?", NOON)
    with pytest.raises(NotYours):
        domain.send_back(one, "DK", 1, "Name the trainer.", NOON)


def test_nobody_signs_what_was_sent_back():
    drafted = given.in_validation()
    two = replace(drafted.drafted, signatures=drafted.drafted.signatures[:2])
    back = domain.send_back(drafted, "PT", 1, "No", NOON)[0]
    back = replace(back, agreement=replace(two, reviews=back.drafted.reviews))
    with pytest.raises(Refused, match="sent_back"):
        domain.sign(back, Party.TRAVELLER, 1, NOON)


def test_who_approved_does_not_send_back():
    approved, _ = domain.approve(given.in_validation(), "PT", 1, NOON)
    with pytest.raises(Refused, match="approved"):
        domain.send_back(approved, "PT", 1, "No", NOON)


def test_the_companies_may_draft_another_version_while_the_contact_points_look_at_one():
    exchange, _ = given.draft(given.in_validation(), given.OTHER_TERMS, NOON, validating="PT DK")
    assert (exchange.stage, exchange.agreement_version) == (Stage.DRAFTED, 2)
    with pytest.raises(Refused, match="stale_version"):
        domain.approve(exchange, "PT", 1, NOON)
    with pytest.raises(Refused, match="too_early"):
        domain.approve(exchange, "PT", 2, NOON)


def test_nothing_is_approved_after_its_first_day():
    with pytest.raises(Refused, match="first_day_passed"):
        domain.approve(given.in_validation(), "PT", 1, STARTS + DAY)


def test_an_extension_is_validated_while_the_stay_goes_on():
    drafted, _ = given.draft(given.ongoing(), LONGER, STARTS + DAY, validating="PT DK")
    with pytest.raises(Refused, match="not_signed"):
        domain.approve(drafted, "PT", 2, STARTS + DAY)
    signed = given.signed(drafted, now=STARTS + DAY)
    assert (signed.stage, signed.agreement_version) == (Stage.ONGOING, 1)
    extended = domain.approve(domain.approve(signed, "PT", 2, STARTS + DAY)[0], "DK", 2, STARTS + DAY)[0]
    assert (extended.stage, extended.agreement_version, extended.amendment) == (Stage.ONGOING, 2, None)
    back, _ = domain.send_back(signed, "PT", 2, "Too long", STARTS + DAY)
    assert (back.stage, back.agreement_version) == (Stage.ONGOING, 1)
    with pytest.raises(Refused, match="sent_back"):
        domain.approve(back, "DK", 2, STARTS + DAY)


def test_the_setting_takes_codes_of_countries(monkeypatch: pytest.MonkeyPatch):
    for name, value in (
        ("DATABASE_URL", "postgresql://exchange@db/sojourn"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092"),
        ("JWKS", "jwks.json"),
        ("VALIDATING_COUNTRIES", "DE  PT"),
    ):
        monkeypatch.setenv(name, value)
    assert load(ExchangeSettings).rules.validating == {"DE", "PT"}
    monkeypatch.setenv("VALIDATING_COUNTRIES", "Germany")
    with pytest.raises(SettingsError, match="VALIDATING_COUNTRIES: should be ISO 3166-1 alpha-2 codes"):
        load(ExchangeSettings)


@pytest.fixture
async def validating(exchange_database: Database, tmp_path: Any) -> AsyncIterator[Driver]:
    """A process whose programme has agreements validated by Portugal and Denmark."""
    url = exchange_database.url(service.name)
    async with chassis_driver.driving(service, url, tmp_path, validating_countries="PT DK") as driver:
        await emptied(driver)
        yield driver


async def test_an_agreement_is_sent_back_drafted_anew_and_approved_and_all_of_it_is_kept(validating: Driver):
    driver = validating
    await stands_at(driver, given.accepted())
    tokens = {
        "sender": driver.token(Role.COMPANY, SENDER),
        "host": driver.token(Role.COMPANY, given.HOST),
        "traveller": driver.token(Role.TRAVELLER, SENDER, TRAVELLER),
        "PT": driver.token(Role.CONTACT_POINT, country="PT"),
        "DK": driver.token(Role.CONTACT_POINT, country="DK"),
        "DE": driver.token(Role.CONTACT_POINT, country="DE"),
    }

    async def asks(who: str, method: str, path: str, body: object = None) -> httpx.Response:
        return await driver.http.request(method, f"/exchanges/{MATCH}{path}", headers=tokens[who], json=body)

    async def signed_by_all(version: int) -> dict[str, Any]:
        for who in ("sender", "host", "traveller"):
            response = await asks(who, "POST", "/signatures", {"version": version})
            assert response.status_code == 200, response.text
        return response.json()

    await asks("host", "PUT", "/agreement", AGREEMENT)
    view = await signed_by_all(1)
    assert (view["stage"], view["awaits_approval_of"]) == ("in_validation", ["PT", "DK"])
    no = await asks("DE", "POST", "/approval", {"version": 1})
    assert (no.status_code, no.json()["rule"]) == (403, "not_your_exchange")
    no = await asks("sender", "POST", "/approval", {"version": 1})
    assert (no.status_code, no.json()["rule"]) == (403, "wrong_role")
    empty = await asks("PT", "POST", "/sending-back", {"version": 1, "remarks": " "})
    assert (empty.status_code, empty.json()["errors"][0]["path"]) == (422, "remarks")
    await asks("PT", "POST", "/approval", {"version": 1})
    view = (await asks("DK", "POST", "/sending-back", {"version": 1, "remarks": "Name the trainer."})).json()
    assert (view["stage"], view["latest_sent_back"]) == ("drafted", True)
    await asks("sender", "PUT", "/agreement", AGREEMENT | {"supervision": "The trainer of the dairy"})
    await signed_by_all(2)
    stale = await asks("DK", "POST", "/approval", {"version": 1})
    assert (stale.status_code, stale.json()["rule"], stale.json()["current_version"]) == (409, "stale_version", 2)
    await asks("DK", "POST", "/approval", {"version": 2})
    assert (await asks("PT", "POST", "/approval", {"version": 2})).json()["stage"] == "agreed"
    assert [type(event) for event in await driver.emitted()].count(ExchangeAgreed) == 1

    first, second = (await asks("DK", "GET", "/agreement/versions")).json()
    assert (first["version"], first["state"], second["state"]) == (1, "former", "in_force")
    assert [one["by"] for one in first["signatures"]] == ["sender", "host", "traveller"]
    assert [one["content_hash"] for one in first["signatures"]] == [first["content_hash"]] * 3
    assert first["signatures"][2]["person_id"] == str(TRAVELLER)
    assert [(one["country"], one["approved"], one["remarks"]) for one in first["reviews"]] == [
        ("PT", True, ""),
        ("DK", False, "Name the trainer."),
    ]
    assert first["content"] == AGREEMENT
    assert second["content"]["supervision"] == "The trainer of the dairy"
    assert first["content_hash"] != second["content_hash"]
    assert (await asks("DE", "GET", "/agreement/versions")).status_code == 403
    told = "".join(row["data"] for row in await driver.rows("select data from outbox"))
    assert "trainer" not in told
