"""Requests to every route there is."""

import pytest
from survey.evaluation import live

from chassis import feed


@pytest.fixture(autouse=True)
def answers_that_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows live figures, or events, is let go at once."""
    monkeypatch.setattr(live, "LONGEST", 0.0)
    monkeypatch.setattr(feed, "LONGEST", 0.0)
