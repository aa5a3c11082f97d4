"""Requests to every route there is."""

import pytest
from survey.evaluation import live

from chassis import following


@pytest.fixture(autouse=True)
def answers_that_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows live figures, or events, is let go at once."""
    monkeypatch.setattr(live, "LONGEST", 0.0)
    monkeypatch.setattr(following, "LONGEST", 0.0)
