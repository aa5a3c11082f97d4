"""A service's log with events, without the relay that would also send them to Kafka."""

from collections.abc import Iterable

from chassis.lease import Lease
from chassis.relay import MOVE
from chassis.transaction import Cause
from sojourn_contracts.event import Event

from tests.chassis_driver import Driver


async def log(driver: Driver, *events: Event, erase: Iterable[Event] = (), cause: Cause | None = None) -> None:
    """They are emitted and, behind them, tombstones; then all is moved into the log, as a leading relay does."""
    async with driver.process.open_transaction(cause or Cause()) as tx:
        tx.emit(*events)
        for event in erase:
            tx.erase(type(event), event.subject)
    lease = Lease(driver.process.pool, "relay", 5)
    assert await lease.acquire()
    await driver.process.pool.fetch(MOVE, lease.holder, lease.epoch, 10_000)
    await lease.release()
