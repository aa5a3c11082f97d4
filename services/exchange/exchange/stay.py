"""What is known of a stay once it has begun: arrivals, what was interrupted, the training given, who confirmed it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sojourn_contracts.vocabulary import Party, Side

from exchange.agreement import Giver, Part

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Arrival:
    """A side says on which day the traveller arrived."""

    side: Side
    day: date


@dataclass(frozen=True)
class Fit:
    """What a side answers to the question whether the stay fits."""

    side: Side
    fits: bool
    answered_at: datetime


@dataclass(frozen=True)
class Interruption:
    """Days that do not count, wherever they lie in the parts of the stay."""

    since: date
    """The first one."""
    reason: str
    until: date | None = None
    """The first day that counts again; None while it lasts."""


@dataclass(frozen=True)
class Delivery:
    """Training that was given: there is one entry for a day and a skill."""

    day: date
    skill: str
    hours: int
    given_by: Giver
    recorded_by: Party


@dataclass(frozen=True)
class Stay:
    """Blank until the first day."""

    arrivals: tuple[Arrival, ...] = ()
    asked_at: datetime | None = None
    """When both sides were asked whether it fits."""
    answers: tuple[Fit, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    record: tuple[Delivery, ...] = ()
    """By day and skill."""
    ended_on: date | None = None
    """The last day, where it ended before the agreed one."""
    confirmed_by: tuple[Side, ...] = ()

    @property
    def training_hours(self) -> int:
        return sum(delivery.hours for delivery in self.record)

    def arrived(self, side: Side) -> date | None:
        return next((arrival.day for arrival in self.arrivals if arrival.side is side), None)

    def fits(self, side: Side) -> bool | None:
        """None until this side answered."""
        return next((answer.fits for answer in self.answers if answer.side is side), None)

    def with_arrival(self, side: Side, day: date) -> "Stay":
        others = tuple(arrival for arrival in self.arrivals if arrival.side is not side)
        return replace(self, arrivals=(*others, Arrival(side, day)))

    def with_delivery(self, delivery: Delivery) -> "Stay":
        """Replaces what was recorded for the same day and skill."""
        key = (delivery.day, delivery.skill)
        others = (one for one in self.record if (one.day, one.skill) != key)
        return replace(self, record=tuple(sorted((*others, delivery), key=lambda one: (one.day, one.skill))))

    def resumed(self, today: date) -> "Stay":
        """Today counts again. An interruption that is resumed on its first day has no days."""
        past = tuple(one for one in self.interruptions if one.until is not None)
        lasting = tuple(
            replace(one, until=today) for one in self.interruptions if one.until is None and one.since <= today
        )
        return replace(self, interruptions=past + lasting)


def taken(parts: Sequence[Part], stay: Stay) -> tuple[Part, ...]:
    """The parts as they were or are to be: what lies after an early end is not."""
    ended_on = stay.ended_on
    if ended_on is None:
        return tuple(parts)
    return tuple(Part(part.first_day, min(part.last_day, ended_on)) for part in parts if part.first_day <= ended_on)


def interrupted_days(parts: Sequence[Part], stay: Stay) -> int:
    """Days of the parts that fell into interruptions which are over."""
    over = [(one.since, one.until - DAY) for one in stay.interruptions if one.until is not None]
    return sum(_common(part, first, last) for part in taken(parts, stay) for first, last in over)


def counted_days(parts: Sequence[Part], stay: Stay) -> int:
    """Days that count, up to the last one: those of the parts, without the interrupted ones."""
    lasting = [one.since for one in stay.interruptions if one.until is None]
    remaining = taken(parts, stay)
    lost = sum(_common(part, since, part.last_day) for part in remaining for since in lasting)
    return sum(part.days for part in remaining) - lost - interrupted_days(parts, stay)


def _common(part: Part, first: date, last: date) -> int:
    return max(0, (min(part.last_day, last) - max(part.first_day, first)).days + 1)
