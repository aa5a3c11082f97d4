"""The report of a replay, as data. All but its wall-clock figures is equal for an equal seed."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pilot import admission, checklists, interest, outcome, wall_clock
from pilot.invariants import Verdict, World
from pilot.logs import STORY
from pilot.population import START, Company
from pilot.replay import Progress

Report = dict[str, Any]

ABOUT = (
    "The system is real; the people are simulated. Who takes part, what they choose and what they answer are assumptions,"
    " written down as parameters in pilot/marginals.py and pilot/choices.py: the indicators say what the system made of"
    ' simulated answers, nothing about real companies. "Pilot" is what MobiliseSME reported in 2017.'
)
END_OF_STAY = 1
"""The wave that the pilot's figures stand beside."""
PILOT = {"companies": 400, "exchanges": 54, "sectors": 23, "countries": 16}
"""What MobiliseSME reported; "about 400" companies."""


@dataclass(frozen=True)
class Evaluated:
    """What the services themselves say at the end."""

    evaluation: Mapping[str, Any]
    """The survey's evaluation, as analysts get it."""
    exchanges: Sequence[Mapping[str, Any]]
    """All exchanges, as an operator gets them."""


def report(
    companies: Sequence[Company],
    seed: int,
    until: datetime,
    progress: Progress,
    evaluated: Evaluated,
    world: World,
    verdicts: Sequence[Verdict],
    seconds: Mapping[str, float],
) -> Report:
    """``seconds``: how long each part of the run lasted."""
    return {
        "about": ABOUT,
        "story": {
            "companies": len(companies),
            "seed": seed,
            "start": START.isoformat(),
            "until": until.isoformat(),
            "ended_at": progress.ended_at.isoformat() if progress.ended_at else None,
            "steps": progress.steps,
        },
        "pilot": PILOT,
        "population": _population(companies),
        "admission": admission.figures(world),
        "interest": interest.figures(progress.interest, world),
        "funnel": outcome.funnel(world, evaluated.evaluation["programme"]),
        "exchanges": dict(sorted(Counter(exchange["stage"] for exchange in evaluated.exchanges).items())),
        "sectors": outcome.sectors(world),
        "countries": outcome.countries(world),
        "matrix": outcome.matrix(world),
        "durations": outcome.durations(world),
        "training": outcome.training(world),
        "stays": outcome.stays(world),
        "checklists": checklists.figures(progress.checklists, world),
        "waits": outcome.waits(world),
        "indicators": [each for each in evaluated.evaluation["indicators"] if each["wave"] == END_OF_STAY],
        "responses": list(evaluated.evaluation["programme"]["responses"]),
        "surveys": vars(world.surveys) | {"answered": progress.acts["answer"]},
        "acts": dict(sorted(progress.acts.items())),
        "refusals": dict(sorted(progress.refusals.items())),
        "notices": {template: dict(figures) for template, figures in world.mails.by_template.items()},
        "events": {topic.event.__name__: len(world.topics.get(topic.name, ())) for topic in STORY},
        "invariants": [verdict.told() for verdict in verdicts],
        "wall_clock": wall_clock.figures(world, progress, seconds),
    }


def broken(made: Report) -> list[str]:
    """The invariants that do not hold."""
    return [each["invariant"] for each in made["invariants"] if not each["holds"]]


def _population(companies: Sequence[Company]) -> dict[str, int]:
    offers = [offer for company in companies for offer in company.form["offers"]]
    return {
        "countries": len({company.form["country"] for company in companies}),
        "sectors": len({company.form["nace"][:2] for company in companies}),
        "placements": sum(len(company.form["placements"]) for company in companies),
        "offers": len(offers),
        "places": sum(offer["capacity"] for offer in offers),
    }


def write(made: Report, path: Path) -> None:
    """Replaces the file whole."""
    replace_whole(path, json.dumps(made, indent=2) + "\n")


def replace_whole(path: Path, text: str) -> None:
    """Nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
