"""One process of matching that holds a market of a hundred thousand companies, and is told of thousands more at once.

Real Kafka, real PostgreSQL, the service as it is started everywhere. Measured is from the first event that it took until whom
all their placements and offers fit is stored, and nothing of it is left to do. At this size the planner decides what is
proposed, at its ticks, which do not come here. With GREEDY=1 each company is proposed its best at once, reserved and published
within the same time; ``proposals`` tells how many.
``events_per_cpu_s`` counts the seconds of CPU that the process itself had, the share ``process_busy`` of those that passed: what
one core would do that nobody else uses, if PostgreSQL kept up.
"""

import asyncio
import os
import random
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from backing import report
from bench_relay import producer
from laptop.system import System
from market import Market, generate
from sojourn_contracts import envelope
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.taxonomy import write
from stored_market import NOON, SERVICE, event, fill, rows, taxonomy
from uuid_utils.compat import uuid7

COMPANIES = int(os.environ.get("COMPANIES", "100000"))
EVENTS = int(os.environ.get("EVENTS", "6000"))
TARGET = 1_500
PATIENCE = 300.0

LEFT = """
select (select count(*) from inbox) as taken,
       (select count(*) from due where kind = 'search') as due,
       (select count(*) from edges) as edges
"""


def records(market: Market, companies: list[int]) -> list[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]:
    def encoded(sequence: int, company: int, now: datetime) -> Any:
        told = event(market, company)
        return envelope.encode(
            Envelope(uuid7(), "sojourn/registration", CompanyRegistered, told.company_id, now, told, sequence)
        )

    return [encoded(sequence, company, NOON) for sequence, company in enumerate(companies)]


async def publish(bootstrap: str, told: list[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]) -> None:
    sender = producer(bootstrap)
    await sender.start()
    sent = [
        await sender.send(CompanyRegistered.topic(), value=value, key=key, headers=headers)
        for key, value, headers in told
    ]
    for delivery in sent:
        await delivery
    await sender.stop()


async def stored(system: System, told: list[Any], ends: int) -> dict[str, float]:
    """Tells the process, and waits until all is done."""
    process = psutil.Process(system.processes[SERVICE].pid)
    connection = await asyncpg.connect(system.database.url(SERVICE))
    publishing = asyncio.create_task(publish(system.kafka, told))
    deadline = time.monotonic() + PATIENCE
    while not (first := (await connection.fetchrow(LEFT))["taken"]):
        await asyncio.sleep(0.005)
    began, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
    taken_after = 0.0
    while True:
        left = await connection.fetchrow(LEFT)
        seconds = time.perf_counter() - began
        if left["taken"] == len(told) and not taken_after:
            taken_after = seconds
        if left["taken"] == len(told) and left["due"] == 0 and left["edges"] == ends:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {PATIENCE} s there is left: {dict(left)} of {len(told)} events and {ends} ends")
        await asyncio.sleep(0.05)
    spent = sum(process.cpu_times()[:2]) - cpu
    await publishing
    proposals = await connection.fetchval("select count(*) from matches")
    await connection.close()
    return {
        "events_per_s": (len(told) - first) / seconds,
        "all_taken_after_s": taken_after,
        "all_stored_after_s": seconds,
        "proposals": proposals,
        "events_per_cpu_s": (len(told) - first) / spent,
        "process_busy": spent / seconds,
    }


async def main() -> None:
    market = generate(COMPANIES + EVENTS)
    takes_part = [company for company in range(len(market.arrival)) if rows(market, company)]
    coming = random.Random(7).sample(takes_part, EVENTS)
    ends = sum(len(rows(market, company)) for company in coming)
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "taxonomy").mkdir()
        write(taxonomy(market), folder / "taxonomy")
        environment = {
            "LOG_LEVEL": "warning",
            "PLANNER_TICK_HOURS": "0" if os.environ.get("GREEDY") else "24",
            "TAXONOMY": str(folder / "taxonomy"),
        }
        async with System(folder, stopped_at=NOON, environment=environment, services=[SERVICE]) as system:
            await system.processes[SERVICE].stop()
            await fill(system.database.migrator_url, market, but=coming)
            await system.start_service(SERVICE)
            found = await stored(system, records(market, coming), ends)
    report(
        "matching_events",
        {"companies": COMPANIES, "events": EVENTS, "ends": ends, **found, "target_events_per_s": TARGET},
    )


if __name__ == "__main__":
    asyncio.run(main())
