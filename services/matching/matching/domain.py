"""Who fits whom, and how well: hard constraints that must all hold, then a score that weighs what both sides get.

Everything is integer arithmetic, so that equal inputs give equal scores on every machine and in every replay.
"""

from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Mapping
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

WHOLE_PERCENT = 100

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
    """A placement on the market, with what its company adds and what earlier matches say of it."""

    terms: Placement
    home: Home
    taken: bool = False
    """It has a live match, or was completed with one."""
    met: frozenset[UUID] = frozenset()
    """Offers that it was matched with before, which came to nothing."""

    @property
    def id(self) -> UUID:
        return self.terms.placement_id


@dataclass(frozen=True)
class OpenOffer:
    """A hosting offer on the market, with what its company adds and what earlier matches say of it."""

    terms: HostingOffer
    home: Home
    held: int = 0
    """Places that live matches hold."""

    @property
    def id(self) -> UUID:
        return self.terms.offer_id


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

    today: date
    """Days before it are over: they are not shared by anybody."""
    rarity: Mapping[Skill, int]
    """The weight of every skill of the taxonomy, positive, in any one unit; frozen, since a live one would change every score.
    A skill that is not there counts for nothing, on either side."""
    related: Mapping[Skill, Mapping[Skill, int]] = field(default_factory=dict[Skill, Mapping[Skill, int]])
    """To a skill that is wished for, the others that cover it in part, each by so many percent."""
    weights: Weights = Weights()
    trains_from: int = 50
    """Percent: a skill that covers a wish by so much trains who wishes; one that covers it by less only adds to the score."""

    def nearness(self, wished: Skill, provided: Skill) -> int:
        """Percent of a wished skill that a provided one covers: a hundred by itself."""
        return WHOLE_PERCENT if wished == provided else self.related.get(wished, {}).get(provided, 0)


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
class _Gain:
    """What one side gets out of the skills of the other."""

    coverage: int | None
    """Millionths of its wishes, rare skills weighing more; None when it wishes for nothing that the taxonomy knows."""
    trained: tuple[Skill, ...]
    """Skills of the other that train it, the weightiest first."""


@dataclass(frozen=True)
class _Common:
    """What a placement and an offer have in common."""

    window: Window | None
    shortest: int
    longest: int
    language: Spoken | None
    traveller: _Gain
    host: _Gain


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


def obstacle(placement: OpenPlacement, offer: OpenOffer, parameters: Parameters) -> Obstacle | None:
    """The first hard constraint that the pair breaks, or None: then it may be proposed."""
    return _obstacle(placement, offer, _common(placement.terms, offer.terms, parameters))


def score(placement: OpenPlacement, offer: OpenOffer, parameters: Parameters) -> Score | None:
    """How well the pair fits, in millionths, or None if a hard constraint forbids it.

    The harmonic mean of both sides' utilities: a pair that serves one side only scores low. It never falls when either side's
    wishes are covered better.
    """
    common = _common(placement.terms, offer.terms, parameters)
    if _obstacle(placement, offer, common) or common.window is None or common.language is None:
        return None
    weights = parameters.weights
    shared = [
        (weights.sector, _affinity(placement.home.sector, offer.home.sector)),
        (weights.level, common.language.level.rank * WHOLE // Level.C2.rank),
        (weights.overlap, min(common.window.days, common.longest) * WHOLE // common.longest),
    ]
    traveller = _utility(
        (weights.coverage, common.traveller.coverage),
        (weights.preference, _liking(placement.terms.preferred_sectors, offer.home.sector)),
        *shared,
    )
    host = _utility(
        (weights.coverage, common.host.coverage),
        (weights.preference, _liking(offer.terms.preferred_sectors, placement.home.sector)),
        *shared,
    )
    learns, gains = common.traveller.trained[:EXPLAINED_SKILLS], common.host.trained[:EXPLAINED_SKILLS]
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


def sentence(fit: Score, label: Callable[[Skill], str]) -> str:
    """The explanation in words, in English; ``label`` names a skill."""
    explanation, told = fit.explanation, list[str]()
    if explanation.traveller_learns:
        told.append(f"The traveller can learn {_listed(map(label, explanation.traveller_learns))}.")
    if explanation.host_gains:
        told.append(f"The host gains {_listed(map(label, explanation.host_gains))}.")
    told.append(
        f"Both speak {explanation.language.upper()} at {explanation.language_level} or better,"
        f" and {explanation.overlap_days} days between {fit.window.first} and {fit.window.last} suit both."
    )
    return " ".join(told)


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _obstacle(placement: OpenPlacement, offer: OpenOffer, common: _Common) -> Obstacle | None:
    constraints = {
        Obstacle.SAME_COUNTRY: placement.home.country != offer.home.country,
        Obstacle.DESTINATION: offer.home.country in placement.terms.destinations,
        Obstacle.LANGUAGE: common.language is not None,
        Obstacle.WINDOW: common.window is not None and common.window.days >= MIN_STAY_DAYS,
        Obstacle.LENGTH: common.window is not None and common.shortest <= min(common.longest, common.window.days),
        Obstacle.TRAINING: bool(common.traveller.trained or common.host.trained),
        Obstacle.TAKEN: not placement.taken,
        Obstacle.CAPACITY: offer.held < offer.terms.capacity,
        Obstacle.MET: offer.terms.offer_id not in placement.met,
    }
    return next((name for name, holds in constraints.items() if not holds), None)


def _common(placement: Placement, offer: HostingOffer, parameters: Parameters) -> _Common:
    first = max(placement.window.first, offer.window.first, parameters.today)
    last = min(placement.window.last, offer.window.last)
    return _Common(
        window=Window(first=first, last=last) if first <= last else None,
        shortest=max(placement.min_days, offer.min_days),
        longest=min(placement.max_days, offer.max_days),
        language=_best_language(placement.languages, offer.languages),
        traveller=_gain(placement.skills_sought, offer.skills_taught, parameters),
        host=_gain(offer.skills_needed, placement.skills_brought, parameters),
    )


def _gain(wishes: Iterable[Skill], provided: Iterable[Skill], parameters: Parameters) -> _Gain:
    """Each wish is covered by the skill that comes nearest to it; of equally near ones by the first in the alphabet."""
    wished = sorted(parameters.rarity.keys() & set(wishes))
    gives = sorted(parameters.rarity.keys() & set(provided))
    whole = sum(parameters.rarity[skill] for skill in wished)
    covered, trained = 0, dict[Skill, int]()
    for wish in wished:
        nearest = max(gives, key=lambda skill: parameters.nearness(wish, skill), default=wish)
        near = parameters.nearness(wish, nearest) if gives else 0
        covered += parameters.rarity[wish] * near
        if near >= parameters.trains_from:
            trained[nearest] = trained.get(nearest, 0) + parameters.rarity[wish] * near
    return _Gain(
        coverage=covered * WHOLE // (WHOLE_PERCENT * whole) if whole else None,
        trained=tuple(sorted(trained, key=lambda skill: (-trained[skill], skill))),
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


def _liking(preferred: Collection[Sector], sector: Sector) -> int | None:
    return WHOLE * (sector in preferred) if preferred else None


def _affinity(one: Sector, other: Sector) -> int:
    """Whole within a NACE division, half within a section."""
    if one == other:
        return WHOLE
    return WHOLE // 2 if section(one) == section(other) else 0


def section(sector: Sector) -> int:
    """Of NACE Rev. 2.1: A is 1, V is 22; 0 for a code below the first division."""
    return bisect(_SECTION_STARTS, int(sector))
