"""What may change between two minor versions, and what may not: each change by itself, judged in both directions.

For a change that is refused, values are shown that one version takes and the other refuses. Where none are, the rule is stricter
than the schemas: about what cannot be told by them, or not here.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sojourn_contracts.compatibility import (
    Break,
    Fails,
    Finding,
    Rule,
    Unreadable,
    Version,
    breaks,
    compared,
    findings,
    versions,
)

from tests.contracts.made_events import making

Json = dict[str, Any]

CODE: Json = {"type": "string", "pattern": "^[a-z_]+$"}
TEXT: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 1, "maximum": 62}
DAY: Json = {"type": "string", "format": "date"}
SIDE: Json = {"type": "string", "enum": ["sender", "host"]}
NULL: Json = {"type": "null"}
OLD, NEW, BOTH = Fails.OLD, Fails.NEW, Fails.BOTH


def fields(*required: str, **properties: Any) -> Json:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": True}


def one(part: Any) -> Json:
    """An event with one required field."""
    return fields("x", x=part)


def maybe(part: Any, **more: Any) -> Json:
    """An event whose one field may be missing or null."""
    return fields(x={"anyOf": [part, NULL], "default": None} | more)


def either(*parts: Any) -> Json:
    return {"anyOf": list(parts)}


def mapping(part: Any, **more: Any) -> Json:
    return {"type": "object", "additionalProperties": part} | more


def array(part: Any, **more: Any) -> Json:
    return {"type": "array", "items": part} | more


def defined(part: Any, **defs: Any) -> Json:
    return one(part) | {"$defs": defs}


def ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def variant(kind: str, **properties: Any) -> Json:
    return fields("kind", *properties, kind={"const": kind}, **properties)


TREE = {"Tree": fields("name", name=CODE, children=array(ref("Tree")))}
TALLER = {"Tree": fields("name", name=CODE, children=array(ref("Tree")), height=COUNT)}
OTHER = {"Tree": fields("name", name=TEXT, children=array(ref("Tree")))}

ALLOWED: dict[str, tuple[Json, Json]] = {
    "nothing": (one(COUNT), one(COUNT)),
    "an optional field is added": (one(COUNT), fields("x", x=COUNT, y=COUNT)),
    "an optional field that may be null is added": (
        one(COUNT),
        fields("x", x=COUNT, y={"anyOf": [CODE, NULL], "default": None}),
    ),
    "an optional object with required fields of its own is added": (one(COUNT), fields("x", x=COUNT, y=one(DAY))),
    "an optional list is added": (one(COUNT), fields("x", x=COUNT, y=array(SIDE))),
    "an optional dictionary is added": (one(COUNT), fields("x", x=COUNT, y=mapping(CODE))),
    "an optional field is added within an object": (one(one(DAY)), one(fields("x", x=DAY, y=COUNT))),
    "an optional field is added within a list": (one(array(one(DAY))), one(array(fields("x", x=DAY, y=COUNT)))),
    "an optional field is added within a dictionary's values": (
        one(mapping(one(DAY))),
        one(mapping(fields("x", x=DAY, y=COUNT))),
    ),
    "an optional field is added within a definition": (
        defined(ref("A"), A=one(DAY)),
        defined(ref("A"), A=fields("x", x=DAY, y=COUNT)),
    ),
    "an optional field is added within an object that may be null": (
        maybe(one(DAY)),
        maybe(fields("x", x=DAY, y=COUNT)),
    ),
    "an optional field is added to one of several variants": (
        one(either(variant("a", n=COUNT), variant("b"))),
        one(either(variant("b"), fields("kind", "n", kind={"const": "a"}, n=COUNT, y=DAY))),
    ),
    "an optional field is added to one variant of exactly one": (
        one({"oneOf": [variant("a", n=COUNT), variant("b")], "discriminator": {"propertyName": "kind"}}),
        one({"oneOf": [variant("a", n=COUNT), fields("kind", kind={"const": "b"}, y=DAY)]}),
    ),
    "an optional field is added to a schema that contains itself": (
        defined(ref("Tree"), **TREE),
        defined(ref("Tree"), **TALLER),
    ),
    "a field is added as the dictionary had it": (
        one(mapping(CODE)),
        one(mapping(CODE, properties={"y": CODE})),
    ),
    "title, description, examples and comment change": (
        one(COUNT),
        one(COUNT | {"title": "n", "description": "How many.", "examples": [7], "$comment": "-"}),
    ),
    "a field is said to be deprecated": (one(COUNT), one(COUNT | {"deprecated": True})),
    "what code it can be is told otherwise": (
        one(TEXT | {"description": "Known codes: `a`."}),
        one(TEXT | {"description": "Known codes: `a`, `b`."}),
    ),
    "a field is added beside one that is not understood and stays": (
        one({"allOf": [CODE, {"pattern": "^[a-c]"}]}),
        fields("x", x={"allOf": [CODE, {"pattern": "^[a-c]"}]}, y=COUNT),
    ),
    "a default is said in place that stood behind a reference": (
        fields(x=ref("A")) | {"$defs": {"A": COUNT | {"default": 1}}},
        fields(x=COUNT | {"default": 1}),
    ),
    "the id changes": (one(COUNT) | {"$id": "/a/1.0.json"}, one(COUNT) | {"$id": "/a/1.1.json"}),
    "the order changes": (fields("x", "y", x=COUNT, y=SIDE), fields("y", "x", y=SIDE, x=COUNT)),
    "the order of a closed list changes": (one(SIDE), one({"enum": ["host", "sender"]})),
    "a schema moves into a definition": (one(COUNT), defined(ref("Count"), Count=COUNT)),
    "a schema moves out of its definition": (defined(ref("Side"), Side=SIDE), one(SIDE)),
    "a definition gets another name": (defined(ref("A"), A=SIDE), defined(ref("B"), B=SIDE)),
    "a definition is added that nothing uses": (one(SIDE), one(SIDE) | {"$defs": {"A": COUNT}}),
    "null is said as a type or as an alternative": (
        fields(x={"type": ["string", "null"], "pattern": "^[a-z_]+$"}),
        fields(x=either(NULL, CODE)),
    ),
    "one value is said as a constant or as a list": (one({"const": "a"}), one({"type": "string", "enum": ["a"]})),
    "null is said as a type or as a value": (one(either(CODE, NULL)), one(either(CODE, {"const": None}))),
    "yes and no are said as a type or as a list": (one({"type": "boolean"}), one({"enum": [False, True]})),
    "a whole bound is said included or excluded": (
        one({"type": "integer", "minimum": 1, "maximum": 62}),
        one({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 63.0}),
    ),
    "a bound that always holds is said": (
        one(TEXT),
        one(TEXT | {"minLength": 0}),
    ),
    "that unknown fields pass is said or not": (one(fields(x=DAY)), one({"type": "object", "properties": {"x": DAY}})),
    "a combination of all is written out": (
        one({"allOf": [{"type": "integer", "minimum": 1}, {"minimum": 0, "maximum": 62}]}),
        one(COUNT),
    ),
    "an alternative that is there twice goes": (one(either(COUNT, COUNT)), one(COUNT)),
    "a keyword of another type comes": (one(COUNT), one(COUNT | {"maxLength": 5})),
    "what is not understood stays beside what stays": (one(CODE | {"not": {"const": "none of these"}}),) * 2,
}
"""By what changes, the former and the later version."""


@dataclass(frozen=True)
class Refused:
    old: Json
    new: Json
    path: str
    rule: Rule
    fails: Fails
    shown: list[Any] = field(default_factory=list[Any])
    """Values of the event that one writes and the other refuses."""


REFUSED: dict[str, Refused] = {
    # types
    "a text becomes a number": Refused(one(TEXT), one(COUNT), "$.x", Rule.TYPE, BOTH, [{"x": "a"}, {"x": 1}]),
    "an integer becomes any number": Refused(
        one({"type": "integer"}), one({"type": "number"}), "$.x", Rule.TYPE, BOTH, []
    ),
    "an object becomes a list of it": Refused(
        one(one(DAY)), one(array(one(DAY))), "$.x", Rule.TYPE, BOTH, [{"x": {"x": "2026-01-01"}}, {"x": []}]
    ),
    "a value can be of a second type": Refused(
        one(COUNT), one(either(COUNT, CODE)), "$.x", Rule.TYPE, OLD, [{"x": "a"}]
    ),
    "a value cannot be of its second type any more": Refused(
        one(either(COUNT, CODE)), one(COUNT), "$.x", Rule.TYPE, NEW, [{"x": "a"}]
    ),
    "a value can be anything now": Refused(one(COUNT), one(True), "$.x", Rule.NULL, OLD, [{"x": None}]),
    "a value that could be anything is of a type": Refused(one({}), one(TEXT), "$.x", Rule.TYPE, NEW, [{"x": 1}]),
    "a type changes behind a reference": Refused(
        defined(ref("A"), A=TEXT), defined(ref("A"), A=COUNT), "$.x", Rule.TYPE, BOTH, [{"x": "a"}, {"x": 1}]
    ),
    "a type changes in a schema that contains itself": Refused(
        defined(ref("Tree"), **TREE),
        defined(ref("Tree"), **OTHER),
        "$.x.name",
        Rule.PATTERN,
        OLD,
        [{"x": {"name": ""}}],
    ),
    "a type changes within a list of lists": Refused(
        one(array(array(COUNT))), one(array(array(CODE))), "$.x[*][*]", Rule.TYPE, BOTH, [{"x": [[1]]}, {"x": [["a"]]}]
    ),
    # null
    "a value can be null now": Refused(one(CODE), one(either(CODE, NULL)), "$.x", Rule.NULL, OLD, [{"x": None}]),
    "a value cannot be null any more": Refused(
        one({"type": ["string", "null"]}), one(TEXT), "$.x", Rule.NULL, NEW, [{"x": None}]
    ),
    # fields
    "a required field is added": Refused(
        one(DAY), fields("x", "y", x=DAY, y=DAY), "$.y", Rule.REQUIRED, NEW, [{"x": "2026-01-01"}]
    ),
    "an optional field is required now": Refused(fields(x=DAY), one(DAY), "$.x", Rule.REQUIRED, NEW, [{}]),
    "a required field is optional now": Refused(one(DAY), fields(x=DAY), "$.x", Rule.REQUIRED, OLD, [{}]),
    "a required field goes": Refused(
        fields("x", "y", x=DAY, y=DAY), one(DAY), "$.y", Rule.REMOVED, OLD, [{"x": "2026-01-01"}]
    ),
    # nobody fails by a schema, but who used it is left without
    "an optional field goes": Refused(fields("x", x=DAY, y=DAY), one(DAY), "$.y", Rule.REMOVED, OLD),
    "a field gets another name": Refused(
        fields("x", x=DAY, y=DAY), fields("x", x=DAY, z=DAY), "$.y", Rule.REMOVED, OLD
    ),
    "a required field is added within a list": Refused(
        one(array(one(DAY))),
        one(array(fields("x", "y", x=DAY, y=DAY))),
        "$.x[*].y",
        Rule.REQUIRED,
        NEW,
        [{"x": [{"x": "2026-01-01"}]}],
    ),
    "a required field is added within an object that may be null": Refused(
        maybe(one(DAY)),
        maybe(fields("x", "y", x=DAY, y=DAY)),
        "$.x.y",
        Rule.REQUIRED,
        NEW,
        [{"x": {"x": "2026-01-01"}}],
    ),
    "a field is required that no version names": Refused(
        one(DAY), one(DAY) | {"required": ["x", "of it"]}, '$["of it"]', Rule.REQUIRED, NEW, [{"x": "2026-01-01"}]
    ),
    "what a missing field means changes": Refused(
        fields(x=COUNT | {"default": 1}), fields(x=COUNT | {"default": 2}), "$.x", Rule.DEFAULT, BOTH
    ),
    "what a missing field means changes behind a reference": Refused(
        fields(x=ref("A")) | {"$defs": {"A": COUNT | {"default": 1}}},
        fields(x=ref("A")) | {"$defs": {"A": COUNT | {"default": 2}}},
        "$.x",
        Rule.DEFAULT,
        BOTH,
    ),
    "a missing field gets a meaning": Refused(
        fields(x=COUNT), fields(x=COUNT | {"default": 1}), "$.x", Rule.DEFAULT, BOTH
    ),
    # unknown fields
    "an object lets unknown fields pass no more": Refused(
        one(fields(y=DAY)),
        one(fields(y=DAY) | {"additionalProperties": False}),
        "$.x",
        Rule.OPEN,
        NEW,
        [{"x": {"unknown": 1}}],
    ),
    "an object lets unknown fields pass now": Refused(
        one(fields(y=DAY) | {"additionalProperties": False}),
        one(fields(y=DAY)),
        "$.x",
        Rule.OPEN,
        OLD,
        [{"x": {"z": 1}}],
    ),
    "an object takes unknown fields of one type only": Refused(
        one(fields(y=DAY)),
        one(fields(y=DAY) | {"additionalProperties": CODE}),
        "$.x",
        Rule.OPEN,
        NEW,
        [{"x": {"z": 1}}],
    ),
    "a field is added where no unknown one passes": Refused(
        one(fields(y=DAY) | {"additionalProperties": False}),
        one(fields(y=DAY, z=COUNT) | {"additionalProperties": False}),
        "$.x.z",
        Rule.CLOSED,
        OLD,
        [{"x": {"z": 1}}],
    ),
    # dictionaries
    "a dictionary's values are of another type": Refused(
        one(mapping(CODE)), one(mapping(COUNT)), "$.x.*", Rule.TYPE, BOTH, [{"x": {"k": "a"}}, {"x": {"k": 1}}]
    ),
    "a dictionary's values get another pattern": Refused(
        one(mapping(CODE)), one(mapping(TEXT)), "$.x.*", Rule.PATTERN, OLD, [{"x": {"k": "A b"}}]
    ),
    "a dictionary gets a field of another type": Refused(
        one(mapping(CODE)),
        one(mapping(CODE, properties={"y": COUNT})),
        "$.x.y",
        Rule.TYPE,
        BOTH,
        [{"x": {"y": 1}}, {"x": {"y": "a"}}],
    ),
    "a dictionary's keys are checked": Refused(
        one(mapping(COUNT)), one(mapping(COUNT, propertyNames=CODE)), "$.x.*~", Rule.PATTERN, NEW, [{"x": {"K": 1}}]
    ),
    "a dictionary's keys get another pattern": Refused(
        one({"type": "object", "patternProperties": {"^a": COUNT}}),
        one({"type": "object", "patternProperties": {"^b": COUNT}}),
        "$.x.*",
        Rule.PATTERN,
        BOTH,
        [{"x": {"a": "1"}}, {"x": {"b": "1"}}],
    ),
    "values under a pattern of keys change": Refused(
        one({"type": "object", "patternProperties": {"^a": COUNT}}),
        one({"type": "object", "patternProperties": {"^a": COUNT | {"maximum": 70}}}),
        "$.x.*",
        Rule.BOUND,
        OLD,
        [{"x": {"a": 63}}],
    ),
    "a field is added that a pattern of keys had otherwise": Refused(
        one({"type": "object", "patternProperties": {"^a": COUNT}}),
        one({"type": "object", "patternProperties": {"^a": COUNT}, "properties": {"ab": CODE}}),
        "$.x.ab",
        Rule.TYPE,
        BOTH,
    ),
    "a dictionary may be larger": Refused(
        one(mapping(COUNT, maxProperties=1)),
        one(mapping(COUNT, maxProperties=2)),
        "$.x",
        Rule.BOUND,
        OLD,
        [{"x": {"a": 1, "b": 1}}],
    ),
    # closed lists
    "a closed list is extended": Refused(
        one(SIDE), one({"type": "string", "enum": ["sender", "host", "both"]}), "$.x", Rule.ENUM, OLD, [{"x": "both"}]
    ),
    "a closed list is shortened": Refused(one(SIDE), one({"const": "host"}), "$.x", Rule.ENUM, NEW, [{"x": "sender"}]),
    "a value of a closed list is replaced": Refused(
        one(SIDE), one({"enum": ["sender", "guest"]}), "$.x", Rule.ENUM, BOTH, [{"x": "host"}, {"x": "guest"}]
    ),
    "an open list is closed": Refused(one(TEXT), one(SIDE), "$.x", Rule.ENUM, NEW, [{"x": "both"}]),
    "a closed list is opened": Refused(one(SIDE), one(TEXT), "$.x", Rule.ENUM, OLD, [{"x": "both"}]),
    "a constant changes": Refused(one({"const": 1}), one({"const": 2}), "$.x", Rule.ENUM, BOTH, [{"x": 1}, {"x": 2}]),
    "a closed list within a definition of a list is extended": Refused(
        defined(array(ref("S")), S=SIDE),
        defined(array(ref("S")), S={"enum": ["sender", "host", "both"]}),
        "$.x[*]",
        Rule.ENUM,
        OLD,
        [{"x": ["both"]}],
    ),
    # bounds
    "a maximum rises": Refused(one(COUNT), one(COUNT | {"maximum": 90}), "$.x", Rule.BOUND, OLD, [{"x": 90}]),
    "a maximum falls": Refused(one(COUNT), one(COUNT | {"maximum": 60}), "$.x", Rule.BOUND, NEW, [{"x": 62}]),
    "a minimum rises": Refused(one(COUNT), one(COUNT | {"minimum": 14}), "$.x", Rule.BOUND, NEW, [{"x": 7}]),
    "a minimum falls": Refused(one(COUNT), one(COUNT | {"minimum": 0}), "$.x", Rule.BOUND, OLD, [{"x": 0}]),
    "a bound comes": Refused(
        one({"type": "integer"}), one({"type": "integer", "minimum": 0}), "$.x", Rule.BOUND, NEW, [{"x": -1}]
    ),
    "a bound goes": Refused(
        one({"type": "integer", "minimum": 0}), one({"type": "integer"}), "$.x", Rule.BOUND, OLD, [{"x": -1}]
    ),
    "a bound of a fraction is excluded": Refused(
        one({"type": "number", "exclusiveMaximum": 1}),
        one({"type": "number", "exclusiveMaximum": 2}),
        "$.x",
        Rule.BOUND,
        OLD,
        [{"x": 1.5}],
    ),
    "a text may be longer": Refused(
        one(TEXT | {"maxLength": 2}), one(TEXT | {"maxLength": 3}), "$.x", Rule.BOUND, OLD, [{"x": "abc"}]
    ),
    "a text may not be empty any more": Refused(
        one(TEXT), one(TEXT | {"minLength": 1}), "$.x", Rule.BOUND, NEW, [{"x": ""}]
    ),
    "a list may not be empty any more": Refused(
        one(array(DAY)), one(array(DAY, minItems=1)), "$.x", Rule.BOUND, NEW, [{"x": []}]
    ),
    "a list has no repeats any more": Refused(
        one(array(COUNT)), one(array(COUNT, uniqueItems=True)), "$.x", Rule.BOUND, NEW, [{"x": [1, 1]}]
    ),
    "numbers go by fives": Refused(one(COUNT), one(COUNT | {"multipleOf": 5}), "$.x", Rule.BOUND, NEW, [{"x": 7}]),
    "a list of two positions gets a third": Refused(
        one({"type": "array", "prefixItems": [COUNT, CODE], "items": False}),
        one({"type": "array", "prefixItems": [COUNT, CODE, DAY], "items": False}),
        "$.x",
        Rule.POSITIONS,
        BOTH,
    ),
    "a position of a list is of another type": Refused(
        one({"type": "array", "prefixItems": [COUNT, CODE]}),
        one({"type": "array", "prefixItems": [COUNT, COUNT]}),
        "$.x[1]",
        Rule.TYPE,
        BOTH,
        [{"x": [1, "a"]}, {"x": [1, 1]}],
    ),
    # patterns and formats
    "a pattern comes": Refused(one(TEXT), one(CODE), "$.x", Rule.PATTERN, NEW, [{"x": "A"}]),
    "a pattern goes": Refused(one(CODE), one(TEXT), "$.x", Rule.PATTERN, OLD, [{"x": "A"}]),
    "a pattern changes": Refused(
        one(CODE), one({"type": "string", "pattern": "^[A-Z]+$"}), "$.x", Rule.PATTERN, BOTH, [{"x": "a"}, {"x": "A"}]
    ),
    # it cannot be told from one that says something else
    "a pattern is written otherwise": Refused(
        one(CODE), one({"type": "string", "pattern": "^[_a-z]+$"}), "$.x", Rule.PATTERN, BOTH
    ),
    "a format comes": Refused(one(TEXT), one(DAY), "$.x", Rule.FORMAT, NEW, [{"x": "soon"}]),
    "a number's format changes, which generators of code read": Refused(
        one({"type": "integer", "format": "int32"}),
        one({"type": "integer", "format": "int64"}),
        "$.x",
        Rule.FORMAT,
        BOTH,
    ),
    "a format goes": Refused(one(DAY), one(TEXT), "$.x", Rule.FORMAT, OLD, [{"x": "soon"}]),
    "a day becomes a time": Refused(
        one(DAY),
        one({"type": "string", "format": "date-time"}),
        "$.x",
        Rule.FORMAT,
        BOTH,
        [{"x": "2026-01-01"}, {"x": "2026-01-01T00:00:00Z"}],
    ),
    # alternatives
    "a variant comes": Refused(
        one(either(variant("a"), variant("b"))),
        one(either(variant("a"), variant("b"), variant("c"))),
        "$.x",
        Rule.ALTERNATIVES,
        OLD,
        [{"x": {"kind": "c"}}],
    ),
    "a variant goes": Refused(
        one(either(variant("a"), variant("b"), variant("c"))),
        one(either(variant("a"), variant("b"))),
        "$.x",
        Rule.ALTERNATIVES,
        NEW,
        [{"x": {"kind": "c"}}],
    ),
    "one of several variants gets a required field": Refused(
        one(either(variant("a", n=COUNT), variant("b"))),
        one(either(variant("a", n=COUNT), variant("b", n=COUNT))),
        "$.x.n",
        Rule.REQUIRED,
        NEW,
        [{"x": {"kind": "b"}}],
    ),
    "exactly one of several becomes any of them": Refused(
        one({"oneOf": [variant("a"), fields(y=DAY)]}),
        one(either(variant("a"), fields(y=DAY))),
        "$.x",
        Rule.ALTERNATIVES,
        BOTH,
    ),
    # what is not understood
    "a keyword comes that is not understood": Refused(
        one(CODE), one(CODE | {"not": {"const": "a"}}), "$.x", Rule.UNKNOWN, BOTH
    ),
    "a field is added where other keywords may forbid it": Refused(
        one(fields(y=DAY) | {"unevaluatedProperties": False}),
        one(fields(y=DAY, z=DAY) | {"unevaluatedProperties": False}),
        "$.x",
        Rule.UNKNOWN,
        BOTH,
    ),
    "what a keyword that is not understood refers to changes": Refused(
        defined({"type": "string", "not": ref("A")}, A={"const": "a"}),
        defined({"type": "string", "not": ref("A")}, A={"const": "b"}),
        "$.x",
        Rule.UNKNOWN,
        BOTH,
    ),
    "fields of one schema pass that another beside it closed": Refused(
        one({"allOf": [{"type": "object", "properties": {"y": DAY}}, {"additionalProperties": False}]}),
        one({"type": "object", "properties": {"y": DAY}, "additionalProperties": False}),
        "$.x",
        Rule.UNKNOWN,
        BOTH,
    ),
    "a reference leads out of the file": Refused(
        one({"$ref": "other.json"}), one({"$ref": "other.json"} | {"minimum": 1}), "$.x", Rule.UNKNOWN, BOTH
    ),
    "a reference leads nowhere": Refused(one(ref("A")), one(ref("A")), "$.x", Rule.UNKNOWN, BOTH),
    "a reference leads to itself": Refused(
        defined(ref("A"), A=ref("A")), defined(ref("A"), A=ref("A")), "$.x", Rule.UNKNOWN, BOTH
    ),
    "the dialect changes": Refused(
        one(DAY) | {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        one(DAY) | {"$schema": "http://json-schema.org/draft-07/schema#"},
        "$",
        Rule.UNKNOWN,
        BOTH,
    ),
}


def takes(schema: Json, value: Any) -> bool:
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).is_valid(value)


@pytest.mark.parametrize("name", ALLOWED)
def test_this_may_change(name: str):
    old, new = ALLOWED[name]
    assert breaks(old, new) == []
    for schema in (old, new):
        Draft202012Validator.check_schema(schema)
    by = Random(7)
    write, write_later = making(old, by), making(new, by)
    for _ in range(30):
        written, later = write(), write_later()
        assert takes(old, written) and takes(new, written), written
        assert takes(new, later) and takes(old, later), later


@pytest.mark.parametrize("name", REFUSED)
def test_this_may_not_change(name: str):
    case = REFUSED[name]
    found = breaks(case.old, case.new)
    assert (case.path, case.rule, case.fails) in [(each.path, each.rule, each.fails) for each in found], found
    assert {each.path for each in found} == {case.path}, "and nothing else is said to be broken"
    old_fails = [value for value in case.shown if takes(case.new, value) and not takes(case.old, value)]
    new_fails = [value for value in case.shown if takes(case.old, value) and not takes(case.new, value)]
    assert len(old_fails) + len(new_fails) == len(case.shown)
    if case.shown:
        assert bool(old_fails) is (case.fails is not NEW)
        assert bool(new_fails) is (case.fails is not OLD)


def test_there_are_enough_cases_of_both_and_every_rule_has_one():
    assert len(ALLOWED) >= 20 and len(REFUSED) >= 40
    assert {case.rule for case in REFUSED.values()} == {*Rule} - {Rule.FROZEN, Rule.SEQUENCE}


def test_what_is_broken_is_said_for_people():
    [broken] = breaks(one(COUNT), one(COUNT | {"maximum": 90}))
    assert broken == Break("$.x", Rule.BOUND, OLD, "maximum was 62, is 90")
    finding = Finding(Version("Stay", 1, 3), Version("Stay", 1, 1), broken)
    assert str(finding) == "Stay 1.3 against 1.1: $.x: bound: maximum was 62, is 90 (the old reader fails)"


def test_all_that_is_broken_is_said_at_once():
    old = fields("x", "y", x=COUNT, y=SIDE, z=DAY)
    new = fields("x", "w", x=TEXT, y=SIDE, w=DAY)
    assert [(each.path, each.rule) for each in breaks(old, new)] == [
        ("$.w", Rule.REQUIRED),
        ("$.x", Rule.TYPE),
        ("$.y", Rule.REQUIRED),
        ("$.z", Rule.REMOVED),
    ]


def stays(*schemas: Json) -> dict[Version, Json]:
    return {Version("Stay", 1, minor): schema for minor, schema in enumerate(schemas)}


def test_a_version_is_compared_with_all_before_it():
    three = stays(one(DAY), fields("x", x=DAY, y=COUNT), fields("x", x=DAY, y=CODE))
    assert [(found.version.minor, found.against.minor, found.broken.path) for found in findings({}, three)] == [
        (2, 1, "$.y")
    ]
    # each step by itself would pass if a field could go: the one that comes back is another
    back = stays(fields("x", x=DAY, y=COUNT), one(DAY), fields("x", x=DAY, y=CODE))
    broken = {(found.version.minor, found.against.minor, found.broken.rule) for found in findings({}, back)}
    assert broken == {(1, 0, Rule.REMOVED), (2, 0, Rule.TYPE)}
    assert len(compared({}, stays(*[one(DAY)] * 5))) == 10


def test_versions_that_were_published_are_not_compared_again_but_each_new_one_with_them():
    published = stays(one(DAY), one(COUNT))
    assert findings(published, published) == []
    now = published | {Version("Stay", 1, 2): one(DAY)}
    assert {(found.version.minor, found.against.minor) for found in findings(published, now)} == {(2, 1)}


def test_another_major_version_or_event_may_be_anything():
    assert findings({}, {Version("Stay", 1, 0): one(DAY), Version("Stay", 2, 0): one(COUNT)}) == []
    assert findings({}, {Version("Stay", 1, 0): one(DAY), Version("Trip", 1, 0): one(COUNT)}) == []


@pytest.mark.parametrize("now", [{}, stays(one(DAY | {"description": "A day."}))], ids=["gone", "another"])
def test_what_is_published_stays_as_it_is(now: dict[Version, Json]):
    [found] = findings(stays(one(DAY)), now)
    assert (found.version, found.broken.path, found.broken.rule) == (Version("Stay", 1, 0), "$", Rule.FROZEN)


def test_a_version_that_is_missing_is_named():
    [found] = findings(stays(one(DAY)), stays(one(DAY)) | {Version("Stay", 1, 2): one(DAY)})
    assert (found.broken.rule, found.broken.detail) == (Rule.SEQUENCE, "1.1 is missing")


def test_a_folder_is_read(tmp_path):
    write(tmp_path / "Stay" / "1.0.json", "{}")
    write(tmp_path / "Stay" / "1.10.json", '{"type": "object"}')
    write(tmp_path / "digests.toml", "")
    assert versions(tmp_path) == {Version("Stay", 1, 0): {}, Version("Stay", 1, 10): {"type": "object"}}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Stay/1.json", "{}", "is not named"),
        ("Stay/1.01.json", "{}", "is not named"),
        ("1.0.json", "{}", "is not named"),
        ("Stay/1.0.json", "{", "is not JSON"),
        ("Stay/1.0.json", "[]", "is not a JSON object"),
        ("Stay/1.0.txt", "{}", "has no <Event>"),
    ],
)
def test_a_folder_in_which_something_would_be_overlooked_is_not_read(tmp_path, name, text, said):
    write(tmp_path / name, text)
    with pytest.raises(Unreadable, match=said):
        versions(tmp_path)


def write(path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
