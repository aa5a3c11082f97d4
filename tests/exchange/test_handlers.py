"""Each event that exchange consumes, on a real database: the usual case, the refused one, twice, and out of order."""

from uuid import UUID

import pytest
from chassis.inbox import arrival
from exchange.state import Exchange
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeCancelled, Stage
from sojourn_contracts.match import DeclineReason, MatchDeclined, MatchProposed
from uuid_utils.compat import uuid7

from tests.chassis_driver import Driver, record
from tests.exchange import given
from tests.exchange.given import (
    EXPIRES,
    HOST,
    MATCH,
    NOON,
    OFFER,
    PLACEMENT,
    SENDER,
    host_registered,
    host_updated,
    id_of,
    proposal,
    sender_registered,
    sender_updated,
    withdrawn,
)
from tests.exchange.world import both_registered, companies_gone, due_work, held, stage_of, stands_at, tombstones

BEFORE_AGREED = [Stage.PROPOSED, Stage.ACCEPTED, Stage.DRAFTED, Stage.IN_VALIDATION]
AGREED_AND_ON = [Stage.AGREED, Stage.ONGOING, Stage.INTERRUPTED]
ENDED = [stage for stage in Stage if stage.ended]


async def declined_as(driver: Driver) -> list[DeclineReason]:
    emitted = await driver.emitted()
    assert all(isinstance(event, MatchDeclined) for event in emitted)
    return [event.reason for event in emitted if isinstance(event, MatchDeclined)]


async def test_a_proposal_opens_an_exchange_that_expires(driver: Driver):
    await both_registered(driver)
    await driver.handle(proposal())
    assert await held(driver) == given.proposed()
    assert [tuple(row) for row in await driver.rows("select kind, subject, at from due")] == [
        ("expire", str(MATCH), EXPIRES)
    ]
    assert await driver.emitted() == []


async def test_a_proposal_that_comes_before_its_companies_opens_an_exchange(driver: Driver):
    await driver.handle(proposal(), sender_registered(), host_registered())
    assert await stage_of(driver) is Stage.PROPOSED
    assert await driver.emitted() == []


async def test_a_proposal_that_comes_twice_opens_one_exchange(driver: Driver):
    event_id = uuid7()
    await driver.handle(proposal(), proposal(), event_id=event_id)
    await driver.handle(proposal())
    assert (await driver.rows("select count(*) from exchange"))[0][0] == 1
    assert await held(driver) == given.proposed()


@pytest.mark.parametrize("stage", Stage)
async def test_a_proposal_that_comes_again_late_changes_nothing(driver: Driver, stage: Stage):
    await stands_at(driver, given.AT[stage]())
    await driver.handle(proposal(revision=2))
    assert await held(driver) == given.AT[stage]()
    assert await driver.emitted() == []


async def test_what_a_proposal_carries_beyond_this_version_is_kept(driver: Driver):
    await driver.handle(proposal(mentor="somebody"))
    assert (await driver.rows("select proposal ->> 'mentor' from exchange"))[0][0] == "somebody"


@pytest.mark.parametrize("company_id", [SENDER, HOST])
async def test_a_proposal_of_a_company_that_left_is_withdrawn_as_it_opens(driver: Driver, company_id: UUID):
    await driver.handle(withdrawn(company_id), proposal())
    assert await stage_of(driver) is Stage.WITHDRAWN
    assert await declined_as(driver) == [DeclineReason.WITHDRAWN]
    assert await due_work(driver) == {}


@pytest.mark.parametrize(
    "history",
    [
        (sender_registered(), sender_updated(2)),
        (sender_updated(2), sender_registered()),
        (host_registered(), host_updated(2, id_of("other offer"))),
        (host_updated(2), host_registered()),
    ],
)
async def test_a_proposal_whose_end_was_dropped_is_withdrawn_as_it_opens(driver: Driver, history: tuple[Event, ...]):
    await driver.handle(*history, proposal())
    assert await stage_of(driver) is Stage.WITHDRAWN
    assert await declined_as(driver) == [DeclineReason.WITHDRAWN]


async def test_a_proposal_that_overtakes_the_update_it_came_from_stays_open(driver: Driver):
    await driver.handle(sender_registered(id_of("older placement")), proposal(), sender_updated(2, PLACEMENT))
    assert await stage_of(driver) is Stage.PROPOSED


async def test_a_dropped_placement_is_found_out_when_the_state_that_had_it_comes_last(driver: Driver):
    await driver.handle(sender_updated(2), proposal())
    assert await stage_of(driver) is Stage.PROPOSED
    await driver.handle(sender_registered())
    assert await stage_of(driver) is Stage.WITHDRAWN


@pytest.mark.parametrize("stage", BEFORE_AGREED)
@pytest.mark.parametrize("update", [sender_updated(2), host_updated(2)])
async def test_an_update_withdraws_what_lost_its_end(driver: Driver, stage: Stage, update: CompanyUpdated):
    await stands_at(driver, given.AT[stage]())
    await driver.handle(update)
    assert await stage_of(driver) is Stage.WITHDRAWN
    assert await declined_as(driver) == [DeclineReason.WITHDRAWN]
    assert await due_work(driver) == {}


@pytest.mark.parametrize("stage", BEFORE_AGREED)
async def test_an_update_that_keeps_the_ends_changes_no_exchange(driver: Driver, stage: Stage):
    await stands_at(driver, given.AT[stage]())
    await driver.handle(sender_updated(2, PLACEMENT, id_of("another")), host_updated(2, OFFER))
    assert await held(driver) == given.AT[stage]()
    assert await driver.emitted() == []


@pytest.mark.parametrize("stage", [*AGREED_AND_ON, *ENDED])
async def test_an_update_changes_nothing_that_is_signed_or_over(driver: Driver, stage: Stage):
    await stands_at(driver, given.AT[stage]())
    await driver.handle(sender_updated(2), host_updated(2))
    assert await held(driver) == given.AT[stage]()
    assert await driver.emitted() == []


async def test_an_older_state_of_a_company_does_not_undo_a_newer_one(driver: Driver):
    await driver.handle(sender_updated(3, PLACEMENT), sender_updated(2), sender_registered(), proposal())
    assert await stage_of(driver) is Stage.PROPOSED
    assert (await driver.rows("select (profile ->> 'revision')::int from company where company_id = $1", SENDER))[0][
        0
    ] == 3


@pytest.mark.parametrize("event", [CompanyRegistered, CompanyUpdated])
async def test_a_companys_state_that_comes_twice_counts_once(driver: Driver, event: type[CompanyRegistered]):
    state = event.model_validate(sender_registered().model_dump())
    await driver.handle(state)
    once = await driver.rows("select * from company")
    await driver.handle(state)
    assert await driver.rows("select * from company") == once


async def test_only_the_exchange_that_lost_its_end_is_withdrawn(driver: Driver):
    other = proposal("other match")
    await driver.handle(sender_registered(PLACEMENT, other.placement_id), proposal(), other)
    await driver.handle(sender_updated(2, other.placement_id))
    assert await stage_of(driver) is Stage.WITHDRAWN
    assert await stage_of(driver, other.match_id) is Stage.PROPOSED


@pytest.mark.parametrize("company_id", [SENDER, HOST])
@pytest.mark.parametrize("stage", BEFORE_AGREED)
async def test_a_company_that_leaves_withdraws_what_is_not_agreed(driver: Driver, company_id: UUID, stage: Stage):
    await stands_at(driver, given.AT[stage]())
    await driver.handle(withdrawn(company_id))
    assert await stage_of(driver) is Stage.WITHDRAWN
    assert await declined_as(driver) == [DeclineReason.WITHDRAWN]
    assert await due_work(driver) == {}


@pytest.mark.parametrize("company_id", [SENDER, HOST])
@pytest.mark.parametrize("stage", AGREED_AND_ON)
async def test_a_company_that_leaves_cancels_what_is_agreed(driver: Driver, company_id: UUID, stage: Stage):
    await stands_at(driver, given.AT[stage]())
    await driver.handle(withdrawn(company_id))
    (event,) = await driver.emitted()
    assert isinstance(event, ExchangeCancelled)
    assert (event.reason, event.cancelled_by, event.cancelled_at_stage) == ("company_gone", None, stage)
    assert await due_work(driver) == {}


@pytest.mark.parametrize("stage", ENDED)
async def test_a_company_that_leaves_changes_nothing_that_is_over(driver: Driver, stage: Stage):
    await stands_at(driver, given.AT[stage]())
    await driver.handle(withdrawn(SENDER))
    assert await held(driver) == given.AT[stage]()
    assert await driver.emitted() == []


async def test_a_company_that_leaves_ends_all_of_its_exchanges_once(driver: Driver):
    names = [f"match {number}" for number in range(3)]
    await driver.handle(*(proposal(name) for name in names), withdrawn(HOST), withdrawn(HOST, 10), withdrawn(SENDER))
    assert {await stage_of(driver, id_of(name)) for name in names} == {Stage.WITHDRAWN}
    assert await declined_as(driver) == [DeclineReason.WITHDRAWN] * 3


async def test_a_company_that_left_does_not_come_back(driver: Driver):
    await driver.handle(withdrawn(SENDER, 2), sender_registered(), sender_updated(7, PLACEMENT), proposal())
    assert await stage_of(driver) is Stage.WITHDRAWN
    assert await companies_gone(driver) == {SENDER}
    assert (await driver.rows("select profile from company where company_id = $1", SENDER))[0][0] is None


@pytest.mark.parametrize("topic", [CompanyRegistered, CompanyUpdated, CompanyWithdrawn])
@pytest.mark.parametrize(
    ("exchange", "ends_as"), [(given.drafted(), Stage.WITHDRAWN), (given.ongoing(), Stage.CANCELLED)]
)
async def test_of_an_erased_company_the_bare_id_stays_and_its_exchanges_end(
    driver: Driver, topic: type[Event], exchange: Exchange, ends_as: Stage
):
    await stands_at(driver, exchange)
    await driver.erase(topic, SENDER)
    assert await stage_of(driver) is ends_as
    rows = await driver.rows("select profile, dropped, gone from company where company_id = $1", SENDER)
    assert [tuple(row) for row in rows] == [(None, [], True)]


async def test_an_erased_company_does_not_come_back(driver: Driver):
    await driver.erase(CompanyRegistered, HOST)
    await driver.erase(CompanyUpdated, HOST)
    await driver.handle(host_registered(), host_updated(2, OFFER), sender_registered(), proposal())
    assert await stage_of(driver) is Stage.WITHDRAWN
    assert await declined_as(driver) == [DeclineReason.WITHDRAWN]
    assert await companies_gone(driver) == {HOST}


@pytest.mark.parametrize("stage", Stage)
async def test_an_exchange_is_erased_with_its_match(driver: Driver, stage: Stage):
    await stands_at(driver, given.AT[stage]())
    await driver.erase(MatchProposed, MATCH)
    assert await held(driver) is None
    assert await due_work(driver) == {}
    topics = ["MatchDeclined", "ExchangeUpdated", "ExchangeAgreed", "ExchangeCancelled", "ExchangeCompleted"]
    assert await tombstones(driver) == [(topic, MATCH) for topic in topics]


async def test_an_erased_match_is_not_opened_and_not_erased_twice(driver: Driver):
    await driver.erase(MatchProposed, MATCH)
    await driver.handle(proposal())
    await driver.erase(MatchProposed, MATCH)
    assert await held(driver) is None
    assert await tombstones(driver) == []


async def test_a_batch_has_the_same_effect_as_its_events_one_by_one(driver: Driver):
    await driver.handle_together(
        sender_registered(), proposal(), host_registered(), withdrawn(HOST), proposal("second")
    )
    assert await stage_of(driver) is Stage.WITHDRAWN
    assert await stage_of(driver, id_of("second")) is Stage.WITHDRAWN
    assert await declined_as(driver) == [DeclineReason.WITHDRAWN] * 2


async def test_a_record_that_breaks_the_contract_opens_nothing(driver: Driver):
    broken = arrival(record(proposal().model_copy(update={"min_days": 3})))
    with pytest.raises(ValueError, match=r"data\.min_days"):
        await driver.deliver(broken)
    assert await held(driver) is None


async def test_what_it_says_is_caused_by_what_it_heard(driver: Driver):
    await driver.handle(withdrawn(HOST))
    event_id = uuid7()
    await driver.handle(proposal(), event_id=event_id)
    rows = await driver.rows("select causation_id, correlation_id, time from outbox")
    assert [tuple(row) for row in rows] == [(str(event_id), "c-1", NOON)]
