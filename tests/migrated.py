"""A service's schema for tests that set the scene in its tables themselves."""

from pathlib import Path

import asyncpg
from chassis.migrations import migrate, runtime_role
from laptop.roles import Database


async def migrated(database: Database, service: str, migrations: Path) -> None:
    """Migrates it, and gives back the rights on what is only added: a test takes away what it, or a former one, has put there.

    That a service gets by without them is shown where it runs as it is installed: in journeys, by kills, by the roles' own test.
    """
    await migrate(database.migrator_url, service, migrations)
    owner = await asyncpg.connect(database.migrator_url)
    try:
        await owner.execute(f'grant update, delete on all tables in schema "{service}" to {runtime_role(service)}')
    finally:
        await owner.close()
