"""The HTTP API on a real database: who may do and see what, when, and what a wrong request is told."""

from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from chassis.identity import Role
from exchange import api, during
from exchange.state import Exchange
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated, Stage
from sojourn_contracts.match import MatchDeclined
from sojourn_contracts.vocabulary import Party, Side

from tests.chassis_driver import Driver
from tests.exchange import given
from tests.exchange.given import (
    AFTER,
    ASKS,
    DAY,
    EXPIRES,
    FIRST,
    HOST,
    LAST,
    MATCH,
    SENDER,
    STARTS,
    STRANGER,
    TRAVELLER,
    id_of,
)
from tests.exchange.world import held, stands_at

PATH = f"/exchanges/{MATCH}"
PART = {"first_day": FIRST.isoformat(), "last_day": LAST.isoformat()}
ITEM = {"learner": "traveller", "skills": ["cheese-making"], "hours": 40, "given_by": "host"}
AGREEMENT = {
    "goals": "Learns how the dairy works.",
    "training": [ITEM],
    "tasks": ["Follows a batch from the milk to the shelf"],
    "working_language": "en",
    "parts": [PART],
    "workplace": "The dairy at the harbour",
    "supervision": "The master cheese-maker, daily",
    "insurance": {"health": "sender", "accident": "sender", "liability": "host"},
}
DELIVERED = {"hours": 5, "given_by": "host"}
RECORD = f"training-record/{FIRST}/cheese-making"
PUTS = ("agreement", "arrival", "fit", "training-record")


def company(driver: Driver, company_id: UUID) -> dict[str, str]:
    return driver.token(Role.COMPANY, company_id)


def traveller(driver: Driver, person_id: UUID = TRAVELLER) -> dict[str, str]:
    return driver.token(Role.TRAVELLER, SENDER, person_id)


async def post(driver: Driver, command: str, token: dict[str, str], body: object = None) -> httpx.Response:
    method = "PUT" if command.partition("/")[0] in PUTS else "POST"
    return await driver.http.request(method, f"{PATH}/{command}", headers=token, json=body)


ASKED = during.ask(given.ongoing(), ASKS)[0]


def now_for(command: str, exchange: Exchange) -> datetime:
    return NOWS.get(command, given.NOON if exchange.stage.rank < Stage.ONGOING.rank else ASKS)


COMMANDS: list[tuple[str, Any, Exchange]] = [
    ("acceptance", None, given.proposed()),
    ("decline", {"reason": "dates"}, given.proposed()),
    ("agreement", AGREEMENT, given.accepted()),
    ("signatures", {"version": 1}, given.drafted()),
    ("arrival", {"day": FIRST.isoformat()}, given.ongoing()),
    ("fit", {"fits": False}, ASKED),
    (RECORD, DELIVERED, given.ongoing()),
    ("interruption", {"reason": "illness"}, given.ongoing()),
    ("resumption", None, given.interrupted()),
    ("early-end", None, given.ongoing()),
    ("completion", None, given.trained()),
    ("cancellation", {"reason": "illness"}, given.agreed()),
]
NOWS = {"completion": AFTER, "early-end": STARTS + 20 * DAY, "resumption": STARTS + 22 * DAY}
FOR_TRAVELLERS = {"signatures", "arrival", "fit", RECORD, "interruption", "resumption"}
BY_COMMAND = pytest.mark.parametrize(("command", "body", "exchange"), COMMANDS, ids=[name for name, _, _ in COMMANDS])


async def test_an_exchange_goes_from_its_proposal_to_its_completion(driver: Driver):
    await stands_at(driver, given.proposed())
    sender, host = company(driver, SENDER), company(driver, HOST)

    async def does(command: str, token: dict[str, str], body: object = None) -> dict[str, Any]:
        response = await post(driver, command, token, body)
        assert response.status_code == 200, response.text
        return response.json()

    assert (await does("acceptance", sender))["stage"] == "proposed"
    assert (await does("acceptance", host))["stage"] == "accepted"
    view = await does("agreement", sender, AGREEMENT)
    assert (view["stage"], view["agreement_version"], view["allowance_cents"]) == ("drafted", 1, 102_667)
    await does("signatures", sender, {"version": 1})
    await does("signatures", traveller(driver), {"version": 1})
    view = await does("signatures", host, {"version": 1})
    assert (view["stage"], view["signed_by"]) == ("agreed", ["sender", "host", "traveller"])
    await driver.run_due(STARTS)
    await does("arrival", traveller(driver), {"day": FIRST.isoformat()})
    await does("arrival", host, {"day": FIRST.isoformat()})
    view = await does(RECORD, host, DELIVERED)
    assert (view["stage"], view["training_hours"]) == ("ongoing", 5)
    assert [arrival["side"] for arrival in view["stay"]["arrivals"]] == ["sender", "host"]
    driver.clock.now_is(AFTER)
    assert (await does("completion", host))["stage"] == "ongoing"
    view = await does("completion", sender)
    assert (view["stage"], view["training_hours"], view["ended_by"]) == ("completed", 5, "sender")
    assert (view["days"], view["counted_days"], view["stay"]["confirmed_by"]) == (28, 28, ["sender", "host"])

    emitted = await driver.emitted()
    assert [type(event) for event in emitted] == [ExchangeUpdated] * 5 + [
        ExchangeAgreed,
        *[ExchangeUpdated] * 5,
        ExchangeCompleted,
    ]
    assert [event.model_dump()["revision"] for event in emitted] == list(range(2, 14))
    assert view["revision"] == 13


@BY_COMMAND
async def test_a_command_done_twice_is_done_once(driver: Driver, command: str, body: object, exchange: Exchange):
    await stands_at(driver, exchange)
    driver.clock.now_is(now_for(command, exchange))
    first = await post(driver, command, company(driver, HOST), body)
    second = await post(driver, command, company(driver, HOST), body)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert len(await driver.emitted()) == 1


@pytest.mark.parametrize(
    ("command", "body", "exchange", "event"),
    [
        ("decline", {"reason": "capacity"}, given.drafted(), MatchDeclined),
        ("cancellation", {"reason": "business"}, given.ongoing(), ExchangeCancelled),
    ],
)
async def test_an_exchange_that_is_called_off_says_so(
    driver: Driver, command: str, body: dict[str, str], exchange: Exchange, event: type
):
    await stands_at(driver, exchange)
    view = (await post(driver, command, company(driver, SENDER), body)).json()
    assert (view["ended_by"], view["reason"], view["ended_at_stage"]) == ("sender", body["reason"], exchange.stage)
    assert [type(emitted) for emitted in await driver.emitted()] == [event]


@BY_COMMAND
async def test_without_a_token_nothing_can_be_done(driver: Driver, command: str, body: object, exchange: Exchange):
    await stands_at(driver, exchange)
    response = await post(driver, command, {}, body)
    assert (response.status_code, response.json()["rule"]) == (401, "token_missing")
    assert await held(driver) == exchange


@BY_COMMAND
async def test_another_company_can_do_nothing(driver: Driver, command: str, body: object, exchange: Exchange):
    await stands_at(driver, exchange)
    driver.clock.now_is(now_for(command, exchange))
    response = await post(driver, command, company(driver, STRANGER), body)
    assert (response.status_code, response.json()["rule"]) == (403, "not_your_exchange")
    assert await held(driver) == exchange


@BY_COMMAND
async def test_a_traveller_signs_and_takes_part_in_the_stay(
    driver: Driver, command: str, body: object, exchange: Exchange
):
    await stands_at(driver, exchange)
    driver.clock.now_is(now_for(command, exchange))
    response = await post(driver, command, traveller(driver), body)
    if command in FOR_TRAVELLERS:
        assert response.status_code == 200
        assert response.json()["revision"] == exchange.revision + 1
    else:
        assert (response.status_code, response.json()["rule"]) == (403, "wrong_role")
        assert await held(driver) == exchange


@BY_COMMAND
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ANALYST, Role.CONTACT_POINT])
async def test_nobody_acts_for_the_parties(driver: Driver, command: str, body: object, exchange: Exchange, role: Role):
    await stands_at(driver, exchange)
    country = "DE" if role is Role.CONTACT_POINT else None
    assert (await post(driver, command, driver.token(role, country=country), body)).status_code == 403
    assert await held(driver) == exchange


@BY_COMMAND
async def test_an_unknown_exchange_is_not_found(driver: Driver, command: str, body: object, exchange: Exchange):
    response = await post(driver, command, company(driver, HOST), body)
    assert (response.status_code, response.json()["rule"]) == (404, "unknown_exchange")


@pytest.mark.parametrize(
    ("command", "body", "exchange", "rule"),
    [
        ("acceptance", None, given.declined(), "ended"),
        ("decline", {"reason": "dates"}, given.agreed(), "too_late"),
        ("agreement", AGREEMENT, given.proposed(), "too_early"),
        ("signatures", {"version": 1}, given.accepted(), "too_early"),
        ("signatures", {"version": 2}, given.drafted(), "stale_version"),
        ("completion", None, given.ongoing(), "not_over_yet"),
        ("fit", {"fits": True}, given.ongoing(), "not_asked_yet"),
        ("arrival", {"day": FIRST.isoformat()}, given.agreed(), "too_early"),
        (RECORD, DELIVERED, given.agreed(), "too_early"),
        ("interruption", {"reason": "family"}, given.agreed(), "too_early"),
        ("resumption", None, given.ongoing(), "too_early"),
        ("early-end", None, given.drafted(), "too_early"),
        ("cancellation", {"reason": "dates"}, given.drafted(), "too_early"),
    ],
)
async def test_a_stage_that_does_not_allow_it_names_the_rule(
    driver: Driver, command: str, body: object, exchange: Exchange, rule: str
):
    await stands_at(driver, exchange)
    response = await post(driver, command, company(driver, HOST), body)
    assert (response.status_code, response.json()["rule"]) == (409, rule)
    assert response.headers["content-type"] == "application/problem+json"
    assert await held(driver) == exchange
    assert await driver.emitted() == []


async def test_a_proposal_cannot_be_accepted_from_its_expiry_on(driver: Driver):
    await stands_at(driver, given.proposed())
    driver.clock.now_is(EXPIRES)
    response = await post(driver, "acceptance", company(driver, HOST))
    assert (response.status_code, response.json()["rule"]) == (409, "expired")


async def test_a_signature_under_a_version_that_was_replaced_is_refused(driver: Driver):
    await stands_at(driver, given.signed_by(Party.TRAVELLER, Party.HOST))
    shorter = AGREEMENT | {"parts": [PART | {"last_day": "2026-05-24"}]}
    assert (await post(driver, "agreement", company(driver, HOST), shorter)).json()["signed_by"] == []
    response = await post(driver, "signatures", company(driver, SENDER), {"version": 1})
    assert (response.status_code, response.json()["rule"]) == (409, "stale_version")
    assert response.json()["current_version"] == 2


@pytest.mark.parametrize(
    ("command", "body", "paths"),
    [
        ("decline", {"reason": "mood"}, ["reason"]),
        ("decline", {}, ["reason"]),
        ("cancellation", {"reason": "company_gone"}, ["reason"]),
        ("signatures", {"version": 0}, ["version"]),
        ("signatures", {"version": "one", "as": "host"}, ["version", "as"]),
        ("arrival", {"day": "yesterday"}, ["day"]),
        ("fit", {}, ["fits"]),
        ("interruption", {"reason": "boredom"}, ["reason"]),
        (RECORD, {"hours": 13, "given_by": "ana"}, ["hours", "given_by"]),
        ("training-record/soon/Käse", DELIVERED, ["path.day", "path.skill"]),
        ("agreement", {}, list(AGREEMENT)),
        (
            "agreement",
            AGREEMENT
            | {
                "parts": [{"first_day": "soon", "last_day": "2026-13-01"}],
                "training": [{"learner": "both", "skills": "all", "hours": 0, "given_by": "host"}],
                "goals": " ",
                "tasks": ["\u0000"],
                "working_language": "English",
                "insurance": {"health": "nobody"},
            },
            [
                "goals",
                "training.0.learner",
                "training.0.skills",
                "training.0.hours",
                "tasks.0",
                "working_language",
                "parts.0.first_day",
                "parts.0.last_day",
                "insurance.health",
                "insurance.accident",
                "insurance.liability",
            ],
        ),
        (
            "agreement",
            AGREEMENT
            | {
                "parts": [{"first_day": "2026-03-01", "last_day": "2026-08-01"}],
                "training": [ITEM | {"skills": ["brewing", "\u0000", "no-such-skill"]}],
            },
            [
                "parts.0.last_day",
                "parts.0.first_day",
                "parts.0.last_day",
                "training.0.skills.1",
                "training.0.skills.2",
            ],
        ),
        ("agreement", AGREEMENT | {"training": [ITEM | {"skills": ["brewing"] * 1_000}]}, ["training.0.skills"]),
    ],
)
async def test_every_wrong_field_is_named_and_nothing_stored(
    driver: Driver, command: str, body: object, paths: list[str]
):
    await stands_at(driver, given.accepted())
    response = await post(driver, command, company(driver, HOST), body)
    assert response.status_code == 422
    assert [error["path"] for error in response.json()["errors"]] == paths
    assert await held(driver) == given.accepted()


async def test_a_wrong_date_is_told_what_is_allowed(driver: Driver):
    await stands_at(driver, given.accepted())
    short = AGREEMENT | {"parts": [PART | {"last_day": "2026-05-10"}]}
    response = await post(driver, "agreement", company(driver, HOST), short)
    assert response.json()["errors"] == [
        {
            "path": "parts.0.last_day",
            "detail": "makes a stay of 7 days",
            "allowed": "21 to 45 days in all, first and last included",
        }
    ]


async def test_the_parties_and_operators_see_an_exchange_and_nobody_else_does(driver: Driver):
    await stands_at(driver, given.accepted_by(Side.HOST))

    async def answer(token: dict[str, str]) -> int:
        return (await driver.http.get(PATH, headers=token)).status_code

    portugal, germany = (driver.token(Role.CONTACT_POINT, country=country) for country in ("PT", "DE"))
    for token in (
        company(driver, SENDER),
        company(driver, HOST),
        traveller(driver),
        portugal,
        driver.token(Role.OPERATOR),
    ):
        assert await answer(token) == 200
    for token in (company(driver, STRANGER), traveller(driver, STRANGER), germany, driver.token(Role.ANALYST)):
        assert await answer(token) == 403
    assert await answer({}) == 401


async def test_a_view_is_the_whole_state(driver: Driver):
    await stands_at(driver, given.accepted_by(Side.HOST))
    view = (await driver.http.get(PATH, headers=company(driver, HOST))).json()
    assert view["exchange_id"] == str(MATCH)
    assert (view["stage"], view["revision"], view["accepted_by"]) == ("proposed", 2, ["host"])
    assert (view["window"], view["min_days"]) == ({"first": "2026-04-01", "last": "2026-07-31"}, 21)
    assert view["open_until"] == "2026-03-16T12:00:00Z"
    assert (view["agreement_version"], view["first_day"], view["allowance_cents"]) == (0, None, None)


async def test_everybody_lists_their_own(driver: Driver):
    await stands_at(driver, given.proposed())
    elsewhere = given.proposal("elsewhere", sender_id=STRANGER, host_id=id_of("another"))
    second = given.proposal("second")
    await driver.handle(elsewhere, second)

    async def ids(token: dict[str, str], query: str = "") -> set[str]:
        return {view["exchange_id"] for view in (await driver.http.get(f"/exchanges{query}", headers=token)).json()}

    assert await ids(company(driver, SENDER)) == {str(MATCH), str(second.match_id)}
    assert await ids(company(driver, HOST)) == {str(MATCH), str(second.match_id)}
    assert await ids(company(driver, STRANGER)) == {str(elsewhere.match_id)}
    assert await ids(traveller(driver)) == {str(MATCH)}
    assert await ids(traveller(driver, id_of("nobody"))) == set()
    assert len(await ids(driver.token(Role.OPERATOR))) == 3
    assert len(await ids(driver.token(Role.CONTACT_POINT, country="DK"))) == 3
    assert await ids(driver.token(Role.CONTACT_POINT, country="DE")) == set()
    assert await ids(driver.token(Role.OPERATOR), "?stage=accepted") == set()
    assert (await driver.http.get("/exchanges", headers=driver.token(Role.ANALYST))).status_code == 403
    assert (await driver.http.get("/exchanges")).status_code == 401


async def test_a_listing_is_bounded_and_its_pages_follow_each_other(driver: Driver):
    matches = [given.proposal(f"match {number}") for number in range(5)]
    await driver.handle(*matches)
    operator = driver.token(Role.OPERATOR)
    seen: list[str] = []
    following = "/exchanges?stage=proposed&limit=2"
    while following:
        response = await driver.http.get(following, headers=operator)
        assert len(response.json()) <= 2
        seen += [view["exchange_id"] for view in response.json()]
        following = response.links["next"]["url"] if "next" in response.links else ""
    assert seen == sorted(str(match.match_id) for match in matches)
    too_many = await driver.http.get(f"/exchanges?limit={api.MOST_AT_ONCE + 1}", headers=operator)
    assert too_many.status_code == 422
    assert (await driver.http.get("/exchanges?stage=dreaming", headers=operator)).status_code == 422


async def test_an_erased_exchange_is_not_found(driver: Driver):
    await stands_at(driver, given.agreed())
    await driver.erase(type(given.proposal()), MATCH)
    assert (await driver.http.get(PATH, headers=company(driver, HOST))).status_code == 404
    assert Stage.AGREED not in {row["stage"] for row in await driver.rows("select stage from exchange")}
