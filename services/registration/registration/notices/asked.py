"""How a notice is asked for: within registration by ``ask``, by other services with NoticeDue.

Under one id one notice is sent, however often it is asked for.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.transaction import Transaction

from registration.notices import domain, store
from registration.notices.domain import Notice

SEND = "send_mail"
"""The errand that sends a notice's mail to one person; its subject is both their ids."""
SEND_LINK = "send_link_mail"
"""The same where somebody waits for the mail before a screen: an errand of its own kind queues behind no other."""


async def ask(
    tx: Transaction, notice_id: UUID, recipient_id: UUID, template: str, parameters: Mapping[str, str]
) -> None:
    """Has a person, or all who speak for a company, told something by e-mail.

    Parameters are ids, codes, days and numbers; words are made of them when the mail is rendered.

    Raises:
        Refused: ``unknown_template``, ``missing_parameters``.
    """
    await take([(Notice(notice_id, tx.service, recipient_id, template, parameters, tx.now), tx)])


async def take(asked: Sequence[tuple[Notice, Transaction]]) -> None:
    """Keeps the notices that are new and has their mails sent, each caused by its own transaction's cause.

    Raises:
        Refused: ``unknown_template``, ``missing_parameters``.
    """
    for notice, _ in asked:
        domain.require_known(notice.template, notice.parameters)
    tx = asked[0][1]
    by_id = {notice.notice_id: (notice, its) for notice, its in asked}
    new = await store.add(tx, [notice for notice, _ in by_id.values()])
    told = await store.recipients(tx, {by_id[notice_id][0].recipient_id for notice_id in new})
    addressed = [
        (domain.addressed(notice, told[notice.recipient_id]), its)
        for notice, its in by_id.values()
        if notice.notice_id in new
    ]
    await store.save(tx, [notice for notice, _ in addressed])
    for notice, its in addressed:
        follow(its, notice)


def follow(tx: Transaction, notice: Notice) -> None:
    """What follows once a notice was addressed: its mails are sent, or, where there is nobody, who asked is told so."""
    for person_id in notice.waiting:
        tx.schedule(_errand(notice), f"{notice.notice_id}/{person_id}", tx.now)
    answer(tx, notice)


def unfollow(tx: Transaction, notice: Notice, person_id: UUID) -> None:
    """This person's mail is no longer to be sent."""
    tx.unschedule(_errand(notice), f"{notice.notice_id}/{person_id}")


def _errand(notice: Notice) -> str:
    return SEND_LINK if notice.template in domain.WITH_LINK else SEND


def answer(tx: Transaction, notice: Notice) -> None:
    """Tells the service that asked, once all of the notice's mails were accepted or refused."""
    if not notice.waiting and notice.asked_by != tx.service:
        tx.emit(notice.as_sent(tx.now))
