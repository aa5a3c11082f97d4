"""Operators, analysts and contact points sign in by an OpenID provider: a real one, on this machine, that also lies and fails."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from chassis.identity import Caller, Role, verify
from chassis.log import configure
from chassis.settings import SettingsError, load
from joserfc.jwk import ECKey, OctKey, RSAKey
from registration.main import service
from registration.settings import RegistrationSettings
from registration.sign_in import oidc
from registration.sign_in.domain import StaffPart, staff_part
from sojourn_contracts.refusal import NotYours

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration import openid_provider
from tests.registration.openid_provider import CLIENT, SECRET, OpenIdProvider
from tests.registration.signing_in import bearer

CALLBACK = "http://service/sign-in/oidc/callback"
ROLES = {"sojourn-operators": "operator", "sojourn-analysts": "analyst", "ncp": "contact_point"}


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with openid_provider.running() as running:
        running.claims = {"roles": ["sojourn-analysts", "everybody"]}
        yield running
    oidc.provider.cache_clear()


Configuring = Callable[..., Awaitable[Driver]]


@pytest.fixture
def configured(driving: Driving, provider: OpenIdProvider) -> Configuring:
    async def start(**settings: Any) -> Driver:
        said = {
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
            "oidc_redirect_url": CALLBACK,
            "oidc_roles": ROLES,
            "oidc_issuer": provider.url,
        }
        return await driving(service, **said | settings)

    return start


async def sent_back(driver: Driver) -> str:
    """Where the provider sends somebody who signed in there."""
    left = await driver.http.get("/sign-in/oidc")
    assert left.status_code == 303, left.text
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(left.headers["location"])
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def signed_in(driver: Driver) -> httpx.Response:
    return await driver.http.get(await sent_back(driver))


async def who(driver: Driver, answer: httpx.Response) -> Caller:
    assert answer.status_code == 200, answer.text
    return await verify(answer.json()["access_token"], driver.process.app.state.keys)


async def refused(driver: Driver, answer: httpx.Response, status: int = 401, rule: str = "oidc_refused") -> None:
    assert (answer.status_code, answer.json()["rule"]) == (status, rule)
    assert not await driver.rows("select from session")


async def test_who_the_provider_knows_gets_a_session_like_everybodys(configured: Configuring, provider: OpenIdProvider):
    driver = await configured()
    answer = await signed_in(driver)
    analyst = await who(driver, answer)
    assert (analyst.role, analyst.company_id, analyst.person_id, analyst.country) == (Role.ANALYST, None, None, None)
    assert "somebody" not in analyst.subject
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["expires_in"] == 600
    again = await driver.http.post("/sessions/refresh", json={"refresh_token": answer.json()["refresh_token"]})
    assert (await who(driver, again)) == analyst
    [row] = await driver.rows("select expires_at - clock_timestamp() < interval '12 hours' as short from session")
    assert row["short"]
    left = await driver.http.delete("/sessions/current", headers=bearer(again.json()["access_token"]))
    assert left.status_code == 204
    ended = await driver.http.post("/sessions/refresh", json={"refresh_token": again.json()["refresh_token"]})
    assert ended.status_code == 401


async def test_an_operator_ends_a_session_of_staff_and_who_signs_in_again_has_the_same_id(configured: Configuring):
    driver = await configured()
    first = await signed_in(driver)
    analyst = await who(driver, first)
    assert (await who(driver, await signed_in(driver))).subject == analyst.subject
    answer = await driver.http.delete(f"/people/{analyst.subject}/sessions", headers=driver.token(Role.OPERATOR))
    assert answer.status_code == 204
    ended = await driver.http.post("/sessions/refresh", json={"refresh_token": first.json()["refresh_token"]})
    assert ended.status_code == 401


async def test_a_contact_point_has_a_country_of_the_programme(configured: Configuring, provider: OpenIdProvider):
    driver = await configured(oidc_role_claim="realm.roles", oidc_country_claim="https://x.example/country")
    provider.claims = {"realm": {"roles": ["ncp"]}, "https://x.example/country": "DE"}
    caller = await who(driver, await signed_in(driver))
    assert (caller.role, caller.country) == (Role.CONTACT_POINT, "DE")
    await driver.rows("delete from session")
    for country in (None, "XX", 7):
        provider.claims["https://x.example/country"] = country
        await refused(driver, await signed_in(driver), 403, "no_country")


async def test_an_unknown_role_is_no_role(configured: Configuring, provider: OpenIdProvider):
    driver = await configured()
    for roles in (["everybody"], [], None, 7, {"sojourn-operators": 1}, "operator"):
        provider.claims = {"roles": roles}
        await refused(driver, await signed_in(driver), 403, "no_role")


def test_of_several_roles_the_first_of_the_settings_counts():
    assert staff_part(["sojourn-analysts", "sojourn-operators"], None, ROLES, ["DE"]) == StaffPart("operator", None)
    with pytest.raises(NotYours):
        staff_part(["nothing"], "DE", ROLES, ["DE"])


NOT_OF_THIS_SIGN_IN = (
    {"nonce": "another"},
    {"nonce": None},
    {"aud": "another-client"},
    {"aud": ["another-client"]},
    {"aud": [CLIENT, "another-client"]},
    {"aud": [CLIENT], "azp": "another-client"},
    {"aud": None},
    {"iss": "https://another.example"},
    {"iss": None},
    {"exp": int(time.time()) - 60},
    {"exp": None},
    {"iat": int(time.time()) + 3_600},
    {"sub": None},
)


async def test_a_token_that_is_not_for_this_sign_in_opens_nothing(configured: Configuring, provider: OpenIdProvider):
    driver = await configured()
    for claims in NOT_OF_THIS_SIGN_IN:
        provider.claims = {"roles": ["sojourn-operators"], **claims}
        await refused(driver, await signed_in(driver))
    provider.claims = {"roles": ["sojourn-operators"]}
    assert (await signed_in(driver)).status_code == 200


async def test_a_token_that_another_key_signed_opens_nothing(configured: Configuring, provider: OpenIdProvider):
    driver = await configured()
    provider.signs_with = RSAKey.generate_key(2048, {"kid": provider.key.kid})
    await refused(driver, await signed_in(driver))
    provider.algorithm, provider.signs_with = "HS256", OctKey.import_key(SECRET * 3)
    await refused(driver, await signed_in(driver))


async def test_when_the_provider_rotates_its_keys_they_are_read_again(
    configured: Configuring, provider: OpenIdProvider
):
    driver = await configured()
    assert (await signed_in(driver)).status_code == 200
    assert (await signed_in(driver)).status_code == 200
    assert provider.asked.count("/jwks") == 1
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    provider.key, provider.algorithm = ECKey.generate_key("P-256", auto_kid=True), "ES256"
    assert (await signed_in(driver)).status_code == 200


async def test_who_comes_back_in_another_browser_opens_nothing(configured: Configuring):
    driver = await configured()
    back = await sent_back(driver)
    driver.http.cookies.clear()
    await refused(driver, await driver.http.get(back))
    await sent_back(driver)
    await refused(driver, await driver.http.get(back))


async def test_who_comes_back_twice_or_too_late_opens_nothing(configured: Configuring):
    driver = await configured()
    back = await sent_back(driver)
    assert (await driver.http.get(back)).status_code == 200
    again = await driver.http.get(back)
    assert again.status_code == 401
    await driver.rows("delete from session")
    late = await sent_back(driver)
    await driver.rows("update oidc_sign_in set expires_at = clock_timestamp()")
    await refused(driver, await driver.http.get(late))


async def test_who_did_not_sign_in_there_is_not_signed_in_here(configured: Configuring):
    driver = await configured()
    state = parse_qs(urlsplit(await sent_back(driver)).query)["state"][0]
    await refused(
        driver, await driver.http.get("/sign-in/oidc/callback", params={"state": state, "error": "access_denied"})
    )
    await refused(
        driver, await driver.http.get("/sign-in/oidc/callback", params={"state": str(uuid4()), "code": "code-0"})
    )
    unread = await driver.http.get("/sign-in/oidc/callback", params={"code": "code-0"})
    assert unread.status_code == 422


async def test_a_code_that_the_provider_does_not_take_opens_nothing(configured: Configuring, provider: OpenIdProvider):
    driver = await configured()
    back = await sent_back(driver)
    provider.codes.clear()
    await refused(driver, await driver.http.get(back))


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks"])
async def test_while_the_provider_fails_it_is_503_and_afterwards_all_is_well(
    configured: Configuring, provider: OpenIdProvider, path: str
):
    driver = await configured()
    provider.broken = {path}
    answer = await driver.http.get("/sign-in/oidc")
    if answer.status_code == 303:
        answer = await signed_in(driver)
    await refused(driver, answer, 503, "provider_unavailable")
    assert answer.headers["retry-after"]
    provider.broken = set()
    assert (await signed_in(driver)).status_code == 200


async def test_while_the_provider_is_down_others_sign_in_and_so_do_its_own_once_it_is_back(configured: Configuring):
    async with openid_provider.running() as down:
        port = urlsplit(down.url).port or 0
    driver = await configured(oidc_issuer=down.url)
    await refused(driver, await driver.http.get("/sign-in/oidc"), 503, "provider_unavailable")
    assert (await driver.http.post("/sign-in", json={"email": "ana@x.example"})).status_code == 202
    async with openid_provider.running(port) as back:
        back.claims = {"roles": ["sojourn-operators"]}
        assert (await who(driver, await signed_in(driver))).role is Role.OPERATOR


@pytest.mark.parametrize("document", [{"issuer": "https://another.example"}, {"jwks_uri": None}])
async def test_a_provider_that_says_something_else_of_itself_is_not_trusted(
    configured: Configuring, provider: OpenIdProvider, document: dict[str, Any]
):
    driver = await configured()
    provider.document = document
    await refused(driver, await driver.http.get("/sign-in/oidc"), 503, "provider_unavailable")


async def test_a_provider_that_wants_the_secret_in_the_body_gets_it_there(
    configured: Configuring, provider: OpenIdProvider
):
    driver = await configured()
    provider.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await signed_in(driver)).status_code == 200


async def test_what_leaves_holds_neither_verifier_nor_secret_and_the_cookie_is_the_browsers_alone(
    configured: Configuring,
):
    driver = await configured(oidc_redirect_url="https://service/sign-in/oidc/callback")
    left = await driver.http.get("/sign-in/oidc")
    said = parse_qs(urlsplit(left.headers["location"]).query)
    assert set(said) == {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    }
    assert UUID(said["state"][0])
    cookie = left.headers["set-cookie"].casefold()
    for attribute in ("httponly", "secure", "samesite=lax", "path=/sign-in/oidc", "max-age=600"):
        assert attribute in cookie


async def test_beginning_to_sign_in_is_limited_for_each_client(configured: Configuring):
    driver = await configured(sign_ins_per_client=2)
    statuses = [(await driver.http.get("/sign-in/oidc")).status_code for _ in range(3)]
    assert statuses == [303, 303, 429]


async def test_without_a_provider_there_is_none_to_sign_in_with(driving: Driving):
    driver = await driving(service)
    for path in ("/sign-in/oidc", f"/sign-in/oidc/callback?state={uuid4()}&code=x"):
        answer = await driver.http.get(path)
        assert (answer.status_code, answer.json()["rule"]) == (404, "no_provider")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"OIDC_ISSUER": "https://x.example"}, "OIDC_CLIENT_ID, OIDC_REDIRECT_URL, OIDC_ROLES"),
        ({"OIDC_ISSUER": "http://x.example"}, "should begin with https://"),
        ({"OIDC_ROLES": '{"x": "queen"}'}, "OIDC_ROLES"),
    ],
)
def test_settings_that_make_no_provider_are_named(said: dict[str, str], wrong: str, monkeypatch: pytest.MonkeyPatch):
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=wrong):
        load(RegistrationSettings)


async def test_no_code_token_or_secret_of_a_sign_in_is_logged(
    configured: Configuring,
    provider: OpenIdProvider,
    logging_as_before: None,
    capsys: pytest.CaptureFixture[str],
):
    configure("registration", "json", "info")  # more talkative, it has what the test's own clients ask
    driver = await configured()
    back = await sent_back(driver)
    good = await driver.http.get(back)
    provider.claims = {"aud": "another-client"}
    await signed_in(driver)
    said = parse_qs(urlsplit(back).query)
    ours = capsys.readouterr().err
    assert "OpenID sign-in refused" in ours
    for secret in (
        said["code"][0],
        said["state"][0],
        good.json()["refresh_token"],
        good.json()["access_token"],
        SECRET,
    ):
        assert secret not in ours
