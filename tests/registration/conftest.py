"""The log as it was, after a test that configured it."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    structured = structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**structured)
