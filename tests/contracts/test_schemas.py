"""The published schemas take what the models take, and refuse what they refuse."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sojourn_contracts.catalogue import BY_NAME
from sojourn_contracts.envelope import Malformed, decode
from sojourn_contracts.schemas import published

from tests.conftest import REPOSITORY
from tests.contracts.examples import NAMES, Example, example


def schema(name: str) -> dict[str, Any]:
    return json.loads((REPOSITORY / "contracts" / published(BY_NAME[name].event)).read_text())


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER)


def wrong(name: str, given: Example) -> list[str]:
    """Paths of what the schema does not take."""
    return [".".join(map(str, error.absolute_path)) for error in validator(name).iter_errors(given.value)]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_sound_and_its_id_is_its_path(name):
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == f"/contracts/{published(BY_NAME[name].event)}"
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", NAMES)
def test_the_canonical_example_is_valid(name):
    assert wrong(name, example(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_required_field_may_not_be_missing_and_an_optional_one_may(name):
    for field, about in BY_NAME[name].event.model_fields.items():
        assert bool(wrong(name, example(name).without(field))) is about.is_required()


@pytest.mark.parametrize("name", NAMES)
def test_a_field_of_another_type_is_refused(name):
    for field in example(name).value:
        assert field in {path.split(".")[0] for path in wrong(name, example(name).but(field, value=[[]]))}


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("CompanyUpdated", ("revision",), 0),
        ("CompanyUpdated", ("country",), "Germany"),
        ("CompanyUpdated", ("size_class",), "tiny"),
        ("CompanyUpdated", ("company_id",), "42"),
        ("CompanyUpdated", ("languages", 1, "level"), "D1"),
        ("CompanyUpdated", ("placements", 0, "window", "last"), "2026-13-01"),
        ("CompanyUpdated", ("placements", 0, "max_days"), 63),
        ("MatchDeclined", ("declined_at",), "2026-08-01T12:00:00"),
        ("NoticeDue", ("parameters", "closes_on"), "when you have time"),
        ("SurveySubmitted", ("answers", "OVERALL"), "x" * 33),
    ],
)
def test_schema_and_model_refuse_the_same_value_at_the_same_place(name, path, value):
    given = example(name).but(*path, value=value)
    place = ".".join(map(str, path))
    assert wrong(name, given) == [place]
    with pytest.raises(Malformed) as refused:
        decode(*given.record)
    assert refused.value.path == f"data.{place}"


@pytest.mark.parametrize("name", NAMES)
def test_unknown_fields_pass_at_every_depth(name):
    def newer(value: Any) -> Any:
        if isinstance(value, list):
            return [newer(part) for part in value]
        if isinstance(value, dict):
            return {key: newer(part) for key, part in value.items()} | {"later": "1"}
        return value

    assert list(validator(name).iter_errors(newer(example(name).value))) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_tells_what_the_docstrings_tell(name):
    text = json.dumps(schema(name))
    assert schema(name)["description"]
    assert "``" not in text
    for field, about in BY_NAME[name].event.model_fields.items():
        if about.description:
            assert schema(name)["properties"][field]["description"]


def test_a_tuple_is_an_array():
    placements = schema("CompanyUpdated")["properties"]["placements"]
    assert placements == {"type": "array", "items": {"$ref": "#/$defs/Placement"}}
