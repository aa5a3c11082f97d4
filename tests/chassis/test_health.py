"""Ready means that requests can be served, and nothing else; live means that the process answers."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from chassis.health import Probes, routes
from chassis.http import application
from chassis.metrics import Metrics


class Service:
    """A service whose parts a test takes away."""

    def __init__(self) -> None:
        self.stopping = False
        self.prepared = True
        self.missing: list[str] = []
        self.failure: Exception | None = None
        self.frozen = False

    async def missing_migrations(self) -> list[str]:
        if self.frozen:
            await asyncio.sleep(60)
        if self.failure:
            raise self.failure
        return self.missing

    async def status(self) -> dict[str, Any]:
        return {"service": "exchange", "outbox": 0}

    async def observe(self) -> None:
        await self.missing_migrations()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def http(service: Service) -> AsyncGenerator[httpx.AsyncClient]:
    metrics = Metrics("exchange")
    metrics.handled("MatchProposed", 3)
    probes = Probes(
        missing_migrations=service.missing_migrations,
        stopping=lambda: service.stopping,
        prepared=lambda: service.prepared,
        status=service.status,
        observe=service.observe,
        metrics=metrics,
        patience=0.2,
    )
    app = application("exchange", (routes(probes),), metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


async def ready(http: httpx.AsyncClient) -> tuple[int, str | None]:
    answer = await http.get("/ready")
    return answer.status_code, answer.json().get("reason")


async def test_ready_while_the_schema_is_there_and_the_database_answers(http: httpx.AsyncClient):
    assert await ready(http) == (200, None)


async def test_not_ready_with_the_reason_and_ready_again_by_itself(http: httpx.AsyncClient, service: Service):
    service.missing = ["0002-offers"]
    assert await ready(http) == (503, "the schema lacks 0002-offers: run migrate")
    service.missing = []
    service.failure = ConnectionRefusedError("10.0.0.7")
    assert await ready(http) == (503, "the database does not answer")
    service.failure = None
    service.frozen = True
    assert await ready(http) == (503, "the database does not answer")
    service.frozen = False
    service.prepared = False
    assert await ready(http) == (503, "still preparing")
    service.prepared = True
    assert await ready(http) == (200, None)
    service.stopping = True
    assert await ready(http) == (503, "stopping")


async def test_live_and_measured_whatever_is_away(http: httpx.AsyncClient, service: Service):
    service.failure = ConnectionRefusedError("10.0.0.7")
    service.stopping = True
    assert (await http.get("/live")).status_code == 200
    metrics = await http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'sojourn_handled_total{event="MatchProposed",service="exchange"} 3.0' in metrics.text


async def test_status_is_what_the_service_says(http: httpx.AsyncClient):
    assert (await http.get("/status")).json() == {"service": "exchange", "outbox": 0}
