"""The outbox: where a transaction leaves its events until the relay moves them to the log.

Guarantee 2: an event is in the outbox if and only if the transaction that emitted it was committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sojourn_contracts import catalogue
from sojourn_contracts.event import Event

from chassis import spans
from chassis.database import Connection

if TYPE_CHECKING:
    from chassis.transaction import Cause


class TooLarge(ValueError):  # noqa: N818 - it describes the event
    """The record would be larger than any topic takes. It never reaches the outbox: the broker would refuse it for ever."""


@dataclass(frozen=True)
class Entry:
    """A row of the outbox; ``data`` is None in a tombstone."""

    event_id: UUID
    topic: str
    type: str
    dataschema: str
    subject: UUID
    time: datetime
    data: str | None
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None


def emitted_at(event_id: UUID) -> float | None:
    """When an event was emitted, by the wall clock, in seconds since 1970; None if its id does not tell."""
    return (event_id.int >> 80) / 1000 if event_id.version == 7 else None


HEADERS_ROOM = 2_000
"""Bytes that key and headers take at most; all of them are bounded."""


def entry(service: str, event: Event, event_id: UUID, time: datetime, cause: "Cause") -> Entry:
    """The row for an event.

    Raises:
        ValueError: the catalogue says that another service emits this event, or nobody yet.
        TooLarge: key, headers and value exceed ``catalogue.MAX_RECORD_BYTES``.
    """
    data = event.model_dump_json()
    if len(data) * 4 > catalogue.MAX_RECORD_BYTES and len(data.encode()) + HEADERS_ROOM > catalogue.MAX_RECORD_BYTES:
        raise TooLarge(f"{type(event).__name__} {event.subject}: {len(data.encode())} bytes")
    return _entry(service, type(event), event.subject, event_id, time, cause, data)


def tombstone(service: str, event: type[Event], subject: UUID, event_id: UUID, time: datetime, cause: "Cause") -> Entry:
    """The row that erases a subject on the event's topic."""
    return _entry(service, event, subject, event_id, time, cause, None)


def _entry(
    service: str, event: type[Event], subject: UUID, event_id: UUID, time: datetime, cause: "Cause", data: str | None
) -> Entry:
    topic = catalogue.BY_NAME.get(event.__name__)
    if topic is None or topic.planned or service not in topic.producers:
        raise ValueError(f"the catalogue does not let {service} emit {event.__name__}")
    return Entry(
        event_id=event_id,
        topic=event.topic(),
        type=event.type(),
        dataschema=event.dataschema(),
        subject=subject,
        time=time,
        data=data,
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
        traceparent=spans.emitted(event, event_id, cause.traceparent),
    )


async def write(connection: Connection, entries: Sequence[Entry]) -> None:
    """Adds the rows in their order; ids are given in that order."""
    await connection.execute(
        """
        insert into outbox (event_id, topic, type, dataschema, subject, time, data,
                            correlation_id, causation_id, traceparent)
        select event_id, topic, type, dataschema, subject, time, data, correlation_id, causation_id, traceparent
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::text[],
                    $8::text[], $9::text[], $10::text[])
             with ordinality as entry(event_id, topic, type, dataschema, subject, time, data,
                                      correlation_id, causation_id, traceparent, place)
        order by place
        """,
        [entry.event_id for entry in entries],
        [entry.topic for entry in entries],
        [entry.type for entry in entries],
        [entry.dataschema for entry in entries],
        [entry.subject for entry in entries],
        [entry.time for entry in entries],
        [entry.data for entry in entries],
        [entry.correlation_id for entry in entries],
        [entry.causation_id for entry in entries],
        [entry.traceparent for entry in entries],
    )
