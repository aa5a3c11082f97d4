"""What falls due about an invitation while it is open."""

from uuid import UUID

from chassis.transaction import Transaction


def expect_nothing(tx: Transaction, invitation_id: UUID) -> None:
    """An invitation that is answered or gone is neither closed nor reminded of."""
    tx.unschedule("close", invitation_id)
    tx.unschedule("remind", invitation_id)
