"""The people of a company over HTTP: an admin says who speaks for it, everybody what they are called and where they read mail."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from chassis.http import Tx
from chassis.idempotency import Once
from chassis.identity import AnyCaller, Caller, Role, requires
from chassis.openapi import failures
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sojourn_contracts.refusal import NotYours, Unknown
from uuid_utils.compat import uuid7

from registration.people import domain, store
from registration.people.domain import Addressee, Part, Person, Reads
from registration.people.form import InvitationForm, PartForm, PersonForm
from registration.sign_in import handlers, limits
from registration.sign_in import store as links
from registration.sign_in.domain import Link, Purpose
from registration.sign_in.limits import Limit

routes = APIRouter()

INVITATIONS = Limit("invitations of a company", 30)


async def _speaks(company_id: UUID, caller: Annotated[Caller, Depends(requires(Role.COMPANY, Role.OPERATOR))]) -> None:
    _require_its_own(company_id, caller)


async def _admin(
    company_id: UUID, caller: Annotated[Caller, Depends(requires(Role.COMPANY_ADMIN, Role.OPERATOR))]
) -> None:
    _require_its_own(company_id, caller)


def _require_its_own(company_id: UUID, caller: Caller) -> None:
    if caller.role is not Role.OPERATOR and caller.company_id != company_id:
        raise NotYours("not_your_company", "The token is for another company")


SPEAKS = Depends(_speaks)
"""Somebody who speaks for the company, or an operator."""
ADMIN = Depends(_admin)
"""An admin of the company, or an operator: its last admin may be out of reach."""


class PersonView(BaseModel):
    person_id: UUID
    part: Part
    name: str
    email: str
    reads: Reads


class OwnView(PersonView):
    unconfirmed_email: str | None
    """The address that is to take the place of ``email`` once the link that went there is used."""


class Invited(BaseModel):
    person_id: UUID


@routes.get("/companies/{company_id}/people", dependencies=[SPEAKS])
async def people(company_id: UUID, tx: Tx) -> list[PersonView]:
    """Who speaks for the company, and who travels or did."""
    return [PersonView(**_told(person)) for person in await store.of_company(tx, company_id)]


@routes.post(
    "/companies/{company_id}/people",
    status_code=201,
    dependencies=[ADMIN],
    responses=failures(HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS),
)
async def invite(company_id: UUID, body: InvitationForm, tx: Tx, once: Once) -> Invited:
    """Somebody is to speak for the company from now on; a link goes to their address, and is good for a week."""

    async def invited() -> Invited:
        speaking = await store.speaking_locked(tx, company_id)
        person = domain.invite(speaking, Person(once.id("person"), company_id, body.part, body.addressee))
        await limits.spend(tx, INVITATIONS, str(company_id))
        await limits.spend_link(tx, body.email)
        await store.save(tx, [person])
        await handlers.send(tx, Link(uuid7(), person.person_id, Purpose.INVITATION, body.email))
        return Invited(person_id=person.person_id)

    return await once.answer(body, Invited, invited)


@routes.put("/companies/{company_id}/people/{person_id}/part", status_code=204, dependencies=[ADMIN])
async def change_part(company_id: UUID, person_id: UUID, body: PartForm, tx: Tx) -> None:
    """Makes somebody an admin or a member. Their tokens say so when they are next refreshed."""
    speaking = await store.speaking_locked(tx, company_id)
    await store.set_part(tx, domain.with_part(speaking, person_id, body.part))


@routes.delete("/companies/{company_id}/people/{person_id}", status_code=204, dependencies=[ADMIN])
async def remove(company_id: UUID, person_id: UUID, tx: Tx) -> None:
    """Somebody no longer speaks for the company: they are forgotten, with their sessions. A traveller is the placement's."""
    person = domain.remove(await store.speaking_locked(tx, company_id), person_id)
    if person is not None:
        await store.remove(tx, person)


@routes.get("/people/{person_id}")
async def show(person_id: UUID, caller: AnyCaller, tx: Tx) -> OwnView:
    if caller.role is not Role.OPERATOR:
        _require_themselves(person_id, caller)
    person = (await store.those(tx, [person_id])).get(person_id)
    return _own(_known(person), await links.awaited_address(tx, person_id))


@routes.put("/people/{person_id}", responses=failures(HTTPStatus.TOO_MANY_REQUESTS))
async def change_own(person_id: UUID, body: PersonForm, caller: AnyCaller, tx: Tx) -> OwnView:
    """Name and language change at once, the address when the link that goes to the new one is used.

    From now on these are the person's own: of a traveller, what their company's update says of them does not count.
    """
    _require_themselves(person_id, caller)
    person = _known(await store.locked(tx, person_id))
    person = replace(person, addressee=Addressee(body.name, person.addressee.email, body.reads), own_words=True)
    await store.save(tx, [person])
    wanted = None if body.email == person.addressee.email else body.email
    if wanted != await links.awaited_address(tx, person_id):
        await links.drop_address_links(tx, person_id)
        if wanted:
            await limits.spend_link(tx, wanted)
            await handlers.send(tx, Link(uuid7(), person_id, Purpose.ADDRESS, wanted))
    return _own(person, wanted)


def _require_themselves(person_id: UUID, caller: Caller) -> None:
    if caller.person_id != person_id:
        raise NotYours("not_you", "The token is for somebody else")


def _known(person: Person | None) -> Person:
    if person is None:
        raise Unknown("unknown_person", "There is nobody under this id")
    return person


def _own(person: Person, unconfirmed: str | None) -> OwnView:
    return OwnView(**_told(person), unconfirmed_email=unconfirmed)


def _told(person: Person) -> dict[str, Any]:
    here = person.addressee
    return {
        "person_id": person.person_id,
        "part": person.part,
        "name": here.name,
        "email": here.email,
        "reads": here.reads,
    }
