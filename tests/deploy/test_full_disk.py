"""PostgreSQL's disk is full while companies register, is made larger, and all that was answered is there."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from laptop.postgres import Postgres
from laptop.system import System

from tests.deploy.registering import drafted
from tests.deploy.runbooks import execute, where_it_runs
from tests.faults.rounds import SETTINGS
from tests.faults.story import START

pytestmark = pytest.mark.installed

WAL = {"fsync": "off", "max_wal_size": "64MB", "min_wal_size": "32MB", "wal_recycle": "off"}


@pytest.fixture(scope="module")
def disk(backing_folder: Path) -> Iterator[Path]:
    """A small one, that may become larger."""
    folder = backing_folder / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=230m,mode=711", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"NO DISK CAN BE FILLED: A TMPFS CANNOT BE MOUNTED HERE: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
async def system(backing_folder: Path, disk: Path) -> AsyncIterator[tuple[System, Postgres]]:
    server = Postgres(disk / "postgres", settings=WAL, log=backing_folder / "full" / "postgres.log")
    await server.start()
    try:
        async with System(
            backing_folder / "full",
            stopped_at=START,
            environment=SETTINGS,
            services=("registration",),
            database_url=server.admin_url,
        ) as system:
            yield system, server
    finally:
        await server.stop()


async def test_a_full_disk_refuses_what_it_cannot_store_and_a_larger_one_has_all_that_was_answered(
    system: tuple[System, Postgres], disk: Path
):
    running, server = system
    made = [(await drafted(running)).json()["company_id"]]
    filler = disk / "somebody-elses"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(os.urandom(1 << 16))
                file.flush()
        except OSError:
            pass
    refused = 0
    async with asyncio.timeout(60):
        while not refused:
            answer = await drafted(running)
            refused += answer.status_code >= 500
            if answer.status_code == 201:
                made.append(answer.json()["company_id"])
            else:
                assert answer.status_code in (500, 503), answer.text
    environment = where_it_runs(running, "registration", PGDATA=str(server._data), ADMIN_DATABASE_URL=server.admin_url)
    looked = await execute("disk-full", "PostgreSQL's", environment)
    assert "100%" in looked
    subprocess.run(["mount", "-o", "remount,size=600m", disk], check=True)
    if server.process is None or not server.process.alive:
        await server.start()
    await execute("disk-full", "PostgreSQL's", environment, 1)

    async def again() -> httpx.Response:
        async with asyncio.timeout(60):
            while (answer := await drafted(running)).status_code >= 500:
                await asyncio.sleep(0.2)
        return answer

    made.append((await again()).json()["company_id"])
    await execute("disk-full", "PostgreSQL's", environment, 2)
    connection = await asyncpg.connect(running.database.owner_url)
    held = await connection.fetch("select company_id::text from registration.company")
    await connection.close()
    assert {row["company_id"] for row in held} >= set(made)
