"""What the live figures cost after a submission, at 1,000 and at 1,000,000 stored ones, in turn and in one run.

Measured is all of it: the submission is counted, the numbers are added up and read, and the figures are made of them. Both
databases hold the same numbers of companies, countries and waves; beside it, in the same run, what it costs to count all
answers that are stored.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from uuid import UUID

import asyncpg
from backing import database, percentile, report
from chassis.migrations import migrate
from chassis.service import Process
from chassis.transaction import Cause
from laptop.roles import provision
from sojourn_contracts.survey import SurveySubmitted
from survey.evaluation import live, store
from survey.main import service
from survey.questionnaires.published import newest, published

SIZES = tuple(int(size) for size in os.environ.get("SIZES", "1000,1000000").split(","))
ROUNDS = int(os.environ.get("ROUNDS", "60"))
WARM_UP = 10
TARGET = 2.0
COUNTRIES = (
    "AT",
    "BE",
    "BG",
    "CZ",
    "DE",
    "DK",
    "EL",
    "ES",
    "FI",
    "FR",
    "HR",
    "HU",
    "IE",
    "IT",
    "NL",
    "PL",
    "PT",
    "RO",
    "SE",
    "SI",
)
CHUNK = 20_000
QUESTIONNAIRE = newest()


def submission(by: Random) -> SurveySubmitted:
    party, wave = by.choice(("sender", "host", "traveller")), by.choice((1, 1, 2))
    asked = [each for each in QUESTIONNAIRE.questions if party in each.base and wave in each.waves and each.codes]
    return SurveySubmitted.model_construct(
        record_id=UUID(int=by.getrandbits(128)),
        questionnaire=QUESTIONNAIRE.version,
        party=party,
        wave=wave,
        company_cluster=f"{by.randrange(200_000):064x}",
        country=by.choice(COUNTRIES),
        sector_section=by.choice("ABCDEFGHIJKLMNOPQRSTUV"),
        size_class=by.choice(("micro", "small", "medium", "large")),
        duration_band=by.choice(("14-30", "31-45", "46-62")),
        training_direction=by.choice(("traveller", "host_staff")),
        answers={each.code: by.choice(list(each.codes)) for each in asked},
    )


@asynccontextmanager
async def serving(url: str, folder: Path) -> AsyncIterator[Process]:
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": []}))
    settings = service.settings.model_validate(
        {"database_url": url, "kafka_bootstrap_servers": "127.0.0.1:1", "jwks": str(keys)}
    )
    process = Process(service, settings)
    async with process.pool:
        yield process


async def fill(process: Process, size: int) -> None:
    """As many submissions as that, released in large batches."""
    by = Random(size)
    for start in range(0, size, CHUNK):
        events = [submission(by) for _ in range(min(CHUNK, size - start))]
        async with process.open_transaction(Cause()) as tx:
            await tx.connection.executemany(
                "insert into released (questionnaire, party, wave, answers) values ($1, $2, $3, $4)",
                [(each.questionnaire, each.party, each.wave, json.dumps(each.answers)) for each in events],
            )
            await store.add_submissions(tx, events, published())
            await store.summed(tx)
    async with process.pool.acquire() as connection:
        assert await connection.fetchval("select count(*) from released") == size


async def after_one(process: Process, event: SurveySubmitted) -> float:
    """Seconds from a submission's release to the figures that count it."""
    began = time.perf_counter()
    async with process.open_transaction(Cause()) as tx:
        await store.add_submissions(tx, [event], published())
    async with process.open_transaction(Cause()) as tx:
        _, figures = await live.present(tx, QUESTIONNAIRE)
    assert figures.submissions
    return time.perf_counter() - began


async def scan(process: Process) -> float:
    """Seconds that it takes to count every stored answer."""
    began = time.perf_counter()
    async with process.pool.acquire() as connection:
        await connection.fetch(
            "select wave, party, question, answer, count(*)"
            " from released, jsonb_each_text(answers) as given(question, answer) group by wave, party, question, answer"
        )
    return time.perf_counter() - began


async def main() -> None:
    with TemporaryDirectory(prefix="sojourn-bench-") as name:
        async with database() as own, AsyncExitStack() as open_ones:
            processes: list[Process] = []
            for size in SIZES:
                one = await provision(own.admin_url, own.passwords, f"live_{size}")
                await migrate(one.migrator_url, service.name, service.migrations)
                process = await open_ones.enter_async_context(serving(one.url(service.name), Path(name)))
                await fill(process, size)
                await analysed(one.owner_url)
                processes.append(process)
            seconds = await measured(processes)
            scans = [await scan(process) for process in processes]
    small, large = seconds
    report(
        "live_figures",
        {
            "stored_small": SIZES[0],
            "stored_large": SIZES[1],
            "ms_small": 1000 * statistics.median(small),
            "ms_large": 1000 * statistics.median(large),
            "p95_ms_small": 1000 * percentile(small, 0.95),
            "p95_ms_large": 1000 * percentile(large, 0.95),
            "ratio": statistics.median(large) / statistics.median(small),
            "target_ratio_at_most": TARGET,
            "scan_ms_small": 1000 * scans[0],
            "scan_ms_large": 1000 * scans[1],
        },
    )


async def analysed(url: str) -> None:
    """As autovacuum leaves a database that grew over months."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


async def measured(processes: list[Process]) -> list[list[float]]:
    """The same submissions in each, in turn."""
    by = Random(0)
    seconds: list[list[float]] = [[] for _ in processes]
    for number in range(WARM_UP + ROUNDS):
        event = submission(by)
        for process, found in zip(processes, seconds, strict=True):
            took = await after_one(process, event)
            if number >= WARM_UP:
                found.append(took)
    return seconds


if __name__ == "__main__":
    asyncio.run(main())
