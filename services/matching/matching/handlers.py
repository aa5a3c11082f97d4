"""What matching does when it hears of companies and of what became of matches, and when a company's search is due."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import cast
from uuid import UUID

from chassis.doors import Door, Received, Work, consumes, consumes_all, erases, on_all_due
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted
from sojourn_contracts.match import MatchDeclined

from matching import domain, heard, planning, store
from matching.domain import Obstacle
from matching.heard import CompanyEvent, Match, MatchEvent
from matching.index import Candidate
from matching.proposing import SEARCH, propose
from matching.replica import Replica
from matching.settings import MatchingSettings
from matching.store import Ends

BUSY = timedelta(milliseconds=100)
"""Wall time after which a search looks again at what somebody else was at."""
EDGES = 20
"""Candidates of each end that are kept: the planner loses almost nothing by knowing no more of them."""


async def take_in(received: Sequence[Received[CompanyEvent]]) -> None:
    """What a company sends and hosts is on the market as of its latest revision.

    A placement or offer that went keeps its slot until exchange, which hears of it too, says how the match ended.
    """
    tx = received[0].tx
    companies = await store.locked_or_blank_companies(tx, {each.event.company_id for each in received})
    latest = dict[UUID, Received[CompanyEvent]]()
    for each in received:
        before = companies[each.event.company_id]
        after = heard.hear_of(before, each.event)
        if after != before:
            companies[after.company_id], latest[after.company_id] = after, each
    await store.save_companies(tx, [each.event for each in latest.values()])
    for company_id, each in latest.items():
        _search_for(each.tx, company_id)


async def forget_company(company_id: UUID, tx: Transaction) -> None:
    await store.locked_or_blank_companies(tx, [company_id])
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


@on_all_due("search")
async def search(works: Sequence[tuple[Work, Transaction]]) -> None:
    """Finds whom the placements and offers of companies fit best, keeps that as edges, and proposes: what companies asked for
    themselves, as far as it is within reach of these ends, then company by company.

    The index is a hint: what it names is locked and looked at again. So a proposal of another process, or of this very
    transaction, that it does not know yet gives no slot twice.
    """
    tx = works[0][1]
    replica = cast(Replica, tx.prepared)
    searching = {UUID(work.subject): (work, each) for work, each in works}
    ends = await store.ends_of(tx, list(searching))
    if not await replica.catch_up(tx.connection):
        for company_id, (work, each) in searching.items():
            _search_again(each, company_id, work)
        return
    market = _Market(replica, tx.now.date())
    edges = [(company_id, end_id, market.best(end_id)) for company_id, theirs in ends.items() for end_id in theirs.all]
    await store.save_edges(tx, list(searching), edges)
    within_reach = {end_id for _, mine, found in edges for end_id in (mine, *(each.id for each in found))}
    for wish in await store.interests_in(tx, list(within_reach)):
        if await _propose(tx, [(wish.placement_id, wish.offer_id)], market, wish.side):
            tx.schedule("search", wish.sender_id, tx.now, not_before=datetime.now(UTC) + BUSY)
    for company_id, (work, each) in searching.items():
        if await _propose(each, market.pairs(ends[company_id]), market):
            _search_again(each, company_id, work)


DOORS: tuple[Door, ...] = (
    *(consumes_all(event)(take_in) for event in (CompanyRegistered, CompanyUpdated, CompanyWithdrawn)),
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


def _search_again(tx: Transaction, company_id: UUID, work: Work) -> None:
    tx.schedule("search", company_id, work.at, not_before=datetime.now(UTC) + BUSY)


@dataclass(frozen=True)
class _Market:
    """The market as one batch of searches sees it."""

    replica: Replica
    today: date
    settled: set[UUID] = field(default_factory=set[UUID])
    """Ends that need nobody more: the batch holds their locks, so nobody else takes a slot of theirs."""
    busy: set[UUID] = field(default_factory=set[UUID])
    """Placements that somebody else is at, or whose host is: whoever wanted one searches again."""

    def best(self, end_id: UUID, k: int = EDGES) -> list[Candidate]:
        return self.replica.candidates(end_id, k, self.today)

    def pairs(self, ends: Ends) -> Iterator[tuple[UUID, UUID]]:
        """The pairs (placement, offer) that these ends are part of, best first.

        More than are kept as edges are looked for only where all of those went to others.
        """
        looking, seen, k = ends.all, 0, EDGES
        while looking:
            found = {end_id: self.best(end_id, k) for end_id in looking}
            yield from planning.ranked(
                (end_id, each.id, each.score) if end_id in ends.placements else (each.id, end_id, each.score)
                for end_id, candidates in found.items()
                for each in candidates[seen:]
            )
            looking = [end_id for end_id in looking if len(found[end_id]) == k and end_id not in self.settled]
            seen, k = k, 5 * k


async def _propose(
    tx: Transaction, pairs: Iterable[tuple[UUID, UUID]], market: _Market, initiator: str = SEARCH
) -> bool:
    """Proposes pairs (placement, offer) in this order, as long as slots last. True if somebody else was at one of them."""
    parameters, wanted_busy = planning.parameters(market.today), False
    for placement_id, offer_id in pairs:
        if placement_id in market.settled or offer_id in market.settled:
            continue
        if placement_id in market.busy:
            wanted_busy = True
            continue
        pair = await store.pair_if_free(tx, placement_id, offer_id)
        hindrance = domain.obstacle(*pair, parameters) if pair else None
        if hindrance is Obstacle.CAPACITY:
            market.settled.add(offer_id)
        elif hindrance is Obstacle.TAKEN:
            market.settled.add(placement_id)
        elif hindrance is None:
            if pair is None or not await propose(tx, *pair, parameters, initiator):
                market.busy.add(placement_id)
                wanted_busy = True
            else:
                market.settled.add(placement_id)
    return wanted_busy
