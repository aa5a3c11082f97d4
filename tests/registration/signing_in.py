"""What somebody does who signs in: asks for links, reads their mail, opens a session."""

from typing import Any
from uuid import UUID, uuid4

import httpx
from registration.people import links

from tests.chassis_driver import Driver
from tests.registration.forms import Form, registration_form


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def registered(driver: Driver, form: Form | None = None) -> dict[str, Any]:
    """A company that is admitted: who travels is a person from then on."""
    answer = await driver.http.post(
        "/companies", json=form or registration_form(), headers={"Idempotency-Key": str(uuid4())}
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    answer = await driver.http.post(f"/companies/{made['company_id']}/submission", headers=bearer(made["access_token"]))
    assert (answer.status_code, answer.json().get("status")) == (200, "admitted"), answer.text
    return made | answer.json()


def opening(driver: Driver, link_id: UUID) -> dict[str, str]:
    """What a link's page posts."""
    url = links.url(link_id, driver.process.settings)
    return dict(part.split("=", 1) for part in url.partition("#")[2].split("&"))  # pyright: ignore[reportReturnType]


async def asked_for(driver: Driver, email: str) -> list[dict[str, str]]:
    """Asks for links; what each of those that went out says."""
    before = {row["link_id"] for row in await driver.rows("select link_id from link")}
    answer = await driver.http.post("/sign-in", json={"email": email})
    assert answer.status_code == 202, answer.text
    await driver.run_due()
    sent = await driver.rows(
        "select parameters ->> 'link' as link_id from notice where template = 'sign_in' order by 1"
    )
    return [opening(driver, UUID(row["link_id"])) for row in sent if UUID(row["link_id"]) not in before]


async def opened(driver: Driver, said: dict[str, str]) -> httpx.Response:
    return await driver.http.post("/sessions", json=said)


async def signed_in(driver: Driver, email: str) -> dict[str, Any]:
    """A session of the only person who has the address."""
    [said] = await asked_for(driver, email)
    answer = await opened(driver, said)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def sent(driver: Driver, email: str, template: str) -> list[dict[str, str]]:
    """What the links say that went to an address with this template."""
    rows = await driver.rows(
        "select link_id from link join notice on notice_id = link_id where email = $1 and template = $2 order by link_id",
        email,
        template,
    )
    return [opening(driver, row["link_id"]) for row in rows]
