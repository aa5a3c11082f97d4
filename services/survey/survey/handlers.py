"""What the survey does when others say something, and when work falls due."""

import random
import secrets
from collections.abc import Sequence
from uuid import uuid4

from chassis.doors import Received, Work, consumes, consumes_all, erases, on_due
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated, Stage
from sojourn_contracts.match import MatchDeclined, MatchProposed

from survey import domain, erasure, release, store
from survey.answering import handlers as answering
from survey.answering.expected import RELEASE, expect_release
from survey.evaluation import store as evaluation
from survey.questionnaires.published import published
from survey.settings import SurveySettings


async def admit_companies(received: Sequence[Received[CompanyRegistered]]) -> None:
    """The envelope says when; what was proposed to the company before this came learns it."""
    for event, envelope, tx in ((each.event, each.envelope, each.tx) for each in received):
        company = await store.company_locked_or_blank(tx, event.company_id)
        company = domain.admitted(domain.update(company, event), envelope.time)
        await store.save_company(tx, company)
        await store.hold_senders_proposals(tx, event.company_id)
        for exchange in await store.proposals_of_locked(tx, event.company_id):
            await store.save_exchange(tx, domain.after_registration(exchange, company.registered_at))


async def know_company(event: CompanyUpdated, tx: Transaction) -> None:
    company = await store.company_locked_or_blank(tx, event.company_id)
    await store.save_company(tx, domain.update(company, event))


async def company_left(event: CompanyWithdrawn, tx: Transaction) -> None:
    company = await store.company_locked_or_blank(tx, event.company_id)
    await store.save_company(tx, domain.withdraw(company))


async def follow_proposals(received: Sequence[Received[MatchProposed]]) -> None:
    """The envelope says when."""
    for event, envelope, tx in ((each.event, each.envelope, each.tx) for each in received):
        await store.hold_senders_proposals(tx, event.sender_id)
        exchange = domain.follow(await store.exchange_locked_or_blank(tx, event.match_id), event)
        exchange = domain.reached(exchange, Stage.PROPOSED, envelope.time)
        registered_at = await store.registered_at(tx, event.sender_id)
        await store.save_exchange(tx, domain.after_registration(exchange, registered_at))


async def follow_exchange(event: domain.ExchangeEvent, tx: Transaction) -> None:
    exchange = await store.exchange_locked_or_blank(tx, event.subject)
    await store.save_exchange(tx, domain.follow(exchange, event))


async def invite(event: ExchangeCompleted, tx: Transaction) -> None:
    await follow_exchange(event, tx)
    await answering.invite(event, tx)


@on_due(RELEASE)
async def release_submissions(work: Work, tx: Transaction) -> None:
    """Once a day, several at once, in random order, with nothing that leads back; too few wait for the next day.

    What comes after its year's key was destroyed gets a key of its own that nobody keeps: its clusters are like no others.
    """
    settings: SurveySettings = tx.settings
    waiting = await store.waiting_locked(tx)
    ready = release.releasable(waiting, settings.release_minimum)
    random.SystemRandom().shuffle(ready)
    years = {submission.invitation.programme_year for submission in ready}
    keys = {year: await store.cluster_key(tx, year) for year in sorted(years)}
    released = [
        release.release(
            submission, keys[submission.invitation.programme_year] or secrets.token_bytes(32), uuid4(), tx.now.date()
        )
        for submission in ready
    ]
    tx.emit_unlinked(*released)
    await store.move_to_released(tx, ready)
    await evaluation.add_submissions(tx, released, published())
    if not all(submission.complete for submission in waiting):
        await expect_release(tx)


DOORS = (
    consumes_all(CompanyRegistered)(admit_companies),
    consumes(CompanyUpdated)(know_company),
    consumes(CompanyWithdrawn)(company_left),
    consumes_all(MatchProposed)(follow_proposals),
    consumes(MatchDeclined)(follow_exchange),
    consumes(ExchangeUpdated)(follow_exchange),
    consumes(ExchangeAgreed)(follow_exchange),
    consumes(ExchangeCancelled)(follow_exchange),
    consumes(ExchangeCompleted)(invite),
    erases(CompanyRegistered)(erasure.forget_company),
    erases(CompanyUpdated)(erasure.forget_company),
    erases(CompanyWithdrawn)(erasure.forget_company),
    *(
        erases(event)(erasure.forget_exchange)
        for event in (
            MatchProposed,
            MatchDeclined,
            ExchangeUpdated,
            ExchangeAgreed,
            ExchangeCancelled,
            ExchangeCompleted,
        )
    ),
    *answering.DOORS,
    release_submissions,
    *erasure.DOORS,
)
"""What this service listens to, as data."""
