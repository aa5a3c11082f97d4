"""What the survey does when others say something, and when work falls due."""

import random
from uuid import UUID, uuid4

from chassis.doors import Work, consumes, erases, on_due
from chassis.transaction import UNLINKED, Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.match import MatchDeclined, MatchProposed
from sojourn_contracts.notice import NoticeSent

from survey import domain, questionnaire, release, store
from survey.settings import SurveySettings


async def know_company(event: CompanyRegistered | CompanyUpdated, tx: Transaction) -> None:
    company = await store.company_locked_or_blank(tx, event.company_id)
    await store.save_company(tx, domain.update(company, event))


async def company_left(event: CompanyWithdrawn, tx: Transaction) -> None:
    company = await store.company_locked_or_blank(tx, event.company_id)
    await store.save_company(tx, domain.withdraw(company))


async def follow_exchange(event: MatchProposed | domain.ExchangeEvent, tx: Transaction) -> None:
    exchange = await store.exchange_locked_or_blank(tx, event.subject)
    await store.save_exchange(tx, domain.follow(exchange, event))


async def invite(event: ExchangeCompleted, tx: Transaction) -> None:
    """Sender, host and traveller are asked; a repeat finds the invitations there and changes none."""
    await follow_exchange(event, tx)
    erased = await store.erased_companies(tx, event.sender_id, event.host_id)
    invitations = domain.invite(event, questionnaire.END_OF_STAY, questionnaire.VERSION, erased)
    new = await store.add_invitations(tx, invitations)
    for invitation in invitations:
        if invitation.invitation_id in new:
            tx.schedule("close", invitation.invitation_id, invitation.closes_at)
            tx.schedule("remind", invitation.invitation_id, invitation.reminds_at)
            tx.emit(invitation.notice(domain.OPEN))


async def forget_company(company_id: UUID, tx: Transaction) -> None:
    """What was released stays: nothing in it leads back to the company once the year's key is gone."""
    for invitation_id in await store.erase_company(tx, company_id):
        expect_nothing(tx, invitation_id)


async def forget_exchange(exchange_id: UUID, tx: Transaction) -> None:
    for invitation_id in await store.erase_exchange(tx, exchange_id):
        expect_nothing(tx, invitation_id)


def expect_nothing(tx: Transaction, invitation_id: UUID) -> None:
    """An invitation that is answered or gone is neither closed nor reminded of."""
    tx.unschedule("close", invitation_id)
    tx.unschedule("remind", invitation_id)


async def note_sending(event: NoticeSent, tx: Transaction) -> None:
    """Keeps when an invitation was sent, by the latest answer of the mail server; that of other notices is none of ours."""
    if event.template == domain.OPEN:
        sent_at = event.answered_at if event.outcome == "accepted" else None
        await store.note_sending(tx, event.notice_id, event.revision, sent_at)


@on_due("close")
async def close(work: Work, tx: Transaction) -> None:
    invitation = await store.locked_or_none(tx, UUID(work.subject))
    if invitation is not None:
        await store.save_state(tx, domain.close(invitation))


@on_due("remind")
async def remind(work: Work, tx: Transaction) -> None:
    invitation = await store.locked_or_none(tx, UUID(work.subject))
    if invitation is not None:
        tx.emit(*domain.remind(invitation, tx.now))


@on_due("release")
async def release_submissions(work: Work, tx: Transaction) -> None:
    """Once a day, several at once, in random order, with nothing that leads back; too few wait for the next day."""
    settings: SurveySettings = tx.settings
    waiting = await store.waiting_locked(tx)
    ready = release.releasable(waiting, settings.release_minimum)
    random.SystemRandom().shuffle(ready)
    years = {submission.invitation.programme_year for submission in ready}
    keys = {year: await store.cluster_key(tx, year) for year in sorted(years)}
    tx.emit_unlinked(
        *[
            release.release(submission, keys[submission.invitation.programme_year], uuid4(), tx.now.date())
            for submission in ready
        ]
    )
    await store.move_to_released(tx, ready)
    if not all(submission.complete for submission in waiting):
        schedule_release(tx)


def schedule_release(tx: Transaction) -> None:
    """Asks for the coming night's release; what is due from an earlier night stays due.

    Unlinked, so that no note, trace or log line leads from a submission to its release. Where too few wait, none is
    needed: it takes another answer to make them enough, and that one asks for its night.
    """
    night = release.next_release(tx.now)
    tx.caused_by(UNLINKED).schedule("release", night.date().isoformat(), night)


DOORS = (
    consumes(CompanyRegistered)(know_company),
    consumes(CompanyUpdated)(know_company),
    consumes(CompanyWithdrawn)(company_left),
    consumes(MatchProposed)(follow_exchange),
    consumes(MatchDeclined)(follow_exchange),
    consumes(ExchangeUpdated)(follow_exchange),
    consumes(ExchangeAgreed)(follow_exchange),
    consumes(ExchangeCancelled)(follow_exchange),
    consumes(ExchangeCompleted)(invite),
    consumes(NoticeSent)(note_sending),
    erases(CompanyRegistered)(forget_company),
    erases(CompanyUpdated)(forget_company),
    erases(CompanyWithdrawn)(forget_company),
    *(
        erases(event)(forget_exchange)
        for event in (
            MatchProposed,
            MatchDeclined,
            ExchangeUpdated,
            ExchangeAgreed,
            ExchangeCancelled,
            ExchangeCompleted,
        )
    ),
    close,
    remind,
    release_submissions,
)
"""What this service listens to, as data."""
