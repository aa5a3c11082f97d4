"""Whatever goes wrong over HTTP is a problem with a rule's name, and says nothing about the inside."""

from collections.abc import AsyncGenerator
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import httpx
import pytest
from chassis.http import application
from chassis.metrics import Metrics
from chassis.problems import FieldError, InvalidFields
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError
from sojourn_contracts.refusal import Invalid, NotYours, Refused, Unknown

routes = APIRouter()
raised: list[Exception] = []


class Level(StrEnum):
    A1 = "A1"
    B2 = "B2"


class Window(BaseModel):
    first: date
    last: date


class Placement(BaseModel):
    window: Window
    max_days: int = Field(ge=14, le=62)
    level: Level
    skills: list[str] = Field(max_length=2)

    @field_validator("skills")
    @classmethod
    def known(cls, skills: list[str]) -> list[str]:
        if "unknown" in skills:
            raise PydanticCustomError("skill", "names no skill", {"allowed": "one of GET /skills"})
        return skills


class Form(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^\w+$")]
    size: Literal["micro", "small"]
    placements: list[Placement] = []


@routes.post("/companies/{company_id}")
async def register(company_id: UUID, form: Form, page: Annotated[int, Query(ge=1)] = 1) -> Form:
    return form


@routes.get("/raise")
async def fail() -> None:
    raise raised.pop()


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    app = application("registration", (routes,), Metrics("registration"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


ID = "0198f3c2-7e0a-7000-8000-000000000001"
GOOD = {
    "window": {"first": "2027-05-01", "last": "2027-05-30"},
    "max_days": 20,
    "level": "B2",
    "skills": [],
}


async def test_every_wrong_field_is_named_once_with_what_is_allowed(http: httpx.AsyncClient):
    wrong = {"window": {"first": "2027-05-01", "last": "soon"}, "max_days": 63, "level": "Z9", "skills": ["unknown"]}
    body = {"name": "a b", "size": "giant", "placements": [GOOD, wrong, {**GOOD, "max_days": 13, "skills": ["a"] * 3}]}
    answer = await http.post("/companies/x?page=0", json=body)
    problem = answer.json()
    assert answer.status_code == problem["status"] == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["type"], problem["rule"]) == ("urn:sojourn:problem:invalid", "invalid")
    assert problem["detail"] == f"{len(problem['errors'])} fields are wrong"
    assert {error["path"]: error.get("allowed") for error in problem["errors"]} == {
        "path.company_id": None,
        "query.page": "at least 1",
        "name": r"matching ^\w+$",
        "size": "'micro' or 'small'",
        "placements.1.window.last": None,
        "placements.1.max_days": "at most 62",
        "placements.1.level": "'A1' or 'B2'",
        "placements.1.skills": "one of GET /skills",
        "placements.2.max_days": "at least 14",
        "placements.2.skills": "at most 2 long",
    }
    assert not {"a b", "giant", "Z9", "soon"} & set(answer.text.split('"'))


async def test_a_missing_field_and_a_body_that_is_no_json_are_told(http: httpx.AsyncClient):
    missing = (await http.post(f"/companies/{ID}", json={"name": "x"})).json()
    assert missing["errors"] == [{"path": "size", "detail": "is required"}]
    no_json = await http.post(f"/companies/{ID}", content=b"{", headers={"content-type": "application/json"})
    assert (no_json.status_code, no_json.json()["errors"][0]["path"]) == (422, "body")
    nothing = await http.post(f"/companies/{ID}")
    assert (nothing.status_code, nothing.json()["errors"][0]["path"]) == (422, "body")


async def test_a_body_that_is_not_even_text_is_the_clients_fault(http: httpx.AsyncClient):
    for content in (b"\xff\xfe", b'"\xed\xa0\x80"', b"[" * 100_000):
        answer = await http.post(f"/companies/{ID}", content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), content[:10]
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_long_list_of_wrong_entries_is_not_answered_by_a_longer_one(http: httpx.AsyncClient):
    body = {"name": "x", "size": "small", "placements": [{}] * 10_000}
    answer = (await http.post(f"/companies/{ID}", json=body)).json()
    assert len(answer["errors"]) == 100
    assert answer["detail"] == "40000 fields are wrong; the first 100 are listed"


@pytest.mark.parametrize(
    ("error", "status", "rule"),
    [
        (Refused("already_accepted", "It is accepted"), 409, "already_accepted"),
        (NotYours("not_a_party", "You are no party"), 403, "not_a_party"),
        (Unknown("no_exchange", "There is none"), 404, "no_exchange"),
        (Invalid("stay_length", "last_day", "at most 62 days"), 422, "stay_length"),
        (InvalidFields([FieldError("a.0", "is wrong", "b"), FieldError("c", "is wrong")]), 422, "invalid"),
        (ConnectionRefusedError(111, "10.0.0.7"), 503, "unavailable"),
        (TimeoutError(), 503, "unavailable"),
        (asyncpg.InterfaceError("connection is closed at 10.0.0.7"), 503, "unavailable"),
        (asyncpg.AdminShutdownError("10.0.0.7"), 503, "unavailable"),
        (asyncpg.LockNotAvailableError("10.0.0.7"), 503, "unavailable"),
        (asyncpg.UniqueViolationError("Key (name)=(Smith)"), 500, "internal_error"),
        (KeyError("Smith"), 500, "internal_error"),
        (ExceptionGroup("Smith", [ValueError("Smith")]), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_a_failure_has_its_status_and_rule_and_shows_nothing_inside(
    http: httpx.AsyncClient, error: Exception, status: int, rule: str
):
    raised.append(error)
    answer = await http.get("/raise")
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["rule"]) == (status, status, rule)
    assert problem["type"] == f"urn:sojourn:problem:{rule}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert not any(inside in answer.text for inside in ("Smith", "10.0.0.7", "Traceback", "asyncpg"))
    assert ("retry-after" in answer.headers) == (status == 503)
    if status == 422:
        assert problem["errors"][0]["path"] in ("last_day", "a.0")


async def test_a_path_or_method_that_is_not_there_is_a_problem_too(http: httpx.AsyncClient):
    nowhere = await http.get("/nowhere")
    assert (nowhere.status_code, nowhere.json()["rule"]) == (404, "not_found")
    method = await http.delete("/raise")
    assert (method.status_code, method.json()["rule"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "GET"
