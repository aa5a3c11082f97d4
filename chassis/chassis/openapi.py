"""A service's OpenAPI document with every answer that its routes can give: each failure as RFC 9457 problem details.

FastAPI tells of the successes and of its own form of a 422; what else can be follows from how a route is made.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_PROBLEM = "#/components/schemas/Problem"
_TEXT = {"type": "string"}
_SCHEMAS = {
    "FieldError": {
        "type": "object",
        "description": "One wrong field, what is wrong with it, and what is allowed.",
        "required": ["path", "detail"],
        "properties": {"path": _TEXT, "detail": _TEXT, "allowed": _TEXT},
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457: a rule's name for programs, a sentence for people.",
        "required": ["type", "title", "status", "detail", "rule"],
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "urn:sojourn:problem:<rule>"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "rule": {"type": "string", "description": "The name of the rule that was broken; part of the contract."},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
        },
    },
}
_CHANGING = frozenset({"post", "put", "patch", "delete"})


def document(app: FastAPI) -> dict[str, Any]:
    """The application's document; made once."""
    if app.openapi_schema is None:
        said = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = said.setdefault("components", {}).setdefault("schemas", {})
        for of_fastapi in ("HTTPValidationError", "ValidationError"):
            schemas.pop(of_fastapi, None)
        schemas.update(_SCHEMAS)
        for path, methods in said["paths"].items():
            for method, operation in methods.items():
                for status, told in failures(*_failures(path, method, operation)).items():
                    operation["responses"].setdefault(str(status), {}).update(told)
        app.openapi_schema = said
    return app.openapi_schema


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Each of these as problem details; for a route's ``responses`` where they do not follow from how it is made."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": {"$ref": _PROBLEM}}},
        }
        for status in map(int, statuses)
    }


def _failures(path: str, method: str, operation: dict[str, Any]) -> Iterator[int]:
    yield from (500, 503)
    if operation.get("security"):
        yield from (401, 403)
    if "{" in path:
        yield 404
    if "requestBody" in operation:
        yield from (400, 413)
    if "requestBody" in operation or operation.get("parameters"):
        yield 422
    if method in _CHANGING:
        yield 409
