"""The planner at work: at each tick it solves the market as a whole, and asks for the pairs that are not held to be proposed.

One at a time, since the due work is one row, which who does it has locked. It only asks: each pair is proposed by due work of its
own, under its locks and looked at again, so a plan that was overtaken by what happened since does no harm.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from chassis.doors import Work, on_all_due, on_due
from chassis.service import Process
from chassis.transaction import Transaction

from matching import domain, planner, planning, store
from matching.domain import OpenOffer, OpenPlacement
from matching.planner import PlannerParameters, Verdict
from matching.proposing import Wanted, propose
from matching.replica import Replica
from matching.settings import MatchingSettings, taxonomy
from matching.store import OpenMarket

PLAN, PROPOSE = "plan", "propose"
AFTER = timedelta(minutes=15)
"""Programme time between the searches of a tick and the plan that goes by what they found."""


def batching(tx: Transaction) -> bool:
    """Whether the market is large enough for the planner to find better pairs than whoever comes first takes."""
    settings, replica = cast(MatchingSettings, tx.settings), cast(Replica | None, tx.prepared)
    return settings.planner_tick_hours > 0 and replica is not None and len(replica) >= settings.batching_from


def after_searches(tick: datetime) -> datetime:
    return tick + AFTER


async def ask(tx: Transaction) -> None:
    """Has the market planned at this tick, if it is one, or else at the next."""
    await store.wait_for_plan(tx)
    settings = cast(MatchingSettings, tx.settings)
    tick = planning.next_search(tx.now - timedelta(microseconds=1), settings.planner_tick_hours)
    tx.schedule(PLAN, planning.MARKET, after_searches(tick))


def silent(asked_at: datetime | None, now: datetime, settings: MatchingSettings) -> float:
    """Seconds beyond a tick that the market has waited for a plan; 0 while it does not."""
    if asked_at is None:
        return 0.0
    return max(0.0, (now - after_searches(asked_at) - timedelta(hours=settings.planner_tick_hours)).total_seconds())


def verdicts(market: OpenMarket, now: datetime, parameters: PlannerParameters) -> tuple[list[Verdict], list[Verdict]]:
    """What the planner would propose now, and what it would hold, each with the reason."""
    today = now.date()
    ages = {end_id: (today - since).days for end_id, since in market.since.items()}
    chosen = planner.solve(market.edges, market.places)
    return planner.release(chosen, market.aspirations, ages, market.deadlines, today, parameters)


async def asked(process: Process) -> tuple[OpenMarket, datetime, MatchingSettings]:
    """The market as the planner would find it now."""
    now = process.clock.now()
    async with process.pool.acquire() as connection:
        return await store.open_market(connection, now), now, cast(MatchingSettings, process.settings)


@on_due(PLAN)
async def plan(work: Work, tx: Transaction) -> None:
    """Releases what is best for the market as a whole; what is held, and who found nobody left, comes again at the next tick.

    A large market takes seconds, in a thread: meanwhile the process answers others.
    """
    settings = cast(MatchingSettings, tx.settings)
    market = await store.open_market(tx.connection, tx.now)
    await store.be_patient(tx)
    released, held = await asyncio.to_thread(verdicts, market, tx.now, parameters(settings))
    await store.has_planned(tx)
    for (placement_id, offer_id, _), _ in released:
        tx.schedule(PROPOSE, placement_id, work.at, data={"offer_id": str(offer_id)})
    tick = planning.next_search(tx.now, settings.planner_tick_hours)
    for company_id in market.exhausted:
        tx.schedule("search", company_id, tick)
    if held:
        tx.schedule(PLAN, planning.MARKET, after_searches(tick))
        await store.wait_for_plan(tx)


@on_all_due(PROPOSE)
async def propose_planned(works: Sequence[tuple[Work, Transaction]]) -> None:
    """Proposes released pairs; where one of the two was taken or changed, or somebody is at it, both search again.

    Both, since what either's latest search kept of the pair is what the planner goes by: kept by one alone, a pair that fits no
    more would be chosen at every tick, and nobody else for its ends.
    """
    pairs = [(UUID(work.subject), UUID(work.data["offer_id"]), tx, work.at) for work, tx in works]
    tx = works[0][1]
    ends = {
        each.id: each
        for each in await store.locked_if_free(tx, [each[0] for each in pairs], list({each[1] for each in pairs}))
    }
    wanted, rules = list[Wanted](), planning.parameters(tx.now.date(), taxonomy(tx))
    for placement_id, offer_id, each, at in pairs:
        placement, offer = ends.get(placement_id), ends.get(offer_id)
        fit = None
        if isinstance(placement, OpenPlacement) and isinstance(offer, OpenOffer):
            fit = domain.score(placement, offer, rules)
            if fit is not None:
                wanted.append(Wanted(each, placement, offer, fit, due=at))
                ends[offer_id] = replace(offer, held=offer.held + 1)
        if fit is None:
            await _search_at_the_next_tick(each, placement_id, offer_id)
    for each, match_id in zip(wanted, await propose(wanted), strict=True):
        if match_id is None:
            await _search_at_the_next_tick(each.tx, each.placement.terms.placement_id, each.offer.terms.offer_id)


async def _search_at_the_next_tick(tx: Transaction, placement_id: UUID, offer_id: UUID) -> None:
    settings = cast(MatchingSettings, tx.settings)
    for owner in (await store.owner_of_placement(tx, placement_id), await store.owner_of_offer(tx, offer_id)):
        if owner is not None:
            tx.schedule("search", owner, planning.next_search(tx.now, settings.planner_tick_hours))


def parameters(settings: MatchingSettings) -> PlannerParameters:
    """Those in force."""
    return PlannerParameters(settings.hold_days, settings.urgent_days)
