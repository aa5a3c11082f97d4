"""What every event is: a subject's full state at a moment, validated, with unknown fields kept."""

from typing import ClassVar
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
