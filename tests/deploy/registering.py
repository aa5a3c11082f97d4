"""Companies that register over HTTP, are admitted by the rules alone, and fit nobody."""

from datetime import timedelta
from uuid import uuid4

import asyncpg
import httpx
from laptop.system import System
from sojourn_contracts.skills import SKILLS

from tests.chassis.waiting import until


def a_host(system: System) -> dict[str, object]:
    """Its form; the programme's time stands still."""
    today = system.clock.now.date()
    languages = [{"language": "en", "level": "C1"}]
    offer = {
        "capacity": 1,
        "skills_taught": [sorted(SKILLS)[-1]],
        "skills_needed": [],
        "languages": languages,
        "window": {"first": today.isoformat(), "last": (today + timedelta(days=45)).isoformat()},
        "min_days": 14,
        "max_days": 20,
    }
    return {
        "name": f"Host {uuid4().hex}",
        "country": "FR",
        "region": "FR",
        "nace": "62.10",
        "size_class": "small",
        "accounts": [{"headcount": 30, "turnover": 4_000_000, "balance_sheet": 3_000_000}],
        "learning_only": True,
        "contact": {"name": "Uwe", "email": "uwe@example.org", "reads": "en"},
        "languages": languages,
        "placements": [],
        "offers": [offer],
    }


async def drafted(system: System) -> httpx.Response:
    """The answer to a draft, whatever it is."""
    async with httpx.AsyncClient(base_url=system.urls["registration"], timeout=40) as http:
        return await http.post("/companies", json=a_host(system), headers={"Idempotency-Key": uuid4().hex})


async def admitted(system: System, number: int = 1) -> list[str]:
    """The ids of so many; each is told of by an event."""
    made = list[str]()
    async with httpx.AsyncClient(base_url=system.urls["registration"], timeout=40) as http:
        for _ in range(number):
            company = (await drafted(system)).json()
            path, bearer = f"/companies/{company['company_id']}/submission", f"Bearer {company['access_token']}"
            answer = await http.post(path, headers={"Authorization": bearer, "Idempotency-Key": uuid4().hex})
            assert answer.json()["status"] == "admitted", answer.text
            made.append(company["company_id"])
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
