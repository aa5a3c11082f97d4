"""What an evaluation takes from the environment."""

from pydantic import Field

from survey.sink.settings import TableSettings


class EvaluationSettings(TableSettings):
    suppression_threshold: int = Field(
        5,
        ge=2,
        le=100,
        description="answers below which a cell is hidden, and by which published figures move at least",
    )
