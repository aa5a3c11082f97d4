"""What the tests of exchange start from: a match of Lisbon's placement and Aarhus's offer, and its exchange at every stage."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5

from exchange import domain
from exchange.agreement import Terms
from exchange.state import Exchange
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn, HostingOffer, Placement
from sojourn_contracts.exchange import Stage
from sojourn_contracts.match import Explanation, MatchProposed
from sojourn_contracts.taxonomy import starter
from sojourn_contracts.vocabulary import (
    Level,
    Party,
    Side,
    SizeClass,
    Spoken,
    Training,
    TrainingDirection,
    Window,
)

NAMES = UUID("0c2a3a52-7a2e-4d0c-9a53-3f2f64c4a111")

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When the proposal comes."""
EXPIRES = NOON + timedelta(days=14)
WINDOW = Window(first=date(2026, 4, 1), last=date(2026, 7, 31))
FIRST, LAST = date(2026, 5, 4), date(2026, 5, 31)
WINDOW_OVER = datetime(2026, 8, 1, tzinfo=UTC)
STARTS = datetime(2026, 5, 4, tzinfo=UTC)
CLOSES = datetime(2026, 6, 30, tzinfo=UTC)
LAST_NOON = datetime(2026, 5, 31, 12, tzinfo=UTC)


def id_of(name: str) -> UUID:
    return uuid5(NAMES, name)


MATCH, PLACEMENT, OFFER = id_of("match"), id_of("placement"), id_of("offer")
SENDER, HOST, STRANGER, TRAVELLER = id_of("sender"), id_of("host"), id_of("stranger"), id_of("traveller")

TRAINING = Training(direction=TrainingDirection.TRAVELLER, skills=("cheese-making",))
TERMS = Terms(FIRST, LAST, TRAINING)
OTHER_TERMS = Terms(FIRST, LAST - timedelta(days=7), TRAINING)


def draft(exchange: Exchange, terms: Terms, now: datetime) -> domain.Decision:
    """With the starter set's skills."""
    return domain.draft(exchange, terms, starter().skills, now)


def proposal(name: str = "match", **changes: object) -> MatchProposed:
    """Ids follow from the name, but for the companies'."""
    other = "" if name == "match" else f" of {name}"
    return MatchProposed.model_validate(
        {
            "match_id": id_of(name),
            "revision": 1,
            "placement_id": id_of(f"placement{other}"),
            "offer_id": id_of(f"offer{other}"),
            "sender_id": SENDER,
            "host_id": HOST,
            "traveller_id": id_of(f"traveller{other}"),
            "sender_country": "PT",
            "host_country": "DK",
            "sender_sector": "10",
            "host_sector": "46",
            "score": 700_000,
            "explanation": Explanation(
                traveller_learns=("cheese-making",),
                host_gains=("brewing",),
                language="en",
                language_level=Level.B2,
                overlap_days=122,
                traveller_utility=700_000,
                host_utility=700_000,
            ),
            "window": WINDOW,
            "min_days": 21,
            "max_days": 45,
            "training": TRAINING,
            "expires_at": EXPIRES,
            "initiator": "matching",
        }
        | changes
    )


_SPOKEN = (Spoken(language="en", level=Level.C1),)


def _placement(placement_id: UUID) -> Placement:
    return Placement(
        placement_id=placement_id,
        traveller_id=TRAVELLER,
        languages=_SPOKEN,
        window=WINDOW,
        min_days=21,
        max_days=45,
        destinations=("DK",),
        skills_brought=("brewing",),
        skills_sought=("cheese-making",),
    )


def _offer(offer_id: UUID) -> HostingOffer:
    return HostingOffer(
        offer_id=offer_id,
        languages=_SPOKEN,
        window=WINDOW,
        min_days=14,
        max_days=62,
        capacity=2,
        skills_taught=("cheese-making",),
        skills_needed=("brewing",),
    )


def _profile(
    company_id: UUID, revision: int, placements: tuple[UUID, ...], offers: tuple[UUID, ...]
) -> dict[str, object]:
    return {
        "company_id": company_id,
        "revision": revision,
        "country": "PT" if company_id == SENDER else "DK",
        "region": "PT1" if company_id == SENDER else "DK0",
        "sector": "10",
        "size_class": SizeClass.SMALL,
        "languages": _SPOKEN,
        "placements": [_placement(placement_id) for placement_id in placements],
        "offers": [_offer(offer_id) for offer_id in offers],
    }


def sender_registered(*placements: UUID, revision: int = 1) -> CompanyRegistered:
    return CompanyRegistered.model_validate(_profile(SENDER, revision, placements or (PLACEMENT,), ()))


def sender_updated(revision: int, *placements: UUID) -> CompanyUpdated:
    return CompanyUpdated.model_validate(_profile(SENDER, revision, placements, ()))


def host_registered(revision: int = 1) -> CompanyRegistered:
    return CompanyRegistered.model_validate(_profile(HOST, revision, (), (OFFER,)))


def host_updated(revision: int, *offers: UUID) -> CompanyUpdated:
    return CompanyUpdated.model_validate(_profile(HOST, revision, (), offers))


def withdrawn(company_id: UUID, revision: int = 9) -> CompanyWithdrawn:
    return CompanyWithdrawn(company_id=company_id, revision=revision, reason="left")


def proposed(expires_at: datetime = EXPIRES) -> Exchange:
    return domain.open(None, proposal(expires_at=expires_at), True, NOON)[0]


def accepted_by(side: Side) -> Exchange:
    return domain.accept(proposed(), side, NOON)[0]


def accepted() -> Exchange:
    return domain.accept(accepted_by(Side.SENDER), Side.HOST, NOON)[0]


def drafted(terms: Terms = TERMS) -> Exchange:
    return draft(accepted(), terms, NOON)[0]


def signed_by(*parties: Party) -> Exchange:
    exchange = drafted()
    for party in parties:
        exchange, _ = domain.sign(exchange, party, 1, NOON)
    return exchange


def agreed() -> Exchange:
    return signed_by(*Party)


def ongoing() -> Exchange:
    return domain.start(agreed(), STARTS)[0]


def completed() -> Exchange:
    return domain.complete(ongoing(), Side.HOST, 40, LAST_NOON)[0]


def declined() -> Exchange:
    return domain.decline(proposed(), Side.HOST, "dates", NOON)[0]


def expired() -> Exchange:
    return domain.expire(proposed(), EXPIRES)[0]


def withdrawn_exchange() -> Exchange:
    return domain.withdraw(proposed(), NOON)[0]


def cancelled() -> Exchange:
    return domain.cancel(agreed(), Side.SENDER, "illness", NOON)[0]


AT: dict[Stage, Callable[[], Exchange]] = {
    Stage.PROPOSED: proposed,
    Stage.ACCEPTED: accepted,
    Stage.DRAFTED: drafted,
    Stage.AGREED: agreed,
    Stage.ONGOING: ongoing,
    Stage.COMPLETED: completed,
    Stage.DECLINED: declined,
    Stage.EXPIRED: expired,
    Stage.WITHDRAWN: withdrawn_exchange,
    Stage.CANCELLED: cancelled,
}
