"""What the simulated people choose, as parameters: ASSUMPTIONS, every one of them.

No outcome is forced: who travels follows from these, from the population and from what the system proposes. A choice is
drawn from a source of its own, named by the seed, the subjects and the act; so it does not depend on the order in
which answers arrive, nor on what others chose before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from random import Random
from typing import Any

from pilot.marginals import drawn

FAVOURABLE = frozenset({"4", "5", "yes", "right"})
"""Answer codes that say that all is well."""
NO_OPINION = frozenset({"97", "98", "99"})
"""Answer codes for "prefer not to say", "don't know" and "not applicable"."""
REMARKS = (
    "It went well, and we would do it again.",
    "Somewhat longer would have been better.",
    "The papers took more time than expected.",
    "Finding a place to live was the hardest part.",
)
"""What people write in their own words: made up, as everything else here."""


class Reply(StrEnum):
    """What a company does with a proposal."""

    ACCEPT = "accept"
    DECLINE = "decline"
    SILENCE = "silence"


class Tick(StrEnum):
    """When somebody says that an item of the checklist is done."""

    IN_TIME = "in time"
    LATE = "late"
    NEVER = "never"


@dataclass(frozen=True)
class Parameters:
    """Shares from 0 to 1; days as (least, most likely, most)."""

    reply: Mapping[str, Mapping[Reply, int]] = field(
        default_factory=lambda: {
            "sender": {Reply.ACCEPT: 80, Reply.DECLINE: 13, Reply.SILENCE: 7},
            "host": {Reply.ACCEPT: 78, Reply.DECLINE: 14, Reply.SILENCE: 8},
        }
    )
    days_to_reply: tuple[float, float, float] = (0.1, 2, 7)
    decline_reason: Mapping[str, int] = field(
        default_factory=lambda: {"dates": 40, "skills": 30, "capacity": 15, "other": 15}
    )

    days_to_draft: tuple[float, float, float] = (1, 3, 8)
    days_ahead: int = 14
    """Least days between drafting and leaving: an A1 certificate takes about two weeks."""
    days_to_sign: tuple[float, float, float] = (0.2, 2, 6)
    redraft: float = 0.2
    """The host wants other dates than those drafted."""
    sign_a_stale_version: float = 0.25
    """Somebody signs what was in the mail before last."""
    split: float = 0.15
    """The stay has two parts, where the window has room for a pause between them."""
    both_learn: float = 0.25
    """There is training for the traveller and for the host's staff."""
    send_back: float = 0.15
    """A contact point wants another version than the first one."""
    days_to_validate: tuple[float, float, float] = (0.2, 2, 5)

    tick: Mapping[Tick, int] = field(default_factory=lambda: {Tick.IN_TIME: 78, Tick.LATE: 14, Tick.NEVER: 8})
    """When an item of the checklist is said to be done."""
    days_late: tuple[float, float, float] = (1, 3, 12)

    arrive_late: float = 0.1
    """The traveller arrives on the second day."""
    answer_fit: float = 0.9
    fits: float = 0.92
    interrupt: float = 0.12
    days_interrupted: tuple[float, float, float] = (1, 4, 12)
    end_early: float = 0.06
    extend: float = 0.1
    days_to_acknowledge: tuple[float, float, float] = (0.1, 1, 3)

    cancel: float = 0.08
    cancel_reason: Mapping[str, int] = field(
        default_factory=lambda: {"illness": 35, "business": 30, "dates": 20, "other": 15}
    )
    forget_completion: float = 0.15
    """A side does not confirm the end; the system closes the exchange in the end."""
    days_to_complete: tuple[float, float, float] = (0.3, 3, 14)
    training_hours_a_week: tuple[int, int] = (4, 16)

    answer_survey: Mapping[str, float] = field(default_factory=lambda: {"sender": 0.82, "host": 0.8, "traveller": 0.88})
    days_to_answer: tuple[float, float, float] = (0.2, 4, 12)
    answer_twice: float = 0.1
    """Somebody presses the button again the next day."""
    favourable: Mapping[str, float] = field(
        default_factory=lambda: {"SEND_MATCH": 0.87, "HOST_MATCH": 0.87, "XBORDER": 0.8, "NEWPROD": 0.7}
    )
    """By question code: the share of "agree" or better, or of "yes", among those who have an opinion."""
    favourable_otherwise: float = 0.8
    no_opinion: float = 0.06
    """"Don't know", "not applicable" or "prefer not to say", where they are offered."""
    skip_optional: float = 0.1
    remark: float = 0.25
    """Somebody writes something in their own words, where that is asked for."""
    save_draft: float = 0.15
    """What was answered so far is saved before it is submitted."""
    decline_survey: float = 0.3
    """Of those who do not answer, some say so."""

    draft_with_gaps: float = 0.3
    """A company saves what it has, and looks up its accounts later."""
    days_to_submit: tuple[float, float, float] = (0.1, 1, 4)
    days_to_review: tuple[float, float, float] = (0.5, 2, 6)
    """Until a contact point decides about who the rules do not."""
    days_to_correct: tuple[float, float, float] = (0.5, 2, 8)

    update: float = 0.15
    """A company changes its profile once."""
    erase_traveller: float = 0.15
    """A traveller wants to be forgotten after the stay."""
    erase_company: float = 0.5
    """A company that left wants to be forgotten."""
    days_to_erase: tuple[float, float, float] = (75, 90, 120)
    """Once invitations are closed and everybody has answered."""
    still_interested: float = 0.7
    """A company that is asked after a year says that it still is; the others are silent."""
    offer_again: float = 0.3
    """Such a company also offers its places for another year."""
    days_to_say: tuple[float, float, float] = (0.5, 4, 20)
    withdraw: float = 0.05
    """A company leaves the programme at some time."""
    days_to_change: tuple[float, float, float] = (10, 40, 150)


class Choices:
    """The people of one replay."""

    def __init__(self, seed: int, parameters: Parameters | None = None) -> None:
        self.seed = seed
        self.p = parameters or Parameters()

    def by(self, act: str, *subjects: object) -> Random:
        """The source of one choice."""
        return Random("/".join(map(str, (self.seed, act, *subjects))))

    def happens(self, share: float, act: str, *subjects: object) -> bool:
        return self.by(act, *subjects).random() < share

    def after(self, days: tuple[float, float, float], act: str, *subjects: object) -> timedelta:
        least, likely, most = days
        return timedelta(days=self.by(f"{act} when", *subjects).triangular(least, most, likely))

    def reply(self, exchange_id: str, side: str) -> Reply:
        return drawn(self.p.reply[side], self.by("reply", exchange_id, side))

    def tick(self, exchange_id: str, item: str) -> Tick:
        return drawn(self.p.tick, self.by("tick", exchange_id, item))

    def decline_reason(self, exchange_id: str, side: str) -> str:
        return drawn(self.p.decline_reason, self.by("decline", exchange_id, side))

    def cancel_reason(self, exchange_id: str) -> str:
        return drawn(self.p.cancel_reason, self.by("cancel reason", exchange_id))

    def interrupt_reason(self, exchange_id: str) -> str:
        return self.by("interrupt reason", exchange_id).choice(("illness", "business", "family", "other"))

    def training_hours(self, exchange_id: str, days: int) -> int:
        return max(1, self.by("hours", exchange_id).randint(*self.p.training_hours_a_week) * days // 7)

    def answers(self, invitation_id: str, questions: list[dict[str, Any]]) -> dict[str, str]:
        """Question code to an answer of those that are offered, or to a text; a question that hangs on another comes after it."""
        answers: dict[str, str] = {}
        for question in questions:
            code, asked_if = question["code"], question["asked_if"]
            if asked_if and answers.get(asked_if["question"]) not in asked_if["answers"]:
                continue
            if question["kind"] == "text":
                if self.happens(self.p.remark, "remark", code, invitation_id):
                    answers[code] = self.by("which remark", code, invitation_id).choice(REMARKS)
            elif question["required"] or not self.happens(self.p.skip_optional, "skip", code, invitation_id):
                answers[code] = self._answer(code, list(question["answers"]), invitation_id)
        return answers

    def _answer(self, code: str, offered: list[str], invitation_id: str) -> str:
        by = self.by("answer", code, invitation_id)
        opinions = [answer for answer in offered if answer not in NO_OPINION]
        if len(opinions) < len(offered) and by.random() < self.p.no_opinion:
            return by.choice([answer for answer in offered if answer in NO_OPINION])
        liked = [answer for answer in opinions if answer in FAVOURABLE]
        others = [answer for answer in opinions if answer not in FAVOURABLE]
        content = by.random() < self.p.favourable.get(code, self.p.favourable_otherwise)
        return by.choice(liked if (content and liked) or not others else others)
