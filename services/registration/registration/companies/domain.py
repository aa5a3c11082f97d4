"""The life of a company in the programme: it drafts, submits, is admitted or not, changes what it says, and leaves for good."""

import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn, HostingOffer, Placement
from sojourn_contracts.event import Event
from sojourn_contracts.refusal import NotYours, Refused, Unknown
from sojourn_contracts.vocabulary import Country, Region, SizeClass, Spoken, Window

from registration.companies import eligibility
from registration.companies.eligibility import Enterprise, Facts
from registration.people.domain import Addressee


class Status(StrEnum):
    """Where a company stands in the programme."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    """The rules, a register or a contact point are to decide."""
    NEEDS_CHANGES = "needs_changes"
    ADMITTED = "admitted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    """It left."""
    EXCLUDED = "excluded"


class Command(StrEnum):
    """What is done about a company."""

    EDIT = "edit"
    SUBMIT = "submit"
    ADMIT = "admit"
    """It, or what it last said, is in force from now on."""
    REFER = "refer"
    """The rules leave it to a contact point."""
    SEND_BACK = "send_back"
    REJECT = "reject"
    CHANGE_STAY = "change_stay"
    """A placement or a hosting offer is paused, renewed or closed."""
    CONFIRM = "confirm"
    """It is still interested."""
    CLOSE_STAYS = "close_stays"
    """Nobody said that it still is."""
    WITHDRAW = "withdraw"
    EXCLUDE = "exclude"


class Who(StrEnum):
    COMPANY = "company"
    CONTACT_POINT = "contact_point"
    OPERATOR = "operator"
    PROGRAMME = "programme"
    """The rules, and time."""


_ITSELF = (Who.COMPANY, Who.OPERATOR)
_STAFF = (Who.CONTACT_POINT, Who.OPERATOR)
_ANY_DECIDER = (Who.PROGRAMME, *_STAFF)

LIFE: Mapping[tuple[Status, Command, Who], Status] = {
    (before, command, who): after
    for before, command, those, after in (
        (Status.DRAFT, Command.EDIT, _ITSELF, Status.DRAFT),
        (Status.DRAFT, Command.SUBMIT, _ITSELF, Status.SUBMITTED),
        (Status.DRAFT, Command.WITHDRAW, _ITSELF, Status.WITHDRAWN),
        (Status.DRAFT, Command.EXCLUDE, _STAFF, Status.EXCLUDED),
        (Status.SUBMITTED, Command.ADMIT, _ANY_DECIDER, Status.ADMITTED),
        (Status.SUBMITTED, Command.REFER, (Who.PROGRAMME,), Status.SUBMITTED),
        (Status.SUBMITTED, Command.SEND_BACK, _STAFF, Status.NEEDS_CHANGES),
        (Status.SUBMITTED, Command.REJECT, _STAFF, Status.REJECTED),
        (Status.SUBMITTED, Command.WITHDRAW, _ITSELF, Status.WITHDRAWN),
        (Status.SUBMITTED, Command.EXCLUDE, _STAFF, Status.EXCLUDED),
        (Status.NEEDS_CHANGES, Command.EDIT, _ITSELF, Status.NEEDS_CHANGES),
        (Status.NEEDS_CHANGES, Command.SUBMIT, _ITSELF, Status.SUBMITTED),
        (Status.NEEDS_CHANGES, Command.WITHDRAW, _ITSELF, Status.WITHDRAWN),
        (Status.NEEDS_CHANGES, Command.EXCLUDE, _STAFF, Status.EXCLUDED),
        (Status.ADMITTED, Command.EDIT, _ITSELF, Status.ADMITTED),
        # What an admitted company says anew may have to be decided upon; whatever becomes of that, it stays.
        (Status.ADMITTED, Command.ADMIT, _ANY_DECIDER, Status.ADMITTED),
        (Status.ADMITTED, Command.REFER, (Who.PROGRAMME,), Status.ADMITTED),
        (Status.ADMITTED, Command.SEND_BACK, _STAFF, Status.ADMITTED),
        (Status.ADMITTED, Command.REJECT, _STAFF, Status.ADMITTED),
        (Status.ADMITTED, Command.CHANGE_STAY, _ITSELF, Status.ADMITTED),
        (Status.ADMITTED, Command.CONFIRM, _ITSELF, Status.ADMITTED),
        (Status.ADMITTED, Command.CLOSE_STAYS, (Who.PROGRAMME,), Status.ADMITTED),
        (Status.ADMITTED, Command.WITHDRAW, _ITSELF, Status.WITHDRAWN),
        (Status.ADMITTED, Command.EXCLUDE, _STAFF, Status.EXCLUDED),
        (Status.REJECTED, Command.EXCLUDE, _STAFF, Status.EXCLUDED),
    )
    for who in those
}
"""All that can happen to a company, and who can do it."""


class Rest(StrEnum):
    """Why a placement or a hosting offer takes part in nothing new."""

    PAUSED = "paused"
    """Until it is renewed."""
    CLOSED = "closed"
    """For good."""


@dataclass(frozen=True)
class Profile:
    """What a company says about itself. Names and addresses are for registration alone, the rest is told to everybody."""

    name: str
    country: Country
    region: Region
    nace: str
    """NACE class or division as it is written, ``62.10``; others get to know the division only."""
    enterprise: Enterprise
    """What its eligibility is decided by; others get to know the size class only."""
    languages: tuple[Spoken, ...]
    placements: tuple[Placement, ...]
    offers: tuple[HostingOffer, ...]
    travellers: Mapping[UUID, Addressee]
    """Who travels, by the ids in the placements."""
    resting: Mapping[UUID, Rest]
    """Placements and offers, by their ids, that are paused or closed; others are not told of these."""
    own_words: frozenset[UUID] = frozenset()
    """Those of the travellers who said themselves how they are addressed, which the company's form does not change."""

    @property
    def size_class(self) -> SizeClass:
        return eligibility.size_class(self.enterprise)

    @property
    def facts(self) -> Facts:
        return Facts(self.country, self.enterprise, bool(self.placements))

    @property
    def stays(self) -> Mapping[UUID, Placement | HostingOffer]:
        """The placements and offers, by their ids."""
        return {place.placement_id: place for place in self.placements} | {each.offer_id: each for each in self.offers}

    @property
    def open_placements(self) -> tuple[Placement, ...]:
        return tuple(each for each in self.placements if each.placement_id not in self.resting)

    @property
    def open_offers(self) -> tuple[HostingOffer, ...]:
        return tuple(each for each in self.offers if each.offer_id not in self.resting)

    def rested(self, stay_id: UUID, rest: Rest) -> "Profile":
        """With this stay paused or closed; a closed one stays closed."""
        if stay_id not in self.stays or self.resting.get(stay_id) is Rest.CLOSED:
            return self
        return replace(self, resting={**self.resting, stay_id: rest})

    def renewed(self, stay_id: UUID, window: Window) -> "Profile":
        """With this stay open in another window."""

        def anew(stay: Any, its_id: UUID) -> Any:
            return stay.model_copy(update={"window": window}) if its_id == stay_id else stay

        return replace(
            self,
            placements=tuple(anew(each, each.placement_id) for each in self.placements),
            offers=tuple(anew(each, each.offer_id) for each in self.offers),
            resting={each: rest for each, rest in self.resting.items() if each != stay_id},
        )


@dataclass(frozen=True)
class Company:
    """A company at one revision."""

    company_id: UUID
    revision: int
    status: Status
    draft: Mapping[str, Any] | None
    """The form as the company sent it, whole or not, that it did not submit yet."""
    said: Profile | None
    """What it submitted last, decided upon or not."""
    profile: Profile | None
    """What is in force, and known to others; None if it was never admitted."""
    basis: int = 0
    """The revision at which ``said`` was; ids of what comes new are derived from it."""

    @property
    def undecided(self) -> bool:
        """What it submitted last waits for the rules, a register or a contact point."""
        return self.status is Status.SUBMITTED or (self.status is Status.ADMITTED and self.said != self.profile)

    def new_id(self, name: str) -> UUID:
        """The id of something new in what the company says next, the same one until it is submitted."""
        return uuid5(self.company_id, f"{self.basis}/{name}")

    def as_registered(self) -> CompanyRegistered:
        return CompanyRegistered(**self._told())

    def as_updated(self) -> CompanyUpdated:
        return CompanyUpdated(**self._told())

    def as_withdrawn(self, reason: str) -> CompanyWithdrawn:
        return CompanyWithdrawn(company_id=self.company_id, revision=self.revision, reason=reason)

    def _told(self) -> dict[str, Any]:
        """What others get to know: coarse, without a name, and without what is paused or closed."""
        if self.profile is None:
            raise ValueError("nobody is told of a company that was not admitted")
        return {
            "company_id": self.company_id,
            "revision": self.revision,
            "country": self.profile.country,
            "region": self.profile.region,
            "sector": self.profile.nace[:2],
            "size_class": self.profile.size_class,
            "languages": self.profile.languages,
            "placements": self.profile.open_placements,
            "offers": self.profile.open_offers,
        }


Decision = tuple[Company, list[Event]]


def draft(company_id: UUID, form: Mapping[str, Any]) -> Company:
    """A company begins. Nobody is told."""
    return Company(company_id, 1, Status.DRAFT, form, None, None)


def edit_draft(company: Company, who: Who, form: Mapping[str, Any]) -> Company:
    """What it means to submit is replaced whole; the same again changes nothing.

    Raises:
        Refused: its status does not allow it.
    """
    after = _after(company, Command.EDIT, who)
    if form == company.draft:
        return company
    return replace(company, revision=company.revision + 1, status=after, draft=form)


def submittable(company: Company, who: Who) -> Mapping[str, Any]:
    """The form that it would submit.

    Raises:
        Refused: ``nothing_changed`` since it was sent back; its status does not allow it.
    """
    _after(company, Command.SUBMIT, who)
    if company.draft is None:
        raise Refused("nothing_changed", "Nothing was changed since the company was sent back")
    return company.draft


def submit(company: Company, who: Who, profile: Profile) -> Company:
    """What it says now waits for a decision.

    Raises:
        Refused: its status does not allow it.
    """
    after = _after(company, Command.SUBMIT, who)
    revision = company.revision + 1
    return replace(company, revision=revision, status=after, draft=None, said=profile, basis=revision)


def edit(company: Company, who: Who, profile: Profile) -> Decision:
    """What an admitted company says about itself is replaced whole; if that changes nothing, there is no new revision.

    It is in force at once, unless the rules look at what changed: then it waits for a decision, and what was in force stays so.
    Names and addresses never wait: no rule looks at them, and a company has one of each.

    Raises:
        Refused: its status does not allow it.
    """
    after = _after(company, Command.EDIT, who)
    in_force = _in_force(company)
    if profile == company.said:
        return company, []
    revision = company.revision + 1
    edited = replace(company, revision=revision, status=after, said=profile, basis=revision)
    if profile.facts != in_force.facts:
        return edited, []
    return _told_if_changed(company, replace(edited, profile=profile))


def admit(company: Company, who: Who) -> Decision:
    """What it submitted last is in force. Only the first time, that is a registration.

    Raises:
        Refused: ``nothing_to_decide``; its status does not allow it.
    """
    after = _decided(company, Command.ADMIT, who)
    admitted = replace(company, revision=company.revision + 1, status=after, profile=company.said)
    if company.profile is None:
        return admitted, [admitted.as_registered()]
    return _told_if_changed(company, admitted)


def refer(company: Company) -> Company:
    """The rules are not all clear: a contact point decides."""
    return replace(company, status=_decided(company, Command.REFER, Who.PROGRAMME))


def send_back(company: Company, who: Who) -> Company:
    """It is to change something; an admitted company goes on with what is in force.

    Raises:
        Refused: ``nothing_to_decide``; its status does not allow it.
    """
    return _not_as_said(company, Command.SEND_BACK, who)


def reject(company: Company, who: Who) -> Company:
    """It does not take part; of an admitted company, only what it said last is rejected.

    Raises:
        Refused: ``nothing_to_decide``; its status does not allow it.
    """
    return _not_as_said(company, Command.REJECT, who)


def without_traveller(company: Company, person_id: UUID, addressee: Addressee) -> Decision:
    """A traveller is forgotten: their placement goes, and what was told of the company is told again without it.

    By both events, since each has a topic of its own, which keeps the newest of it; also of a company that has left.
    """

    def left(profile: Profile) -> Profile:
        placements = tuple(each for each in profile.placements if each.traveller_id != person_id)
        kept = {each.placement_id for each in placements} | {each.offer_id for each in profile.offers}
        return replace(
            profile,
            placements=placements,
            travellers={id_: each for id_, each in profile.travellers.items() if id_ != person_id},
            own_words=profile.own_words - {person_id},
            resting={id_: rest for id_, rest in profile.resting.items() if id_ in kept},
        )

    profiles = [each for each in (company.said, company.profile) if each]
    theirs = {
        str(place.placement_id) for each in profiles for place in each.placements if place.traveller_id == person_id
    }

    def is_theirs(stay: Any) -> bool:
        """By its id, or by their name or address however it was written: one of these may have changed since."""
        said: Any = stay.get("traveller") or {}
        written = {_plainly(said.get("name")), _plainly(said.get("email"))}
        return stay.get("placement_id") in theirs or not written.isdisjoint(
            {_plainly(addressee.name), _plainly(addressee.email)}
        )

    def written(draft: Mapping[str, Any]) -> Mapping[str, Any]:
        """A draft says names and addresses, and may not be whole."""
        if not isinstance(draft.get("placements"), list):
            return draft
        return {**draft, "placements": [stay for stay in draft["placements"] if not is_theirs(stay)]}

    changed = replace(
        company,
        revision=company.revision + 1,
        draft=company.draft and written(company.draft),
        said=company.said and left(company.said),
        profile=company.profile and left(company.profile),
    )
    return changed, [changed.as_registered(), changed.as_updated()] if changed.profile else []


def _plainly(text: Any) -> str:
    """As the form would read it, in small letters."""
    return unicodedata.normalize("NFC", str(text or "")).strip().casefold()


def withdraw(company: Company, who: Who) -> Decision:
    """The company leaves for good. Once it is gone, a second time changes nothing.

    Raises:
        Refused: its status does not allow it.
    """
    if company.status in (Status.WITHDRAWN, Status.EXCLUDED):
        return company, []
    return _gone(company, _after(company, Command.WITHDRAW, who), "left")


def exclude(company: Company, who: Who) -> Decision:
    """The company is put out for good. Once it is gone, a second time changes nothing.

    Raises:
        Refused: its status does not allow it.
    """
    if company.status in (Status.WITHDRAWN, Status.EXCLUDED):
        return company, []
    return _gone(company, _after(company, Command.EXCLUDE, who), "excluded")


def pause(company: Company, who: Who, stay_id: UUID) -> Decision:
    """A placement or an offer takes part in nothing new until it is renewed.

    Raises:
        Refused: ``stay_closed``; the company's status does not allow it.
        Unknown: ``unknown_stay``.
    """
    _open_or_paused(company, who, stay_id)
    return _with_stays(company, lambda profile: profile.rested(stay_id, Rest.PAUSED))


def close(company: Company, who: Who, stay_id: UUID) -> Decision:
    """A placement or an offer takes part in nothing new for good; what is agreed goes on.

    Raises:
        Refused: the company's status does not allow it.
        Unknown: ``unknown_stay``.
    """
    _known_stay(company, who, stay_id)
    return _with_stays(company, lambda profile: profile.rested(stay_id, Rest.CLOSED))


def renewable(company: Company, who: Who, stay_id: UUID) -> Placement | HostingOffer:
    """The placement or offer, if it can be renewed.

    Raises:
        Refused: ``stay_closed``; the company's status does not allow it.
        Unknown: ``unknown_stay``.
    """
    _open_or_paused(company, who, stay_id)
    return _in_force(company).stays[stay_id]


def renew(company: Company, who: Who, stay_id: UUID, window: Window) -> Decision:
    """A placement or an offer, paused or not, takes part with this window.

    Raises:
        Refused: ``stay_closed``; the company's status does not allow it.
        Unknown: ``unknown_stay``.
    """
    _open_or_paused(company, who, stay_id)
    return _with_stays(company, lambda profile: profile.renewed(stay_id, window))


def confirm(company: Company, who: Who) -> None:
    """It is still interested.

    Raises:
        Refused: its status does not allow it.
    """
    _after(company, Command.CONFIRM, who)


def close_stays(company: Company) -> Decision:
    """Nobody said that the company is still interested: all its stays close. What is agreed goes on, and it stays admitted."""
    _after(company, Command.CLOSE_STAYS, Who.PROGRAMME)

    def all_closed(profile: Profile) -> Profile:
        return replace(profile, resting=dict.fromkeys(profile.stays, Rest.CLOSED))

    return _with_stays(company, all_closed)


def _after(company: Company, command: Command, who: Who) -> Status:
    """Raises: Refused, NotYours."""
    if (company.status, command, who) in LIFE:
        return LIFE[company.status, command, who]
    others: Collection[Who] = [each for each in Who if (company.status, command, each) in LIFE]
    if others:
        raise NotYours("not_yours_to_decide", f"Only {' or '.join(others)} can do that")
    raise Refused(
        f"company_{company.status}", f"The company is {company.status.replace('_', ' ')}: it cannot {command}"
    )


def _decided(company: Company, command: Command, who: Who) -> Status:
    after = _after(company, command, who)
    if not company.undecided:
        raise Refused("nothing_to_decide", "Nothing of this company waits for a decision")
    return after


def _not_as_said(company: Company, command: Command, who: Who) -> Company:
    after = _decided(company, command, who)
    said = company.profile if company.status is Status.ADMITTED else company.said
    return replace(company, revision=company.revision + 1, status=after, said=said)


def _gone(company: Company, after: Status, reason: str) -> Decision:
    gone = replace(company, revision=company.revision + 1, status=after, draft=None)
    return gone, [gone.as_withdrawn(reason)] if company.profile else []


def _in_force(company: Company) -> Profile:
    if company.profile is None:
        raise ValueError(f"{company.company_id} is {company.status} without a profile in force")
    return company.profile


def _known_stay(company: Company, who: Who, stay_id: UUID) -> Rest | None:
    _after(company, Command.CHANGE_STAY, who)
    in_force = _in_force(company)
    if stay_id not in in_force.stays:
        raise Unknown("unknown_stay", "The company has no such placement or offer")
    return in_force.resting.get(stay_id)


def _open_or_paused(company: Company, who: Who, stay_id: UUID) -> None:
    if _known_stay(company, who, stay_id) is Rest.CLOSED:
        raise Refused("stay_closed", "This placement or offer was closed for good")


def _with_stays(company: Company, change: Callable[[Profile], Profile]) -> Decision:
    """In what is in force and in what waits for a decision alike: that one must not undo the change when it is admitted."""
    said = company.said and change(company.said)
    profile = change(_in_force(company))
    if (said, profile) == (company.said, company.profile):
        return company, []
    changed = replace(company, revision=company.revision + 1, said=said, profile=profile)
    return _told_if_changed(company, changed)


def _told_if_changed(before: Company, after: Company) -> Decision:
    """What only waits for a decision is nobody else's news."""
    return after, [after.as_updated()] if after.profile != before.profile else []
