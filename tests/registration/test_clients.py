"""How other systems get tokens: by their own secret, with the scopes of the grants and no others, for ten minutes."""

import asyncio
import json
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from chassis.identity import Role, verify
from chassis.transaction import Cause
from joserfc.jwk import OKPKey
from registration.clients import granted, secret
from registration.main import command, service
from typer.testing import CliRunner

from tests.chassis_driver import Driver
from tests.conftest import Driving

MINISTRY, INSTITUTE = "labour-ministry", "research-institute"
GRANTS = """
clients:
  labour-ministry:
    topics: [public]
    scopes: [events:CompanyRegistered, events:ExchangeCompleted]
  research-institute:
    scopes: [events:SurveySubmitted]
  only-kafka:
    topics: [public]
"""


@pytest.fixture
def grants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(granted, "REREAD", 0.0)
    file = tmp_path / "grants.yaml"
    file.write_text(GRANTS)
    return file


@pytest.fixture
async def driver(driving: Driving, grants: Path) -> Driver:
    return await driving(service, grants=grants, tokens_per_address=50)


async def a_secret(driver: Driver, client: str) -> str:
    async with driver.process.open_transaction(Cause()) as tx:
        return await secret.made(tx, client)


async def asked(driver: Driver, client: str, said: str, **more: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": said}
    return await driver.http.post("/token", data=form | more)


def basic(client: str, said: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{client}:{said}".encode()).decode()}


async def test_a_client_gets_a_token_with_the_scopes_that_it_is_granted_for_ten_minutes(driver: Driver):
    answer = await asked(driver, MINISTRY, await a_secret(driver, MINISTRY))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    scopes = {"events:CompanyRegistered", "events:ExchangeCompleted", "events:ManifestIssued"}
    assert (said["token_type"], said["expires_in"], set(said["scope"].split())) == ("Bearer", 600, scopes)
    caller = await verify(said["access_token"], driver.process.app.state.keys)
    assert (caller.role, caller.subject, caller.scopes) == (Role.SUBSCRIBER, MINISTRY, scopes)


async def test_the_secret_may_come_by_http_basic_and_some_of_the_scopes_may_be_asked_for(driver: Driver):
    said = basic(MINISTRY, await a_secret(driver, MINISTRY))
    form = {"grant_type": "client_credentials", "scope": "events:CompanyRegistered"}
    answer = await driver.http.post("/token", data=form, headers=said)
    assert answer.json()["scope"] == "events:CompanyRegistered"


async def test_a_scope_that_is_not_granted_is_refused_whole(driver: Driver):
    made = await a_secret(driver, MINISTRY)
    answer = await asked(driver, MINISTRY, made, scope="events:CompanyRegistered events:SurveySubmitted")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_who_is_not_known_learns_nothing_from_the_answer(driver: Driver):
    made = await a_secret(driver, MINISTRY)
    other = await a_secret(driver, "only-kafka")
    answers = [
        await asked(driver, MINISTRY, made + "x"),
        await asked(driver, MINISTRY, ""),
        await asked(driver, INSTITUTE, made),  # granted, but it never got a secret
        await asked(driver, INSTITUTE, ""),
        await asked(driver, "nobody", made),
        await asked(driver, "only-kafka", other),
        await asked(driver, "", ""),
        await driver.http.post("/token", data={"grant_type": "client_credentials"}, headers=basic("nobody", made)),
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[0].content)}
    assert answers[0].json()["error"] == "invalid_client"
    assert all(answer.headers["www-authenticate"].startswith("Basic") for answer in answers)


WRONG: list[tuple[str, dict[str, str], str]] = [
    ("grant_type=password&client_id=a&client_secret=b", {}, "unsupported_grant_type"),
    ("client_id=a&client_secret=b", {}, "invalid_request"),
    ("grant_type=client_credentials&client_id=a&client_id=b", {}, "invalid_request"),
    ("grant_type=client_credentials&client_secret=b", basic("a", "b"), "invalid_request"),
    ("grant_type=client_credentials&client_id=c", basic("a", "b"), "invalid_request"),
    ("grant_type=client_credentials", {"Authorization": "Bearer abc"}, "invalid_client"),
    ("grant_type=client_credentials", {"Authorization": "Basic \xe4"}, "invalid_client"),
    ("grant_type=client_credentials", {"Authorization": "Basic " + b64encode(b"nocolon").decode()}, "invalid_client"),
    ("grant_type=client_credentials", {"Authorization": "Basic " + b64encode(b"\xff:x").decode()}, "invalid_client"),
]


async def test_a_request_that_is_not_the_standards_is_refused_in_the_standards_words(driver: Driver):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers, error in WRONG:
        raw = {name: value.encode("latin-1") for name, value in (form | headers).items()}
        answer = await driver.http.post("/token", content=body, headers=raw)
        assert (answer.status_code, answer.json()["error"]) == (401 if error == "invalid_client" else 400, error), body


async def test_a_grant_that_is_taken_back_ends_with_the_token_in_hand(driver: Driver, grants: Path):
    made = await a_secret(driver, MINISTRY)
    assert (await asked(driver, MINISTRY, made)).status_code == 200
    grants.write_text(GRANTS.replace("events:CompanyRegistered, ", ""))
    assert (await asked(driver, MINISTRY, made)).json()["scope"] == "events:ExchangeCompleted events:ManifestIssued"
    grants.write_text("clients: {}")
    assert (await asked(driver, MINISTRY, made)).status_code == 401


async def test_a_file_that_is_broken_under_the_running_process_takes_nothing_back(driver: Driver, grants: Path):
    made = await a_secret(driver, MINISTRY)
    grants.write_text("clients: [")
    assert (await asked(driver, MINISTRY, made)).status_code == 200


async def test_a_new_secret_replaces_the_former(driver: Driver):
    former, new = await a_secret(driver, MINISTRY), await a_secret(driver, MINISTRY)
    assert [(await asked(driver, MINISTRY, said)).status_code for said in (former, new)] == [401, 200]


async def test_no_table_holds_a_secret(driver: Driver):
    made = await a_secret(driver, MINISTRY)
    [row] = await driver.rows("select client, digest from client_secret")
    assert row["client"] == MINISTRY
    assert made.encode() not in row["digest"]
    assert len(row["digest"]) == 32


async def test_who_tries_too_often_is_told_to_wait_whether_or_not_the_secret_is_right(driving: Driving, grants: Path):
    driver = await driving(service, grants=grants, tokens_per_address=3)
    made = await a_secret(driver, MINISTRY)
    answers = [await asked(driver, MINISTRY, said) for said in ("x", "y", made, made, "z")]
    assert [answer.status_code for answer in answers] == [401, 401, 200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_without_grants_nobody_gets_a_token(driving: Driving):
    driver = await driving(service)
    assert (await asked(driver, MINISTRY, await a_secret(driver, MINISTRY))).status_code == 401


async def test_an_operator_makes_a_secret_that_is_shown_once_and_takes_it_away(
    driver: Driver, grants: Path, logging_as_before: None
):
    async def run(*arguments: str) -> tuple[int, str]:
        settings: Any = driver.process.settings
        environment = {
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "JWKS": settings.jwks,
            "SIGNING_KEY": str(settings.signing_key),
            "GRANTS": str(grants),
        }
        outcome = await asyncio.to_thread(CliRunner().invoke, command, ["clients", *arguments], env=environment)
        return outcome.exit_code, outcome.stdout.strip() or outcome.output.strip()  # others log beside

    code, made = await run("new-secret", MINISTRY)
    assert (code, (await asked(driver, MINISTRY, made)).status_code) == (0, 200)
    assert await run("remove-secret", MINISTRY) == (0, f"{MINISTRY} has no secret any more")
    assert (await asked(driver, MINISTRY, made)).status_code == 401
    assert await run("remove-secret", MINISTRY) == (1, f"{MINISTRY} has no secret")
    for nobody in ("only-kafka", "nobody"):
        assert await run("new-secret", nobody) == (1, f"{nobody} has no grant over HTTP: there is none in GRANTS")


@pytest.fixture
def signing_key(tmp_path: Path) -> Path:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))
    return file


@pytest.fixture
def run(signing_key: Path, grants: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("SIGNING_KEY", str(signing_key))
    monkeypatch.setenv("GRANTS", str(grants))

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, arguments)
        return result.exit_code, result.output

    return run


def test_an_operator_can_make_the_token_that_a_client_would_get(run: Callable[..., tuple[int, str]]):
    code, token = run("token", "--role", "subscriber", "--client", INSTITUTE)
    claims = json.loads(_decoded(token.strip().split(".")[1]))
    assert (code, claims["role"], claims["sub"], claims["scope"]) == (
        0,
        "subscriber",
        INSTITUTE,
        "events:SurveyManifestIssued events:SurveySubmitted",
    )
    assert claims["exp"] - claims["iat"] == 600


@pytest.mark.parametrize(
    "arguments",
    [
        ("--role", "subscriber"),
        ("--role", "subscriber", "--client", "nobody"),
        ("--role", "subscriber", "--client", "only-kafka"),
        ("--role", "operator", "--client", MINISTRY),
    ],
)
def test_no_token_is_made_that_no_grant_is_behind(run: Callable[..., tuple[int, str]], arguments: tuple[str, ...]):
    code, said = run("token", *arguments)
    assert code == 2
    assert "--client" in said


def test_wrong_grants_are_found_at_the_start_with_line_and_field(run: Callable[..., tuple[int, str]], grants: Path):
    grants.write_text("clients:\n  a-ministry:\n    scopes: [events:NoticeDue]\n")
    code, said = run("token", "--role", "operator")
    assert code == 2
    assert "GRANTS" in said
    assert "grants.yaml:3: clients.a-ministry.scopes.0: NoticeDue is internal" in said


def _decoded(part: str) -> str:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


async def test_a_name_that_no_table_can_hold_is_not_known(driver: Driver):
    answer = await asked(driver, "a\x00b", "x")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
