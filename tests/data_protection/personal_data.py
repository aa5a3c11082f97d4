"""Looks for personal data in events: whatever stands where the schema has no place for it, and whatever looks like it.

A text is an id, a day, a time, one of a closed list, one of the codes that its description lists, or of a narrow pattern; of
the last, none may look like a name, an e-mail address, a phone number or a sentence. Fields without a name in the schema are
told, too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sojourn_contracts.catalogue import SERVICES, TABLE

from tests.contracts.made_events import known_codes

Json = dict[str, Any]
Look = Callable[[Any], "Sequence[Found]"]
"""What it finds in a value, with the path from there on."""

FORMATS = {
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
}
HEADERS = {
    "ce_specversion": re.compile(r"1\.0"),
    "ce_id": FORMATS["uuid"],
    "ce_source": re.compile(f"sojourn/({'|'.join(SERVICES)})"),
    "ce_type": re.compile(r"[A-Za-z]+\.v\d+"),
    "ce_subject": FORMATS["uuid"],
    "ce_time": FORMATS["date-time"],
    "ce_dataschema": re.compile(r"urn:sojourn:schema:[A-Za-z]+:\d+\.\d+"),
    "ce_sequence": re.compile(r"\d+"),
    "ce_generation": re.compile(r"\d+"),
    "ce_correlationid": FORMATS["uuid"],
    "ce_causationid": FORMATS["uuid"],
    "ce_traceparent": re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "traceparent": re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "content-type": re.compile(r"application/json"),
}
SHORTEST_PHONE = 7
"""Digits."""
LARGEST_NUMBER = 10**8
"""Sums in cents stay below; a phone number with its country does not."""
COUNTED = {"generation", "first_sequence", "last_sequence", "count"}
"""Fields with numbers that count events, and know no bound."""
TOPIC_NAMES = {topic.name for topic in TABLE}
OPAQUE = re.compile(r"\^\[0-9a-f\]\{64\}\$|\^sojourn/.*|.*\\\.\\\..*")
"""Patterns of digests, sources and signatures."""
_CODE = re.compile(r"[A-Za-z0-9._:+-]{1,64}")
_PHONE = re.compile(r"[+(]?\d[\d ().:/+-]*")
_DAY_OR_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?")
_NAME = re.compile(r"[A-Z][a-z]+")


@dataclass(frozen=True)
class Found:
    """Something that no event should have."""

    path: str
    kind: str
    text: str


def looks_like(text: str) -> str | None:
    """What kind of personal data a text may be; None for a code, an id, a day, a time or a number."""
    if FORMATS["uuid"].fullmatch(text) or _DAY_OR_TIME.fullmatch(text):
        return None
    if "@" in text:
        return "e-mail"
    if _PHONE.fullmatch(text) and SHORTEST_PHONE <= sum(map(str.isdigit, text)) <= 15:
        return "phone"
    if any(each.isspace() for each in text):
        return "free text" if len(text.split()) > 3 or not text.istitle() else "name"
    if _NAME.match(text) or not text.isascii():
        return "name"
    return None if _CODE.fullmatch(text) else "free text"


def in_headers(headers: Mapping[str, str]) -> list[Found]:
    return [
        Found(f"headers.{name}", looks_like(text) or "not of its shape", text)
        for name, text in headers.items()
        if name not in HEADERS or not HEADERS[name].fullmatch(text)
    ]


def looking(schema: Json) -> Callable[[Json], Sequence[Found]]:
    """What looks through values of an event, which its schema describes."""
    look = _look(schema, schema, "")
    return lambda value: [_within("data", each) for each in look(value)]


def _within(name: str, found: Found) -> Found:
    return Found(f"{name}.{found.path}" if found.path else name, found.kind, found.text)


def _look(part: Json, document: Json, description: str) -> Look:
    description = part.get("description", description)
    if "$ref" in part:
        return _look(document["$defs"][part["$ref"].rpartition("/")[2]], document, description)
    if "anyOf" in part:
        (kind,) = [each for each in part["anyOf"] if each != {"type": "null"}]
        look = _look(kind, document, description)
        return lambda value: () if value is None else look(value)
    match part["type"]:
        case "object" if "properties" in part:
            looks = {
                name: _look(each, document, "") for name, each in part["properties"].items() if name not in COUNTED
            } | dict.fromkeys(COUNTED & part["properties"].keys(), _counted)
            if "topic_name" in looks:
                looks["topic_name"] = lambda value: () if value in TOPIC_NAMES else _told(value)
            return _fields(looks.get, _unknown)
        case "object":
            values = _look(part["additionalProperties"], document, "")
            names = _text(part["propertyNames"], "")
            inside = _fields(lambda _: values, values)
            return lambda value: [*(found for name in value for found in names(name)), *inside(value)]
        case "array":
            item = _look(part["items"], document, description)
            return lambda value: [found for each in value for found in item(each)]
        case "integer":
            return _number
        case "boolean":
            return _flag
        case _:
            return _text(part, description)


def _fields(looks: Callable[[str], Look | None], other: Look) -> Look:
    def look(value: Any) -> Sequence[Found]:
        found: list[Found] = []
        for name, each in value.items():
            if inside := (looks(name) or other)(each):
                found += [_within(name, one) for one in inside]
        return found

    return look


def _unknown(value: Any) -> Sequence[Found]:
    return [Found("", (looks_like(value) if isinstance(value, str) else None) or "unknown field", str(value))]


def _number(value: Any) -> Sequence[Found]:
    if isinstance(value, int) and abs(value) < LARGEST_NUMBER:
        return ()
    return _told(value)


def _flag(value: Any) -> Sequence[Found]:
    return () if isinstance(value, bool) else _told(value)


def _counted(value: Any) -> Sequence[Found]:
    return () if isinstance(value, int) else _told(value)


def _text(part: Json, description: str) -> Look:
    codes = frozenset(part.get("enum", ())) or frozenset(known_codes(description))
    if codes:
        return lambda value: () if value in codes else _told(value)
    shape = FORMATS[part["format"]] if "format" in part else re.compile(part.get("pattern", "(?!)"))
    fits, fixed = shape.fullmatch, "format" in part or OPAQUE.fullmatch(shape.pattern) is not None

    def look(value: Any) -> Sequence[Found]:
        if isinstance(value, str) and fits(value) and (fixed or looks_like(value) is None):
            return ()
        return _told(value)

    return look


def _told(value: Any) -> Sequence[Found]:
    return [Found("", looks_like(str(value)) or "free text", str(value))]
