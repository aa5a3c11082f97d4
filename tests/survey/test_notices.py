"""Who is told of an invitation, who is reminded of it, and when it was sent."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from chassis.identity import Role
from sojourn_contracts.company import CompanyWithdrawn
from sojourn_contracts.notice import NoticeDue, NoticeSent

from tests.chassis_driver import Driver
from tests.survey.story import COMPLETED, HOST, NOON, SENDER, TRAVELLER

INVITED = COMPLETED.changed_at
REMINDED = INVITED + timedelta(days=14)
LATER = datetime(2027, 5, 8, tzinfo=UTC)
"""Six months after the last day of the stay."""


async def told(survey: Driver, template: str) -> dict[UUID, NoticeDue]:
    found = [notice for notice in await survey.notices() if notice.template == template]
    assert len({notice.notice_id for notice in found}) == len(found)
    return {notice.recipient_id: notice for notice in found}


async def test_who_is_invited_is_told_so_once_with_the_day_on_which_it_closes(survey: Driver):
    await survey.handle(COMPLETED, COMPLETED)
    notices = await told(survey, "survey_open")
    assert notices.keys() == {SENDER, HOST, TRAVELLER}
    rows = await survey.rows("select respondent_id, invitation_id from invitation")
    closes_on = (INVITED + timedelta(days=60)).date().isoformat()
    assert {who: notice.parameters for who, notice in notices.items()} == {
        row["respondent_id"]: {"invitation_id": str(row["invitation_id"]), "closes_on": closes_on} for row in rows
    }


async def test_who_has_not_answered_is_reminded_after_two_weeks_and_again_after_forty_days(survey: Driver):
    async def reminded(now: datetime) -> list[UUID]:
        await survey.run_due(now)
        return sorted(each.recipient_id for each in await survey.notices() if each.template == "survey_reminder")

    await survey.handle(COMPLETED)
    await survey.rows("update invitation set state = 'submitted' where party = 'host'")
    assert await reminded(REMINDED - timedelta(seconds=1)) == []
    assert await reminded(REMINDED) == sorted([SENDER, TRAVELLER])
    assert await reminded(INVITED + timedelta(days=40) - timedelta(seconds=1)) == sorted([SENDER, TRAVELLER])
    await survey.rows("update invitation set state = 'declined' where party = 'sender'")
    assert await reminded(INVITED + timedelta(days=40)) == sorted([SENDER, TRAVELLER, TRAVELLER])
    assert await reminded(INVITED + timedelta(days=59)) == sorted([SENDER, TRAVELLER, TRAVELLER])


async def test_a_reminder_that_was_asked_for_before_there_were_two_is_the_first_one(survey: Driver):
    await survey.handle(COMPLETED)
    await survey.rows("update due set data = '{}' where kind = 'remind'")
    for now in (REMINDED, INVITED + timedelta(days=40)):
        await survey.run_due(now)
    assert len({each.notice_id for each in await survey.notices() if each.template == "survey_reminder"}) == 6


async def test_what_falls_due_of_an_invitation_that_somebody_answers_just_now_waits_and_blocks_nobody(survey: Driver):
    await survey.handle(COMPLETED)
    async with survey.process.pool.acquire() as other, other.transaction():
        await other.execute("select from invitation where party = 'host' for update")
        await survey.run_due(REMINDED)
        assert {each.recipient_id for each in await survey.notices() if each.template == "survey_reminder"} == {
            SENDER,
            TRAVELLER,
        }
        await other.execute("delete from due where kind = 'remind'")  # as a submission does, at once
    await survey.run_due(REMINDED)
    assert HOST not in {each.recipient_id for each in await survey.notices() if each.template == "survey_reminder"}


async def test_two_reminders_that_are_late_do_not_come_together(survey: Driver):
    await survey.handle(COMPLETED)
    await survey.run_due(INVITED + timedelta(days=59))
    assert len([each for each in await survey.notices() if each.template == "survey_reminder"]) == 3


async def test_the_second_wave_has_a_mail_of_its_own(survey: Driver):
    await survey.handle(COMPLETED)
    await survey.run_due(LATER)
    assert (await told(survey, "survey_open_later")).keys() == {SENDER, HOST, TRAVELLER}
    notice = (await told(survey, "survey_open_later"))[HOST]
    await survey.handle(answered(notice))
    [row] = await survey.rows("select count(*) as sent from invitation where wave = 2 and sent_at is not null")
    assert row["sent"] == 1


async def test_a_reminder_that_is_late_reminds_of_nothing_that_is_closed(survey: Driver):
    await survey.handle(COMPLETED)
    await survey.run_due(INVITED + timedelta(days=61))
    assert await told(survey, "survey_reminder") == {}


async def test_of_an_exchange_that_went_with_one_of_its_companies_nobody_is_reminded(survey: Driver):
    await survey.handle(COMPLETED)
    await survey.erase(CompanyWithdrawn, SENDER)
    await survey.run_due(REMINDED)
    assert (await told(survey, "survey_reminder")).keys() == set()


def answered(
    notice: NoticeDue, revision: int = 1, outcome: str = "accepted", at: datetime = NOON, template: str | None = None
) -> NoticeSent:
    return NoticeSent(
        notice_id=notice.notice_id,
        revision=revision,
        asked_by="survey",
        recipient_id=notice.recipient_id,
        template=template or notice.template,
        outcome=outcome,
        reason=None if outcome == "accepted" else "address_refused",
        answered_at=at,
    )


async def sent(survey: Driver) -> dict[str, int]:
    found = (await survey.http.get("/evaluation", headers=survey.token(Role.ANALYST))).json()["programme"]["responses"]
    return {each["party"]: each["sent"] for each in found}


async def test_the_figures_say_how_many_invitations_were_sent(survey: Driver):
    await survey.handle(COMPLETED)
    notices = await told(survey, "survey_open")
    await survey.handle(answered(notices[HOST]), answered(notices[TRAVELLER], outcome="refused"))
    assert await sent(survey) == {"host": 1, "sender": 0, "traveller": 0}
    [row] = await survey.rows("select sent_at from invitation where party = 'host'")
    assert row["sent_at"] == NOON


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 0, 0)], ids=str)
async def test_the_latest_answer_counts_in_whatever_order_they_come(survey: Driver, order: tuple[int, ...]):
    await survey.handle(COMPLETED)
    notice = (await told(survey, "survey_open"))[HOST]
    answers = (answered(notice, 1, "refused"), answered(notice, 2, "accepted"))
    await survey.handle(*(answers[place] for place in order))
    assert (await sent(survey))["host"] == 1


async def test_answers_to_reminders_and_to_others_notices_count_nothing(survey: Driver):
    await survey.handle(COMPLETED)
    notice = (await told(survey, "survey_open"))[HOST]
    stranger = notice.model_copy(update={"notice_id": UUID(int=7)})
    await survey.handle(answered(notice, template="survey_reminder"), answered(stranger))
    assert set((await sent(survey)).values()) == {0}
