"""Nothing is held that is not exported: what each service says of its tables is compared with the tables that there are."""

from itertools import chain
from uuid import UUID, uuid4

import exchange.erasure
import matching.erasure
import pytest
import registration.erasure.holdings
import survey.erasure
from chassis.holdings import NOBODY, Holdings
from chassis.identity import Role
from chassis.service import Service
from exchange.main import service as exchange_service
from matching.main import service as matching_service
from registration.main import service as registration_service
from survey.main import service as survey_service

from tests.chassis_driver import Driver
from tests.conftest import Driving

SERVICES: list[tuple[Service, Holdings, dict[str, str]]] = [
    (registration_service, registration.erasure.holdings.HELD, registration.erasure.holdings.NOBODY),
    (matching_service, matching.erasure.HELD, matching.erasure.NOBODY),
    (exchange_service, exchange.erasure.HELD, exchange.erasure.NOBODY),
    (survey_service, survey.erasure.HELD, survey.erasure.NOBODY),
]
EACH = pytest.mark.parametrize(("service", "held", "nobody"), SERVICES, ids=[each[0].name for each in SERVICES])


async def columns_of(driver: Driver, service: Service) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in await driver.rows(
        "select table_name, column_name from information_schema.columns join information_schema.tables"
        " using (table_catalog, table_schema, table_name) where table_schema = $1 and table_type = 'BASE TABLE'",
        service.name,
    ):
        found.setdefault(row["table_name"], set()).add(row["column_name"])
    return found


@EACH
async def test_every_table_is_exported_with_all_its_columns_or_is_said_to_hold_nothing_on_anybody(
    driving: Driving, service: Service, held: Holdings, nobody: dict[str, str]
):
    driver = await driving(service)
    there = await columns_of(driver, service)
    said = {each.table: {column.strip() for column in each.columns.split(",")} for each in held.tables}
    assert said.keys().isdisjoint({*nobody, *NOBODY})
    assert there.keys() == said.keys() | nobody.keys() | NOBODY.keys(), "a table is not exported, or is there no more"
    assert {table: there[table] for table in said} == said, "a column is not exported, or is there no more"


@EACH
async def test_every_table_can_be_asked_about_somebody_of_whom_nothing_is_held(
    driving: Driving, service: Service, held: Holdings, nobody: dict[str, str]
):
    driver = await driving(service)
    for kind, path in (("person", "people"), ("company", "companies")):
        somebody = uuid4()
        answer = await driver.http.get(f"/export/{path}/{somebody}", headers=driver.token(Role.OPERATOR))
        assert answer.status_code == 200, answer.text
        export = answer.json()
        assert {key: export[key] for key in ("service", "kind", "id")} == {
            "service": service.name,
            "kind": kind,
            "id": str(somebody),
        }
        assert list(chain(*export["held"].values())) == []


@EACH
async def test_an_export_is_for_the_person_alone_or_for_the_companys_admin(
    driving: Driving, service: Service, held: Holdings, nobody: dict[str, str]
):
    driver = await driving(service)
    me, mine, other = uuid4(), uuid4(), uuid4()

    async def status(path: str, whose: UUID, role: Role, company: UUID | None, person: UUID | None) -> int:
        return (
            await driver.http.get(f"/export/{path}/{whose}", headers=driver.token(role, company, person))
        ).status_code

    assert await status("people", me, Role.TRAVELLER, None, me) == 200
    assert await status("people", me, Role.COMPANY, mine, me) == 200
    assert await status("people", other, Role.TRAVELLER, None, me) == 403
    assert await status("people", other, Role.COMPANY_ADMIN, mine, me) == 403
    assert await status("companies", mine, Role.COMPANY_ADMIN, mine, me) == 200
    assert await status("companies", mine, Role.COMPANY, mine, me) == 403
    assert await status("companies", other, Role.COMPANY_ADMIN, mine, me) == 403
