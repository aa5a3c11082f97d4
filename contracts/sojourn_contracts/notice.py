"""Events about a notice: a service asks that somebody be told something; registration, which knows the addresses, tells them."""

from typing import Annotated, ClassVar
from uuid import UUID, uuid5

from pydantic import AwareDatetime, Field, StringConstraints

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import Code, Country, Revision

_CONTACT_POINTS = UUID("360a556e-feef-4b66-913f-72e36a01c5bb")


def contact_point(country: Country) -> UUID:
    """The recipient that stands for the contact point of a country: always the same one, and nobody's own id."""
    return uuid5(_CONTACT_POINTS, country)


Parameter = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}$"),
    Field(description="A code, an opaque id, a day, a time or a number; too narrow for an address or a text."),
]


class NoticeDue(Event):
    """Somebody is to be told something: who, by an opaque id, and what, by a template and what fills it in."""

    key: ClassVar[str] = "notice_id"
    parties: ClassVar[tuple[str, ...]] = ("recipient_id",)

    notice_id: UUID
    """Given by the service that asks. Under one id, one notice is sent, however often it is asked for."""
    recipient_id: UUID
    """A person's, a company's for whoever speaks for it, or that of a country's contact point: the UUID of version 5 of its ISO
    3166-1 code in the namespace ``360a556e-feef-4b66-913f-72e36a01c5bb``. Address, name and language, only registration knows.
    """
    template: Code
    """Known codes: ``match_proposed``, ``accepted_by_other``, ``agreement_to_sign``, ``agreement_signed``, ``reminder``,
    ``checklist_reminder``, ``stay_ahead``, ``does_it_fit``, ``does_not_fit``, ``validation_waits``, ``agreement_approved``,
    ``agreement_sent_back``, ``stay_called_off``, ``survey_open``,
    ``survey_open_later``, ``survey_reminder``.
    """
    parameters: dict[Code, Parameter]
    """What fills the template in; never a name, an address or a text. A list is numbered: ``learns_1``, ``learns_2``."""


class NoticeSent(Event):
    """The mail server accepted a notice or refused it. That it was accepted does not say that it arrived.

    A notice for a company is accepted once one mail to those who speak for it was, and refused when none was.
    """

    key: ClassVar[str] = "notice_id"
    parties: ClassVar[tuple[str, ...]] = ("recipient_id",)

    notice_id: UUID
    revision: Revision
    """Rises when an operator has a refused notice sent again."""
    asked_by: Code
    """The service whose NoticeDue this answers. Known codes: ``exchange``, ``survey``."""
    recipient_id: UUID
    template: Code
    outcome: Code
    """Known codes: ``accepted``, ``refused``."""
    reason: Code | None = None
    """Why it was refused. Known codes: ``address_refused``, ``message_refused``, ``recipient_unknown``, ``gave_up``."""
    answered_at: AwareDatetime
