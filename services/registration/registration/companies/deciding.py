"""What follows when a company has submitted something: the rules decide, ask VIES first, or leave it to a contact point."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from chassis.identity import Caller, Role
from chassis.transaction import Transaction
from sojourn_contracts.notice import contact_point
from sojourn_contracts.refusal import NotYours

from registration.companies import domain, eligibility, store
from registration.companies.audit import Decided, Words
from registration.companies.domain import Command, Company, Decision, Status, Who
from registration.companies.eligibility import Facts, Judgement, Vies
from registration.companies.store import Review
from registration.notices.asked import ask

LOOK = "look_up_vat"
"""The errand that asks VIES; its subject is the company."""
ASK = "ask_interest"
"""Due work: the company is asked whether it is still interested."""
CLOSE = "close_stays"
"""Due work: the company did not say in time that it is still interested."""

_NOTICES = {
    Command.ADMIT: "admitted",
    Command.SEND_BACK: "needs_changes",
    Command.REJECT: "rejected",
}
"""What the company is told of by e-mail."""

_WHO = {
    Role.COMPANY: Who.COMPANY,
    Role.COMPANY_ADMIN: Who.COMPANY,
    Role.CONTACT_POINT: Who.CONTACT_POINT,
    Role.OPERATOR: Who.OPERATOR,
}


def who(caller: Caller) -> Who:
    """As whom somebody acts on a company.

    Raises:
        NotYours: they do not.
    """
    if caller.role not in _WHO:
        raise NotYours("wrong_role", f"The token is for {caller.role}")
    return _WHO[caller.role]


async def settle(tx: Transaction, company: Company, unavailable: Vies | None = None) -> Company:
    """Decides about what the company submitted last, if it can be decided already. The company is locked, and saved here.

    ``unavailable`` is what the register said for the last time, if it was asked for as long as the programme waits.
    """
    if not company.undecided or company.said is None:
        await store.save(tx, company)
        return company
    facts = company.said.facts
    judgement = eligibility.judge(facts, unavailable or await _vies(tx, facts))
    if judgement.waiting:
        tx.schedule(LOOK, company.company_id, tx.now, data={"since": datetime.now(UTC).isoformat(), "looks": 0})
        await store.save(tx, company)
        return company
    if judgement.clear:
        return await keep(tx, company, domain.admit(company, Who.PROGRAMME), Command.ADMIT, judgement=judgement)
    referred = await keep(tx, company, (domain.refer(company), []), Command.REFER, judgement=judgement)
    await store.open_review(tx, Review(company.company_id, facts.country, referred.revision, judgement.unclear, tx.now))
    once = uuid5(company.company_id, f"review/{referred.revision}")  # the mail names no company: that outlives none
    await ask(tx, once, contact_point(facts.country), "review_waits", {})
    return referred


async def keep(
    tx: Transaction,
    before: Company,
    decision: Decision,
    command: Command,
    caller: Caller | None = None,
    words: Words | None = None,
    judgement: Judgement | None = None,
) -> Company:
    """Saves what was decided about a company, adds it to its chain of decisions, and tells of it."""
    company, events = decision
    by = Who.PROGRAMME if caller is None else who(caller)
    await store.save(tx, company)
    decided = Decided(
        company.company_id,
        tx.now,
        command,
        by,
        caller and caller.subject,
        before.revision,
        before.status,
        company.status,
        judgement,
    )
    await store.decide(tx, decided, words)
    tx.emit(*events)
    if command in _NOTICES and (by is not Who.PROGRAMME or before.status is not Status.ADMITTED):
        notice_id = uuid5(
            company.company_id, f"{command}/{company.revision}"
        )  # an edit that the rules admit is no news
        await ask(tx, notice_id, company.company_id, _NOTICES[command], {})
    _follow(tx, before, company)
    return company


def heard_from(tx: Transaction, company_id: UUID) -> None:
    """The company shows that it is still interested: it is asked a year later, and no answer is waited for."""
    tx.schedule(ASK, company_id, tx.now + timedelta(days=tx.settings.interest_days))
    tx.unschedule(CLOSE, company_id)


def _follow(tx: Transaction, before: Company, company: Company) -> None:
    if not company.undecided:
        tx.unschedule(LOOK, company.company_id)
    if before.status is company.status:
        return
    if company.status is Status.ADMITTED:
        heard_from(tx, company.company_id)
    if before.status is Status.ADMITTED:
        tx.unschedule(ASK, company.company_id)
        tx.unschedule(CLOSE, company.company_id)


async def _vies(tx: Transaction, facts: Facts) -> Vies | None:
    number = eligibility.asked_of_vies(facts)
    if number is None:
        return None
    if tx.settings.vies_url is None:
        return Vies.NOT_ASKED
    return await store.known_to_vies(tx, number, tx.settings.vies_cache_days)
