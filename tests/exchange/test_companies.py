"""What is known of a company depends on what was said, not on when it was heard."""

from itertools import permutations

import pytest
from exchange import companies
from exchange.companies import Company
from hypothesis import given as samples
from hypothesis import strategies
from sojourn_contracts.company import CompanyUpdated

from tests.exchange.given import PLACEMENT, SENDER, id_of, proposal, sender_registered, sender_updated

OTHER = id_of("other placement")
BLANK = Company(SENDER)


def after(*profiles: companies.Profile) -> Company:
    company = BLANK
    for profile in profiles:
        company = companies.heard(company, profile)
    return company


def test_a_company_that_was_never_heard_of_still_has_what_is_proposed():
    assert BLANK.still_has(proposal())


@pytest.mark.parametrize("order", list(permutations([sender_registered(PLACEMENT), sender_updated(2, OTHER)])))
def test_a_placement_that_was_there_and_is_no_longer_is_dropped(order: tuple[companies.Profile, ...]):
    assert not after(*order).still_has(proposal())


def test_a_placement_that_is_not_there_yet_is_not_dropped():
    assert after(sender_registered(OTHER)).still_has(proposal())


@pytest.mark.parametrize(
    "order",
    list(permutations([sender_registered(PLACEMENT), sender_updated(2, OTHER), sender_updated(3, PLACEMENT, OTHER)])),
)
def test_a_placement_that_came_back_is_there(order: tuple[companies.Profile, ...]):
    assert after(*order).still_has(proposal())


def test_the_highest_revision_counts():
    company = after(sender_updated(5, PLACEMENT), sender_registered(OTHER), sender_updated(2, OTHER))
    assert company.profile == sender_updated(5, PLACEMENT)
    assert company.dropped == {OTHER}


def test_a_company_that_left_is_gone_whatever_comes_after():
    gone = companies.left(after(sender_registered()))
    assert gone == Company(SENDER, gone=True)
    assert companies.heard(gone, sender_updated(20, PLACEMENT)) is gone
    assert not gone.still_has(proposal())


REVISIONS = strategies.lists(
    strategies.tuples(strategies.integers(1, 4), strategies.booleans()), min_size=1, max_size=6
)


@samples(REVISIONS, strategies.randoms())
def test_any_order_and_any_repetition_lead_to_the_same_knowledge(history: list[tuple[int, bool]], random):
    states = {revision: sender_updated(revision, *((PLACEMENT,) if there else (OTHER,))) for revision, there in history}
    profiles: list[CompanyUpdated] = [states[revision] for revision, _ in history]
    shuffled = random.sample(profiles, len(profiles))
    assert after(*shuffled) == after(*profiles, profiles[0])
