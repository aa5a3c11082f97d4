"""How well a pair fits: what raises the score, what leaves it, and what the explanation says."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matching.domain import EXPLAINED_SKILLS, OpenOffer, OpenPlacement, Parameters, Score, score, sentence
from sojourn_contracts.vocabulary import Level, Spoken, TrainingDirection, Window

from tests.matching.market import PARAMETERS, SPRING, TODAY, open_offer, open_placement

SKILLS = ("welding", "brewing", "baking", "payroll", "forestry", "optometry", "photography", "recruiting")
SECTORS = ("10", "25", "61", "62", "72")

skills = st.lists(st.sampled_from(SKILLS), unique=True).map(tuple)
sectors = st.lists(st.sampled_from(SECTORS), unique=True).map(tuple)
levels = st.sampled_from(list(Level)[2:])
parameters = st.builds(
    Parameters,
    today=st.just(TODAY),
    rarity=st.fixed_dictionaries({skill: st.integers(1, 5_000) for skill in SKILLS}),
    related=st.dictionaries(
        st.sampled_from(SKILLS), st.dictionaries(st.sampled_from(SKILLS), st.integers(1, 99)), max_size=4
    ),
)


def fitting(placement: OpenPlacement, offer: OpenOffer, with_: Parameters | None = None) -> Score:
    found = score(placement, offer, with_ or PARAMETERS)
    assert found is not None
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[OpenPlacement, OpenOffer]:
    """Pairs without an obstacle; the first skill is always taught to who seeks it."""
    placement = open_placement(
        sector=draw(st.sampled_from(SECTORS)),
        languages=(Spoken(language="en", level=draw(levels)),),
        max_days=draw(st.integers(14, 62)),
        skills_sought=(SKILLS[0], *draw(skills)),
        skills_brought=draw(skills),
        preferred_sectors=draw(sectors),
    )
    offer = open_offer(
        sector=draw(st.sampled_from(SECTORS)),
        languages=(Spoken(language="en", level=draw(levels)),),
        max_days=draw(st.integers(14, 62)),
        window=Window(first=SPRING.first, last=date(2026, 4, draw(st.integers(14, 30)))),
        skills_taught=(SKILLS[0], *draw(skills)),
        skills_needed=draw(skills),
        preferred_sectors=draw(sectors),
    )
    return placement, offer


def with_terms(side: Any, **changed: Any) -> Any:
    return replace(side, terms=side.terms.model_copy(update=changed))


@given(pairs(), parameters, st.sampled_from(SKILLS))
def test_a_host_who_teaches_more_never_scores_less(
    pair: tuple[OpenPlacement, OpenOffer], given_parameters: Parameters, more: str
):
    placement, offer = pair
    better = with_terms(offer, skills_taught=(*offer.terms.skills_taught, more))
    before, after = fitting(placement, offer, given_parameters), fitting(placement, better, given_parameters)
    assert after.value >= before.value
    assert after.explanation.traveller_utility >= before.explanation.traveller_utility
    assert after.explanation.host_utility == before.explanation.host_utility


@given(pairs(), parameters, st.sampled_from(SKILLS))
def test_a_traveller_who_brings_more_never_scores_less(
    pair: tuple[OpenPlacement, OpenOffer], given_parameters: Parameters, more: str
):
    placement, offer = pair
    better = with_terms(placement, skills_brought=(*placement.terms.skills_brought, more))
    before, after = fitting(placement, offer, given_parameters), fitting(better, offer, given_parameters)
    assert after.value >= before.value
    assert after.explanation.host_utility >= before.explanation.host_utility
    assert after.explanation.traveller_utility == before.explanation.traveller_utility


@given(pairs(), parameters)
def test_both_sides_count_alike(pair: tuple[OpenPlacement, OpenOffer], given_parameters: Parameters):
    """With the wishes, means and sectors of both exchanged, the utilities are exchanged and the score is the same."""
    placement, offer = pair
    mine, theirs = placement.terms, offer.terms
    mirrored_placement = replace(
        with_terms(
            placement,
            skills_sought=theirs.skills_needed,
            skills_brought=theirs.skills_taught,
            preferred_sectors=theirs.preferred_sectors,
            languages=theirs.languages,
        ),
        home=replace(placement.home, sector=offer.home.sector),
    )
    mirrored_offer = replace(
        with_terms(
            offer,
            skills_needed=mine.skills_sought,
            skills_taught=mine.skills_brought,
            preferred_sectors=mine.preferred_sectors,
            languages=mine.languages,
        ),
        home=replace(offer.home, sector=placement.home.sector),
    )
    here = fitting(placement, offer, given_parameters)
    there = fitting(mirrored_placement, mirrored_offer, given_parameters)
    assert here.value == there.value
    assert here.explanation.traveller_utility == there.explanation.host_utility
    assert here.explanation.host_utility == there.explanation.traveller_utility
    assert here.explanation.traveller_learns == there.explanation.host_gains


@given(pairs(), parameters)
def test_the_score_is_the_harmonic_mean_in_millionths(
    pair: tuple[OpenPlacement, OpenOffer], given_parameters: Parameters
):
    found = fitting(*pair, given_parameters)
    traveller, host = found.explanation.traveller_utility, found.explanation.host_utility
    assert 0 < min(traveller, host) <= found.value + 1 <= max(traveller, host) + 1 <= 1_000_001
    assert found.value == int(2 * traveller * host / (traveller + host) + 1e-6)


@given(pairs(), st.permutations(SKILLS))
def test_the_order_in_which_things_are_listed_does_not_matter(pair: tuple[OpenPlacement, OpenOffer], order: list[str]):
    placement, offer = pair
    listed = with_terms(offer, skills_taught=tuple(sorted(offer.terms.skills_taught, key=order.index)))
    assert fitting(placement, listed) == fitting(placement, offer)


def test_everything_that_both_want_is_the_whole():
    placement = open_placement(
        languages=(Spoken(language="en", level=Level.C2),),
        skills_sought=("trade-fairs",),
        skills_brought=("welding",),
        preferred_sectors=("62",),
    )
    offer = open_offer(
        languages=(Spoken(language="en", level=Level.C2),), skills_taught=("trade-fairs",), skills_needed=("welding",)
    )
    assert fitting(placement, offer).value == 1_000_000


def test_a_rare_skill_weighs_more_than_a_common_one():
    rare = replace(PARAMETERS, rarity={**PARAMETERS.rarity, "product-design": 9})
    seeker = open_placement(skills_sought=("product-design", "trade-fairs"))
    designer, exporter = open_offer(skills_taught=("product-design",)), open_offer(skills_taught=("trade-fairs",))
    assert fitting(seeker, designer).value == fitting(seeker, exporter).value
    assert fitting(seeker, designer, rare).value > fitting(seeker, exporter, rare).value


def test_who_serves_one_side_only_scores_below_who_serves_both_half():
    lopsided = fitting(
        open_placement(skills_sought=("aa", "bb"), skills_brought=()),
        open_offer(skills_taught=("aa", "bb"), skills_needed=("cc", "dd")),
    )
    balanced = fitting(
        open_placement(skills_sought=("aa", "bb"), skills_brought=("cc",)),
        open_offer(skills_taught=("aa",), skills_needed=("cc", "dd")),
    )
    assert lopsided.value < balanced.value


def test_a_host_who_needs_nothing_is_judged_by_the_rest():
    teaching_only = fitting(open_placement(), open_offer(skills_needed=()))
    disappointed = fitting(open_placement(), open_offer(skills_needed=("industrial-robotics",)))
    assert teaching_only.explanation.host_utility > disappointed.explanation.host_utility


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"sector": "62"}, {"sector": "61"}),
        ({"sector": "61"}, {"sector": "10"}),
        (
            {"languages": (Spoken(language="en", level=Level.C1),)},
            {"languages": (Spoken(language="en", level=Level.B1),)},
        ),
        ({"window": SPRING}, {"window": Window(first=SPRING.first, last=date(2026, 4, 20))}),
        ({"preferred_sectors": ("62",)}, {"preferred_sectors": ("10",)}),
    ],
    ids=["same division", "same section", "language level", "overlap", "preference"],
)
def test_what_else_raises_the_score(better: dict[str, Any], worse: dict[str, Any]):
    assert fitting(open_placement(), open_offer(**better)).value > fitting(open_placement(), open_offer(**worse)).value


def test_the_explanation_says_what_both_get_and_how_they_talk():
    found = fitting(
        open_placement(
            languages=(Spoken(language="en", level=Level.B1), Spoken(language="es", level=Level.B2)),
            skills_sought=("trade-fairs", "product-design"),
            skills_brought=("welding", "data-protection"),
            max_days=40,
        ),
        open_offer(
            languages=(Spoken(language="en", level=Level.C2), Spoken(language="es", level=Level.C2)),
            window=Window(first=date(2026, 4, 20), last=date(2026, 5, 19)),
            skills_taught=("trade-fairs",),
            skills_needed=("welding", "industrial-robotics"),
            min_days=20,
            max_days=62,
        ),
    )
    explanation = found.explanation
    assert (explanation.traveller_learns, explanation.host_gains) == (("trade-fairs",), ("welding",))
    assert (explanation.language, explanation.language_level) == ("es", Level.B2)
    assert explanation.overlap_days == found.window.days == 30
    assert (found.min_days, found.max_days) == (20, 30)
    assert (found.training.direction, found.training.skills) == (TrainingDirection.TRAVELLER, ("trade-fairs",))


def test_when_the_traveller_learns_nothing_the_hosts_staff_does():
    found = fitting(open_placement(skills_sought=()), open_offer())
    assert (found.training.direction, found.training.skills) == (TrainingDirection.HOST_STAFF, ("welding",))


def test_a_long_list_of_skills_is_explained_by_the_weightiest():
    many = tuple(f"skill-{number:03}" for number in range(100))
    rarity = {**dict.fromkeys(many, 1), "skill-077": 5}
    found = fitting(
        open_placement(skills_sought=many), open_offer(skills_taught=many), replace(PARAMETERS, rarity=rarity)
    )
    assert len(found.explanation.traveller_learns) == EXPLAINED_SKILLS
    assert found.explanation.traveller_learns[:2] == ("skill-077", "skill-000")


def test_a_sentence_says_what_both_get_how_they_talk_and_when():
    found = fitting(
        open_placement(skills_sought=("trade-fairs", "product-design"), skills_brought=("welding",)),
        open_offer(skills_taught=("trade-fairs", "product-design"), skills_needed=("welding",)),
    )
    labels = {"trade-fairs": "selling at fairs", "product-design": "design", "welding": "welding"}
    assert sentence(found, labels.__getitem__) == (
        "The traveller can learn design and selling at fairs. The host gains welding."
        " Both speak EN at C1 or better, and 91 days between 2026-04-01 and 2026-06-30 suit both."
    )


def test_a_related_skill_covers_a_wish_in_part_and_trains_when_it_is_near_enough():
    near = replace(PARAMETERS, related={"welding": {"trade-fairs": 80, "payroll": 25}})

    def hosted(sought: tuple[str, ...], *taught: str) -> Score | None:
        seeker = open_placement(skills_sought=sought, skills_brought=())
        return score(seeker, open_offer(skills_taught=taught, skills_needed=()), near)

    exact, narrower = hosted(("welding",), "welding"), hosted(("welding",), "trade-fairs")
    assert exact is not None
    assert narrower is not None
    assert exact.value > narrower.value
    assert narrower.explanation.traveller_learns == narrower.training.skills == ("trade-fairs",)
    assert hosted(("welding",), "payroll") is None, "a sibling alone trains nobody"
    helped, alone = hosted(("welding", "brewing"), "brewing", "payroll"), hosted(("welding", "brewing"), "brewing")
    assert helped is not None
    assert alone is not None
    assert helped.value > alone.value, "but it adds to the score"
    assert helped.explanation.traveller_learns == ("brewing",)
