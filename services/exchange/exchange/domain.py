"""The life of one exchange, decided without I/O, without a clock and without making ids.

``LIFE_CYCLE`` says who can bring an exchange from which stage to which. Each function takes the exchange, who acts and the
programme's time, and returns the next state with the events that tell of it: the very same state and no events where nothing
changes. What people do is refused where the table has no move for it; what comes with time, or from the programme, then
changes nothing. Programme days are UTC days. What happens during the stay is in ``during``.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sojourn_contracts.event import Event
from sojourn_contracts.exchange import Stage
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import Country, Party, Side

from exchange import agreement
from exchange.agreement import Agreement, Part, Rules, Terms, WrongTerms
from exchange.state import Ending, Exchange, day_of, start_of
from exchange.stay import taken

Decision = tuple[Exchange, list[Event]]


class Who(StrEnum):
    """Who brings an exchange on."""

    SENDER = "sender"
    HOST = "host"
    TRAVELLER = "traveller"
    CONTACT_POINT = "contact point"
    """Of a country whose contact point validates the agreement."""
    TIME = "time"
    """Due work."""
    PROGRAMME = "programme"
    """A company left, or an end of the match went."""


class Command(StrEnum):
    ACCEPT = "accept"
    DECLINE = "decline"
    DRAFT = "draft"
    SIGN = "sign"
    APPROVE = "approve"
    SEND_BACK = "send back"
    CANCEL = "cancel"
    CONFIRM_ARRIVAL = "confirm arrival"
    SAY_IF_IT_FITS = "say if it fits"
    RECORD_TRAINING = "record training"
    INTERRUPT = "interrupt"
    RESUME = "resume"
    END_EARLY = "end early"
    CONFIRM_COMPLETION = "confirm completion"
    EXPIRE = "expire"
    START = "start"
    ASK_IF_IT_FITS = "ask if it fits"
    CLOSE = "close"
    WITHDRAW = "withdraw"
    LET_GO = "let go"


class Move(NamedTuple):
    """From each of these stages, each of these can bring an exchange there by the command; to None: it stays where it is.

    Where a command has several outcomes, ``when`` says which it comes to.
    """

    stages: tuple[Stage, ...]
    command: Command
    who: tuple[Who, ...]
    to: Stage | None
    when: str = ""


_SIDES = (Who.SENDER, Who.HOST)
_PARTIES = (*_SIDES, Who.TRAVELLER)
_CONTACT_POINT, _TIME, _PROGRAMME = (Who.CONTACT_POINT,), (Who.TIME,), (Who.PROGRAMME,)
_OPEN = (Stage.PROPOSED, Stage.ACCEPTED, Stage.DRAFTED, Stage.IN_VALIDATION)
_STANDING = (Stage.AGREED, Stage.ONGOING, Stage.INTERRUPTED)
_BEGUN = (Stage.ONGOING, Stage.INTERRUPTED)

LIFE_CYCLE = (
    Move((Stage.PROPOSED,), Command.ACCEPT, _SIDES, Stage.PROPOSED, "first side"),
    Move((Stage.PROPOSED,), Command.ACCEPT, _SIDES, Stage.ACCEPTED, "second side"),
    Move(_OPEN, Command.DECLINE, _SIDES, Stage.DECLINED),
    Move(_OPEN, Command.EXPIRE, _TIME, Stage.EXPIRED),
    Move(_OPEN, Command.WITHDRAW, _PROGRAMME, Stage.WITHDRAWN),
    Move(_OPEN, Command.LET_GO, _PROGRAMME, Stage.WITHDRAWN),
    Move((Stage.ACCEPTED, Stage.DRAFTED, Stage.IN_VALIDATION), Command.DRAFT, _SIDES, Stage.DRAFTED),
    Move((Stage.DRAFTED,), Command.SIGN, _PARTIES, Stage.DRAFTED, "others have to"),
    Move((Stage.DRAFTED,), Command.SIGN, _PARTIES, Stage.IN_VALIDATION, "last, to be validated"),
    Move((Stage.DRAFTED,), Command.SIGN, _PARTIES, Stage.AGREED, "last"),
    Move((Stage.IN_VALIDATION,), Command.APPROVE, _CONTACT_POINT, Stage.IN_VALIDATION, "another has to"),
    Move((Stage.IN_VALIDATION,), Command.APPROVE, _CONTACT_POINT, Stage.AGREED, "last"),
    Move((Stage.IN_VALIDATION,), Command.SEND_BACK, _CONTACT_POINT, Stage.DRAFTED),
    Move(_STANDING, Command.DRAFT, _SIDES, None),
    Move(_STANDING, Command.SIGN, _PARTIES, None),
    Move(_STANDING, Command.APPROVE, _CONTACT_POINT, None),
    Move(_STANDING, Command.SEND_BACK, _CONTACT_POINT, None),
    Move(_STANDING, Command.CANCEL, _SIDES, Stage.CANCELLED),
    Move(_STANDING, Command.LET_GO, _PROGRAMME, Stage.CANCELLED),
    Move((Stage.AGREED,), Command.START, _TIME, Stage.ONGOING),
    Move((Stage.ONGOING,), Command.CONFIRM_ARRIVAL, _PARTIES, None),
    Move(_BEGUN, Command.ASK_IF_IT_FITS, _TIME, None),
    Move(_BEGUN, Command.SAY_IF_IT_FITS, _PARTIES, None),
    Move(_BEGUN, Command.RECORD_TRAINING, _PARTIES, None),
    Move((Stage.ONGOING,), Command.INTERRUPT, _PARTIES, Stage.INTERRUPTED),
    Move((Stage.INTERRUPTED,), Command.RESUME, _PARTIES, Stage.ONGOING),
    Move(_BEGUN, Command.END_EARLY, _SIDES, Stage.ONGOING, "14 days count"),
    Move(_BEGUN, Command.END_EARLY, _SIDES, Stage.CANCELLED, "fewer count"),
    Move((Stage.ONGOING,), Command.CONFIRM_COMPLETION, _SIDES, Stage.ONGOING, "first side"),
    Move((Stage.ONGOING,), Command.CONFIRM_COMPLETION, _SIDES, Stage.COMPLETED, "second side"),
    Move((Stage.ONGOING,), Command.CONFIRM_COMPLETION, _SIDES, Stage.CANCELLED, "too few days count"),
    Move((Stage.ONGOING,), Command.CLOSE, _TIME, Stage.COMPLETED, "one side confirmed"),
    Move(_BEGUN, Command.CLOSE, _TIME, Stage.CANCELLED, "no side did, or too few days count"),
)


def _outcomes() -> dict[tuple[Stage, Command, Who], tuple[Stage, ...]]:
    found: dict[tuple[Stage, Command, Who], tuple[Stage, ...]] = {}
    for move in LIFE_CYCLE:
        for stage in move.stages:
            for who in move.who:
                key = (stage, move.command, who)
                found[key] = (*found.get(key, ()), move.to or stage)
    return found


OUTCOMES = _outcomes()
"""The same table, asked by stage, command and who: the stages that it can come to."""


class Due(NamedTuple):
    """What is to be done with an exchange at or after an instant."""

    kind: str
    at: datetime


CLOSES_AFTER = timedelta(days=30)
"""How long after the last day the companies can still confirm that the stay took place."""

MOST_VERSIONS = 50
"""Of one agreement: who needs more of them does not agree."""


def can(exchange: Exchange, command: Command, who: Who) -> bool:
    """Whether the table has a move for it."""
    return (exchange.stage, command, who) in OUTCOMES


def allow(exchange: Exchange, command: Command, who: Who) -> None:
    """Returns if the table has a move for it.

    Raises:
        Refused: ``too_early``, ``too_late``, ``ended``.
        NotYours: ``not_for_you``, others can do it at this stage.
    """
    if can(exchange, command, who):
        return
    stages = {stage for stage, known, by in OUTCOMES if known is command and by is who}
    if not stages or any(can(exchange, command, other) for other in Who):
        raise NotYours("not_for_you", f"this is not for the {who}")
    early_or_late = "too_early" if exchange.stage.rank < min(stage.rank for stage in stages) else "too_late"
    wanted = " or ".join(stage for stage in Stage if stage in stages)
    rule = "ended" if exchange.stage.ended else early_or_late
    raise Refused(rule, f"the exchange is {exchange.stage}; this takes one that is {wanted}")


def moved(exchange: Exchange, command: Command, who: Who, now: datetime, to: Stage | None = None) -> Exchange:
    """The next state; ``to`` is needed where the table has several outcomes.

    Raises:
        LookupError: the table does not have it.
    """
    outcomes = OUTCOMES[exchange.stage, command, who]
    if to is None:
        (to,) = outcomes
    if to not in outcomes:
        raise LookupError(f"{who} does not bring an exchange from {exchange.stage} to {to}: {command}")
    return exchange.moved_to(to, now)


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
    allow(exchange, Command.ACCEPT, Who(by))
    if now >= exchange.open_until:
        raise Refused("expired", f"the proposal could be accepted until {exchange.open_until.isoformat()}")
    accepted_by = tuple(side for side in Side if side is by or side in exchange.accepted_by)
    to = Stage.ACCEPTED if len(accepted_by) == len(Side) else Stage.PROPOSED
    accepted = replace(moved(exchange, Command.ACCEPT, Who(by), now, to), accepted_by=accepted_by)
    return accepted, [accepted.as_updated()]


def decline(exchange: Exchange, by: Side, reason: str, now: datetime) -> Decision:
    """Either side may decline until the exchange is agreed; afterwards it must cancel.

    Raises:
        Refused: ``too_late``, ``ended``.
    """
    if exchange.ended_as(Stage.DECLINED, by):
        return exchange, []
    allow(exchange, Command.DECLINE, Who(by))
    return ended(exchange, Command.DECLINE, Who(by), now, reason)


def draft(exchange: Exchange, by: Side, terms: Terms, rules: Rules, now: datetime) -> Decision:
    """A new version of the agreement, which voids the signatures under the one before; equal terms are no new version.

    Once the exchange is agreed, the version in force stays so until all have signed the new one.

    Raises:
        Refused: ``too_early``, ``ended``, ``stay_over``, ``too_many_versions``.
        WrongTerms: with every fault of the terms.
    """
    allow(exchange, Command.DRAFT, Who(by))
    latest, today = exchange.latest, day_of(now)
    if latest is not None and latest.terms == terms and not latest.sent_back:
        return exchange, []
    if latest is not None and latest.version == MOST_VERSIONS:
        raise Refused("too_many_versions", f"an agreement has at most {MOST_VERSIONS} versions")
    if exchange.stage in _STANDING:
        not_over(exchange, today)
        faults = agreement.amendment_faults(exchange.drafted.terms, terms, rules.skills, today)
    else:
        faults = agreement.faults(exchange.match, terms, rules.skills, today)
    if faults:
        raise WrongTerms(faults)
    version = agreement.draft(exchange.match, latest.version + 1 if latest else 1, terms, rules, by, now)
    drafted = _with_latest(moved(exchange, Command.DRAFT, Who(by), now), version)
    return drafted, [drafted.as_updated()]


def sign(exchange: Exchange, by: Party, version: int, now: datetime, person_id: UUID | None = None) -> Decision:
    """One party signs the latest version; the third signature makes the agreement, or sends it to the contact points.

    Raises:
        Refused: ``stale_version``, ``sent_back``, ``first_day_passed``, ``stay_over``, ``too_early``, ``ended``.
    """
    latest = _latest(exchange, version)
    if latest is not None and by in latest.signed_by:
        return exchange, []
    allow(exchange, Command.SIGN, Who(by))
    if latest is None:
        raise LookupError(f"exchange {exchange.id} is {exchange.stage} and has no agreement")
    if latest.sent_back:
        raise Refused("sent_back", "a contact point sent this version back: draft another one")
    _in_time(exchange, latest, now)
    return _concluded(exchange, Command.SIGN, Who(by), agreement.sign(latest, by, now, person_id), now)


def approve(exchange: Exchange, country: Country, version: int, now: datetime) -> Decision:
    """A contact point approves what all have signed; the last one that has to makes the agreement.

    Raises:
        Refused: ``stale_version``, ``sent_back``, ``not_signed``, ``first_day_passed``, ``stay_over``, ``too_early``, ``ended``.
        NotYours: ``not_your_exchange``, this country's contact point is not asked.
    """
    latest = _reviewed(exchange, Command.APPROVE, country, version)
    if latest is None:
        return exchange, []
    _in_time(exchange, latest, now)
    reviewed = agreement.review(latest, country, None, now)
    return _concluded(exchange, Command.APPROVE, Who.CONTACT_POINT, reviewed, now)


def send_back(exchange: Exchange, country: Country, version: int, remarks: str, now: datetime) -> Decision:
    """A contact point wants another version; it can until all that are asked have approved this one, or one sent it back.

    Raises:
        Refused: ``stale_version``, ``not_signed``, ``approved``, ``sent_back``, ``too_early``, ``ended``.
        NotYours: ``not_your_exchange``, this country's contact point is not asked.
    """
    latest = exchange.latest
    if latest is not None and latest.version == version and latest.sent_back_by == country:
        return exchange, []
    latest = _reviewed(exchange, Command.SEND_BACK, country, version)
    if latest is None:
        raise Refused("approved", "the contact point approved this version")
    reviewed = agreement.review(latest, country, remarks, now)
    back = _with_latest(moved(exchange, Command.SEND_BACK, Who.CONTACT_POINT, now), reviewed)
    return back, [back.as_updated()]


def start(exchange: Exchange, now: datetime) -> Decision:
    """The first day has come."""
    if not can(exchange, Command.START, Who.TIME) or now < start_of(exchange.drafted.terms.first_day):
        return exchange, []
    ongoing = moved(exchange, Command.START, Who.TIME, now)
    return ongoing, [ongoing.as_updated()]


def cancel(exchange: Exchange, by: Side, reason: str, now: datetime) -> Decision:
    """Either side calls an agreed stay off, or breaks it off; before the agreement it declines.

    Raises:
        Refused: ``too_early``, ``ended``.
    """
    if exchange.ended_as(Stage.CANCELLED, by):
        return exchange, []
    allow(exchange, Command.CANCEL, Who(by))
    return ended(exchange, Command.CANCEL, Who(by), now, reason)


def expire(exchange: Exchange, now: datetime) -> Decision:
    """What nobody brought to an agreement in time comes to nothing."""
    if not can(exchange, Command.EXPIRE, Who.TIME) or now < exchange.open_until:
        return exchange, []
    return ended(exchange, Command.EXPIRE, Who.TIME, now)


def withdraw(exchange: Exchange, now: datetime) -> Decision:
    """The placement or the offer is no longer there. What is agreed stands: only who signed it can cancel it."""
    if not can(exchange, Command.WITHDRAW, Who.PROGRAMME):
        return exchange, []
    return ended(exchange, Command.WITHDRAW, Who.PROGRAMME, now)


def company_gone(exchange: Exchange, now: datetime) -> Decision:
    """One of the two companies left the programme, and no stay goes on without it."""
    if not can(exchange, Command.LET_GO, Who.PROGRAMME):
        return exchange, []
    return ended(exchange, Command.LET_GO, Who.PROGRAMME, now, "company_gone")


def due(exchange: Exchange) -> Iterator[Due]:
    """All that falls due if nobody acts, one of a kind; nothing does once the exchange has ended."""
    if exchange.stage in _OPEN:
        yield Due("expire", exchange.open_until)
    elif exchange.stage is Stage.AGREED:
        yield Due("start", start_of(exchange.drafted.terms.first_day))
    elif exchange.stage in _BEGUN:
        if exchange.stay.asked_at is None and exchange.stay.ended_on is None:
            yield Due("ask", asks_at(exchange))
        yield Due("close", closes_at(exchange))


def asks_at(exchange: Exchange) -> datetime:
    """The middle of the stay, by the calendar."""
    terms = exchange.drafted.terms
    return start_of(terms.first_day + (terms.last_day - terms.first_day) // 2)


def closes_at(exchange: Exchange) -> datetime:
    return start_of(exchange.last_day + CLOSES_AFTER)


def days_held(exchange: Exchange) -> tuple[Part, ...]:
    """Days that the traveller is promised to this exchange and to no other: from the agreement to its end."""
    return taken(exchange.drafted.terms.parts, exchange.stay) if exchange.stage in _STANDING else ()


def not_over(exchange: Exchange, today: date) -> None:
    """Returns until the last day of an agreed exchange is over.

    Raises:
        Refused: ``stay_over``.
    """
    if exchange.stay.ended_on is not None or today > exchange.last_day:
        raise Refused("stay_over", f"the last day was {exchange.last_day}")


def ended(exchange: Exchange, command: Command, who: Who, now: datetime, reason: str | None = None) -> Decision:
    """The last state, with the event that tells of an exchange which came to nothing, or was called off."""
    to = Stage.CANCELLED if exchange.stage in _STANDING else None
    by = Side(who) if who in _SIDES else None
    if to is None:
        reason = reason if by else None
    last = replace(moved(exchange, command, who, now, to), ending=Ending(exchange.stage, by, reason), amendment=None)
    return last, [last.as_cancelled() if to else last.as_match_declined()]


def _latest(exchange: Exchange, version: int) -> Agreement | None:
    latest = exchange.latest
    if latest is not None and latest.version != version:
        said = f"version {version} is not the latest, version {latest.version} is"
        raise Refused("stale_version", said, {"current_version": latest.version})
    return latest


def _with_latest(exchange: Exchange, version: Agreement) -> Exchange:
    """Of an agreed exchange it is the one that is to follow the version in force."""
    return replace(exchange, amendment=version) if exchange.stage in _STANDING else replace(exchange, agreement=version)


def _in_time(exchange: Exchange, version: Agreement, now: datetime) -> None:
    """Returns if the days of the version can still be agreed on."""
    in_force = exchange.drafted.terms if exchange.amendment is not None else None
    if in_force is not None:
        not_over(exchange, day_of(now))
    if agreement.overtaken(in_force, version.terms, day_of(now)):
        raise Refused("first_day_passed", "a part would have begun before this was agreed on: draft other dates")


def _reviewed(exchange: Exchange, command: Command, country: Country, version: int) -> Agreement | None:
    """The version that the contact point of this country is to decide on; None if it approved it already."""
    latest = _latest(exchange, version)
    if latest is not None and country not in latest.validated_by:
        raise NotYours("not_your_exchange", "this agreement is not validated by the caller's contact point")
    if latest is not None and country not in latest.awaits:
        return None
    allow(exchange, command, Who.CONTACT_POINT)
    if latest is None or not latest.signed_by_all:
        raise Refused("not_signed", "not all three have signed this version")
    if latest.sent_back:
        raise Refused("sent_back", "a contact point sent this version back")
    return latest


def _concluded(exchange: Exchange, command: Command, who: Who, version: Agreement, now: datetime) -> Decision:
    """What follows from one signature or approval more: with the last one that is needed, the version is in force."""
    if exchange.amendment is not None:
        after = moved(exchange, command, who, now)
        if not version.concluded:
            after = replace(after, amendment=version)
            return after, [after.as_updated()]
        after = replace(after, agreement=version, amendment=None)
        return after, [after.as_agreed()]
    signed = Stage.IN_VALIDATION if version.signed_by_all else Stage.DRAFTED
    to = Stage.AGREED if version.concluded else signed
    after = replace(moved(exchange, command, who, now, to), agreement=version)
    return after, [after.as_agreed() if version.concluded else after.as_updated()]
