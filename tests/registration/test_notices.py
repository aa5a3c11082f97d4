"""Notices: under one id one notice, however often it is asked for; who is told; what becomes of it."""

from uuid import UUID, uuid4

import pytest
from registration.main import service
from sojourn_contracts.refusal import Refused

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration.noticed import ADMIN, COMPANY, MEMBER, TRAVELLER, asked, known


@pytest.fixture
async def driver(driving: Driving) -> Driver:
    driver = await driving(service)
    await known(driver)
    return driver


async def mails(driver: Driver) -> list[tuple[UUID, str]]:
    return [
        (row["person_id"], row["state"]) for row in await driver.rows("select person_id, state from mail order by 1")
    ]


@pytest.mark.parametrize(("recipient", "told"), [(COMPANY, [ADMIN, MEMBER]), (TRAVELLER, [TRAVELLER])])
async def test_a_notice_is_for_one_person_or_for_all_who_speak_for_a_company(
    driver: Driver, recipient: UUID, told: list[UUID]
):
    await asked(driver, uuid4(), recipient)
    assert await mails(driver) == [(person, "waiting") for person in told]
    assert len(await driver.rows("select 1 from due where kind = 'send_mail'")) == len(told)


async def test_under_one_id_one_notice_is_sent_however_often_it_is_asked_for(driver: Driver):
    notice = uuid4()
    await asked(driver, notice, ADMIN)
    await driver.rows("delete from due")
    await asked(driver, notice, ADMIN)
    await asked(driver, notice, TRAVELLER, "rejected")
    assert await mails(driver) == [(ADMIN, "waiting")]
    assert await driver.rows("select 1 from due where kind = 'send_mail'") == []


async def test_a_notice_for_nobody_is_refused_at_once(driver: Driver):
    await asked(driver, uuid4(), uuid4())
    [row] = await driver.rows("select outcome, reason, revision from notice")
    assert tuple(row) == ("refused", "recipient_unknown", 1)


@pytest.mark.parametrize(
    ("template", "rule"), [("no_such_template", "unknown_template"), ("sign_in", "missing_parameters")]
)
async def test_what_could_never_be_rendered_is_not_taken(driver: Driver, template: str, rule: str):
    with pytest.raises(Refused, match=rule):
        await asked(driver, uuid4(), ADMIN, template)
    assert await driver.rows("select 1 from notice") == []
