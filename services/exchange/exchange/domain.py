"""The life of one exchange, decided without I/O, without a clock and without making ids.

Each function takes the exchange, who acts and the programme's time, and returns the next state with the events that tell
of it: the very same state and no events where nothing changes. Programme days are UTC days.

    proposed -> accepted -> drafted -> agreed -> ongoing -> completed

and, until all have signed, declined, expired or withdrawn; afterwards cancelled.
"""

from collections.abc import Container
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sojourn_contracts.event import Event
from sojourn_contracts.exchange import Stage
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import Party, Side

from exchange import agreement
from exchange.agreement import Terms
from exchange.state import Ending, Exchange, day_of, start_of

Decision = tuple[Exchange, list[Event]]


class Due(NamedTuple):
    """What is to be done with an exchange at or after an instant: ``expire``, ``start`` or ``close`` it."""

    kind: str
    at: datetime


CLOSES_AFTER = timedelta(days=30)
"""How long after the last day the companies can still report completion."""


def open(exchange: Exchange | None, proposal: MatchProposed, ends_there: bool, now: datetime) -> Decision:  # noqa: A001
    """A proposal ranks below every stage: it opens an exchange, and changes none that is there.

    Where an end of it went meanwhile (``ends_there`` is false), the exchange is withdrawn as it opens. A side that proposed it
    itself has accepted with that.
    """
    if exchange is not None:
        return exchange, []
    opened = Exchange(proposal, revision=1, stage=Stage.PROPOSED, changed_at=now)
    if not ends_there:
        return withdraw(opened, now)
    if proposal.initiator in set(Side) and now < opened.open_until:
        return accept(opened, Side(proposal.initiator), now)
    return opened, []


def accept(exchange: Exchange, by: Side, now: datetime) -> Decision:
    """One side accepts; the second one to do so opens the drafting of the agreement.

    Raises:
        Refused: ``expired``, ``ended``.
    """
    if by in exchange.accepted_by:
        return exchange, []
    _only_at(exchange, Stage.PROPOSED)
    if now >= exchange.open_until:
        raise Refused("expired", f"the proposal could be accepted until {exchange.open_until.isoformat()}")
    accepted_by = tuple(side for side in Side if side is by or side in exchange.accepted_by)
    stage = Stage.ACCEPTED if len(accepted_by) == len(Side) else Stage.PROPOSED
    accepted = replace(exchange.moved_to(stage, now), accepted_by=accepted_by)
    return accepted, [accepted.as_updated()]


def decline(exchange: Exchange, by: Side, reason: str, now: datetime) -> Decision:
    """Either side may decline until the agreement is signed by all; afterwards it must cancel.

    Raises:
        Refused: ``too_late``, ``ended``.
    """
    if exchange.ended_as(Stage.DECLINED, by):
        return exchange, []
    _only_at(exchange, Stage.PROPOSED, Stage.ACCEPTED, Stage.DRAFTED)
    return _came_to_nothing(exchange, Stage.DECLINED, now, by, reason)


def draft(exchange: Exchange, terms: Terms, skills: Container[str], now: datetime) -> Decision:
    """A new version of the agreement, which voids the signatures under the one before; equal terms are no new version.

    A new version may name only ``skills``, those of the taxonomy in force.

    Raises:
        Refused: ``too_early``, ``too_late``, ``ended``.
        WrongTerms: with every fault of the terms.
    """
    _only_at(exchange, Stage.ACCEPTED, Stage.DRAFTED)
    in_force = exchange.agreement
    if in_force is not None and in_force.terms == terms:
        return exchange, []
    version = agreement.draft(exchange.match, in_force, terms, skills, today=day_of(now))
    drafted = replace(exchange.moved_to(Stage.DRAFTED, now), agreement=version)
    return drafted, [drafted.as_updated()]


def sign(exchange: Exchange, by: Party, version: int, now: datetime) -> Decision:
    """One party signs the version in force; the third signature makes the agreement.

    Raises:
        Refused: ``stale_version``, ``first_day_passed``, ``too_early``, ``too_late``, ``ended``.
    """
    in_force = exchange.agreement
    if in_force is not None and in_force.version != version:
        raise Refused("stale_version", f"version {version} is not in force, version {in_force.version} is")
    if in_force is not None and by in in_force.signed_by:
        return exchange, []
    _only_at(exchange, Stage.DRAFTED)
    if day_of(now) > exchange.drafted.terms.first_day:
        raise Refused("first_day_passed", "the stay would have begun before all have signed: draft other dates")
    signed = agreement.sign(exchange.drafted, by)
    if signed.signed_by_all:
        agreed = replace(exchange.moved_to(Stage.AGREED, now), agreement=signed)
        return agreed, [agreed.as_agreed()]
    waiting = replace(exchange.moved_to(Stage.DRAFTED, now), agreement=signed)
    return waiting, [waiting.as_updated()]


def start(exchange: Exchange, now: datetime) -> Decision:
    """The first day has come."""
    if exchange.stage is not Stage.AGREED or now < start_of(exchange.drafted.terms.first_day):
        return exchange, []
    ongoing = exchange.moved_to(Stage.ONGOING, now)
    return ongoing, [ongoing.as_updated()]


def complete(exchange: Exchange, by: Side, training_hours: int, now: datetime) -> Decision:
    """Either side reports, from the last day on, that the stay took place with its training.

    Raises:
        Refused: ``not_over_yet``, ``too_early``, ``ended``.
    """
    if exchange.ended_as(Stage.COMPLETED, by):
        return exchange, []
    _only_at(exchange, Stage.ONGOING)
    last_day = exchange.drafted.terms.last_day
    if day_of(now) < last_day:
        raise Refused("not_over_yet", f"the last day is {last_day}")
    completed = replace(exchange.ended(Stage.COMPLETED, now, Ending(exchange.stage, by)), training_hours=training_hours)
    return completed, [completed.as_completed()]


def cancel(exchange: Exchange, by: Side, reason: str, now: datetime) -> Decision:
    """Either side calls an agreed stay off, or breaks it off; before the agreement it declines.

    Raises:
        Refused: ``too_early``, ``ended``.
    """
    if exchange.ended_as(Stage.CANCELLED, by):
        return exchange, []
    _only_at(exchange, Stage.AGREED, Stage.ONGOING)
    return _called_off(exchange, by, reason, now)


def expire(exchange: Exchange, now: datetime) -> Decision:
    """What nobody brought to an agreement in time comes to nothing."""
    if exchange.stage.rank >= Stage.AGREED.rank or now < exchange.open_until:
        return exchange, []
    return _came_to_nothing(exchange, Stage.EXPIRED, now)


def close(exchange: Exchange, now: datetime) -> Decision:
    """A stay that nobody reports as completed counts as cancelled, by nobody."""
    if exchange.stage is not Stage.ONGOING or now < _closes_at(exchange):
        return exchange, []
    return _called_off(exchange, None, "other", now)


def withdraw(exchange: Exchange, now: datetime) -> Decision:
    """The placement or the offer is no longer there. What all three signed stands: only who signed it can cancel it."""
    if exchange.stage.rank >= Stage.AGREED.rank:
        return exchange, []
    return _came_to_nothing(exchange, Stage.WITHDRAWN, now)


def company_gone(exchange: Exchange, now: datetime) -> Decision:
    """One of the two companies left the programme, and no stay goes on without it."""
    if exchange.stage in (Stage.AGREED, Stage.ONGOING):
        return _called_off(exchange, None, "company_gone", now)
    return withdraw(exchange, now)


def due(exchange: Exchange) -> Due | None:
    """What falls due next if nobody acts; nothing does once the exchange has ended."""
    match exchange.stage:
        case Stage.PROPOSED | Stage.ACCEPTED | Stage.DRAFTED:
            return Due("expire", exchange.open_until)
        case Stage.AGREED:
            return Due("start", start_of(exchange.drafted.terms.first_day))
        case Stage.ONGOING:
            return Due("close", _closes_at(exchange))
        case _:
            return None


def _closes_at(exchange: Exchange) -> datetime:
    return start_of(exchange.drafted.terms.last_day + CLOSES_AFTER)


def _only_at(exchange: Exchange, *stages: Stage) -> None:
    if exchange.stage in stages:
        return
    early_or_late = "too_early" if exchange.stage.rank < stages[0].rank else "too_late"
    rule = "ended" if exchange.stage.ended else early_or_late
    raise Refused(rule, f"the exchange is {exchange.stage}; this takes one that is {' or '.join(stages)}")


def _came_to_nothing(
    exchange: Exchange, stage: Stage, now: datetime, by: Side | None = None, reason: str | None = None
) -> Decision:
    ended = exchange.ended(stage, now, Ending(exchange.stage, by, reason))
    return ended, [ended.as_match_declined()]


def _called_off(exchange: Exchange, by: Side | None, reason: str, now: datetime) -> Decision:
    cancelled = exchange.ended(Stage.CANCELLED, now, Ending(exchange.stage, by, reason))
    return cancelled, [cancelled.as_cancelled()]
