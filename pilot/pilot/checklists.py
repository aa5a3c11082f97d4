"""What people had to do before their stays, whether they said so in time, and whether contact points were shown what was late."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from pilot.invariants import Verdict, World
from pilot.office import HOURS
from pilot.population import PROGRAMME_DAYS, START

Entry = tuple[str, str]
"""Exchange and item."""


@dataclass
class Checklists:
    """As people and contact points saw them in a replay."""

    deadlines: dict[Entry, date] = field(default_factory=dict)
    """The last day in time of each entry that anybody saw."""
    done: dict[Entry, datetime] = field(default_factory=dict)
    shown: dict[datetime, dict[Entry, date]] = field(default_factory=dict)
    """What was late when contact points asked, by instant: with its deadline."""

    def seen(self, view: Mapping[str, Any]) -> None:
        """What a party sees of its checklist."""
        for item in view["items"]:
            entry = view["exchange_id"], item["item"]
            self.deadlines[entry] = date.fromisoformat(item["deadline"])
            if item["done_at"]:
                self.done[entry] = datetime.fromisoformat(item["done_at"])

    def late(self, at: datetime, risks: Iterable[Mapping[str, Any]]) -> None:
        """What a contact point is shown."""
        entries = self.shown.setdefault(at, {})
        entries |= {(risk["exchange_id"], risk["item"]): date.fromisoformat(risk["deadline"]) for risk in risks}


def mondays() -> list[datetime]:
    """When contact points ask what is late: at the first hour of each week of the programme."""
    first = START.replace(hour=HOURS[0]) + timedelta(days=-START.weekday() % 7)
    return [first + timedelta(weeks=week) for week in range(PROGRAMME_DAYS // 7)]


def figures(seen: Checklists, world: World) -> dict[str, Any]:
    """By item, and what contact points were shown: how many entries were ever late as they asked, and how late at most."""
    completed, cancelled = (_first_said(world, name) for name in ("ExchangeCompleted", "ExchangeCancelled"))
    called_off = {
        exchange for exchange, at in cancelled.items() if exchange not in completed or at < completed[exchange]
    }
    items: dict[str, Counter[str]] = {}
    for entry, deadline in sorted(seen.deadlines.items()):
        exchange, item = entry
        done = seen.done.get(entry)
        if done is None:
            how = "called_off" if exchange in called_off else "never"
        else:
            how = "in_time" if done.date() <= deadline else "late"
        items.setdefault(item, Counter()).update(("listed", how))
    shown = {entry for each in seen.shown.values() for entry in each}
    days = [(at.date() - deadline).days for at, each in seen.shown.items() for deadline in each.values()]
    names = ("listed", "in_time", "late", "never", "called_off")
    return {
        "items": {item: {name: counts[name] for name in names} for item, counts in sorted(items.items())},
        "risks": {
            "asked": len(seen.shown),
            "items": dict(sorted(Counter(item for _, item in shown).items())),
            "exchanges": len({exchange for exchange, _ in shown}),
            "most_days_late": max(days, default=0),
        },
    }


def shown_what_is_late(seen: Checklists, world: World) -> Verdict:
    breaches = tuple(_shown_wrongly(seen, world))
    return Verdict("Contact points are shown what is late on a checklist, and nothing else", breaches)


def _shown_wrongly(seen: Checklists, world: World) -> Iterable[str]:
    """They ask before anybody else acts, and after what is due at that instant: whatever ends then may be shown or not."""
    agreed, ended = _first_said(world, "ExchangeAgreed"), _first_said(world, "ExchangeCompleted", "ExchangeCancelled")
    for at, shown in seen.shown.items():
        for entry, deadline in shown.items():
            done, end = seen.done.get(entry), ended.get(entry[0])
            if deadline >= at.date() or (done and done < at) or (end and end < at):
                yield f"{at:%Y-%m-%d}: {entry[1]} of exchange {entry[0]} is shown, and is not late"
        for entry, deadline in seen.deadlines.items():
            began, done, end = agreed.get(entry[0]), seen.done.get(entry), ended.get(entry[0])
            listed = began is not None and began < at and (end is None or end > at)
            if listed and deadline < at.date() and (done is None or done >= at) and entry not in shown:
                yield f"{at:%Y-%m-%d}: {entry[1]} of exchange {entry[0]} is late, and is not shown"


def _first_said(world: World, *names: str) -> dict[str, datetime]:
    """Exchange to when one of these was first said of it.

    Who is erased leaves the events without data, and tombstones of every event behind them.
    """
    said: dict[str, datetime] = {}
    for event in world.logs["exchange"]:
        if event.type in {f"{name}.v1" for name in names}:
            said.setdefault(str(event.subject), event.time)
    return said
