"""Companies that register over HTTP, are admitted by the rules alone, and fit nobody."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from laptop.system import System

from tests.chassis.waiting import until
from tests.faults.story import FITS_NOBODY, form

WITHIN = 40
"""Seconds for an answer."""


async def drafted(system: System) -> httpx.Response:
    """The answer to a draft, whatever it is; the programme's time stands still."""
    host = form(f"Host {uuid4().hex}", "FR", system.clock.now.date(), offers=[FITS_NOBODY])
    async with httpx.AsyncClient(base_url=system.urls["registration"], timeout=WITHIN) as http:
        return await http.post("/companies", json=host, headers={"Idempotency-Key": uuid4().hex})


async def submitted(system: System, draft: Mapping[str, Any]) -> httpx.Response:
    """The answer by which it is admitted, which an event tells."""
    headers = {"Authorization": f"Bearer {draft['access_token']}", "Idempotency-Key": uuid4().hex}
    async with httpx.AsyncClient(base_url=system.urls["registration"], timeout=WITHIN) as http:
        answer = await http.post(f"/companies/{draft['company_id']}/submission", headers=headers)
    assert answer.json()["status"] == "admitted", answer.text
    return answer


async def admitted(system: System, number: int = 1) -> list[str]:
    """The ids of so many."""
    made = list[str]()
    for _ in range(number):
        draft = (await drafted(system)).json()
        await submitted(system, draft)
        made.append(draft["company_id"])
    return made


async def published(system: System, within: float = 60) -> None:
    """Waits until all that registration told stands on its topics."""
    connection = await asyncpg.connect(system.database.owner_url)

    async def all_of_it() -> bool:
        async with httpx.AsyncClient(base_url=system.urls["registration"], timeout=5) as http:
            reached = (await http.get("/status")).json()["published"]
        end = "select coalesce(max(position), 0) from registration.event_log where not exists (select from registration.outbox)"
        return reached is not None and reached == await connection.fetchval(end)

    try:
        await until(all_of_it, within, 0.1)
    finally:
        await connection.close()
