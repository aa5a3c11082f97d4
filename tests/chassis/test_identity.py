"""Who is calling is what a valid token says, verified without asking anybody."""

import base64
import json
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from chassis.http import application
from chassis.identity import ISSUER, AnyCaller, Caller, KeySource, MaybeCaller, Role, issue, requires
from chassis.metrics import Metrics
from chassis.problems import Problem
from fastapi import APIRouter, Depends, FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey

from chassis import identity

COMPANY = Caller(Role.COMPANY, "0198f3c2-0001", UUID("0198f3c2-7e0a-7000-8000-000000000001"))
HOUR = timedelta(hours=1)

routes = APIRouter()


@routes.get("/any")
async def whoever(caller: AnyCaller) -> Caller:
    return caller


@routes.get("/evaluation")
async def evaluation(caller: Annotated[Caller, Depends(requires(Role.ANALYST, Role.OPERATOR))]) -> str:
    return caller.role


@routes.get("/open")
async def open_to_all(caller: MaybeCaller) -> str:
    return caller.subject if caller else "nobody"


class Source:
    """Stands for the JWKS file or URL."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.reads = 0
        self.away = False

    async def read(self, location: str) -> bytes:
        self.reads += 1
        if self.away:
            raise httpx.ConnectError("away")
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()


def new_key(kid: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": kid})


@pytest.fixture
def key() -> OKPKey:
    return new_key("k1")


@pytest.fixture
def source(key: OKPKey) -> Source:
    return Source(key)


@pytest.fixture
def app(source: Source) -> FastAPI:
    app = application("exchange", (routes,), Metrics("exchange"))
    app.state.keys = KeySource("jwks", source.read)
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def signed(key: Any, algorithm: str = "Ed25519", kid: str = "k1", **claims: object) -> str:
    """A token with these claims instead of the good ones; None leaves a claim out."""
    good = {"iss": ISSUER, "sub": "x", "role": "operator", "exp": int(time.time()) + 60}
    said = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": kid}, said, key, algorithms=[algorithm])


async def test_a_valid_token_says_who_is_calling(http: httpx.AsyncClient, key: OKPKey):
    answer = await http.get("/any", headers=bearer(issue(key, COMPANY, HOUR)))
    assert answer.json() == {
        "role": "company", "subject": COMPANY.subject, "company_id": str(COMPANY.company_id), "person_id": None,
        "country": None,
        "session_id": None,
        "scopes": [],
    }  # fmt: skip


async def test_without_a_token_401_and_in_another_role_403(http: httpx.AsyncClient, key: OKPKey):
    missing = await http.get("/evaluation")
    assert (missing.status_code, missing.json()["rule"]) == (401, "token_missing")
    assert missing.headers["www-authenticate"] == "Bearer"
    wrong = await http.get("/evaluation", headers=bearer(issue(key, COMPANY, HOUR)))
    assert (wrong.status_code, wrong.json()["rule"]) == (403, "wrong_role")
    right = await http.get("/evaluation", headers=bearer(issue(key, Caller(Role.ANALYST, "a"), HOUR)))
    assert right.json() == "analyst"


async def test_where_no_token_is_needed_a_presented_one_must_still_be_valid(http: httpx.AsyncClient, key: OKPKey):
    assert (await http.get("/open")).json() == "nobody"
    assert (await http.get("/open", headers=bearer(issue(key, COMPANY, HOUR)))).json() == COMPANY.subject
    assert (await http.get("/open", headers=bearer("nonsense"))).status_code == 401
    assert (await http.get("/open", headers={"Authorization": "Basic eDp5"})).status_code == 401


def unsigned(header: dict[str, str]) -> str:
    claims = {"iss": ISSUER, "sub": "x", "role": "operator", "exp": int(time.time()) + 60}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, ""])


def forged(key: OKPKey) -> dict[str, str]:
    public = OctKey.import_key(base64.urlsafe_b64decode(key.as_dict(private=False)["x"] + "="))
    now = int(time.time())
    return {
        "not signed": unsigned({"alg": "none", "kid": "k1"}),
        "the public key as a secret": signed(public, "HS256"),
        "another curve": signed(ECKey.generate_key("P-256"), "ES256"),
        "somebody else's key": signed(new_key("k1")),
        "a key nobody knows": signed(new_key("k2"), kid="k2"),
        "no end": signed(key, exp=None),
        "an end that is no time": signed(key, exp="tomorrow"),
        "expired": signed(key, exp=now - 31),
        "not yet valid": signed(key, nbf=now + 60),
        "another issuer": signed(key, iss="urn:else"),
        "no issuer": signed(key, iss=None),
        "no subject": signed(key, sub=None),
        "a subject that is no text": signed(key, sub=["x"]),
        "no role": signed(key, role=None),
        "a role that is not there": signed(key, role="root"),
        "a company without its id": signed(key, role="company"),
        "a traveller without an id": signed(key, role="traveller", company_id=str(COMPANY.company_id)),
        "an id that is none": signed(key, role="company", company_id="1"),
        "an id that is no text": signed(key, role="company", company_id=1),
        "too long": signed(key, sub="x" * 5_000),
        "changed": signed(key, sub="a")[:-4] + "AAAA",
        "two parts": "a.b",
        "no text": "\xe9.\xe9.\xe9",
        "JSON that is no object": "W10.e30.AA",
        "JSON that is too deep": base64.urlsafe_b64encode(b"[" * 3_000).decode() + ".e30.AA",
    }


@pytest.mark.parametrize("why", forged(new_key("k1")))
async def test_a_token_that_is_not_beyond_doubt_is_401(http: httpx.AsyncClient, key: OKPKey, why: str):
    header = b"Bearer " + forged(key)[why].encode("latin-1")
    answer = await http.get("/any", headers={"Authorization": header})  # pyright: ignore[reportArgumentType]
    assert answer.status_code == 401, why
    assert answer.json()["rule"] == ("token_expired" if why == "expired" else "token_invalid")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_clock_that_is_half_a_minute_ahead_does_no_harm(http: httpx.AsyncClient, key: OKPKey):
    token = signed(key, exp=int(time.time()) - 20)
    assert (await http.get("/any", headers=bearer(token))).status_code == 200


async def test_keys_are_read_once_and_again_for_a_key_that_is_new(source: Source, monkeypatch: pytest.MonkeyPatch):
    keys = KeySource("jwks", source.read)
    for _ in range(10):
        assert await keys.key("k1")
    assert source.reads == 1
    source.keys.append(new_key("k2"))
    for _ in range(10):
        await keys.key("k2")
    assert source.reads == 1, "a stranger's kid makes no storm of reads"
    monkeypatch.setattr(keys, "_next_try", 0.0)
    assert await keys.key("k2")
    assert source.reads == 2


async def test_a_key_that_was_taken_back_is_gone_after_ten_minutes(source: Source, monkeypatch: pytest.MonkeyPatch):
    keys = KeySource("jwks", source.read)
    assert await keys.key("k1")
    source.keys = [new_key("k2")]
    monkeypatch.setattr(keys, "_good_at", time.monotonic() - 601)
    monkeypatch.setattr(keys, "_next_try", 0.0)
    assert await keys.key("k1") is None


@pytest.mark.parametrize("failure", ["away", "empty", "nonsense"])
async def test_the_last_good_keys_stay_while_the_source_is_bad(
    source: Source, monkeypatch: pytest.MonkeyPatch, failure: str
):
    keys = KeySource("jwks", source.read)
    assert await keys.key("k1")
    source.away, source.keys = failure == "away", []
    if failure == "nonsense":

        async def nonsense(location: str) -> bytes:
            return b"<html>"

        monkeypatch.setattr(keys, "_read", nonsense)
    monkeypatch.setattr(keys, "_good_at", time.monotonic() - 601)
    monkeypatch.setattr(keys, "_next_try", 0.0)
    assert await keys.key("k1")


async def test_a_token_of_a_key_that_may_be_new_is_503_while_the_source_is_away(
    http: httpx.AsyncClient, source: Source, key: OKPKey, monkeypatch: pytest.MonkeyPatch
):
    assert (await http.get("/any", headers=bearer(issue(key, COMPANY, HOUR)))).status_code == 200
    source.away = True
    monkeypatch.setattr(KeySource, "PAUSE", 0.0)
    [app_keys] = [http._transport.app.state.keys]  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(app_keys, "_next_try", 0.0)
    new = new_key("k2")
    answer = await http.get("/any", headers=bearer(issue(new, COMPANY, HOUR)))
    assert (answer.status_code, answer.json()["rule"]) == (503, "no_keys")
    assert (await http.get("/any", headers=bearer(issue(key, COMPANY, HOUR)))).status_code == 200
    source.away, source.keys = False, [*source.keys, new]
    assert (await http.get("/any", headers=bearer(issue(new, COMPANY, HOUR)))).status_code == 200


async def test_without_any_key_ever_the_answer_is_503(http: httpx.AsyncClient, source: Source, key: OKPKey):
    source.away = True
    answer = await http.get("/any", headers=bearer(issue(key, COMPANY, HOUR)))
    assert (answer.status_code, answer.json()["rule"]) == (503, "no_keys")
    assert (await http.get("/open")).status_code == 200


async def test_other_keys_beside_ours_are_left_alone_and_a_private_part_is_not_taken(tmp_path: Path):
    mine = new_key("mine")
    former = {**new_key("former").as_dict(private=False), "alg": "EdDSA", "use": "sig"}
    file = tmp_path / "jwks.json"
    weird: list[Any] = [{"kty": "weird"}, ECKey.generate_key("P-256").as_dict(private=False)]
    file.write_text(json.dumps({"keys": [*weird, mine.as_dict(private=True), former]}))
    keys = KeySource(str(file))
    found = await keys.key("mine")
    assert found is not None
    assert not found.is_private
    assert await keys.key("former")
    assert await keys.key("") is None


async def test_a_file_that_is_not_there_yet_is_read_once_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "jwks.json"
    keys = KeySource(str(file))
    with pytest.raises(Problem):
        await keys.key("k1")
    file.write_text(json.dumps({"keys": [new_key("k1").as_dict(private=False)]}))
    monkeypatch.setattr(keys, "_next_try", 0.0)
    assert await keys.key("k1")


async def test_a_token_is_not_in_what_is_logged(
    http: httpx.AsyncClient, key: OKPKey, capsys: pytest.CaptureFixture[str]
):
    token = issue(key, COMPANY, HOUR)
    await http.get("/any", headers=bearer(token))
    await http.get("/any", headers=bearer(token[:-4] + "AAAA"))
    said = capsys.readouterr()
    assert token[:-4] not in said.out + said.err


def test_the_algorithm_has_the_name_of_rfc_9864():
    assert identity.ALGORITHM == "Ed25519"


async def test_an_admin_may_do_what_is_for_a_company_and_a_contact_point_has_a_country(
    http: httpx.AsyncClient, key: OKPKey
):
    admin = Caller(Role.COMPANY_ADMIN, "a", company_id=uuid4())
    assert (await http.get("/any", headers=bearer(issue(key, admin, HOUR)))).json()["role"] == "company_admin"
    nowhere = await http.get("/any", headers=bearer(issue(key, Caller(Role.CONTACT_POINT, "c"), HOUR)))
    assert (nowhere.status_code, nowhere.json()["rule"]) == (401, "token_invalid")
    german = Caller(Role.CONTACT_POINT, "c", country="DE")
    assert (await http.get("/any", headers=bearer(issue(key, german, HOUR)))).json()["country"] == "DE"
