"""Brings a real database to a stage, and tells what stands in it."""

from uuid import UUID

from chassis.transaction import Cause
from exchange import store
from exchange.state import Exchange
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.exchange import Stage
from sojourn_contracts.refusal import Unknown

from tests.chassis_driver import Driver
from tests.exchange.given import MATCH, host_registered, proposal, sender_registered


async def both_registered(driver: Driver) -> None:
    await driver.handle(sender_registered(), host_registered())


async def stands_at(driver: Driver, exchange: Exchange, sender: CompanyRegistered | None = None) -> None:
    """The two companies are registered, and their exchange has come to this state; its past events are gone."""
    await driver.handle_together(sender or sender_registered(), host_registered(), proposal())
    async with driver.process.open_transaction(Cause()) as tx:
        before = await store.locked(tx, exchange.id)
        await store.save(tx, before, (exchange, []))


async def held(driver: Driver, exchange_id: UUID = MATCH) -> Exchange | None:
    async with driver.process.open_transaction(Cause()) as tx:
        try:
            return await store.read(tx, exchange_id)
        except Unknown:
            return None


async def stage_of(driver: Driver, exchange_id: UUID = MATCH) -> Stage | None:
    exchange = await held(driver, exchange_id)
    return exchange.stage if exchange else None


async def due_work(driver: Driver) -> dict[str, list[str]]:
    """Kinds of work by exchange."""
    rows = await driver.rows("select subject, array_agg(kind order by kind) as kinds from due group by subject")
    return {row["subject"]: row["kinds"] for row in rows}


async def companies_gone(driver: Driver) -> set[UUID]:
    return {row["company_id"] for row in await driver.rows("select company_id from company where gone")}


async def tombstones(driver: Driver) -> list[tuple[str, UUID]]:
    rows = await driver.rows("select topic, subject from outbox where data is null order by id")
    return [(row["topic"], row["subject"]) for row in rows]
