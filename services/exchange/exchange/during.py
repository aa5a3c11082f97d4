"""What is decided from the first day of a stay to its end, as ``domain`` does. Pure.

The traveller acts for the sending side where the two sides are asked: it is the traveller who arrived, and whom it fits.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID, uuid5

from sojourn_contracts.exchange import Stage
from sojourn_contracts.refusal import Invalid, Refused
from sojourn_contracts.vocabulary import MIN_STAY_DAYS, Country, Party, Side

from exchange.agreement import Giver
from exchange.domain import Command, Decision, Who, allow, asks_at, can, closes_at, ended, moved, not_over
from exchange.state import Ending, Exchange, day_of
from exchange.stay import DAY, Delivery, Fit, Interruption, Stay, taken

TOO_SHORT = "too_short"
UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True)
class Alert:
    """One side says that the stay does not fit: for the contact points of both countries, each of which acknowledges it."""

    id: UUID
    exchange_id: UUID
    raised_by: Side
    raised_at: datetime
    sender_country: Country
    host_country: Country


def alerts(exchange: Exchange) -> tuple[Alert, ...]:
    """All that was ever raised, in the order of the answers."""
    return tuple(
        Alert(
            id=uuid5(exchange.id, f"does not fit/{answer.side}"),
            exchange_id=exchange.id,
            raised_by=answer.side,
            raised_at=answer.answered_at,
            sender_country=exchange.match.sender_country,
            host_country=exchange.match.host_country,
        )
        for answer in exchange.stay.answers
        if not answer.fits
    )


def side_of(party: Party) -> Side:
    """The side that a party acts for."""
    return Side.HOST if party is Party.HOST else Side.SENDER


def confirm_arrival(exchange: Exchange, by: Party, day: date, now: datetime) -> Decision:
    """A side says on which day the traveller arrived; a later word of the same side replaces it.

    Days count as they are agreed, whenever the traveller arrived.

    Raises:
        Refused: ``too_early``, ``too_late``, ``ended``.
        Invalid: the day lies before the first one or has not come.
    """
    if exchange.stay.arrived(side_of(by)) == day:
        return exchange, []
    allow(exchange, Command.CONFIRM_ARRIVAL, Who(by))
    first_day, today = exchange.drafted.terms.first_day, day_of(now)
    if not first_day <= day <= today:
        raise Invalid("wrong_day", "day", f"lies outside {first_day} to {today}")
    return _told(exchange, Command.CONFIRM_ARRIVAL, Who(by), now, exchange.stay.with_arrival(side_of(by), day))


def ask(exchange: Exchange, now: datetime) -> Decision:
    """Half of the stay is over: both sides are asked whether it fits."""
    can_be = can(exchange, Command.ASK_IF_IT_FITS, Who.TIME) and exchange.stay.asked_at is None
    if not can_be or exchange.stay.ended_on is not None or now < asks_at(exchange):
        return exchange, []
    return _told(exchange, Command.ASK_IF_IT_FITS, Who.TIME, now, replace(exchange.stay, asked_at=now))


def say_if_it_fits(exchange: Exchange, by: Party, fits: bool, now: datetime) -> Decision:
    """A side answers, once.

    Raises:
        Refused: ``not_asked_yet``, ``already_answered``, ``too_early``, ``ended``.
    """
    side = side_of(by)
    said = exchange.stay.fits(side)
    if said is fits:
        return exchange, []
    allow(exchange, Command.SAY_IF_IT_FITS, Who(by))
    if said is not None:
        raise Refused("already_answered", "this side has answered")
    if exchange.stay.asked_at is None:
        raise Refused("not_asked_yet", f"both sides are asked from {asks_at(exchange).isoformat()} on")
    answers = (*exchange.stay.answers, Fit(side, fits, now))
    return _told(exchange, Command.SAY_IF_IT_FITS, Who(by), now, replace(exchange.stay, answers=answers))


def record_training(
    exchange: Exchange, by: Party, day: date, skill: str, hours: int, given_by: Giver, now: datetime
) -> Decision:
    """Training was given; the entry of the same day and skill is replaced. What a side has confirmed stands.

    Raises:
        Refused: ``confirmed``, ``too_early``, ``ended``.
        Invalid: the day is none of the stay, or the skill none of the agreement.
    """
    delivery = Delivery(day, skill, hours, given_by, by)
    if any(replace(one, recorded_by=by) == delivery for one in exchange.stay.record):
        return exchange, []
    allow(exchange, Command.RECORD_TRAINING, Who(by))
    if exchange.stay.confirmed_by:
        raise Refused("confirmed", "a side has confirmed the stay with the training recorded so far")
    terms, today = exchange.drafted.terms, day_of(now)
    parts = taken(terms.parts, exchange.stay)
    if day > today or not any(part.first_day <= day <= part.last_day for part in parts):
        raise Invalid("wrong_day", "day", "is no day of the stay, or has not come")
    skills = {skill for item in terms.training for skill in item.skills}
    if skill not in skills:
        raise Invalid("wrong_skill", "skill", f"is not in the agreement: {', '.join(sorted(skills))}")
    return _told(exchange, Command.RECORD_TRAINING, Who(by), now, exchange.stay.with_delivery(delivery))


def interrupt(exchange: Exchange, by: Party, reason: str, now: datetime) -> Decision:
    """From today on days do not count. The last day stays: the parties extend the stay if they want lost days back.

    Raises:
        Refused: ``stay_over``, ``too_early``, ``ended``.
    """
    if exchange.stage is Stage.INTERRUPTED:
        return exchange, []
    allow(exchange, Command.INTERRUPT, Who(by))
    not_over(exchange, day_of(now))
    interruptions = (*exchange.stay.interruptions, Interruption(day_of(now), reason))
    return _told(exchange, Command.INTERRUPT, Who(by), now, replace(exchange.stay, interruptions=interruptions))


def resume(exchange: Exchange, by: Party, now: datetime) -> Decision:
    """Today counts again.

    Raises:
        Refused: ``too_early``, ``ended``.
    """
    if exchange.stage is Stage.ONGOING and exchange.stay.interruptions:
        return exchange, []
    allow(exchange, Command.RESUME, Who(by))
    return _told(exchange, Command.RESUME, Who(by), now, exchange.stay.resumed(day_of(now)))


def end_early(exchange: Exchange, by: Side, now: datetime) -> Decision:
    """Today is the last day; of an interrupted stay it was the day before the interruption.

    A stay of which fewer than 14 days count did not take place.

    Raises:
        Refused: ``stay_over``, ``too_early``, ``ended``.
    """
    if exchange.stay.ended_on is not None or (
        exchange.ended_as(Stage.CANCELLED, by) and exchange.ending and exchange.ending.reason == TOO_SHORT
    ):
        return exchange, []
    allow(exchange, Command.END_EARLY, Who(by))
    today = day_of(now)
    if exchange.stage is Stage.ONGOING and today >= exchange.last_day:
        raise Refused("stay_over", f"the last day is {exchange.last_day}")
    cut = replace(exchange, stay=replace(exchange.stay, ended_on=today))
    if cut.counted_days < MIN_STAY_DAYS:
        return ended(exchange, Command.END_EARLY, Who(by), now, TOO_SHORT)
    over = moved(exchange, Command.END_EARLY, Who(by), now, Stage.ONGOING)
    last_day = min([today, *(one.since - DAY for one in exchange.stay.interruptions if one.until is None)])
    over = replace(over, stay=replace(exchange.stay.resumed(last_day), ended_on=last_day), amendment=None)
    return over, [over.as_updated()]


def confirm_completion(exchange: Exchange, by: Side, now: datetime) -> Decision:
    """A side confirms, once the last day is over, that the stay took place with the training recorded.

    With the second one it is completed, or cancelled if fewer than 14 days count.

    Raises:
        Refused: ``not_over_yet``, ``no_training_recorded``, ``too_early``, ``too_late``, ``ended``.
    """
    if by in exchange.stay.confirmed_by:
        return exchange, []
    allow(exchange, Command.CONFIRM_COMPLETION, Who(by))
    if day_of(now) <= exchange.last_day:
        raise Refused("not_over_yet", f"the last day is {exchange.last_day}")
    if not exchange.stay.record:
        raise Refused("no_training_recorded", "every stay includes training, and none is recorded")
    confirmed_by = tuple(side for side in Side if side is by or side in exchange.stay.confirmed_by)
    confirmed = replace(exchange, stay=replace(exchange.stay, confirmed_by=confirmed_by))
    if len(confirmed_by) == len(Side):
        return _took_place(confirmed, Command.CONFIRM_COMPLETION, Who(by), now)
    waiting = moved(confirmed, Command.CONFIRM_COMPLETION, Who(by), now, Stage.ONGOING)
    return waiting, [waiting.as_updated()]


def close(exchange: Exchange, now: datetime) -> Decision:
    """Time to confirm is over. One side's word is enough if the other one said nothing; without any it counts as cancelled."""
    if not can(exchange, Command.CLOSE, Who.TIME) or now < closes_at(exchange):
        return exchange, []
    if exchange.stay.confirmed_by:
        return _took_place(exchange, Command.CLOSE, Who.TIME, now)
    return ended(exchange, Command.CLOSE, Who.TIME, now, UNCONFIRMED)


def _took_place(exchange: Exchange, command: Command, who: Who, now: datetime) -> Decision:
    if exchange.counted_days < MIN_STAY_DAYS:
        return ended(exchange, command, who, now, TOO_SHORT)
    by = Side(who) if who is not Who.TIME else None
    completed = moved(exchange, command, who, now, Stage.COMPLETED)
    completed = replace(completed, ending=Ending(exchange.stage, by), amendment=None)
    return completed, [completed.as_completed()]


def _told(exchange: Exchange, command: Command, who: Who, now: datetime, stay: Stay) -> Decision:
    after = replace(moved(exchange, command, who, now), stay=stay)
    return after, [after.as_updated()]
