"""Who may call which route: all of it in one table. A route that is not in the table fails the test."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest
from chassis.identity import Role
from fastapi.routing import APIRoute
from sojourn_contracts.catalogue import TABLE
from sojourn_contracts.schemas import published

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.http.seeds import SEEDED, Seeded

ANYBODY = frozenset({None, *Role})
"""Without a token as well."""
SOMEBODY = frozenset(Role)
"""With a token of any role: it is about themselves."""
COMPANY = frozenset({Role.COMPANY, Role.COMPANY_ADMIN})
TRAVELLER = frozenset({Role.TRAVELLER})
CONTACT_POINT = frozenset({Role.CONTACT_POINT})
OPERATOR = frozenset({Role.OPERATOR})
ANALYST = frozenset({Role.ANALYST})
EVALUATOR = frozenset({Role.EVALUATOR})
READER = frozenset({Role.SUBSCRIBER, Role.OPERATOR, Role.ANALYST})
"""Of events; which topics is the feed's own test."""
STAFF = frozenset({Role.CONTACT_POINT, Role.OPERATOR})
PARTIES = COMPANY | TRAVELLER

PERSON = PARTIES | OPERATOR
ADMIN = frozenset({Role.COMPANY_ADMIN}) | OPERATOR
FEED = {"GET /events": READER, "GET /events/snapshot": READER, "GET /events/stream": READER}
"""Of every service."""
EXPORT = {"GET /export/people/{person_id}": PERSON, "GET /export/companies/{company_id}": ADMIN}
"""Of every service: a person's for themself, a company's for its admin."""
CONTRACT = {
    "GET /contracts/": ANYBODY,
    "GET /contracts/asyncapi.yaml": ANYBODY,
    "GET /contracts/published/{event}/{version}.json": ANYBODY,
    "GET /contracts/examples/{event}.json": ANYBODY,
}
"""Of every service, since the schemas' ids are paths."""
KEYS = {"GET /.well-known/manifest-keys.json": ANYBODY}
"""Of every service: what its manifests are verified by."""

MAY: dict[str, dict[str, frozenset[Role | None]]] = {
    "registration": {
        **EXPORT,
        **CONTRACT,
        **FEED,
        **KEYS,
        "POST /people/{person_id}/erasure": PERSON,
        "POST /companies/{company_id}/erasure": ADMIN,
        "GET /erasures/{erasure_id}": ANYBODY,
        "GET /erasures": OPERATOR,
        "POST /companies": ANYBODY,
        "GET /companies/{company_id}": COMPANY | STAFF,
        "PUT /companies/{company_id}": COMPANY | OPERATOR,
        "POST /companies/{company_id}/submission": COMPANY | OPERATOR,
        "POST /companies/{company_id}/withdrawal": COMPANY | OPERATOR,
        "POST /companies/{company_id}/interest": COMPANY | OPERATOR,
        "POST /companies/{company_id}/stays/{stay_id}/pause": COMPANY | OPERATOR,
        "POST /companies/{company_id}/stays/{stay_id}/renewal": COMPANY | OPERATOR,
        "POST /companies/{company_id}/stays/{stay_id}/closure": COMPANY | OPERATOR,
        "POST /companies/{company_id}/decision": STAFF,
        "POST /companies/{company_id}/exclusion": STAFF,
        "GET /companies/{company_id}/decisions": STAFF,
        "GET /reviews": STAFF,
        "GET /companies/{company_id}/people": COMPANY | OPERATOR,
        "POST /companies/{company_id}/people": ADMIN,
        "PUT /companies/{company_id}/people/{person_id}/part": ADMIN,
        "DELETE /companies/{company_id}/people/{person_id}": ADMIN,
        "GET /people/{person_id}": SOMEBODY,
        "PUT /people/{person_id}": SOMEBODY,
        "DELETE /people/{person_id}/sessions": SOMEBODY,
        "POST /sign-in": ANYBODY,
        "POST /sessions": ANYBODY,
        "POST /sessions/refresh": ANYBODY,
        "DELETE /sessions/current": SOMEBODY,
        "POST /token": ANYBODY,
        "GET /sign-in/oidc": ANYBODY,
        "GET /sign-in/oidc/callback": ANYBODY,
        "GET /notices": OPERATOR,
        "GET /notices/counts": OPERATOR,
        "GET /notices/{notice_id}": OPERATOR,
        "POST /notices/{notice_id}/sending": OPERATOR,
        "GET /.well-known/jwks.json": ANYBODY,
        "GET /skills": ANYBODY,
        "GET /skills/{skill}": ANYBODY,
        "GET /taxonomy": ANYBODY,
    },
    "matching": {
        **EXPORT,
        **CONTRACT,
        **FEED,
        **KEYS,
        "GET /placements/{placement_id}/matches": COMPANY | OPERATOR,
        "GET /offers/{offer_id}/matches": COMPANY | OPERATOR,
        "GET /placements/{placement_id}/candidates": COMPANY | OPERATOR,
        "GET /offers/{offer_id}/candidates": COMPANY | OPERATOR,
        "POST /placements/{placement_id}/interest": COMPANY,
        "POST /offers/{offer_id}/interest": COMPANY,
        "GET /market": OPERATOR,
        "GET /market/report": OPERATOR,
    },
    "exchange": {
        **EXPORT,
        **CONTRACT,
        **FEED,
        **KEYS,
        "GET /exchanges": PARTIES | CONTACT_POINT | OPERATOR,
        "GET /exchanges/{exchange_id}": PARTIES | CONTACT_POINT | OPERATOR,
        "POST /exchanges/{exchange_id}/acceptance": COMPANY,
        "POST /exchanges/{exchange_id}/decline": COMPANY,
        "PUT /exchanges/{exchange_id}/agreement": COMPANY,
        "GET /exchanges/{exchange_id}/agreement/versions": PARTIES | CONTACT_POINT | OPERATOR,
        "POST /exchanges/{exchange_id}/signatures": PARTIES,
        "POST /exchanges/{exchange_id}/approval": CONTACT_POINT,
        "POST /exchanges/{exchange_id}/sending-back": CONTACT_POINT,
        "PUT /exchanges/{exchange_id}/arrival": PARTIES,
        "PUT /exchanges/{exchange_id}/fit": PARTIES,
        "PUT /exchanges/{exchange_id}/training-record/{day}/{skill}": PARTIES,
        "POST /exchanges/{exchange_id}/interruption": PARTIES,
        "POST /exchanges/{exchange_id}/resumption": PARTIES,
        "POST /exchanges/{exchange_id}/early-end": COMPANY,
        "POST /exchanges/{exchange_id}/completion": COMPANY,
        "POST /exchanges/{exchange_id}/cancellation": COMPANY,
        "GET /alerts": CONTACT_POINT,
        "POST /alerts/{alert_id}/acknowledgement": CONTACT_POINT,
        "GET /exchanges/{exchange_id}/agreement/{version}.pdf": PARTIES | OPERATOR,
        "GET /exchanges/{exchange_id}/certificate.pdf": PARTIES | OPERATOR,
        "GET /certificates/{code}": ANYBODY,
        "GET /exchanges/{exchange_id}/checklist": PARTIES | CONTACT_POINT | OPERATOR,
        "POST /exchanges/{exchange_id}/checklist/{item}/done": PARTIES,
        "DELETE /exchanges/{exchange_id}/checklist/{item}/done": PARTIES,
        "GET /risks": CONTACT_POINT | OPERATOR,
        "GET /payments": OPERATOR,
    },
    "survey": {
        **EXPORT,
        **CONTRACT,
        **FEED,
        **KEYS,
        "GET /invitations": PARTIES,
        "GET /invitations/{invitation_id}": PARTIES,
        "PUT /invitations/{invitation_id}/draft": PARTIES,
        "POST /invitations/{invitation_id}/submission": PARTIES,
        "POST /invitations/{invitation_id}/decline": PARTIES,
        "GET /remarks": EVALUATOR,
        "GET /questionnaires": ANYBODY,
        "GET /questionnaires/{version}": ANYBODY,
        "GET /evaluation": ANALYST | EVALUATOR | OPERATOR,
        "GET /evaluation/live": ANALYST | EVALUATOR | OPERATOR,
        "GET /evaluation/page": ANALYST | EVALUATOR | OPERATOR,
        "GET /evaluation/sign-in": ANYBODY,
        "POST /evaluation/sign-in": ANYBODY,
        "GET /figures": ANYBODY,
        "GET /figures/page": ANYBODY,
        "GET /submissions": READER,
    },
}
"""By service and route; whose company, stay or invitation it has to be is each route's own test."""

OPEN = {"GET /live", "GET /ready", "GET /metrics", "GET /status"}
"""To whoever reaches the port: a cluster's probes and its scraper."""


def routes(router: Any) -> Iterator[str]:
    """Those of an application or a router, and of all routers in it, whether or not its document shows them."""
    for route in router.routes:
        if included := getattr(route, "original_router", None):
            yield from routes(included)
        elif isinstance(route, APIRoute):
            yield from (f"{method} {route.path}" for method in sorted(route.methods))


def header(driver: Driver, seeded: Seeded, role: Role | None) -> dict[str, str]:
    if role is None:
        return {}
    return driver.token(
        role,
        company_id=seeded.company_id if role in COMPANY else None,
        person_id=seeded.traveller_id if role is Role.TRAVELLER else None,
        country="DE" if role is Role.CONTACT_POINT else None,
    )


async def refused(driver: Driver, route: str, token: dict[str, str]) -> bool:
    """Whether the caller is turned away for who they are, whatever else may be wrong with the request."""
    method, path = route.split(" ")
    somewhere = re.sub(r"\{[^}]*\}", str(uuid4()), path)
    body = {} if method in ("POST", "PUT", "PATCH") else None
    answer = await driver.http.request(method, somewhere, json=body, headers=token)
    assert answer.status_code < 500, answer.text
    if answer.status_code == 401:
        return True
    return answer.status_code == 403 and answer.json()["rule"] == "wrong_role"


@pytest.mark.parametrize("seeded", SEEDED, ids=lambda seeded: seeded.service.name)
async def test_each_route_is_for_those_in_the_table_and_for_nobody_else(driving: Driving, seeded: Seeded):
    driver = await driving(seeded.service)
    may = MAY[seeded.service.name]
    assert set(routes(driver.process.app)) - OPEN == set(may), "a route is missing from the table, or is there no more"
    wrong = [
        f"{route} for {role or 'nobody'}"
        for route, role in product(may, (None, *Role))
        if await refused(driver, route, header(driver, seeded, role)) is (role in may[route])
    ]
    assert wrong == []


@pytest.mark.parametrize("seeded", SEEDED, ids=lambda seeded: seeded.service.name)
async def test_every_service_has_the_contract_for_whoever_asks(driving: Driving, seeded: Seeded):
    driver = await driving(seeded.service)
    for topic in TABLE:
        path = f"/contracts/{published(topic.event)}"
        answer = await driver.http.get(path)
        assert (answer.status_code, answer.json()["$id"]) == (200, path)
    for path in ("/contracts/", "/contracts/asyncapi.yaml"):
        assert (await driver.http.get(path)).status_code == 200


async def test_a_token_of_one_company_is_not_good_for_another(driving: Driving):
    """As far as routes name a company; each service's own tests say the same of stays and invitations."""
    registration = next(each for each in SEEDED if each.service.name == "registration")
    driver = await driving(registration.service)
    await registration.seed(driver)
    [row, *_] = await driver.rows("select company_id from company")
    stranger = driver.token(Role.COMPANY_ADMIN, company_id=UUID(int=99))
    for method, path in (("GET", ""), ("PUT", ""), ("POST", "/withdrawal")):
        body = {"reason": "left"} if method == "POST" else {} if method == "PUT" else None
        answer = await driver.http.request(method, f"/companies/{row['company_id']}{path}", json=body, headers=stranger)
        assert (answer.status_code, answer.json()["rule"]) == (403, "not_your_company")
