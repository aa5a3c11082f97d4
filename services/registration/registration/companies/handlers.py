"""What registration does for companies as time passes: it looks a VAT number up, and asks who is still interested."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from chassis.doors import Door, Errand, Work, on_due
from chassis.transaction import Transaction

from registration.companies import deciding, domain, eligibility, store
from registration.companies.deciding import ASK, CLOSE, LOOK
from registration.companies.domain import Command, Company, Status
from registration.companies.eligibility import Vies
from registration.companies.vies import Register
from registration.notices.asked import ask

SHORTLY = timedelta(milliseconds=100)
"""Of wall time, until due work comes back whose company somebody else had."""
LONGEST_PAUSE = 3_600.0
"""Seconds between two looks at VIES at most."""


async def _number(work: Work, tx: Transaction) -> tuple[Register, str] | None:
    """What is to be looked up now, and where; None if nothing is any more."""
    company_id = UUID(work.subject)
    if tx.settings.vies_url is None or not await store.is_known(tx, company_id):
        return None
    number = _asked_about(await store.found(tx, company_id))
    if number is None:
        return None
    return Register(str(tx.settings.vies_url), tx.settings.vies_timeout_seconds), number


async def _call(work: Work) -> tuple[str, Vies] | None:
    if work.loaded is None:
        return None
    register, number = work.loaded
    return number, await register.says(number)


async def _answered(work: Work, answer: tuple[str, Vies] | None, tx: Transaction) -> None:
    """An outage is looked at again, later and later; after so many hours, a human decides.

    A number that was changed meanwhile is asked about anew.
    """
    if answer is not None and answer[1] is not Vies.UNAVAILABLE:
        await store.remember_vies(tx, *answer)
    company = await _locked(work, tx)
    if company is None or _asked_about(company) is None:
        return
    if answer is None or answer[0] != _asked_about(company) or answer[1] is not Vies.UNAVAILABLE:
        await deciding.settle(tx, company)
        return
    now, since = datetime.now(UTC), datetime.fromisoformat(work.data["since"])
    if now - since >= timedelta(hours=tx.settings.vies_patience_hours):
        await deciding.settle(tx, company, Vies.UNAVAILABLE)
        return
    pause = min(LONGEST_PAUSE, tx.settings.vies_pause_seconds * 2 ** min(work.data["looks"], 20))
    not_before = now + timedelta(seconds=pause * random.uniform(0.5, 1.0))
    said = {"since": work.data["since"], "looks": work.data["looks"] + 1}
    tx.schedule(LOOK, company.company_id, work.at, not_before=not_before, data=said)


async def _locked(work: Work, tx: Transaction) -> Company | None:
    """Does not wait for a company that somebody acts on: they may be waiting to take this very work back.

    It comes back instead.
    """
    company_id = UUID(work.subject)
    company = await store.locked_if_free(tx, company_id)
    if company is None and await store.is_known(tx, company_id):
        not_before = datetime.now(UTC) + SHORTLY
        tx.schedule(work.kind, company_id, work.at, not_before=not_before, data=work.data)
    return company


def _asked_about(company: Company) -> str | None:
    return eligibility.asked_of_vies(company.said.facts) if company.undecided and company.said else None


@on_due(ASK)
async def ask_interest(work: Work, tx: Transaction) -> None:
    """Once a year after its admission or its last sign of interest."""
    company = await _locked(work, tx)
    if company is not None and company.status is Status.ADMITTED:
        notice_id = uuid5(company.company_id, f"still_interested/{tx.now.isoformat()}")
        await ask(tx, notice_id, company.company_id, "still_interested", {})
        tx.schedule(CLOSE, company.company_id, tx.now + timedelta(days=tx.settings.interest_answer_days))


@on_due(CLOSE)
async def close_stays(work: Work, tx: Transaction) -> None:
    """Silence closes what the company offers and looks for, and no more; it is asked again a year later."""
    company = await _locked(work, tx)
    if company is not None and company.status is Status.ADMITTED:
        await deciding.keep(tx, company, domain.close_stays(company), Command.CLOSE_STAYS)
        deciding.heard_from(tx, company.company_id)


DOORS: tuple[Door, ...] = (Errand(LOOK, _call, _answered, _number), ask_interest, close_stays)
