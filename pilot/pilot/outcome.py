"""What came of a story, counted from what the services said. It depends on the story alone, and on no machine."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sojourn_contracts.catalogue import BY_NAME
from sojourn_contracts.vocabulary import TrainingDirection

from pilot.invariants import World
from pilot.logs import Logged
from pilot.marginals import STAYS

EXCHANGE_STAGES = ("proposed", "accepted", "drafted", "agreed", "ongoing", "completed")
ENDS = ("declined", "expired", "withdrawn", "cancelled")
BANDS = dict(zip(STAYS, ("2 weeks", "1 month", "1.5 months", "2 months"), strict=True))
"""The pilot's four durations; a stay counts for the nearest."""

Row = dict[str, Any]


def funnel(world: World, evaluated: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Companies and exchanges, each by how far they came at least, and the exchanges that ended otherwise.

    ``evaluated`` is the programme in the survey's own evaluation; how many exchanges were surveyed is counted from its topic.
    """
    reached = {each["stage"]: each["number"] for each in evaluated["funnel"]}
    ended = {each["stage"]: each["number"] for each in evaluated["ends"]}
    return {
        "companies": {
            "registered": reached["registered"],
            "proposed": len(_companies(world.said("MatchProposed"))),
            "agreed": len(_companies(world.said("ExchangeAgreed"))),
            "completed": len(_companies(world.said("ExchangeCompleted"))),
            "left": evaluated["left"],
        },
        "exchanges": {stage: reached[stage] for stage in EXCHANGE_STAGES} | {"surveyed": _surveyed(world)},
        "ended": {end: ended[end] for end in ENDS},
    }


def _companies(events: Iterable[Logged]) -> set[str]:
    return {company for event in events for company in (event.content["sender_id"], event.content["host_id"])}


def _surveyed(world: World) -> int:
    """Exchanges of which at least one answer is published; the cluster hash is equal for answers about one exchange."""
    records = world.topics.get(BY_NAME["SurveySubmitted"].name, ())
    return len({json.loads(record.value)["exchange_cluster"] for record in records if record.value})


def agreements(world: World) -> list[Logged]:
    """The latest of each exchange: an extension is agreed as well."""
    return list({event.subject: event for event in world.said("ExchangeAgreed")}.values())


def stays(world: World) -> dict[str, int]:
    """Exchanges of which something is told besides that they took place; those called off by their reason."""
    agreed = agreements(world)
    validated = {event.subject for event in world.said("ExchangeUpdated") if event.content["stage"] == "in_validation"}
    interrupted = {event.subject for event in world.said("ExchangeUpdated") if event.content["stage"] == "interrupted"}
    reasons = Counter(event.content["reason"] for event in world.said("ExchangeCancelled"))
    return {
        "agreed": len(agreed),
        "in parts": sum(len(event.content["parts"]) > 1 for event in agreed),
        "both learn": sum(len({item["learner"] for item in event.content["training_items"]}) > 1 for event in agreed),
        "seen by contact points": len(validated),
        "extended": len(world.said("ExchangeAgreed")) - len(agreed),
        "interrupted": len(interrupted),
        **{f"cancelled: {reason}": count for reason, count in sorted(reasons.items())},
    }


def countries(world: World) -> list[Row]:
    return _sides(world, "country")


def sectors(world: World) -> list[Row]:
    """NACE divisions."""
    return _sides(world, "sector")


def _sides(world: World, trait: str) -> list[Row]:
    """Companies of each country or sector, and how many travellers of completed stays they sent and hosted."""
    companies = Counter(event.content[trait] for event in world.said("CompanyRegistered"))
    completed = [event.content for event in world.said("ExchangeCompleted")]
    sent, hosted = (Counter(said[f"{side}_{trait}"] for said in completed) for side in ("sender", "host"))
    return [
        {trait: code, "companies": companies[code], "sent": sent[code], "hosted": hosted[code]}
        for code in sorted({*companies, *sent, *hosted})
    ]


def matrix(world: World) -> list[Row]:
    """Exchanges by the sender's country and the host's; pairs without any are left out."""
    agreed, completed = (
        Counter((event.content["sender_country"], event.content["host_country"]) for event in events)
        for events in (agreements(world), world.said("ExchangeCompleted"))
    )
    return [
        {"sender": sender, "host": host, "agreed": agreed[sender, host], "completed": completed[sender, host]}
        for sender, host in sorted({*agreed, *completed})
    ]


def durations(world: World) -> Row:
    """Days of completed stays."""
    days = sorted(event.content["days"] for event in world.said("ExchangeCompleted"))
    bands = Counter(BANDS[min(BANDS, key=lambda wished: abs(wished - each))] for each in days)
    return {
        "days": {str(each): count for each, count in sorted(Counter(days).items())},
        "bands": {band: bands[band] for band in BANDS.values()},
        "median": statistics.median(days) if days else None,
    }


def training(world: World) -> Row:
    """Who was to be trained, in exchanges agreed and completed, and the hours of training given in completed stays."""
    agreed, completed = (
        [event.content for event in events] for events in (agreements(world), world.said("ExchangeCompleted"))
    )

    def by_direction(all_said: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        counts = Counter(said["training"]["direction"] for said in all_said)
        return {str(direction): counts[direction] for direction in TrainingDirection}

    hours = sum(said["training_hours"] for said in completed)
    return {"agreed": by_direction(agreed), "completed": by_direction(completed), "hours": hours}


def first_proposals(world: World) -> dict[UUID, Logged]:
    """For each company, the first match that was proposed to it as sender or host."""
    firsts: dict[UUID, Logged] = {}
    for event in world.said("MatchProposed"):
        for company in _companies([event]):
            firsts.setdefault(UUID(company), event)
    return firsts


def waits(world: World) -> Row:
    """Programme days that companies with a proposal waited for their first one."""
    firsts = first_proposals(world)
    days = [
        (firsts[event.subject].time - event.time) / timedelta(days=1)
        for event in world.said("CompanyRegistered")
        if event.subject in firsts
    ]
    return {
        "companies": len(days),
        "median_days": round(statistics.median(days), 1) if days else None,
        "longest_days": round(max(days), 1) if days else None,
    }
