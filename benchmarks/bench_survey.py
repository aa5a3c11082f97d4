"""Submissions per second over HTTP into one process of the survey, each by another company with a token of its own.

Beside it, in the same run and in turn: a raw loop that changes the same rows (invitation, answers that wait, kept answer) over as
many connections, a transaction each, with no HTTP, no validation and no token.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import psutil
from backing import percentile, report
from chassis.identity import Caller, Role, issue
from joserfc.jwk import OKPKey
from laptop.signing import kept_keys
from laptop.system import System
from pilot.load import CONNECTIONS
from pilot.population import START
from uuid_utils.compat import uuid7

SUBMISSIONS = int(os.environ.get("SUBMISSIONS", "3000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
TARGET = 400
ANSWERS = {
    "HOST_MATCH": "4", "STAFF_LEARNED": "5", "HOST_EFFORT": "2", "XBORDER": "4", "NEWPROD": "yes", "OVERALL": "5",
    "DURATION": "right", "BURDEN": "3", "COSTS": "yes", "COSTS_AMOUNT": "to_500", "REPEAT": "yes", "RECOMMEND": "97",
    "REMARKS": "Somewhat longer would have been better.",
}  # fmt: skip


async def invited(owner: asyncpg.Connection) -> list[tuple[UUID, UUID]]:
    """Opens invitations for hosts: the invitation's id and the company's."""
    made = [(uuid7(), uuid7()) for _ in range(SUBMISSIONS)]
    await owner.executemany(
        "insert into survey.invitation (invitation_id, exchange_id, party, wave, questionnaire, company_id, respondent_id, days,"
        " training_direction, programme_year, invited_at, closes_at, state)"
        " values ($1, $1, 'host', 1, '2026.1', $2, $2, 28, 'traveller', $3, $4, $5, 'open')",
        [(invitation, company, START.year, START, START + timedelta(days=60)) for invitation, company in made],
    )
    return made


async def submitted(url: str, asked: Sequence[tuple[UUID, UUID]], key: OKPKey, milliseconds: list[float]) -> float:
    """Submissions per second."""
    body = json.dumps({"answers": ANSWERS}).encode()
    waiting = iter(
        [
            (
                f"{url}/invitations/{invitation}/submission",
                {
                    "Authorization": f"Bearer {issue(key, Caller(Role.COMPANY, str(company), company), timedelta(hours=1))}",
                    "Idempotency-Key": f"submission-{invitation}",
                    "Content-Type": "application/json",
                },
            )
            for invitation, company in asked
        ]
    )

    async def one_after_the_other(http: aiohttp.ClientSession) -> None:
        for path, headers in waiting:
            began = time.perf_counter()
            async with http.post(path, data=body, headers=headers) as answer:
                await answer.read()
                answer.raise_for_status()
            milliseconds.append(1000 * (time.perf_counter() - began))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as http:
        began = time.perf_counter()
        await asyncio.gather(*(one_after_the_other(http) for _ in range(CONNECTIONS)))
        return len(asked) / (time.perf_counter() - began)


async def raw(url: str, asked: Sequence[tuple[UUID, UUID]]) -> float:
    """The same rows, per second."""
    waiting, answers = iter(asked), json.dumps(ANSWERS)

    async def one_after_the_other(pool: asyncpg.Pool) -> None:
        for invitation, _ in waiting:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("insert into raw_answer values ($1, $2)", str(invitation), answers)
                await connection.execute(
                    "update invitation set state = 'submitted' where invitation_id = $1", invitation
                )
                await connection.execute("insert into waiting values ($1, $2)", invitation, answers)

    settings = {"search_path": "survey"}
    async with asyncpg.create_pool(url, min_size=10, max_size=10, server_settings=settings) as pool:
        await pool.execute("create table if not exists raw_answer (key text primary key, body jsonb)")
        began = time.perf_counter()
        await asyncio.gather(*(one_after_the_other(pool) for _ in range(CONNECTIONS)))
        return len(asked) / (time.perf_counter() - began)


async def main() -> None:
    rates: list[float] = []
    raws: list[float] = []
    milliseconds: list[float] = []
    cpu: list[float] = []
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        environment = {"LOG_LEVEL": "warning"}
        async with System(folder, stopped_at=START, environment=environment, services=["survey"]) as system:
            key = OKPKey.import_key(json.loads(kept_keys(folder).private.read_text()))
            owner = await asyncpg.connect(system.database.migrator_url)
            process = psutil.Process(system.processes["survey"].pid)
            for _ in range(ROUNDS):
                before = sum(process.cpu_times()[:2])
                rates.append(await submitted(system.urls["survey"], await invited(owner), key, milliseconds))
                cpu.append(1000 * (sum(process.cpu_times()[:2]) - before) / SUBMISSIONS)
                raws.append(await raw(system.database.migrator_url, await invited(owner)))
            await owner.close()
    rate, raw_rate = statistics.median(rates), statistics.median(raws)
    report(
        "survey_submissions",
        {
            "submissions": SUBMISSIONS, "connections": CONNECTIONS, "submissions_per_s": rate, "target_per_s": TARGET,
            "answer_p50_ms": percentile(milliseconds, 0.5), "answer_p99_ms": percentile(milliseconds, 0.99),
            "cpu_ms_per_submission": statistics.median(cpu), "raw_per_s": raw_rate, "to_raw": rate / raw_rate,
        },
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
