"""The HTTP door: the answer comes after the commit, bodies have a limit, ids go through."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from chassis.http import BODY_LIMIT, Tx, application
from chassis.metrics import Metrics
from chassis.transaction import Cause
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sojourn_contracts.refusal import Refused
from starlette.types import Message

from chassis import log

routes = APIRouter()


class Made(BaseModel):
    number: int


@routes.post("/made", status_code=201)
async def make(tx: Tx) -> Made:
    return Made(number=1)


@routes.post("/refused")
async def refuse(tx: Tx) -> Made:
    raise Refused("too_late", "It is over")


@routes.post("/broken")
async def break_its_promise(tx: Tx) -> Made:
    return {"number": "no number"}  # pyright: ignore[reportReturnType]


@routes.post("/streamed")
async def stream(tx: Tx) -> StreamingResponse:
    return StreamingResponse(iter([b"a", b"b"]))


@routes.post("/bodies")
async def take(request: Request) -> int:
    return len(await request.body())


@routes.post("/forms")
async def take_form(form: dict[str, str]) -> int:
    return len(form)


@routes.post("/ignored/{number}")
async def ignore(number: int) -> int:
    return number


@routes.get("/cause")
async def cause(request: Request) -> dict[str, str | None]:
    return vars(request.state.cause)


class Transactions:
    """Stands for the database: notes what becomes of each transaction."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.commit: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def open(self, cause: Cause) -> AsyncGenerator[Any]:
        try:
            yield object()
        except BaseException:
            self.ends.append("rolled back")
            raise
        await asyncio.sleep(0)
        self.commit()
        self.ends.append("committed")


@pytest.fixture
def transactions() -> Transactions:
    return Transactions()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("exchange")


@pytest.fixture
def app(transactions: Transactions, metrics: Metrics) -> FastAPI:
    app = application("exchange", (routes,), metrics)
    app.state.open_transaction = transactions.open
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


async def sent(app: FastAPI, path: str, note: Callable[[Message], None]) -> None:
    """Posts to the application as a server does, and notes each message that it sends when it sends it."""

    arrived: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return arrived.pop() if arrived else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        note(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [], "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)


@pytest.mark.parametrize("path", ["/made", "/streamed"])
async def test_not_a_byte_of_the_answer_is_sent_before_the_commit(app: FastAPI, transactions: Transactions, path: str):
    await sent(app, path, lambda message: transactions.ends.append(message["type"]))
    assert transactions.ends[:2] == ["committed", "http.response.start"]


@pytest.mark.parametrize("path", ["/made", "/streamed"])
@pytest.mark.parametrize(("error", "status"), [(ConnectionResetError(), 503), (ValueError("inside"), 500)])
async def test_a_commit_that_fails_is_a_5xx_and_never_a_success(
    app: FastAPI, transactions: Transactions, path: str, error: Exception, status: int
):
    def fail() -> None:
        raise error

    transactions.commit = fail
    messages: list[Message] = []
    await sent(app, path, messages.append)
    assert [message["status"] for message in messages if message["type"] == "http.response.start"] == [status]
    body = b"".join(message.get("body", b"") for message in messages)
    assert json.loads(body)["status"] == status
    assert b"inside" not in body


@pytest.mark.parametrize(("path", "status"), [("/refused", 409), ("/broken", 500)])
async def test_what_is_refused_or_cannot_be_answered_is_rolled_back(
    http: httpx.AsyncClient, transactions: Transactions, path: str, status: int
):
    assert (await http.post(path)).status_code == status
    assert transactions.ends == ["rolled back"]


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 1024):
        yield b"x" * min(1024, size)


@pytest.mark.parametrize("path", ["/bodies", "/forms", "/ignored/1"])
async def test_a_body_that_says_it_is_too_large_is_413_before_it_is_read(http: httpx.AsyncClient, path: str):
    answer = await http.post(path, content=b"x" * (BODY_LIMIT + 1), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["rule"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/bodies", "/forms"])
async def test_a_body_that_turns_out_too_large_while_it_is_read_is_413(http: httpx.AsyncClient, path: str):
    read = 0

    async def far_too_much() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 3 * BODY_LIMIT:
            read += 1024
            yield b"x" * 1024

    answer = await http.post(path, content=far_too_much(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["rule"]) == (413, "body_too_large")
    assert answer.headers["content-type"] == "application/problem+json"
    assert read <= BODY_LIMIT + 2048


async def test_a_body_of_exactly_the_limit_passes(http: httpx.AsyncClient):
    assert (await http.post("/bodies", content=b"x" * BODY_LIMIT)).json() == BODY_LIMIT
    assert (await http.post("/bodies", content=chunks(BODY_LIMIT))).json() == BODY_LIMIT


async def test_the_correlation_id_and_the_trace_go_in_and_the_id_comes_out(http: httpx.AsyncClient):
    trace = "ab" * 16
    said = str(uuid4())
    headers = {"X-Correlation-ID": said.upper(), "traceparent": f"00-{trace}-{'cd' * 8}-01"}
    answer = await http.get("/cause", headers=headers)
    assert answer.json()["correlation_id"] == answer.headers["X-Correlation-ID"] == said
    assert answer.json()["traceparent"].split("-")[1] == trace
    assert answer.headers["traceresponse"] == answer.json()["traceparent"], "the next request goes on from there"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 65,
        "a b",
        '"',
        "é".encode(),
        "Zsuzsanna.Quittenbaum",
        "00491701234567",
        "2f1c8d52-0c52-4f4e-9a53-8d9f2b7a6f10:Ottokar",
    ],
)
async def test_a_correlation_id_that_may_say_something_is_replaced_since_events_carry_it(
    http: httpx.AsyncClient, text: str | bytes
):
    answers = [await http.get("/cause", headers={"X-Correlation-ID": text}) for _ in range(2)]
    ids = {answer.headers["X-Correlation-ID"] for answer in answers}
    assert len(ids) == 2
    assert all(len(given) == 36 for given in ids)


async def test_an_unlinked_request_is_joined_to_no_other_by_its_ids(
    app: FastAPI, metrics: Metrics, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Neither in its effects nor in its lines; the id that it answers with stands in these."""
    unlinked = application("exchange", (routes,), metrics, unlinked=("/cause",))
    said = str(uuid4())
    headers = {"X-Correlation-ID": said, "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    root, before = logging.getLogger(), structlog.get_config()
    monkeypatch.setattr(root, "handlers", root.handlers)
    monkeypatch.setattr(root, "level", root.level)
    log.configure("exchange", "json", "info")
    try:
        for asked in (app, unlinked):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(asked), base_url="http://service") as client:
                answer = await client.get("/cause", headers=headers)
    finally:
        structlog.configure(**before)
    linked, line = [json.loads(line) for line in capsys.readouterr().err.splitlines() if '"answered"' in line]
    assert (linked["correlation_id"], linked["trace_id"]) == (said, "ab" * 16)
    assert set(answer.json().values()) == {None}
    assert line["correlation_id"] == answer.headers["X-Correlation-ID"] != said
    assert not line.keys() & {"trace_id", "span_id"}


async def test_even_an_unexpected_failure_carries_the_correlation_id(
    http: httpx.AsyncClient, transactions: Transactions
):
    def fail() -> None:
        raise LookupError

    transactions.commit = fail
    said = str(uuid4())
    answer = await http.post("/made", headers={"X-Correlation-ID": said})
    assert (answer.status_code, answer.headers["X-Correlation-ID"]) == (500, said)


async def test_requests_are_counted_by_route_not_by_path(http: httpx.AsyncClient, metrics: Metrics):
    for number in range(3):
        await http.post(f"/ignored/{number}")
    for anything in ("/x1", "/x2"):
        await http.get(anything)
    counted = [line for line in metrics.exposition().decode().splitlines() if "http_requests_total{" in line]
    assert counted == [
        'sojourn_http_requests_total{method="POST",route="/ignored/{number}",service="exchange",status="200"} 3.0',
        'sojourn_http_requests_total{method="GET",route="unknown",service="exchange",status="404"} 2.0',
    ]
