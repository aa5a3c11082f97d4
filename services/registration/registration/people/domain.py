"""The people behind companies: who speaks for one, and who travels. Their names and addresses are known nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from sojourn_contracts.refusal import Refused, Unknown

MOST = 50
"""People who can speak for one company."""


class Reads(StrEnum):
    """The languages in which the programme writes to people."""

    EN = "en"
    IT = "it"
    DE = "de"
    FR = "fr"


@dataclass(frozen=True)
class Addressee:
    """Who is written to, where, and in which language."""

    name: str
    email: str
    reads: Reads


class Part(StrEnum):
    """What somebody does in their company."""

    ADMIN = "admin"
    """Speaks for the company, and invites others to."""
    MEMBER = "member"
    """Speaks for the company."""
    TRAVELLER = "traveller"


@dataclass(frozen=True)
class Person:
    """Somebody in a company. Who travels and speaks for it is two persons, each with an id of its own."""

    person_id: UUID
    company_id: UUID
    part: Part
    addressee: Addressee
    own_words: bool = False
    """They said ``addressee`` themselves. From then on, what their company says of that does not count; it says who travels."""


def invite(speaking: Sequence[Person], invited: Person) -> Person:
    """Somebody who is to speak for a company, beside those who do.

    Raises:
        Refused: ``already_speaks``, somebody with this address does; ``too_many_people``.
    """
    if any(person.addressee.email == invited.addressee.email for person in speaking):
        raise Refused("already_speaks", "Somebody with this address speaks for the company already")
    if len(speaking) >= MOST:
        raise Refused("too_many_people", f"At most {MOST} people speak for a company")
    return invited


def with_part(speaking: Sequence[Person], person_id: UUID, part: Part) -> Person:
    """One of those who speak for a company, in another part.

    Raises:
        Unknown: ``unknown_person``.
        Refused: ``last_admin``, nobody would be left who says who else speaks for the company.
    """
    person = next((person for person in speaking if person.person_id == person_id), None)
    if person is None:
        raise Unknown("unknown_person", "Nobody with this id speaks for the company")
    if part is not Part.ADMIN:
        _require_another_admin(speaking, person)
    return replace(person, part=part)


def remove(speaking: Sequence[Person], person_id: UUID) -> Person | None:
    """Who is to go; None if nobody of this id speaks for the company, or does any more.

    Raises:
        Refused: ``last_admin``.
    """
    person = next((person for person in speaking if person.person_id == person_id), None)
    if person is not None:
        _require_another_admin(speaking, person)
    return person


def _require_another_admin(speaking: Sequence[Person], person: Person) -> None:
    if not any(other.part is Part.ADMIN for other in speaking if other != person):
        raise Refused("last_admin", "A company has an admin; make somebody else one first")
