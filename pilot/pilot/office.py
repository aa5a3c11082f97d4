"""When people act: on the hours of a working day, so that acts of many companies can share a step of the clock."""

from datetime import datetime, timedelta

FIRST_HOUR, LAST_HOUR = 7, 15
"""UTC."""
SATURDAY = 5


def office_hour(at: datetime) -> datetime:
    """The first full hour of a working day at or after this instant."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    if hour < at:
        hour += timedelta(hours=1)
    if hour.hour < FIRST_HOUR:
        hour = hour.replace(hour=FIRST_HOUR)
    if hour.hour > LAST_HOUR:
        hour = hour.replace(hour=FIRST_HOUR) + timedelta(days=1)
    while hour.weekday() >= SATURDAY:
        hour = hour.replace(hour=FIRST_HOUR) + timedelta(days=1)
    return hour
