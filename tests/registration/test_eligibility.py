"""The rules of eligibility: the SME test at its borders, and whatever figures somebody declares."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registration import programme
from registration.companies.eligibility import (
    CLASSES,
    Accounts,
    Enterprise,
    Facts,
    Outcome,
    PublicBody,
    PublicHolder,
    Related,
    Relation,
    Rule,
    Vies,
    asked_of_vies,
    class_of,
    judge,
    size_class,
    total,
)
from sojourn_contracts.vocabulary import SizeClass

MICRO, SMALL, MEDIUM, LARGE = CLASSES
NONE = Accounts(0, 0, 0)
BIG = Accounts(300, 60_000_000, 50_000_000)
MODEST = Accounts(20, 4_000_000, 3_000_000)
accounts = st.builds(
    Accounts,
    st.floats(0, 1_000).map(lambda staff: round(staff, 2)),
    st.integers(0, 120_000_000),
    st.integers(0, 120_000_000),
)
related = st.builds(
    lambda relation, share, periods: Related(relation, share, periods),
    st.sampled_from(Relation),
    st.floats(25, 50),
    st.tuples(accounts, accounts),
)
enterprises = st.builds(
    Enterprise,
    st.sampled_from(SizeClass),
    st.tuples(accounts, accounts),
    st.lists(related, max_size=4).map(tuple),
    st.none(),
    st.just(True),
)


def an_enterprise(*periods: Accounts, claimed: SizeClass = SMALL, ties: tuple[Related, ...] = ()) -> Enterprise:
    return Enterprise(claimed, periods, ties, None, True)


def facts(enterprise: Enterprise | None = None, country: str = "DE", sends: bool = True) -> Facts:
    return Facts(country, enterprise or an_enterprise(MODEST, MODEST), sends)


def finding(about: Facts, rule: Rule, vies: Vies | None = None) -> tuple[Outcome, str]:
    [found] = [each for each in judge(about, vies).findings if each.rule is rule]
    return found.outcome, found.reason


@pytest.mark.parametrize(
    ("period", "found"),
    [
        (Accounts(9.9, 2_000_000, 9_000_000), MICRO),
        (Accounts(9.9, 9_000_000, 2_000_000), MICRO),
        (Accounts(9.9, 2_000_001, 2_000_001), SMALL),
        (Accounts(10, 0, 0), SMALL),
        (Accounts(49.9, 10_000_000, 99_000_000), SMALL),
        (Accounts(50, 0, 0), MEDIUM),
        (Accounts(249.9, 50_000_000, 99_000_000), MEDIUM),
        (Accounts(249.9, 99_000_000, 43_000_000), MEDIUM),
        (Accounts(249.9, 50_000_001, 43_000_001), LARGE),
        (Accounts(250, 0, 0), LARGE),
    ],
)
def test_the_ceilings_are_those_of_the_recommendation(period: Accounts, found: SizeClass):
    assert class_of(total(an_enterprise(period), 0)) is found


def test_partners_count_in_proportion_and_linked_enterprises_in_full():
    ties = (Related(Relation.PARTNER, 33.3, (BIG,)), Related(Relation.LINKED, 51, (MODEST,)))
    found = total(an_enterprise(MODEST, ties=ties), 0)
    assert float(found.headcount) == pytest.approx(20 + 0.333 * 300 + 20)
    assert found.turnover == 4_000_000 + 333 * 60_000 + 4_000_000


def test_a_ceiling_that_is_met_exactly_by_shares_is_met():
    """In floating point, 29% of 100 is a little less than 29."""
    ties = (Related(Relation.PARTNER, 29, (Accounts(100, 0, 0),)),)
    assert total(an_enterprise(Accounts(21, 0, 0), ties=ties), 0).headcount == 50
    assert size_class(an_enterprise(Accounts(21, 0, 0), ties=ties)) is MEDIUM


@pytest.mark.parametrize(
    ("claimed", "last", "before", "found"),
    [
        (SMALL, BIG, MODEST, SMALL),  # grown once
        (SMALL, BIG, BIG, LARGE),  # grown twice
        (LARGE, MODEST, BIG, LARGE),  # shrunk once
        (LARGE, MODEST, MODEST, SMALL),  # shrunk twice
        (MICRO, BIG, MODEST, SMALL),  # beyond micro twice, beyond small once
        (LARGE, NONE, MODEST, SMALL),  # below medium's ceilings twice, below small's once
    ],
)
def test_the_class_moves_only_as_far_as_two_periods_agree(
    claimed: SizeClass, last: Accounts, before: Accounts, found: SizeClass
):
    assert size_class(an_enterprise(last, before, claimed=claimed)) is found


def test_in_its_first_year_a_company_is_what_its_figures_say():
    assert size_class(an_enterprise(BIG, claimed=MICRO)) is LARGE


@given(enterprises)
def test_the_class_lies_between_what_the_periods_say_or_stays_as_it_was(enterprise: Enterprise):
    ranks = [CLASSES.index(class_of(total(enterprise, period))) for period in (0, 1)]
    held, found = CLASSES.index(enterprise.claimed), CLASSES.index(size_class(enterprise))
    assert min(ranks) <= found <= max(ranks)
    if ranks[0] == ranks[1]:
        assert found == ranks[0]
    if found != held:
        assert all((rank > held) == (found > held) and rank != held for rank in ranks)


@given(enterprises, related)
def test_another_tie_never_makes_a_company_smaller(enterprise: Enterprise, tie: Related):
    tied = replace(enterprise, related=(*enterprise.related, tie))
    assert CLASSES.index(size_class(tied)) >= CLASSES.index(size_class(enterprise))
    controlled = replace(enterprise, related=(*enterprise.related, replace(tie, relation=Relation.LINKED)))
    assert CLASSES.index(size_class(controlled)) >= CLASSES.index(size_class(tied))


@given(enterprises)
def test_the_order_of_the_ties_does_not_matter(enterprise: Enterprise):
    turned = replace(enterprise, related=enterprise.related[::-1])
    assert total(turned, 0) == total(enterprise, 0)


@given(enterprises, st.sampled_from([None, *Vies]), st.booleans(), st.sampled_from(["DE", "CH", "US"]))
def test_every_rule_always_has_one_finding_with_a_reason(
    enterprise: Enterprise, vies: Vies | None, sends: bool, country: str
):
    judgement = judge(Facts(country, enterprise, sends), vies)
    assert [each.rule for each in judgement.findings] == list(Rule)
    assert all(each.reason for each in judgement.findings)
    assert judgement.clear == (not judgement.unclear and not judgement.waiting)


def test_an_sme_that_declares_what_it_has_to_is_clear():
    assert judge(facts(), None).clear


def test_a_large_company_may_only_host():
    large = an_enterprise(BIG, BIG)
    assert finding(facts(large), Rule.SENDER) == (Outcome.UNCLEAR, "large")
    assert finding(facts(large, sends=False), Rule.SENDER) == (Outcome.CLEAR, "only_hosts")


def test_where_two_periods_disagree_about_large_a_human_looks():
    assert finding(facts(an_enterprise(BIG, MODEST)), Rule.SENDER) == (Outcome.UNCLEAR, "borderline")
    assert finding(facts(an_enterprise(MODEST, NONE)), Rule.SENDER) == (Outcome.CLEAR, "small")


OTHER, UNIVERSITY, FUND, INVESTOR, TOWN = (
    PublicBody.OTHER,
    PublicBody.UNIVERSITY,
    PublicBody.INVESTMENT_CORPORATION,
    PublicBody.INSTITUTIONAL_INVESTOR,
    PublicBody.LOCAL_AUTHORITY,
)


def town(share: float, budget: int | None = 9_999_999, inhabitants: int | None = 4_999) -> PublicHolder:
    return PublicHolder(TOWN, share, False, budget, inhabitants)


def held_by(*holders: PublicHolder) -> Enterprise:
    return replace(an_enterprise(MODEST, MODEST), public_holders=holders)


@pytest.mark.parametrize(
    ("holders", "is_one"),
    [
        ((), True),
        ((PublicHolder(OTHER, 24.99),), True),
        ((PublicHolder(OTHER, 25),), False),
        ((PublicHolder(OTHER, 12.3), PublicHolder(OTHER, 12.7)), False),  # jointly; in floating point a little less
        ((PublicHolder(OTHER, 12), PublicHolder(OTHER, 12.9)), True),
        ((PublicHolder(UNIVERSITY, 50),), True),
        ((PublicHolder(FUND, 30),), True),
        ((PublicHolder(INVESTOR, 30),), True),
        ((PublicHolder(UNIVERSITY, 50.01),), False),
        ((PublicHolder(FUND, 30, linked=True),), False),  # a dominant influence
        ((PublicHolder(FUND, 30), PublicHolder(UNIVERSITY, 25)), False),  # half of it jointly
        ((PublicHolder(FUND, 10, linked=True),), True),  # below a quarter whoever holds it
        ((PublicHolder(FUND, 40), PublicHolder(OTHER, 24)), True),
        ((PublicHolder(FUND, 24), PublicHolder(OTHER, 25)), False),
        ((town(50),), True),
        ((town(30, budget=10_000_000),), False),
        ((town(30, inhabitants=5_000),), False),
        ((town(30, budget=None),), False),
        ((town(30, inhabitants=None),), False),
    ],
)
def test_whom_public_bodies_hold_a_quarter_of_is_no_sme_but_for_the_recommendations_exceptions(
    holders: tuple[PublicHolder, ...], is_one: bool
):
    enterprise = held_by(*holders)
    assert size_class(enterprise) is (SMALL if is_one else LARGE)
    said = (Outcome.CLEAR, "small") if is_one else (Outcome.UNCLEAR, "public_bodies")
    assert finding(facts(enterprise), Rule.SENDER) == said
    assert finding(facts(enterprise, sends=False), Rule.SENDER) == (Outcome.CLEAR, "only_hosts")


def test_in_its_first_year_too_a_company_of_public_bodies_is_no_sme():
    enterprise = replace(an_enterprise(MODEST), public_holders=(PublicHolder(OTHER, 100),))
    assert size_class(enterprise) is LARGE
    borderline = replace(held_by(PublicHolder(OTHER, 100)), accounts=(BIG, MODEST))
    assert finding(facts(borderline), Rule.SENDER) == (Outcome.UNCLEAR, "public_bodies"), "which no period changes"


def test_a_company_outside_the_programme_is_unclear():
    assert finding(facts(country="US"), Rule.COUNTRY) == (Outcome.UNCLEAR, "not_in_the_programme")


def test_a_firm_of_one_person_needs_a_vat_number():
    alone = an_enterprise(Accounts(1, 50_000, 10_000))
    assert finding(facts(alone), Rule.ALONE) == (Outcome.UNCLEAR, "no_number")
    assert finding(facts(replace(alone, vat="DE136695976")), Rule.ALONE)[0] is Outcome.CLEAR
    assert finding(facts(an_enterprise(Accounts(1.5, 50_000, 10_000))), Rule.ALONE)[0] is Outcome.CLEAR


def test_learning_only_has_to_be_declared():
    undeclared = replace(an_enterprise(MODEST, MODEST), learning_only=False)
    assert finding(facts(undeclared), Rule.LEARNING) == (Outcome.UNCLEAR, "not_declared")


@pytest.mark.parametrize(
    ("vies", "outcome"),
    [
        (None, Outcome.WAITING),
        (Vies.VALID, Outcome.CLEAR),
        (Vies.NOT_ASKED, Outcome.CLEAR),
        (Vies.INVALID, Outcome.UNCLEAR),
        (Vies.UNAVAILABLE, Outcome.UNCLEAR),
    ],
)
def test_what_the_register_says_decides_and_its_silence_does_not(vies: Vies | None, outcome: Outcome):
    numbered = facts(replace(an_enterprise(MODEST, MODEST), vat="DE136695976"))
    assert finding(numbered, Rule.REGISTER, vies)[0] is outcome


def test_only_the_unions_numbers_are_looked_up():
    swiss = replace(an_enterprise(MODEST, MODEST), vat="CHE107787577IVA")
    assert asked_of_vies(facts(swiss, "CH")) is None
    assert judge(facts(swiss, "CH"), None).clear
    assert asked_of_vies(facts(replace(swiss, vat="EL094259216"), "GR")) == "EL094259216"


def test_a_number_that_is_none_of_its_country_is_unclear():
    wrong = facts(replace(an_enterprise(MODEST, MODEST), vat="FR40303265045"))
    assert finding(wrong, Rule.NUMBER, Vies.VALID) == (Outcome.UNCLEAR, "malformed")


def test_a_country_without_numbers_in_the_library_takes_what_looks_like_one():
    assert programme.vat_number("BA", "4200 1234-5678") == "420012345678"
    assert programme.vat_number("BA", "!") is None
