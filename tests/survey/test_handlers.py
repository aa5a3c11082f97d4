"""Each event and each due work: happy, refused, duplicate, out of order."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated
from sojourn_contracts.exchange import ExchangeCompleted

from tests.chassis_driver import Driver
from tests.survey.story import (
    ACCEPTED,
    AGREED,
    CANCELLED,
    COMPLETED,
    DECLINED,
    DRAFTED,
    EXCHANGE,
    HOST,
    ONGOING,
    PROPOSED,
    SENDER,
    SENDER_LEFT,
    SENDER_REGISTERED,
    SENDER_UPDATED,
    TRAVELLER,
)


async def company(survey: Driver) -> tuple:
    [row] = await survey.rows(
        "select (profile->>'revision')::int, profile->>'country', withdrawn, erased from company where company_id = $1",
        SENDER,
    )
    return tuple(row)


async def exchange(survey: Driver) -> tuple:
    [row] = await survey.rows("select event, stage, furthest from exchange where exchange_id = $1", EXCHANGE)
    return tuple(row)


async def invitations(survey: Driver) -> list[tuple]:
    rows = await survey.rows("select party, respondent_id, state from invitation order by party")
    return [tuple(row) for row in rows]


async def to_close(survey: Driver) -> list:
    return [row["at"] for row in await survey.rows("select at from due where kind = 'close'")]


INVITED = [("host", HOST, "open"), ("sender", SENDER, "open"), ("traveller", TRAVELLER, "open")]


async def test_a_company_is_known_by_its_newest_revision(survey):
    await survey.handle(SENDER_REGISTERED)
    assert await company(survey) == (1, "AT", False, False)
    await survey.handle(SENDER_UPDATED)
    assert await company(survey) == (2, "DE", False, False)


async def test_an_overtaken_registration_changes_nothing(survey):
    await survey.handle(SENDER_UPDATED, SENDER_REGISTERED, SENDER_UPDATED)
    assert await company(survey) == (2, "DE", False, False)


async def test_a_received_profile_is_kept_whole(survey):
    await survey.handle(SENDER_UPDATED.model_validate(SENDER_UPDATED.model_dump() | {"founded": 1987}))
    [row] = await survey.rows("select profile->>'founded' as founded from company")
    assert row["founded"] == "1987"


@pytest.mark.parametrize("events", [[SENDER_REGISTERED, SENDER_LEFT], [SENDER_LEFT, SENDER_REGISTERED, SENDER_LEFT]])
async def test_a_company_that_left_keeps_its_profile(survey, events):
    await survey.handle(*events)
    assert await company(survey) == (1, "AT", True, False)


async def test_each_stage_is_followed(survey):
    followed = []
    for event in (PROPOSED, ACCEPTED, DRAFTED, AGREED, ONGOING, COMPLETED):
        await survey.handle(event)
        followed.append((await exchange(survey))[1])
    assert followed == ["proposed", "accepted", "drafted", "agreed", "ongoing", "completed"]


async def test_what_was_overtaken_changes_no_stage(survey):
    await survey.handle(COMPLETED, ONGOING, AGREED, DRAFTED, ACCEPTED, PROPOSED)
    assert await exchange(survey) == ("ExchangeCompleted", "completed", "completed")


@pytest.mark.parametrize("events", [[PROPOSED, ACCEPTED, DECLINED], [DECLINED, ACCEPTED, PROPOSED, DECLINED]])
async def test_a_declined_match_keeps_how_far_it_came(survey, events):
    await survey.handle(*events)
    assert await exchange(survey) == ("MatchDeclined", "declined", "accepted")


@pytest.mark.parametrize("events", [[AGREED, CANCELLED], [CANCELLED, AGREED, CANCELLED]])
async def test_a_cancelled_exchange_keeps_how_far_it_came(survey, events):
    await survey.handle(*events)
    assert await exchange(survey) == ("ExchangeCancelled", "cancelled", "agreed")
    assert await invitations(survey) == []


async def test_three_are_invited_when_an_exchange_completed(survey):
    await survey.handle(COMPLETED)
    assert await invitations(survey) == INVITED
    assert await to_close(survey) == [COMPLETED.changed_at + timedelta(days=60)] * 3


async def test_a_repeated_completion_invites_nobody_again(survey):
    await survey.handle(COMPLETED)
    await survey.rows("update invitation set state = 'submitted'")
    await survey.rows("delete from due")
    await survey.handle(COMPLETED, ONGOING)
    assert {state for _, _, state in await invitations(survey)} == {"submitted"}
    assert await to_close(survey) == []


async def test_the_same_event_delivered_twice_has_its_effect_once(survey):
    event_id = uuid4()
    await survey.handle(COMPLETED, event_id=event_id)
    await survey.rows("delete from invitation")
    await survey.handle(COMPLETED, event_id=event_id)
    assert await invitations(survey) == []


async def test_invitations_close_60_days_after_the_completion(survey):
    await survey.handle(COMPLETED)
    await survey.rows("update invitation set state = 'submitted' where party = 'host'")
    closing = COMPLETED.changed_at + timedelta(days=60)
    await survey.run_due(closing - timedelta(seconds=1))
    assert {state for _, _, state in await invitations(survey)} == {"open", "submitted"}
    await survey.run_due(closing)
    assert [state for _, _, state in await invitations(survey)] == ["submitted", "closed", "closed"]
    assert await to_close(survey) == []


async def test_closing_an_invitation_that_was_erased_does_nothing(survey):
    await survey.handle(COMPLETED)
    await survey.rows("delete from invitation")
    await survey.run_due(COMPLETED.changed_at + timedelta(days=60))
    assert [row["kind"] for row in await survey.rows("select kind from due")] == ["invite_again"]


async def test_an_erased_company_leaves_its_bare_id_and_takes_its_invitations_along(survey):
    await survey.handle(SENDER_REGISTERED, COMPLETED, SENDER_LEFT)
    await survey.rows("insert into waiting select invitation_id, '{}' from invitation")
    await survey.erase(CompanyRegistered, SENDER)
    assert await company(survey) == (None, None, False, True)
    assert await invitations(survey) == []
    assert await to_close(survey) == []
    assert await survey.rows("select invitation_id from waiting") == []
    assert await survey.rows("select exchange_id from exchange") == []


async def test_nothing_resurrects_an_erased_company(survey):
    await survey.erase(CompanyUpdated, SENDER)
    await survey.handle(SENDER_REGISTERED, SENDER_UPDATED, SENDER_LEFT, COMPLETED)
    assert await company(survey) == (None, None, False, True)
    assert await invitations(survey) == []


async def test_an_erased_exchange_takes_its_invitations_along(survey):
    await survey.handle(PROPOSED, COMPLETED)
    await survey.erase(ExchangeCompleted, EXCHANGE)
    await survey.erase(ExchangeCompleted, EXCHANGE)
    await survey.handle(ONGOING)
    assert await survey.rows("select exchange_id from exchange") == []
    assert await invitations(survey) == []
    assert await survey.rows("select kind from due where kind <> 'empty_log'") == []
