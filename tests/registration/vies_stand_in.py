"""VIES on a loopback port: answers as a test has it, also in each of the ways in which the real one fails."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any


def valid(number: str) -> bytes:
    return _json(isValid=True, userError="VALID", vatNumber=number, name="---", address="---")


def invalid(number: str) -> bytes:
    return _json(isValid=False, userError="INVALID", vatNumber=number)


def fails_with(error: str) -> Callable[[str], bytes]:
    """As VIES does: with 200, and ``isValid: false``."""
    return lambda number: _json(isValid=False, userError=error, vatNumber=number)


def status(code: int) -> Callable[[str], bytes]:
    return lambda _: _http(code, b'{"actionSucceed": false, "errorWrappers": [{"error": "SERVICE_UNAVAILABLE"}]}')


def body(content: bytes) -> Callable[[str], bytes]:
    return lambda _: _http(200, content)


def broken_off(number: str) -> bytes:
    return valid(number)[:-20]


def nothing(_: str) -> bytes:
    return b""


def hangs(_: str) -> None:
    """Takes the question, and is silent."""


def trickles(_: str) -> str:
    """A byte every now and then, for ever: no single read is slow."""
    return "trickle"


Answers = Callable[[str], bytes | str | None]


class StandIn:
    """What it was asked, and how it answers; the last way is kept."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.answers: list[Answers] = [valid]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            _, _, _, country, _, number = path.split("/")
            self.asked.append(country + number)
            answer = (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(number)
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
                return
            if answer == "trickle":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n\r\n")
            while True:
                writer.write(b" " if answer == "trickle" else b"")
                await writer.drain()
                await asyncio.sleep(0.02)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    handling: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        await stand_in.serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    stand_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rest-api"
    try:
        yield stand_in
    finally:
        server.close()
        for task in handling:
            task.cancel()


def _json(**content: Any) -> bytes:
    return _http(200, json.dumps(content).encode())


def _http(code: int, content: bytes) -> bytes:
    head = f"HTTP/1.1 {code} -\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return (head + "Connection: close\r\n\r\n").encode() + content
