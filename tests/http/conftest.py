"""Requests to every route there is."""

import pytest
from survey.evaluation import live


@pytest.fixture(autouse=True)
def answers_that_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows live figures is let go at once."""
    monkeypatch.setattr(live, "LONGEST", 0.0)
