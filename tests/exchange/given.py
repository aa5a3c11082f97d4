"""What the tests of exchange start from: a match of Lisbon's placement and Aarhus's offer, and its exchange at every stage."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5

from exchange import domain, during, rate_table
from exchange.agreement import Giver, Insurance, Item, Part, Rules, Terms
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
ASKS = datetime(2026, 5, 17, tzinfo=UTC)
CLOSES = datetime(2026, 6, 30, tzinfo=UTC)
LAST_NOON = datetime(2026, 5, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AFTER = LAST_NOON + DAY
"""The noon after the last day."""


def id_of(name: str) -> UUID:
    return uuid5(NAMES, name)


MATCH, PLACEMENT, OFFER = id_of("match"), id_of("placement"), id_of("offer")
SENDER, HOST, STRANGER, TRAVELLER = id_of("sender"), id_of("host"), id_of("stranger"), id_of("traveller")

TRAINING = Training(direction=TrainingDirection.TRAVELLER, skills=("cheese-making",))
ITEM = Item(TrainingDirection.TRAVELLER, ("cheese-making",), 40, Giver.HOST)


def terms(*parts: tuple[date, date], training: tuple[Item, ...] = (ITEM,)) -> Terms:
    return Terms(
        parts=tuple(Part(first, last) for first, last in parts or ((FIRST, LAST),)),
        training=training,
        goals="Learns how the dairy works.",
        tasks=("Follows a batch from the milk to the shelf",),
        working_language="en",
        workplace="The dairy at the harbour",
        supervision="The master cheese-maker, daily",
        insurance=Insurance(Party.SENDER, Party.SENDER, Party.HOST),
    )


TERMS = terms()
OTHER_TERMS = terms((FIRST, LAST - timedelta(days=7)))
LONGER = terms((FIRST, LAST + timedelta(days=14)))


def draft(
    exchange: Exchange, terms: Terms, now: datetime, by: Side = Side.SENDER, validating: str = ""
) -> domain.Decision:
    """With the starter set's skills; ``validating``: codes of countries, separated by spaces."""
    rules = Rules(starter().skills, rate_table.starter(), validating.split())
    return domain.draft(exchange, by, terms, rules, now)


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


def drafted(terms: Terms = TERMS, validating: str = "") -> Exchange:
    return draft(accepted(), terms, NOON, validating=validating)[0]


def signed(exchange: Exchange, *parties: Party, now: datetime = NOON) -> Exchange:
    """The latest version, by these or by all."""
    for party in parties or Party:
        exchange, _ = domain.sign(exchange, party, exchange.latest.version if exchange.latest else 0, now)
    return exchange


def signed_by(*parties: Party) -> Exchange:
    return signed(drafted(), *parties) if parties else drafted()


def in_validation(countries: str = "PT DK") -> Exchange:
    return signed(drafted(validating=countries))


def agreed(terms: Terms = TERMS) -> Exchange:
    return signed(drafted(terms))


def ongoing(terms: Terms = TERMS) -> Exchange:
    return domain.start(agreed(terms), STARTS)[0]


def interrupted(on: datetime = STARTS + 20 * DAY) -> Exchange:
    return during.interrupt(ongoing(), Party.TRAVELLER, "illness", on)[0]


def trained() -> Exchange:
    """Ongoing, with five hours in the record."""
    return during.record_training(ongoing(), Party.HOST, FIRST, "cheese-making", 5, Giver.HOST, STARTS)[0]


def confirmed_by(*sides: Side) -> Exchange:
    exchange = trained()
    for side in sides:
        exchange, _ = during.confirm_completion(exchange, side, AFTER)
    return exchange


def completed() -> Exchange:
    return confirmed_by(Side.SENDER, Side.HOST)


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
    Stage.IN_VALIDATION: in_validation,
    Stage.AGREED: agreed,
    Stage.ONGOING: ongoing,
    Stage.INTERRUPTED: interrupted,
    Stage.COMPLETED: completed,
    Stage.DECLINED: declined,
    Stage.EXPIRED: expired,
    Stage.WITHDRAWN: withdrawn_exchange,
    Stage.CANCELLED: cancelled,
}
