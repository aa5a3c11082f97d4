"""An operator has what was refused sent again, once its cause is mended: an address, or the mail server."""

from uuid import UUID

from chassis.transaction import Transaction

from registration.notices import domain, store
from registration.notices.asked import follow


async def send_again(tx: Transaction, notice_id: UUID) -> None:
    """Mails that were accepted are not sent again; who has come to speak for the company meanwhile is written to as well.

    Raises:
        Unknown: there is no such notice.
        Refused: ``nothing_refused``.
    """
    before = await store.locked(tx, notice_id)
    told = await store.recipients(tx, {before.recipient_id})
    notice = domain.send_again(before, told[before.recipient_id])
    await store.forget_refused(tx, notice_id)
    await store.save(tx, [notice])
    follow(tx, notice)
