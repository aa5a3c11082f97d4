"""What matching takes from the environment besides what every service does."""

from typing import Annotated, cast

from chassis.settings import Settings
from chassis.transaction import Transaction
from pydantic import Field
from pydantic_settings import NoDecode
from sojourn_contracts.taxonomy import InFolder, Taxonomy, starter

from matching.planner import PlannerParameters


class MatchingSettings(Settings):
    taxonomy: Annotated[InFolder, NoDecode] = Field(
        default_factory=starter, description="folder of the skills taxonomy in force; unset, the starter set"
    )
    planner_tick_hours: int = Field(
        0,
        ge=0,
        le=168,
        description="hours of programme time between searches of the market; 0 searches at every change",
    )
    batching_from: int = Field(
        8_000,
        ge=0,
        description="placements and offers on the market from which on they are planned together at ticks, about 5,000 companies;"
        " of fewer, each is proposed its best at the tick",
    )
    hold_days: int = Field(
        PlannerParameters().hold_days,
        ge=0,
        le=180,
        description="days that a placement is held for a better host at most",
    )
    urgent_days: int = Field(
        PlannerParameters().urgent_days,
        ge=0,
        le=90,
        description="days before an end's last chance from which on its pairs are not held",
    )
    proposal_days: int = Field(14, ge=1, le=90, description="whole days that companies have to agree on a proposal")


def taxonomy(tx: Transaction) -> Taxonomy:
    """The one in force."""
    return cast(MatchingSettings, tx.settings).taxonomy
