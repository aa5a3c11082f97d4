"""Ends a process's connections to the database at the n-th await of a piece of work."""

from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from chassis.failures import is_trouble

from tests.chassis.steps import Steps
from tests.chassis_driver import Driver

_END = """
select pg_terminate_backend(pid, 2000) from pg_stat_activity
where datname = current_database() and application_name = $1 and pid <> pg_backend_pid()
"""


class Killer:
    """Kills one process's connections, from a connection of its own."""

    def __init__(self, driver: Driver, connection: Any) -> None:
        self._name = driver.process.service.name
        self._connection = connection

    async def __call__(self) -> None:
        await self._connection.fetch(_END, self._name)

    async def at(self, step: int, work: Coroutine[Any, Any, Any]) -> bool:
        """Runs the work and kills at that step; False when the work has fewer."""
        steps = Steps(at=step, act=self)
        try:
            await steps.over(work)
        except Exception as error:
            assert is_trouble(error), f"{error!r} at step {step} would become a dead letter"
        return steps.count >= step


@asynccontextmanager
async def killing(driver: Driver) -> AsyncGenerator[Killer]:
    connection = await asyncpg.connect(driver.process.settings.database_url.get_secret_value())
    try:
        yield Killer(driver, connection)
    finally:
        await connection.close()
