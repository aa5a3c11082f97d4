"""What the survey keeps for so many days, by its settings and the programme's time: what is older goes, what is younger stays."""

import secrets
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
from laptop.roles import Database
from survey import release
from survey.answering import domain
from survey.main import service

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.survey.story import NOON, completed
from tests.survey.test_privacy import answered, released

MINUTE = timedelta(minutes=1)


async def look(driver: Driver, now: datetime) -> None:
    """For what is old."""
    await driver.rows(
        "insert into due (id, kind, subject, at, data) values (gen_random_uuid(), 'retention', 'tables', 'epoch', '{}')"
        " on conflict (kind, subject) do update set not_before = null"
    )
    driver.clock.now_is(now)
    await driver.process.due.round()


async def invited(driver: Driver, closes_at: datetime, state: str) -> UUID:
    """With an answer that waits for its release."""
    invitation = uuid4()
    await driver.rows(
        "insert into invitation (invitation_id, exchange_id, party, wave, questionnaire, company_id, respondent_id, days,"
        " training_direction, invited_at, closes_at, state) values ($1, $2, 'sender', 1, 'x', $2, $2, 20, 'both', $3, $4, $5)",
        invitation,
        uuid4(),
        NOON,
        closes_at,
        state,
    )
    await driver.rows("insert into waiting (invitation_id, answers) values ($1, '{}')", invitation)
    return invitation


async def test_invitations_go_with_answers_that_wait_so_many_days_after_they_closed_and_their_number_stays(
    driving: Driving,
):
    driver = await driving(service, invitation_days=10)
    for state in ("closed", "submitted"):
        await invited(driver, NOON, state)
    young = await invited(driver, NOON + 2 * MINUTE, "closed")
    await look(driver, NOON + timedelta(days=10) - MINUTE)
    assert len(await driver.rows("select from invitation")) == len(await driver.rows("select from waiting")) == 3
    await look(driver, NOON + timedelta(days=10) + MINUTE)
    for table in ("invitation", "waiting"):
        assert [row["invitation_id"] for row in await driver.rows(f"select invitation_id from {table}")] == [young]
    [gone] = await driver.rows("select invited, submitted, never_released from unlinked")
    assert tuple(gone.values()) == (2, 1, 2)


async def test_a_years_cluster_key_goes_so_many_days_after_the_years_end(driving: Driving):
    driver = await driving(service, cluster_key_days=270)
    for year in (2025, 2026, 2027):
        await driver.rows("insert into cluster_key (programme_year, key) values ($1, '\\x00')", year)
    end = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=270)

    async def years(now: datetime) -> list[int]:
        await look(driver, now)
        return [row["programme_year"] for row in await driver.rows("select programme_year from cluster_key order by 1")]

    assert await years(end - MINUTE) == [2026, 2027]
    assert await years(end + MINUTE) == [2027]


async def test_a_key_that_is_destroyed_is_in_no_file_of_the_database_and_its_clusters_are_nobodys_any_more(
    driving: Driving, postgres: Database
):
    """Nor is anything left then that says who was asked or answered. What was released stays."""
    driver = await driving(service)
    await answered(driver, 1, 2, 3)
    await driver.run_due(NOON + timedelta(days=1))
    events = await released(driver)
    companies = [completed(number).sender_id for number in (1, 2, 3)]

    async def found() -> tuple[bool, bool]:
        """Whether the key is in the database's files, and whether the companies' clusters can be made of what is."""
        admin = await asyncpg.connect(postgres.admin_url)
        await admin.execute("checkpoint")
        data = Path(await admin.fetchval("show data_directory"))
        await admin.close()
        oid = (await driver.rows("select oid from pg_database where datname = current_database()"))[0]["oid"]
        in_files = any(key in file.read_bytes() for file in (data / "base" / str(oid)).iterdir())
        kept = [row["key"] for row in await driver.rows("select key from cluster_key")]
        told = {release.cluster(each, "company", company) for each in kept for company in companies}
        return in_files, {event.company_cluster for event in events} <= told

    [key] = [row["key"] for row in await driver.rows("select key from cluster_key")]
    younger = secrets.token_bytes(32)
    await driver.rows("insert into cluster_key (programme_year, key) values (2027, $1)", younger)
    assert await found() == (True, True)
    await driver.run_due(NOON + timedelta(days=200))  # they are asked again
    await look(driver, datetime(2028, 1, 2, tzinfo=UTC))
    assert await found() == (False, False)
    assert [row["key"] for row in await driver.rows("select key from cluster_key")] == [younger]
    await look(driver, datetime(2028, 3, 1, tzinfo=UTC))
    for table in ("invitation", "waiting"):
        assert await driver.rows(f"select from {table}") == []
    assert len(await driver.rows("select from released")) == 3


async def test_answers_after_their_years_key_was_destroyed_are_released_each_with_clusters_like_no_others(
    driving: Driving,
):
    driver = await driving(service)
    await answered(driver, 1, 2, 3)
    await driver.run_due(NOON + timedelta(days=1))
    await driver.rows("select survey.destroy_cluster_keys(2027)")
    for number in (4, 5, 6):
        await answered(driver, number)
    await driver.rows("update invitation set company_id = (select min(company_id::text)::uuid from invitation)")
    await driver.run_due(NOON + timedelta(days=2))
    late = (await released(driver))[3:]
    assert len({event.company_cluster for event in late}) == len({event.exchange_cluster for event in late}) == 3
    assert await driver.rows("select from cluster_key") == []
    assert [row["programme_year"] for row in await driver.rows("select programme_year from destroyed_cluster_key")] == [
        2026
    ]


def test_no_setting_destroys_a_key_before_the_second_wave_is_released():
    [least] = [each.ge for each in service.settings.model_fields["cluster_key_days"].metadata if hasattr(each, "ge")]
    again = domain.second_wave_at(date(2026, 12, 31))
    assert again + domain.TIME_TO_ANSWER + timedelta(days=2) < datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=least)


def test_a_key_lasts_until_the_last_answers_about_its_years_exchanges_are_released():
    """By the default; else these would get another one, and no cluster of theirs would hold."""
    kept: int = service.settings.model_fields["cluster_key_days"].default
    again = domain.second_wave_at(date(2026, 12, 31))
    assert again + domain.TIME_TO_ANSWER + timedelta(days=2) < datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=kept)
