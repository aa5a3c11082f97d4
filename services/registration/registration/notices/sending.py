"""The errand that sends a notice's mail to one person, and what comes of it.

A crash loses no mail: the errand is gone only in the transaction that keeps what the server answered. One between the
server's answer and that transaction sends the mail a second time, under the same Message-ID.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from uuid import UUID

from chassis.doors import Errand, Work
from chassis.transaction import Transaction

from registration.notices import domain, rendering, store
from registration.notices.asked import SEND, SEND_LINK, answer
from registration.notices.domain import Mail, Notice, Reason, State
from registration.notices.post import MailTrouble, Post
from registration.people import links
from registration.people.domain import Addressee
from registration.settings import RegistrationSettings
from registration.sign_in.store import link_address


@dataclass(frozen=True)
class Letter:
    """A mail that is ready to be sent, by whom, and until when it is tried (wall time)."""

    mail: EmailMessage
    post: Post
    give_up_at: datetime


async def load(work: Work, tx: Transaction) -> Letter | None:
    """The mail to where the person is written to by now, or to where its link is for.

    None where nobody has the id any more, or the link is good for nothing any more.
    """
    notice_id, person_id = _ids(work)
    waiting = await store.waiting(tx, notice_id, person_id)
    if waiting is None:
        return None
    notice, addressee, since = waiting
    if notice.template in domain.WITH_LINK:
        address = await link_address(tx, UUID(notice.parameters["link"]))
        if address is None:
            return None
        addressee = replace(addressee, email=address)
    settings: RegistrationSettings = tx.settings
    return Letter(
        message(notice, person_id, addressee, settings, tx.now),
        tx.prepared,
        since + timedelta(hours=settings.mail_give_up_hours),
    )


async def call(work: Work) -> Reason | None:
    letter: Letter | None = work.loaded
    if letter is None:
        return Reason.RECIPIENT_UNKNOWN
    try:
        return await letter.post.send(letter.mail)
    except MailTrouble:
        if datetime.now(UTC) < letter.give_up_at:
            raise
        return Reason.GAVE_UP


async def outcome(work: Work, reason: Any, tx: Transaction) -> None:
    notice_id, person_id = _ids(work)
    before = await store.locked_or_none(tx, notice_id)
    if before is None or person_id not in before.waiting:
        return
    mail = Mail(State.REFUSED, reason) if reason else Mail(State.ACCEPTED)
    notice = domain.settled(before, person_id, mail)
    await store.save(tx, [notice])
    answer(tx, notice)
    tx.count("mails_refused" if reason else "mails_accepted")


send_mail = Errand(SEND, call, outcome, load)
send_link_mail = Errand(SEND_LINK, call, outcome, load)


def message(
    notice: Notice, person_id: UUID, addressee: Addressee, settings: RegistrationSettings, now: datetime
) -> EmailMessage:
    """The mail, with a Message-ID that is the same on every attempt: a repeat can be told from another mail."""
    template, parameters = notice.template, notice.parameters
    url = (
        links.url(UUID(parameters["link"]), settings)
        if template in domain.WITH_LINK
        else rendering.place(template, parameters, str(settings.programme_url))
    )
    said = rendering.render(template, parameters, addressee.name, addressee.reads, url, settings.taxonomy)
    mail = EmailMessage()
    mail["Message-ID"] = f"<{notice.notice_id}.{person_id}@{settings.mail_from.rpartition('@')[2]}>"
    mail["Date"] = format_datetime(now)
    mail["From"] = Address("Sojourn", addr_spec=settings.mail_from)
    mail["To"] = _to(addressee)
    mail["Subject"] = said.subject
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Notice-Template"] = template
    mail.set_content(said.text)
    mail.add_alternative(said.html, subtype="html")
    mail["Content-Language"] = addressee.reads.value  # after the content, which takes such headers along into its parts
    return mail


def _to(addressee: Addressee) -> Address:
    local, _, host = addressee.email.rpartition("@")
    return Address(addressee.name, local, host)


def _ids(work: Work) -> tuple[UUID, UUID]:
    notice_id, person_id = work.subject.split("/")
    return UUID(notice_id), UUID(person_id)
