"""Programme time: the time of day, or what stands in a file."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from chassis.clock import SteppedClock, SystemClock

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


def step(file: Path, to: str) -> None:
    """As whoever steps it does: the file is replaced whole."""
    new = file.with_suffix(".new")
    new.write_text(to)
    new.rename(file)


def test_without_a_file_it_is_the_time_of_day_in_utc():
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


def test_with_a_file_it_stands_still_until_it_is_stepped(tmp_path: Path):
    file = tmp_path / "clock"
    step(file, MONDAY.isoformat())
    clock = SteppedClock(file)
    assert clock.now() == clock.now() == MONDAY
    later = MONDAY + timedelta(days=400, microseconds=1)
    step(file, f"{later.isoformat()}\n")
    assert clock.now() == later


def test_another_zones_instant_is_told_in_utc(tmp_path: Path):
    file = tmp_path / "clock"
    step(file, MONDAY.astimezone(timezone(timedelta(hours=2))).isoformat())
    assert SteppedClock(file).now().isoformat() == MONDAY.isoformat()


def test_it_never_goes_back(tmp_path: Path):
    file = tmp_path / "clock"
    step(file, MONDAY.isoformat())
    clock = SteppedClock(file)
    step(file, (MONDAY - timedelta(days=1)).isoformat())
    assert clock.now() == MONDAY
    step(file, (MONDAY + timedelta(days=1)).isoformat())
    assert clock.now() == MONDAY + timedelta(days=1)


def test_a_file_that_says_no_instant_is_refused_at_the_start(tmp_path: Path):
    file = tmp_path / "clock"
    step(file, "tomorrow")
    with pytest.raises(ValueError, match="tomorrow"):
        SteppedClock(file)
