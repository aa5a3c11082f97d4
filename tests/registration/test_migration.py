"""Companies that registered before there were rules are there as they were, and can be changed and undone."""

import json
import shutil
from pathlib import Path
from uuid import UUID

import asyncpg
from chassis.migrations import migrate
from laptop.roles import Database
from registration.main import service

from tests.chassis_driver import Driver, driving
from tests.registration.forms import company_form
from tests.registration.lives import Life

ADMITTED, LEFT = UUID(int=1), UUID(int=2)
OLD = {
    "country": "DE",
    "region": "DE2",
    "nace": "25.53",
    "size_class": "small",
    "languages": [{"language": "de", "level": "C2"}],
    "placements": [],
    "offers": [],
}


async def test_a_company_of_before_is_admitted_as_it_was_and_goes_on(database: Database, tmp_path: Path):
    before = tmp_path / "before"
    before.mkdir()
    for name in ("0001-companies.sql", "0002-people.sql"):
        shutil.copy(service.migrations / name, before)
    await migrate(database.migrator_url, "registration", before)
    connection = await asyncpg.connect(database.url("registration"))
    await connection.executemany(
        "insert into company (company_id, revision, name, profile, withdrawn, registered_at)"
        " values ($1, 3, 'Zahnrad', $2, $3, now())",
        [(ADMITTED, json.dumps(OLD), None), (LEFT, json.dumps(OLD), "left")],
    )
    await connection.close()
    await migrate(database.migrator_url, "registration", service.migrations)
    async with driving(service, database.url("registration"), tmp_path) as driver:
        life = of(driver, ADMITTED)
        seen = await life.seen()
        assert (seen["status"], seen["undecided"], seen["computed_size_class"]) == ("admitted", False, "small")
        assert (await of(driver, LEFT).seen())["status"] == "withdrawn"
        changed = (await life.put(company_form())).json()
        assert (changed["revision"] > 3, changed["undecided"]) == (True, False)
        assert (await life.chain())["intact"] is True


def of(driver: Driver, company_id: UUID) -> Life:
    life = Life(driver, {"company_id": str(company_id), "access_token": ""})
    life.own = driver.token("operator")
    return life
