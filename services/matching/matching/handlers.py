"""What matching does when it hears of companies and of what became of matches."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from chassis.doors import Door, OnEvent, Received, consumes, consumes_all, erases, locks_first
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted
from sojourn_contracts.match import MatchDeclined, MatchProposed

from matching import erasure, heard, store
from matching.heard import CompanyEvent, MatchEvent
from matching.planned import plan, propose_planned
from matching.searching import rescore, search, search_for
from matching.settings import taxonomy

UNKNOWN_SKILLS = "unknown_skills"
COUNTERS = {UNKNOWN_SKILLS: "Skills in company events that the taxonomy in force does not have: they match nobody"}


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
    _count_unknown_skills(tx, [each.event for each in latest.values()])
    for company_id, each in latest.items():
        search_for(each.tx, company_id)


@locks_first
async def hold_matches(envelopes: Sequence[Envelope], tx: Transaction) -> None:
    """All that the batch tells of, before its handlers look at them one by one: it comes from several topics, in any order."""
    match_ids = {envelope.subject for envelope in envelopes if isinstance(envelope.data, MatchEvent)}
    if match_ids:
        await store.hold_matches(tx, match_ids)


async def hear(event: MatchEvent, tx: Transaction) -> None:
    """What exchange says of a match decides whether its slot is held; only an end frees it.

    A completed stay frees the offer's place, while its placement is fulfilled and stays off the market.
    """
    before = await store.locked_or_blank_match(tx, event.subject)
    after = heard.hear(before, event)
    if after != before:
        await store.save_match(tx, after, event)
        erasure.search_after_end(tx, before, after)


async def adopt(event: MatchProposed, tx: Transaction) -> None:
    """A proposal that a restore took back holds its places again: exchange has it, and nobody else is to get them."""
    await store.reserve(tx, [event])


ADOPTS = (OnEvent(MatchProposed, adopt),)
DOORS: tuple[Door, ...] = (
    hold_matches,
    *(consumes_all(event)(take_in) for event in (CompanyRegistered, CompanyUpdated, CompanyWithdrawn)),
    *(erases(event)(erasure.forget_company) for event in (CompanyRegistered, CompanyUpdated, CompanyWithdrawn)),
    *(consumes(event)(hear) for event in (MatchDeclined, ExchangeAgreed, ExchangeCancelled, ExchangeCompleted)),
    *(
        erases(event)(erasure.forget_match)
        for event in (MatchDeclined, ExchangeAgreed, ExchangeCancelled, ExchangeCompleted)
    ),
    search,
    rescore,
    plan,
    propose_planned,
    *erasure.DOORS,
)


def _count_unknown_skills(tx: Transaction, events: Iterable[CompanyEvent]) -> None:
    """The event is kept whole, and matched on the rest."""
    known = taxonomy(tx).skills
    for event in events:
        if not isinstance(event, CompanyWithdrawn):
            tx.count(UNKNOWN_SKILLS, sum(skill not in known for skill in heard.skills_of(event)))
