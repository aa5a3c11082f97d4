"""What an evaluation takes from the environment."""

from pydantic import Field, FilePath

from survey.sink.settings import TableSettings


class EvaluationSettings(TableSettings):
    """The catalog's database is the survey's, where publications are."""

    suppression_threshold: int = Field(
        default=5,
        ge=2,
        le=100,
        description="answers below which a cell is hidden, and by which published figures move at least",
    )
    clock_file: FilePath | None = Field(
        default=None, description="file with the programme's time in a replay; without it, the time of day"
    )
