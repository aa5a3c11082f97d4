"""Every alert on a threshold fires by a real fault, in a Prometheus that scrapes the services, and is over when that is mended.

One system is broken in eight ways at once, as far as they do not hide each other; then each is mended as its runbook says.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer
from chassis.database import Connection
from laptop.process import together
from laptop.system import System

from chassis import dead_letters
from deploy.monitoring import drawn
from tests.chassis.waiting import until
from tests.collector import Collector, collecting
from tests.deploy.alerting import ALERTS, MONITORING, rules_of, sooner
from tests.deploy.prometheus import Prometheus, needs_prometheus, seen, watching
from tests.deploy.registering import drafted, submitted
from tests.deploy.runbooks import blocks, execute, page, where_it_runs
from tests.deploy.test_monitoring import EXPOSED

pytestmark = [pytest.mark.installed, needs_prometheus]

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
FIRES = {
    "SojournMissing": {"survey"},
    "SojournHalted": {"registration"},
    "SojournDeadLetters": {"registration", "exchange"},
    "SojournParkedWork": {"exchange"},
    "SojournErasuresOverdue": {"registration"},
    "SojournDueWorkLate": {"matching"},
    "SojournPlannerSilent": {"matching"},
    "SojournIndexBehind": {"matching"},
    "SojournOldestTransaction": {"registration", "matching", "exchange"},
    "SojournOutboxAge": {"registration"},
    "SojournConsumerLag": {"registration", "matching", "exchange"},
    "SojournSinkNotWorking": {"survey-sink"},
}
"""Of which services, at least."""
ALONE = {"SojournMissing", "SojournHalted", "SojournDeadLetters", "SojournParkedWork", "SojournIndexBehind"}
"""Those that fire for no other."""
SECONDS = {"SojournConsumerLag", "SojournOutboxAge", "SojournOldestTransaction", "SojournIndexBehind"}
"""Those that go by the time of day, and so fire above a few seconds here; the others keep their thresholds."""
BY_KAFKA = {"SojournOutboxAge", "SojournConsumerLag", "SojournSinkNotWorking"}
"""Those that fire once Kafka is silent, too."""
GUIDE = MONITORING.parents[1] / "docs" / "operating.md"


def as_here(name: str) -> str:
    """Two scrapes that fail on a busy machine make no service missing."""
    return sooner(ALERTS[name], "12s" if name == "SojournMissing" else "1s", 5 if name in SECONDS else None)


@dataclass
class Told:
    """What Prometheus told of a system before it was broken, while it was, and afterwards."""

    system: System
    collector: Collector
    prometheus: Prometheus
    before: list[dict[str, Any]] = field(default_factory=list)
    during: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By alert, each that fired."""
    after: list[dict[str, Any]] = field(default_factory=list)
    correlation_id: str = ""
    """Of the request whose event one service could not handle."""
    trace_id: str = ""
    sink_waits_for: str = ""
    took: dict[str, float] = field(default_factory=dict)

    def fired(self, alerts: Iterable[dict[str, Any]]) -> bool:
        """Takes note of these; whether all have been seen by now."""
        for alert in alerts:
            known = self.during.setdefault(alert["labels"]["alertname"], [])
            if alert["labels"] not in [each["labels"] for each in known]:
                known.append(alert)
        return self.have_fired(FIRES)

    def have_fired(self, names: Iterable[str]) -> bool:
        return all(FIRES[name] <= services(self.during.get(name, [])) for name in names)


def none_of_them(firing: Iterable[dict[str, Any]]) -> bool:
    return FIRES.keys().isdisjoint(alert["labels"]["alertname"] for alert in firing)


def services(alerts: Iterable[dict[str, Any]]) -> set[str]:
    return {alert["labels"]["service"] for alert in alerts}


@pytest.fixture(scope="module")
async def told(backing_folder: Path) -> AsyncIterator[Told]:
    settings = {
        "LOG_LEVEL": "info",
        "PLANNER_TICK_HOURS": "24",
        "BATCHING_FROM": "0",
        "GROUP_SESSION_TIMEOUT_MS": "6000",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    with collecting() as collector:
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        system = System(backing_folder / "live", stopped_at=NOON, environment=settings)
        began = time.monotonic()
        async with system:
            rules = {name: as_here(name) if name in FIRES else path.read_text() for name, path in ALERTS.items()}
            scraped = [*system.urls.values(), system.sink_url]
            async with watching(backing_folder / "prometheus", scraped, rules) as prometheus:
                told = Told(system, collector, prometheus)
                told.took["start"] = time.monotonic() - began
                told.before = await seen(prometheus, none_of_them, within=30)
                await broken_and_mended(told)
                yield told


async def broken_and_mended(told: Told) -> None:
    system = told.system
    administrator = await asyncpg.connect(system.database.owner_url)
    began = time.monotonic()
    try:
        planned, forgotten, later = [(await drafted(system)).json() for _ in range(3)]
        await refuse(administrator, planned["company_id"])
        answer = await submitted(system, planned)
        told.correlation_id = answer.headers["X-Correlation-ID"]
        told.trace_id = answer.headers["traceresponse"].split("-")[1]
        await submitted(system, forgotten)
        await until(lambda: administrator.fetchval("select count(*) > 0 from matching.plan_asked"), within=30)

        await system.kill("survey")
        await system.run("registration", "erase", "company", forgotten["company_id"])
        await ten_that_nobody_can_read(system.kafka, "NoticeDue")
        work = await nobodys_work(administrator)
        async with held_open(system) as holder:
            system.clock.set(NOON + timedelta(days=2))
            others = set(FIRES) - BY_KAFKA
            await seen(told.prometheus, lambda firing: told.fired(firing) or told.have_fired(others), within=40)
            assert system.broker is not None
            system.broker.freeze()
            try:
                await submitted(system, later)  # it comes while Kafka is silent
                await seen(told.prometheus, told.fired, within=40)
                told.sink_waits_for = httpx.get(f"{system.sink_url}/status").json()["waiting_for"]
            finally:
                system.broker.thaw()
            told.took["broken"] = time.monotonic() - began

            began = time.monotonic()
            await administrator.execute("select pg_terminate_backend($1)", holder)
        await administrator.execute("alter table exchange.company drop constraint by_hand")
        await together(
            system.start_service("survey"),
            system.restart("registration"),
            replayed(system, "exchange"),
            discarded(system, "registration"),
            ran(system, "exchange", "due", "discard", str(work)),
        )
        told.after = await seen(told.prometheus, none_of_them, within=60)
        told.took["mended"] = time.monotonic() - began
    finally:
        await administrator.close()


async def refuse(administrator: Connection, company_id: str) -> None:
    """What somebody did by hand: exchange cannot take in this company."""
    await administrator.execute(
        f"alter table exchange.company add constraint by_hand check (company_id <> '{company_id}') not valid"
    )


async def ten_that_nobody_can_read(kafka: str, topic: str) -> None:
    """In a row: so many that whoever reads them takes the fault for its own."""
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for _ in range(10):
            await producer.send_and_wait(topic, b"{", key=b"nobody", partition=0)


async def nobodys_work(administrator: Connection) -> Any:
    """Due work about what is no id."""
    return await administrator.fetchval(
        "insert into exchange.due (id, kind, subject, at, data)"
        " values (gen_random_uuid(), 'notify', 'nobody', 'epoch', '{}') returning id"
    )


@asynccontextmanager
async def held_open(system: System) -> AsyncIterator[int]:
    """A migration of matching that somebody began, and did not end; the number of its server process."""
    session = await asyncpg.connect(system.database.owner_url)
    try:
        await session.execute(
            "begin; lock table matching.changes in access exclusive mode; lock table matching.due in exclusive mode;"
            " select pg_current_xact_id()"
        )
        yield session.get_server_pid()
    finally:
        session.terminate()


async def ran(system: System, service: str, *words: str) -> None:
    await system.run(service, *words)


async def replayed(system: System, service: str) -> None:
    for line in (await system.run(service, "dead-letters", "list")).splitlines():
        await system.run(service, "dead-letters", "replay", json.loads(line)["id"])


async def discarded(system: System, service: str) -> None:
    """What the command does, ten times: without ten processes."""
    async with asyncpg.create_pool(
        system.database.url(service), min_size=1, max_size=1, server_settings={"search_path": service}
    ) as pool:
        for letter in await dead_letters.listing(pool):
            await dead_letters.settle(pool, letter["id"], "discarded")


def test_all_alerts_on_thresholds_are_meant():
    assert set(FIRES) == {name for name in ALERTS if not name.endswith("Burn")}


@pytest.mark.parametrize("name", FIRES)
def test_an_alert_fires_by_a_fault_and_only_while_that_lasts(told: Told, name: str):
    assert name not in {alert["labels"]["alertname"] for alert in told.before}
    fired = told.during.get(name, [])
    assert services(fired) >= FIRES[name]
    assert name not in ALONE or services(fired) == FIRES[name]
    assert name not in {alert["labels"]["alertname"] for alert in told.after}
    (rule,) = rules_of(ALERTS[name])
    for alert in fired:
        assert alert["labels"]["severity"] == rule["labels"]["severity"]
        assert alert["annotations"]["runbook_url"] == rule["annotations"]["runbook_url"]
        assert not re.search(r"[{}]|<no value>", " ".join(alert["annotations"].values()))


def test_the_sink_says_in_words_that_it_waits_for_kafka(told: Told):
    assert told.sink_waits_for == "Kafka, which does not answer within 10 s"


async def test_every_query_of_a_dashboard_and_of_an_alert_is_about_what_prometheus_has(told: Told):
    queries = [
        query.expr for board in drawn.DASHBOARDS for row in board.rows for panel in row for query in panel.queries
    ]
    answered = [await told.prometheus.query(query.replace("$__rate_interval", "10s")) for query in queries]
    assert sum(map(bool, answered)) > len(queries) / 2
    rules = await told.prometheus.rules()
    assert {name: (rule["health"], rule.get("lastError")) for name, rule in rules.items()} == dict.fromkeys(
        ALERTS, ("ok", None)
    )
    names = await told.prometheus.names()
    asked = set(
        re.findall(r"\b(?:sojourn|process)_\w+", " ".join([*queries, *(rule["query"] for rule in rules.values())]))
    )
    assert asked <= EXPOSED.keys()
    assert {name for name in asked - names if not re.search(r"_(total|bucket|sum|count)$", name)} <= ONCE_THERE_IS_ONE
    assert set((await told.prometheus.targets()).values()) == {"up"}


ONCE_THERE_IS_ONE = {
    "sojourn_sink_snapshot_timestamp_seconds",
    *(f"sojourn_{name}" for name in ("open_placements", "without_hosts", "hosts_per_placement")),
}
"""Gauges of what does not come in this story."""

KUBECTL = """#!/bin/sh
# stands in for a cluster's: `logs -l LABEL ...` prints the logs of one component, or of all, pod after pod
case "$3" in
    app.kubernetes.io/component=*) cat "$LOGS/${3#*=}.log" ;;
    app.kubernetes.io/part-of=sojourn) for service in registration matching exchange survey; do cat "$LOGS/$service.log"; done ;;
esac | case "$*" in *--tail=-1*) cat ;; *) tail -n 10 ;; esac
"""
MISSING = [tool for tool in ("jq", "psql", "bash", "curl") if shutil.which(tool) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} not there, so NO DIAGNOSIS IS MADE")
@pytest.mark.parametrize("name", ALERTS)
async def test_the_diagnosis_of_an_alert_can_be_typed_as_it_stands(told: Told, name: str):
    if name == "SojournSinkNotWorking":
        environment = where_it_runs(told.system, "survey", URL=told.system.sink_url)
    else:
        named = re.search(r"^SERVICE=(\w+)", blocks(page(name))["Diagnosis"][0], re.MULTILINE)
        environment = where_it_runs(told.system, named[1] if named else "registration")
    await execute(name, "Diagnosis", environment)


@pytest.mark.skipif(
    bool(MISSING),
    reason=f"{MISSING} not there, so THE GUIDE FROM LINES TO TRACES IS NOT FOLLOWED (Debian: jq, postgresql-client)",
)
async def test_by_the_guide_a_request_is_found_in_the_lines_of_two_services_in_the_log_of_events_and_in_its_trace(
    told: Told, tmp_path: Path
):
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    system = told.system
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LOGS": str(system.logs),
        "DATABASE_URL": system.database.url("registration"),
        "CORRELATION": told.correlation_id,
    }
    section = GUIDE.read_text().split("## From an alert to a line")[1]
    dead, lines, log = (
        subprocess.run(["bash", "-euo", "pipefail", "-c", block], env=environment, capture_output=True, text=True)
        for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    )
    assert (dead.stderr, lines.stderr, log.stderr) == ("", "", "")

    (letter,) = [json.loads(line) for line in dead.stdout.splitlines()]
    assert letter["correlation_id"] == told.correlation_id
    assert letter["trace_id"] == told.trace_id

    found = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [line["timestamp"] for line in found] == sorted(line["timestamp"] for line in found)
    said = [(line["service"], line["event"]) for line in found]
    assert said[0] == ("registration", "answered")
    assert ("exchange", "dead letter") in said

    (row,) = [line for line in log.stdout.splitlines() if letter["event_id"] in line]
    assert "CompanyRegistered" in row
    assert told.trace_id in row

    spans = told.collector.trace(told.trace_id)
    (failed, *_) = [span for span in spans if span.service == "exchange" and span.failed]
    assert failed.attributes["messaging.message.id"] == letter["event_id"]
    assert ("registration", "POST /companies/{company_id}/submission") in {(span.service, span.name) for span in spans}
