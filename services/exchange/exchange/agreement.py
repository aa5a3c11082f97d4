"""What traveller, sender and host sign: the dates, the training and the allowance of one stay, in versions.

Pure, as the domain is.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from datetime import date

from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import Party, Training

from exchange.allowances import allowance_cents


@dataclass(frozen=True)
class Terms:
    """What one of the companies puts forward."""

    first_day: date
    last_day: date
    training: Training

    @property
    def days(self) -> int:
        """Calendar days, first and last included."""
        return (self.last_day - self.first_day).days + 1


@dataclass(frozen=True)
class Agreement:
    """One version. The allowance is the one at the rates of the day it was drafted."""

    version: int
    terms: Terms
    allowance_cents: int
    signed_by: tuple[Party, ...] = ()

    @property
    def signed_by_all(self) -> bool:
        return len(self.signed_by) == len(Party)


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


def draft(
    match: MatchProposed, before: Agreement | None, terms: Terms, skills: Container[str], today: date
) -> Agreement:
    """The next version, which nobody has signed yet; ``skills`` are those of the taxonomy in force.

    Raises:
        WrongTerms: with every fault there is.
    """
    faults = (*_wrong_days(match, terms, today), *_wrong_training(terms.training, skills))
    if faults:
        raise WrongTerms(faults)
    return Agreement(
        version=before.version + 1 if before else 1,
        terms=terms,
        allowance_cents=allowance_cents(match.host_country, terms.days),
    )


def sign(agreement: Agreement, by: Party) -> Agreement:
    """The same version with one signature more."""
    return replace(agreement, signed_by=tuple(party for party in Party if party is by or party in agreement.signed_by))


def _wrong_days(match: MatchProposed, terms: Terms, today: date) -> Iterator[Fault]:
    window = match.window
    allowed = f"{max(window.first, today)} to {window.last}"
    if terms.first_day < today:
        yield Fault("first_day", "lies in the past", allowed)
    elif not window.first <= terms.first_day <= window.last:
        yield Fault("first_day", "lies outside the window of the match", allowed)
    if terms.last_day < terms.first_day:
        yield Fault("last_day", "lies before the first day", allowed)
        return
    if not window.first <= terms.last_day <= window.last:
        yield Fault("last_day", "lies outside the window of the match", allowed)
    if not match.min_days <= terms.days <= match.max_days:
        length = f"{match.min_days} to {match.max_days} days, first and last included"
        yield Fault("last_day", f"makes a stay of {terms.days} days", length)


def _wrong_training(training: Training, skills: Container[str]) -> Iterator[Fault]:
    if not training.skills:
        yield Fault("training.skills", "is empty: every stay includes training", "at least one skill of the taxonomy")
    for index, skill in enumerate(training.skills):
        if skill not in skills:
            yield Fault(f"training.skills.{index}", "is not a skill of the taxonomy", "an id that registration lists")
