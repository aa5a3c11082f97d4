"""Steps the programme's time in a replay: all services read it from one file."""

from datetime import UTC, datetime
from pathlib import Path


class StoppedClock:
    """Stands still until it is set. A reader sees the former time or the new one, never half of it."""

    def __init__(self, file: Path, now: datetime) -> None:
        self.file = file.absolute()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.set(now)

    @property
    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        """Step it; the services never see it go back, whatever is set."""
        if now.tzinfo is None:
            raise ValueError("programme time needs its time zone")
        self._now = now.astimezone(UTC)
        written = self.file.with_name(self.file.name + ".next")
        written.write_text(self._now.isoformat() + "\n")
        written.replace(self.file)
