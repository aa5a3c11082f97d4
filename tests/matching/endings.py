"""What exchange says of a match after it was proposed."""

from datetime import date
from typing import Any

from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, Stage
from sojourn_contracts.match import DeclineReason, MatchDeclined, MatchProposed
from sojourn_contracts.vocabulary import Party, Side

from tests.matching.market import NOON


def declined(proposal: MatchProposed, revision: int = 2, reason: str = "declined") -> MatchDeclined:
    return MatchDeclined(
        match_id=proposal.match_id,
        revision=revision,
        placement_id=proposal.placement_id,
        offer_id=proposal.offer_id,
        sender_id=proposal.sender_id,
        host_id=proposal.host_id,
        reason=DeclineReason(reason),
        by=Side.HOST if reason == "declined" else None,
        declined_at=NOON,
    )


def agreed(proposal: MatchProposed, revision: int = 6) -> ExchangeAgreed:
    return ExchangeAgreed(**_exchange(proposal, revision, Stage.AGREED))


def cancelled(proposal: MatchProposed, revision: int = 7) -> ExchangeCancelled:
    return ExchangeCancelled(
        **_exchange(proposal, revision, Stage.CANCELLED),
        cancelled_by=Side.SENDER,
        cancelled_at_stage=Stage.AGREED,
        reason="business",
    )


def completed(proposal: MatchProposed, revision: int = 8) -> ExchangeCompleted:
    return ExchangeCompleted(**_exchange(proposal, revision, Stage.COMPLETED), training_hours=20)


def _exchange(proposal: MatchProposed, revision: int, stage: Stage) -> dict[str, Any]:
    return {
        "exchange_id": proposal.match_id,
        "revision": revision,
        "stage": stage,
        "placement_id": proposal.placement_id,
        "offer_id": proposal.offer_id,
        "sender_id": proposal.sender_id,
        "host_id": proposal.host_id,
        "traveller_id": proposal.traveller_id,
        "sender_country": proposal.sender_country,
        "host_country": proposal.host_country,
        "sender_sector": proposal.sender_sector,
        "host_sector": proposal.host_sector,
        "training": proposal.training,
        "accepted_by": tuple(Side),
        "agreement_version": 1,
        "signed_by": tuple(Party),
        "changed_at": NOON,
        "first_day": date(2026, 4, 6),
        "last_day": date(2026, 4, 26),
        "days": 21,
        "allowance_cents": 60_000,
    }
