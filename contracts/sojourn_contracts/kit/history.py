"""What the conformance kit tells a subscriber: a short history of the programme, as the topics carry it.

Companies register, change and leave; matches are proposed, declined, agreed, cancelled and completed; people answer the survey;
notices are asked for and sent; somebody is erased. Each topic tells of at least two subjects. Ids are the same in every run.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid5

from sojourn_contracts import catalogue, envelope
from sojourn_contracts.catalogue import Cleanup
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.erasure import ErasureDone, ErasureRequested
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.match import MatchDeclined, MatchProposed
from sojourn_contracts.notice import NoticeDue, NoticeSent
from sojourn_contracts.survey import SurveySubmitted

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAMES = UUID("0d6e4a0c-4f0b-4a52-8a5e-6b3b8f8c3b57")


def id_of(name: str) -> UUID:
    """The id of something that this history tells of."""
    return uuid5(NAMES, name)


@dataclass(frozen=True)
class Record:
    """What Kafka hands to a consumer; ``offset`` is -1 until it stands on its topic."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    partition: int = 0
    offset: int = -1
    timestamp: int = int(NOON.timestamp() * 1000)

    def header(self, name: str) -> str:
        return dict(self.headers)[name].decode()

    @property
    def subject(self) -> str:
        return self.header("ce_subject")

    @property
    def event_id(self) -> str:
        return self.header("ce_id")

    def headed(self, **texts: str) -> "Record":
        """The same with other values of some headers."""
        return replace(
            self, headers=[(name, texts[name].encode() if name in texts else value) for name, value in self.headers]
        )


def history(topics: Collection[str]) -> list[Record]:
    """What stands on these topics, in the order in which it happened.

    Raises:
        ValueError: nothing is known to tell on one of them.
    """
    records = [record for record in _everything() if record.topic in topics]
    if untold := set(topics) - {record.topic for record in records}:
        raise ValueError(f"this kit knows nothing to tell on {', '.join(sorted(untold))}")
    return records


@cache
def _everything() -> tuple[Record, ...]:
    numbers = Counter[tuple[str, str]]()
    records: list[Record] = []
    for place, (service, event) in enumerate(_HAPPENED):
        numbers[event.topic(), service] += 1
        number = numbers[event.topic(), service]
        records.append(_record(service, type(event), event.subject, event, number, NOON + timedelta(minutes=place)))
    return tuple(records)


def tombstones(topics: Collection[str]) -> list[Record]:
    """What erases the subjects of ``FORGOTTEN``, on each compacted topic that tells of them: only those carry tombstones."""
    told = [record for record in history(topics) if record.subject in FORGOTTEN and compacted(record.topic)]
    places = {(record.topic, record.subject): record for record in told}
    return [
        _record(
            record.header("ce_source").rpartition("/")[2],
            catalogue.BY_NAME[record.topic].event,
            UUID(record.subject),
            None,
            1_000 + place,
            NOON + timedelta(days=30),
        )
        for place, record in enumerate(places.values())
    ]


def compacted(topic: str) -> bool:
    """Whether the topic keeps the newest event per key for good."""
    return catalogue.BY_NAME[topic].cleanup is Cleanup.COMPACT


def another_id(name: str) -> str:
    """An event's id that stands on no topic yet."""
    return str(id_of(f"another event: {name}"))


def _record(
    service: str, kind: type[Event], subject: UUID, event: Event | None, sequence: int, time: datetime
) -> Record:
    key, value, headers = envelope.encode(
        Envelope(
            id=id_of(f"{kind.type()} {subject} {service} {sequence}"),
            source=f"sojourn/{service}",
            event=kind,
            subject=subject,
            time=time,
            data=event,
            sequence=sequence,
        )
    )
    return Record(kind.topic(), key, value, headers)


_SPOKEN = ({"language": "en", "level": "C1"},)
_WINDOW = {"first": "2026-05-04", "last": "2026-09-25"}
_STAY = {"languages": _SPOKEN, "window": _WINDOW, "min_days": 21}


def _company(name: str, revision: int) -> dict[str, Any]:
    """With each revision it would take and send somebody for a day longer."""
    sends = {"destinations": ("PT",), "skills_brought": ("web-development",), "skills_sought": ("trade-fairs",)}
    hosts = {"capacity": 2, "skills_taught": ("trade-fairs",), "skills_needed": ("web-development",)}
    stay = _STAY | {"max_days": 41 + revision}
    ids = {"placement_id": id_of(f"{name}'s placement"), "traveller_id": id_of(f"{name}'s traveller")}
    return {
        "company_id": id_of(name),
        "revision": revision,
        "country": "PT" if name == "host" else "DE",
        "region": "PT1" if name == "host" else "DED",
        "sector": "62",
        "size_class": "small",
        "languages": _SPOKEN,
        "placements": () if name == "host" else (stay | sends | ids,),
        "offers": (stay | hosts | {"offer_id": id_of("host's offer")},) if name == "host" else (),
    }


_TRAINING = {"direction": "traveller", "skills": ("trade-fairs",)}
_PAIR = {
    "placement_id": id_of("sender's placement"),
    "offer_id": id_of("host's offer"),
    "sender_id": id_of("sender"),
    "host_id": id_of("host"),
}
_PARTIES = _PAIR | {
    "traveller_id": id_of("sender's traveller"),
    "sender_country": "DE",
    "host_country": "PT",
    "sender_sector": "62",
    "host_sector": "62",
    "training": _TRAINING,
}


def _proposed(name: str) -> tuple[str, Event]:
    explanation = {
        "traveller_learns": ("trade-fairs",),
        "host_gains": ("web-development",),
        "language": "en",
        "language_level": "C1",
        "overlap_days": 145,
        "traveller_utility": 700_000,
        "host_utility": 600_000,
    }
    return "matching", MatchProposed.model_validate(
        _PARTIES
        | {"match_id": id_of(name), "revision": 1, "score": 650_000, "explanation": explanation, "window": _WINDOW}
        | {"min_days": 21, "max_days": 42, "expires_at": NOON + timedelta(days=14), "initiator": "matching"}
    )


_DATES = {"first_day": "2026-06-01", "last_day": "2026-06-28", "days": 28, "allowance_cents": 74_667}
_SIDES = ("sender", "host")
_SIGNED = {"agreement_version": 1, "signed_by": (*_SIDES, "traveller")} | _DATES


def _exchange(kind: type[Event], name: str, revision: int, stage: str, **more: Any) -> tuple[str, Event]:
    return "exchange", kind.model_validate(
        _PARTIES
        | {"exchange_id": id_of(name), "revision": revision, "stage": stage, "accepted_by": _SIDES}
        | {"agreement_version": 0, "signed_by": (), "changed_at": NOON + timedelta(days=revision)}
        | more
    )


def _accepted(name: str) -> tuple[str, Event]:
    return _exchange(ExchangeUpdated, name, 2, "accepted")


def _declined(name: str) -> tuple[str, Event]:
    return "exchange", MatchDeclined.model_validate(
        _PAIR
        | {"match_id": id_of(name), "revision": 3, "reason": "declined", "by": "host", "detail": "dates"}
        | {"declined_at": NOON + timedelta(days=3)}
    )


def _drafted(name: str) -> tuple[str, Event]:
    return _exchange(ExchangeUpdated, name, 3, "drafted", agreement_version=1, **_DATES)


def _agreed(name: str, revision: int = 4) -> tuple[str, Event]:
    return _exchange(ExchangeAgreed, name, revision, "agreed", **_SIGNED)


def _cancelled(name: str) -> tuple[str, Event]:
    why = {"cancelled_by": "host", "cancelled_at_stage": "agreed", "reason": "business"}
    return _exchange(ExchangeCancelled, name, 6, "cancelled", **_SIGNED, **why)


def _ongoing(name: str) -> tuple[str, Event]:
    return _exchange(ExchangeUpdated, name, 6, "ongoing", **_SIGNED)


def _completed(name: str) -> tuple[str, Event]:
    return _exchange(ExchangeCompleted, name, 7, "completed", training_hours=40, **_SIGNED)


def _answered(name: str) -> tuple[str, Event]:
    return "survey", SurveySubmitted(
        record_id=id_of(name),
        questionnaire="2026.1",
        party="traveller",  # pyright: ignore[reportArgumentType] - pydantic makes the member of it
        wave=1,
        released_on=NOON.date(),
        exchange_cluster="c" * 64,
        company_cluster="d" * 64,
        country="DE",
        sector_section="J",
        size_class="small",  # pyright: ignore[reportArgumentType]
        duration_band="14-30",
        training_direction="traveller",  # pyright: ignore[reportArgumentType]
        answers={"satisfaction": "4"},
    )


def _registered(name: str) -> tuple[str, Event]:
    return "registration", CompanyRegistered.model_validate(_company(name, 1))


def _updated(name: str, revision: int) -> tuple[str, Event]:
    return "registration", CompanyUpdated.model_validate(_company(name, revision))


def _left(name: str, revision: int) -> tuple[str, Event]:
    return "registration", CompanyWithdrawn(company_id=id_of(name), revision=revision, reason="left")


def _asked_to_tell(service: str, name: str) -> tuple[str, Event]:
    return service, NoticeDue(
        notice_id=id_of(name),
        recipient_id=id_of("sender's traveller"),
        template="stay_ahead",
        parameters={
            "exchange_id": str(id_of("completed exchange")),
            "first_day": "2026-06-01",
            "last_day": "2026-06-28",
        },
    )


def _told(name: str, revision: int, outcome: str) -> tuple[str, Event]:
    return "registration", NoticeSent(
        notice_id=id_of(name),
        revision=revision,
        asked_by="survey",
        recipient_id=id_of("sender's traveller"),
        template="stay_ahead",
        outcome=outcome,
        answered_at=NOON + timedelta(days=revision),
    )


def _to_erase(name: str) -> tuple[str, Event]:
    return "registration", ErasureRequested(
        erasure_id=id_of(f"erasure of {name}"), erased_id=id_of(name), kind="person", requested_at=NOON
    )


def _erased(service: str, name: str) -> tuple[str, Event]:
    return service, ErasureDone(
        erasure_id=id_of(f"erasure of {name}"),
        erased_id=id_of(name),
        kind="person",
        done_by=service,
        done_at=NOON + timedelta(days=1),
    )


_COMPANIES = ("sender", "host", "leaver", "forgotten company")
_DECLINED = ("declined match", "forgotten declined match")
_CANCELLED = ("cancelled exchange", "forgotten cancelled exchange")
_COMPLETED = ("completed exchange", "forgotten completed exchange")
_RECORDS = ("record", "second record", "forgotten record")
_ERASED = ("somebody", "somebody else")
_MATCHES = (*_DECLINED, *_CANCELLED, *_COMPLETED)

FORGOTTEN = frozenset(str(id_of(name)) for name in (*_COMPANIES, *_MATCHES, *_RECORDS) if name.startswith("forgotten"))
"""Subjects that nothing else names, and that ``tombstones`` erases."""

_HAPPENED: tuple[tuple[str, Event], ...] = (
    *(_registered(name) for name in _COMPANIES),
    *(_updated(name, 2) for name in _COMPANIES),
    *(_updated(name, 3) for name in _COMPANIES),
    *(_left(name, 4) for name in _COMPANIES if name not in ("sender", "host")),
    *(_proposed(name) for name in _MATCHES),
    *(_accepted(name) for name in _MATCHES),
    *(_declined(name) for name in _DECLINED),
    *(_drafted(name) for name in (*_CANCELLED, *_COMPLETED)),
    *(_agreed(name) for name in (*_CANCELLED, *_COMPLETED)),
    *(_agreed(name, 5) for name in _COMPLETED),
    *(_cancelled(name) for name in _CANCELLED),
    *(_ongoing(name) for name in _COMPLETED),
    *(_completed(name) for name in _COMPLETED),
    *(_answered(name) for name in _RECORDS),
    _asked_to_tell("exchange", "notice"),
    _asked_to_tell("survey", "second notice"),
    _told("notice", 1, "refused"),
    _told("second notice", 1, "accepted"),
    _told("notice", 2, "accepted"),
    *(_to_erase(name) for name in _ERASED),
    *(_erased(service, name) for name in _ERASED for service in ("matching", "exchange", "survey")),
)
"""Who said what, in the order in which it happened."""
