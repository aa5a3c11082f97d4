"""The sink as a process of its own that is killed: whatever the moment, the table has each event once."""

import asyncio
import os
import random
import signal
import subprocess
from collections import Counter
from itertools import islice
from pathlib import Path

import httpx
import pytest
from survey.sink import snapshots

from tests.survey.sinking import Place, command, producing, submission, until

BETWEEN = """
import os, signal
from survey.sink import process
async def killed(self):
    os.kill(os.getpid(), signal.SIGKILL)
process.Sink._tell_kafka = killed
"""
"""It dies between its append and what it tells Kafka."""


async def ended(process: "subprocess.Popen[bytes]", within: float = 120) -> int:
    return await asyncio.wait_for(asyncio.to_thread(process.wait), within)


def rows(place: Place) -> int:
    snapshot = place.table().current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    return int(snapshot.summary.additional_properties["total-records"])


def at(place: Place) -> int:
    """Up to where the table holds the topic, all partitions together."""
    try:
        return sum(snapshots.offsets(place.table()).values())
    except Exception:
        return 0


@pytest.mark.parametrize(
    ("events", "kills", "batch"),
    [(1_000, 3, 100), pytest.param(100_000, 50, 1_000, marks=pytest.mark.full)],
)
async def test_no_event_is_lost_or_doubled_however_often_the_sink_is_killed(
    sink_place: Place, tmp_path: Path, events: int, kills: int, batch: int
):
    """Every other kill falls exactly between append and what Kafka is told, the others anywhere."""
    log = tmp_path / "sink.log"
    chance = random.Random(7)
    running: subprocess.Popen[bytes] | None = None
    numbers = iter(range(events))
    settings = {"BATCH_EVENTS": str(batch), "MAINTAIN_EVERY": "4", "SNAPSHOTS_KEPT": "10"}
    try:
        async with producing(sink_place.kafka) as produce:
            for kill in range(kills):
                await produce(submission(number) for number in islice(numbers, events // kills))
                before = at(sink_place)
                running = sink_place.start(log, BETWEEN if kill % 2 else "", **settings)
                if kill % 2:
                    assert await ended(running) == -signal.SIGKILL
                    assert at(sink_place) > before, "it had appended when it died"
                else:
                    await until(lambda before=before: at(sink_place) > before)
                    await asyncio.sleep(chance.uniform(0, 0.3))
                    running.kill()
                    await ended(running)
            await produce(submission(number) for number in numbers)
            running = sink_place.start(log, **settings)
            await until(lambda: at(sink_place) == events, 240)
            running.terminate()
            assert await ended(running, 15) == 0
    finally:
        if running is not None and running.poll() is None:
            running.kill()
            running.wait()
    found = sink_place.numbers()
    assert found.total() == events, log.read_text()[-2_000:]
    assert found == Counter(range(events))
    assert len(set(sink_place.column("event_id"))) == events


async def test_the_process_says_how_it_is_and_stops_when_it_is_told_to(sink_place: Place, tmp_path: Path):
    log = tmp_path / "sink.log"
    environment = sink_place.environment()
    process = sink_place.start(log, HTTP_PORT=environment["HTTP_PORT"])
    url = f"http://127.0.0.1:{environment['HTTP_PORT']}"
    try:
        async with producing(sink_place.kafka) as produce, httpx.AsyncClient(base_url=url) as client:
            await produce(submission(number) for number in range(25))
            await until(lambda: at(sink_place) == 25)
            async with asyncio.timeout(10):
                while (await client.get("/ready")).status_code != 200:
                    await asyncio.sleep(0.05)
                while (status := (await client.get("/status")).json())["rows"] != 25 or status["lag"] != 0:
                    await asyncio.sleep(0.05)
            assert status["waiting_for"] is None
            metrics = (await client.get("/metrics")).text
            assert 'sojourn_sink_table_rows{service="survey-sink"} 25.0' in metrics
            assert 'sojourn_sink_rows_total{service="survey-sink"} 25.0' in metrics
            assert 'sojourn_consumer_lag_records{service="survey-sink"} 0.0' in metrics
            assert 'sojourn_sink_working{service="survey-sink"} 1.0' in metrics
        process.send_signal(signal.SIGTERM)
        assert await ended(process, 15) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "record_id" not in log.read_text()


def test_a_wrong_environment_is_told_in_one_go_without_its_values():
    environment = {name: value for name, value in os.environ.items() if name not in ("CATALOG_URL", "WAREHOUSE")}
    environment |= {"WAREHOUSE": "not/absolute", "BATCH_EVENTS": "0", "KAFKA_BOOTSTRAP_SERVERS": "x:1"}
    done = subprocess.run(command(), env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    for name in ("CATALOG_URL", "WAREHOUSE", "BATCH_EVENTS"):
        assert name in done.stderr
    assert "not/absolute" not in done.stderr
