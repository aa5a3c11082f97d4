"""One exchange from its proposal to each of its ends: what every step changes, and what it says."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from exchange import domain
from exchange.domain import Decision
from exchange.state import Ending, Exchange
from sojourn_contracts.exchange import (
    ExchangeAgreed,
    ExchangeCancelled,
    ExchangeUpdated,
    Stage,
)
from sojourn_contracts.match import DeclineReason, MatchDeclined
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import Party, Side

from tests.exchange import given
from tests.exchange.given import (
    ASKS,
    CLOSES,
    EXPIRES,
    HOST,
    NOON,
    SENDER,
    STARTS,
    STRANGER,
    TERMS,
    TRAVELLER,
    WINDOW_OVER,
)

SECOND = timedelta(seconds=1)


def test_a_proposal_opens_an_exchange_and_says_nothing_that_it_did_not_say_itself():
    exchange, events = domain.open(None, given.proposal(), True, NOON)
    assert (exchange.stage, exchange.revision, exchange.id) == (Stage.PROPOSED, 1, given.MATCH)
    assert events == []


def test_a_proposal_whose_end_went_is_withdrawn_as_it_opens():
    exchange, events = domain.open(None, given.proposal(), False, NOON)
    assert (exchange.stage, exchange.revision) == (Stage.WITHDRAWN, 2)
    assert events == [exchange.as_match_declined()]
    assert isinstance(events[0], MatchDeclined)
    assert (events[0].reason, events[0].by, events[0].revision) == (DeclineReason.WITHDRAWN, None, 2)


@pytest.mark.parametrize("side", Side)
def test_the_side_that_proposed_has_accepted_and_the_other_one_is_waited_for(side: Side):
    exchange, events = domain.open(None, given.proposal(initiator=side.value), True, NOON)
    assert (exchange.stage, exchange.revision, exchange.accepted_by) == (Stage.PROPOSED, 2, (side,))
    assert events == [exchange.as_updated()]
    [other] = set(Side) - {side}
    accepted, _ = domain.accept(exchange, other, NOON)
    assert accepted.stage is Stage.ACCEPTED


def test_what_a_side_proposed_and_what_comes_too_late_is_accepted_by_nobody():
    exchange, events = domain.open(None, given.proposal(initiator="host"), True, EXPIRES)
    assert (exchange.accepted_by, events) == ((), [])


def test_what_a_side_proposed_and_whose_end_went_is_withdrawn_as_it_opens():
    exchange, _ = domain.open(None, given.proposal(initiator="host"), False, NOON)
    assert (exchange.stage, exchange.accepted_by) == (Stage.WITHDRAWN, ())


@pytest.mark.parametrize("initiator", ["matching", "somebody"])
def test_what_no_side_proposed_is_accepted_by_nobody(initiator: str):
    exchange, events = domain.open(None, given.proposal(initiator=initiator), True, NOON)
    assert (exchange.accepted_by, events) == ((), [])


@pytest.mark.parametrize("stage", Stage)
def test_a_proposal_changes_no_exchange_that_is_there(stage: Stage):
    held = given.AT[stage]()
    exchange, events = domain.open(held, given.proposal(revision=7), False, NOON)
    assert exchange is held
    assert events == []


def test_the_first_side_to_accept_waits_for_the_second():
    exchange, events = domain.accept(given.proposed(), Side.HOST, NOON)
    assert (exchange.stage, exchange.accepted_by) == (Stage.PROPOSED, (Side.HOST,))
    assert events == [exchange.as_updated()]


def test_the_second_acceptance_opens_the_drafting():
    exchange, events = domain.accept(given.accepted_by(Side.HOST), Side.SENDER, NOON)
    assert (exchange.stage, exchange.accepted_by) == (Stage.ACCEPTED, (Side.SENDER, Side.HOST))
    assert events == [exchange.as_updated()]


def test_nobody_accepts_a_proposal_from_its_expiry_on():
    accepted, _ = domain.accept(given.proposed(), Side.HOST, EXPIRES - SECOND)
    assert accepted.accepted_by == (Side.HOST,)
    with pytest.raises(Refused, match="expired"):
        domain.accept(accepted, Side.SENDER, EXPIRES)


def test_a_host_declines_before_signing():
    exchange, events = domain.decline(given.accepted_by(Side.SENDER), Side.HOST, "dates", NOON)
    assert exchange.stage is Stage.DECLINED
    assert events == [exchange.as_match_declined()]
    assert isinstance(events[0], MatchDeclined)
    assert (events[0].reason, events[0].by, events[0].detail) == (DeclineReason.DECLINED, Side.HOST, "dates")


def test_an_agreed_exchange_can_only_be_cancelled():
    with pytest.raises(Refused, match="too_late"):
        domain.decline(given.agreed(), Side.HOST, "dates", NOON)


def test_a_draft_shows_dates_training_and_allowance():
    exchange, events = given.draft(given.accepted(), TERMS, NOON)
    assert exchange.stage is Stage.DRAFTED
    assert isinstance(events[0], ExchangeUpdated)
    assert (events[0].first_day, events[0].last_day, events[0].days) == (given.FIRST, given.LAST, 28)
    assert events[0].agreement_version == 1
    assert events[0].allowance_cents == 102_667


def test_a_new_version_voids_the_signatures_of_the_old_one():
    exchange, events = given.draft(given.signed_by(Party.TRAVELLER, Party.HOST), given.OTHER_TERMS, NOON)
    assert exchange.drafted.signed_by == ()
    assert exchange.agreement_version == 2
    assert events == [exchange.as_updated()]


def test_equal_terms_are_no_new_version():
    signed = given.signed_by(Party.TRAVELLER)
    exchange, events = given.draft(signed, replace(TERMS), NOON)
    assert exchange is signed
    assert events == []


def test_each_signature_that_does_not_complete_is_an_update():
    exchange, events = domain.sign(given.signed_by(Party.HOST), Party.TRAVELLER, 1, NOON)
    assert exchange.stage is Stage.DRAFTED
    assert isinstance(events[0], ExchangeUpdated)
    assert events[0].signed_by == (Party.HOST, Party.TRAVELLER)


def test_the_third_signature_makes_the_agreement():
    exchange, events = domain.sign(given.signed_by(Party.HOST, Party.TRAVELLER), Party.SENDER, 1, NOON)
    assert exchange.stage is Stage.AGREED
    assert events == [exchange.as_agreed()]
    assert isinstance(events[0], ExchangeAgreed)
    assert (events[0].signed_by, events[0].days) == (tuple(Party), 28)


@pytest.mark.parametrize("party", Party)
def test_a_stale_version_cannot_be_signed(party: Party):
    second_version, _ = given.draft(given.signed_by(Party.HOST), given.OTHER_TERMS, NOON)
    with pytest.raises(Refused, match="stale_version") as refused:
        domain.sign(second_version, party, 1, NOON)
    assert refused.value.members == {"current_version": 2}


def test_a_version_that_is_not_drafted_yet_cannot_be_signed():
    with pytest.raises(Refused, match="stale_version"):
        domain.sign(given.drafted(), Party.HOST, 2, NOON)


def test_an_agreement_is_signed_on_its_first_day_at_the_latest():
    signed, _ = domain.sign(given.signed_by(Party.HOST), Party.SENDER, 1, STARTS + timedelta(days=1) - SECOND)
    with pytest.raises(Refused, match="first_day_passed"):
        domain.sign(signed, Party.TRAVELLER, 1, STARTS + timedelta(days=1))


def test_a_stay_starts_on_its_first_day_and_not_before():
    early, nothing = domain.start(given.agreed(), STARTS - SECOND)
    assert (early.stage, nothing) == (Stage.AGREED, [])
    exchange, events = domain.start(early, STARTS)
    assert exchange.stage is Stage.ONGOING
    assert events == [exchange.as_updated()]


@pytest.mark.parametrize("stage", [Stage.AGREED, Stage.ONGOING, Stage.INTERRUPTED])
def test_either_side_cancels_what_is_agreed(stage: Stage):
    exchange, events = domain.cancel(given.AT[stage](), Side.HOST, "business", STARTS)
    assert exchange.stage is Stage.CANCELLED
    assert isinstance(events[0], ExchangeCancelled)
    assert (events[0].cancelled_by, events[0].cancelled_at_stage, events[0].reason) == (Side.HOST, stage, "business")


def test_a_proposal_expires_when_it_can_no_longer_be_accepted():
    waiting = given.accepted_by(Side.HOST)
    assert domain.expire(waiting, EXPIRES - SECOND) == (waiting, [])
    exchange, events = domain.expire(waiting, EXPIRES)
    assert exchange.stage is Stage.EXPIRED
    assert isinstance(events[0], MatchDeclined)
    assert (events[0].reason, events[0].by) == (DeclineReason.EXPIRED, None)


@pytest.mark.parametrize("stage", [Stage.ACCEPTED, Stage.DRAFTED])
def test_what_is_accepted_expires_with_its_window(stage: Stage):
    waiting = given.AT[stage]()
    assert domain.expire(waiting, WINDOW_OVER - SECOND) == (waiting, [])
    assert domain.expire(waiting, WINDOW_OVER)[0].stage is Stage.EXPIRED


def test_a_proposal_expires_with_its_window_if_that_ends_first():
    late = given.proposed(expires_at=WINDOW_OVER + timedelta(days=1))
    assert late.open_until == WINDOW_OVER
    assert domain.expire(late, WINDOW_OVER)[0].stage is Stage.EXPIRED


@pytest.mark.parametrize("stage", [Stage.PROPOSED, Stage.ACCEPTED, Stage.DRAFTED, Stage.IN_VALIDATION])
@pytest.mark.parametrize("goes", [domain.withdraw, domain.company_gone])
def test_what_is_not_agreed_is_withdrawn_when_an_end_of_it_goes(
    stage: Stage, goes: Callable[[Exchange, datetime], Decision]
):
    exchange, events = goes(given.AT[stage](), NOON)
    assert exchange.stage is Stage.WITHDRAWN
    assert isinstance(events[0], MatchDeclined)
    assert (events[0].reason, events[0].by, events[0].detail) == (DeclineReason.WITHDRAWN, None, None)


@pytest.mark.parametrize("stage", [Stage.AGREED, Stage.ONGOING, Stage.INTERRUPTED])
def test_what_is_agreed_is_cancelled_when_a_company_leaves(stage: Stage):
    exchange, events = domain.company_gone(given.AT[stage](), NOON)
    assert exchange.stage is Stage.CANCELLED
    assert isinstance(events[0], ExchangeCancelled)
    assert (events[0].cancelled_by, events[0].cancelled_at_stage) == (None, stage)
    assert events[0].reason == "company_gone"


@pytest.mark.parametrize("stage", [Stage.AGREED, Stage.ONGOING, Stage.INTERRUPTED])
def test_what_is_agreed_outlives_its_placement_and_its_offer(stage: Stage):
    signed = given.AT[stage]()
    assert domain.withdraw(signed, NOON) == (signed, [])


@pytest.mark.parametrize(
    ("stage", "falls_due"),
    [
        (Stage.PROPOSED, {"expire": EXPIRES}),
        (Stage.ACCEPTED, {"expire": WINDOW_OVER}),
        (Stage.DRAFTED, {"expire": WINDOW_OVER}),
        (Stage.IN_VALIDATION, {"expire": WINDOW_OVER}),
        (Stage.AGREED, {"start": STARTS}),
        (Stage.ONGOING, {"ask": ASKS, "close": CLOSES}),
        (Stage.INTERRUPTED, {"ask": ASKS, "close": CLOSES}),
    ],
)
def test_each_stage_has_its_things_that_fall_due(stage: Stage, falls_due: dict[str, datetime]):
    assert dict(domain.due(given.AT[stage]())) == falls_due


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage.ended])
def test_nothing_falls_due_after_the_end(stage: Stage):
    assert list(domain.due(given.AT[stage]())) == []


def test_a_company_is_the_sender_or_the_host_or_no_party():
    exchange = given.proposed()
    assert exchange.side_of(SENDER) is Side.SENDER
    assert exchange.side_of(HOST) is Side.HOST
    for nobody in (STRANGER, None):
        with pytest.raises(NotYours):
            exchange.side_of(nobody)


def test_a_traveller_is_a_party_by_the_persons_id_and_not_by_the_companys():
    exchange = given.proposed()
    assert exchange.party_of(SENDER, TRAVELLER) is Party.TRAVELLER
    assert exchange.party_of(HOST, None) is Party.HOST
    with pytest.raises(NotYours):
        exchange.party_of(SENDER, STRANGER)


def test_an_ending_remembers_the_stage_that_it_ended():
    assert given.cancelled().ending == Ending(Stage.AGREED, Side.SENDER, "illness")
    assert given.completed().ending == Ending(Stage.ONGOING, Side.HOST)


def test_an_exchange_without_agreement_has_no_dates_to_tell():
    with pytest.raises(LookupError):
        given.accepted().as_agreed()
    with pytest.raises(LookupError):
        given.agreed().as_cancelled()
