"""What has to be done before a stay, by when and by whom: it follows from its first day and the pair of countries. Pure.

Not legal advice: the list reminds of what is usually needed. Whether it is, the competent institutions say. Each rule names its
source; how many days ahead, where the source names none, is the programme's choice, so that who asks still gets an answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from uuid import uuid5

from sojourn_contracts.exchange import Stage
from sojourn_contracts.notice import NoticeDue
from sojourn_contracts.refusal import NotYours, Refused
from sojourn_contracts.vocabulary import Country, Party

from exchange.state import Exchange

_EU = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU = frozenset(_EU.split())
EEA = EU | {"IS", "LI", "NO"}
COORDINATED = EEA | {"CH", "GB"}
"""Whose social security systems are coordinated with each other by forms such as the A1."""

NOT_LEGAL_ADVICE = (
    "This is not legal advice. What is needed in a particular case, the competent institutions of both countries say."
)

REMINDED_AHEAD = timedelta(days=7)
OVERDUE_AFTER = timedelta(days=1)


class Item(StrEnum):
    """What is to be done."""

    A1_REQUEST = "a1_request"
    """The employer asks its social security institution for the certificate A1, which the traveller carries: Regulation (EC)
    883/2004, article 12, and (EC) 987/2009, article 15(1): "in advance whenever possible", also for short stays and training.
    Between the EU and Switzerland by their agreement on free movement of persons, with the United Kingdom by the protocol on
    social security coordination of the Trade and Cooperation Agreement. With other countries, bilateral treaties decide, and
    there is no A1.
    """
    POSTING_NOTIFICATION = "posting_notification"
    """The employer looks up whether the host country wants the stay notified, and notifies it: Directive 2014/67/EU, article
    9(1)(a), "at the latest at the commencement of the service provision"; in Switzerland eight days before it, by the
    Posted Workers Act, article 6. Stays for learning only are exempt in some countries and not in others. No such notice where
    the host country is another one.
    """
    INSURANCE = "insurance"
    """Health, accident and liability. The European Health Insurance Card covers what is medically necessary in the EU, the EEA,
    Switzerland and, by its own arrangements, the United Kingdom: Regulation (EC) 883/2004, article 19. Elsewhere travel health
    insurance is needed, and a visa often asks for its proof.
    """
    ACCOMMODATION = "accommodation"
    """Where the traveller stays: the programme's own rule."""
    TRAVEL_DOCUMENT = "travel_document"
    """An identity card or passport that is valid until the end. Citizens of the EU move freely with one: Directive 2004/38/EC,
    articles 5 and 6. Into or out of any other country than those of the EEA and Switzerland, a passport, and perhaps a visa or
    a permit, which takes weeks.
    """


WHO: dict[Item, tuple[Party, ...]] = {
    Item.A1_REQUEST: (Party.SENDER,),
    Item.POSTING_NOTIFICATION: (Party.SENDER,),
    Item.INSURANCE: (Party.SENDER, Party.TRAVELLER),
    Item.ACCOMMODATION: (Party.HOST, Party.TRAVELLER),
    Item.TRAVEL_DOCUMENT: (Party.TRAVELLER, Party.SENDER),
}
"""Who may say that it is done; the first of them is reminded."""


@dataclass(frozen=True)
class Entry:
    """An item that applies, and the last day on which it is done in time."""

    item: Item
    deadline: date

    def late(self, today: date) -> bool:
        """From the day after on, while it is open."""
        return today > self.deadline


@lru_cache(maxsize=4_096)
def entries(sender_country: Country, host_country: Country, first_day: date) -> tuple[Entry, ...]:
    """What applies to a stay, by deadline.

    A deadline may lie before today, where all was agreed late: then the item is late at once, for it is.
    """
    ahead = _days_ahead(sender_country, host_country)
    found = (Entry(item, first_day - timedelta(days=days)) for item, days in ahead.items())
    return tuple(sorted(found, key=lambda entry: (entry.deadline, entry.item)))


def reminder_days(entry: Entry) -> tuple[date, date]:
    """A week ahead, and when it has become late."""
    return entry.deadline - REMINDED_AHEAD, entry.deadline + OVERDUE_AFTER


@dataclass(frozen=True)
class Done:
    """Who said that it is done, and when."""

    by: Party
    at: datetime


@dataclass(frozen=True)
class Listed:
    """An entry of an exchange's list, with what happened to it."""

    entry: Entry
    done: Done | None = None
    reminded_on: date | None = None
    """When somebody was last reminded of it."""


def reminder_due(listed: Listed, today: date) -> bool:
    """Whether somebody is to be reminded today: one of the days has come, and nobody was since. Two that have come are one."""
    come = [day for day in reminder_days(listed.entry) if day <= today]
    return not listed.done and bool(come) and (listed.reminded_on is None or listed.reminded_on < come[-1])


def next_reminder(all_listed: Iterable[Listed], today: date) -> date | None:
    """The first day, from today on, on which somebody is to be reminded of one of these; None if there is none."""
    days: list[date] = []
    for listed in all_listed:
        if reminder_due(listed, today):
            return today
        days += [day for day in reminder_days(listed.entry) if day > today and not listed.done]
    return min(days, default=None)


def reminder(exchange: Exchange, listed: Listed, today: date) -> NoticeDue:
    """The notice to whom the entry is for in the first place; one for an entry and a day, however often it is asked for."""
    match, (first, *_) = exchange.match, WHO[listed.entry.item]
    recipients = {Party.SENDER: match.sender_id, Party.HOST: match.host_id, Party.TRAVELLER: match.traveller_id}
    return NoticeDue(
        notice_id=uuid5(exchange.id, f"reminder/{listed.entry.item}/{today}"),
        recipient_id=recipients[first],
        template="checklist_reminder",
        parameters={
            "exchange_id": str(exchange.id),
            "step": listed.entry.item.value,
            "deadline": listed.entry.deadline.isoformat(),
        },
    )


class State(StrEnum):
    """How an entry stands today."""

    OPEN = "open"
    LATE = "late"
    DONE = "done"
    CANCELLED = "cancelled"
    """With its exchange, before it was done."""
    MISSED = "missed"
    """The stay was completed without it."""


def state_of(listed: Listed, stage: Stage, today: date) -> State:
    if listed.done:
        return State.DONE
    if stage.ended:
        return State.MISSED if stage is Stage.COMPLETED else State.CANCELLED
    return State.LATE if listed.entry.late(today) else State.OPEN


def entries_of(exchange: Exchange) -> tuple[Entry, ...]:
    """What applies to an exchange as it stands: nothing before it is agreed, nor once it has ended."""
    if exchange.stage.rank < Stage.AGREED.rank or exchange.stage.ended:
        return ()
    match = exchange.match
    return entries(match.sender_country, match.host_country, exchange.drafted.terms.first_day)


def done(listed: Listed, by: Party, stage: Stage, now: datetime) -> Listed:
    """One party says that it is done; who said it first stays.

    Raises:
        NotYours: ``not_for_this_party``.
        Refused: ``ended``.
    """
    _require_changeable(listed, by, stage)
    return listed if listed.done else replace(listed, done=Done(by, now))


def undone(listed: Listed, by: Party, stage: Stage) -> Listed:
    """One of those who may say that it is done takes it back.

    Raises:
        NotYours: ``not_for_this_party``.
        Refused: ``ended``.
    """
    _require_changeable(listed, by, stage)
    return replace(listed, done=None)


def _require_changeable(listed: Listed, by: Party, stage: Stage) -> None:
    may = WHO[listed.entry.item]
    if by not in may:
        raise NotYours("not_for_this_party", f"this is for {' or '.join(may)} to say")
    if stage.ended:
        raise Refused("ended", f"the exchange is {stage}; its checklist stays as it is")


def _days_ahead(sender_country: Country, host_country: Country) -> dict[Item, int]:
    countries = {sender_country, host_country}
    abroad = len(countries) > 1
    ahead = {
        Item.INSURANCE: 14 if countries <= COORDINATED else 28,
        Item.ACCOMMODATION: 21,
        Item.TRAVEL_DOCUMENT: 14 if countries <= EEA | {"CH"} else 56,
    }
    if abroad and countries <= COORDINATED:
        ahead[Item.A1_REQUEST] = 14
    if abroad and host_country in EEA | {"CH"}:
        ahead[Item.POSTING_NOTIFICATION] = 14 if host_country == "CH" else 7
    return ahead
