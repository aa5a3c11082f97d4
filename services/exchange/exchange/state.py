"""The whole state of one exchange, and the events that tell it. Pure, as the domain is."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sojourn_contracts.exchange import (
    ExchangeAgreed,
    ExchangeCancelled,
    ExchangeCompleted,
    ExchangeUpdated,
    Stage,
    TrainingItem,
)
from sojourn_contracts.match import DeclineReason, MatchDeclined, MatchProposed
from sojourn_contracts.refusal import NotYours
from sojourn_contracts.vocabulary import Party, Side, Training, Window

from exchange.agreement import Agreement
from exchange.stay import Stay, counted_days, interrupted_days, taken


@dataclass(frozen=True)
class Ending:
    """How it ended: from which stage, by whom (None: by nobody), and why, as the code that was given."""

    at_stage: Stage
    by: Side | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Exchange:
    """One exchange; its id is that of the match it grew from."""

    match: MatchProposed
    """As received, whole."""
    revision: int
    """Rises with each change."""
    stage: Stage
    changed_at: datetime
    accepted_by: tuple[Side, ...] = ()
    agreement: Agreement | None = None
    """The version in force, or the one that is to be; None until one is drafted."""
    amendment: Agreement | None = None
    """The version that is to follow the one in force, once all have signed it: an extension, above all."""
    stay: Stay = field(default_factory=Stay)
    ending: Ending | None = None

    @property
    def id(self) -> UUID:
        return self.match.match_id

    @property
    def latest(self) -> Agreement | None:
        """The version that can be signed, or that was signed last."""
        return self.amendment or self.agreement

    @property
    def agreement_version(self) -> int:
        """0 until an agreement is drafted."""
        return self.agreement.version if self.agreement else 0

    @property
    def drafted(self) -> Agreement:
        """The version in force of an exchange that is drafted or further."""
        if self.agreement is None:
            raise LookupError(f"exchange {self.id} is {self.stage} and has no agreement")
        return self.agreement

    @property
    def training(self) -> Training:
        """As agreed; before that, as proposed."""
        return self.agreement.terms.summary if self.agreement else self.match.training

    @property
    def last_day(self) -> date:
        """Of an exchange that is agreed: as agreed, or when it ended early."""
        return taken(self.drafted.terms.parts, self.stay)[-1].last_day

    @property
    def counted_days(self) -> int:
        """Of an exchange that is agreed: its days, without those that were interrupted or lie after an early end."""
        return counted_days(self.drafted.terms.parts, self.stay)

    @property
    def begun(self) -> bool:
        """The first day has come, and it was not called off before."""
        stage = self.ending.at_stage if self.ending else self.stage
        return stage.rank >= Stage.ONGOING.rank

    @property
    def open_until(self) -> datetime:
        """When it expires unless it gets further: a proposal at its expiry, all at the end of the match's window."""
        window_over = start_of(self.match.window.last + timedelta(days=1))
        return min(self.match.expires_at, window_over) if self.stage is Stage.PROPOSED else window_over

    def side_of(self, company_id: UUID | None) -> Side:
        """Which of the two companies this is.

        Raises:
            NotYours: it is neither.
        """
        if company_id == self.match.sender_id:
            return Side.SENDER
        if company_id == self.match.host_id:
            return Side.HOST
        raise NotYours("not_your_exchange", "the caller is no party to this exchange")

    def party_of(self, company_id: UUID | None, person_id: UUID | None) -> Party:
        """Which of the three who sign this is: the traveller by the person's id, else one of the companies.

        Raises:
            NotYours: it is none of them.
        """
        if person_id is None:
            return Party(self.side_of(company_id))
        if person_id == self.match.traveller_id:
            return Party.TRAVELLER
        raise NotYours("not_your_exchange", "the caller is no party to this exchange")

    def moved_to(self, stage: Stage, now: datetime) -> "Exchange":
        """The next state, in this stage; it may be the same one."""
        return replace(self, stage=stage, revision=self.revision + 1, changed_at=now)

    def ended_as(self, stage: Stage, by: Side) -> bool:
        """Whether this side already brought it to this end."""
        return self.stage is stage and self.ending is not None and self.ending.by is by

    def as_updated(self) -> ExchangeUpdated:
        return ExchangeUpdated(**self._whole(), **(self._dates() if self.agreement else {}))

    def as_agreed(self) -> ExchangeAgreed:
        return ExchangeAgreed(**self._whole(), **self._dates())

    def as_completed(self) -> ExchangeCompleted:
        actual: dict[str, Any] = self._dates() | {"last_day": self.last_day, "days": self.counted_days}
        return ExchangeCompleted(**self._whole(), **actual, training_hours=self.stay.training_hours)

    def as_cancelled(self) -> ExchangeCancelled:
        return ExchangeCancelled(
            **self._whole(),
            **self._dates(),
            cancelled_by=self._last.by,
            cancelled_at_stage=self._last.at_stage,
            reason=self._last.reason or "other",
        )

    def as_match_declined(self) -> MatchDeclined:
        return MatchDeclined(
            match_id=self.id,
            revision=self.revision,
            placement_id=self.match.placement_id,
            offer_id=self.match.offer_id,
            sender_id=self.match.sender_id,
            host_id=self.match.host_id,
            reason=DeclineReason(self.stage.value),
            by=self._last.by,
            detail=self._last.reason,
            declined_at=self.changed_at,
        )

    @property
    def _last(self) -> Ending:
        if self.ending is None:
            raise LookupError(f"exchange {self.id} is {self.stage}, which is no end")
        return self.ending

    def _whole(self) -> dict[str, Any]:
        return {
            "exchange_id": self.id,
            "revision": self.revision,
            "stage": self.stage,
            "placement_id": self.match.placement_id,
            "offer_id": self.match.offer_id,
            "sender_id": self.match.sender_id,
            "host_id": self.match.host_id,
            "traveller_id": self.match.traveller_id,
            "sender_country": self.match.sender_country,
            "host_country": self.match.host_country,
            "sender_sector": self.match.sender_sector,
            "host_sector": self.match.host_sector,
            "training": self.training,
            "accepted_by": self.accepted_by,
            "agreement_version": self.agreement_version,
            "signed_by": self.agreement.signed_by if self.agreement else (),
            "changed_at": self.changed_at,
            **(self._particulars(self.agreement) if self.agreement else {}),
        }

    def _particulars(self, agreement: Agreement) -> dict[str, Any]:
        """What an agreement says in codes and days; its texts are told nobody."""
        terms = agreement.terms
        return {
            "parts": tuple(Window(first=part.first_day, last=part.last_day) for part in terms.parts),
            "training_items": tuple(
                TrainingItem(learner=item.learner, skills=item.skills, hours=item.hours, given_by=item.given_by)
                for item in terms.training
            ),
            "interrupted_days": interrupted_days(terms.parts, self.stay) if self.begun else None,
        }

    def _dates(self) -> dict[str, Any]:
        terms = self.drafted.terms
        return {
            "first_day": terms.first_day,
            "last_day": terms.last_day,
            "days": terms.days,
            "allowance_cents": self.drafted.allowance_cents,
        }


def day_of(instant: datetime) -> date:
    """The programme's day, which is the UTC one."""
    return instant.astimezone(UTC).date()


def start_of(day: date) -> datetime:
    """The first instant of a programme's day."""
    return datetime.combine(day, time.min, UTC)
