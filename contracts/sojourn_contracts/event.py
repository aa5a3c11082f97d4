"""What every event is: a subject's full state at a moment, validated, with unknown fields kept."""

from collections.abc import Set
from typing import ClassVar, Self
from uuid import UUID

from sojourn_contracts.vocabulary import Part


class Event(Part):
    """One thing that happened, in the past tense, as full state and never as a difference.

    The topic is the class's name; ``ce_type`` adds the major version, ``ce_dataschema`` the minor one.
    """

    major: ClassVar[int] = 1
    minor: ClassVar[int] = 0
    key: ClassVar[str]
    """Name of the field that holds the subject's id, which is the record's key."""
    parties: ClassVar[tuple[str, ...]] = ()
    """Names of the fields with ids of people and companies who are at it, beside the subject."""
    erases: ClassVar[str | None] = None
    """Name of the field with the id of who is to be forgotten by this event; None in all others."""

    @classmethod
    def topic(cls) -> str:
        """The topic's name: the event's, and from the second major version on with it, as in ``CompanyUpdated.v2``."""
        return cls.__name__ if cls.major == 1 else f"{cls.__name__}.v{cls.major}"

    @classmethod
    def type(cls) -> str:
        """The CloudEvents type, as in ``CompanyUpdated.v1``."""
        return f"{cls.__name__}.v{cls.major}"

    @classmethod
    def dataschema(cls) -> str:
        """The CloudEvents dataschema, which carries the minor version."""
        return f"urn:sojourn:schema:{cls.__name__}:{cls.major}.{cls.minor}"

    @property
    def subject(self) -> UUID:
        """The id of what the event is about."""
        return getattr(self, self.key)

    def named(self) -> set[UUID]:
        """The ids of all that the event is about: its subject, and the people and companies that it names."""
        return {self.subject, *(getattr(self, party) for party in self.parties)}

    def without(self, erased: Set[UUID]) -> Self | None:
        """What may still be known of it when these are erased: None if it is about one of them."""
        return self if erased.isdisjoint(self.named()) else None
