"""Histories in any order, with repeats and tombstones, end in the same state."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sojourn_contracts.company import CompanyRegistered, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeUpdated
from sojourn_contracts.match import MatchProposed

from tests.chassis_driver import Driver
from tests.survey.conftest import empty
from tests.survey.story import (
    ACCEPTED,
    AGREED,
    CANCELLED,
    COMPLETED,
    DECLINED,
    DRAFTED,
    EXCHANGE,
    HOST,
    HOST_REGISTERED,
    IN_VALIDATION,
    INTERRUPTED,
    PROPOSED,
    RESUMED,
    SENDER,
    SENDER_LEFT,
    SENDER_REGISTERED,
    SENDER_UPDATED,
)

COMPANIES = [SENDER_REGISTERED, SENDER_UPDATED, SENDER_LEFT, HOST_REGISTERED]
EXCHANGES = [
    [PROPOSED, ACCEPTED, DRAFTED, AGREED, COMPLETED],
    [PROPOSED, ACCEPTED, DECLINED],
    [PROPOSED, DRAFTED, AGREED, CANCELLED],
    [DRAFTED, IN_VALIDATION, AGREED, INTERRUPTED, RESUMED],
]
TOMBSTONES = [
    (CompanyRegistered, SENDER),
    (CompanyWithdrawn, HOST),
    (MatchProposed, EXCHANGE),
    (ExchangeUpdated, EXCHANGE),
]


@st.composite
def histories(draw):
    """At most six of one story's events and tombstones, and an order of them with repeats."""
    story = COMPANIES + draw(st.sampled_from(EXCHANGES)) + TOMBSTONES
    places = draw(st.lists(st.sampled_from(range(len(story))), min_size=2, max_size=6, unique=True))
    history = [story[place] for place in sorted(places)]
    repeats = draw(st.lists(st.sampled_from(history), max_size=2))
    return history, draw(st.permutations(history + repeats))


async def state_after(survey: Driver, history) -> list:
    """All that the survey holds after this history, on empty tables."""
    await empty(survey)
    for step in history:
        if isinstance(step, tuple):
            await survey.erase(*step)
        else:
            await survey.handle(step)
    return [
        sorted(map(tuple, await survey.rows(query)), key=str)
        for query in (
            "select * from company",
            "select * from exchange",
            "select * from invitation",
            "select kind, subject, at from due",
        )
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
async def test_histories_converge(survey, both):
    history, permuted = both
    assert await state_after(survey, permuted) == await state_after(survey, history)


async def test_one_batch_ends_where_single_events_do(survey):
    events = [PROPOSED, SENDER_UPDATED, COMPLETED, DRAFTED, SENDER_REGISTERED, HOST_REGISTERED]
    one_by_one = await state_after(survey, events)
    await state_after(survey, [])
    await survey.handle_together(*events, *events)
    assert [sorted(map(tuple, await survey.rows("select * from exchange")), key=str)] == one_by_one[1:2]
    assert [sorted(map(tuple, await survey.rows("select * from invitation")), key=str)] == one_by_one[2:3]
