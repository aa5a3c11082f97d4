"""Values and events made at random as a schema allows, fast: thousands a second, without shrinking.

They are what a producer writes: the fields that the schema names, optional ones now and then, and none on top.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

Json = dict[str, Any]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 400


def value_of(schema: Json | bool, by: Random, document: Json | None = None) -> Any:
    """A value that the schema allows, as far as it is understood here; of texts without a shape, a code."""
    if isinstance(schema, bool):
        return by.choice([None, True, 3, "code", [], {}])
    document = schema if document is None else document
    if "$ref" in schema:
        return value_of(document["$defs"][schema["$ref"].rpartition("/")[2]], by, document)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return value_of(by.choice(schema[keyword]), by, document)
    if "allOf" in schema:
        return value_of({name: value for part in schema["allOf"] for name, value in part.items()}, by, document)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return by.choice(schema["enum"])
    type_ = schema.get("type")
    return MAKERS[by.choice(type_) if isinstance(type_, list) else type_](schema, by, document)


def _object(schema: Json, by: Random, document: Json) -> Json:
    required = schema.get("required", ())
    made = {
        name: value_of(part, by, document)
        for name, part in schema.get("properties", {}).items()
        if name in required or by.random() < 0.6
    }
    values = schema.get("additionalProperties", True)
    if isinstance(values, dict):
        names = {"type": "string"} | schema.get("propertyNames", {})
        for _ in range(by.randrange(4)):
            made.setdefault(value_of(names, by, document), value_of(values, by, document))
    return made


def _array(schema: Json, by: Random, document: Json) -> list[Any]:
    least = schema.get("minItems", 0)
    count = by.randint(least, min(schema.get("maxItems", least + 3), least + 3))
    items = schema.get("items", True)
    # of what contains itself, less at each step
    count = count if by.random() < 0.7 else least
    return [value_of(items, by, document) for _ in range(count)]


def _integer(schema: Json, by: Random, document: Json) -> int:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    most = schema.get("maximum", schema.get("exclusiveMaximum", least + 100_001) - 1)
    return by.randint(int(least), int(most))


def _string(schema: Json, by: Random, document: Json) -> str:
    match schema.get("format"):
        case "uuid":
            return str(UUID(int=by.getrandbits(128), version=4))
        case "date":
            return (EPOCH + timedelta(days=by.randrange(DAYS))).date().isoformat()
        case "date-time":
            return (EPOCH + timedelta(seconds=by.randrange(DAYS * 86_400))).isoformat().replace("+00:00", "Z")
    text = "".join(_written(_parsed(schema.get("pattern", "^[a-z][a-z_]{1,11}$")), by))
    return text[: schema.get("maxLength", len(text))]


def _null(schema: Json, by: Random, document: Json) -> None:
    return None


def _boolean(schema: Json, by: Random, document: Json) -> bool:
    return by.random() < 0.5


MAKERS = {
    "object": _object,
    "array": _array,
    "integer": _integer,
    "number": _integer,
    "string": _string,
    "null": _null,
    "boolean": _boolean,
}


@cache
def _parsed(pattern: str) -> tuple[tuple[str, int, int], ...]:
    """Of a plain pattern, the characters of each step, and how often it may come."""
    body = pattern.removeprefix("^").removesuffix("$")
    steps = re.findall(r"(\[[^\]]+\]|\\?.)(\?|\+|\*|\{\d+(?:,\d+)?\})?", body)
    made: list[tuple[str, int, int]] = []
    for shape, often in steps:
        taken = "".join(char for char in map(chr, range(32, 127)) if re.fullmatch(shape, char))
        least, most = {"": (1, 1), "?": (0, 1), "+": (1, 6), "*": (0, 6)}.get(often) or _range(often)
        made.append((taken, least, most))
    return tuple(made)


def _range(often: str) -> tuple[int, int]:
    least, _, most = often.strip("{}").partition(",")
    return int(least), min(int(most or least), max(int(least), 12))


def _written(steps: tuple[tuple[str, int, int], ...], by: Random) -> list[str]:
    return [char for taken, least, most in steps for char in by.choices(taken, k=by.randint(least, most))]


def event_of(schema: Json, by: Random) -> Json:
    """The value of an event: as the schema allows, and in itself in order, which no schema can say."""
    return _in_order(value_of(schema, by))


def _in_order(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_order(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {name: _in_order(each) for name, each in value.items()}
    for less, more in (("first", "last"), ("min_days", "max_days")):
        if less in made and more in made:
            made[less], made[more] = sorted((made[less], made[more]))
    return made
