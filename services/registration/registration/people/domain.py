"""The people behind companies: who speaks for one, and who travels. Their names and addresses are known nowhere else."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


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
