"""What operators see of the market's health: how many hosts placements have, how long they wait, and what stands in the way."""

from collections import Counter
from typing import cast

from chassis.database import Connection
from chassis.http import Tx
from chassis.metrics import Gauged, Observed
from chassis.service import Process
from chassis.transaction import Transaction
from fastapi import APIRouter
from pydantic import BaseModel
from sojourn_contracts.vocabulary import Country

from matching import planned, planning, store
from matching.api import Operator
from matching.domain import Obstacle, section
from matching.replica import Replica
from matching.settings import MatchingSettings, taxonomy

routes = APIRouter()

SAMPLE, AMONG = 50, 1_000
"""Placements without hosts of which the report counts what stands in the way, and the offers each is compared with, at most."""


class Hosts(BaseModel):
    """Open placements of one country and NACE section, and the hosts that each has to choose from, at most 20."""

    country: Country
    section: str
    placements: int
    without_hosts: int
    hosts_per_placement: float


class MarketReport(BaseModel):
    """Open placements: their hosts, how long they have waited, and why those without hosts have none."""

    hosts: list[Hosts]
    median_days_waited: int | None
    p90_days_waited: int | None
    """None when nobody waits."""
    sampled: int
    """Placements without hosts that ``reasons`` is counted over."""
    reasons: dict[Obstacle, int]
    """Pairs of a sampled placement and an offer that each hard constraint forbids, each by the first one that it breaks."""


@routes.get("/market/report")
async def report(_: Operator, tx: Tx) -> MarketReport:
    """How the market does; as of the latest searches."""
    median, most = await store.days_waited(tx.connection, tx.now.date())
    sampled, reasons = await _reasons(tx)
    return MarketReport(
        hosts=_by_section(await store.waiting(tx.connection)),
        median_days_waited=median,
        p90_days_waited=most,
        sampled=sampled,
        reasons=reasons,
    )


_OF_A_SECTION = ("country", "section")
GAUGES = {
    "median_days_waited": Gauged("Days that open placements have waited, the median"),
    "p90_days_waited": Gauged("Days that open placements have waited, nine of ten no longer"),
    "open_placements": Gauged("Placements that wait for a match", _OF_A_SECTION),
    "without_hosts": Gauged("Those of them that fit no host", _OF_A_SECTION),
    "hosts_per_placement": Gauged("Hosts that each fits, at most 20", _OF_A_SECTION),
    "planner_silent_seconds": Gauged("For how long more than a tick the market has waited for a plan"),
    "index_ends": Gauged("Placements and offers in this process's index"),
    "index_age_seconds": Gauged("Time since this process's index was known to show all that is committed"),
}


def known(process: Process) -> list[Observed]:
    """How this process's index does."""
    replica = cast(Replica | None, process.prepared)
    return [] if replica is None else [Observed("index_ends", len(replica)), Observed("index_age_seconds", replica.age)]


async def observed(connection: Connection, process: Process) -> list[Observed]:
    """How the planner does."""
    asked_at, settings = await store.plan_asked_at(connection), cast(MatchingSettings, process.settings)
    return [Observed("planner_silent_seconds", planned.silent(asked_at, process.clock.now(), settings))]


async def counted(connection: Connection, process: Process) -> list[Observed]:
    """The same as the report, but for the reasons, which take a search."""
    median, most = await store.days_waited(connection, process.clock.now().date())
    gauges = [Observed("median_days_waited", median or 0), Observed("p90_days_waited", most or 0)]
    for hosts in _by_section(await store.waiting(connection)):
        labels = {"country": hosts.country, "section": hosts.section}
        gauges += [
            Observed("open_placements", hosts.placements, labels),
            Observed("without_hosts", hosts.without_hosts, labels),
            Observed("hosts_per_placement", hosts.hosts_per_placement, labels),
        ]
    return gauges


def _by_section(found: list[store.Waiting]) -> list[Hosts]:
    sums: dict[tuple[Country, str], Counter[str]] = {}
    for each in found:
        letter = chr(ord("A") + section(each.sector) - 1)
        sums.setdefault((each.country, letter), Counter()).update(
            placements=each.placements, without_hosts=each.without_hosts, hosts=each.hosts
        )
    return [
        Hosts(
            country=country,
            section=letter,
            placements=counts["placements"],
            without_hosts=counts["without_hosts"],
            hosts_per_placement=round(counts["hosts"] / counts["placements"], 2),
        )
        for (country, letter), counts in sorted(sums.items())
    ]


async def _reasons(tx: Transaction) -> tuple[int, dict[Obstacle, int]]:
    parameters, sums = planning.parameters(tx.now.date(), taxonomy(tx)), Counter[Obstacle]()
    placements = await store.without_hosts(tx, SAMPLE)
    for placement in placements:
        sums.update(await store.obstacles(tx, placement, parameters, AMONG))
    return len(placements), {obstacle: sums[obstacle] for obstacle in Obstacle if sums[obstacle]}
