"""Values and events made at random as a schema allows, fast: some tens of thousands a second, without shrinking.

They are what a producer writes: the fields that the schema names, optional ones now and then, and none on top. A text that its
description lists codes for is one of them; of texts with a pattern, some hundred are made, and chosen from.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Json = dict[str, Any]
Make = Callable[[], Any]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = [(EPOCH + timedelta(days=day)).date().isoformat() for day in range(400)]
TIMES = [(EPOCH + timedelta(seconds=8_641 * step)).isoformat().replace("+00:00", "Z") for step in range(4_000)]
POOL = 200
PLAIN = "^[a-z][a-z_]{1,11}$"
"""Where there is no pattern."""
ORDERED = (("first", "last"), ("min_days", "max_days"))
"""Fields of which the first is not greater: no schema can say so."""


def making(schema: Json | bool, by: Random, document: Json | None = None) -> Make:
    """What makes values of the schema, one at a call."""
    if isinstance(schema, bool):
        return _of([None, True, 3, "code", [], {}], by)
    document = schema if document is None else document
    if "$ref" in schema:
        target = document["$defs"][schema["$ref"].rpartition("/")[2]]
        made: list[Make] = []  # made when it is first called for: it may contain itself
        return lambda: (made or made.append(making(target, by, document)) or made)[0]()
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            said = {"description": schema["description"]} if "description" in schema else {}
            makes = [making(each if isinstance(each, bool) else said | each, by, document) for each in schema[keyword]]
            return lambda: makes[int(by.random() * len(makes))]()
    if "allOf" in schema:
        return making({name: value for part in schema["allOf"] for name, value in part.items()}, by, document)
    if "const" in schema:
        return _of([schema["const"]], by)
    if "enum" in schema:
        return _of(schema["enum"], by)
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    several = [_MAKING[type_](schema, by, document) for type_ in types]
    return several[0] if len(several) == 1 else lambda: several[int(by.random() * len(several))]()


def known_codes(description: str) -> list[str]:
    """Those that a description lists; empty if it lists none."""
    _, *codes = re.split("known codes:", description, maxsplit=1, flags=re.IGNORECASE)
    return re.findall(r"`([^`]+)`", "".join(codes))


def _of(values: list[Any], by: Random) -> Make:
    random, count = by.random, len(values)
    return lambda: values[int(random() * count)]


def _object(schema: Json, by: Random, document: Json) -> Make:
    required = schema.get("required", ())
    fields = [
        (name, making(part, by, document), name in required) for name, part in schema.get("properties", {}).items()
    ]
    ordered = [pair for pair in ORDERED if {*pair} <= schema.get("properties", {}).keys()]
    values = schema.get("additionalProperties", True)
    entries = None
    if isinstance(values, dict):
        names = {"type": "string"} | schema.get("propertyNames", {})
        entries = (making(names, by, document), making(values, by, document))
    random = by.random

    def make() -> Json:
        made = {name: field() for name, field, needed in fields if needed or random() < 0.6}
        for less, more in ordered:
            if less in made and more in made and made[more] < made[less]:
                made[less], made[more] = made[more], made[less]
        if entries is not None:
            for _ in range(int(random() * 4)):
                made.setdefault(entries[0](), entries[1]())
        return made

    return make


def _array(schema: Json, by: Random, document: Json) -> Make:
    least = schema.get("minItems", 0)
    most = min(schema.get("maxItems", least + 3), least + 3)
    item, random = making(schema.get("items", True), by, document), by.random
    # now and then none: an array may hold what it is part of
    return lambda: [item() for _ in range(least + int(random() * (most - least + 1)) if random() < 0.7 else least)]


def _integer(schema: Json, by: Random, document: Json) -> Make:
    least = int(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
    most = int(schema.get("maximum", schema.get("exclusiveMaximum", least + 100_001) - 1))
    random = by.random
    return lambda: least + int(random() * (most - least + 1))


def _string(schema: Json, by: Random, document: Json) -> Make:
    match schema.get("format"):
        case "uuid":
            return lambda: _uuid(f"{by.getrandbits(128):032x}")
        case "date":
            return _of(DAYS, by)
        case "date-time":
            return _of(TIMES, by)
    if codes := known_codes(schema.get("description", "")):
        return _of(codes, by)
    steps = _parsed(schema.get("pattern", PLAIN))
    longest = schema.get("maxLength")
    return _of(["".join(_written(steps, by))[:longest] for _ in range(POOL)], by)


def _written(steps: list[tuple[str, int, int]], by: Random) -> list[str]:
    return [char for taken, least, most in steps for char in by.choices(taken, k=by.randint(least, most))]


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _constant(*values: Any) -> Callable[[Json, Random, Json], Make]:
    return lambda _schema, by, _document: _of(list(values), by)


_MAKING: dict[str, Callable[[Json, Random, Json], Make]] = {
    "object": _object,
    "array": _array,
    "integer": _integer,
    "number": _integer,
    "string": _string,
    "null": _constant(None),
    "boolean": _constant(False, True),
}


def _parsed(pattern: str) -> list[tuple[str, int, int]]:
    """Of a plain pattern, the characters of each step, and how often it may come."""
    body = pattern.removeprefix("^").removesuffix("$")
    made: list[tuple[str, int, int]] = []
    for shape, often in re.findall(r"(\[[^\]]+\]|\\?.)(\?|\+|\*|\{\d+(?:,\d+)?\})?", body):
        taken = "".join(char for char in map(chr, range(32, 127)) if re.fullmatch(shape, char))
        least, most = {"": (1, 1), "?": (0, 1), "+": (1, 6), "*": (0, 6)}.get(often) or _range(often)
        made.append((taken, least, most))
    return made


def _range(often: str) -> tuple[int, int]:
    least, _, most = often.strip("{}").partition(",")
    return int(least), min(int(most or least), max(int(least), 12))
