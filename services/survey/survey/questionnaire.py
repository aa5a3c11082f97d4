"""The questionnaire as data: what is asked of whom, the codes of the answers, and the answers that make the indicators.

A published version never changes: answers are kept by code, and only its version says what a code means.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sojourn_contracts.vocabulary import Party

VERSION = "2026.1"
END_OF_STAY = 1
"""The wave that is asked when the stay has ended."""

DONT_KNOW = "98"
NOT_APPLICABLE = "99"
MISSING = {DONT_KNOW: "don't know", NOT_APPLICABLE: "not applicable"}
"""Answers that are counted apart and never as valid ones."""

AGREEMENT = {
    "1": "strongly disagree",
    "2": "disagree",
    "3": "neither agree nor disagree",
    "4": "agree",
    "5": "strongly agree",
} | MISSING
RATING = {"1": "very poor", "2": "poor", "3": "fair", "4": "good", "5": "very good"} | MISSING
YES_NO = {"yes": "yes", "no": "no"} | MISSING
DURATION = {"short": "too short", "right": "right", "long": "too long"} | MISSING

COMPANIES = frozenset({Party.SENDER, Party.HOST})
EVERYBODY = frozenset(Party)


@dataclass(frozen=True)
class Question:
    code: str
    text: str
    answers: Mapping[str, str]
    """Answer code to label."""
    asked_of: frozenset[Party]
    required: bool = True
    """An answer may still be that one does not know."""


QUESTIONS = (
    Question(
        "SEND_MATCH",
        "The host's needs and competences were well matched with ours.",
        AGREEMENT,
        frozenset({Party.SENDER}),
    ),
    Question(
        "HOST_MATCH",
        "The traveller's needs and competences were well matched with ours.",
        AGREEMENT,
        frozenset({Party.HOST}),
    ),
    Question("XBORDER", "Our cross-border business will develop thanks to the exchange.", AGREEMENT, COMPANIES),
    Question("NEWPROD", "Will you introduce new products or services thanks to the exchange?", YES_NO, COMPANIES),
    Question(
        "EMP_PROFDEV",
        "The stay contributed to my professional development.",
        AGREEMENT,
        frozenset({Party.TRAVELLER}),
    ),
    Question("OVERALL", "How do you rate the exchange overall?", RATING, EVERYBODY),
    Question("DURATION", "How was the length of the stay?", DURATION, EVERYBODY, required=False),
    Question("BURDEN", "The administrative effort was reasonable.", AGREEMENT, EVERYBODY, required=False),
    Question("REPEAT", "Would you take part again?", YES_NO, EVERYBODY, required=False),
    Question("RECOMMEND", "Would you recommend the programme to others?", YES_NO, EVERYBODY, required=False),
)


def asked(party: Party) -> tuple[Question, ...]:
    """The questions that a party gets at the end of the stay, in their order."""
    return tuple(question for question in QUESTIONS if party in question.asked_of)


@dataclass(frozen=True)
class Indicator:
    """A share of the valid answers to the question of the same code."""

    code: str
    favourable: frozenset[str]
    """The top two of the five-point scale, or yes."""
    pilot: float
    """What MobiliseSME, the pilot of 2016-17, reported; it gave no base."""


TOP_TWO = frozenset({"4", "5"})
INDICATORS = (
    Indicator("SEND_MATCH", TOP_TWO, 0.91),
    Indicator("HOST_MATCH", TOP_TWO, 0.95),
    Indicator("XBORDER", TOP_TWO, 0.90),
    Indicator("NEWPROD", frozenset({"yes"}), 0.75),
    Indicator("EMP_PROFDEV", TOP_TWO, 0.81),
)
