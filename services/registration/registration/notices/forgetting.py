"""Somebody is to be forgotten whom mails wait for: what a company was to be told with them is answered without them."""

from uuid import UUID

from chassis.transaction import Transaction

from registration.notices import domain, store
from registration.notices.asked import answer, unfollow


async def forget_waiting(tx: Transaction, person_id: UUID) -> None:
    """Takes their waiting mails back; those that asked hear how a notice ended that waited for nobody else."""
    for before in await store.waiting_for_locked(tx, person_id):
        await store.forget_mail(tx, before.notice_id, person_id)
        unfollow(tx, before, person_id)
        after = domain.without(before, person_id)
        await store.save(tx, [after])
        answer(tx, after)
