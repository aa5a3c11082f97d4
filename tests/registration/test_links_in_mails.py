"""The links that people really get: in a mail, over SMTP, at the address that they are for."""

from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import pytest
from chassis.identity import verify
from registration.main import service

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration.forms import person_form
from tests.registration.mail_server import MailServer, serving
from tests.registration.signing_in import bearer, opened, registered

UWE, ANA = "uwe@zahnrad.example", "ana@zahnrad.example"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with serving(MailServer()) as running:
        yield running


@pytest.fixture
async def driver(driving: Driving, server: MailServer) -> Driver:
    return await driving(
        service, smtp_host="127.0.0.1", smtp_port=server.port, programme_url="https://sojourn.example/app/"
    )


def said_by(mail: EmailMessage) -> dict[str, str]:
    """What the page posts that a mail's link leads to."""
    text: Any = mail.get_body(("plain",))
    [url] = [
        line for line in text.get_content().splitlines() if line.startswith("https://sojourn.example/app/sign-in#")
    ]
    html: Any = mail.get_body(("html",))
    assert url.replace("&", "&amp;") in html.get_content()
    return dict(part.split("=", 1) for part in url.partition("#")[2].split("&"))  # pyright: ignore[reportReturnType]


async def newest(driver: Driver, server: MailServer, to: str, template: str) -> dict[str, str]:
    await driver.run_due()
    assert (server.recipients[-1], server.mails[-1]["X-Notice-Template"]) == (to, template)
    return said_by(server.mails[-1])


async def test_the_links_of_mails_sign_in_invite_and_confirm(driver: Driver, server: MailServer):
    made = await registered(driver)
    await driver.run_due()
    await driver.http.post("/sign-in", json={"email": UWE})
    session = (await opened(driver, await newest(driver, server, UWE, "sign_in"))).json()
    headers = {**bearer(session["access_token"]), "Idempotency-Key": "a-key-of-sixteen-or-more"}
    form = person_form("Mia Member", reads="it")
    await driver.http.post(f"/companies/{made['company_id']}/people", json=form, headers=headers)
    mia = (await opened(driver, await newest(driver, server, "mia@zahnrad.example", "invited"))).json()
    me = (await verify(mia["access_token"], driver.process.app.state.keys)).person_id
    moved = {**form, "email": "moved@zahnrad.example"}
    await driver.http.put(f"/people/{me}", json=moved, headers=bearer(mia["access_token"]))
    confirms = await newest(driver, server, "moved@zahnrad.example", "new_address")
    assert (await opened(driver, confirms)).status_code == 201
    seen = (await driver.http.get(f"/people/{me}", headers=bearer(mia["access_token"]))).json()
    assert seen["email"] == "moved@zahnrad.example"


async def test_a_link_whose_time_has_passed_before_its_mail_could_go_is_not_sent(driver: Driver, server: MailServer):
    await registered(driver)
    await driver.run_due()
    before = len(server.mails)
    server.at_data = ["451 later"]
    await driver.http.post("/sign-in", json={"email": ANA})
    await driver.run_due()
    await driver.rows("update link set expires_at = clock_timestamp()")
    await driver.rows("update due set not_before = null, claimed_until = null")
    await driver.run_due()
    assert len(server.mails) == before
    [row] = await driver.rows("select outcome from notice where template = 'sign_in'")
    assert row["outcome"] == "refused"
