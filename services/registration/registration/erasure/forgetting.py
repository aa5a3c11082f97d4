"""Registration forgets in the transaction in which it asks the others to: it neither hears its request nor answers by an event.

It holds the table of who is erased alone meanwhile: a notice that is asked for at the same moment finds them there or gone.
"""

from uuid import UUID

from chassis.doors import Door, Work, consumes, on_due
from chassis.erasure import ERASURE_DONE, forget_traces, look_for, nothing_left
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.erasure import ErasureDone
from sojourn_contracts.refusal import Unknown
from uuid_utils.compat import uuid7

from chassis import erased
from registration.companies import domain as companies
from registration.companies import store as company_store
from registration.companies.domain import Status
from registration.erasure import domain, store
from registration.erasure.domain import Erasure, Kind
from registration.erasure.holdings import HELD
from registration.notices.forgetting import forget_waiting
from registration.people import store as people
from registration.people.domain import Part


async def erase_person(tx: Transaction, person_id: UUID, *, admins_count: bool) -> Erasure:
    """Forgets a person, and the placement that they would have travelled in. A repeat gives what the first time made.

    Raises:
        Unknown: there is no such person, and never was.
        Refused: ``last_admin``, if ``admins_count``: nobody else could speak for their company.
    """
    await erased.alone(tx.connection)
    if before := await store.of(tx, person_id):
        return before
    person = (await people.those(tx, [person_id])).get(person_id)
    if person is None:
        raise Unknown("unknown_person", "There is nobody under this id")
    company = await company_store.locked(tx, person.company_id)
    if admins_count and person.part is Part.ADMIN:
        others = await store.admins_besides(tx, person)
        domain.require_another_admin(others, company.status not in (Status.WITHDRAWN, Status.EXCLUDED, Status.REJECTED))
    if person.part is Part.TRAVELLER:
        left, events = companies.without_traveller(company, person_id, person.addressee)
        await company_store.save(tx, left)
        tx.emit(*events)
    await forget_waiting(tx, person_id)
    await store.forget_people(tx, [person_id])
    return await _ask(tx, Kind.PERSON, person_id)


async def erase_company(tx: Transaction, company_id: UUID) -> Erasure:
    """Forgets a company, and each of its people by an erasure of their own. A repeat gives what the first time made.

    Raises:
        Unknown: there is no such company, and never was.
    """
    await erased.alone(tx.connection)
    if before := await store.of(tx, company_id):
        return before
    await company_store.locked(tx, company_id)
    person_ids = await store.people_of(tx, company_id)
    await store.forget_people(tx, person_ids)
    await store.forget_company(tx, company_id)
    for told in (CompanyRegistered, CompanyUpdated, CompanyWithdrawn):
        tx.erase(told, company_id)
    for person_id in person_ids:
        await _ask(tx, Kind.PERSON, person_id)
    return await _ask(tx, Kind.COMPANY, company_id)


async def _ask(tx: Transaction, kind: Kind, whom: UUID) -> Erasure:
    erasure, events = domain.request(uuid7(), kind, whom, tx.now)
    await forget_traces(tx, whom)
    await store.add(tx, erasure)
    tx.emit(*events)
    look_for(tx, erasure.erasure_id, kind, whom)
    return erasure


@on_due(ERASURE_DONE)
async def look(work: Work, tx: Transaction) -> None:
    """Registration's own answer, once nothing is left here."""
    if await nothing_left(work, tx, HELD):
        erasure = await store.found(tx, UUID(work.subject))
        await store.save_answers(tx, domain.answered(erasure, tx.service, tx.now))


@consumes(ErasureDone)
async def hear(event: ErasureDone, tx: Transaction) -> None:
    """That of another service. One whose request is not here, as after a restore, is for an operator to look at."""
    erasure = await store.found(tx, event.erasure_id)
    await store.save_answers(tx, domain.answered(erasure, event.done_by, event.done_at))


DOORS: tuple[Door, ...] = (look, hear)
