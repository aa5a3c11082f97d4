"""A questionnaire: what is asked of whom in which wave, what an answer's code means, and which answers make an indicator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from sojourn_contracts.vocabulary import Party

END_OF_STAY, SIX_MONTHS_LATER = 1, 2
"""Waves."""
LANGUAGES = ("en", "it", "de", "fr")
DECLINED, DONT_KNOW, NOT_APPLICABLE = "97", "98", "99"
"""Missing codes: the same in every version, whatever their labels say."""

Texts = Mapping[str, str]
"""Language to text; every language of the questionnaire is there."""


class Kind(StrEnum):
    """How a question is answered."""

    SCALE = "scale"
    """By one of ordered codes."""
    CHOICE = "choice"
    """By one of codes without an order."""
    TEXT = "text"
    """In one's own words, which never leave the service."""


@dataclass(frozen=True)
class Routing:
    """A question that is asked only of those who gave one of these answers to an earlier one."""

    question: str
    answers: frozenset[str]


@dataclass(frozen=True)
class Question:
    """One question, the same in every language. What is asked again in another wave has its code again, in other words."""

    code: str
    kind: Kind
    texts: Texts
    codes: Mapping[str, Texts]
    """Answer code to label, in the order in which they are shown, missing codes last; empty for free text."""
    missing: frozenset[str]
    """Codes that are no valid answer (don't know, not applicable, declined): counted apart."""
    base: frozenset[Party]
    """Who is asked."""
    waves: frozenset[int]
    routing: Routing | None = None
    required: bool = True
    """An answer may still be a missing code."""


@dataclass(frozen=True)
class Indicator:
    """A share of the valid answers to a question."""

    code: str
    question: str
    favourable: frozenset[str]
    """The top two of a five-point scale, or yes."""
    texts: Texts
    """What it says, as a short phrase."""
    pilot: float | None = None
    """What MobiliseSME, the pilot of 2016-17, reported, from 0 to 1; it gave no base."""


@dataclass(frozen=True)
class Questionnaire:
    """A version; once published it never changes."""

    version: str
    published_on: date
    title: Texts
    questions: tuple[Question, ...]
    indicators: tuple[Indicator, ...] = field(default=())

    def question(self, code: str) -> Question:
        """As it is asked first: its codes, and which of them are missing, are the same in every wave.

        Raises:
            KeyError: there is none.
        """
        return next((each for each in self.questions if each.code == code), None) or _unknown(code)

    def waves(self, code: str) -> tuple[int, ...]:
        """In which a question is asked, in their order."""
        return tuple(sorted({wave for each in self.questions if each.code == code for wave in each.waves}))

    def asked(self, party: Party, wave: int) -> tuple[Question, ...]:
        """What a party may be asked in a wave, in order; routing is not looked at."""
        return tuple(each for each in self.questions if party in each.base and wave in each.waves)


def _unknown(code: str) -> Question:
    raise KeyError(code)
