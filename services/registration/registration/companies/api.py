"""A company's own HTTP: it drafts, submits, changes what it says about itself, and leaves; and the keys of its tokens."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from chassis.http import Tx
from chassis.idempotency import Once
from chassis.identity import Caller, Role, requires
from chassis.openapi import failures
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, RootModel, SkipValidation
from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import SizeClass, Spoken, Window

from registration import signing
from registration.companies import deciding, domain, store
from registration.companies.audit import Told
from registration.companies.deciding import who
from registration.companies.domain import Command, Company, Profile, Rest, Status
from registration.companies.eligibility import Accounts, PublicHolder, Related
from registration.companies.form import (
    CompanyForm,
    RegistrationForm,
    RenewalForm,
    read,
    read_draft,
    read_renewal,
    require_json,
)
from registration.companies.profile import profile
from registration.people import store as people
from registration.people.domain import Addressee, Part, Person
from registration.people.form import PersonForm
from registration.sign_in import sessions
from registration.sign_in.api import NOT_KEPT
from registration.sign_in.sessions import SessionView

routes = APIRouter()

Said = Annotated[CompanyForm, SkipValidation]
Joining = Annotated[RegistrationForm, SkipValidation]
Renewed = Annotated[RenewalForm, SkipValidation]
"""The body as JSON brought it, documented as the form that it is to be; ``form.read`` validates it with all it takes."""


async def _its_own(
    company_id: UUID, caller: Annotated[Caller, Depends(requires(Role.COMPANY, Role.OPERATOR))]
) -> Caller:
    if caller.role is not Role.OPERATOR and caller.company_id != company_id:
        raise NotYours("not_your_company", "The token is for another company")
    return caller


Owner = Annotated[Caller, Depends(_its_own)]
"""The company itself, or an operator."""


async def _may_look(
    company_id: UUID, caller: Annotated[Caller, Depends(requires(Role.COMPANY, Role.CONTACT_POINT, Role.OPERATOR))]
) -> Caller:
    return caller if caller.role is Role.CONTACT_POINT else await _its_own(company_id, caller)


Reader = Annotated[Caller, Depends(_may_look)]
"""The same, or a contact point: whether it is that of the company's country, the company tells."""


class GivenPlacement(BaseModel):
    placement_id: UUID
    traveller_id: UUID


class GivenOffer(BaseModel):
    offer_id: UUID


class Made(BaseModel):
    """Where the company stands, and the ids that were given, in the form's order; none as long as a draft is not whole."""

    company_id: UUID
    revision: int
    status: Status
    undecided: bool
    """What the company submitted last waits for a decision."""
    missing: list[str] = []
    """Paths of what a draft needs before it can be submitted."""
    placements: list[GivenPlacement]
    offers: list[GivenOffer]


class Registered(Made, SessionView):
    """With a session of whoever registers it, who may lose this answer and ask again; travellers sign in by a link."""


class NamedPlacement(Placement):
    traveller: Addressee
    state: Rest | None = None
    """Paused or closed, where it is."""


class OfferView(HostingOffer):
    state: Rest | None = None


class CompanyView(BaseModel):
    """What the company said last. As long as it has submitted nothing, all of that is in ``draft``."""

    company_id: UUID
    revision: int
    status: Status
    undecided: bool
    told: Told | None
    """What a contact point or an operator last wrote to the company."""
    draft: Mapping[str, Any] | None
    """The form as it was sent, if it has not been submitted since."""
    name: str | None = None
    country: str | None = None
    region: str | None = None
    nace: str | None = None
    size_class: SizeClass | None = None
    """As the company says; others are told ``computed_size_class``."""
    computed_size_class: SizeClass | None = None
    accounts: list[Accounts] = []
    related: list[Related] = []
    public_holders: list[PublicHolder] = []
    vat: str | None = None
    learning_only: bool | None = None
    languages: list[Spoken] = []
    placements: list[NamedPlacement] = []
    offers: list[OfferView] = []


class WithdrawalForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Literal["left"]


@routes.post("/companies", status_code=201, dependencies=[NOT_KEPT], responses=failures(HTTPStatus.GONE))
async def register(body: Joining, tx: Tx, once: Once) -> Registered:
    """Saves a draft with what is there; only who speaks for the company has to be."""

    async def begin() -> Made:
        form, missing = read_draft(RegistrationForm, body, tx.now.date(), tx.settings.taxonomy.skills)
        contact = PersonForm.model_validate(_as_json(body)["contact"])
        company = domain.draft(once.id("company"), _without_contact(body))
        await store.add(tx, company)
        await people.save(tx, [Person(once.id("contact"), company.company_id, Part.ADMIN, contact.addressee)])
        return drafted(company, form, missing)

    require_json(body)
    given = await once.answer(RootModel[Any](body), Made, begin)
    contact = (await people.those(tx, [once.id("contact")])).get(once.id("contact"))
    if contact is None:
        raise Refused("contact_gone", "Who registered the company speaks for it no longer")
    return Registered(**given.model_dump(), **(await sessions.opened(tx, contact)).model_dump())


@routes.get("/companies/{company_id}")
async def show(company_id: UUID, reader: Reader, tx: Tx) -> CompanyView:
    company = await store.found(tx, company_id)
    require_own_country(reader, company)
    return view(company, await store.last_words(tx, company_id))


@routes.put("/companies/{company_id}")
async def update(company_id: UUID, body: Said, owner: Owner, tx: Tx) -> Made:
    """Replaces what the company says: a draft, whole or not, until it is submitted; from an admitted company, all of it."""
    company = await store.locked(tx, company_id)
    if company.status is not Status.ADMITTED:
        form, missing = read_draft(CompanyForm, body, tx.now.date(), tx.settings.taxonomy.skills, company.said)
        edited = domain.edit_draft(company, who(owner), _as_json(body))
        await store.save(tx, edited)
        return drafted(edited, form, missing)
    form = read(CompanyForm, body, tx.now.date(), tx.settings.taxonomy.skills, company.said)
    changed, events = domain.edit(company, who(owner), profile(form, company.new_id, company.said))
    tx.emit(*events)
    if changed != company:
        changed = await deciding.settle(tx, changed)
    deciding.heard_from(tx, company_id)
    return made(changed)


@routes.post("/companies/{company_id}/submission")
async def submit(company_id: UUID, owner: Owner, tx: Tx) -> Made:
    """Submits the draft, which has to be whole. The rules decide at once where they can; see ``status`` and ``undecided``."""
    company = await store.locked(tx, company_id)
    if company.draft is None and company.status in (Status.SUBMITTED, Status.ADMITTED):
        return made(company)  # it was submitted before
    draft = domain.submittable(company, who(owner))
    form = read(CompanyForm, draft, tx.now.date(), tx.settings.taxonomy.skills, company.said)
    submitted = domain.submit(company, who(owner), profile(form, company.new_id, company.said))
    kept = await deciding.keep(tx, company, (submitted, []), Command.SUBMIT, owner)
    return made(await deciding.settle(tx, kept))


@routes.post("/companies/{company_id}/withdrawal", status_code=204)
async def withdraw(company_id: UUID, body: WithdrawalForm, owner: Owner, tx: Tx) -> None:
    company = await store.locked(tx, company_id)
    decision = domain.withdraw(company, who(owner))
    if decision[0] != company:
        await deciding.keep(tx, company, decision, Command.WITHDRAW, owner)


@routes.post("/companies/{company_id}/interest", status_code=204)
async def confirm(company_id: UUID, owner: Owner, tx: Tx) -> None:
    """The company is still interested, and is asked again in a year."""
    domain.confirm(await store.locked(tx, company_id), who(owner))
    deciding.heard_from(tx, company_id)


@routes.post("/companies/{company_id}/stays/{stay_id}/pause")
async def pause(company_id: UUID, stay_id: UUID, owner: Owner, tx: Tx) -> Made:
    """A placement or an offer takes part in nothing new until it is renewed; what is agreed goes on."""
    company = await store.locked(tx, company_id)
    return await _with_stay(tx, company, domain.pause(company, who(owner), stay_id))


@routes.post("/companies/{company_id}/stays/{stay_id}/closure")
async def close(company_id: UUID, stay_id: UUID, owner: Owner, tx: Tx) -> Made:
    """The same for good."""
    company = await store.locked(tx, company_id)
    return await _with_stay(tx, company, domain.close(company, who(owner), stay_id))


@routes.post("/companies/{company_id}/stays/{stay_id}/renewal")
async def renew(company_id: UUID, stay_id: UUID, body: Renewed, owner: Owner, tx: Tx) -> Made:
    """A placement or an offer takes part with this window; a paused one again."""
    company = await store.locked(tx, company_id)
    stay = domain.renewable(company, who(owner), stay_id)
    form = read_renewal(body, tx.now.date(), stay)
    window = Window(first=form.window.first, last=form.window.last)
    return await _with_stay(tx, company, domain.renew(company, who(owner), stay_id, window))


@routes.get("/.well-known/jwks.json")
async def keys(request: Request) -> dict[str, Any]:
    return signing.key_set(request.app.state.settings)


async def _with_stay(tx: Tx, before: Company, decision: domain.Decision) -> Made:
    company, events = decision
    if company != before:
        await store.save(tx, company)
        tx.emit(*events)
    deciding.heard_from(tx, company.company_id)
    return made(company)


def require_own_country(caller: Caller, company: Company) -> None:
    """A contact point has to do with the companies of its country, from the time that they submit something.

    While a move to another country waits, both look, and both can put the company out.

    Raises:
        NotYours: the company is none of its own.
    """
    _require_one_of(caller, company.said, company.profile)


def require_deciding_country(caller: Caller, company: Company) -> None:
    """What a company says is decided in the country where it says that it is: a move, where it moves to.

    Raises:
        NotYours: that is another country than the contact point's.
    """
    _require_one_of(caller, company.said)


def _require_one_of(caller: Caller, *profiles: Profile | None) -> None:
    if caller.role is Role.CONTACT_POINT and caller.country not in {each.country for each in profiles if each}:
        raise NotYours("not_your_country", "The company is not one of this contact point's country")


def made(company: Company) -> Made:
    return _made(company, company.said, [])


def drafted(company: Company, form: CompanyForm | None, missing: list[str]) -> Made:
    return _made(company, form and profile(form, company.new_id, company.said), missing)


def _made(company: Company, said: Profile | None, missing: list[str]) -> Made:
    return Made(
        company_id=company.company_id,
        revision=company.revision,
        status=company.status,
        undecided=company.undecided,
        missing=missing,
        placements=[
            GivenPlacement(placement_id=placement.placement_id, traveller_id=placement.traveller_id)
            for placement in (said.placements if said else ())
        ],
        offers=[GivenOffer(offer_id=offer.offer_id) for offer in (said.offers if said else ())],
    )


def view(company: Company, told: Told | None) -> CompanyView:
    begun = CompanyView(
        company_id=company.company_id,
        revision=company.revision,
        status=company.status,
        undecided=company.undecided,
        told=told,
        draft=company.draft,
    )
    said = company.said
    if said is None:
        return begun
    placements = [
        NamedPlacement(
            **placement.model_dump(),
            traveller=said.travellers[placement.traveller_id],
            state=said.resting.get(placement.placement_id),
        )
        for placement in said.placements
    ]
    return begun.model_copy(
        update={
            "name": said.name,
            "country": said.country,
            "region": said.region,
            "nace": said.nace,
            "size_class": said.enterprise.claimed,
            "computed_size_class": said.size_class,
            "accounts": list(said.enterprise.accounts),
            "related": list(said.enterprise.related),
            "public_holders": list(said.enterprise.public_holders),
            "vat": said.enterprise.vat,
            "learning_only": said.enterprise.learning_only,
            "languages": list(said.languages),
            "placements": placements,
            "offers": [
                OfferView(**offer.model_dump(), state=said.resting.get(offer.offer_id)) for offer in said.offers
            ],
        }
    )


def _without_contact(body: Any) -> dict[str, Any]:
    return {name: value for name, value in _as_json(body).items() if name != "contact"}


def _as_json(body: Any) -> dict[str, Any]:
    """What came in as JSON and was found to be a form, though FastAPI's types say that it is one already."""
    return body
