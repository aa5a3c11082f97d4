"""What the survey takes from the environment beyond what every service does."""

from chassis.settings import Settings, leave_room
from pydantic import Field, ValidationInfo, field_validator


class SurveySettings(Settings):
    release_minimum: int = Field(
        3, ge=2, le=1000, description="submissions that are released at once at least; fewer wait for the next day"
    )
    disclosure_threshold: int = Field(
        5,
        ge=2,
        le=1000,
        description="answers that a group has at least of which a figure is shown, and by which public figures move",
    )
    live_listeners: int = Field(
        50,
        ge=1,
        le=10_000,
        validate_default=True,
        description="who may follow the live figures at once, per process; others are to try again. With FEED_LISTENERS fewer"
        " than REQUESTS_AT_ONCE",
    )
    invitation_days: int = Field(
        180,
        ge=1,
        le=3_653,
        description="days for which an invitation, with an answer that waits, is kept after it closed",
    )
    cluster_key_days: int = Field(
        365,
        ge=270,
        le=3_653,
        description="days after the end of a programme year for which the key is kept that its clusters were made with;"
        " answers about its last exchanges are released about 245 days after it",
    )

    @field_validator("live_listeners")
    @classmethod
    def _leave_room_for_all(cls, listeners: int, info: ValidationInfo) -> int:
        return leave_room(listeners, info)
