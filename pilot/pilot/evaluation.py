"""The survey's own report of a replay, made by its commands from the table that its sink keeps."""

import asyncio
from pathlib import Path

import asyncpg
import httpx
from laptop.system import System

PATIENCE = 60.0
"""Seconds for the sink to have all that was released."""


async def reported(system: System, folder: Path) -> list[Path]:
    """Writes the report of all released submissions as a page and as a PDF; nothing where none was released.

    Raises:
        TimeoutError: the sink does not get them.
        StartError: a command failed.
    """
    released = await _released(system.database.owner_url)
    if not released:
        return []
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient() as http:
        while (await http.get(f"{system.sink_url}/status")).json()["rows"] < released:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    reports = [folder / "evaluation.html", folder / "evaluation.pdf"]
    for path in reports:
        await system.run("survey", "report", "--format", path.suffix[1:], "--out", str(path.absolute()))
    return reports


async def _released(owner_url: str) -> int:
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        return await connection.fetchval("select count(*) from survey.event_log where topic = 'SurveySubmitted'")
    finally:
        await connection.close()
