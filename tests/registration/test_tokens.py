"""Who gets a token, what stands in it, and that the others can verify it with the published key alone."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from chassis.identity import Caller, KeySource, Role, verify
from chassis.problems import Problem
from chassis.settings import SettingsError, load
from joserfc import jws
from joserfc.jwk import OKPKey
from registration import signing
from registration.main import command, service
from registration.settings import SigningSettings
from typer.testing import CliRunner

from tests.conftest import Driving
from tests.registration.forms import registration_form

SOMEBODY = UUID("00000000-0000-4000-8000-000000000001")
OPERATOR = Caller(Role.OPERATOR, "operator")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))
    return file


def settings(key_file: Path, **others: Any) -> SigningSettings:
    return SigningSettings.model_validate({"signing_key": key_file, **others})


def published(settings: SigningSettings) -> KeySource:
    async def read(_: str) -> bytes:
        return json.dumps(signing.key_set(settings)).encode()

    return KeySource("https://registration/.well-known/jwks.json", read)


async def test_who_calls_is_known_by_their_token(key_file: Path):
    by = settings(key_file)
    for caller in (
        Caller(Role.COMPANY_ADMIN, str(SOMEBODY), company_id=SOMEBODY, person_id=SOMEBODY, session_id=SOMEBODY),
        Caller(Role.TRAVELLER, str(SOMEBODY), person_id=SOMEBODY),
        Caller(Role.CONTACT_POINT, "x", country="DE"),
    ):
        assert await verify(signing.token(caller, by), published(by)) == caller


async def test_a_token_names_its_key_and_ends(key_file: Path):
    by = settings(key_file, token_lifetime_hours=2)
    token = jws.extract_compact(signing.token(OPERATOR, by).encode())
    claims = json.loads(token.payload)
    assert token.headers()["kid"] == signing.key_set(by)["keys"][0]["kid"]
    assert claims["exp"] - claims["iat"] == 7_200
    assert abs(claims["iat"] - time.time()) < 60


async def test_a_token_of_another_key_is_not_valid(key_file: Path, tmp_path: Path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))
    token = signing.token(OPERATOR, settings(other))
    with pytest.raises(Problem) as refused:
        await verify(token, published(settings(key_file)))
    assert refused.value.status == 401


def test_only_the_public_half_is_published(key_file: Path):
    [key] = signing.key_set(settings(key_file))["keys"]
    assert "d" not in key
    assert (key["kty"], key["crv"], key["use"]) == ("OKP", "Ed25519", "sig")


def test_a_key_that_says_the_algorithms_former_name_is_usable(tmp_path: Path):
    file = tmp_path / "key.json"
    file.write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True) | {"alg": "EdDSA"}))
    assert signing.token(OPERATOR, settings(file))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        '{"kty": "OKP"}',
        json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False)),
        json.dumps(OKPKey.generate_key("X25519").as_dict(private=True)),
    ],
    ids=["no file", "empty", "a list", "no key", "public", "another curve"],
)
def test_a_key_that_cannot_sign_is_found_at_the_start(
    tmp_path: Path, text: str | None, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "key.json"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("SIGNING_KEY", str(file))
    with pytest.raises(SettingsError, match="SIGNING_KEY: should "):
        load(SigningSettings)


async def test_the_tokens_of_a_registration_are_good_at_every_service(driving: Driving):
    driver = await driving(service)
    answer = await driver.http.post("/companies", json=registration_form(), headers={"Idempotency-Key": str(uuid4())})
    made = answer.json()
    document = (await driver.http.get("/.well-known/jwks.json")).content

    async def read(_: str) -> bytes:
        return document

    caller = await verify(made["access_token"], KeySource("https://registration", read))
    assert (caller.role, str(caller.company_id)) == (Role.COMPANY_ADMIN, made["company_id"])
    assert caller.subject == str(caller.person_id)
    assert "traveller_token" not in made["placements"][0]


async def test_the_command_prints_a_token(key_file: Path):
    outcome = CliRunner().invoke(command, ["token", "--role", "operator"], env={"SIGNING_KEY": str(key_file)})
    assert outcome.exit_code == 0, outcome.output
    assert (await verify(outcome.stdout.strip(), published(settings(key_file)))).role is Role.OPERATOR


@pytest.mark.parametrize(
    "arguments",
    [
        ["--role", "company"],
        ["--role", "traveller"],
        ["--role", "operator", "--company", str(SOMEBODY)],
        ["--role", "traveller", "--person", str(SOMEBODY), "--company", str(SOMEBODY)],
        ["--role", "queen"],
        ["--role", "company", "--company", "7"],
    ],
)
def test_the_command_refuses_what_makes_no_caller(key_file: Path, arguments: list[str]):
    outcome = CliRunner().invoke(command, ["token", *arguments], env={"SIGNING_KEY": str(key_file)})
    assert outcome.exit_code == 2
    assert not outcome.stdout


def test_the_command_says_that_the_key_is_missing(tmp_path: Path):
    outcome = CliRunner().invoke(
        command, ["token", "--role", "analyst"], env={"SIGNING_KEY": str(tmp_path / "none.json")}
    )
    assert outcome.exit_code == 2
    assert not outcome.stdout
    assert "SIGNING_KEY" in outcome.stderr


async def test_the_command_prints_a_token_for_each_country(key_file: Path):
    arguments = ["token", "--role", "contact_point", "--country", "DE", "--country", "FR"]
    outcome = CliRunner().invoke(command, arguments, env={"SIGNING_KEY": str(key_file)})
    assert outcome.exit_code == 0, outcome.output
    source = published(settings(key_file))
    assert [(await verify(token, source)).country for token in outcome.stdout.split()] == ["DE", "FR"]
