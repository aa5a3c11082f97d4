"""What the survey takes from the environment beyond what every service does."""

from chassis.settings import Settings
from pydantic import Field


class SurveySettings(Settings):
    release_minimum: int = Field(
        3, ge=2, le=1000, description="submissions that are released at once at least; fewer wait for the next day"
    )
