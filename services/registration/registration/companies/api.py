"""Registration's HTTP: a company registers, changes what it says about itself, and leaves; and the keys of its tokens."""

from typing import Annotated, Any
from uuid import UUID, uuid5

from chassis.http import Tx
from chassis.idempotency import Once
from chassis.identity import Caller, Role, requires
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, RootModel, SkipValidation
from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import SizeClass, Spoken

from registration import signing
from registration.companies import domain, store
from registration.companies.domain import Company, Reason, Status
from registration.companies.form import CompanyForm, RegistrationForm, read, require_json
from registration.companies.profile import profile
from registration.people import store as people
from registration.people.domain import Addressee, Part, Person
from registration.sign_in import sessions
from registration.sign_in.api import NOT_KEPT
from registration.sign_in.sessions import SessionView

routes = APIRouter()

Said = Annotated[CompanyForm, SkipValidation]
Joining = Annotated[RegistrationForm, SkipValidation]
"""The body as JSON brought it, documented as the form that it is to be; ``form.read`` validates it with all it takes."""


async def _its_own(
    company_id: UUID, caller: Annotated[Caller, Depends(requires(Role.COMPANY, Role.OPERATOR))]
) -> Caller:
    if caller.role is not Role.OPERATOR and caller.company_id != company_id:
        raise NotYours("not_your_company", "The token is for another company")
    return caller


Owner = Annotated[Caller, Depends(_its_own)]
"""The company itself, or an operator."""


class GivenPlacement(BaseModel):
    placement_id: UUID
    traveller_id: UUID


class GivenOffer(BaseModel):
    offer_id: UUID


class Made(BaseModel):
    """The ids that were given, in the form's order."""

    company_id: UUID
    revision: int
    placements: list[GivenPlacement]
    offers: list[GivenOffer]


class Registered(Made, SessionView):
    """With a session of whoever registers it, who may lose this answer and ask again; travellers sign in by a link."""


class NamedPlacement(Placement):
    traveller: Addressee


class CompanyView(BaseModel):
    company_id: UUID
    revision: int
    status: Status
    withdrawn: Reason | None
    name: str
    country: str
    region: str
    nace: str
    size_class: SizeClass
    languages: list[Spoken]
    placements: list[NamedPlacement]
    offers: list[HostingOffer]


class WithdrawalForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason


@routes.post("/companies", status_code=201, dependencies=[NOT_KEPT])
async def register(body: Joining, tx: Tx, once: Once) -> Registered:
    async def admit() -> Made:
        form = read(RegistrationForm, body, tx.now.date(), tx.settings.taxonomy.skills)
        company, events = domain.register(once.id("company"), profile(form, once.id))
        await store.add(tx, company)
        await people.save(tx, [Person(once.id("contact"), company.company_id, Part.ADMIN, form.contact.addressee)])
        tx.emit(*events)
        return made(company)

    require_json(body)
    given = await once.answer(RootModel[Any](body), Made, admit)
    contact = (await people.those(tx, [once.id("contact")])).get(once.id("contact"))
    if contact is None:
        raise Refused("contact_gone", "Who registered the company speaks for it no longer")
    return Registered(**given.model_dump(), **(await sessions.opened(tx, contact)).model_dump())


@routes.get("/companies/{company_id}")
async def show(company_id: UUID, _owner: Owner, tx: Tx) -> CompanyView:
    return view(await store.found(tx, company_id))


@routes.put("/companies/{company_id}")
async def update(company_id: UUID, body: Said, _owner: Owner, tx: Tx) -> Made:
    company = await store.locked(tx, company_id)
    form = read(CompanyForm, body, tx.now.date(), tx.settings.taxonomy.skills, company.profile)
    said = profile(form, lambda name: uuid5(company_id, f"{company.revision + 1}/{name}"), company.profile)
    company, events = domain.update(company, said)
    await store.save(tx, company)
    tx.emit(*events)
    return made(company)


@routes.post("/companies/{company_id}/withdrawal", status_code=204)
async def withdraw(company_id: UUID, body: WithdrawalForm, owner: Owner, tx: Tx) -> None:
    if body.reason is Reason.EXCLUDED and owner.role is not Role.OPERATOR:
        raise NotYours("operators_only", "Only an operator excludes a company")
    company, events = domain.withdraw(await store.locked(tx, company_id), body.reason)
    await store.save(tx, company)
    tx.emit(*events)


@routes.get("/.well-known/jwks.json")
async def keys(request: Request) -> dict[str, Any]:
    return signing.key_set(request.app.state.settings)


def made(company: Company) -> Made:
    return Made(
        company_id=company.company_id,
        revision=company.revision,
        placements=[
            GivenPlacement(placement_id=placement.placement_id, traveller_id=placement.traveller_id)
            for placement in company.profile.placements
        ],
        offers=[GivenOffer(offer_id=offer.offer_id) for offer in company.profile.offers],
    )


def view(company: Company) -> CompanyView:
    said = company.profile
    placements = [
        NamedPlacement(**placement.model_dump(), traveller=said.travellers[placement.traveller_id])
        for placement in said.placements
    ]
    return CompanyView(
        company_id=company.company_id,
        revision=company.revision,
        status=company.status,
        withdrawn=company.withdrawn,
        name=said.name,
        country=said.country,
        region=said.region,
        nace=said.nace,
        size_class=said.size_class,
        languages=list(said.languages),
        placements=placements,
        offers=list(said.offers),
    )
