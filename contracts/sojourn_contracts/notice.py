"""Events about a notice: a service asks that somebody be told something; registration, which knows the addresses, tells them."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from sojourn_contracts.event import Event
from sojourn_contracts.vocabulary import Revision

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
    """A person's, or a company's for whoever speaks for it. Address, name and language, only registration knows."""
    template: str
    """Known codes: ``match_proposed``, ``accepted_by_other``, ``agreement_to_sign``, ``agreement_signed``, ``reminder``,
    ``checklist_reminder``, ``stay_ahead``, ``survey_open``, ``survey_reminder``.
    """
    parameters: dict[str, Parameter]
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
    asked_by: str
    """The service whose NoticeDue this answers. Known codes: ``exchange``, ``survey``."""
    recipient_id: UUID
    template: str
    outcome: str
    """Known codes: ``accepted``, ``refused``."""
    reason: str | None = None
    """Why it was refused. Known codes: ``address_refused``, ``message_refused``, ``recipient_unknown``, ``gave_up``."""
    answered_at: AwareDatetime
