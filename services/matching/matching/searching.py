"""What matching does when searches for companies are due: whom their ends fit is kept, and the best pairs are proposed."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import cast
from uuid import UUID

from chassis.doors import Work, on_all_due, on_due
from chassis.transaction import Transaction

from matching import domain, planned, planning, store
from matching.domain import Obstacle, OpenOffer, OpenPlacement
from matching.index import Candidate
from matching.proposing import SEARCH, Wanted, propose
from matching.replica import RESCORE, Replica
from matching.settings import MatchingSettings, taxonomy
from matching.store import EDGES, Ends

RESCORED = 2_000
"""Companies that one piece of due work has searched for anew."""
BUSY = timedelta(milliseconds=100)
"""Wall time after which a search looks again at what somebody else was at."""
_FIRST = str(UUID(int=0))
AHEAD = 3
"""Candidates of each end that a batch locks at once, before it knows which of them it needs."""


@dataclass
class _Market:
    """The market as one batch of searches sees it.

    What it holds is locked until the transaction ends: nobody else takes or changes it, so it is as the batch itself leaves it.
    """

    replica: Replica
    today: date
    found: dict[UUID, list[Candidate]]
    """By end, the best that are kept as edges."""
    held: dict[UUID, OpenPlacement | OpenOffer | None] = field(
        default_factory=dict[UUID, OpenPlacement | OpenOffer | None]
    )
    """None for what is gone, or somebody else is at."""
    settled: set[UUID] = field(default_factory=set[UUID])
    """Ends that need nobody more."""
    postponed: set[UUID] = field(default_factory=set[UUID])
    """Placements that somebody else is at, or at whose best host: they take no lesser one meanwhile."""
    wanted: list[Wanted] = field(default_factory=list[Wanted])

    async def pairs(self, ends: Ends) -> AsyncIterator[tuple[UUID, UUID]]:
        """The pairs (placement, offer) that these ends are part of, best first.

        More than are kept as edges are looked for only where all of those went to others.
        """
        found, seen, k = {end_id: self.found[end_id] for end_id in ends.all}, 0, EDGES
        while found:
            for pair in planning.ranked(
                (end_id, each.id, each.score) if end_id in ends.placements else (each.id, end_id, each.score)
                for end_id, candidates in found.items()
                for each in candidates[seen:]
            ):
                yield pair
            more = [
                end_id
                for end_id, candidates in found.items()
                if len(candidates) == k and end_id not in self.settled and not self.out_of_reach(end_id)
            ]
            seen, k = k, 5 * k
            found = await self.replica.candidates(more, k, self.today) if more else {}

    def out_of_reach(self, end_id: UUID) -> bool:
        """It is postponed, gone, or somebody else is at it."""
        return end_id in self.postponed or self.held.get(end_id, end_id) is None

    async def pair(self, tx: Transaction, placement_id: UUID, offer_id: UUID) -> tuple[OpenPlacement, OpenOffer] | None:
        """Both, held, unless one is out of reach: then the other is not locked for it, or one that somebody is at would lead to
        the locking of all that it fits, one by one."""
        if not self.out_of_reach(placement_id) and not self.out_of_reach(offer_id):
            await self.hold(tx, [placement_id], [offer_id])
        placement, offer = self.held.get(placement_id), self.held.get(offer_id)
        if placement_id in self.postponed or not isinstance(placement, OpenPlacement):
            return None
        return (placement, offer) if isinstance(offer, OpenOffer) else None

    async def hold(self, tx: Transaction, placement_ids: Iterable[UUID], offer_ids: Iterable[UUID]) -> None:
        """Locks those that it does not hold yet, if they are free."""
        placements = [end_id for end_id in placement_ids if end_id not in self.held]
        offers = [end_id for end_id in offer_ids if end_id not in self.held]
        if placements or offers:
            self.held |= dict.fromkeys((*placements, *offers))
            for end in await store.locked_if_free(tx, placements, offers):
                self.held[end.id] = end


@on_all_due("search")
async def search(works: Sequence[tuple[Work, Transaction]]) -> None:
    """Finds whom the placements and offers of companies fit best, keeps that as edges, and proposes: what companies asked for
    themselves, as far as it is within reach of these ends, then company by company, best first, as long as slots last. In a
    market that is planned as a whole, that second part is the planner's.

    The index is a hint: what it names is locked and looked at again. So a proposal of another process, or of this very
    transaction, that it does not know yet gives no slot twice.
    """
    tx = works[0][1]
    replica = cast(Replica, tx.prepared)
    searching = {UUID(work.subject): (work, each) for work, each in works}
    ends = await store.ends_of(tx, list(searching))
    if not await replica.catch_up(tx.connection):
        for company_id, (work, each) in searching.items():
            _search_again(each, company_id, work.at)
        return
    today = tx.now.date()
    found = await replica.candidates([end_id for theirs in ends.values() for end_id in theirs.all], EDGES, today)
    await store.save_edges(tx, ends, found, replica.rules)
    market, batching = _Market(replica, today, found), planned.batching(tx)
    if not batching:
        await _hold_the_best(tx, ends, market)
    for wish in await store.interests_near(tx, list(found)):
        if not await _choose(tx, wish.placement_id, wish.offer_id, market, wish.side):
            _search_again(tx, wish.sender_id, tx.now)
    if batching:
        await planned.ask(tx)
    else:
        for company_id, (work, each) in searching.items():
            async for placement_id, offer_id in market.pairs(ends[company_id]):
                if not await _choose(each, placement_id, offer_id, market, due=work.at):
                    _search_again(each, company_id, work.at)
    for wanted, match_id in zip(market.wanted, await propose(market.wanted), strict=True):
        if match_id is None:
            _search_again(wanted.tx, wanted.placement.home.company_id, tx.now)


def search_for(tx: Transaction, company_id: UUID) -> None:
    """In a transaction of its own after this one's commit: so of two companies that come at once, one sees the other.

    At once when the search only finds whom the planner is to choose from, else when proposals are due.
    """
    tx.schedule("search", company_id, _next_search(tx))


@on_due(RESCORE)
async def rescore(work: Work, tx: Transaction) -> None:
    """Has those searched for anew whose edges go by other rules than are in force; once through all of them, and again until
    none is found, since a process of the former rules may search as long as there is one. Such a process leaves this to others.
    """
    rules, after = cast(Replica, tx.prepared).rules, UUID(work.data.get("after", _FIRST))
    if not await store.in_force(tx, rules):
        tx.schedule(RESCORE, planning.MARKET, work.at, not_before=datetime.now(UTC) + BUSY, data=work.data)
        return
    found = await store.scored_otherwise(tx, rules, after, RESCORED)
    for company_id in found:
        search_for(tx, company_id)
    if found:
        tx.schedule(RESCORE, planning.MARKET, work.at, data={"after": str(found[-1])})
    elif str(after) != _FIRST:
        tx.schedule(RESCORE, planning.MARKET, planned.after_searches(_next_search(tx)))


def _next_search(tx: Transaction) -> datetime:
    settings = cast(MatchingSettings, tx.settings)
    return tx.now if planned.batching(tx) else planning.next_search(tx.now, settings.planner_tick_hours)


def _search_again(tx: Transaction, company_id: UUID, at: datetime) -> None:
    tx.schedule("search", company_id, at, not_before=datetime.now(UTC) + BUSY)


async def _hold_the_best(tx: Transaction, ends: dict[UUID, Ends], market: _Market) -> None:
    """Each end and its best candidates, all at once: most proposals come of these."""
    placements, offers = set[UUID](), set[UUID]()
    for theirs in ends.values():
        for mine, others, end_ids in ((placements, offers, theirs.placements), (offers, placements, theirs.offers)):
            for end_id in end_ids:
                if best := market.found[end_id][:AHEAD]:
                    mine.add(end_id)
                    others.update(each.id for each in best)
    await market.hold(tx, placements, offers)


async def _choose(
    tx: Transaction,
    placement_id: UUID,
    offer_id: UUID,
    market: _Market,
    initiator: str = SEARCH,
    due: datetime | None = None,
) -> bool:
    """Takes a pair as long as slots last. False if somebody else was at one of the two."""
    if placement_id in market.settled or offer_id in market.settled:
        return True
    pair = await market.pair(tx, placement_id, offer_id)
    if pair is None:
        market.postponed.add(placement_id)
        return False
    placement, offer = pair
    parameters = planning.parameters(market.today, taxonomy(tx))
    fit = domain.score(placement, offer, parameters)
    if fit is not None:
        market.wanted.append(Wanted(tx, placement, offer, fit, initiator, due))
        market.held[placement_id] = replace(placement, taken=True)
        market.held[offer_id] = replace(offer, held=offer.held + 1)
        market.settled.add(placement_id)
    elif (hindrance := domain.obstacle(placement, offer, parameters)) is Obstacle.CAPACITY:
        market.settled.add(offer_id)
    elif hindrance is Obstacle.TAKEN:
        market.settled.add(placement_id)
    return True
