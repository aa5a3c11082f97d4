"""A Prometheus of a test's own, on loopback, that scrapes processes and goes by rules, set up as docs/operating.md has it."""

import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from laptop.ports import HOST, free_port
from laptop.process import Process

from tests.chassis.waiting import until

PROMETHEUS = shutil.which("prometheus")
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None,
    reason="prometheus is not there, so NO ALERT IS FIRED BY A FAULT (Debian: apt-get install prometheus)",
)
EVERY = "2s"
"""Between two scrapes, and what one may take at most: a second of that is waited for a Kafka that is silent."""


class Prometheus:
    """What it has found."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=10)

    async def query(self, promql: str) -> list[dict[str, Any]]:
        """Raises httpx.HTTPStatusError where it does not understand that."""
        return (await self._asked("/api/v1/query", query=promql))["result"]

    async def names(self) -> set[str]:
        """Of all series that it has."""
        return set(await self._asked("/api/v1/label/__name__/values"))

    async def rules(self) -> dict[str, dict[str, Any]]:
        groups = (await self._asked("/api/v1/rules"))["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    async def firing(self) -> list[dict[str, Any]]:
        """The alerts that fire, with labels and annotations."""
        alerts = (await self._asked("/api/v1/alerts"))["alerts"]
        return [alert for alert in alerts if alert["state"] == "firing"]

    async def targets(self) -> dict[str, str]:
        """Address to ``up``, ``down`` or ``unknown``."""
        found = (await self._asked("/api/v1/targets", state="active"))["activeTargets"]
        return {target["labels"]["instance"]: target["health"] for target in found}

    async def _asked(self, path: str, **parameters: str) -> Any:
        answer = await self._http.get(path, params=parameters)
        return answer.raise_for_status().json()["data"]

    async def close(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def watching(folder: Path, processes: Sequence[str], rules: Mapping[str, str]) -> AsyncGenerator[Prometheus]:
    """Scrapes the processes at these addresses during the block; ``rules`` are files' texts by name."""
    assert PROMETHEUS is not None
    folder.mkdir(parents=True)
    for name, text in rules.items():
        (folder / f"{name}.yaml").write_text(text)
    targets = [url.removeprefix("http://") for url in processes]
    configuration = {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": "1s"},
        "rule_files": [str(folder / f"{name}.yaml") for name in rules],
        "scrape_configs": [
            {
                "job_name": "sojourn",
                "honor_labels": True,
                # as discovery in a cluster would label them
                "static_configs": [{"targets": targets, "labels": {"service": "whose-they-are"}}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    port = free_port()
    process = Process(
        "Prometheus",
        [
            PROMETHEUS,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{port}",
            "--log.level=warn",
        ],
        log=folder / "prometheus.log",
        environment={},
    )
    prometheus = Prometheus(f"http://{HOST}:{port}")
    process.spawn()
    try:
        await until(_is_ready(process, f"http://{HOST}:{port}/-/ready"), within=30, every=0.1)
        yield prometheus
    finally:
        await prometheus.close()
        await process.stop(10)


def _is_ready(process: Process, url: str) -> Callable[[], bool]:
    def ready() -> bool:
        process.require_alive()
        try:
            return httpx.get(url).is_success
        except httpx.TransportError:
            return False

    return ready


async def seen(
    prometheus: Prometheus, wanted: Callable[[list[dict[str, Any]]], bool], within: float
) -> list[dict[str, Any]]:
    """The alerts that fire once they are as wanted; those of the last look when they are not within that many seconds."""
    deadline = time.monotonic() + within
    firing: list[dict[str, Any]] = []

    async def look() -> bool:
        nonlocal firing
        firing = await prometheus.firing()
        return wanted(firing) or time.monotonic() > deadline

    await until(look, within=within + 10, every=0.25)
    return firing
