"""The bodies that the HTTP API takes and gives."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from sojourn_contracts.exchange import Stage
from sojourn_contracts.vocabulary import (
    MAX_STAY_DAYS,
    Country,
    Language,
    Party,
    Sector,
    Side,
    Training,
    TrainingDirection,
    Window,
)

from exchange import agreement
from exchange.agreement import Agreement, Giver, Insurance, Item, Part, Terms, content_hash
from exchange.state import Exchange
from exchange.store import Raised

MOST_SKILLS = 20
MOST_ITEMS = 20
MOST_PARTS = MAX_STAY_DAYS // agreement.MIN_PART_DAYS
MOST_TRAINING_HOURS = MAX_STAY_DAYS * 24
MOST_HOURS_A_DAY = 12

_PRINTABLE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=_PRINTABLE)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000, pattern=_PRINTABLE)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Decline(_Form):
    reason: Literal["dates", "skills", "capacity", "other"]


class PartForm(_Form):
    first_day: date
    last_day: date


class ItemForm(_Form):
    learner: TrainingDirection
    skills: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MOST_SKILLS)]
    """Ids of the taxonomy; at least one."""
    hours: Annotated[int, Field(ge=1, le=MOST_TRAINING_HOURS)]
    given_by: Giver


class InsuranceForm(_Form):
    """Who sees to it."""

    health: Party
    accident: Party
    liability: Party


class AgreementForm(_Form):
    """The learning agreement as one of the companies puts it forward; days, skills and training are checked together."""

    goals: Text
    training: Annotated[list[ItemForm], Field(max_length=MOST_ITEMS)]
    """At least one."""
    tasks: Annotated[list[Line], Field(min_length=1, max_length=20)]
    working_language: Language
    parts: Annotated[list[PartForm], Field(max_length=MOST_PARTS)]
    """In their order; at least one. A stay that is split has parts of at least 7 days, within 12 months."""
    workplace: Text
    supervision: Text
    insurance: InsuranceForm

    @property
    def terms(self) -> Terms:
        return Terms(
            parts=tuple(Part(part.first_day, part.last_day) for part in self.parts),
            training=tuple(Item(item.learner, tuple(item.skills), item.hours, item.given_by) for item in self.training),
            goals=self.goals,
            tasks=tuple(self.tasks),
            working_language=self.working_language,
            workplace=self.workplace,
            supervision=self.supervision,
            insurance=Insurance(self.insurance.health, self.insurance.accident, self.insurance.liability),
        )


class Signature(_Form):
    version: Annotated[int, Field(ge=1)]
    """The one that is signed; it must be the latest."""


class Approval(_Form):
    version: Annotated[int, Field(ge=1)]
    """The one that is approved; it must be the latest."""


class SendingBack(_Form):
    version: Annotated[int, Field(ge=1)]
    """The one that is sent back; it must be the latest."""
    remarks: Text
    """What another version has to say otherwise."""


class ArrivalForm(_Form):
    day: date


class FitForm(_Form):
    fits: bool


class DeliveryForm(_Form):
    hours: Annotated[int, Field(ge=1, le=MOST_HOURS_A_DAY)]
    given_by: Giver


class Interrupting(_Form):
    reason: Literal["illness", "business", "family", "other"]


class Cancellation(_Form):
    reason: Literal["illness", "dates", "business", "other"]


class SignatureView(BaseModel):
    by: Party
    signed_at: AwareDatetime
    content_hash: str
    person_id: UUID | None


class ReviewView(BaseModel):
    country: Country
    approved: bool
    reviewed_at: AwareDatetime
    remarks: str


class VersionView(BaseModel):
    """One version of the learning agreement, with all that was said about it."""

    version: int
    state: Literal["former", "in_force", "open", "sent_back"]
    """Open: it waits for signatures or approvals. Former: another one replaced it."""
    content: AgreementForm
    allowance_cents: int
    content_hash: str
    """SHA-256 of what is signed."""
    drafted_by: Side
    drafted_at: AwareDatetime
    signatures: list[SignatureView]
    validated_by: tuple[Country, ...]
    """Countries whose contact points have to approve it."""
    reviews: list[ReviewView]

    @classmethod
    def of(cls, version: Agreement, exchange: Exchange) -> "VersionView":
        terms = version.terms
        return cls(
            version=version.version,
            state=_state(version, exchange),
            content=AgreementForm.model_validate(terms, from_attributes=True),
            allowance_cents=version.allowance_cents,
            content_hash=content_hash(version),
            drafted_by=version.drafted_by,
            drafted_at=version.drafted_at,
            signatures=[SignatureView.model_validate(one, from_attributes=True) for one in version.signatures],
            validated_by=version.validated_by,
            reviews=[ReviewView.model_validate(one, from_attributes=True) for one in version.reviews],
        )


def _state(version: Agreement, exchange: Exchange) -> Literal["former", "in_force", "open", "sent_back"]:
    if version not in (exchange.agreement, exchange.amendment):
        return "former"
    if version.concluded:
        return "in_force"
    return "sent_back" if version.sent_back else "open"


class ArrivalView(BaseModel):
    side: Side
    day: date


class FitView(BaseModel):
    side: Side
    fits: bool
    answered_at: AwareDatetime


class InterruptionView(BaseModel):
    since: date
    """The first day that does not count."""
    until: date | None
    """The first day that counts again; null while it lasts."""
    reason: str


class DeliveryView(BaseModel):
    day: date
    skill: str
    hours: int
    given_by: Giver
    recorded_by: Party


class StayView(BaseModel):
    """What is known of a stay from its first day on."""

    arrivals: list[ArrivalView]
    asked_at: AwareDatetime | None
    """When both sides were asked whether it fits."""
    answers: list[FitView]
    interruptions: list[InterruptionView]
    record: list[DeliveryView]
    """The training that was given."""
    ended_on: date | None
    """The last day, where it ended before the agreed one."""
    confirmed_by: tuple[Side, ...]
    """Who has confirmed that it took place."""


class AlertView(BaseModel):
    """A side says that a stay does not fit."""

    alert_id: UUID
    exchange_id: UUID
    raised_by: Side
    raised_at: AwareDatetime
    sender_country: Country
    host_country: Country
    acknowledged_by: tuple[Country, ...]
    """Countries whose contact points have seen to it."""

    @classmethod
    def of(cls, raised: Raised) -> "AlertView":
        alert = raised.alert
        return cls(
            alert_id=alert.id,
            exchange_id=alert.exchange_id,
            raised_by=alert.raised_by,
            raised_at=alert.raised_at,
            sender_country=alert.sender_country,
            host_country=alert.host_country,
            acknowledged_by=raised.acknowledged_by,
        )


class View(BaseModel):
    """The whole state of an exchange; dates and allowance from the first draft on."""

    exchange_id: UUID
    revision: int
    stage: Stage
    changed_at: AwareDatetime
    placement_id: UUID
    offer_id: UUID
    sender_id: UUID
    host_id: UUID
    traveller_id: UUID
    sender_country: Country
    host_country: Country
    sender_sector: Sector
    host_sector: Sector
    window: Window
    """Where the dates of the agreement must lie."""
    min_days: int
    max_days: int
    training: Training
    open_until: AwareDatetime | None
    """When it expires unless it gets further; null once it is agreed or has ended."""
    accepted_by: tuple[Side, ...]
    agreement_version: int
    """The one in force, or that is to be; 0 until an agreement is drafted."""
    latest_version: int
    """The one that can be signed: it differs while a version that is to follow the one in force is open."""
    latest_signed_by: tuple[Party, ...]
    latest_sent_back: bool
    """A contact point wants another version than the latest one."""
    awaits_approval_of: tuple[Country, ...]
    """Countries whose contact points have not approved the latest version yet; they are asked once all have signed it."""
    parts: list[Window] | None
    first_day: date | None
    last_day: date | None
    """As agreed, or the actual one of a stay that ended early."""
    days: int | None
    """As agreed."""
    counted_days: int | None
    """Without those that were interrupted or lie after an early end; from the first day on."""
    allowance_cents: int | None
    """EUR cents for the whole stay."""
    signed_by: tuple[Party, ...]
    training_hours: int | None
    """As recorded so far; from the first day on."""
    stay: StayView | None
    """From the first day on."""
    ended_by: Side | None
    ended_at_stage: Stage | None
    reason: str | None

    @classmethod
    def of(cls, exchange: Exchange) -> "View":
        match, agreement, ending = exchange.match, exchange.agreement, exchange.ending
        latest, stay = exchange.latest, exchange.stay if exchange.begun else None
        return cls(
            exchange_id=exchange.id,
            revision=exchange.revision,
            stage=exchange.stage,
            changed_at=exchange.changed_at,
            placement_id=match.placement_id,
            offer_id=match.offer_id,
            sender_id=match.sender_id,
            host_id=match.host_id,
            traveller_id=match.traveller_id,
            sender_country=match.sender_country,
            host_country=match.host_country,
            sender_sector=match.sender_sector,
            host_sector=match.host_sector,
            window=match.window,
            min_days=match.min_days,
            max_days=match.max_days,
            training=exchange.training,
            open_until=exchange.open_until if exchange.stage.rank < Stage.AGREED.rank else None,
            accepted_by=exchange.accepted_by,
            agreement_version=exchange.agreement_version,
            latest_version=latest.version if latest else 0,
            latest_signed_by=latest.signed_by if latest else (),
            latest_sent_back=latest is not None and latest.sent_back,
            awaits_approval_of=latest.awaits if latest else (),
            parts=[Window(first=one.first_day, last=one.last_day) for one in agreement.terms.parts]
            if agreement
            else None,
            first_day=agreement.terms.first_day if agreement else None,
            last_day=exchange.last_day if agreement else None,
            days=agreement.terms.days if agreement else None,
            counted_days=exchange.counted_days if stay else None,
            allowance_cents=agreement.allowance_cents if agreement else None,
            signed_by=agreement.signed_by if agreement else (),
            training_hours=stay.training_hours if stay else None,
            stay=StayView.model_validate(stay, from_attributes=True) if stay else None,
            ended_by=ending.by if ending else None,
            ended_at_stage=ending.at_stage if ending else None,
            reason=ending.reason if ending else None,
        )
