"""Who sends slowly, much or often is turned away, and takes nothing from the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from chassis.bounds import HEAD_LIMIT, KEPT_ALIVE, Bounds, Patience
from chassis.http import application
from chassis.metrics import Metrics
from fastapi import APIRouter, FastAPI, Request, Response
from laptop.ports import HOST, free_port
from starlette.types import ASGIApp

from chassis import bounds
from tests.chassis.waiting import until

routes = APIRouter()
held = asyncio.Event()


@routes.get("/said")
async def say(request: Request) -> dict[str, str]:
    return {"client": bounds.client_of(request.scope), "scheme": request.url.scheme}


@routes.post("/taken")
async def take(request: Request) -> int:
    return len(await request.body())


@routes.post("/refused", status_code=403)
async def refuse() -> None:
    """Without a look at the body."""


@routes.get("/held")
async def hold() -> None:
    await held.wait()


@routes.get("/live")
async def live() -> str:
    return "live"


@routes.get("/page")
async def page() -> Response:
    return Response("<p>", media_type="text/html", headers={"Content-Security-Policy": "default-src 'self'"})


def app(**bounded: int) -> FastAPI:
    return application("bounded", (routes,), Metrics("bounded"), bounds=Bounds(**bounded))


def client(app: ASGIApp, address: str = "192.0.2.1", scheme: str = "http") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://service")


@asynccontextmanager
async def served(app: FastAPI, believed: str = "127.0.0.1", kept_alive: float = KEPT_ALIVE) -> AsyncIterator[int]:
    port = free_port()
    config = bounds.serving(app, HOST, port, believed)
    config.timeout_keep_alive = kept_alive  # pyright: ignore[reportAttributeAccessIssue] - less than a second
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield port
    finally:
        server.should_exit = True
        await serving


async def told(port: int, *parts: bytes, every: float = 0.0) -> bytes:
    """What is answered until the connection is closed, to bytes that are sent one after the other."""
    reader, writer = await asyncio.open_connection(HOST, port)
    reading = asyncio.create_task(reader.read())
    for part in parts:
        if not reading.done():
            writer.write(part)
            await asyncio.sleep(every)
    async with asyncio.timeout(10):
        answer = await reading
    writer.close()
    return answer


async def test_who_asks_too_often_is_told_when_to_come_again_and_others_and_probes_are_answered():
    bounded = app(per_client=3)
    async with client(bounded) as greedy, client(bounded, "192.0.2.2") as other:
        answers = [await greedy.get("/said") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["rule"] == "too_many_requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
        assert (await other.get("/said")).status_code == 200
        assert (await greedy.get("/live")).status_code == 200


async def test_a_network_of_ipv6_is_one_client():
    bounded = app(per_client=1)
    statuses = []
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
        async with client(bounded, address) as asking:
            statuses.append((await asking.get("/said")).status_code)
    assert statuses == [200, 429, 200]


async def test_clients_are_forgotten_when_there_are_more_than_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "KNOWN", 2)
    counting = bounds.Bounded(app(), Bounds(per_client=1))
    waits = [counting._wait(each) > 0 for each in ("a", "a", "b", "c", "a")]
    assert waits == [False, True, False, False, False]


async def test_when_too_much_is_in_hand_more_is_turned_away_and_probes_are_answered():
    held.clear()
    bounded = app(at_once=1)
    async with client(bounded) as asking:
        first = asyncio.create_task(asking.get("/held"))
        await asyncio.sleep(0)

        async def full() -> bool:
            answer = await asking.get("/said")
            return answer.status_code == 503 and answer.headers["retry-after"] == "2"

        await until(full)
        assert (await asking.get("/live")).status_code == 200
        held.set()
        assert (await first).status_code == 200
        assert (await asking.get("/said")).status_code == 200


async def test_one_client_has_a_share_of_what_may_be_in_hand_and_others_are_answered():
    """As whoever sends bodies that do not come."""
    held.clear()
    bounded = bounds.Bounded(app(), Bounds(at_once=20))
    async with client(bounded) as greedy, client(bounded, "192.0.2.2") as other:
        asked = [asyncio.create_task(greedy.get("/held")) for _ in range(3)]
        (refused,), waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=5)
        assert (refused.result().status_code, refused.result().json()["rule"]) == (429, "too_many_requests")
        assert refused.result().json()["detail"].startswith("2 of your requests are in hand")
        assert refused.result().headers["retry-after"] == "2"
        assert (await other.get("/said")).status_code == 200
        assert (await greedy.get("/live")).status_code == 200
        held.set()
        assert [(await each).status_code for each in waiting] == [200, 200]
        assert (await greedy.get("/said")).status_code == 200
    assert bounded._of_client == {}, "nobody is remembered for good"


async def test_connections_that_say_little_are_closed_while_others_are_answered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "HEAD_WITHIN", 0.4)
    async with served(app()) as port:
        drip = [b"GET /said HTTP/1.1\r\n", *(f"X-{number}: x\r\n".encode() for number in range(20))]
        slow = [asyncio.create_task(told(port, *drip, every=0.05)) for _ in range(20)]
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as asking:
            assert (await asking.get("/said")).status_code == 200
            await asyncio.sleep(0.6)
            assert (await asking.get("/said")).status_code == 200, "an idle connection is kept for the next request"
        for answer in await asyncio.gather(*slow):
            assert answer.startswith(b"HTTP/1.1 408")


async def test_a_connection_that_is_opened_before_it_is_needed_is_kept_as_long_as_an_idle_one_and_then_closed_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
):
    """Proxies do so; an answer to nothing would be taken for that to what is asked just then."""
    monkeypatch.setattr(bounds, "HEAD_WITHIN", 0.03)
    async with served(app(), kept_alive=0.25) as port:
        silent = asyncio.create_task(told(port))
        reader, writer = await asyncio.open_connection(HOST, port)
        await asyncio.sleep(0.1)
        writer.write(b"GET /said HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        assert await silent == b""


LATE_BODY = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
"""It is answered before it has come."""


@pytest.mark.parametrize("first", [b"\r\n", LATE_BODY], ids=["line ends", "the rest of a body"])
async def test_who_says_what_belongs_to_no_request_is_left(monkeypatch: pytest.MonkeyPatch, first: bytes):
    monkeypatch.setattr(bounds, "HEAD_WITHIN", 0.1)
    async with served(app()) as port:
        answer = await told(port, first, *[b"\r\n"] * 20, every=0.03)
    assert answer.count(b"HTTP/1.1") == (first is LATE_BODY)


async def test_a_connection_goes_on_after_a_body_that_nobody_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "HEAD_WITHIN", 0.06)
    ask = b"GET /said HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with served(app()) as port:
        answer = await told(port, LATE_BODY, b"x" * 1000, ask, every=0.1)
    assert [answer.count(b"HTTP/1.1 " + status) for status in (b"403", b"200", b"408")] == [1, 1, 0]


async def test_a_later_request_on_a_connection_has_no_more_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "HEAD_WITHIN", 0.3)
    async with served(app()) as port:
        answer = await told(port, b"GET /said HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /said HT", every=0.1)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.count(b"HTTP/1.1 408") == 1


@pytest.mark.parametrize("cut", [HEAD_LIMIT * 2, 4_096])
async def test_a_head_has_a_limit_in_one_piece_and_in_many(cut: int):
    head = b"GET /said HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * (HEAD_LIMIT + 1) + b"\r\n\r\n"
    async with served(app()) as port:
        answer = await told(port, *(head[start : start + cut] for start in range(0, len(head), cut)), every=0.01)
        assert answer.startswith(b"HTTP/1.1 431")
        assert b"HTTP/1.1 200" not in answer
        many = b"GET /said HTTP/1.1\r\nHost: x\r\n" + b"".join(b"a%d: x\r\n" % each for each in range(9_000)) + b"\r\n"
        assert (await told(port, many)).startswith(b"HTTP/1.1 431")


async def test_a_body_that_does_not_come_is_not_waited_for():
    patient = application("bounded", (routes,), Metrics("bounded"))
    for layer in patient.user_middleware:
        if layer.cls is Patience:
            layer.kwargs["within"] = 0.2
    head = b"POST /taken HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    async with served(patient) as port:
        answer = await told(port, head, b"x", every=0.1)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"rule":"request_timeout"' in answer


@pytest.mark.parametrize(("believed", "who"), [("127.0.0.1", "198.51.100.7"), ("192.0.2.0/24", HOST)])
async def test_who_asks_is_what_a_proxy_says_only_if_that_is_believed(believed: str, who: str):
    async with served(app(), believed) as port, httpx.AsyncClient() as asking:
        answer = await asking.get(
            f"http://{HOST}:{port}/said", headers={"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
        )
        encrypted = believed == "127.0.0.1"
        assert answer.json() == {"client": who, "scheme": "https" if encrypted else "http"}
        assert ("strict-transport-security" in answer.headers) is encrypted


async def test_an_answer_is_kept_nowhere_framed_nowhere_and_taken_for_what_it_says_unless_it_says_otherwise():
    async with client(app()) as asking:
        for path in ("/said", "/nothing"):
            said = (await asking.get(path)).headers
            assert said["cache-control"] == "no-store"
            assert said["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert said["x-content-type-options"] == "nosniff"
            assert said["referrer-policy"] == "no-referrer"
            assert "strict-transport-security" not in said
        assert (await asking.get("/page")).headers["content-security-policy"] == "default-src 'self'"
    async with client(app(), scheme="https") as asking:
        assert "max-age=" in (await asking.get("/said")).headers["strict-transport-security"]
