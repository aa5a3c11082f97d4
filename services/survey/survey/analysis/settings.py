"""What an evaluation takes from the environment."""

from pydantic import Field, FilePath

from survey.sink.settings import TableSettings


class EvaluationSettings(TableSettings):
    """The catalog's database is the survey's, where publications are."""

    disclosure_threshold: int = Field(
        default=5,
        ge=2,
        le=1000,
        description="answers that a group has at least of which a figure is shown, and by which public figures move",
    )
    clock_file: FilePath | None = Field(
        default=None, description="file with the programme's time in a replay; without it, the time of day"
    )
