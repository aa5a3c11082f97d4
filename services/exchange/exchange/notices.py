"""Who is told what by e-mail as an exchange goes on: which notices a change asks for, and when the next ones fall due.

Registration, which has the addresses, makes words of the codes here. A notice's id is made of what it is about, so that it is
one notice however often it is asked for. Pure, as the domain is.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from sojourn_contracts.exchange import Stage
from sojourn_contracts.notice import NoticeDue, contact_point
from sojourn_contracts.vocabulary import Country, Party, Side

from exchange.agreement import Agreement
from exchange.domain import Due, days_held, due
from exchange.during import alerts
from exchange.state import Exchange, start_of

NOTIFY = "notify"
"""The due work that asks for what has fallen due by then."""

REMIND_BEFORE = timedelta(days=3)
"""How long before a proposal expires those are reminded who have not answered."""
REMIND_AFTER = timedelta(days=7)
"""After so long without a change, whoever is to act is reminded: once for each state that it came to."""
STAY_AHEAD = timedelta(days=7)
"""How long before the first day of a stay all three are told of it."""


def asked(before: Exchange | None, after: Exchange) -> list[NoticeDue]:
    """What is to be told now that this one state became the other."""
    if after.stage.ended:
        return []
    return [
        *_proposed(before, after),
        *_accepted(before, after),
        *_to_sign(before, after),
        *_reviewed(before, after),
        *_signed(before, after),
        *_fits(before, after),
    ]


def called_off(exchange: Exchange, erased: UUID | None) -> list[NoticeDue]:
    """What the others are told when a stay is called off since somebody is erased; all, where it is not known who that is.

    The traveller goes with the sender. The exchange is erased as well, so it is not named.
    """
    match = exchange.match
    if not days_held(exchange):
        return []
    gone = {match.sender_id, match.traveller_id} if erased == match.sender_id else {erased}
    return [
        NoticeDue(
            notice_id=uuid5(exchange.id, f"stay_called_off/{party}"),
            recipient_id=_recipient(exchange, party),
            template="stay_called_off",
            parameters=_dates(exchange.drafted),
        )
        for party in Party
        if _recipient(exchange, party) not in gone
    ]


def falls_due(exchange: Exchange | None) -> Due | None:
    """When somebody is to be told next if nothing changes; None where nobody is."""
    if exchange is None or not _told_next(exchange):
        return None
    match exchange.stage:
        case Stage.PROPOSED:
            at = exchange.open_until - REMIND_BEFORE
        case Stage.ACCEPTED | Stage.DRAFTED:
            at = exchange.changed_at + REMIND_AFTER
        case Stage.AGREED:
            at = start_of(exchange.drafted.terms.first_day) - STAY_AHEAD
        case _:
            at = start_of(exchange.drafted.terms.last_day) + REMIND_AFTER
    return Due(NOTIFY, at)


def fallen_due(exchange: Exchange, now: datetime) -> list[NoticeDue]:
    """What is to be told by now; nothing if the exchange went on meanwhile, and is about to be told of later."""
    next_one = falls_due(exchange)
    if next_one is None or now < next_one.at:
        return []
    told = _told_next(exchange)
    if exchange.stage is Stage.AGREED:
        return [_notice(exchange, party, "stay_ahead", _dates(exchange.drafted)) for party in told]
    return _reminders(exchange, _STEPS[exchange.stage], told)


_STEPS = {
    Stage.PROPOSED: "answer",
    Stage.ACCEPTED: "draft",
    Stage.DRAFTED: "sign",
    Stage.ONGOING: "complete",
}
"""What is reminded of."""


def _told_next(exchange: Exchange) -> tuple[Party, ...]:
    """Whom the notice is for that falls due next."""
    match exchange.stage:
        case Stage.PROPOSED:
            return tuple(Party(side) for side in Side if side not in exchange.accepted_by)
        case Stage.DRAFTED:
            signed = exchange.drafted.signed_by
            return tuple(party for party in Party if party not in signed)
        case Stage.ACCEPTED | Stage.ONGOING:
            return (Party.SENDER, Party.HOST)
        case Stage.AGREED:
            return tuple(Party)
        case _:
            return ()


def _proposed(before: Exchange | None, after: Exchange) -> Iterator[NoticeDue]:
    """Not to a side that proposed it itself."""
    for side in Side if before is None else ():
        if side not in after.accepted_by:
            yield _notice(after, Party(side), "match_proposed", _explained(after, side))


def _accepted(before: Exchange | None, after: Exchange) -> Iterator[NoticeDue]:
    new = [side for side in after.accepted_by if before is not None and side not in before.accepted_by]
    for side in Side if new else ():
        if side not in new:
            step = "draft" if side in after.accepted_by else "accept"
            yield _notice(after, Party(side), "accepted_by_other", {"next": step})


def _to_sign(before: Exchange | None, after: Exchange) -> Iterator[NoticeDue]:
    """An extension of what is agreed as well."""
    version = after.latest
    known = before.latest.version if before and before.latest else 0
    for party in Party if version and version.version > known and not version.signed_by_all else ():
        if version:
            yield _notice(after, party, "agreement_to_sign", {"version": str(version.version), **_dates(version)})


def _signed(before: Exchange | None, after: Exchange) -> Iterator[NoticeDue]:
    """Once it is in force: signed by all, and approved where that is asked for, which is then said."""
    in_force = after.drafted if after.stage.rank >= Stage.AGREED.rank else None
    known = before.drafted if before is not None and before.stage.rank >= Stage.AGREED.rank else None
    if in_force and (known is None or in_force.version != known.version):
        for party in Party:
            template = "agreement_approved" if in_force.validated_by else "agreement_signed"
            yield _notice(after, party, template, _dates(in_force))


def _reviewed(before: Exchange | None, after: Exchange) -> Iterator[NoticeDue]:
    """A version that all have signed waits for contact points, or one of them sent it back."""
    version, known = after.latest, before.latest if before else None
    if version is None:
        return
    said = {"version": str(version.version)}
    same = known is not None and known.version == version.version
    if version.sent_back and not (same and known and known.sent_back):
        for party in Party:
            yield _notice(after, party, "agreement_sent_back", said)
    elif version.signed_by_all and not (same and known and known.signed_by_all):
        for country in version.awaits:
            waits = said | _countries(after) | _dates(version)
            yield _notice_to_contact_point(after, country, "validation_waits", waits)


def _fits(before: Exchange | None, after: Exchange) -> Iterator[NoticeDue]:
    """Half of the stay is over, and all three can say whether it fits; where it does not, both contact points are told."""
    if after.stay.asked_at and not (before and before.stay.asked_at):
        for party in Party:
            yield _notice(after, party, "does_it_fit", {})
    known = alerts(before) if before else ()
    for alert in alerts(after):
        for country in (alert.sender_country, alert.host_country) if alert not in known else ():
            said = {"raised_by": alert.raised_by.value, **_countries(after)}
            yield _notice_to_contact_point(after, country, "does_not_fit", said)


def _reminders(exchange: Exchange, step: str, parties: Iterable[Party]) -> list[NoticeDue]:
    act_by = min((next_one.at for next_one in due(exchange)), default=exchange.open_until)
    said = {"step": step, "act_by": act_by.isoformat()}
    return [_notice(exchange, party, "reminder", said) for party in parties]


def _explained(exchange: Exchange, side: Side) -> dict[str, str]:
    """Why it fits, in codes: skills, language, level, days."""
    match, why = exchange.match, exchange.match.explanation
    return {
        "side": side.value,
        "country": match.host_country if side is Side.SENDER else match.sender_country,
        **{f"learns_{number}": skill for number, skill in enumerate(why.traveller_learns, 1)},
        **{f"gains_{number}": skill for number, skill in enumerate(why.host_gains, 1)},
        "language": why.language,
        "language_level": why.language_level.value,
        "window_first": match.window.first.isoformat(),
        "window_last": match.window.last.isoformat(),
        "min_days": str(match.min_days),
        "max_days": str(match.max_days),
        "answer_by": exchange.open_until.isoformat(),
    }


def _dates(agreement: Agreement) -> dict[str, str]:
    terms = agreement.terms
    return {"first_day": terms.first_day.isoformat(), "last_day": terms.last_day.isoformat()}


def _countries(exchange: Exchange) -> dict[str, str]:
    return {"sender_country": exchange.match.sender_country, "host_country": exchange.match.host_country}


def _notice(exchange: Exchange, party: Party, template: str, said: dict[str, str]) -> NoticeDue:
    return _once(exchange, party, _recipient(exchange, party), template, said)


def _notice_to_contact_point(exchange: Exchange, country: Country, template: str, said: dict[str, str]) -> NoticeDue:
    return _once(exchange, country, contact_point(country), template, said)


def _once(exchange: Exchange, whom: str, recipient_id: UUID, template: str, said: dict[str, str]) -> NoticeDue:
    about = said.get("step") or said.get("next") or said.get("raised_by") or ""
    version = said.get("version") or exchange.agreement_version
    return NoticeDue(
        notice_id=uuid5(exchange.id, f"{template}/{about}/{version}/{whom}"),
        recipient_id=recipient_id,
        template=template,
        parameters={"exchange_id": str(exchange.id), **said},
    )


def _recipient(exchange: Exchange, party: Party) -> UUID:
    match party:
        case Party.SENDER:
            return exchange.match.sender_id
        case Party.HOST:
            return exchange.match.host_id
        case Party.TRAVELLER:
            return exchange.match.traveller_id
