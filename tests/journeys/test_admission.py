"""What the demo says of admissions, and what it would say if an outage of VIES had harmed anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pilot.admission import figures, judged

from tests.journeys.worlds import DECISIONS, VIES, a_decision, a_world, an_id

TURNED_AWAY = "No company was turned away because VIES was out"
OTHERWISE = "Each number was judged by what VIES said of it in the end"
WAITING = "Nobody waits for VIES any more"


def broken(
    decisions: Sequence[dict[str, Any]] = DECISIONS,
    vies: Mapping[str, Sequence[str]] = VIES,
    undecided: Sequence[str] = (),
) -> dict[str, tuple[str, ...]]:
    world = replace(a_world(), decisions=decisions, vies=vies, undecided=undecided)
    return {verdict.invariant: verdict.breaches for verdict in judged(world) if not verdict.holds}


def test_the_figures_tell_what_vies_said_and_which_number_it_could_not_be_asked_about_at_first():
    made = figures(a_world())
    assert made["vat_numbers"] == {
        "valid": 1,
        "invalid": 1,
        "unavailable": 0,
        "unavailable, then valid": 0,
        "unavailable, then invalid": 1,
    }
    assert made["one_person"] == {"with a number": 1, "without, at some time": 0}
    assert made["decisions"] == {"admit by programme": 2, "refer by programme": 1, "send back by contact point": 1}


def test_a_company_that_was_sent_back_for_an_invalid_number_breaks_nothing():
    assert broken() == {}


def test_a_company_that_was_turned_away_for_an_outage_alone_is_told():
    refer = a_decision("late", "refer", "programme", vat_number_registered="/unavailable")
    for command in ("send_back", "reject"):
        (told,) = broken([*DECISIONS, refer, a_decision("late", command, "contact_point")])[TURNED_AWAY]
        assert an_id("late") in told
    assert TURNED_AWAY not in broken([*DECISIONS, refer, a_decision("late", "admit", "contact_point")])


def test_an_outage_excuses_nothing_else():
    found = {"vat_number_registered": "/unavailable", "learning_only_declared": "/not_declared"}
    refer = a_decision("late", "refer", "programme", **found)
    assert TURNED_AWAY not in broken([*DECISIONS, refer, a_decision("late", "send_back", "contact_point")])


def test_a_number_that_was_judged_otherwise_than_vies_said_is_told():
    assert list(broken(vies=VIES | {"DE3": ["VALID"]})) == [OTHERWISE]
    assert list(broken(vies={"DE2": ["VALID"]})) == [OTHERWISE]


def test_a_number_that_was_never_asked_about_again_is_told_without_saying_which():
    (told,) = broken(vies=VIES | {"DE345": ["MS_UNAVAILABLE"]})[WAITING]
    assert "345" not in told


def test_a_company_that_nobody_decides_about_is_told():
    assert list(broken(undecided=["somebody"])) == [WAITING]
