"""What a link in an e-mail is good for, and whose session it opens."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sojourn_contracts.refusal import NotYours

from registration.people.domain import Addressee, Person


class Purpose(StrEnum):
    """Why a link was sent. Any of them opens a session: who uses it reads mail at the address that it went to."""

    SIGN_IN = "sign_in"
    INVITATION = "invitation"
    ADDRESS = "address"
    """To a new address, which is the person's once the link is used."""


LIFE = {
    Purpose.SIGN_IN: timedelta(minutes=15),
    Purpose.INVITATION: timedelta(days=7),
    Purpose.ADDRESS: timedelta(minutes=15),
}


@dataclass(frozen=True)
class Link:
    """A link that goes to one address, for one person, to be used once."""

    link_id: UUID
    person_id: UUID
    purpose: Purpose
    email: str


def confirmed(link: Link, person: Person) -> Addressee | None:
    """Where the person is written to once they have used the link.

    None where it went to an address that is theirs no longer, and was not sent to make it theirs: who reads mail there may be
    somebody else by now.
    """
    here = person.addressee
    if link.purpose is Purpose.ADDRESS:
        return Addressee(here.name, link.email, here.reads)
    return here if link.email == here.email else None


@dataclass(frozen=True)
class StaffPart:
    """What somebody whom an OpenID provider knows does in the programme."""

    role: str
    country: str | None
    """ISO 3166-1 alpha-2, of a contact point."""


CONTACT_POINT = "contact_point"


def staff_part(
    said: Collection[str], country: str | None, roles: Mapping[str, str], countries: Collection[str]
) -> StaffPart:
    """What somebody does, by what their provider says of them; of several roles, the first in the order of the settings.

    ``roles``: the provider's name to ours. ``countries``: those of the programme.

    Raises:
        NotYours: ``no_role``, nothing that was said is a role here; ``no_country``, a contact point without one.
    """
    role = next((ours for theirs, ours in roles.items() if theirs in said), None)
    if role is None:
        raise NotYours("no_role", "Your organisation's sign-in gives you no role in the programme")
    if role != CONTACT_POINT:
        return StaffPart(role, None)
    if country not in countries:
        raise NotYours("no_country", "Your organisation's sign-in names no country of the programme for you")
    return StaffPart(role, country)


@dataclass(frozen=True)
class Session:
    """One sign-in on one device: the family of all refresh tokens that descend from it."""

    session_id: UUID
    subject: UUID
    """A person's id; of staff, an id made of what their provider calls them."""
    staff: StaffPart | None = None
    """None for somebody of a company."""
