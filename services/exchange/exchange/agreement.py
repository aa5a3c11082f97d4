"""What traveller, sender and host sign: the learning agreement of one stay, in versions.

A version never changes what it says; any change is the next version, and what was signed, approved or sent back under an
earlier one stays with that one. Its texts are free and may name people: they stay in this service, and no event or log has
them. Pure, as the domain is.
"""

import hashlib
import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from uuid import UUID

from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import MAX_STAY_DAYS, MIN_STAY_DAYS, Country, Party, Side, Training, TrainingDirection

from exchange.allowances import Rates

MIN_PART_DAYS = 7
"""Of a stay that is split: Erasmus for Young Entrepreneurs asks for a week at least."""
LONGEST_SPAN = timedelta(days=365)
"""From the first day of the first part to the last day of the last one: twelve months, as there."""


@dataclass(frozen=True, order=True)
class Part:
    """Days that belong together: a stay has one part, or several with days at home between them."""

    first_day: date
    last_day: date

    @property
    def days(self) -> int:
        """Calendar days, first and last included."""
        return (self.last_day - self.first_day).days + 1


class Giver(StrEnum):
    """Who gives a training."""

    HOST = "host"
    TRAVELLER = "traveller"
    OUTSIDE = "outside"
    """A trainer who belongs to neither company."""


@dataclass(frozen=True)
class Item:
    """One training: what is taught, to whom, by whom, and for how many hours in all."""

    learner: TrainingDirection
    skills: tuple[str, ...]
    """Ids of the taxonomy."""
    hours: int
    given_by: Giver


@dataclass(frozen=True)
class Insurance:
    """Who sees to each insurance."""

    health: Party
    accident: Party
    liability: Party


@dataclass(frozen=True)
class Terms:
    """What one of the companies puts forward."""

    parts: tuple[Part, ...]
    """In their order; at least one."""
    training: tuple[Item, ...]
    goals: str
    tasks: tuple[str, ...]
    working_language: str
    """ISO 639-1."""
    workplace: str
    supervision: str
    insurance: Insurance

    @property
    def first_day(self) -> date:
        return self.parts[0].first_day

    @property
    def last_day(self) -> date:
        return self.parts[-1].last_day

    @property
    def days(self) -> int:
        """Calendar days of all parts."""
        return sum(part.days for part in self.parts)

    @property
    def each_day(self) -> tuple[date, ...]:
        """The days of all parts."""
        return tuple(part.first_day + timedelta(days=ahead) for part in self.parts for ahead in range(part.days))

    @property
    def directions(self) -> tuple[TrainingDirection, ...]:
        """Who learns: the traveller, the host's staff, or both."""
        return tuple(one for one in TrainingDirection if any(item.learner is one for item in self.training))

    @property
    def summary(self) -> Training:
        """As events have it: all skills, and the direction that most hours go in (the traveller's, if they are equal)."""
        hours = dict.fromkeys(TrainingDirection, 0)
        for item in self.training:
            hours[item.learner] += item.hours
        skills = dict.fromkeys(skill for item in self.training for skill in item.skills)
        return Training(direction=max(TrainingDirection, key=lambda one: hours[one]), skills=tuple(skills))


@dataclass(frozen=True)
class Signature:
    """Who signed, when, and what: the hash is that of the version's content."""

    by: Party
    signed_at: datetime
    content_hash: str
    person_id: UUID | None = None
    """Who signed for the party, where the token says it."""


@dataclass(frozen=True)
class Review:
    """What the contact point of a country said about a version that all had signed."""

    country: Country
    approved: bool
    reviewed_at: datetime
    remarks: str = ""
    """Why it was sent back."""


@dataclass(frozen=True)
class Agreement:
    """One version, with all that was said about it."""

    exchange_id: UUID
    version: int
    """From 1 on."""
    terms: Terms
    allowance_cents: int
    """EUR cents for the whole stay, at the rates of the day it was drafted."""
    drafted_by: Side
    drafted_at: datetime
    validated_by: tuple[Country, ...] = ()
    """Countries whose contact points have to approve it once all have signed; settled when it was drafted."""
    signatures: tuple[Signature, ...] = ()
    """In the order in which they were given."""
    reviews: tuple[Review, ...] = ()

    @property
    def signed_by(self) -> tuple[Party, ...]:
        return tuple(party for party in Party if any(signature.by is party for signature in self.signatures))

    @property
    def signed_by_all(self) -> bool:
        return len(self.signed_by) == len(Party)

    @property
    def sent_back_by(self) -> Country | None:
        """The country whose contact point wants another version."""
        return next((review.country for review in self.reviews if not review.approved), None)

    @property
    def sent_back(self) -> bool:
        """A contact point wants another version: nobody can sign or approve this one any more."""
        return self.sent_back_by is not None

    @property
    def awaits(self) -> tuple[Country, ...]:
        """Countries whose contact points have not approved it yet."""
        approved = {review.country for review in self.reviews if review.approved}
        return tuple(country for country in self.validated_by if country not in approved)

    @property
    def concluded(self) -> bool:
        """Signed by all three, and approved wherever that is asked for."""
        return self.signed_by_all and not self.awaits and not self.sent_back


def content_hash(version: Agreement) -> str:
    """SHA-256 of what is signed, in hexadecimal: the exchange's id, the version, its terms and its allowance.

    Hashed are the UTF-8 bytes of a JSON object whose members are ``exchange_id``, ``version``, ``terms`` and
    ``allowance_cents``, named as here at every depth; keys sorted, no spaces, nothing escaped but what JSON must; days as
    ``YYYY-MM-DD``, ids in their usual form, codes as they are.
    """
    signed = {
        "exchange_id": version.exchange_id,
        "version": version.version,
        "terms": asdict(version.terms),
        "allowance_cents": version.allowance_cents,
    }
    canonical = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Fault:
    """A field of the terms that cannot stand, and what could."""

    path: str
    detail: str
    allowed: str


class WrongTerms(Refused):
    """The terms break rules of the match or of the programme; all of their faults are named."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("wrong_terms", ", ".join(f"{fault.path} {fault.detail}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True)
class Rules:
    """What an agreement is held to besides its match: from the programme's settings, and the taxonomy in force."""

    skills: Container[str]
    rates: Rates
    validating: Container[Country] = ()
    """Countries whose contact points validate the exchanges that they have a company in."""


def draft(match: MatchProposed, version: int, terms: Terms, rules: Rules, by: Side, now: datetime) -> Agreement:
    """A version that nobody has signed yet; its days and training are checked by ``faults`` or ``amendment_faults``."""
    return Agreement(
        exchange_id=match.match_id,
        version=version,
        terms=terms,
        allowance_cents=rules.rates.allowance_cents(match.host_country, terms.each_day),
        drafted_by=by,
        drafted_at=now,
        validated_by=tuple(one for one in (match.sender_country, match.host_country) if one in rules.validating),
    )


def sign(version: Agreement, by: Party, now: datetime, person_id: UUID | None) -> Agreement:
    """The same version with one signature more."""
    signature = Signature(by, now, content_hash(version), person_id)
    return replace(version, signatures=(*version.signatures, signature))


def review(version: Agreement, country: Country, remarks: str | None, now: datetime) -> Agreement:
    """The same version, approved by one country more, or sent back with remarks."""
    said = Review(country, remarks is None, now, remarks or "")
    return replace(version, reviews=(*version.reviews, said))


def faults(match: MatchProposed, terms: Terms, skills: Container[str], today: date) -> tuple[Fault, ...]:
    """All that is wrong with the terms of a stay that is not agreed yet."""
    allowed = f"{max(match.window.first, today)} to {match.window.last}"
    found = list(_wrong_parts(terms.parts, match.min_days, match.max_days))
    for index, part in enumerate(terms.parts):
        if part.first_day < today:
            found.append(Fault(f"parts.{index}.first_day", "lies in the past", allowed))
        elif not match.window.first <= part.first_day <= match.window.last:
            found.append(Fault(f"parts.{index}.first_day", "lies outside the window of the match", allowed))
        if part.first_day <= part.last_day and not match.window.first <= part.last_day <= match.window.last:
            found.append(Fault(f"parts.{index}.last_day", "lies outside the window of the match", allowed))
    return (*found, *_wrong_training(terms.training, skills))


def amendment_faults(in_force: Terms, terms: Terms, skills: Container[str], today: date) -> tuple[Fault, ...]:
    """All that is wrong with the terms that are to follow those in force.

    What all three agree on may leave the window that the match was made for, by twelve months from the first day at most, and
    exceed the days that were wished for.
    """
    return (
        *_wrong_parts(terms.parts, MIN_STAY_DAYS, MAX_STAY_DAYS),
        *_rewritten(in_force.parts, terms.parts, today),
        *_too_far(in_force.first_day + LONGEST_SPAN, terms.parts),
        *_wrong_training(terms.training, skills),
    )


def overtaken(in_force: Terms | None, terms: Terms, today: date) -> bool:
    """The time for these terms is over: a part of them would have begun before all had signed, or been changed meanwhile."""
    if in_force is None:
        return terms.first_day < today
    return any(_rewritten(in_force.parts, terms.parts, today))


def _wrong_parts(parts: Sequence[Part], min_days: int, max_days: int) -> Iterator[Fault]:
    """Whatever the window: parts are in order, and they and their sum are neither too short nor too long."""
    if not parts:
        yield Fault("parts", "is empty", "at least one part")
        return
    for index, part in enumerate(parts):
        if part.last_day < part.first_day:
            yield Fault(f"parts.{index}.last_day", "lies before the first day", f"{part.first_day} or later")
        elif len(parts) > 1 and part.days < MIN_PART_DAYS:
            short = f"makes a part of {part.days} days"
            yield Fault(f"parts.{index}.last_day", short, f"parts of at least {MIN_PART_DAYS} days")
    for index, (before, part) in enumerate(pairwise(parts), start=1):
        if part.first_day <= before.last_day:
            yield Fault(
                f"parts.{index}.first_day", "lies before the end of the part before", f"after {before.last_day}"
            )
    if parts[-1].last_day - parts[0].first_day > LONGEST_SPAN:
        within = f"{parts[0].first_day + LONGEST_SPAN} or earlier"
        yield Fault(f"parts.{len(parts) - 1}.last_day", "lies more than twelve months after the first day", within)
    days = sum(part.days for part in parts)
    if all(part.days > 0 for part in parts) and not min_days <= days <= max_days:
        length = f"{min_days} to {max_days} days in all, first and last included"
        yield Fault(f"parts.{len(parts) - 1}.last_day", f"makes a stay of {days} days", length)


def _rewritten(in_force: Sequence[Part], parts: Sequence[Part], today: date) -> Iterator[Fault]:
    """What has begun keeps its first day and may only become longer; what has not may not begin in the past."""
    begun = [part for part in in_force if part.first_day <= today]
    for index, before in enumerate(begun):
        after = parts[index] if index < len(parts) else None
        if after is None or after.first_day != before.first_day:
            yield Fault(f"parts.{index}.first_day", "changes a part that has begun", str(before.first_day))
        elif after.last_day < before.last_day or (before.last_day < today and after.last_day != before.last_day):
            or_later = str(before.last_day) if before.last_day < today else f"{before.last_day} or later"
            yield Fault(f"parts.{index}.last_day", "changes days of a part that has begun", or_later)
    for index, part in enumerate(parts[len(begun) :], start=len(begun)):
        if part.first_day < today:
            yield Fault(f"parts.{index}.first_day", "lies in the past", f"{today} or later")


def _too_far(latest: date, parts: Sequence[Part]) -> Iterator[Fault]:
    for index, part in enumerate(parts):
        if part.last_day > latest:
            beyond = "lies more than twelve months after the first day in force"
            yield Fault(f"parts.{index}.last_day", beyond, f"{latest} or earlier")


def _wrong_training(items: Sequence[Item], skills: Container[str]) -> Iterator[Fault]:
    if not items:
        yield Fault("training", "is empty: every stay includes training", "at least one item")
    for index, item in enumerate(items):
        path = f"training.{index}"
        if not item.skills:
            yield Fault(f"{path}.skills", "is empty", "at least one skill of the taxonomy")
        for place, skill in enumerate(item.skills):
            if skill not in skills:
                yield Fault(f"{path}.skills.{place}", "is not a skill of the taxonomy", "an id that registration lists")
        if item.given_by == _LEARNS[item.learner]:
            others = ", ".join(giver for giver in Giver if giver is not item.given_by)
            yield Fault(f"{path}.given_by", "would teach those who learn", others)


_LEARNS = {TrainingDirection.TRAVELLER: Giver.TRAVELLER, TrainingDirection.HOST_STAFF: Giver.HOST}
