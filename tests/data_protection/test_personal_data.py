"""No event says who somebody is: by what the schemas leave room for, and by what events say."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sojourn_contracts.catalogue import BY_NAME, TABLE
from sojourn_contracts.compatibility import Version
from sojourn_contracts.envelope import Envelope, encode
from sojourn_contracts.event import Event
from sojourn_contracts.notice import NoticeDue
from sojourn_contracts.schemas import schema
from sojourn_contracts.survey import SurveySubmitted

from tests.contracts.examples import NAMES, example
from tests.contracts.made_events import known_codes, making
from tests.contracts.readers import PUBLISHED
from tests.data_protection import emitted
from tests.data_protection.personal_data import Found, in_headers, looking, looks_like

Json = dict[str, Any]

EVENTS = 100_000
PLANTED = [
    ("e-mail", "ottokar@ochsenfrosch.example"),
    ("e-mail", "zsuzsanna.quittenbaum+sme@mail.example"),
    ("phone", "+49 170 1234567"),
    ("phone", "0039055123456"),
    ("phone", "(055) 12 34 56-7"),
    ("name", "Zsuzsanna"),
    ("name", "Ottokar Wunderlich"),
    ("name", "müller"),
    ("free text", "we were very happy with it"),
    ("free text", "please, call me"),
    ("free text", "x" * 65),
]
REVIEWED = {
    ("ManifestIssued", "data.topic_name"): "a name of the catalogue",
    ("SurveyManifestIssued", "data.topic_name"): "a name of the catalogue",
    ("NoticeDue", "data.parameters.*"): "internal; filled in by our code from codes, ids, days and numbers alone",
    ("SurveySubmitted", "data.answers.*"): "codes of the questionnaire; what else is submitted is refused",
    ("SurveySubmitted", "data.answers.*~"): "codes of the questionnaire's questions",
    ("SurveySubmitted", "data.questionnaire"): "the name of a file of ours",
}
"""Where a name or a number of one word would fit into a text's shape, and why there is none."""
ELSEWHERE = {
    ("ErasureDone", "data.kind"): "ErasureRequested's, as requested",
    ("NoticeSent", "data.template"): "NoticeDue's, as asked for",
    ("NoticeDue", "data.parameters.*~"): "names that our templates give to what fills them in",
}
"""Codes whose list does not stand beside them."""
MARKS = re.compile(
    r"(^|_)(names?|surname|e?mail|phone|mobile|fax|street|city|address|birth|born|gender|text|remarks?|comments?|notes?|words)(_|$)"
)
"""What a field's name says of a person or of free text, whatever shape it has."""
NAMED = {"topic_name"}
LOWERCASE = ("ottokar", "390551234567")
"""A name and a number in the shape of a code: where codes stand, their list says which there are."""
SKILL = "Id of a skill in the taxonomy in force"
"""Title of texts into which a number would fit. Each is checked against the taxonomy before it is taken."""


# what the schemas leave room for


def texts(part: Any, document: Json, path: str = "data") -> Iterator[tuple[str, Json]]:
    """Every place of a schema at which a text may stand, with its description."""
    said = {"description": part["description"]} if "description" in part else {}
    if "$ref" in part:
        yield from texts(document["$defs"][part["$ref"].rpartition("/")[2]] | said, document, path)
        return
    if "anyOf" in part:
        for each in part["anyOf"]:
            yield from texts(said | each, document, path)
        return
    match part.get("type"):
        case "object" if "properties" in part:
            for name, each in part["properties"].items():
                yield from texts(each, document, f"{path}.{name}")
            for each in (part.get("additionalProperties"), *part.get("patternProperties", {}).values()):
                if isinstance(each, dict):
                    yield from texts(each, document, f"{path}.*")
        case "object":
            yield f"{path}.*~", part.get("propertyNames", {})
            yield from texts(part["additionalProperties"], document, f"{path}.*")
        case "array":
            yield from texts(said | part["items"], document, path)
        case "integer" | "boolean" | "null":
            return
        case _:
            yield path, part


def room(event: str, document: Json) -> dict[str, list[str]]:
    """By the path of a text, what of the above would stand there unseen."""
    found = {
        path: [planted for _, planted in PLANTED if fits(planted, part)]
        for path, part in texts(document, document)
        if part.get("title") != SKILL and (event, path) not in REVIEWED
    }
    return {path: planted for path, planted in found.items() if planted}


def named(part: Any, path: str = "data") -> Iterator[str]:
    """Fields whose names say that they are of a person or in somebody's words, at any depth, of whatever type."""
    if isinstance(part, dict):
        for name in part.get("properties", {}):
            if MARKS.search(name) and name not in NAMED:
                yield f"{path}.{name}"
        for each in part.values():
            yield from named(each, path)
    elif isinstance(part, list):
        for each in part:
            yield from named(each, path)


def fits(text: str, part: Json) -> bool:
    if "enum" in part or "const" in part or part.get("format") in ("uuid", "date", "date-time"):
        return False
    return re.search(part.get("pattern", ""), text) is not None and len(text) <= part.get("maxLength", len(text))


@pytest.mark.parametrize("version", PUBLISHED, ids=lambda version: f"{version.event}-{version.number}")
def test_no_published_schema_has_room_for_personal_data(version: Version):
    assert room(version.event, PUBLISHED[version]) == {}
    assert list(named(PUBLISHED[version])) == []


@pytest.mark.parametrize("version", PUBLISHED, ids=lambda version: f"{version.event}-{version.number}")
def test_where_a_name_would_pass_for_a_code_the_codes_are_listed(version: Version):
    for path, part in texts(PUBLISHED[version], PUBLISHED[version]):
        place = (version.event, path)
        if any(fits(text, part) for text in LOWERCASE) and part.get("title") != SKILL:
            assert place in REVIEWED or place in ELSEWHERE or known_codes(part.get("description", "")), place


@pytest.mark.parametrize("name", ["contact_name", "phone", "born_on", "remark", "e_mail", "email"])
def test_a_field_that_is_named_as_a_persons_is_seen_whatever_its_type(name: str):
    document = deepcopy(PUBLISHED[Version("MatchDeclined", 1, 0)])
    document["$defs"]["Later"] = {"type": "object", "properties": {name: {"type": "integer"}}}
    assert list(named(document)) == [f"data.{name}"]


def test_a_code_without_a_list_and_a_flag_are_told_apart():
    places = dict(texts({"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"const": "x"}}}, {}))
    assert list(places) == ["data.b"]
    assert not any(fits(text, places["data.b"]) for _, text in PLANTED)


def test_what_was_reviewed_is_still_there_and_still_has_room():
    places = {(version.event, path): part for version, each in PUBLISHED.items() for path, part in texts(each, each)}
    for place in REVIEWED:
        assert any(fits(planted, places[place]) for _, planted in PLANTED), place
    for (_, path), part in places.items():
        assert not any(fits(text, part) for kind, text in PLANTED if kind in ("e-mail", "free text")), path


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        ({"type": "string"}, 11),
        ({"type": "string", "maxLength": 32}, 9),
        ({"type": "string", "pattern": "^[A-Za-z ]+$"}, 4),
        ({"anyOf": [{"type": "string", "description": "Known codes: `a`."}, {"type": "null"}]}, 11),
        ({"type": "array", "items": {"type": "string", "format": "email"}}, 11),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, 11),
        ({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}, 11),
        ({"type": "object", "properties": {}, "patternProperties": {"^x": {"type": "string"}}}, 11),
        ({}, 11),
    ],
    ids=str,
)
def test_a_schema_with_room_is_seen(part: Json, seen: int):
    document = deepcopy(PUBLISHED[Version("MatchDeclined", 1, 0)])
    document["$defs"]["Later"] = {"type": "object", "properties": {"said": part}}
    document["properties"]["later"] = {"$ref": "#/$defs/Later"}
    (found,) = room("MatchDeclined", document).values()
    assert len(found) == seen


# what events say


def looked_through(event: type[Event], value: Json) -> list[Found]:
    return looking(schema(event))(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_canonical_example_says_nothing_of_anybody(name: str):
    assert looked_through(BY_NAME[name].event, example(name).value) == []
    assert in_headers(example(name).headers) == []


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a text or a number stands in a value."""
    if isinstance(value, dict | list):
        steps = value.items() if isinstance(value, dict) else enumerate(value)
        for step, each in steps:
            yield from places(each, (*path, step))
    else:
        yield path


def told(path: tuple[str | int, ...]) -> str:
    return ".".join(("data", *(step for step in path if isinstance(step, str))))


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_planted_is_found_at_every_place(name: str):
    given, look = example(name), looking(schema(BY_NAME[name].event))
    for kind, planted in PLANTED:
        for path in places(given.value):
            found = look(given.but(*path, value=planted).value)
            assert [(each.path, each.text) for each in found] == [(told(path), planted)], "and nothing else"
            assert found[0].kind == kind
        assert [(each.path, each.kind) for each in look(given.but("remark", value=planted).value)] == [
            ("data.remark", kind)
        ]
    assert [each.kind for each in look(given.but("remark", value=["x"]).value)] == ["unknown field"]


@pytest.mark.parametrize("name", ["ExchangeCompleted", "CompanyUpdated"])
def test_a_phone_number_in_a_place_for_numbers_is_found(name: str):
    planted = example(name).but("revision", value=390551234567)
    assert looked_through(BY_NAME[name].event, planted.value) == [Found("data.revision", "phone", "390551234567")]


def test_where_a_flag_stands_nothing_else_passes():
    look = looking({"type": "object", "properties": {"urgent": {"type": "boolean"}}})
    assert look({"urgent": True}) == []
    assert look({"urgent": "Ottokar"}) == [Found("data.urgent", "name", "Ottokar")]


@pytest.mark.parametrize(("kind", "planted"), PLANTED)
def test_what_is_planted_in_headers_and_as_a_name_of_an_answer_is_found(kind: str, planted: str):
    assert looks_like(planted) == kind
    headers = example("CompanyUpdated").headers
    assert in_headers(headers | {"ce_contact": planted}) == [Found("headers.ce_contact", kind, planted)]
    assert in_headers(headers | {"ce_source": planted}) == [Found("headers.ce_source", kind, planted)]
    answers = looked_through(
        BY_NAME["SurveySubmitted"].event, example("SurveySubmitted").but("answers", planted, value="yes").value
    )
    assert [(each.path, each.kind) for each in answers] == [("data.answers", kind)]


@pytest.mark.parametrize(
    "code",
    ["survey_open", "A1", "14-30", "2026.1", "DE2", "62", "SEND_MATCH", "cnc-machining", "98", "matching", "742500"],
)
def test_codes_ids_days_and_numbers_are_not_taken_for_anybody(code: str):
    assert looks_like(code) is None
    for fixed in ("f126f4f0-9ca4-5d64-b149-994752fd8b41", "2026-07-01", "2026-07-21T02:00:00Z"):
        assert looks_like(fixed) is None


def meant(event: type[Event]) -> Json:
    """Its schema, with what is meant where a shape says less."""
    content = schema(event)
    if event is SurveySubmitted:
        questions = [question for question in emitted.QUESTIONNAIRE.questions if question.codes]
        content["properties"]["questionnaire"] = {"enum": [emitted.QUESTIONNAIRE.version]}
        content["properties"]["answers"] = {
            "type": "object",
            "propertyNames": {"enum": [question.code for question in questions]},
            "additionalProperties": {"enum": [code for question in questions for code in question.codes]},
        }
    if event is NoticeDue:
        values = {"enum": ["2026-07-01", "cnc-machining", "DE", "30", "f126f4f0-9ca4-5d64-b149-994752fd8b41"]}
        content["properties"]["parameters"]["additionalProperties"] = values
    if "topic_name" in content["properties"]:
        content["properties"]["topic_name"] = {"enum": list(BY_NAME)}
    return content


def test_a_hundred_thousand_events_say_nothing_of_anybody():
    """Of every kind as many, made at random, through the models and as they are written."""
    by, now = Random(7), datetime(2026, 11, 21, tzinfo=UTC)
    each = -(-EVENTS // len(TABLE))
    found: list[tuple[str, Found]] = []
    for topic in TABLE:
        event = topic.event
        make, look = making(meant(event), by), looking(schema(event))
        for _ in range(each):
            value = event.model_validate(make())
            found += [(topic.name, one) for one in look(json.loads(value.model_dump_json()))]
        record = Envelope(uuid4(), f"sojourn/{topic.producers[0]}", event, value.subject, now, value, 1)
        headers = {name: text.decode() for name, text in encode(record)[2]}
        found += [(topic.name, one) for one in in_headers(headers)]
    assert found[:5] == []
    assert each * len(TABLE) >= EVENTS


def test_what_the_services_make_of_people_with_names_and_much_to_say_says_nothing_of_them():
    by = Random(7)
    looks = {topic.event: looking(schema(topic.event)) for topic in TABLE}
    seen: Counter[str] = Counter()
    found: list[tuple[str, Found]] = []
    for _ in range(10):
        for event in (*emitted.of_registration(by), *emitted.of_survey(by)):
            seen[event.topic()] += 1
            found += [(event.topic(), each) for each in looks[type(event)](json.loads(event.model_dump_json()))]
    for event in emitted.of_exchange():
        seen[event.topic()] += 1
        found += [(event.topic(), each) for each in looks[type(event)](json.loads(event.model_dump_json()))]
    assert found == []
    # of the others, the whole system's run tells: tests/journeys/test_journey.py
    assert seen.keys() >= {
        "CompanyRegistered",
        "CompanyUpdated",
        "CompanyWithdrawn",
        "MatchDeclined",
        "ExchangeUpdated",
    }
    assert seen.keys() >= {"ExchangeAgreed", "ExchangeCancelled", "ExchangeCompleted", "SurveySubmitted", "NoticeDue"}


# what an erasure leaves

WHOSE = {"company_id", "sender_id", "host_id", "traveller_id", "recipient_id"}
"""Ids of people and companies."""
THINGS = {
    "erasure_id",
    "exchange_id",
    "invitation_id",
    "manifest_id",
    "match_id",
    "notice_id",
    "offer_id",
    "placement_id",
    "record_id",
}
ERASURES = {("ErasureRequested", "erased_id"), ("ErasureDone", "erased_id")}
"""The erasure's own events say whom; they are internal and go after 21 days."""


def ids(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Fields with ids, by name, at any depth."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from ids(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from ids(each, field)
    elif field.endswith("_id"):
        yield field, value


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_of_an_event_after_an_erasure_names_nobody_who_was_erased(name: str):
    event, by = BY_NAME[name].event, Random(name)
    make = making(meant(event), by)
    for value in [example(name).value, *(make() for _ in range(50))]:
        said = event.model_validate(value)
        for field, whose in ids(value):
            assert field in WHOSE | THINGS or (name, field) in ERASURES, f"is {field} somebody's id?"
            if field in WHOSE:
                left = said.without({UUID(whose)})
                assert left is None or whose not in left.model_dump_json()
