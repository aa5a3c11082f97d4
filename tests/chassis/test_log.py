"""Logs: one format for all lines, with the ids of the work, without secrets."""

import json
import logging
from dataclasses import replace

import asyncpg
import pytest
import structlog
from chassis.database import Pool
from chassis.doors import OnDue, Work
from chassis.inbox import arrival
from chassis.transaction import Cause, Transaction
from uuid_utils.compat import uuid7

from chassis import log, telemetry
from tests.chassis.given import a_service, withdrawn
from tests.chassis.receiving import Receiver
from tests.chassis_driver import NOON, record
from tests.conftest import Driving


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    structured = structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**structured)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_our_lines_and_the_libraries_carry_the_ids_of_the_work(capsys: pytest.CaptureFixture[str]):
    log.configure("matching", "json", "info")
    with log.bound(correlation_id="c-1", event_id=None), telemetry.span("work") as traceparent:
        structlog.get_logger("chassis.relay").info("relayed", events=12)
        logging.getLogger("aiokafka.consumer").warning("lost %s", "a broker", extra={"broker": 2})
    structlog.get_logger("chassis.relay").info("idle")
    ours, library, idle = lines(capsys)
    for line in (ours, library):
        assert line["correlation_id"] == "c-1"
        assert ["00", line["trace_id"], line["span_id"], "01"] == traceparent.split("-")
        assert line["service"] == "matching"
        assert "event_id" not in line
    assert (ours["event"], ours["events"], ours["level"], ours["logger"]) == ("relayed", 12, "info", "chassis.relay")
    assert (library["event"], library["broker"], library["level"]) == ("lost a broker", 2, "warning")
    assert not idle.keys() & {"correlation_id", "trace_id", "span_id"}


def test_passwords_and_tokens_are_blotted_out_wherever_they_slip_in(capsys: pytest.CaptureFixture[str]):
    log.configure("matching", "json", "info")
    token = "eyJhbGciOiJFZDI1NTE5In0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    logger = structlog.get_logger("chassis")
    logger.warning(
        f"no answer from postgresql://registration:hunter2@db/x with {token}", authorization=f"Bearer {token}"
    )
    try:
        raise ConnectionError("postgresql://registration:hunter2@db/x")
    except ConnectionError:
        logger.exception("failed")
    text = json.dumps(said := lines(capsys))
    assert "hunter2" not in text
    assert token not in text
    assert said[0]["event"] == "no answer from postgresql://registration:***@db/x with ***"
    assert "ConnectionError" in said[1]["exception"]


def test_the_row_in_an_error_of_postgresql_is_blotted_out(capsys: pytest.CaptureFixture[str]):
    log.configure("exchange", "json")
    error = asyncpg.NotNullViolationError('null value in column "part"')
    error.detail = "Failing row contains (1, null, Ana Kovač, ana@zahnrad.example)."
    try:
        raise error
    except asyncpg.PostgresError:
        structlog.get_logger("x").exception("failed", cause=str(error))
    said = capsys.readouterr().err
    assert "null value in column" in said
    assert "Kov" not in said
    assert "zahnrad" not in said


def test_a_library_that_brought_its_own_handler_is_led_to_ours(capsys: pytest.CaptureFixture[str]):
    library = logging.getLogger("uvicorn.error")
    library.addHandler(logging.StreamHandler())
    library.propagate = False
    log.configure("matching", "json", "info")
    library.info("started")
    assert [line["event"] for line in lines(capsys)] == ["started"]


def test_on_a_terminal_lines_are_readable_and_as_discreet(capsys: pytest.CaptureFixture[str]):
    secret = "postgresql://x:hunter2@db"
    log.configure("matching", "console", "info")
    try:
        raise ValueError(secret)
    except ValueError:
        structlog.get_logger("chassis").exception("failed")
    said = capsys.readouterr().err
    assert "failed" in said
    assert "ValueError" in said
    assert "hunter2" not in said


TRACE = "ab" * 16
LED_TO = f"00-{TRACE}-{'cd' * 8}-01"


async def test_a_dead_letters_line_names_its_event_and_what_led_to_it(pool: Pool, capsys: pytest.CaptureFixture[str]):
    log.configure("exchange", "json", "info")
    one = record(withdrawn(), event_id=(event_id := uuid7()))
    one = replace(one, headers=[*one.headers, ("ce_traceparent", LED_TO.encode())])
    for each in (one, replace(one, headers=[])):
        await Receiver(pool).inbox.set_aside(arrival(each), ValueError("no"))
    line, unreadable = [line for line in lines(capsys) if line["event"] == "dead letter"]
    assert (line["event_id"], line["correlation_id"], line["trace_id"]) == (str(event_id), "c-1", TRACE)
    assert not unreadable.keys() & {"correlation_id", "trace_id"}


async def test_the_line_of_parked_work_names_what_asked_for_it(driving: Driving, capsys: pytest.CaptureFixture[str]):
    async def fail(work: Work, tx: Transaction) -> None:
        raise LookupError

    driver = await driving(a_service(OnDue("one", fail)))
    log.configure("matching", "json", "info")
    for cause in (Cause("c-1", "e-1", LED_TO), Cause()):
        async with driver.process.open_transaction(cause) as tx:
            tx.schedule("one", uuid7(), NOON)
        await driver.run_due()
    asked, unlinked = [line for line in lines(capsys) if line["event"] == "due work parked"]
    assert (asked["correlation_id"], asked["event_id"], asked["trace_id"]) == ("c-1", "e-1", TRACE)
    assert "trace_id" not in unlinked
