"""Log lines go to pytest's own capture: structlog's default draws every variable of a traceback, which takes seconds."""

import pytest
import structlog


@pytest.fixture(scope="session", autouse=True)
def plain_lines():
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
