"""What SQL sorts out beforehand: never a pair that has a score."""

from datetime import timedelta
from uuid import UUID

from chassis.transaction import Cause
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matching import store
from matching.domain import offers_of, placements_of, score
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.vocabulary import Level, Spoken, Window

from tests.chassis_driver import Driver
from tests.matching.conftest import empty
from tests.matching.market import PARAMETERS, TODAY, company, offer, placement

COUNTRIES = ("DE", "ES", "FR")

skills = st.lists(st.sampled_from(("aa", "bb", "cc")), max_size=2).map(tuple)
spoken = st.lists(
    st.builds(Spoken, language=st.sampled_from(("de", "en")), level=st.sampled_from((Level.A2, Level.B1, Level.C1))),
    max_size=2,
).map(tuple)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    first = TODAY + timedelta(days=draw(st.integers(-40, 40)))
    return Window(first=first, last=first + timedelta(days=draw(st.integers(0, 60))))


@st.composite
def markets(draw: st.DrawFn) -> list[CompanyRegistered]:
    found: list[CompanyRegistered] = []
    for number in range(draw(st.integers(2, 4))):
        name = f"company {number}"
        lengths = [tuple(sorted(draw(st.tuples(st.integers(14, 30), st.integers(14, 30))))) for _ in range(2)]
        sent = placement(
            f"{name}'s placement",
            languages=draw(spoken),
            window=draw(windows()),
            min_days=lengths[0][0],
            max_days=lengths[0][1],
            destinations=draw(st.lists(st.sampled_from(COUNTRIES), max_size=3).map(tuple)),
            skills_sought=draw(skills),
            skills_brought=draw(skills),
        )
        hosted = offer(
            f"{name}'s offer",
            languages=draw(spoken),
            window=draw(windows()),
            min_days=lengths[1][0],
            max_days=lengths[1][1],
            capacity=draw(st.integers(0, 1)),
            skills_taught=draw(skills),
            skills_needed=draw(skills),
        )
        found.append(company(name, draw(st.sampled_from(COUNTRIES)), sent, hosted))
    return found


def scored(market: list[CompanyRegistered]) -> set[tuple[UUID, UUID]]:
    return {
        (one.terms.placement_id, other.terms.offer_id)
        for sending in market
        for hosting in market
        for one in placements_of(sending)
        for other in offers_of(hosting)
        if score(one, other, PARAMETERS)
    }


@given(market=markets())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_pair_with_a_score_is_a_candidate_of_both_its_companies(
    matching: Driver, market: list[CompanyRegistered]
):
    await empty(matching)
    await matching.handle_together(*market)
    wanted = scored(market)
    async with matching.process.open_transaction(Cause()) as tx:
        for each in market:
            found = await store.candidates(tx, each.company_id, TODAY)
            ends = {(one.terms.placement_id, other.terms.offer_id) for one, other in found}
            mine = {one.placement_id for one in each.placements} | {other.offer_id for other in each.offers}
            assert all(each.company_id in (one.home.company_id, other.home.company_id) for one, other in found)
            assert ends >= {pair for pair in wanted if mine.intersection(pair)}
