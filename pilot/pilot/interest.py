"""Whether silence closed what a company offers and looks for, and an answer did not, after it was asked for its interest."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pilot.invariants import Verdict, World

ASKED_AFTER = timedelta(days=365)
"""After admission or the last sign of interest."""
ANSWERED_WITHIN = timedelta(days=30)


@dataclass
class Interest:
    """As companies lived it in a replay, by their ids."""

    asked: dict[str, datetime] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    """Since they were asked."""


def figures(seen: Interest, world: World) -> dict[str, int]:
    return {"asked": len(seen.asked), "still interested": len(seen.confirmed), "stays closed": len(closed(world))}


def closed(world: World) -> dict[str, datetime]:
    """The companies whose stays the programme closed, and when it first did."""
    found: dict[str, datetime] = {}
    for decision in world.decisions:
        if decision["command"] == "close_stays":
            found.setdefault(decision["company_id"], datetime.fromisoformat(decision["at"]))
    return found


def silence_closes(seen: Interest, world: World, ended_at: datetime) -> Verdict:
    breaches = tuple(_closed_wrongly(seen, world, ended_at))
    return Verdict("Who was asked and silent had its stays closed, and nobody else", breaches)


def _closed_wrongly(seen: Interest, world: World, ended_at: datetime) -> Iterable[str]:
    closed_at = closed(world)
    for company in closed_at.keys() & seen.confirmed:
        yield f"company {company} said that it is still interested, and its stays were closed"
    for company in closed_at.keys() - seen.asked.keys():
        yield f"the stays of company {company} were closed, and it was not asked"
    for company in seen.asked.keys() - seen.confirmed - seen.left:
        due = seen.asked[company] + ANSWERED_WITHIN
        if due <= ended_at and closed_at.get(company) != due:
            yield f"company {company} was silent until {due.isoformat()}, and its stays were not closed then"
    told = {
        str(event.subject): event.content for event in (*world.said("CompanyRegistered"), *world.said("CompanyUpdated"))
    }
    for company in closed_at.keys() & told.keys():
        if told[company]["placements"] or told[company]["offers"]:
            yield f"the stays of company {company} were closed, and others were told that it has some"
