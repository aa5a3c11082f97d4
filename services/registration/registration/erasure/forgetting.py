"""Registration forgets in the transaction in which it asks the others to: it neither hears its request nor answers by an event.

It holds the table of who is erased alone meanwhile: a notice that is asked for at the same moment finds them there or gone.
"""

from uuid import UUID

from chassis.doors import Door, OnEvent, Work, consumes, on_due
from chassis.erasure import ERASURE_DONE, forget_traces, look_for, nothing_left
from chassis.transaction import Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.erasure import ErasureDone, ErasureRequested
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
from registration.people.domain import Part, Person


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
    await _forget_person(tx, person)
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
    for person_id in await _forget_company(tx, company_id):
        await _ask(tx, Kind.PERSON, person_id)
    return await _ask(tx, Kind.COMPANY, company_id)


async def adopt(event: ErasureRequested, tx: Transaction) -> None:
    """Forgets again whom a restore brought back. The others have heard of it, and answer to the same request.

    A company's tombstones are told again: what was told of it when its people went must not be the last word on it.
    """
    await erased.alone(tx.connection)
    if await store.of(tx, event.erased_id):
        return
    kind = Kind(event.kind)
    if kind is Kind.COMPANY:
        await _forget_company(tx, event.erased_id)
    elif person := (await people.those(tx, [event.erased_id])).get(event.erased_id):
        await _forget_person(tx, person)
    erasure, _ = domain.request(event.erasure_id, kind, event.erased_id, event.requested_at)
    await _forget_the_rest(tx, erasure)


async def _forget_person(tx: Transaction, person: Person) -> None:
    if person.part is Part.TRAVELLER:
        company = await company_store.locked(tx, person.company_id)
        left, events = companies.without_traveller(company, person.person_id, person.addressee)
        await company_store.save(tx, left)
        tx.emit(*events)
    await forget_waiting(tx, person.person_id)
    await store.forget_people(tx, [person.person_id])


async def _forget_company(tx: Transaction, company_id: UUID) -> list[UUID]:
    """Gives the ids of its people."""
    person_ids = await store.people_of(tx, company_id)
    await store.forget_people(tx, person_ids)
    await store.forget_company(tx, company_id)
    for told in (CompanyRegistered, CompanyUpdated, CompanyWithdrawn):
        tx.erase(told, company_id)
    return person_ids


async def _ask(tx: Transaction, kind: Kind, whom: UUID) -> Erasure:
    erasure, events = domain.request(uuid7(), kind, whom, tx.now)
    await _forget_the_rest(tx, erasure)
    tx.emit(*events)
    return erasure


async def _forget_the_rest(tx: Transaction, erasure: Erasure) -> None:
    """What any service holds; and whether it is all is looked for."""
    await forget_traces(tx, erasure.erased_id)
    await store.add(tx, erasure)
    look_for(tx, erasure.erasure_id, erasure.kind, erasure.erased_id)


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
ADOPTS = (OnEvent(ErasureRequested, adopt),)
