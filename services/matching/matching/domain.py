"""Who fits whom, and how well: hard constraints that must all hold, then a score that weighs what both sides get.

Everything is integer arithmetic, so that equal inputs give equal scores on every machine and in every replay.
"""

from bisect import bisect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from uuid import UUID

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, HostingOffer, Placement
from sojourn_contracts.match import Explanation
from sojourn_contracts.vocabulary import (
    MIN_STAY_DAYS,
    Country,
    Language,
    Level,
    Sector,
    Skill,
    Spoken,
    Training,
    TrainingDirection,
    Window,
)

Profile = CompanyRegistered | CompanyUpdated

WHOLE = 1_000_000
"""A share of 1, in the millionths that scores and utilities are counted in."""

EXPLAINED_SKILLS = 20
"""Skills that an explanation names for each side at most, the weightiest; the score counts all of them."""

_SECTION_STARTS = (1, 5, 10, 35, 36, 41, 46, 49, 55, 58, 61, 64, 68, 69, 77, 84, 85, 86, 90, 94, 97, 99)
"""First division of each section of NACE Rev. 2.1, A to V."""


@dataclass(frozen=True)
class Home:
    """The company that a placement or an offer belongs to, as far as a match depends on it."""

    company_id: UUID
    country: Country
    sector: Sector


@dataclass(frozen=True)
class OpenPlacement:
    """A placement on the market, with what its company adds."""

    terms: Placement
    home: Home


@dataclass(frozen=True)
class OpenOffer:
    """A hosting offer on the market, with what its company adds."""

    terms: HostingOffer
    home: Home


@dataclass(frozen=True)
class Standing:
    """What earlier matches say about a placement and an offer."""

    taken: bool = False
    """The placement has a live match, or was completed with one."""
    held: int = 0
    """Places of the offer that live matches hold."""
    met: bool = False
    """These two were matched before, and it came to nothing."""


class Obstacle(StrEnum):
    """A hard constraint that a pair breaks."""

    SAME_COUNTRY = "same_country"
    DESTINATION = "destination"
    LANGUAGE = "language"
    WINDOW = "window"
    LENGTH = "length"
    TRAINING = "training"
    TAKEN = "taken"
    CAPACITY = "capacity"
    MET = "met"


@dataclass(frozen=True)
class Weights:
    """How much each criterion counts in either side's utility; a starting point, equal for both sides."""

    coverage: int = 50
    """Share of the skills wished for that the other side has, rare skills weighing more."""
    sector: int = 15
    level: int = 10
    overlap: int = 15
    preference: int = 10


@dataclass(frozen=True)
class Parameters:
    """What the score depends on besides the pair."""

    weights: Weights = Weights()
    rarity: Mapping[Skill, int] = field(default_factory=dict[Skill, int])
    """Inverse document frequency of skills, in any one positive unit; frozen, since a live one would change every score."""
    rarity_of_others: int = 1
    """Of a skill that the table does not name; in the same unit."""

    def weight(self, skills: Iterable[Skill]) -> int:
        return sum(self.rarity.get(skill, self.rarity_of_others) for skill in skills)


@dataclass(frozen=True)
class Score:
    """How well a pair fits, and what a proposal says about it."""

    value: int
    explanation: Explanation
    window: Window
    min_days: int
    max_days: int
    training: Training


@dataclass(frozen=True)
class _Common:
    """What a placement and an offer have in common."""

    window: Window | None
    shortest: int
    longest: int
    language: Spoken | None
    learns: frozenset[Skill]
    gains: frozenset[Skill]


def placements_of(profile: Profile) -> list[OpenPlacement]:
    """What a company sends, in the order of ids."""
    home = Home(profile.company_id, profile.country, profile.sector)
    return [OpenPlacement(each, home) for each in sorted(profile.placements, key=lambda each: each.placement_id)]


def offers_of(profile: Profile) -> list[OpenOffer]:
    """What a company hosts, in the order of ids; an offer that names no language is hosted in the company's."""
    home = Home(profile.company_id, profile.country, profile.sector)
    return [
        OpenOffer(each.model_copy(update={"languages": each.languages or profile.languages}), home)
        for each in sorted(profile.offers, key=lambda each: each.offer_id)
    ]


def working_languages(spoken: Iterable[Spoken]) -> dict[Language, Level]:
    """The languages that one can work in, B1 or better, each at the best level named."""
    best: dict[Language, Level] = {}
    for each in spoken:
        if each.level.rank >= max(Level.B1.rank, best.get(each.language, Level.A1).rank):
            best[each.language] = each.level
    return best


def obstacle(placement: OpenPlacement, offer: OpenOffer, standing: Standing, today: date) -> Obstacle | None:
    """The first hard constraint that the pair breaks, or None: then it may be proposed."""
    return _obstacle(placement, offer, standing, _common(placement.terms, offer.terms, today))


def score(
    placement: OpenPlacement,
    offer: OpenOffer,
    standing: Standing,
    today: date,
    parameters: Parameters,
) -> Score | None:
    """How well the pair fits, in millionths, or None if a hard constraint forbids it.

    The harmonic mean of both sides' utilities: a pair that serves one side only scores low. It never falls when either side's
    wishes are covered better.
    """
    common = _common(placement.terms, offer.terms, today)
    if _obstacle(placement, offer, standing, common) or common.window is None or common.language is None:
        return None
    mine, theirs, weights = placement.terms, offer.terms, parameters.weights
    shared = [
        (weights.sector, _affinity(placement.home.sector, offer.home.sector)),
        (weights.level, common.language.level.rank * WHOLE // Level.C2.rank),
        (weights.overlap, min(common.window.days, common.longest) * WHOLE // common.longest),
    ]
    traveller = _utility(
        (weights.coverage, _coverage(mine.skills_sought, common.learns, parameters)),
        (weights.preference, _liking(mine.preferred_sectors, offer.home.sector)),
        *shared,
    )
    host = _utility(
        (weights.coverage, _coverage(theirs.skills_needed, common.gains, parameters)),
        (weights.preference, _liking(theirs.preferred_sectors, placement.home.sector)),
        *shared,
    )
    learns, gains = _weightiest(common.learns, parameters), _weightiest(common.gains, parameters)
    return Score(
        value=2 * traveller * host // max(1, traveller + host),
        explanation=Explanation(
            traveller_learns=learns,
            host_gains=gains,
            language=common.language.language,
            language_level=common.language.level,
            overlap_days=common.window.days,
            traveller_utility=traveller,
            host_utility=host,
        ),
        window=common.window,
        min_days=common.shortest,
        max_days=min(common.longest, common.window.days),
        training=Training(direction=TrainingDirection.TRAVELLER, skills=learns)
        if learns
        else Training(direction=TrainingDirection.HOST_STAFF, skills=gains),
    )


def _obstacle(placement: OpenPlacement, offer: OpenOffer, standing: Standing, common: _Common) -> Obstacle | None:
    constraints = {
        Obstacle.SAME_COUNTRY: placement.home.country != offer.home.country,
        Obstacle.DESTINATION: offer.home.country in placement.terms.destinations,
        Obstacle.LANGUAGE: common.language is not None,
        Obstacle.WINDOW: common.window is not None and common.window.days >= MIN_STAY_DAYS,
        Obstacle.LENGTH: common.window is not None and common.shortest <= min(common.longest, common.window.days),
        Obstacle.TRAINING: bool(common.learns or common.gains),
        Obstacle.TAKEN: not standing.taken,
        Obstacle.CAPACITY: standing.held < offer.terms.capacity,
        Obstacle.MET: not standing.met,
    }
    return next((name for name, holds in constraints.items() if not holds), None)


def _common(placement: Placement, offer: HostingOffer, today: date) -> _Common:
    first = max(placement.window.first, offer.window.first, today)
    last = min(placement.window.last, offer.window.last)
    return _Common(
        window=Window(first=first, last=last) if first <= last else None,
        shortest=max(placement.min_days, offer.min_days),
        longest=min(placement.max_days, offer.max_days),
        language=_best_language(placement.languages, offer.languages),
        learns=frozenset(placement.skills_sought).intersection(offer.skills_taught),
        gains=frozenset(offer.skills_needed).intersection(placement.skills_brought),
    )


def _best_language(travellers: Iterable[Spoken], hosts: Iterable[Spoken]) -> Spoken | None:
    """The one in which the weaker of the two is strongest; what ties goes by the alphabet."""
    mine, theirs = working_languages(travellers), working_languages(hosts)
    both = [
        Spoken(language=language, level=min(mine[language], theirs[language], key=lambda level: level.rank))
        for language in sorted(mine.keys() & theirs.keys())
    ]
    return max(both, key=lambda spoken: spoken.level.rank, default=None)


def _utility(*criteria: tuple[int, int | None]) -> int:
    """The weighted mean of what applies: a side that names no skills or sectors is judged by the rest."""
    counted = [(weight, value) for weight, value in criteria if value is not None]
    return sum(weight * value for weight, value in counted) // sum(weight for weight, _ in counted)


def _coverage(wished: Collection[Skill], provided: frozenset[Skill], parameters: Parameters) -> int | None:
    return parameters.weight(provided) * WHOLE // parameters.weight(set(wished)) if wished else None


def _liking(preferred: Collection[Sector], sector: Sector) -> int | None:
    return WHOLE * (sector in preferred) if preferred else None


def _affinity(one: Sector, other: Sector) -> int:
    """Whole within a NACE division, half within a section."""
    if one == other:
        return WHOLE
    return WHOLE // 2 if bisect(_SECTION_STARTS, int(one)) == bisect(_SECTION_STARTS, int(other)) else 0


def _weightiest(skills: frozenset[Skill], parameters: Parameters) -> tuple[Skill, ...]:
    return tuple(sorted(skills, key=lambda skill: (-parameters.weight([skill]), skill))[:EXPLAINED_SKILLS])
