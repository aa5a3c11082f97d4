"""How many people a company may have on stays at a time. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sojourn_contracts.refusal import Refused

from exchange.agreement import Part
from exchange.domain import days_held
from exchange.state import Exchange


@dataclass(frozen=True)
class Held:
    """Days of another exchange, agreed and not ended."""

    traveller_id: UUID
    offer_id: UUID
    sender_id: UUID
    part: Part


def check(exchange: Exchange, others: Iterable[Held], most_sent: int, capacity: int | None) -> None:
    """Returns if the days of an exchange that is agreed keep within what its companies may and can do at a time.

    ``others`` are those of the same sender or offer; ``capacity`` is the offer's, None where the host has the offer no more:
    what was agreed before stands, and is not held against it.

    Raises:
        Refused: ``too_many_sent``, ``host_full``.
    """
    mine = days_held(exchange)
    held = list(others)
    sent = _most_beside(mine, (one for one in held if one.sender_id == exchange.match.sender_id), exchange)
    if sent >= most_sent:
        rule = (
            f"a company sends at most {most_sent} people at a time, and {sent} others are agreed for some of these days"
        )
        raise Refused("too_many_sent", rule, {"most": most_sent})
    if capacity is None:
        return
    hosted = _most_beside(mine, (one for one in held if one.offer_id == exchange.match.offer_id), exchange)
    if hosted >= capacity:
        rule = f"the offer has room for {capacity} at a time, and {hosted} others are agreed for some of these days"
        raise Refused("host_full", rule, {"most": capacity})


def _most_beside(mine: Iterable[Part], others: Iterable[Held], exchange: Exchange) -> int:
    """How many other people there are at most on one of these days."""
    days = {part.first_day + timedelta(days=ahead) for part in mine for ahead in range(part.days)}
    people: dict[object, set[UUID]] = {day: set() for day in days}
    for other in others:
        for ahead in range(other.part.days):
            day = other.part.first_day + timedelta(days=ahead)
            if day in people and other.traveller_id != exchange.match.traveller_id:
                people[day].add(other.traveller_id)
    return max(map(len, people.values()), default=0)
