"""Makes a company's profile out of its form: what is new gets an id, what is said again keeps its own.

So an update that is sent twice, because its first answer was lost, changes nothing the second time. A stay that was closed
is not said again but by its id.

The company says who travels; a traveller who said how they are addressed stays so. Under a placement's id, whatever the form
says of its traveller then means them; without an id, their name or their address does. Somebody else has another placement.
"""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.vocabulary import Spoken

from registration.companies.domain import Profile, Rest
from registration.companies.eligibility import Accounts, Enterprise, PublicHolder, Related
from registration.companies.form import AccountsForm, CompanyForm, OfferForm, PlacementForm
from registration.people.domain import Addressee

NewId = Callable[[str], UUID]
"""Gives the id for a name such as ``placement/0``, the same one on every repeat."""

Travelling = tuple[Placement, Addressee]
"""A placement and its traveller."""


def profile(form: CompanyForm, new_id: NewId, held: Profile | None = None) -> Profile:
    """What the form says, with ids. ``held`` is what the company has said so far."""
    placements = _placements(form.placements, new_id, held)
    travellers = {placement.traveller_id: traveller for placement, traveller in placements}
    said = Profile(
        name=form.name,
        country=form.country,
        region=form.region,
        nace=form.nace,
        enterprise=_enterprise(form),
        languages=tuple(Spoken(language=said.language, level=said.level) for said in form.languages),
        placements=tuple(placement for placement, _ in placements),
        offers=tuple(_offers(form.offers, new_id, held)),
        travellers=travellers,
        resting={},
        own_words=held.own_words & travellers.keys() if held else frozenset(),
    )
    kept = held.resting if held else {}
    return replace(said, resting={stay_id: rest for stay_id, rest in kept.items() if stay_id in said.stays})


def _enterprise(form: CompanyForm) -> Enterprise:
    return Enterprise(
        claimed=form.size_class,
        accounts=_accounts(form.accounts),
        related=tuple(Related(each.relation, each.share, _accounts(each.accounts)) for each in form.related),
        vat=form.vat,
        learning_only=form.learning_only,
        public_holders=tuple(PublicHolder(**each.model_dump()) for each in form.public_holders),
    )


def _accounts(forms: list[AccountsForm]) -> tuple[Accounts, ...]:
    return tuple(Accounts(each.headcount, each.turnover, each.balance_sheet) for each in forms)


def _placements(forms: list[PlacementForm], new_id: NewId, held: Profile | None) -> list[Travelling]:
    ours = {str(placement.placement_id): placement for placement in held.placements} if held else {}
    own_words = {id_: held.travellers[id_] for id_ in held.own_words} if held else {}
    said_of = held.travellers if held else {}
    named = {form.placement_id: ours.pop(form.placement_id) for form in forms if form.placement_id}
    left = {key: each for key, each in ours.items() if not _closed(held, each.placement_id)}

    def settled(place: int, form: PlacementForm) -> Travelling:
        said = form.traveller.addressee
        if form.placement_id:
            known = named[form.placement_id]
            addressee = own_words.get(known.traveller_id, said)
            return _placement(form, known.placement_id, known.traveller_id), addressee
        for key, known in left.items():
            again = _placement(form, known.placement_id, known.traveller_id)
            here = said_of[known.traveller_id]
            meant = here == said or (known.traveller_id in own_words and _is_like(here, said))
            if again == known and meant:
                del left[key]
                return again, here
        return _placement(form, new_id(f"placement/{place}"), new_id(f"traveller/{place}")), said

    return [settled(place, form) for place, form in enumerate(forms)]


def _is_like(one: Addressee, other: Addressee) -> bool:
    return one.name == other.name or one.email == other.email


def _offers(forms: list[OfferForm], new_id: NewId, held: Profile | None) -> list[HostingOffer]:
    offers = held.offers if held else ()
    left = {str(offer.offer_id): offer for offer in offers if not _closed(held, offer.offer_id)}
    for form in forms:
        left.pop(form.offer_id or "", None)

    def settled(place: int, form: OfferForm) -> HostingOffer:
        if form.offer_id:
            return _offer(form, UUID(form.offer_id))
        for key, known in left.items():
            if _offer(form, known.offer_id) == known:
                return left.pop(key)
        return _offer(form, new_id(f"offer/{place}"))

    return [settled(place, form) for place, form in enumerate(forms)]


def _closed(held: Profile | None, stay_id: UUID) -> bool:
    return held is not None and held.resting.get(stay_id) is Rest.CLOSED


def _placement(form: PlacementForm, placement_id: UUID, traveller_id: UUID) -> Placement:
    said = form.model_dump(exclude={"placement_id", "traveller"})
    return Placement(placement_id=placement_id, traveller_id=traveller_id, **said)


def _offer(form: OfferForm, offer_id: UUID) -> HostingOffer:
    return HostingOffer(offer_id=offer_id, **form.model_dump(exclude={"offer_id"}))
