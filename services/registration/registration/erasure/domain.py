"""Forgetting somebody: who asks for it, and which services have to say that they did."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sojourn_contracts import catalogue
from sojourn_contracts.erasure import ErasureRequested
from sojourn_contracts.event import Event
from sojourn_contracts.refusal import Refused

SERVICES = catalogue.SERVICES
"""All of them hold something on people and companies, and all of them answer."""


class Kind(StrEnum):
    """Who is forgotten."""

    PERSON = "person"
    COMPANY = "company"


@dataclass(frozen=True)
class Erasure:
    """One request, and who has done it so far. It knows the bare id of who is forgotten, and nothing else of them."""

    erasure_id: UUID
    kind: Kind
    erased_id: UUID
    requested_at: datetime
    answers: Mapping[str, datetime]
    """Service to when it had forgotten, as it said itself."""

    @property
    def outstanding(self) -> list[str]:
        """Services that have not said that they forgot."""
        return [service for service in SERVICES if service not in self.answers]

    @property
    def done_at(self) -> datetime | None:
        return None if self.outstanding else max(self.answers.values())

    def age(self, now: datetime) -> timedelta:
        """How long it took, or takes so far."""
        return (self.done_at or now) - self.requested_at


def request(erasure_id: UUID, kind: Kind, whom: UUID, now: datetime) -> tuple[Erasure, list[Event]]:
    """From now on, everybody has to forget them."""
    asked = Erasure(erasure_id, kind, whom, now, {})
    return asked, [ErasureRequested(erasure_id=erasure_id, erased_id=whom, kind=kind, requested_at=now)]


def answered(erasure: Erasure, service: str, at: datetime) -> Erasure:
    """A service has forgotten them; its first answer counts."""
    return replace(erasure, answers={service: at, **erasure.answers})


def require_another_admin(others: int, in_the_programme: bool) -> None:
    """Somebody has to speak for a company in the programme.

    Raises:
        Refused: ``last_admin``, they are the only one who can.
    """
    if in_the_programme and not others:
        raise Refused(
            "last_admin",
            "Nobody else could speak for the company: make another admin first, or have it leave the programme",
        )
