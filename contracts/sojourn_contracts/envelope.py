"""CloudEvents 1.0 in Kafka's binary content mode, in both directions.

The attributes stand in headers ``ce_*``, the data is JSON, the key is the subject's id. A record without data but with these
headers is a tombstone: it erases its subject. See the CloudEvents Kafka protocol binding, version 1.0.2, and the extensions
``sequence`` (ordered as text, too, hence its zeros) and ``traceparent`` (which tracing tools look for in a header of that name).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError

from sojourn_contracts import catalogue
from sojourn_contracts.event import Event

Headers = Sequence[tuple[str, bytes]]

JSON = b"application/json"
_BESIDE = frozenset({"traceparent", "tracestate", "content-type"})
MAX_PATH = 200
"""Characters of a path: a record may use names of any length."""
_TYPE = re.compile(r"(?P<name>[A-Za-z]+)\.v(?P<major>[1-9][0-9]*)")


class Malformed(ValueError):  # noqa: N818 - it describes the record
    """The record breaks the contract.

    ``path`` names the header or the field, as in ``data.placements.0.window.last``.
    """

    def __init__(self, path: str, reason: str) -> None:
        path = path[:MAX_PATH]
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class UnknownType(Malformed):
    """The catalogue has no event of this name."""


class UnknownVersion(Malformed):
    """The event is known, this major version of it is not."""


@dataclass(frozen=True)
class Envelope:
    """An event with its CloudEvents attributes.

    ``data`` is None in a tombstone. ``id`` is the same on every repeat. ``sequence`` is dense per topic and ``source`` within
    the log's ``generation`` and proves completeness; it never decides. ``time`` is programme time.
    """

    id: UUID
    source: str
    event: type[Event]
    subject: UUID
    time: datetime
    data: Event | None
    sequence: int
    generation: int = 1
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    """Goes with ``traceparent``, see W3C Trace Context. Our services write none: anybody could say anything in it."""


def encode(envelope: Envelope) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of the Kafka record; the value is None for a tombstone."""
    value = None if envelope.data is None else envelope.data.model_dump_json().encode()
    attributes = headers(
        id_=envelope.id,
        source=envelope.source,
        type_=envelope.event.type(),
        dataschema=envelope.event.dataschema(),
        subject=envelope.subject,
        time=envelope.time,
        sequence=envelope.sequence,
        generation=envelope.generation,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        traceparent=envelope.traceparent,
        tracestate=envelope.tracestate,
    )
    return str(envelope.subject).encode(), value, attributes


def headers(
    *,
    id_: UUID | str,
    source: str,
    type_: str,
    dataschema: str,
    subject: UUID | str,
    time: datetime,
    sequence: int,
    generation: int,
    correlation_id: str | None,
    causation_id: str | None,
    traceparent: str | None,
    tracestate: str | None = None,
) -> list[tuple[str, bytes]]:
    """The record's headers, attributes that are not set left out. The trace stands there as an attribute and by itself."""
    made = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(id_).encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        ("ce_subject", str(subject).encode()),
        ("ce_time", time.isoformat().encode()),
        ("ce_dataschema", dataschema.encode()),
        ("ce_sequence", b"%018d" % sequence),
        ("ce_generation", b"%d" % generation),
        ("content-type", JSON),
    ]
    if correlation_id is not None:
        made.append(("ce_correlationid", correlation_id.encode()))
    if causation_id is not None:
        made.append(("ce_causationid", causation_id.encode()))
    if traceparent is not None:
        made += (("ce_traceparent", traceparent.encode()), ("traceparent", traceparent.encode()))
    if traceparent is not None and tracestate is not None:
        made += (("ce_tracestate", tracestate.encode()), ("tracestate", tracestate.encode()))
    return made


def decode(value: bytes | None, record_headers: Headers) -> Envelope:
    """Reads a record; fields that this version does not know pass and are kept in the event.

    Raises:
        Malformed: a header or field is missing or wrong; its path is named.
        UnknownType: an event that the catalogue does not have.
        UnknownVersion: a major version that this code does not have.
    """
    attributes = _texts(record_headers)
    if attributes.get("ce_specversion") != "1.0":
        raise Malformed("ce_specversion", "missing, or not 1.0")
    event = _event(_required(attributes, "ce_type"))
    subject = _uuid(attributes, "ce_subject")
    data = None if value is None else _data(event, value)
    if data is not None and data.subject != subject:
        raise Malformed(f"data.{event.key}", f"is {data.subject}, but ce_subject is {subject}")
    # The attribute is of who emitted the event; whoever passed it on may have left a header of their own.
    trace = "ce_" if "ce_traceparent" in attributes else ""
    return Envelope(
        id=_uuid(attributes, "ce_id"),
        source=_required(attributes, "ce_source"),
        event=event,
        subject=subject,
        time=_time(attributes),
        data=data,
        sequence=_number(attributes, "ce_sequence"),
        generation=_number(attributes, "ce_generation") if "ce_generation" in attributes else 1,
        correlation_id=attributes.get("ce_correlationid"),
        causation_id=attributes.get("ce_causationid"),
        traceparent=attributes.get(f"{trace}traceparent"),
        tracestate=attributes.get(f"{trace}tracestate"),
    )


def _texts(record_headers: Headers) -> Mapping[str, str]:
    texts: dict[str, str] = {}
    for name, value in record_headers:
        if not (name.startswith("ce_") or name in _BESIDE):
            continue
        try:
            texts[name] = value.decode()
        except (UnicodeDecodeError, AttributeError):
            raise Malformed(name, "is not UTF-8 text") from None
    return texts


def _required(attributes: Mapping[str, str], name: str) -> str:
    if not attributes.get(name):
        raise Malformed(name, "is missing")
    return attributes[name]


def _uuid(attributes: Mapping[str, str], name: str) -> UUID:
    try:
        return UUID(_required(attributes, name))
    except ValueError as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(name, "is not a UUID") from None


def _number(attributes: Mapping[str, str], name: str) -> int:
    text = _required(attributes, name)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Malformed(name, "is not a whole number from 0 on")
    return int(text)


def _time(attributes: Mapping[str, str]) -> datetime:
    text = _required(attributes, "ce_time")
    try:
        time = datetime.fromisoformat(text.upper())  # t and z may be small
    except ValueError:
        raise Malformed("ce_time", "is not an RFC 3339 time") from None
    if time.tzinfo is None:
        raise Malformed("ce_time", "has no time zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise Malformed("ce_time", "lies outside the years 1 to 9999") from None


def _event(type_: str) -> type[Event]:
    match = _TYPE.fullmatch(type_)
    topic = catalogue.BY_NAME.get(match["name"]) if match else None
    if match is None or topic is None:
        raise UnknownType("ce_type", f"{type_[:100]!r} is not in the catalogue")
    if match["major"] != str(topic.event.major):
        raise UnknownVersion("ce_type", f"{type_[:100]!r} is not a version known here, {topic.event.type()} is")
    return topic.event


def _data(event: type[Event], value: bytes) -> Event:
    try:
        return event.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(["data", *map(str, first["loc"])])
        raise Malformed(path, first["msg"]) from None
