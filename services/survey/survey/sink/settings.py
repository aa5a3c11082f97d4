"""What the sink takes from the environment, and whoever reads its table."""

from typing import Annotated

from chassis.settings import KafkaSettings, LogSettings, PasswordFile, PostgresUrl
from pydantic import AfterValidator, Field


def _warehouse(location: str) -> str:
    """A folder's absolute path, or a URL that pyiceberg's file systems know."""
    if not location.startswith(("/", "file://", "s3://")):
        raise ValueError("should be an absolute path, or begin with s3://")
    return location.rstrip("/")


class TableSettings(LogSettings):
    """Where the table is: all that a reader needs."""

    catalog_url: PostgresUrl = Field(
        description="PostgreSQL with the table's catalog, as the survey's role: postgresql://role:password@host/db"
    )
    catalog_password_file: PasswordFile | None = Field(
        default=None,
        description="the file that holds the role's password, read again for each connection; unset, the URL's",
    )
    warehouse: Annotated[str, AfterValidator(_warehouse)] = Field(
        description="where the table's files are: a folder's absolute path, or s3://bucket/path"
    )


class SinkSettings(TableSettings, KafkaSettings):
    batch_events: int = Field(default=5_000, ge=1, le=200_000, description="events in one append at most")
    batch_seconds: float = Field(
        default=5, ge=0.05, le=3_600, description="an append waits so long at most for more events"
    )
    snapshots_kept: int = Field(
        default=25,
        ge=2,
        le=10_000,
        description="newest snapshots that readers can go back to; tagged ones are kept beside them",
    )
    maintain_every: int = Field(
        default=25,
        ge=1,
        le=10_000,
        description="appends after which small files are put together, old snapshots expired, their files removed",
    )
    orphan_seconds: int = Field(
        default=86_400,
        ge=0,
        description="age from which a file that no snapshot ever named is removed: longer than any append takes",
    )
    http_host: str = Field(default="127.0.0.1", description="address that HTTP listens on; 0.0.0.0 in a container")
    http_port: int = Field(default=8000, ge=0, le=65_535, description="port that HTTP listens on; 0 takes a free one")
