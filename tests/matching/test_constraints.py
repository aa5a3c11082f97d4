"""Each hard constraint by name: a pair that breaks it has no score, however well it fits otherwise."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from matching.domain import Obstacle, OpenOffer, OpenPlacement, obstacle, offers_of, score
from sojourn_contracts.vocabulary import Level, Spoken, Window

from tests.matching.market import ENGLISH, PARAMETERS, SPRING, TODAY, company, offer, open_offer, open_placement


def spoken(*languages: tuple[str, Level]) -> tuple[Spoken, ...]:
    return tuple(Spoken(language=language, level=level) for language, level in languages)


def days(first: date, count: int) -> Window:
    return Window(first=first, last=first + timedelta(days=count - 1))


def broken(placement: OpenPlacement, offer: OpenOffer) -> Obstacle | None:
    """The obstacle; a pair has a score if and only if there is none."""
    found = obstacle(placement, offer, PARAMETERS)
    assert (score(placement, offer, PARAMETERS) is None) == (found is not None)
    return found


def test_the_two_who_fit_have_a_score():
    assert broken(open_placement(), open_offer()) is None


def test_nobody_is_sent_within_a_country():
    assert broken(open_placement(country="ES"), open_offer(country="ES")) is Obstacle.SAME_COUNTRY


def test_nobody_is_sent_where_the_placement_does_not_want_to_go():
    assert broken(open_placement(destinations=("FR",)), open_offer(country="ES")) is Obstacle.DESTINATION


@pytest.mark.parametrize(
    ("travellers", "hosts", "fits"),
    [
        ((("en", Level.B1),), (("en", Level.B1),), True),
        ((("en", Level.A2),), (("en", Level.C2),), False),
        ((("en", Level.C2),), (("en", Level.A2),), False),
        ((("en", Level.C2),), (("es", Level.C2),), False),
        ((("en", Level.A1), ("es", Level.B2)), (("en", Level.C2), ("es", Level.C2)), True),
        ((), (("en", Level.C2),), False),
    ],
)
def test_both_speak_one_language_at_b1_or_better(travellers: Any, hosts: Any, fits: bool):
    found = broken(open_placement(languages=spoken(*travellers)), open_offer(languages=spoken(*hosts)))
    assert found is (None if fits else Obstacle.LANGUAGE)


def test_an_offer_without_languages_is_hosted_in_those_of_its_company():
    [hosted] = offers_of(company("host", "ES", offer(languages=())))
    assert hosted.terms.languages == ENGLISH
    assert broken(open_placement(), hosted) is None


@pytest.mark.parametrize(("shared", "found"), [(14, None), (13, Obstacle.WINDOW), (1, Obstacle.WINDOW)])
def test_the_windows_share_two_weeks(shared: int, found: Obstacle | None):
    later = days(SPRING.last - timedelta(days=shared - 1), 60)
    assert broken(open_placement(), open_offer(window=later)) is found


def test_windows_that_never_meet_do_not_fit():
    assert broken(open_placement(), open_offer(window=days(date(2027, 1, 1), 60))) is Obstacle.WINDOW


def test_days_that_have_passed_are_not_shared():
    passed = days(TODAY - timedelta(days=60), 60 + 13)
    assert broken(open_placement(window=passed), open_offer(window=passed)) is Obstacle.WINDOW
    left = days(TODAY - timedelta(days=60), 60 + 14)
    assert broken(open_placement(window=left), open_offer(window=left)) is None


def test_the_windows_share_the_days_that_both_want_at_least():
    short = days(SPRING.first, 20)
    assert broken(open_placement(window=short, min_days=20), open_offer()) is None
    assert broken(open_placement(window=short, min_days=21), open_offer()) is Obstacle.LENGTH
    assert broken(open_placement(window=short), open_offer(min_days=21)) is Obstacle.LENGTH


def test_there_is_a_length_that_both_accept():
    assert broken(open_placement(max_days=20), open_offer(min_days=21)) is Obstacle.LENGTH
    assert broken(open_placement(min_days=30), open_offer(max_days=30)) is None


@pytest.mark.parametrize(
    ("sought", "taught", "brought", "needed", "fits"),
    [
        (("aa",), ("aa",), (), (), True),
        ((), (), ("bb",), ("bb",), True),
        (("aa",), ("aa",), ("bb",), ("bb",), True),
        (("aa",), ("bb",), ("cc",), ("dd",), False),
        (("aa",), (), (), ("aa",), False),
        ((), ("aa",), ("aa",), (), False),
        ((), (), (), (), False),
    ],
)
def test_somebody_is_trained(sought: Any, taught: Any, brought: Any, needed: Any, fits: bool):
    found = broken(
        open_placement(skills_sought=sought, skills_brought=brought),
        open_offer(skills_taught=taught, skills_needed=needed),
    )
    assert found is (None if fits else Obstacle.TRAINING)


def test_a_placement_has_one_match_at_a_time():
    assert broken(replace(open_placement(), taken=True), open_offer()) is Obstacle.TAKEN


def test_an_offer_holds_no_more_than_its_capacity():
    assert broken(open_placement(), replace(open_offer(capacity=2), held=1)) is None
    assert broken(open_placement(), replace(open_offer(capacity=2), held=2)) is Obstacle.CAPACITY
    assert broken(open_placement(), replace(open_offer(capacity=1), held=2)) is Obstacle.CAPACITY
    assert broken(open_placement(), open_offer(capacity=0)) is Obstacle.CAPACITY


def test_two_who_came_to_nothing_are_not_matched_again():
    other = open_offer()
    assert broken(replace(open_placement(), met=frozenset({other.terms.offer_id})), other) is Obstacle.MET
