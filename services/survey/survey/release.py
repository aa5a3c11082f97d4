"""What is released of a submission, and when: the one place that decides what the public sees. As pure as domain.py."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sojourn_contracts.survey import SurveySubmitted

from survey.answering.domain import Invitation
from survey.domain import Company


@dataclass(frozen=True)
class Submission:
    """Answers that wait for their release."""

    invitation: Invitation
    answers: Mapping[str, str]
    company: Company

    @property
    def complete(self) -> bool:
        """Whether the company's dimensions have arrived; its profile may come after the exchange's end."""
        return self.company.profile is not None


def next_release(now: datetime) -> datetime:
    """Midnight, so that the hour of a release says nothing about the hour of an answer."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def releasable(waiting: Sequence[Submission], minimum: int) -> list[Submission]:
    """Several at once or none: a figure that moves by one answer would reveal it."""
    complete = [submission for submission in waiting if submission.complete]
    return complete if len(complete) >= minimum else []


def release(submission: Submission, key: bytes, record_id: UUID, today: date) -> SurveySubmitted:
    """What the public gets to see: no id, the day, coarse dimensions, and hashes that nobody without the key can redo.

    ``key`` is the programme year's, ``record_id`` is random and stands nowhere else.
    """
    invitation, profile = submission.invitation, submission.company.profile
    if profile is None:
        raise ValueError("a submission is not released before its company's dimensions are known")
    return SurveySubmitted(
        record_id=record_id,
        questionnaire=invitation.questionnaire,
        party=invitation.party,
        wave=invitation.wave,
        released_on=today,
        exchange_cluster=cluster(key, "exchange", invitation.exchange_id),
        company_cluster=cluster(key, "company", invitation.company_id),
        country=profile.country,
        sector_section=section(profile.sector),
        size_class=profile.size_class,
        duration_band=duration_band(invitation.days),
        training_direction=invitation.training_direction,
        answers=dict(submission.answers),
    )


def cluster(key: bytes, kind: str, subject: UUID) -> str:
    """HMAC-SHA256, so that equal subjects are seen to be equal and cannot be found by trying ids."""
    return hmac.digest(key, kind.encode() + subject.bytes, "sha256").hex()


def duration_band(days: int) -> str:
    if days <= 30:
        return "14-30"
    return "31-45" if days <= 45 else "46-62"


NO_SECTION = "X"
"""For a division outside NACE Rev. 2.1, whose sections end at V."""

_FIRST_DIVISIONS = "A01 B05 C10 D35 E36 F41 G46 H49 I55 J58 K61 L64 M68 N69 O77 P84 Q85 R86 S90 T94 U97 V99"


def section(division: str) -> str:
    """The NACE Rev. 2.1 section of a division: sections follow each other in the order of their divisions."""
    begun = [first[0] for first in _FIRST_DIVISIONS.split() if first[1:] <= division]
    return begun[-1] if begun else NO_SECTION
