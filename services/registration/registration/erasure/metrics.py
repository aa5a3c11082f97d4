"""How erasures do, as gauges: an alert on ``erasures_overdue`` comes long before the month that the law gives."""

from datetime import timedelta

from chassis.database import Connection
from chassis.metrics import Gauged, Observed
from chassis.service import Process

from registration.erasure import store

OVERDUE = timedelta(hours=24)
"""They take seconds; who has not answered by then will not without help."""


GAUGES = {
    "erasures_open": Gauged("Erasures that a service has not answered"),
    "erasures_overdue": Gauged("Those of them that are older than a day"),
    "erasure_age_seconds": Gauged("Age of the oldest of them"),
}


async def observed(connection: Connection, process: Process) -> list[Observed]:
    found = await store.how_late(connection, process.clock.now(), OVERDUE)
    return [Observed(name, value) for name, value in zip(GAUGES, found, strict=True)]
