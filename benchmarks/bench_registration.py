"""Companies per second that draft, submit and are admitted by the rules, over HTTP into one process of registration.

Beside it, in the same run and in turn: a raw loop that inserts the same rows (company, event, kept answer) over as many
connections, a transaction each, with no HTTP, no validation and no token.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID

import asyncpg
from backing import percentile, report
from laptop.system import System
from pilot.load import CONNECTIONS, Timings, register
from pilot.population import START, Company, population
from uuid_utils.compat import uuid7

COMPANIES = int(os.environ.get("COMPANIES", "3000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
TARGET = 400


async def raw(url: str, companies: list[Company]) -> float:
    """Companies per second."""
    waiting = iter(companies)

    async def one_after_the_other(pool: asyncpg.Pool) -> None:
        for company in waiting:
            said = json.dumps(company.form)
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("insert into raw_answer values ($1, $2)", company.key, said)
                await connection.execute("insert into raw_company values ($1, 1, $2)", uuid7(), said)
                await connection.execute(
                    "insert into raw_event (subject, data) values ($1, $2)", UUID(company.key), said
                )

    settings = {"search_path": "registration"}
    async with asyncpg.create_pool(url, min_size=10, max_size=10, server_settings=settings) as pool:
        await pool.execute(
            "create table if not exists raw_answer (key text primary key, body jsonb);"
            "create table if not exists raw_company (company_id uuid primary key, revision int, profile jsonb);"
            "create table if not exists raw_event (id bigint generated always as identity primary key, subject uuid, data text);"
            "truncate raw_answer, raw_company, raw_event"
        )
        began = time.perf_counter()
        await asyncio.gather(*(one_after_the_other(pool) for _ in range(CONNECTIONS)))
        return len(companies) / (time.perf_counter() - began)


async def main() -> None:
    registered: list[float] = []
    raws: list[float] = []
    answers: list[float] = []
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        environment = {"LOG_LEVEL": "warning"}
        async with System(folder, stopped_at=START, environment=environment, services=["registration"]) as system:
            for round_ in range(ROUNDS):
                companies = list(population(COMPANIES, seed=round_))
                timings = Timings()
                await register(system.urls["registration"], companies, timings)
                registered.append(timings.registrations_per_second)
                answers += [1000 * (at - timings.asked[key]) for key, at in timings.answered.items()]
                raws.append(await raw(system.database.migrator_url, companies))
    rate, raw_rate = statistics.median(registered), statistics.median(raws)
    report(
        "registration",
        {
            "companies": COMPANIES, "connections": CONNECTIONS, "registrations_per_s": rate, "target_per_s": TARGET,
            "answer_p50_ms": percentile(answers, 0.5), "answer_p99_ms": percentile(answers, 0.99),
            "raw_per_s": raw_rate, "to_raw": rate / raw_rate,
        },
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
