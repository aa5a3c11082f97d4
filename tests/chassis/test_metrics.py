"""What Prometheus reads of a process that has been through everything, over real Kafka."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from chassis.doors import OnDue, Work
from chassis.transaction import Cause, Transaction
from laptop.kafka import Kafka
from laptop.topics import create_topics
from sojourn_contracts.company import CompanyWithdrawn

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
            a_service(OnDue("do", do), withdrawal=withdrawal), kafka_bootstrap_servers=broker.bootstrap
        )
        said = Said(driver)
        async with driver.process.open_transaction(Cause()) as tx:
            tx.emit(declined(), declined())
            tx.schedule("do", "it", NOON - timedelta(minutes=2))
            tx.schedule("do", "poison", NOON - timedelta(minutes=1))
        await said.comes(outbox_size=2, log_position=0, due_late_seconds=120, dead_letters_open=0)
        assert said.last["outbox_age_seconds"] > 0

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

            await send(record(slow))
            await until(lambda: bool(held))
            await send(record(behind))
            await said.comes(consumer_lag_records=1)
            assert said.last["consumer_lag_seconds"] > 0
            go_on.set()
            await said.comes(**{'handled_total{event="CompanyWithdrawn"}': 4}, consumer_lag_records=0)
    finally:
        await broker.stop()
