"""The events' JSON Schemas, as ``published/`` has them: what a record's value is, for readers in any language."""

import inspect
import re
from typing import Any, cast

from pydantic.json_schema import GenerateJsonSchema

from sojourn_contracts.event import Event

Json = dict[str, Any]

ORDER = ("$schema", "$id", "$ref", "title", "description", "type", "format", "properties", "required", "$defs")
"""How a schema's keywords are ordered; those not named here stand before the last one, by name."""
NAMED = ("properties", "$defs")
"""Keywords whose value has names of its own, not keywords."""


class _Generated(GenerateJsonSchema):
    """Titles are only those that somebody wrote: pydantic's own repeat the fields' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dict_schema(self, schema: Any) -> Json:
        """Names that do not fit are refused, as the models do; pydantic's own lets pass whatever stands under them."""
        made = super().dict_schema(schema)
        for pattern, values in made.pop("patternProperties", {}).items():
            made |= {"propertyNames": {"pattern": pattern}, "additionalProperties": values}
        return made


def schema(event: type[Event]) -> Json:
    """What readers may rely on: optional fields can be missing, and fields that are not known here can come on top.

    Its ``$id`` is a path: whichever service it is fetched from, and under whatever name, it resolves to where it was found.
    """
    made = event.model_json_schema(schema_generator=_Generated)
    return _arranged({"$schema": GenerateJsonSchema.schema_dialect, "$id": f"/contracts/{published(event)}", **made})


def published(event: type[Event]) -> str:
    """Path of the event's schema below ``contracts/``, in this repository as on every service over HTTP."""
    return f"published/{event.__name__}/{event.major}.{event.minor}.json"


def said(thing: type) -> str:
    """A docstring as Markdown."""
    return markdown(inspect.getdoc(thing) or "")


def markdown(docstring: str) -> str:
    """One line a paragraph, names in single backticks."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", docstring)]
    return "\n\n".join(paragraphs).replace("``", "`")


def _arranged(part: Any) -> Any:
    """Keywords in one order, whatever pydantic's version, and descriptions as Markdown."""
    if isinstance(part, list):
        return [_arranged(each) for each in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    arranged: Json = {}
    for keyword, value in sorted(cast(Json, part).items(), key=_place):
        if keyword in NAMED:
            arranged[keyword] = {name: _arranged(each) for name, each in value.items()}
        elif keyword == "description":
            arranged[keyword] = markdown(value)
        else:
            arranged[keyword] = _arranged(value)
    return arranged


def _place(item: tuple[str, Any]) -> tuple[float, str]:
    keyword, _ = item
    return (ORDER.index(keyword) if keyword in ORDER else len(ORDER) - 1.5, keyword)
