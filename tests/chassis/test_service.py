"""A process of a service: it waits for what is away, begins by itself, and stops in time."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from chassis.doors import OnDue, OnEvent, Work
from chassis.migrations import migrate
from chassis.service import Process, Service
from chassis.transaction import Cause, Transaction
from laptop.kafka import Kafka
from laptop.ports import HOST, free_port
from laptop.roles import Database
from laptop.topics import create_topics
from sojourn_contracts.company import CompanyWithdrawn
from sojourn_contracts.exchange import ExchangeCancelled
from sojourn_contracts.match import MatchProposed
from survey.main import service as survey
from uuid_utils.compat import uuid7

from chassis import telemetry
from tests.chassis.commands import begun
from tests.chassis.given import MIGRATIONS, SERVICE, a_service, declined, note, withdrawn
from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Driver, record
from tests.chassis_driver import driving as driving_on
from tests.conftest import Driving

LONGEST_STOP = 15

pytestmark = pytest.mark.filterwarnings("ignore:.*AIOKafkaProducer:pytest.PytestUnraisableExceptionWarning")
"""FastStream drops a producer that could not connect without a stop; it holds nothing, but says so when it goes."""


@asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[Driver]:
    """All doors of the process are open during the block; that they close in time, those to Kafka wholly, is asserted."""
    before = asyncio.all_tasks()
    process = driver.process.running()
    await process.__aenter__()
    try:
        yield driver
    finally:
        began = time.monotonic()
        await process.__aexit__(None, None, None)
        assert time.monotonic() - began < LONGEST_STOP
        await until(lambda: not any("AIOKafka" in repr(task.get_coro()) for task in asyncio.all_tasks() - before))


async def status(driver: Driver, path: str) -> int:
    return (await driver.http.get(path)).status_code


async def effects(driver: Driver) -> int:
    return (await driver.rows("select count(*) from effect"))[0]["count"]


async def send(kafka: str, *events: CompanyWithdrawn) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for event in events:
            sent = record(event)
            await producer.send_and_wait(sent.topic, sent.value, sent.key, headers=sent.headers)


async def do(work: Work, tx: Transaction) -> None:
    await tx.connection.execute("insert into effect (subject, note) values ($1, 'done')", uuid7())


async def test_without_its_schema_it_is_live_and_not_ready_and_ready_by_itself_once_it_is_there(
    database: Database, tmp_path: Path
):
    async with driving_on(a_service(OnDue("do", do)), database.url(SERVICE), tmp_path) as driver, running(driver):
        assert (await status(driver, "/live"), await status(driver, "/ready")) == (200, 503)
        assert await status(driver, "/metrics") == 200
        await migrate(database.migrator_url, SERVICE, MIGRATIONS)
        assert await status(driver, "/ready") == 200
        async with driver.process.open_transaction(Cause()) as tx:
            tx.schedule("do", "it", NOON)

        async def is_done() -> bool:
            return await effects(driver) == 1

        await until(is_done)


async def test_until_it_is_prepared_it_is_live_not_ready_and_does_no_due_work(driving: Driving):
    tries, gone = 0, False

    @asynccontextmanager
    async def prepare(_: Process) -> AsyncIterator[str]:
        nonlocal tries, gone
        tries += 1
        if tries < 3:
            raise ConnectionRefusedError
        yield "prepared"
        gone = True

    async def seen(work: Work, tx: Transaction) -> None:
        await tx.connection.execute("insert into effect (subject, note) values ($1, $2)", uuid7(), tx.prepared)

    driver = await driving(a_service(OnDue("see", seen)))
    driver.process.service = replace(driver.process.service, prepare=prepare)
    async with driver.process.open_transaction(Cause()) as tx:
        tx.schedule("see", "it", NOON)
    async with running(driver):
        assert (await status(driver, "/live"), await status(driver, "/ready")) == (200, 503)
        assert await effects(driver) == 0

        async def is_done() -> bool:
            return await effects(driver) == 1

        await until(is_done)
        assert await status(driver, "/ready") == 200
        assert [row["note"] for row in await driver.rows("select note from effect")] == ["prepared"]
        assert not gone
    assert (tries, gone) == (3, True)


async def test_without_kafka_it_serves_and_does_due_work_and_consumes_and_publishes_once_kafka_is_there(
    driving: Driving, tmp_path: Path
):
    trouble = False

    async def withdrawal(event: CompanyWithdrawn, tx: Transaction) -> None:
        if trouble:
            raise ConnectionResetError("in the handler")
        await note(event, tx)

    broker = Kafka(tmp_path / "kafka", port=free_port())
    driver = await driving(
        a_service(OnDue("do", do), withdrawal=withdrawal),
        kafka_bootstrap_servers=broker.bootstrap,
        lease_seconds=1,
        group_session_timeout_ms=1000,
    )

    async def counts(number: int) -> bool:
        return await effects(driver) == number

    async def moved() -> bool:
        return not await driver.rows("select from outbox")

    try:
        async with running(driver):
            assert (await status(driver, "/live"), await status(driver, "/ready")) == (200, 200)
            async with driver.process.open_transaction(Cause()) as tx:
                tx.schedule("do", "it", NOON)
                tx.emit(declined())
            await until(lambda: counts(1))
            assert (await driver.http.get("/status")).json()["published"] is None

            await broker.start()
            await create_topics(broker.bootstrap)
            await send(broker.bootstrap, withdrawn(), withdrawn())
            await until(lambda: counts(3), within=60)
            await until(lambda: driver.process.relay.published == 1, within=60)

            trouble = True
            await send(broker.bootstrap, withdrawn())
            troubled = 'sojourn_failed_total{event="CompanyWithdrawn",kind="trouble",service="exchange"}'
            await until(lambda: troubled in driver.process.metrics.exposition().decode())

            # so that the process ends with a group that it cannot leave, and what it cannot publish
            await broker.stop()
            async with driver.process.open_transaction(Cause()) as tx:
                tx.emit(declined())
            await until(moved)
    finally:
        await broker.stop()


async def test_it_stops_in_time_with_kafka_away_and_due_work_in_trouble(driving: Driving):
    attempts = 0

    async def never(work: Work, tx: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        raise ConnectionRefusedError

    driver = await driving(a_service(OnDue("never", never)))
    async with running(driver):
        async with driver.process.open_transaction(Cause()) as tx:
            tx.schedule("never", "it", NOON)
        await until(lambda: attempts >= 2)
    assert driver.process.stopping


async def test_it_stops_in_time_with_a_collector_of_traces_that_does_not_answer(
    driving: Driving, monkeypatch: pytest.MonkeyPatch
):
    with socket.create_server((HOST, 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{HOST}:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
        driver = await driving(a_service(OnDue("do", do)), otel_traces_exporter="otlp")
        async with running(driver):
            assert telemetry.recording()
            async with driver.process.open_transaction(Cause()) as tx:
                tx.schedule("do", "it", NOON)
            await until(lambda: effects(driver))
        assert not telemetry.recording()


def test_a_service_whose_handlers_are_not_the_catalogues_is_refused_with_the_differences_named():
    right = a_service()
    without = [door for door in right.doors if not (isinstance(door, OnEvent) and door.event is MatchProposed)]
    with pytest.raises(ValueError, match="exchange and the catalogue differ about who consumes MatchProposed"):
        Service(SERVICE, MIGRATIONS, without)
    with pytest.raises(ValueError, match=r"differ about who consumes ExchangeCancelled, MatchProposed$"):
        Service(SERVICE, MIGRATIONS, [*without, OnEvent(ExchangeCancelled, note)])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_that_is_told_to_stop_ends_with_0(database: Database, tmp_path: Path, how: int):
    await migrate(database.migrator_url, survey.name, survey.migrations)
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    port = free_port()
    process = await begun(
        "serve",
        DATABASE_URL=database.url(survey.name),
        KAFKA_BOOTSTRAP_SERVERS=f"{HOST}:1",
        JWKS=str(tmp_path / "jwks.json"),
        HTTP_PORT=str(port),
        LOG_FORMAT="json",
    )
    output = asyncio.create_task(process.communicate())
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as http:

            async def ready() -> bool:
                with suppress(httpx.TransportError):
                    return (await http.get("/ready")).status_code == 200
                return False

            await until(ready, within=60)
        process.send_signal(how)
        async with asyncio.timeout(LONGEST_STOP):
            out, error = await asyncio.shield(output)
        assert process.returncode == 0, error.decode()
        assert b"stopped" in out + error
        assert b"Traceback" not in out + error
    finally:
        if process.returncode is None:
            process.kill()
        await output
