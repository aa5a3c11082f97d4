"""How fast the system was on this machine: the figures of a report that no two runs share.

The programme's clock is stepped, so the time between a registration and the next search for partners has no wall-clock
length. What has one is the system's own work, and that is measured: from what sets it going, or from the step of the
clock that makes it due, to its result. Waiting for the next step is the pilot's, and is left out.
"""

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pilot.invariants import World
from pilot.outcome import first_proposals
from pilot.replay import Progress

PERCENTILES = (50, 90, 99)
MEASURED = {
    "registration_to_proposal": (
        "For each company: from the time its registration was written until matching had taken it in, plus, on the day of its"
        " first proposal, from the step of the clock at which the market was searched until the proposal was written. The"
        " time between the two parts is waiting for the planner's daily search, which only the stepped clock ends; it"
        " is left out."
    ),
    "completion_to_invitation": (
        "For each completed exchange: from the time its completion was written until the survey took it in, in the"
        " transaction that creates the three invitations."
    ),
}


def figures(world: World, progress: Progress, seconds: Mapping[str, float]) -> dict[str, Any]:
    """``seconds``: how long each part of the run lasted."""
    replay = seconds["replay"]
    return {f"{name}_seconds": round(lasted, 2) for name, lasted in seconds.items()} | {
        "events_per_second": round(progress.events / replay if replay else 0.0, 2),
        "milliseconds": {
            "registration_to_proposal": spread(_to_proposals(world, progress.stepped)),
            "completion_to_invitation": spread(_to_invitations(world)),
            "step_of_the_clock": spread([1000 * each for each in progress.step_seconds]),
            "request_of_an_act": spread([1000 * each for each in progress.act_seconds]),
        },
        "measured": MEASURED,
    }


def _to_proposals(world: World, stepped: Mapping[datetime, datetime]) -> list[float]:
    firsts, heard = first_proposals(world), world.handled["matching"]
    return [
        _milliseconds(heard[event.event_id] - event.written_at) + _milliseconds(first.written_at - stepped[first.time])
        for event in world.said("CompanyRegistered")
        if (first := firsts.get(event.subject)) and event.event_id in heard and first.time in stepped
    ]


def _to_invitations(world: World) -> list[float]:
    heard = world.handled["survey"]
    return [
        _milliseconds(heard[event.event_id] - event.written_at)
        for event in world.said("ExchangeCompleted")
        if event.event_id in heard
    ]


def _milliseconds(lasted: timedelta) -> float:
    return lasted / timedelta(milliseconds=1)


def spread(milliseconds: Sequence[float]) -> Mapping[str, float | None]:
    """How many there were, their percentiles and the greatest; None where there were none."""
    if not milliseconds:
        return {"count": 0} | {f"p{percentile}": None for percentile in PERCENTILES} | {"max": None}
    cuts = statistics.quantiles([*milliseconds] * (1 if len(milliseconds) > 1 else 2), n=100, method="inclusive")
    return (
        {"count": len(milliseconds)}
        | {f"p{percentile}": round(cuts[percentile - 1], 1) for percentile in PERCENTILES}
        | {"max": round(max(milliseconds), 1)}
    )
