"""Events at hours of the day, in a service's log, and the manifests that it issues of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chassis.lease import Lease
from chassis.relay import MOVE
from chassis.transaction import MANIFESTS, Cause
from joserfc.jwk import OKPKey
from sojourn_contracts import catalogue
from sojourn_contracts.event import Event
from sojourn_contracts.manifest import ManifestIssued

from chassis import due
from tests.chassis_driver import Driver


def hours_ago(hours: int, minutes: int = 0) -> datetime:
    """So long before the present hour began, by the time of day."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours, minutes=minutes)


def a_key(folder: Path) -> Path:
    """A new private key, as MANIFEST_KEY names it."""
    path = folder / "manifest-key.json"
    path.write_text(json.dumps(OKPKey.generate_key("Ed25519", auto_kid=True).as_dict(private=True)))
    return path


async def published(driver: Driver, at: datetime, *events: Event, unmoved: bool = False) -> None:
    """Emitted at that time of day; in the log, unless it is still to be moved."""
    async with driver.process.open_transaction(Cause()) as tx:
        tx.emit(*events)
    await driver.rows("update outbox set written_at = $1 where written_at > now() - interval '30 seconds'", at)
    if not unmoved:
        await move(driver)


async def move(driver: Driver) -> None:
    lease = Lease(driver.process.pool, "relay", 5)
    assert await lease.acquire()
    async with driver.process.pool.acquire() as connection:
        await connection.fetch(MOVE, lease.holder, lease.epoch, 1_000)
    await lease.release()


async def look(driver: Driver) -> list[ManifestIssued]:
    """All manifests, once what is due now is done."""
    async with driver.process.pool.acquire() as connection:
        await due.begin(connection, MANIFESTS)
        await connection.execute("update due set not_before = null where kind = $1", MANIFESTS)
    await driver.run_due()
    return await issued(driver)


async def issued(driver: Driver) -> list[ManifestIssued]:
    rows = await driver.rows(
        "select type, data, 0 as round, position as id from event_log where type like '%ManifestIssued%'"
        " union all select type, data, 1, id from outbox where type like '%ManifestIssued%' order by round, id"
    )
    return [catalogue.BY_NAME[row["type"].split(".")[0]].event.model_validate_json(row["data"]) for row in rows]
