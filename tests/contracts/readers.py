"""A typed reader made from a published schema, as subscribers make theirs: it knows the schema's fields and ignores others."""

from datetime import date
from functools import cache
from typing import Annotated, Any, Literal, Union
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, create_model
from sojourn_contracts.compatibility import Version, versions

from tests.conftest import REPOSITORY

Json = dict[str, Any]
PUBLISHED: dict[Version, Json] = versions(REPOSITORY / "contracts" / "published")
FORMATS = {"uuid": UUID, "date": date, "date-time": AwareDatetime}


@cache
def reader(version: Version) -> TypeAdapter[Any]:
    """What reads an event of the version."""
    schema = PUBLISHED[version]
    return TypeAdapter(_type(schema, schema, version.event))


def _type(part: Json, document: Json, name: str) -> Any:
    if "$ref" in part:
        target = part["$ref"].rpartition("/")[2]
        return _type(document["$defs"][target], document, target)
    if "anyOf" in part:
        return Union[tuple(_type(each, document, name) for each in part["anyOf"])]  # noqa: UP007 - made of many
    if "enum" in part:
        return Literal[tuple(part["enum"])]
    match part["type"]:
        case "null":
            return None
        case "boolean":
            return bool
        case "integer":
            return Annotated[int, Field(ge=part.get("minimum"), le=part.get("maximum"))]
        case "string" if "format" in part:
            return FORMATS[part["format"]]
        case "string":
            return Annotated[str, StringConstraints(pattern=part.get("pattern"), max_length=part.get("maxLength"))]
        case "array":
            return list[_type(part["items"], document, name)]
        case "object" if "properties" in part:
            return _model(part, document, name)
        case "object":
            names = Annotated[str, StringConstraints(pattern=part.get("propertyNames", {}).get("pattern"))]
            return dict[names, _type(part["additionalProperties"], document, name)]
        case other:
            raise AssertionError(f"no published schema had a {other}")


def _model(part: Json, document: Json, name: str) -> type[BaseModel]:
    fields: dict[str, Any] = {
        field: (_type(each, document, field), ... if field in part.get("required", ()) else each.get("default"))
        for field, each in part["properties"].items()
    }
    return create_model(name, __config__=ConfigDict(extra="ignore", strict=True), **fields)
