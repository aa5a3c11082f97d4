"""How erasures do, as gauges: an alert on ``erasures_overdue`` comes long before the month that the law gives."""

from datetime import datetime, timedelta

from chassis.database import Connection
from chassis.metrics import Observed

from registration.erasure import store

OVERDUE = timedelta(hours=24)
"""They take seconds; who has not answered by then will not without help."""


async def observed(connection: Connection, now: datetime) -> list[Observed]:
    open_, overdue, oldest = await store.how_late(connection, now, OVERDUE)
    return [
        Observed("erasures_open", "Erasures that a service has not answered", open_),
        Observed("erasures_overdue", "Those of them that are older than a day", overdue),
        Observed("erasure_age_seconds", "Age of the oldest of them", oldest),
    ]
