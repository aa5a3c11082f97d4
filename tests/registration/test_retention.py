"""What registration keeps for so many days, by its settings: what is older goes, what is younger stays."""

from datetime import timedelta
from uuid import UUID, uuid4

from registration.main import service

from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving
from tests.registration.signing_in import registered
from tests.registration.test_erasure import look

MINUTE = timedelta(minutes=1)
OLDER, YOUNGER = timedelta(days=3) + MINUTE, timedelta(days=3) - MINUTE
"""For a setting of three days, on the wall clock."""


async def somebody(driver: Driver) -> UUID:
    await registered(driver)
    for table in ("session", "link"):
        await driver.rows(f"delete from {table}")
    return (await driver.rows("select person_id from person where part = 'admin'"))[0]["person_id"]


async def test_links_of_every_purpose_go_so_many_days_after_they_ended_used_or_not(driving: Driving):
    driver = await driving(service, sign_in_days=3)
    person, kept = await somebody(driver), set[UUID]()
    for purpose in ("sign_in", "invitation", "address"):
        for used in (True, False):
            for age in (OLDER, YOUNGER, -MINUTE):
                link = uuid4()
                kept |= {link} if age < OLDER else set()
                await driver.rows(
                    "insert into link (link_id, person_id, purpose, email, expires_at, used_at) values"
                    " ($1, $2, $3, 'x@x.example', now() - $4::interval, case when $5 then now() - $4::interval end)",
                    link,
                    person,
                    purpose,
                    age,
                    used,
                )
    await look(driver, timedelta())
    assert {row["link_id"] for row in await driver.rows("select link_id from link")} == kept


async def test_sessions_go_with_their_refresh_tokens_so_many_days_after_they_ended_or_were_revoked(driving: Driving):
    driver = await driving(service, sign_in_days=3)
    person, kept = await somebody(driver), set[UUID]()
    ahead = -timedelta(days=1)
    for expired, revoked, stays in (
        (OLDER, None, False),
        (YOUNGER, None, True),
        (ahead, None, True),
        (ahead, OLDER, False),
        (ahead, YOUNGER, True),
        (YOUNGER, OLDER, False),
    ):
        session = uuid4()
        kept |= {session} if stays else set()
        await driver.rows(
            "insert into session (session_id, subject, person_id, expires_at, revoked_at)"
            " values ($1, $2, $2, now() - $3::interval, now() - $4::interval)",
            session,
            person,
            expired,
            revoked,
        )
        await driver.rows("insert into refresh_token (digest, session_id) values ($1, $2)", session.bytes, session)
    await look(driver, timedelta())
    for table in ("session", "refresh_token"):
        assert {row["session_id"] for row in await driver.rows(f"select session_id from {table}")} == kept, table


async def test_a_notice_goes_with_its_mails_so_many_days_after_its_answer_by_the_programmes_time(driving: Driving):
    driver = await driving(service, notice_days=3)
    person, old, young = await somebody(driver), uuid4(), uuid4()
    await driver.rows("delete from notice")
    for notice, answered_at in ((old, NOON), (young, NOON + 2 * MINUTE)):
        await driver.rows(
            "insert into notice (notice_id, asked_by, recipient_id, template, parameters, asked_at, outcome, answered_at)"
            " values ($1, 'registration', $2, 'admitted', '{}', $3, 'accepted', $3)",
            notice,
            person,
            answered_at,
        )
        await driver.rows(
            "insert into mail (notice_id, person_id, state, answered_at) values ($1, $2, 'accepted', $3)",
            notice,
            person,
            answered_at,
        )
    await look(driver, YOUNGER)
    assert len(await driver.rows("select from notice")) == len(await driver.rows("select from mail")) == 2
    await look(driver, OLDER)
    for table in ("notice", "mail"):
        assert [row["notice_id"] for row in await driver.rows(f"select notice_id from {table}")] == [young], table


async def test_what_vies_said_goes_after_so_many_days_though_nobody_asks_about_another_number(driving: Driving):
    driver = await driving(service, vies_cache_days=3)
    for number, age in (("DE1", OLDER), ("DE2", YOUNGER)):
        await driver.rows(
            "insert into vat_check (number, outcome, checked_at) values ($1, 'valid', now() - $2::interval)",
            number,
            age,
        )
    await look(driver, timedelta())
    assert [row["number"] for row in await driver.rows("select number from vat_check")] == ["DE2"]
