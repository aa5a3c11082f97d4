"""What goes wrong over HTTP, as RFC 9457 problem details: a rule's name for programs, a sentence for people.

Every wrong field is named in one answer, with its path and what is allowed. An answer never repeats a value that was
sent, and never shows what is inside: trouble is a 503 that may be tried again, a mistake of ours a plain 500.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sojourn_contracts.refusal import Invalid, NotYours, Refused, Unknown
from starlette.exceptions import HTTPException

from chassis.failures import is_trouble

MAX_ERRORS = 100
"""Fields named in one answer at most; a list of wrong entries is not answered by a longer one."""

logger = structlog.get_logger(__name__)


class FieldError(BaseModel):
    """One wrong field: ``placements.0.window.last``, what is wrong with it, and what is allowed."""

    path: str
    detail: str
    allowed: str | None = None

    def __init__(self, path: str, detail: str, allowed: str | None = None) -> None:
        super().__init__(path=path, detail=detail, allowed=allowed)


class Problem(Exception):  # noqa: N818 - the RFC's word
    """An answer other than success, with a rule's name."""

    def __init__(self, status: int, rule: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{rule}: {detail}")
        self.status = status
        self.rule = rule
        self.detail = detail
        self.headers = headers


class InvalidFields(Exception):  # noqa: N818 - it describes the request
    """Several fields are wrong, found by code rather than by the form's types: 422 with one entry each."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(", ".join(error.path for error in errors))
        self.errors = errors


class TooLarge(HTTPException):
    """FastAPI lets no other kind of exception pass while it reads a body."""

    rule = "body_too_large"

    def __init__(self, detail: str) -> None:
        super().__init__(413, detail)


class TooSlow(HTTPException):
    """The same."""

    def __init__(self, detail: str) -> None:
        super().__init__(408, detail, headers={"Connection": "close"})


def answer(
    status: int,
    rule: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, int | str] | None = None,
) -> JSONResponse:
    """The response for a problem; ``members`` are the RFC's extension members."""
    body: dict[str, Any] = {
        "type": f"urn:sojourn:problem:{rule}",
        "title": rule.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "rule": rule,
        **(members or {}),
    }
    if errors:
        body["errors"] = [error.model_dump(exclude_none=True) for error in errors[:MAX_ERRORS]]
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


def unexpected(error: Exception) -> JSONResponse:
    """The answer to what nobody expected: trouble, which waiting may cure, or a mistake of ours.

    In trouble nothing was changed, or it is not known whether it was.
    """
    if is_trouble(error):
        logger.warning("unavailable", exc_info=error)
        detail = "A part that is needed is away; try again, with the same Idempotency-Key if there was one"
        return answer(503, "unavailable", detail, headers={"Retry-After": "2"})
    logger.error("failed", exc_info=error)
    return answer(500, "internal_error", "This failed by a mistake of ours; the correlation id leads to it in the log")


def install(app: FastAPI) -> None:
    """Makes failures problems; ``http.Observed`` does it for those that nobody expects."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(InvalidFields, _invalid_fields)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    refused = cast(Refused, error)
    if isinstance(refused, Invalid):
        return _fields([FieldError(refused.path, refused.detail)], refused.rule)
    status = 403 if isinstance(refused, NotYours) else 404 if isinstance(refused, Unknown) else 409
    return answer(status, refused.rule, refused.detail, members=refused.members)


async def _problem(_: Request, error: Exception) -> JSONResponse:
    problem = cast(Problem, error)
    return answer(problem.status, problem.rule, problem.detail, headers=problem.headers)


async def _invalid_fields(_: Request, error: Exception) -> JSONResponse:
    return _fields(cast(InvalidFields, error).errors)


async def _validation(_: Request, error: Exception) -> JSONResponse:
    return _fields([_field(entry) for entry in cast(RequestValidationError, error).errors()])


async def _http(_: Request, error: Exception) -> JSONResponse:
    http = cast(HTTPException, error)
    phrase = HTTPStatus(http.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    return answer(http.status_code, getattr(http, "rule", phrase), http.detail, headers=http.headers)


def _fields(errors: Sequence[FieldError], rule: str = "invalid") -> JSONResponse:
    count = len(errors)
    detail = f"{count} fields are wrong" if count != 1 else f"{errors[0].path}: {errors[0].detail}"
    if count > MAX_ERRORS:
        detail += f"; the first {MAX_ERRORS} are listed"
    return answer(422, rule, detail, errors)


def _field(entry: Mapping[str, Any]) -> FieldError:
    context: Mapping[str, Any] = entry.get("ctx") or {}
    if entry["type"] == "json_invalid":
        return FieldError("body", f"is not valid JSON: {context.get('error', '')}")
    detail = "is required" if entry["type"] == "missing" else str(entry["msg"]).removeprefix("Value error, ")
    return FieldError(_path(entry["loc"]), detail.removeprefix("Input "), _allowed(context))


def _path(location: Sequence[str | int]) -> str:
    parts = location[1:] if len(location) > 1 and location[0] == "body" else location
    return ".".join(str(part)[:64] for part in parts)


_BOUNDS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "pattern": "matching {}",
    "multiple_of": "a multiple of {}",
    "expected": "{}",
    "allowed": "{}",
}


def _allowed(context: Mapping[str, Any]) -> str | None:
    """What pydantic says is allowed; a validator of ours says it as ``allowed`` in the context of its error."""
    said = [text.format(context[name]) for name, text in _BOUNDS.items() if context.get(name) is not None]
    return " and ".join(said) or None
