"""What matching takes from the environment besides what every service does."""

from typing import Annotated, cast

from chassis.settings import Settings
from chassis.transaction import Transaction
from pydantic import Field
from pydantic_settings import NoDecode
from sojourn_contracts.taxonomy import InFolder, Taxonomy, starter


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
    proposal_days: int = Field(14, ge=1, le=90, description="whole days that companies have to agree on a proposal")


def taxonomy(tx: Transaction) -> Taxonomy:
    """The one in force."""
    return cast(MatchingSettings, tx.settings).taxonomy
