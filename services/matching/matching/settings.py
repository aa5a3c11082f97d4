"""What matching takes from the environment besides what every service does."""

from chassis.settings import Settings
from pydantic import Field


class MatchingSettings(Settings):
    planner_tick_hours: int = Field(
        0,
        ge=0,
        le=168,
        description="hours of programme time between searches of the market; 0 searches at every change",
    )
    proposal_days: int = Field(14, ge=1, le=90, description="whole days that companies have to agree on a proposal")
