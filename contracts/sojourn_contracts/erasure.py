"""Events about an erasure: registration asks that a person or a company be forgotten, the others say when they have.

An erasure has an id of its own, which is the key. Under the id of who is erased, the tombstones that go with it might overtake
the request, and what comes after a tombstone has no effect.
"""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import Code


class ErasureRequested(Event):
    """A person or a company is erased: whoever keeps anything about it forgets it, and says so by ErasureDone."""

    key: ClassVar[str] = "erasure_id"
    erases: ClassVar[str | None] = "erased_id"

    erasure_id: UUID
    erased_id: UUID
    """Of the person or the company. A company's people are erased by requests of their own."""
    kind: Code
    """Of whom the id is. Known codes: ``person``, ``company``."""
    requested_at: AwareDatetime


class ErasureDone(Event):
    """One service has forgotten a person or a company: in its state, in its log, and by tombstones on its topics.

    Said once it was looked up that no table of the service holds the id any more but where it stands bare, so that an older event
    cannot bring back what it is about.
    """

    key: ClassVar[str] = "erasure_id"

    erasure_id: UUID
    """Of the request; each service answers it once."""
    erased_id: UUID
    kind: Code
    """As requested."""
    done_by: Code
    """The service. Known codes: ``matching``, ``exchange``, ``survey``."""
    done_at: AwareDatetime
