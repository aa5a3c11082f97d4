"""Histories in any order, with repeats and tombstones: what is known comes out equal, what is decided keeps its promises."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import pytest
from chassis.inbox import Arrival, arrival
from hypothesis import HealthCheck, settings, strategies
from hypothesis import given as samples
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeCancelled, ExchangeCompleted, Stage
from sojourn_contracts.match import MatchDeclined, MatchProposed
from sojourn_contracts.vocabulary import Party

from tests.chassis_driver import Driver, record
from tests.exchange import given
from tests.exchange.conftest import emptied
from tests.exchange.given import (
    HOST,
    MATCH,
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
from tests.exchange.world import held, stands_at, tombstones

SECOND = proposal("second")
OTHER = id_of("other placement")
REGISTERED = sender_registered(PLACEMENT, SECOND.placement_id)
"""What the sender says at its first revision, in every history: a revision has one content."""

Said = Event | tuple[type[Event], UUID]
"""An event, or the tombstone of a subject."""

SAYINGS: dict[str, Said] = {
    "the sender registers": REGISTERED,
    "the sender drops its first placement": sender_updated(2, SECOND.placement_id, OTHER),
    "the sender has its first placement back": sender_updated(3, PLACEMENT, SECOND.placement_id),
    "the sender drops all": sender_updated(4),
    "the sender leaves": withdrawn(SENDER, 5),
    "the sender is erased": (CompanyRegistered, SENDER),
    "the host registers": host_registered(),
    "the host adds an offer": host_updated(2, OFFER, SECOND.offer_id),
    "the host drops its first offer": host_updated(3, SECOND.offer_id),
    "the host leaves": withdrawn(HOST, 4),
    "the host is erased": (CompanyUpdated, HOST),
    "a match is proposed": proposal(),
    "a second match is proposed": SECOND,
    "the match is erased": (MatchProposed, MATCH),
}

_LIVES = ["expire", "start", "close"]
"""Due work of an exchange that is there."""
HISTORIES = strategies.lists(strategies.sampled_from(sorted(SAYINGS)), min_size=2, max_size=6)


def arrivals(history: list[str]) -> dict[str, Arrival]:
    """One record each, so that a repeat has the same id."""
    found: dict[str, Arrival] = {}
    for name in history:
        said = SAYINGS[name]
        found[name] = arrival(record(*said) if isinstance(said, tuple) else record(said))
    return found


@dataclass(frozen=True)
class Known:
    """Replicated facts: what exchange knows of companies, blank rows left out, and which subjects are erased."""

    companies: tuple[Any, ...]
    erased: frozenset[UUID]


async def known(driver: Driver) -> Known:
    companies = await driver.rows(
        "select company_id, profile, dropped, gone from company"
        " where gone or profile is not null or dropped <> '{}' order by company_id"
    )
    erased = await driver.rows("select subject from erased")
    return Known(tuple(map(tuple, companies)), frozenset(row["subject"] for row in erased))


async def assert_promises(driver: Driver, history: set[str], matches: tuple[MatchProposed, ...]) -> None:
    facts = await known(driver)
    gone = {company_id for company_id, _, _, is_gone in facts.companies if is_gone}
    dropped = {end for _, _, ends, _ in facts.companies for end in ends}
    due = {UUID(row["subject"]) for row in await driver.rows("select subject from due where kind = any($1)", _LIVES)}
    emitted = await driver.emitted()
    ends = [event for event in emitted if isinstance(event, MatchDeclined | ExchangeCancelled | ExchangeCompleted)]
    for match in matches:
        exchange = await held(driver, match.match_id)
        assert (exchange is None) == _is_erased(match, facts)
        if exchange is None:
            assert match.match_id not in due
            continue
        told = [event for event in ends if event.subject == match.match_id]
        assert len(told) == (1 if exchange.stage.ended else 0)
        assert (match.match_id in due) == (not exchange.stage.ended)
        if exchange.stage.rank < Stage.AGREED.rank:
            assert gone.isdisjoint({match.sender_id, match.host_id})
            assert dropped.isdisjoint({match.placement_id, match.offer_id})
        if not exchange.stage.ended:
            assert gone.isdisjoint({match.sender_id, match.host_id})
        if exchange.stage.ended:
            assert any("leaves" in name or "drops" in name or "erased" in name for name in history)
    erased = {match.match_id for match in matches if _is_erased(match, facts)}
    assert {subject for _, subject in await tombstones(driver)} <= erased
    revisions = [(event.subject, event.model_dump()["revision"]) for event in emitted]
    assert len(revisions) == len(set(revisions))


def _is_erased(match: MatchProposed, facts: Known) -> bool:
    """By itself, or with one of its parties."""
    return not facts.erased.isdisjoint(match.named())


async def lived_through(
    driver: Driver, history: list[str], records: dict[str, Arrival], start: Callable[[], Any]
) -> Known:
    await emptied(driver)
    await start()
    for name in history:
        await driver.deliver(records[name])
    return await known(driver)


async def assert_convergence(driver: Driver, history: list[str], random: Random, agreed_before: bool) -> None:
    """The history, and the same events in another order with repeats: of the same record, and of the event under a new id."""

    async def start() -> None:
        if agreed_before:
            await stands_at(driver, given.signed_by(*Party), REGISTERED)

    records = arrivals(history)
    again = arrivals(history)
    repeated = random.choices(history, k=2)
    shuffled = random.sample([*history, repeated[0]], len(history) + 1)
    proposals = {"a match is proposed": proposal(), "a second match is proposed": SECOND}
    matches = tuple(
        match for name, match in proposals.items() if name in history or (agreed_before and match.match_id == MATCH)
    )

    first = await lived_through(driver, history, records, start)
    await assert_promises(driver, set(history), matches)
    second = await lived_through(driver, shuffled, records, start)
    await driver.deliver(again[repeated[1]])
    assert second == first == await known(driver)
    await assert_promises(driver, set(history), matches)


FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(FEW, max_examples=500)


@FEW
@samples(HISTORIES, strategies.randoms(use_true_random=False), strategies.booleans())
async def test_any_order_and_any_repetition_converge(driver: Driver, history: list[str], random: Random, agreed: bool):
    await assert_convergence(driver, history, random, agreed)


@pytest.mark.full
@MANY
@samples(HISTORIES, strategies.randoms(use_true_random=False), strategies.booleans())
async def test_many_orders_and_repetitions_converge(driver: Driver, history: list[str], random: Random, agreed: bool):
    await assert_convergence(driver, history, random, agreed)
