"""What the benchmarks stand on: a broker and a database of their own, rows made in bulk, and the one line of JSON."""

import json
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
from chassis.migrations import migrate
from laptop.kafka import Kafka
from laptop.postgres import Postgres
from laptop.roles import Database, kept_passwords, provision
from laptop.topics import create_topics
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.vocabulary import SizeClass
from uuid_utils.compat import uuid7

NO_MIGRATIONS = Path(__file__).parent / "no_migrations"


@dataclass(frozen=True)
class Backing:
    """A broker and a database, started for one benchmark."""

    bootstrap: str
    database: Database

    async def migrated(self, service: str, migrations: Path) -> str:
        """The URL of the service's role, its schema migrated."""
        await migrate(self.database.migrator_url, service, migrations)
        return self.database.url(service)


@asynccontextmanager
async def backing() -> AsyncGenerator[Backing]:
    """Starts both; stops them and removes their data, whatever happens."""
    async with database() as own:
        with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
            kafka = Kafka(Path(name) / "kafka", java_options=("-Xmx512m",))  # compiled fully, as one that lasts is
            try:
                await kafka.start()
                await create_topics(kafka.bootstrap)
                yield Backing(kafka.bootstrap, own)
            finally:
                await kafka.stop()


@asynccontextmanager
async def database() -> AsyncGenerator[Database]:
    """Starts the database alone."""
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = Postgres(folder / "postgres")
        try:
            await postgres.start()
            yield await provision(postgres.admin_url, kept_passwords(folder / "passwords.json"))
        finally:
            await postgres.stop()


def company(company_id: UUID | None = None, size: int = 600) -> CompanyRegistered:
    """An event whose JSON has about ``size`` bytes."""
    event = CompanyRegistered(
        company_id=company_id or uuid7(),
        revision=1,
        country="DE",
        region="DE2",
        sector="62",
        size_class=SizeClass.SMALL,
        languages=(),
        placements=(),
        offers=(),
    )
    padding = size - len(event.model_dump_json()) - len(',"padding":""')
    return event.model_copy(update={"padding": "x" * max(0, padding)})


def postgres_cpu_seconds() -> float:
    """CPU seconds of all PostgreSQL processes of this machine that are running, and of those they reaped."""
    total = 0.0
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def report(benchmark: str, figures: dict[str, float | int | None]) -> None:
    """The last line of a benchmark."""
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps({"benchmark": benchmark, "figures": rounded}), flush=True)
