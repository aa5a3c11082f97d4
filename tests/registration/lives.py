"""Companies over HTTP: as they draft, submit, and stand before a contact point."""

from typing import Any
from uuid import UUID

import httpx
from chassis.identity import Role

from tests.chassis_driver import Driver
from tests.registration.forms import Form, registration_form

REASON = "As the programme's rules say."


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Life:
    """One company, its requests and those about it."""

    def __init__(self, driver: Driver, made: Form) -> None:
        self.driver = driver
        self.made = made
        self.id = UUID(made["company_id"])
        self.path = f"/companies/{self.id}"
        self.own = bearer(made["access_token"])

    async def post(self, what: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.driver.http.post(f"{self.path}/{what}", json=body, headers=headers or self.own)

    async def put(self, form: Form) -> httpx.Response:
        return await self.driver.http.put(self.path, json=form, headers=self.own)

    async def submit(self) -> Form:
        answer = await self.post("submission")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def seen(self) -> Form:
        return (await self.driver.http.get(self.path, headers=self.own)).json()

    async def decide(self, decision: str, country: str = "DE", **changes: Any) -> httpx.Response:
        """By that country's contact point, who looked at the company as it is now."""
        body = {"revision": (await self.seen())["revision"], "decision": decision, "reason": REASON, **changes}
        return await self.post("decision", body, contact_point(self.driver, country))

    async def chain(self) -> Form:
        headers = self.driver.token(Role.OPERATOR)
        return (await self.driver.http.get(f"{self.path}/decisions", headers=headers)).json()

    async def commands(self) -> list[tuple[str, str]]:
        """Command and who, of each decision."""
        decisions = (await self.chain())["decisions"]
        return [(each["content"]["command"], each["content"]["who"]) for each in decisions]


def contact_point(driver: Driver, country: str = "DE") -> dict[str, str]:
    return driver.token(Role.CONTACT_POINT, country=country)


async def drafted(driver: Driver, key: str = "a-key-of-sixteen-or-more", **changes: Any) -> Life:
    form = registration_form(**changes)
    answer = await driver.http.post("/companies", json=form, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    return Life(driver, answer.json())


async def submitted(driver: Driver, key: str = "a-key-of-sixteen-or-more", **changes: Any) -> Life:
    life = await drafted(driver, key, **changes)
    await life.submit()
    return life
