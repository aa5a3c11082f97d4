"""What Prometheus reads of a process that has been through everything, over real Kafka."""

import asyncio
import math
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from chassis.database import Connection
from chassis.doors import OnDue, Work
from chassis.metrics import Gauged, Observed
from chassis.service import Process
from chassis.transaction import Cause, Transaction
from laptop.kafka import Kafka
from laptop.roles import Database
from laptop.topics import create_topics
from sojourn_contracts.company import CompanyWithdrawn
from uuid_utils.compat import uuid7

from tests.chassis.given import a_service, declined, note, withdrawn
from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Driver, Record, record
from tests.conftest import Driving


async def read(driver: Driver) -> dict[str, float]:
    """The samples of our own, by name and labels without the service."""
    lines = (await driver.http.get("/metrics")).text.splitlines()
    ours = [line for line in lines if line.startswith("sojourn_")]
    assert all('service="exchange"' in line for line in ours)
    pairs = [
        line.replace(',service="exchange"', "").replace('{service="exchange"}', "").rsplit(" ", 1) for line in ours
    ]
    return {name.removeprefix("sojourn_"): float(value) for name, value in pairs}


class Said:
    """What the exposition comes to say."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.last: dict[str, float] = {}

    async def comes(self, **expected: float) -> None:
        async def so() -> bool:
            self.last = await read(self._driver)
            return all(self.last.get(name) == value for name, value in expected.items())

        try:
            await until(so, within=30)
        except AssertionError:
            pytest.fail(f"{expected} not in {self.last}")


async def waits_for_what_nobody_knows(said: Said) -> bool:
    await said.comes(due_parked=1, outbox_size=0, log_position=3)
    lag, unpublished = said.last["consumer_lag_seconds"], said.last["outbox_age_seconds"]
    return math.isnan(said.last["consumer_lag_records"]) and lag > 1 and unpublished > 1


async def do(work: Work, tx: Transaction) -> None:
    if work.subject == "poison":
        raise LookupError


async def test_the_exposition_shows_what_was_handled_failed_waits_and_since_when(driving: Driving, tmp_path: Path):
    go_on = asyncio.Event()
    held: list[UUID] = []
    poisonous, slow, behind = withdrawn(), withdrawn(), withdrawn()

    async def withdrawal(event: CompanyWithdrawn, tx: Transaction) -> None:
        if event.subject == poisonous.subject:
            raise LookupError
        if event.subject == slow.subject:
            held.append(event.subject)
            await tx.connection.execute("set local idle_in_transaction_session_timeout = '60s'")
            await go_on.wait()
        await note(event, tx)

    broker = Kafka(tmp_path / "kafka")
    await broker.start()
    try:
        await create_topics(broker.bootstrap)
        driver = await driving(
            replace(
                a_service(OnDue("do", do), withdrawal=withdrawal),
                counters={"letters": "Letters brought"},
                durations={"walk_seconds": "Time on foot"},
            ),
            kafka_bootstrap_servers=broker.bootstrap,
        )
        said = Said(driver)
        async with driver.process.open_transaction(Cause()) as tx:
            tx.emit(declined(), declined())
            tx.schedule("do", "it", NOON - timedelta(minutes=2))
            tx.schedule("do", "poison", NOON - timedelta(minutes=1))
            tx.count("letters", 3)
            tx.lasted("walk_seconds", 42)
        await said.comes(outbox_size=2, log_position=0, due_late_seconds=120, dead_letters_open=0)
        assert said.last["outbox_age_seconds"] > 0
        assert said.last["letters_total"] == 3
        assert (said.last['walk_seconds_bucket{le="30.0"}'], said.last['walk_seconds_bucket{le="60.0"}']) == (0, 1)

        async with driver.process.running(), AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:

            async def send(*records: Record) -> None:
                for one in records:
                    await producer.send_and_wait(one.topic, one.value, one.key, headers=one.headers)

            twice = record(withdrawn())
            await send(twice, twice, record(poisonous), record(withdrawn()))
            await said.comes(
                **{
                    'handled_total{event="CompanyWithdrawn"}': 2,
                    'duplicates_total{event="CompanyWithdrawn"}': 1,
                    'dead_letters_total{event="CompanyWithdrawn"}': 1,
                    'handled_total{event="due do"}': 1,
                    'dead_letters_total{event="due do"}': 1,
                },
                dead_letters_open=1,
                due_parked=1,
                outbox_size=0,
                outbox_age_seconds=0,
                log_position=2,
                published_position=2,
                consumer_lag_records=0,
                consumer_lag_seconds=0,
                due_late_seconds=0,
            )
            assert said.last['failed_total{event="CompanyWithdrawn",kind="poison"}'] >= 3, "each try"
            assert said.last['failed_total{event="due do",kind="poison"}'] >= 3
            assert said.last['handler_seconds_count{event="CompanyWithdrawn"}'] >= 5
            assert said.last['handler_seconds_sum{event="due do"}'] > 0
            assert said.last['delivery_seconds_bucket{event="CompanyWithdrawn",le="30.0"}'] == 2, "each event once"

            await send(record(slow))
            await until(lambda: bool(held))
            await send(record(behind))
            await said.comes(consumer_lag_records=1)
            assert said.last["consumer_lag_seconds"] > 0
            go_on.set()
            await said.comes(
                **{'handled_total{event="CompanyWithdrawn"}': 4}, consumer_lag_records=0, consumer_lag_seconds=0
            )
            await broker.stop()
            async with driver.process.open_transaction(Cause()) as tx:
                tx.emit(declined())
            await until(lambda: waits_for_what_nobody_knows(said), within=30)
    finally:
        await broker.stop()


async def test_an_event_was_delivered_as_long_after_its_emission_as_its_id_tells(driving: Driving):
    driver = await driving(a_service())
    minute_old = UUID(int=(uuid7().int & ~(0xFFFFFFFFFFFF << 80)) | (int((time.time() - 60) * 1000) << 80))
    await driver.handle(withdrawn(), event_id=minute_old)
    await driver.handle(withdrawn(), event_id=uuid4())
    found = await read(driver)
    assert found['delivery_seconds_count{event="CompanyWithdrawn"}'] == 1, "not where the id tells nothing"
    assert 60 <= found['delivery_seconds_sum{event="CompanyWithdrawn"}'] < 70


async def test_whoever_holds_a_transaction_open_anywhere_on_the_server_is_seen(driving: Driving, postgres: Database):
    driver, elsewhere = await driving(a_service()), await asyncpg.connect(postgres.admin_url)

    async def age() -> float:
        await driver.rows("select pg_current_xact_id()")
        return (await read(driver))["oldest_transaction_seconds"]

    async def open_for_a_while() -> bool:
        return await age() > 0.3

    async def none() -> bool:
        return await age() == 0

    try:
        async with elsewhere.transaction():
            await elsewhere.execute("select pg_current_xact_id()")
            await until(open_for_a_while)
        await until(none)
    finally:
        await elsewhere.close()


async def test_while_postgresql_is_away_the_gauges_of_kafka_are_brought_up_to_date(driving: Driving):
    driver = await driving(a_service())
    await driver.process.pool.close()
    found = await read(driver)
    assert found["consumer_lag_seconds"] > 0
    assert "outbox_size" not in found


async def test_what_takes_long_to_count_is_counted_beside_and_silences_no_other_figure(driving: Driving):
    counts, go_on = list[int](), asyncio.Event()
    go_on.set()

    async def counted(connection: Connection, process: Process) -> list[Observed]:
        counts.append(len(counts) + 1)
        await go_on.wait()
        return [Observed("counted", counts[-1])]

    async def observed(connection: Connection, process: Process) -> list[Observed]:
        return [Observed("observed", len(counts))]

    gauges = {name: Gauged(name) for name in ("counted", "observed")}
    driver = await driving(replace(a_service(), gauges=gauges, counted=counted, observed=observed))
    await Said(driver).comes(counted=1)
    assert (await read(driver))["counted"] == 1, "not again within a minute"

    go_on.clear()
    driver.process._counts_again_at = 0
    async with driver.process.open_transaction(Cause()) as tx:
        tx.emit(declined())
    said = [await read(driver), await read(driver)]
    go_on.set()
    assert [(each["counted"], each["observed"], each["outbox_size"]) for each in said] == [(1, 1, 1), (1, 2, 1)]
    await Said(driver).comes(counted=2)


async def test_the_first_count_is_waited_for_no_longer_than_a_scrape_waits(driving: Driving):
    async def counted(connection: Connection, process: Process) -> list[Observed]:
        await asyncio.sleep(60)
        return []

    driver = await driving(replace(a_service(), counted=counted))
    async with driver.process.open_transaction(Cause()) as tx:
        tx.emit(declined())
    began = time.monotonic()
    said = await read(driver)
    assert said["outbox_size"] == 1
    assert time.monotonic() - began < 10
    assert driver.process._counting is not None
    driver.process._counting.cancel()
