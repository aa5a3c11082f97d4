"""When people act: at two hours of a working day, so that acts of many companies share a step of the clock."""

from datetime import datetime, timedelta

HOURS = (8, 13)
"""UTC."""
SATURDAY = 5


def office_hour(at: datetime) -> datetime:
    """The first of these hours of a working day at or after this instant."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        if day.weekday() < SATURDAY:
            for hour in HOURS:
                if day.replace(hour=hour) >= at:
                    return day.replace(hour=hour)
        day += timedelta(days=1)
