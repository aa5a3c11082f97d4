"""What an installation takes: memory of each process, and of matching's with a large market; connections; and what a company
leaves in PostgreSQL and on Kafka once it has been through the whole programme.

The sizes are of a replay as ``make demo`` plays it, less what the empty system takes, divided by its companies: a company of it
has the exchanges that ``exchanges_per_company`` tells. They include what is dropped after a while (inbox, answers to idempotency
keys), and no empty space that updates leave in time.
"""

import asyncio
import os
import tempfile
from pathlib import Path

import asyncpg
import psutil
from backing import report
from laptop.system import System
from laptop.vies import Register
from market import generate
from pilot.choices import Choices
from pilot.demo import SETTINGS, VIES_AWAY, played
from pilot.population import START, population, unknown_to_vies
from sojourn_contracts.catalogue import SERVICES, TOPICS
from sojourn_contracts.taxonomy import write
from stored_market import NOON, fill, taxonomy

PLAYED = int(os.environ.get("PLAYED", "120"))
"""Companies of the replay."""
COMPANIES = int(os.environ.get("COMPANIES", "100000"))
"""On the market that matching holds."""
UNTIL = START.replace(year=START.year + 2)


def mib(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 2**20


async def sizes(connection: asyncpg.Connection) -> dict[str, int]:
    """Bytes of each schema's tables with their indexes."""
    rows = await connection.fetch(
        "select nspname as schema, sum(pg_total_relation_size(pg_class.oid))::bigint as size"
        " from pg_class join pg_namespace on pg_namespace.oid = relnamespace"
        " where relkind = 'r' and nspname = any($1) group by nspname",
        list(SERVICES),
    )
    return {row["schema"]: row["size"] for row in rows}


def on_topics(folder: Path) -> dict[str, int]:
    """Bytes of each topic's segments."""
    return {
        topic.name: sum(file.stat().st_size for file in folder.glob(f"kafka/data/{topic.name}-[0-9]*/*.log"))
        for topic in TOPICS
    }


async def connections(connection: asyncpg.Connection) -> dict[str, int]:
    rows = await connection.fetch(
        "select usename, count(*) from pg_stat_activity where usename like 'sojourn\\_%' group by usename"
    )
    return {row["usename"].removeprefix("sojourn_"): row["count"] for row in rows}


async def of_a_company() -> dict[str, float]:
    companies = population(PLAYED, 7)
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        register = Register(unknown_to_vies(companies), VIES_AWAY)
        async with System(folder, stopped_at=START, environment=SETTINGS, vies=register) as system:
            owner = await asyncpg.connect(system.database.owner_url)
            idle = {service: mib(process.pid) for service, process in system.processes.items()}
            empty, at_first, most = await sizes(owner), on_topics(folder), await connections(owner)
            playing = asyncio.create_task(played(system, companies, Choices(7), UNTIL))
            while not playing.done():
                for service, count in (await connections(owner)).items():
                    most[service] = max(most.get(service, 0), count)
                await asyncio.wait({playing}, timeout=0.5)
            await playing
            exchanges = await owner.fetchval("select count(*) from exchange.exchange")
            full, topics = await sizes(owner), on_topics(folder)
            events = {
                service: await owner.fetchval(f"select count(*) from {service}.event_log") for service in SERVICES
            }
            await owner.close()
    stored = {service: (full[service] - empty[service]) / PLAYED for service in SERVICES}
    sent = sum(topics.values()) - sum(at_first.values())
    return {
        "played": PLAYED, "exchanges_per_company": exchanges / PLAYED,
        "events_per_company": sum(events.values()) / PLAYED,
        **{f"{service}_idle_mib": size for service, size in idle.items()},
        **{f"{service}_connections_at_most": most[service] for service in SERVICES},
        **{f"{service}_bytes_per_company": size for service, size in stored.items()},
        "postgres_bytes_per_company": sum(stored.values()), "topics_bytes_per_company": sent / PLAYED,
    }  # fmt: skip


async def of_the_market() -> dict[str, float]:
    market = generate(COMPANIES)
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "taxonomy").mkdir()
        write(taxonomy(market), folder / "taxonomy")
        environment = {"LOG_LEVEL": "warning", "PLANNER_TICK_HOURS": "24", "TAXONOMY": str(folder / "taxonomy")}
        async with System(folder, stopped_at=NOON, environment=environment, services=["matching"]) as system:
            process = system.processes["matching"]
            empty = mib(process.pid)
            await process.stop()
            await fill(system.database.migrator_url, market)
            await system.start_service("matching")
            full = mib(process.pid)
            owner = await asyncpg.connect(system.database.owner_url)
            stored = (await sizes(owner))["matching"]
            await owner.close()
    return {
        "market": COMPANIES, "matching_empty_mib": empty, "matching_full_mib": full,
        "matching_mib_per_100000": (full - empty) * 100_000 / COMPANIES,
        "market_postgres_bytes_per_company": stored / COMPANIES,
    }  # fmt: skip


async def main() -> None:
    report("capacity", await of_the_market() | await of_a_company())


if __name__ == "__main__":
    asyncio.run(main())
