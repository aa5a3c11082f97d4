"""Histories of at most six events, permuted and repeated: matching then knows the same, and gives no slot twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.inbox import Arrival, arrival
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matching.domain import offers_of, placements_of, score
from matching.planning import match_id, proposal
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.event import Event
from sojourn_contracts.match import MatchProposed

from tests.chassis_driver import Driver, record
from tests.matching.conftest import empty
from tests.matching.endings import agreed, cancelled, completed, declined
from tests.matching.market import NOON, PARAMETERS, host, named, offer, placement, sender, updated

KNOWN = {
    "companies": "company_id, revision, kind, payload, withdrawn",
    "placements": "placement_id, company_id, country, sector, terms",
    "offers": "offer_id, company_id, country, sector, capacity, terms",
    "matches where state <> 'erased'": "match_id, state, revision, placement_id, offer_id, sender_id, host_id, kind, payload",
}
"""What is replicated: all but what matching decides itself, and the bare ids of what is erased."""


@dataclass(frozen=True)
class Tombstone:
    event: type[Event]
    subject: UUID


Told = Event | Tombstone


def _proposed(name: str) -> MatchProposed:
    """The match of this sender with the host: made by a search of the test, or before a restore, and then only told of."""
    [one], [other] = placements_of(sender(name)), offers_of(host())
    fit = score(one, other, PARAMETERS)
    assert fit is not None
    return proposal(match_id(one.terms.placement_id, other.terms.offer_id, 1), one, other, fit, NOON, "matching")


def _company_life(name: str) -> list[Told]:
    first = sender(name)
    return [
        first,
        updated(first, 2, placements=(), offers=(offer(f"{name}'s offer"),)),
        updated(first, 5, placements=(placement(f"{name}'s placement", max_days=40), placement(f"{name}'s second"))),
        CompanyWithdrawn(company_id=named(name), revision=6, reason="left"),
        CompanyWithdrawn(company_id=named(name), revision=7, reason="excluded"),
        Tombstone(CompanyUpdated, named(name)),
        Tombstone(CompanyRegistered, named(name)),
    ]


def _match_life(name: str, *stages: Callable[[MatchProposed], Event]) -> list[Told]:
    match = _proposed(name)
    told = [stage(match) for stage in stages]
    return [*told, Tombstone(type(told[-1]), match.match_id), Tombstone(type(told[0]), match.match_id)]


LIVES: list[list[Told]] = [
    _company_life("sender"),
    _company_life("other sender"),
    _match_life("sender", agreed, completed),
    _match_life("other sender", agreed, cancelled),
    _match_life("third sender", declined),
]
EVERYTHING = [told for life in LIVES for told in life]


@st.composite
def tellings(draw: st.DrawFn) -> tuple[list[Told], list[Told]]:
    """The same events twice: in two orders, and each time some of them repeated."""
    history = draw(st.lists(st.sampled_from(EVERYTHING), min_size=1, max_size=6, unique_by=EVERYTHING.index))
    return _shuffled(draw, history), _shuffled(draw, history)


def _shuffled(draw: st.DrawFn, history: list[Told]) -> list[Told]:
    return draw(st.permutations(history + draw(st.lists(st.sampled_from(history), max_size=3))))


@given(told=tellings())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_order_events_come_in_the_same_is_known(matching: Driver, told: tuple[list[Told], list[Told]]):
    one, other = [await _known_after(matching, telling) for telling in told]
    assert one == other


@given(told=tellings())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_told_in_one_batch_the_same_is_known_as_one_by_one(matching: Driver, told: tuple[list[Told], list[Told]]):
    one_by_one = await _known_after(matching, told[0])
    await empty(matching)
    await matching.deliver(*(_arrival(each) for each in told[1]))
    assert await _known(matching) == one_by_one


@given(told=st.lists(st.sampled_from(EVERYTHING), min_size=1, max_size=6), data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_order_events_come_in_no_slot_is_given_twice(
    matching: Driver, told: list[Told], data: st.DataObject
):
    await empty(matching)
    hosts = [host("host", capacity=1), host("other host", country="FR", capacity=2)]
    for each in data.draw(st.permutations([*told, *hosts])):
        await _tell(matching, each)
        if data.draw(st.booleans()):
            await matching.run_due()
        for row in await matching.rows("select placement_id, state from matches where live and made_here"):
            if data.draw(st.integers(0, 3)) == 0:
                await _end(matching, row["placement_id"])
    await matching.run_due()
    await assert_nothing_given_twice(matching)


async def assert_nothing_given_twice(driver: Driver) -> None:
    """By the matches that were made here: what exchange tells of the others is true, whatever it is."""
    over = await driver.rows(
        "select offer_id from matches join offers using (offer_id) where live and made_here"
        " group by offer_id, capacity having count(*) > capacity"
    )
    double = await driver.rows(
        "select placement_id from matches where (live or state = 'completed') and made_here"
        " group by placement_id having count(*) > 1"
    )
    again = await driver.rows(
        "select placement_id, offer_id from matches where placement_id is not null"
        " group by placement_id, offer_id having count(*) > 1"
    )
    assert (over, double, again) == ([], [], [])


async def _end(driver: Driver, placement_id: UUID) -> None:
    """Exchange says that a proposal came to nothing."""
    [row] = await driver.rows(
        "select proposal from matches where live and made_here and placement_id = $1", placement_id
    )
    if row["proposal"]:
        await driver.handle(declined(MatchProposed.model_validate_json(row["proposal"])))


async def _known_after(driver: Driver, telling: Sequence[Told]) -> dict[str, list[Any]]:
    await empty(driver)
    for each in telling:
        await _tell(driver, each)
    return await _known(driver)


async def _known(driver: Driver) -> dict[str, list[Any]]:
    return {
        table: [tuple(row) for row in await driver.rows(f"select {columns} from {table} order by 1")]
        for table, columns in KNOWN.items()
    }


def _arrival(told: Told) -> Arrival:
    return arrival(record(told.event, told.subject) if isinstance(told, Tombstone) else record(told))


async def _tell(driver: Driver, told: Told) -> None:
    if isinstance(told, Tombstone):
        await driver.erase(told.event, told.subject)
    else:
        await driver.handle(told)
