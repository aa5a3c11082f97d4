"""Matching's wiring, as data, and its command: what the planner would do."""

import json
from pathlib import Path

import typer
from chassis.commands import on_process
from chassis.service import Service
from fastapi import APIRouter

from matching import api, candidates, erasure, handlers, planned, proposing, replica, report
from matching.settings import MatchingSettings

routes = APIRouter()
routes.include_router(api.routes)
routes.include_router(candidates.routes)
routes.include_router(report.routes)
routes.include_router(erasure.HELD.routes())

service = Service(
    name="matching",
    routes=routes,
    doors=handlers.DOORS,
    adopts=handlers.ADOPTS,
    migrations=Path(__file__).parent / "migrations",
    settings=MatchingSettings,
    counters=handlers.COUNTERS,
    durations=proposing.DURATIONS,
    gauges=report.GAUGES,
    known=report.known,
    observed=report.observed,
    counted=report.counted,
    prepare=replica.following,
)
command = service.command()


@command.command()
def plan() -> None:
    """Prints what the planner would propose now, and what it would hold, each with the reason, one JSON object per line.

    Nothing is changed; it may be asked at any time, of whatever size the market is.
    """
    market, now, settings = on_process(service, planned.asked)
    for proposed, verdicts in zip(
        (True, False), planned.verdicts(market, now, planned.parameters(settings)), strict=True
    ):
        for (placement_id, offer_id, score), reason in verdicts:
            typer.echo(
                json.dumps(
                    {
                        "placement_id": str(placement_id),
                        "offer_id": str(offer_id),
                        "score": score,
                        "proposed": proposed,
                        "reason": reason,
                    }
                )
            )
