"""Logs: one format for all lines, with the ids of the work, without secrets."""

import json
import logging

import asyncpg
import pytest
import structlog

from chassis import log, telemetry


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
