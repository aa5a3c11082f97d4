"""The bodies that the HTTP API takes and gives."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sojourn_contracts.exchange import Stage
from sojourn_contracts.vocabulary import (
    MAX_STAY_DAYS,
    Country,
    Party,
    Sector,
    Side,
    Training,
    TrainingDirection,
    Window,
)

from exchange.agreement import Terms
from exchange.state import Exchange

MOST_SKILLS = 20
MOST_TRAINING_HOURS = MAX_STAY_DAYS * 24


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Decline(_Form):
    reason: Literal["dates", "skills", "capacity", "other"]


class TrainingForm(_Form):
    direction: TrainingDirection
    skills: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MOST_SKILLS)]
    """Ids of the taxonomy; at least one."""


class AgreementForm(_Form):
    first_day: date
    last_day: date
    training: TrainingForm

    @property
    def terms(self) -> Terms:
        # Unchecked: the domain names a wrong skill together with what else is wrong.
        training = Training.model_construct(direction=self.training.direction, skills=tuple(self.training.skills))
        return Terms(self.first_day, self.last_day, training)


class Signature(_Form):
    version: Annotated[int, Field(ge=1)]
    """The one that is signed; it must be the one in force."""


class Completion(_Form):
    training_hours: Annotated[int, Field(ge=1, le=MOST_TRAINING_HOURS)]


class Cancellation(_Form):
    reason: Literal["illness", "dates", "business", "other"]


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
    """When it expires unless it gets further; null once all have signed or it has ended."""
    accepted_by: tuple[Side, ...]
    agreement_version: int
    """0 until an agreement is drafted."""
    first_day: date | None
    last_day: date | None
    days: int | None
    allowance_cents: int | None
    """EUR cents for the whole stay."""
    signed_by: tuple[Party, ...]
    training_hours: int | None
    """As reported at completion."""
    ended_by: Side | None
    ended_at_stage: Stage | None
    reason: str | None

    @classmethod
    def of(cls, exchange: Exchange) -> "View":
        match, agreement, ending = exchange.match, exchange.agreement, exchange.ending
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
            first_day=agreement.terms.first_day if agreement else None,
            last_day=agreement.terms.last_day if agreement else None,
            days=agreement.terms.days if agreement else None,
            allowance_cents=agreement.allowance_cents if agreement else None,
            signed_by=agreement.signed_by if agreement else (),
            training_hours=exchange.training_hours or None,
            ended_by=ending.by if ending else None,
            ended_at_stage=ending.at_stage if ending else None,
            reason=ending.reason if ending else None,
        )
