"""What happens to invitations when an exchange was completed, a mail was sent, or work falls due."""

from collections.abc import Sequence
from uuid import UUID

from chassis.doors import Work, consumes, on_due
from chassis.transaction import Transaction
from sojourn_contracts.exchange import ExchangeCompleted
from sojourn_contracts.notice import NoticeSent

from survey.answering import domain, store
from survey.answering.domain import Invitation
from survey.answering.expected import CLOSE, INVITE_AGAIN, REMIND, expect_reminder
from survey.questionnaires.published import newest
from survey.questionnaires.questionnaire import END_OF_STAY, SIX_MONTHS_LATER


async def invite(event: ExchangeCompleted, tx: Transaction) -> None:
    """Sender, host and traveller are asked, and again later; a repeat finds the invitations there and changes none."""
    new = await _open(tx, domain.invite(event, END_OF_STAY, newest().version, event.changed_at))
    if new:
        tx.schedule(INVITE_AGAIN, event.exchange_id, domain.second_wave_at(event.last_day))


@on_due(INVITE_AGAIN)
async def invite_again(work: Work, tx: Transaction) -> None:
    """Of an exchange that is erased, nobody is asked any more."""
    event = await store.completion_locked(tx, UUID(work.subject))
    if event is not None:
        await _open(tx, domain.invite(event, SIX_MONTHS_LATER, newest().version, tx.now))


async def _open(tx: Transaction, invitations: Sequence[Invitation]) -> set[UUID]:
    new = await store.add_invitations(tx, invitations)
    for invitation in invitations:
        if invitation.invitation_id in new:
            tx.schedule(CLOSE, invitation.invitation_id, invitation.closes_at)
            expect_reminder(tx, invitation, 1)
            tx.emit(invitation.invites())
    return new


async def note_sending(event: NoticeSent, tx: Transaction) -> None:
    """Keeps when an invitation was sent, by the latest answer of the mail server; that of other notices is none of ours."""
    if event.template in (domain.OPEN, domain.OPEN_LATER):
        sent_at = event.answered_at if event.outcome == "accepted" else None
        await store.note_sending(tx, event.notice_id, event.revision, sent_at)


@on_due(CLOSE)
async def close(work: Work, tx: Transaction) -> None:
    invitation = await store.free(tx, work)
    if invitation is not None:
        await store.end(tx, domain.close(invitation))


@on_due(REMIND)
async def remind(work: Work, tx: Transaction) -> None:
    """The first reminder asks for the second one, unless it is so late that they would come together."""
    invitation = await store.free(tx, work)
    if invitation is None:
        return
    number: int = work.data.get("number", 1)
    reminders = domain.remind(invitation, number, tx.now)
    tx.emit(*reminders)
    if reminders and number < len(domain.REMINDED_AFTER) and invitation.reminds_at(number + 1) > tx.now:
        expect_reminder(tx, invitation, number + 1)


DOORS = (consumes(NoticeSent)(note_sending), invite_again, close, remind)
