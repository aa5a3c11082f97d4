"""How companies were admitted: what rules, contact points and the register of VAT numbers said of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pilot.invariants import Verdict, World

REGISTER, ALONE = "vat_number_registered", "one_person_has_a_vat_number"
OUTAGE = "MS_UNAVAILABLE"

Decision = dict[str, Any]
"""A row of registration's chain of decisions."""


def figures(world: World) -> dict[str, dict[str, int]]:
    """Decisions by who made them; companies by what the register said of their numbers; firms of one person."""
    decided = Counter(
        f"{decision['command']} by {decision['who']}" for decision in world.decisions if decision["who"] != "company"
    )
    found = _found(world)
    answers = list(world.vies.values())
    return {
        "decisions": {name.replace("_", " "): count for name, count in sorted(decided.items())},
        "vat_numbers": {
            "valid": found[REGISTER, "valid"],
            "invalid": found[REGISTER, "invalid"],
            "unavailable": found[REGISTER, "unavailable"],
            "unavailable, then valid": sum(_away_at_first(each) and each[-1] == "VALID" for each in answers),
            "unavailable, then invalid": sum(_away_at_first(each) and each[-1] == "INVALID" for each in answers),
        },
        "one_person": {"with a number": found[ALONE, "has_one"], "without, at some time": found[ALONE, "no_number"]},
    }


def judged(world: World) -> list[Verdict]:
    return [
        Verdict("No company was turned away because VIES was out", tuple(_turned_away(world))),
        Verdict("Each number was judged by what VIES said of it in the end", tuple(_judged_otherwise(world))),
        Verdict("Nobody waits for VIES any more", tuple(_waiting(world))),
    ]


def _away_at_first(answers: Sequence[str]) -> bool:
    return answers[0] == OUTAGE


def _found(world: World) -> Counter[tuple[str, str]]:
    """Rule and reason to how many companies it was found of, at whatever time."""
    return Counter(
        (rule, reason)
        for _, rule, reason in {
            (decision["company_id"], finding["rule"], finding["reason"])
            for decision in world.decisions
            for finding in decision["findings"]
        }
    )


def _turned_away(world: World) -> Iterable[str]:
    """A contact point decides about what the rules left open last."""
    open_: dict[str, set[tuple[str, str]]] = {}
    for decision in world.decisions:
        company, command = decision["company_id"], decision["command"]
        if command == "refer":
            open_[company] = {
                (finding["rule"], finding["reason"])
                for finding in decision["findings"]
                if finding["outcome"] == "unclear"
            }
        if command in ("send_back", "reject") and open_.get(company) == {(REGISTER, "unavailable")}:
            yield f"company {company}: {command} on {decision['at']}, and all that was open was its VAT number"


def _judged_otherwise(world: World) -> Iterable[str]:
    found = _found(world)
    said = Counter(answers[-1] for answers in world.vies.values())
    for answer, reason in (("VALID", "valid"), ("INVALID", "invalid")):
        if said[answer] != found[REGISTER, reason]:
            yield f"VIES found {said[answer]} numbers {reason}, but {found[REGISTER, reason]} companies were judged so"


def _waiting(world: World) -> Iterable[str]:
    for number, answers in world.vies.items():
        if answers[-1] == OUTAGE:
            yield f"VIES was out when it was asked about {number[:2]}..., and was not asked again"
    for company in world.undecided:
        yield f"company {company} has submitted something, and neither rules nor a contact point have it"
