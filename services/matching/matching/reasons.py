"""Why an end has no candidates: what forbids it everybody, and which skills could have trained whom. Pure, like the domain."""

from collections.abc import Iterable

from sojourn_contracts.vocabulary import MIN_STAY_DAYS, Skill

from matching.domain import Obstacle, OpenOffer, OpenPlacement, Parameters, working_languages


def of_itself(end: OpenPlacement | OpenOffer, parameters: Parameters) -> Obstacle | None:
    """What about the end itself leaves nobody, whoever is on the market; None if that depends on the others."""
    terms = end.terms
    days = (terms.window.last - max(terms.window.first, parameters.today)).days + 1
    if isinstance(end, OpenPlacement):
        skills = {*end.terms.skills_sought, *end.terms.skills_brought}
        goes_nowhere = not set(end.terms.destinations) - {end.home.country}
        taken, full = end.taken, False
    else:
        skills = {*end.terms.skills_taught, *end.terms.skills_needed}
        goes_nowhere, taken = False, False
        full = end.held >= end.terms.capacity
    rules = {
        Obstacle.DESTINATION: goes_nowhere,
        Obstacle.LANGUAGE: not working_languages(terms.languages),
        Obstacle.WINDOW: days < MIN_STAY_DAYS,
        Obstacle.LENGTH: days < terms.min_days,
        Obstacle.TRAINING: not skills & parameters.rarity.keys(),
        Obstacle.TAKEN: taken,
        Obstacle.CAPACITY: full,
    }
    return next((obstacle for obstacle, broken in rules.items() if broken), None)


def that_train(wishes: Iterable[Skill], parameters: Parameters) -> list[Skill]:
    """The skills of the other side that train who wishes for these."""
    wished = parameters.rarity.keys() & set(wishes)
    near = {
        provided
        for wish in wished
        for provided, percent in parameters.related.get(wish, {}).items()
        if percent >= parameters.trains_from
    }
    return sorted(wished | (near & parameters.rarity.keys()))


def that_are_trained(provided: Iterable[Skill], parameters: Parameters) -> list[Skill]:
    """The wishes of the other side that somebody with these skills trains."""
    given = parameters.rarity.keys() & set(provided)
    near = {
        wish
        for wish, by in parameters.related.items()
        if any(by.get(skill, 0) >= parameters.trains_from for skill in given)
    }
    return sorted(given | (near & parameters.rarity.keys()))
