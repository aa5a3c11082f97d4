"""The four services, each with something that requests can be about."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.service import Service
from exchange.main import service as exchange
from matching.main import service as matching
from registration.main import service as registration
from survey.main import service as survey

from tests.chassis_driver import Driver
from tests.exchange import given as exchanges
from tests.matching import market
from tests.registration.forms import registration_form
from tests.survey import story


@dataclass(frozen=True)
class Seeded:
    """A service, what makes it hold something, and whose tokens can ask for that."""

    service: Service
    seed: Callable[[Driver], Awaitable[None]]
    company_id: UUID
    traveller_id: UUID


async def _a_company(driver: Driver) -> None:
    for number in range(3):
        key = {"Idempotency-Key": f"seed-{number}-0123456789"}
        answer = await driver.http.post("/companies", json=registration_form(), headers=key)
        assert answer.status_code == 201, answer.text


async def _a_market(driver: Driver) -> None:
    await driver.handle(market.sender(), market.host(), market.sender("second"))
    await driver.run_due()


async def _an_exchange(driver: Driver) -> None:
    driver.clock.now_is(exchanges.NOON)
    await driver.handle(
        exchanges.sender_registered(exchanges.PLACEMENT), exchanges.host_registered(), exchanges.proposal()
    )


async def _an_invitation(driver: Driver) -> None:
    driver.clock.now_is(story.NOON)
    await driver.handle(
        story.SENDER_REGISTERED, story.HOST_REGISTERED, story.PROPOSED, story.ACCEPTED, story.AGREED, story.COMPLETED
    )
    await driver.run_due(story.NOON)


SEEDED: tuple[Seeded, ...] = (
    Seeded(registration, _a_company, UUID(int=1), UUID(int=2)),
    Seeded(matching, _a_market, market.named("sender"), market.named("sender's traveller")),
    Seeded(exchange, _an_exchange, exchanges.SENDER, exchanges.TRAVELLER),
    Seeded(survey, _an_invitation, story.SENDER, story.TRAVELLER),
)


async def known_ids(driver: Driver) -> list[str]:
    """Every id in the service's tables: what a path may name."""
    columns = await driver.rows(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = $1 and udt_name = 'uuid' order by 1, 2",
        driver.process.service.name,
    )
    found = dict[str, Any]()
    for column in columns:
        table, name = column["table_name"], column["column_name"]
        rows = await driver.rows(f'select distinct "{name}" as id from "{table}" where "{name}" is not null limit 5')
        found |= dict.fromkeys(str(row["id"]) for row in rows)
    return list(found)
