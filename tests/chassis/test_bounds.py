"""Who sends slowly, much or often is turned away, and takes nothing from the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from chassis.bounds import HEAD_LIMIT, Bounds, Impatient, Patience
from chassis.http import application
from chassis.metrics import Metrics
from fastapi import APIRouter, FastAPI, Request, Response
from laptop.ports import HOST, free_port

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


def client(app: FastAPI, address: str = "192.0.2.1", scheme: str = "http") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://service")


@asynccontextmanager
async def served(app: FastAPI, believed: str = "127.0.0.1") -> AsyncIterator[int]:
    port = free_port()
    config = uvicorn.Config(
        app, host=HOST, port=port, log_config=None, access_log=False, lifespan="off", http=Impatient,
        forwarded_allow_ips=believed,
    )  # fmt: skip
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


async def test_connections_that_say_little_are_closed_while_others_are_answered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "HEAD_WITHIN", 0.4)
    async with served(app()) as port:
        drip = [b"GET /said HTTP/1.1\r\n", *(f"X-{number}: x\r\n".encode() for number in range(20))]
        slow = [asyncio.create_task(told(port, *drip, every=0.05)) for _ in range(20)]
        silent = asyncio.create_task(told(port))
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as asking:
            assert (await asking.get("/said")).status_code == 200
            await asyncio.sleep(0.6)
            assert (await asking.get("/said")).status_code == 200, "an idle connection is kept for the next request"
        for answer in await asyncio.gather(*slow, silent):
            assert answer.startswith(b"HTTP/1.1 408")


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
