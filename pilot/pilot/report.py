"""The report of a replay: for the terminal, and as JSON. All but its wall-clock figures is equal for an equal seed."""

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sojourn_contracts.catalogue import TOPICS

from pilot.invariants import SHOWN, Verdict, World
from pilot.population import START, Company
from pilot.replay import Progress

Report = dict[str, Any]

ABOUT = (
    "Simulated: population and choices are assumptions (pilot/marginals.py, pilot/choices.py), the system is the real one. "
    "'pilot' is what MobiliseSME reported in 2017."
)


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
    wall_clock: Mapping[str, float],
) -> Report:
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
        "population": _population(companies),
        "funnel": dict(evaluated.evaluation["funnel"]),
        "exchanges": dict(sorted(Counter(exchange["stage"] for exchange in evaluated.exchanges).items())),
        "indicators": list(evaluated.evaluation["indicators"]),
        "responses": list(evaluated.evaluation["responses"]),
        "acts": dict(sorted(progress.acts.items())),
        "refusals": dict(sorted(progress.refusals.items())),
        "events": {topic.event.__name__: len(world.topics.get(topic.name, ())) for topic in TOPICS},
        "invariants": [
            {"invariant": verdict.invariant, "holds": verdict.holds, "breaches": list(verdict.breaches)}
            for verdict in verdicts
        ],
        "wall_clock": {name: round(figure, 4) for name, figure in wall_clock.items()},
    }


def _population(companies: Sequence[Company]) -> dict[str, int]:
    offers = [offer for company in companies for offer in company.form["offers"]]
    return {
        "countries": len({company.form["country"] for company in companies}),
        "sectors": len({company.form["nace"][:2] for company in companies}),
        "placements": sum(len(company.form["placements"]) for company in companies),
        "offers": len(offers),
        "places": sum(offer["capacity"] for offer in offers),
    }


def wall_clock(progress: Progress, seconds: Mapping[str, float]) -> dict[str, float]:
    """Figures of this run on this machine; ``seconds``: how long each part of it lasted."""
    replay = seconds["replay"]
    return {f"{name}_seconds": lasted for name, lasted in seconds.items()} | {
        "events_per_second": progress.events / replay if replay else 0.0,
        "step_milliseconds_p50": _milliseconds(progress.step_seconds, 50),
        "step_milliseconds_p99": _milliseconds(progress.step_seconds, 99),
        "act_milliseconds_p50": _milliseconds(progress.act_seconds, 50),
        "act_milliseconds_p99": _milliseconds(progress.act_seconds, 99),
    }


def _milliseconds(seconds: Sequence[float], percentile: int) -> float:
    if len(seconds) < 2:
        return 1000 * sum(seconds)
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percentile - 1]


def write(made: Report, path: Path) -> None:
    """Replaces the file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(made, indent=2) + "\n")
    beside.replace(path)


def show(made: Report, console: Console) -> None:
    """The report on a terminal."""
    story, people = made["story"], made["population"]
    console.rule(f"Sojourn: {story['companies']} companies, seed {story['seed']}")
    console.print(
        f"{story['start'][:10]} to {(story['ended_at'] or story['until'])[:10]}: {people['countries']} countries,"
        f" {people['sectors']} sectors, {people['placements']} placements, {people['offers']} offers with"
        f" {people['places']} places\n",
        ABOUT,
        style="dim",
        sep="",
    )
    events = made["events"] | {"in all": sum(made["events"].values())}
    for beside in (
        [_counts("Funnel", made["funnel"]), _counts("Exchanges by stage", made["exchanges"])],
        [_indicators(made["indicators"])],
        [_responses(made["responses"])],
        [_counts("Acts", made["acts"]), _counts("Refused, as the rules want", made["refusals"])],
        [_counts("Events on their topics", events), _counts("Wall clock", made["wall_clock"])],
        [_invariants(made["invariants"])],
    ):
        console.print(Columns(beside, padding=(0, 4)))
    _tell_breaches(made["invariants"], console)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=len(columns) > 2)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _counts(title: str, counts: Mapping[str, float]) -> Table:
    table = _table(title, "", "")
    for name, count in counts.items():
        table.add_row(name.replace("_", " "), f"{count:,.1f}" if isinstance(count, float) else f"{count:,}")
    return table


def _indicators(indicators: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Indicators (simulated answers)", "", "share", "95% interval", "valid", "don't know", "n/a", "pilot")
    for each in indicators:
        known = each["share"] is not None
        table.add_row(
            each["code"],
            f"{each['share']:.0%}" if known else "-",
            f"{each['low']:.0%} to {each['high']:.0%}" if known else "-",
            *(str(each[name]) for name in ("valid", "dont_know", "not_applicable")),
            f"{each['pilot']:.0%}",
        )
    return table


def _responses(responses: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Responses", "", "wave", "invited", "submitted")
    for each in responses:
        table.add_row(each["party"], *(str(each[name]) for name in ("wave", "invited", "submitted")))
    return table


def _invariants(invariants: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Invariants", "", "")
    for each in invariants:
        table.add_row(escape(each["invariant"]), "[green]holds[/]" if each["holds"] else "[bold red]BROKEN[/]")
    return table


def _tell_breaches(invariants: Sequence[Mapping[str, Any]], console: Console) -> None:
    for each in invariants:
        if each["breaches"]:
            console.print(f"\nBROKEN: {each['invariant']}", style="bold red", markup=False)
        for breach in each["breaches"][:SHOWN]:
            console.print(f"  {breach}", markup=False)
        if len(each["breaches"]) > SHOWN:
            console.print(f"  and {len(each['breaches']) - SHOWN} more")
