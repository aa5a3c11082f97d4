"""Programme time: what domain dates, expiry and ``ce_time`` go by.

In production it is the time of day. In a replay it stands still until the one who plays the companies steps it, by writing
an ISO 8601 instant into a file that all processes read. Backoff, leases, time-outs, retention and logs never use it.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The programme's time, in UTC; it never goes back."""
        ...


class SystemClock:
    """Programme time is the time of day."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SteppedClock:
    """Programme time is what stands in a file; whoever steps it replaces the file whole (by renaming)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._now = datetime.min.replace(tzinfo=UTC)
        self.now()

    def now(self) -> datetime:
        status = os.stat(self._path)  # noqa: PTH116 - called for every piece of work
        if self._seen != (status.st_mtime_ns, status.st_ino):
            self._now = max(self._now, datetime.fromisoformat(self._path.read_text().strip()).astimezone(UTC))
            self._seen = (status.st_mtime_ns, status.st_ino)
        return self._now
