"""CloudEvents' own SDKs read our records and our feed, and we read their records: attributes, data and trace stay what they are.

One program per language decodes given records, encodes what it decoded, encodes it once more with what the specification lets
differ (a charset, extensions of other types, ones that we do not know), and reads a batch of the feed; each runs once.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from chassis.identity import Role
from chassis.transaction import Cause
from exchange.main import service as exchange
from laptop.roles import Database, drop, provision
from sojourn_contracts.envelope import Envelope, decode, encode
from sojourn_contracts.exchange import ExchangeCompleted

from tests.chassis.given import an
from tests.chassis_driver import driving
from tests.contracts.examples import NAMES, example
from tests.migrated import migrated
from tests.subscribers import toolchain
from tests.subscribers.logged import log

HERE = Path(__file__).parent / "cloudevents"
TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"
Json = dict[str, Any]
Sdk = Callable[[], list[str]]


def python() -> list[str]:
    return [sys.executable, str(HERE / "python" / "sdk.py")]


def java() -> list[str]:
    return toolchain.java(HERE / "java" / "pom.xml", HERE / "java" / "Sdk.java")


def javascript() -> list[str]:
    return toolchain.node(HERE / "javascript", "sdk.js")


SDKS = (python, java, javascript)
FINEST = {python: timedelta(0), java: timedelta(0), javascript: timedelta(milliseconds=1)}
"""JavaScript's dates know milliseconds."""


def given() -> list[Envelope]:
    """Each event's example; one with a time and a trace as fine as they come."""
    examples = [decode(*example(name).record) for name in NAMES]
    fine = datetime(2026, 7, 20, 14, 3, 5, 123456, tzinfo=UTC)
    return [*examples, replace(examples[0], time=fine, tracestate="a=1,b=2")]


def as_json(envelope: Envelope) -> Json:
    """The event in CloudEvents' JSON format, but for its time."""
    said = {
        "specversion": "1.0",
        "id": str(envelope.id),
        "source": envelope.source,
        "type": envelope.event.type(),
        "subject": str(envelope.subject),
        "dataschema": envelope.event.dataschema(),
        "datacontenttype": "application/json",
        "sequence": f"{envelope.sequence:018}",
        "generation": str(envelope.generation),
        "correlationid": envelope.correlation_id,
        "causationid": envelope.causation_id,
        "traceparent": envelope.traceparent,
        "tracestate": envelope.tracestate,
        "data": envelope.data and envelope.data.model_dump(mode="json", exclude_unset=True),
    }
    return {name: value for name, value in said.items() if value is not None}


def record(envelope: Envelope) -> Json:
    key, value, headers = encode(envelope)
    return {
        "key": key.decode(),
        "headers": {name: text.decode() for name, text in headers},
        "value": value and value.decode(),
    }


def read(said: Mapping[str, Any]) -> Envelope:
    value = said["value"]
    return decode(value and value.encode(), [(name, text.encode()) for name, text in said["headers"].items()])


def without(event: Json, *names: str) -> Json:
    return {name: value for name, value in event.items() if name not in names}


@pytest.fixture(scope="module")
async def batch(postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Json]]:
    """A page of a service's feed: two events with all attributes, and a tombstone."""
    database = await provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}")
    await migrated(database, exchange.name, exchange.migrations)
    async with driving(exchange, database.url(exchange.name), tmp_path_factory.mktemp("exchange")) as driver:
        event = an(ExchangeCompleted)
        cause = Cause("c-1", str(uuid4()), TRACE)
        await log(driver, event, an(ExchangeCompleted), erase=[event], cause=cause)
        token = driver.token(Role.SUBSCRIBER, scopes=["events:ExchangeCompleted"])
        answer = await driver.http.get("/events", headers=token)
        assert answer.headers["content-type"] == "application/cloudevents-batch+json"
        yield answer.json()
    await drop(database)


@pytest.fixture(scope="module")
async def said(batch: list[Json]) -> dict[Sdk, Json]:
    """What each SDK says."""
    tombstone = record(replace(given()[0], data=None))
    asked = json.dumps({"records": [*map(record, given())], "tombstone": tombstone, "batch": batch})

    def run(sdk: Sdk) -> Json:
        done = subprocess.run(sdk(), input=asked, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    answers = await asyncio.gather(*(asyncio.to_thread(run, sdk) for sdk in SDKS))
    return dict(zip(SDKS, answers, strict=True))


@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_reads_our_records(sdk: Sdk, said: dict[Sdk, Json]):
    for envelope, event in zip(given(), said[sdk]["events"], strict=True):
        assert abs(datetime.fromisoformat(event["time"]) - envelope.time) <= FINEST[sdk]
        key = event.get("partitionkey", str(envelope.subject))  # some take the key for an attribute
        assert (as_json(envelope), key) == (without(event, "time", "partitionkey"), str(envelope.subject))


@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_reads_our_tombstones(sdk: Sdk, said: dict[Sdk, Json]):
    event = said[sdk]["tombstone"]
    if sdk is javascript:
        assert event == "Value is null or undefined", "so a subscriber asks for the value first: see the guide"
    else:
        assert without(event, "time", "partitionkey") == as_json(replace(given()[0], data=None))


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("form", ["again", "varied"])
def test_we_read_an_sdks_records(sdk: Sdk, form: str, said: dict[Sdk, Json]):
    for envelope, written in zip(given(), said[sdk][form], strict=True):
        theirs = read(written)
        assert abs(theirs.time - envelope.time) <= FINEST[sdk]
        assert replace(theirs, time=envelope.time) == envelope


@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_reads_the_feed(sdk: Sdk, said: dict[Sdk, Json], batch: list[Json]):
    assert ["data" in each for each in batch] == [True, True, False]
    assert all(each["traceparent"] == TRACE for each in batch)
    for ours, theirs in zip(batch, said[sdk]["batch"], strict=True):
        assert without(theirs, "time") == without(ours, "time")
        assert datetime.fromisoformat(theirs["time"]) == datetime.fromisoformat(ours["time"])
