"""What an orchestrator, Prometheus and the laptop ask a process.

Guarantee 21: a process is ready if and only if it is not stopping, its database answers, its schema is at its version
or later, and what it works with is prepared; it is live as long as it answers.

Kafka, lag and consumers are no part of it: a process that waits for Kafka serves requests, and a restart would help
nobody.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from chassis.metrics import CONTENT_TYPE, Metrics

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Probes:
    """What the answers are made of."""

    missing_migrations: Callable[[], Awaitable[Sequence[str]]]
    """Asks the database which migrations of this code it lacks; raises if it cannot be asked."""
    stopping: Callable[[], bool]
    prepared: Callable[[], bool]
    """Whether what the doors need besides the database is there."""
    status: Callable[[], Awaitable[Mapping[str, Any]]]
    observe: Callable[[], Awaitable[None]]
    """Brings the gauges up to date; if it cannot, they keep what they last said."""
    metrics: Metrics
    patience: float = 2.0
    """Seconds that the database may take to answer."""


def routes(probes: Probes) -> APIRouter:
    """``/live``, ``/ready``, ``/metrics`` and ``/status``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/live")
    async def live() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"state": "live"}

    @router.get("/ready")
    async def ready() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        reason = await _not_ready(probes)
        if reason is not None:
            return JSONResponse({"state": "not ready", "reason": reason}, 503)
        return JSONResponse({"state": "ready"})

    @router.get("/metrics")
    async def metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        try:
            async with asyncio.timeout(probes.patience):
                await probes.observe()
        except Exception as error:
            logger.warning("gauges not brought up to date", error=type(error).__name__)
        return Response(probes.metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    @router.get("/status")
    async def status() -> Mapping[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return await probes.status()

    return router


async def _not_ready(probes: Probes) -> str | None:
    if probes.stopping():
        return "stopping"
    try:
        async with asyncio.timeout(probes.patience):
            missing = await probes.missing_migrations()
    except Exception as error:
        logger.warning("not ready", error=type(error).__name__)
        return _why(error)
    if missing:
        return f"the schema lacks {', '.join(missing)}: run migrate"
    return None if probes.prepared() else "still preparing"


def _why(error: Exception) -> str:
    """In words that hold nothing secret; what somebody has to mend is told from what passes by itself."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the database's certificate is not accepted: {error.verify_message}"
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return "the database does not let us in: its password, or what it may, is another"
    return "the database does not answer"
