"""The feed over HTTP: events per second in pages of 1,000, and how long one event takes to the last of 1,000 followers.

One process of the exchange serves both. A quarter of its log are notices, which are internal and passed over. Beside the pages,
in the same run and in turn: the same events read from PostgreSQL by asyncpg, as rows of which nobody makes JSON or an answer.
Clients are bare sockets, so that little but the service is measured on two cores.
"""

import asyncio
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
from backing import percentile, report
from chassis.identity import Caller, Role, issue
from joserfc.jwk import OKPKey
from laptop.signing import kept_keys
from laptop.system import System
from pilot.population import START
from sojourn_contracts.exchange import ExchangeUpdated
from sojourn_contracts.notice import NoticeDue

EVENTS = int(os.environ.get("EVENTS", "60000"))
PAGE = 1_000
ROUNDS = int(os.environ.get("ROUNDS", "3"))
TARGET = 20_000
CLIENTS = int(os.environ.get("CLIENTS", "1000"))
LIVE = int(os.environ.get("LIVE", "100"))
PAUSE = float(os.environ.get("PAUSE", "0.2"))
"""Seconds between two live events."""
TARGET_MS = 500
EXAMPLES = Path(__file__).parent.parent / "contracts" / "examples"

EMIT = """
insert into exchange.outbox (event_id, topic, type, dataschema, subject, time, data, correlation_id, causation_id, traceparent)
select gen_random_uuid(), $2, $3, $4, id, now(), replace($5, $6, id::text), gen_random_uuid(), gen_random_uuid(),
       '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
from (select gen_random_uuid() as id from generate_series(1, $1)) as made
"""


async def emit(owner: asyncpg.Connection, kind: type[ExchangeUpdated | NoticeDue], count: int) -> None:
    value = json.loads((EXAMPLES / f"{kind.__name__}.json").read_text())["value"]
    event = kind.model_validate(value)
    about = (kind.topic(), kind.type(), kind.dataschema(), event.model_dump_json(), str(event.subject))
    await owner.execute(EMIT, count, *about)


async def logged(owner: asyncpg.Connection, url: str) -> int:
    """Fills the log through the outbox, as it always is; returns how many events can be read."""
    for _ in range(EVENTS // 2_000):
        await emit(owner, ExchangeUpdated, 1_500)
        await emit(owner, NoticeDue, 500)
    async with httpx.AsyncClient(base_url=url) as http:
        while (status := (await http.get("/status")).json())["outbox"] or status["published"] != status["log_end"]:
            await asyncio.sleep(0.2)
    await owner.execute("vacuum analyze exchange.event_log")
    return await owner.fetchval("select count(*) from exchange.event_log where topic = $1", ExchangeUpdated.topic())


async def paged(url: str, token: str, bodies: list[bytes]) -> float:
    """Seconds for all pages, by one client on one connection."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=8_000_000)
    path = f"/events?limit={PAGE}"
    began = time.perf_counter()
    while True:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: feed\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 200 "), head
        length = re.search(r"content-length: (\d+)", head, re.I)
        link = re.search(r"link: <([^>]+)>", head, re.I)
        assert length and link
        body = await reader.readexactly(int(length[1]))
        if body == b"[]":
            break
        bodies.append(body)
        path = link[1]
    took = time.perf_counter() - began
    writer.close()
    return took


async def read_plainly(url: str) -> float:
    """Seconds for the same rows, as they are."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "exchange"})
    began, position = time.perf_counter(), 0
    while rows := await connection.fetch(
        "select position, generation, topic, sequence, event_id, type, dataschema, subject, time, data, correlation_id,"
        " causation_id, traceparent from event_log where topic = $1 and position > $2 order by position limit $3",
        ExchangeUpdated.topic(),
        position,
        PAGE,
    ):
        position = rows[-1]["position"]
    took = time.perf_counter() - began
    await connection.close()
    return took


class Follower(asyncio.Protocol):
    """Counts the events that it gets, and notes when each was there."""

    def __init__(self, request: bytes, arrived: list[list[float]]) -> None:
        self._request = request
        self._arrived = arrived
        self._rest = b""
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        found = (self._rest + data).count(b"}\n\n")
        self._rest = data[-2:]
        for number in range(self.count, self.count + found):
            self._arrived[number].append(now)
        self.count += found


async def streamed(owner: asyncpg.Connection, url: str, token: str) -> tuple[list[float], list[float]]:
    """Milliseconds from before an event's commit to each client, and to the last one."""
    place, loop = urlsplit(url), asyncio.get_running_loop()
    end = await owner.fetchval(
        "select generation || '-' || position from exchange.event_log order by position desc limit 1"
    )
    request = (
        f"GET /events/stream HTTP/1.1\r\nHost: feed\r\nAuthorization: Bearer {token}\r\nLast-Event-ID: {end}\r\n\r\n"
    )
    arrived: list[list[float]] = [[] for _ in range(LIVE + 1)]
    followers: list[Follower] = []
    for _ in range(CLIENTS):
        _, follower = await loop.create_connection(
            lambda: Follower(request.encode(), arrived), place.hostname, place.port
        )
        followers.append(follower)
    emitted: list[float] = []
    for number in range(LIVE + 1):  # the first one says that all are there
        emitted.append(time.perf_counter())
        await emit(owner, ExchangeUpdated, 1)
        await owner.execute("select pg_notify('exchange_outbox', '')")
        while number == 0 and len(arrived[0]) < CLIENTS:
            await asyncio.sleep(0.1)
        await asyncio.sleep(PAUSE)
    async with asyncio.timeout(30):
        while any(len(each) < CLIENTS for each in arrived):
            await asyncio.sleep(0.1)
    each = [1000 * (at - began) for began, all_of_it in zip(emitted[1:], arrived[1:], strict=True) for at in all_of_it]
    last = [1000 * (max(all_of_it) - began) for began, all_of_it in zip(emitted[1:], arrived[1:], strict=True)]
    return each, last


def checked(bodies: Sequence[bytes], count: int) -> None:
    """Nothing is missing, twice, or out of order."""
    sequences = [int(event["sequence"]) for body in bodies for event in json.loads(body)]
    assert sequences == list(range(1, count + 1))


async def main() -> None:
    rates: list[float] = []
    plain: list[float] = []
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        environment = {"LOG_LEVEL": "warning"}
        async with System(folder, stopped_at=START, environment=environment, services=["exchange"]) as system:
            key = OKPKey.import_key(json.loads(kept_keys(folder).private.read_text()))
            caller = Caller(Role.SUBSCRIBER, "bench", scopes=frozenset({"events:ExchangeUpdated"}))
            token, url = issue(key, caller, timedelta(hours=1)), system.urls["exchange"]
            owner = await asyncpg.connect(system.database.migrator_url)
            process = psutil.Process(system.processes["exchange"].pid)
            count = await logged(owner, url)
            cpu = sum(process.cpu_times()[:2])
            for _ in range(ROUNDS):
                bodies: list[bytes] = []
                rates.append(count / await paged(url, token, bodies))
                checked(bodies, count)
                plain.append(count / await read_plainly(system.database.migrator_url))
            cpu = (sum(process.cpu_times()[:2]) - cpu) / (ROUNDS * count)
            each, last = await streamed(owner, url, token)
            memory = process.memory_info().rss
            await owner.close()
    report(
        "feed",
        {
            "events": count, "page": PAGE, "events_per_s": statistics.median(rates), "target_per_s": TARGET,
            "mb_per_s": statistics.median(rates) * sum(map(len, bodies)) / count / 1e6, "cpu_us_per_event": 1e6 * cpu,
            "plain_rows_per_s": statistics.median(plain), "to_plain": statistics.median(rates) / statistics.median(plain),
            "clients": CLIENTS, "live_events": LIVE, "to_client_p50_ms": percentile(each, 0.5),
            "to_client_p99_ms": percentile(each, 0.99), "to_last_client_p50_ms": percentile(last, 0.5),
            "to_last_client_p99_ms": percentile(last, 0.99), "target_ms": TARGET_MS, "server_mib": memory / 2**20,
        },
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
