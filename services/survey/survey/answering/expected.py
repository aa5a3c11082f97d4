"""What falls due about invitations and answers."""

from uuid import UUID

from chassis.transaction import UNLINKED, Transaction

from survey import release
from survey.answering import store
from survey.answering.domain import Invitation

CLOSE, REMIND, INVITE_AGAIN, RELEASE = "close", "remind", "invite_again", "release"


def expect_reminder(tx: Transaction, invitation: Invitation, number: int) -> None:
    tx.schedule(REMIND, invitation.invitation_id, invitation.reminds_at(number), data={"number": number})


def expect_nothing(tx: Transaction, invitation_id: UUID) -> None:
    """An invitation that is answered, declined or gone is neither closed nor reminded of."""
    tx.unschedule(CLOSE, invitation_id)
    tx.unschedule(REMIND, invitation_id)


async def expect_release(tx: Transaction) -> None:
    """Sees to it that the coming night has a release; what is due from an earlier night stays due.

    Unlinked, so that no note, trace or log line leads from a submission to its release. Where too few wait, none is
    needed: it takes another answer to make them enough, and that one asks for its night.
    """
    night = release.next_release(tx.now)
    if not await store.release_expected(tx, RELEASE, night.date().isoformat()):
        tx.caused_by(UNLINKED).schedule(RELEASE, night.date().isoformat(), night)
