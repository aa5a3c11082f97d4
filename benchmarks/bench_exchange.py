"""What one process of exchange takes: acceptances per second over HTTP as fast as it answers, their latency at half that
load, and how many exchanges a second its nightly due work brings on. With a real PostgreSQL.

Acceptances go over as many connections as a load balancer would keep, each with the token of its company.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import psutil
import uvloop
from backing import percentile, report
from chassis.identity import Caller, Role, issue
from exchange import domain, rate_table
from exchange.agreement import Agreement, Giver, Insurance, Item, Part, Rules, Terms
from exchange.state import Exchange, start_of
from joserfc.jwk import OKPKey
from laptop.system import System
from pydantic import TypeAdapter
from sojourn_contracts.match import Explanation, MatchProposed
from sojourn_contracts.vocabulary import Level, Party, Side, Training, TrainingDirection, Window
from uuid_utils.compat import uuid7

ACCEPTS = int(os.environ.get("ACCEPTS", "6000"))
EXCHANGES = int(os.environ.get("EXCHANGES", "100000"))
CONNECTIONS = 16
TARGET_ACCEPTS, TARGET_P99_MS, TARGET_DUE = 500, 50, 2_000

_AGREEMENT = TypeAdapter(Agreement)

START = start_of(date(2026, 3, 2))
WINDOW = Window(first=date(2026, 4, 1), last=date(2026, 7, 31))
FIRST_DAY = date(2026, 5, 4)


def proposal() -> MatchProposed:
    return MatchProposed(
        match_id=uuid7(),
        revision=1,
        placement_id=uuid7(),
        offer_id=uuid7(),
        sender_id=uuid7(),
        host_id=uuid7(),
        traveller_id=uuid7(),
        sender_country="PT",
        host_country="DK",
        sender_sector="10",
        host_sector="46",
        score=700_000,
        explanation=Explanation(
            traveller_learns=("cheese-making",),
            host_gains=("brewing",),
            language="en",
            language_level=Level.B2,
            overlap_days=122,
            traveller_utility=700_000,
            host_utility=700_000,
        ),
        window=WINDOW,
        min_days=21,
        max_days=45,
        training=Training(direction=TrainingDirection.TRAVELLER, skills=("cheese-making",)),
        expires_at=START + timedelta(days=14),
        initiator="matching",
    )


TERMS = Terms(
    parts=(Part(FIRST_DAY, FIRST_DAY + timedelta(days=27)),),
    training=(Item(TrainingDirection.TRAVELLER, ("cheese-making",), 40, Giver.HOST),),
    goals="Learns how the dairy works. " * 10,
    tasks=("Follows a batch from the milk to the shelf",),
    working_language="en",
    workplace="The dairy at the harbour",
    supervision="The master cheese-maker, daily",
    insurance=Insurance(Party.SENDER, Party.SENDER, Party.HOST),
)


def agreed() -> Exchange:
    """Due to start on its first day, like a whole season's stays."""
    exchange, _ = domain.open(None, proposal(), True, START)
    for side in Side:
        exchange, _ = domain.accept(exchange, side, START)
    exchange, _ = domain.draft(exchange, Side.SENDER, TERMS, Rules({"cheese-making"}, rate_table.starter()), START)
    for party in Party:
        exchange, _ = domain.sign(exchange, party, 1, START)
    return exchange


class Rows:
    """Writes exchanges as they stand, many at a time, past the service."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def write(self, exchanges: Sequence[Exchange]) -> None:
        rows = [
            (
                exchange.id,
                exchange.revision,
                exchange.stage.value,
                exchange.match.sender_id,
                exchange.match.host_id,
                exchange.match.traveller_id,
                exchange.match.model_dump_json(),
                list(exchange.accepted_by),
                _AGREEMENT.dump_json(exchange.agreement).decode() if exchange.agreement else None,
                exchange.changed_at,
            )
            for exchange in exchanges
        ]
        columns = ["exchange_id", "revision", "stage", "sender_id", "host_id", "traveller_id"]
        columns += ["proposal", "accepted_by", "agreement", "changed_at"]
        await self._connection.copy_records_to_table("exchange", records=rows, columns=columns)
        held = [
            (exchange.id, exchange.match.traveller_id, exchange.match.sender_id, exchange.match.offer_id, days)
            for exchange in exchanges
            for part in domain.days_held(exchange)
            for days in (asyncpg.Range(part.first_day, part.last_day, upper_inc=True),)
        ]
        await self._connection.copy_records_to_table("held_days", records=held)
        due = [
            (uuid7(), kind, str(exchange.id), at, "{}") for exchange in exchanges for kind, at in domain.due(exchange)
        ]
        await self._connection.copy_records_to_table(
            "due", records=due, columns=["id", "kind", "subject", "at", "data"]
        )


@asynccontextmanager
async def rows(url: str) -> AsyncGenerator[Rows]:
    connection = await asyncpg.connect(url, server_settings={"search_path": "exchange"})
    try:
        yield Rows(connection)
    finally:
        await connection.close()


class Busy:
    """How many CPU seconds the process has had since: a noisy machine hides in the others' time, not in this."""

    def __init__(self, system: System) -> None:
        self._process = psutil.Process(system.processes["exchange"].pid)
        self._before = sum(self._process.cpu_times()[:2])

    def seconds(self) -> float:
        return sum(self._process.cpu_times()[:2]) - self._before


async def accept(
    url: str, key: OKPKey, matches: Sequence[MatchProposed], rate: float | None
) -> tuple[float, list[float]]:
    """Acceptances per second, and how many milliseconds each took from when it was to be sent.

    Without a rate as fast as they are answered; with one each at its own time, however long the others take.
    """
    tokens = {
        match.sender_id: issue(key, Caller(Role.COMPANY, "bench", match.sender_id), timedelta(hours=1))
        for match in matches
    }
    took: list[float] = []
    began = time.perf_counter()

    def planned() -> Iterator[tuple[float, MatchProposed]]:
        for number, match in enumerate(matches):
            yield (began + number / rate if rate else 0.0, match)

    waiting = planned()
    # A client that takes little itself: it shares the machine with what is measured.
    connections = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(url, connector=connections, raise_for_status=True) as http:

        async def one_after_the_other() -> None:
            for at, match in waiting:
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
                sent = at or time.perf_counter()
                bearer = {"Authorization": f"Bearer {tokens[match.sender_id]}"}
                async with http.post(f"/exchanges/{match.match_id}/acceptance", headers=bearer) as answer:
                    await answer.read()
                took.append(1000 * (time.perf_counter() - sent))

        await asyncio.gather(*(one_after_the_other() for _ in range(CONNECTIONS)))
    return len(matches) / (time.perf_counter() - began), took


async def bring_on(system: System, connection: asyncpg.Connection, count: int) -> float:
    """Exchanges per second that start in the night in which all of them are to.

    What is still due is looked at, a small table: to count what has started reads all exchanges, again and again, and takes half
    of PostgreSQL's time away from what is measured.
    """
    system.clock.set(start_of(FIRST_DAY))
    began = time.perf_counter()
    while await connection.fetchval("select exists (select from due where kind = 'start')"):
        await asyncio.sleep(0.1)
    took = time.perf_counter() - began
    if await connection.fetchval("select count(*) from exchange where stage = 'ongoing'") != count:
        raise RuntimeError("not every exchange has started")
    return count / took


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        environment = {"LOG_LEVEL": "warning"}
        async with System(folder, stopped_at=START, environment=environment, services=["exchange"]) as system:
            key = OKPKey.import_key(json.loads((folder / "signing-key.json").read_text()))
            url = system.urls["exchange"]
            opened = [domain.open(None, proposal(), True, START)[0] for _ in range(3 * ACCEPTS)]
            async with rows(system.database.migrator_url) as written:
                await written.write(opened)
            matches = [exchange.match for exchange in opened]
            rates: list[float] = []
            busy = Busy(system)
            for half in (0, 1):
                rate, _ = await accept(url, key, matches[half * ACCEPTS : (half + 1) * ACCEPTS], None)
                rates.append(rate)
            fastest, accepting = statistics.mean(rates), busy.seconds() / (2 * ACCEPTS)
            _, took = await accept(url, key, matches[2 * ACCEPTS :], fastest / 2)

            model, season = agreed(), EXCHANGES
            async with rows(system.database.migrator_url) as written:
                for done in range(0, season, 5_000):
                    await written.write([_another(model) for _ in range(min(5_000, season - done))])
            connection = await asyncpg.connect(
                system.database.migrator_url, server_settings={"search_path": "exchange"}
            )
            try:
                busy = Busy(system)
                brought_on = await bring_on(system, connection, season)
                bringing_on = busy.seconds() / season
            finally:
                await connection.close()
    report(
        "exchange",
        {
            "accepts": ACCEPTS, "connections": CONNECTIONS, "accepts_per_s": fastest, "target_per_s": TARGET_ACCEPTS,
            "p50_at_half_ms": percentile(took, 0.5), "p99_at_half_ms": percentile(took, 0.99), "target_p99_ms": TARGET_P99_MS,
            "accepts_per_cpu_s": 1 / accepting,
            "due": EXCHANGES, "due_per_cpu_s": 1 / bringing_on, "due_per_s": brought_on, "target_due_per_s": TARGET_DUE,
        },
    )  # fmt: skip


def _another(model: Exchange) -> Exchange:
    """With ids of its own."""
    ids: dict[str, UUID] = {
        name: uuid7() for name in ("match_id", "placement_id", "offer_id", "sender_id", "host_id", "traveller_id")
    }
    version = replace(model.drafted, exchange_id=ids["match_id"])
    return replace(model, match=model.match.model_copy(update=ids), agreement=version)


if __name__ == "__main__":
    uvloop.run(main())
