"""What matching does when it hears of companies and of what became of matches, and when a company's search is due."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import cast
from uuid import UUID

from chassis.doors import Door, Work, consumes, erases, on_due
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted
from sojourn_contracts.match import MatchDeclined

from matching import domain, heard, planning, store
from matching.domain import Obstacle, OpenOffer, OpenPlacement, Parameters
from matching.heard import CompanyEvent, Match, MatchEvent
from matching.settings import MatchingSettings

BUSY = timedelta(milliseconds=100)
"""Wall time after which a search looks again at what somebody else was at."""


async def take_in(event: CompanyEvent, tx: Transaction) -> None:
    """What a company sends and hosts is on the market as of its latest revision.

    A placement or offer that went keeps its slot until exchange, which hears of it too, says how the match ended.
    """
    company = await store.locked_or_blank_company(tx, event.company_id)
    if heard.supersedes(event, company):
        await store.save_company(tx, event)
        _search_for(tx, event.company_id)


async def forget_company(company_id: UUID, tx: Transaction) -> None:
    await store.locked_or_blank_company(tx, company_id)
    await store.erase_company(tx, company_id)
    tx.unschedule("search", company_id)


async def hear(event: MatchEvent, tx: Transaction) -> None:
    """What exchange says of a match decides whether its slot is held; only an end frees it.

    A completed stay frees the offer's place, while its placement is fulfilled and stays off the market.
    """
    before = await store.locked_or_blank_match(tx, event.subject)
    after = heard.hear(before, event)
    if after != before:
        await store.save_match(tx, after, event)
        _search_after_end(tx, before, after)


async def forget_match(match_id: UUID, tx: Transaction) -> None:
    before = await store.locked_or_blank_match(tx, match_id)
    after = heard.erase(before)
    await store.erase_match(tx, after)
    _search_after_end(tx, before, after)


@on_due("search")
async def search(work: Work, tx: Transaction) -> None:
    """Proposes the best that the market has for one company's placements and offers, best first, as long as slots last."""
    company_id, parameters = UUID(work.subject), planning.parameters(tx.now.date())
    pairs = await store.candidates(tx, company_id, parameters.today)
    settled, busy = set[UUID](), False
    for placement_id, offer_id in planning.ranked(pairs, parameters):
        if placement_id in settled or offer_id in settled:
            continue
        pair = await store.locked_pair(tx, placement_id, offer_id)
        hindrance = domain.obstacle(*pair, parameters) if pair else None
        if hindrance is Obstacle.CAPACITY:
            settled.add(offer_id)
        elif hindrance is Obstacle.TAKEN:
            settled.add(placement_id)
        elif hindrance is None:
            settled.add(placement_id)
            busy |= pair is None or not await _propose(tx, *pair, parameters)
    if busy:
        tx.schedule("search", company_id, work.at, not_before=datetime.now(UTC) + BUSY)


DOORS: tuple[Door, ...] = (
    *(consumes(event)(take_in) for event in (CompanyRegistered, CompanyUpdated, CompanyWithdrawn)),
    *(erases(event)(forget_company) for event in (CompanyRegistered, CompanyUpdated, CompanyWithdrawn)),
    *(consumes(event)(hear) for event in (MatchDeclined, ExchangeAgreed, ExchangeCancelled, ExchangeCompleted)),
    *(erases(event)(forget_match) for event in (MatchDeclined, ExchangeAgreed, ExchangeCancelled, ExchangeCompleted)),
    search,
)


def _search_after_end(tx: Transaction, before: Match, after: Match) -> None:
    """A slot became free: both ends look for somebody else."""
    if after.state.ended and not before.state.ended:
        for company_id in {*before.companies, *after.companies}:
            _search_for(tx, company_id)


def _search_for(tx: Transaction, company_id: UUID) -> None:
    """In a transaction of its own after this one's commit: so of two companies that come at once, one sees the other."""
    settings = cast(MatchingSettings, tx.settings)
    tx.schedule("search", company_id, planning.next_search(tx.now, settings.planner_tick_hours))


async def _propose(tx: Transaction, placement: OpenPlacement, offer: OpenOffer, parameters: Parameters) -> bool:
    """Reserves the slot and hands the match to exchange. False if somebody was faster, which the locks should prevent."""
    fit = domain.score(placement, offer, parameters)
    if fit is None:
        return False
    settings = cast(MatchingSettings, tx.settings)
    match_id = await _free_id(tx, placement.terms.placement_id, offer.terms.offer_id)
    proposal = planning.proposal(match_id, placement, offer, fit, planning.expiry(tx.now, settings.proposal_days))
    if not await store.reserve(tx, proposal):
        return False
    tx.emit(proposal)
    return True


async def _free_id(tx: Transaction, placement_id: UUID, offer_id: UUID) -> UUID:
    """The first attempt's id, unless that was erased: nobody would hear of a match under an erased id."""
    for attempt in count(1):
        match_id = planning.match_id(placement_id, offer_id, attempt)
        if not await store.knows_match(tx, match_id):
            return match_id
    raise AssertionError
