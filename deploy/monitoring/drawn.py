"""The dashboards, drawn anew: ``make dashboards`` writes ``dashboards/*.json``, which Grafana imports as they are.

A dashboard is rows of panels, a panel is queries with what tells their lines apart. All have one variable, the data source.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
COLUMNS = 24
HEIGHT = 7
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """PromQL, and how a line of its result is called."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    """As Grafana calls it: ``s``, ``reqps``, ``percentunit``, ``short``, ``bytes``."""
    queries: Sequence[Query]
    at_most: float | None = None
    """Above this, lines are red: as the alert has it."""


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    rows: Sequence[Sequence[Panel]]


def rate(metric: str, selector: str = "", by: str = "service") -> str:
    return f"sum by ({by}) (rate({metric}{selector}[$__rate_interval]))"


def largest(metric: str, selector: str = "", by: str = "service") -> str:
    return f"max by ({by}) ({metric}{selector})"


def share_within(metric: str, seconds: str, selector: str = "") -> str:
    """Of what a histogram measured in the last hour, how much took no longer."""
    le = selector[:-1] + f', le="{seconds}"}}' if selector else f'{{le="{seconds}"}}'
    return f"sum by (service) (rate({metric}_bucket{le}[1h])) / sum by (service) (rate({metric}_count{selector or ''}[1h]))"


def quantile(metric: str, selector: str, by: str, of: float = 0.99) -> str:
    return f"histogram_quantile({of}, sum by ({by}, le) (rate({metric}_bucket{selector}[$__rate_interval])))"


def answered(selector: str) -> str:
    """The share of requests in the last hour that did not fail by us."""
    failed = f'{selector[:-1]}, status=~"5..|0"}}'
    total = f"sum by (service) (rate(sojourn_http_requests_total{selector}[1h]))"
    return f"1 - (sum by (service) (rate(sojourn_http_requests_total{failed}[1h])) or 0 * {total}) / {total}"


REGISTERING = '{service="registration", method="POST", route=~"/companies|/companies/[{]company_id[}]/submission"}'
SUBMITTING = '{service="survey", method="POST", route="/invitations/{invitation_id}/submission"}'

LAG = Panel("Oldest event that waits", "s", (Query(largest("sojourn_consumer_lag_seconds"), "{{service}}"),), 120)
OUTBOX = Panel("Oldest event not published", "s", (Query(largest("sojourn_outbox_age_seconds"), "{{service}}"),), 60)

OVERVIEW = Dashboard(
    "sojourn-overview",
    "Sojourn: overview",
    (
        (
            Panel("Registrations answered, last hour", "percentunit", (Query(answered(REGISTERING), "{{service}}"),)),
            Panel(
                "Proposals within a minute, last hour",
                "percentunit",
                (Query(share_within("sojourn_proposal_seconds", "60.0"), "{{service}}"),),
            ),
            Panel(
                "Events delivered within 5 s, last hour",
                "percentunit",
                (Query(share_within("sojourn_delivery_seconds", "5.0"), "{{service}}"),),
            ),
            Panel("Submissions stored, last hour", "percentunit", (Query(answered(SUBMITTING), "{{service}}"),)),
        ),
        (
            LAG,
            OUTBOX,
            Panel("Due work, late by", "s", (Query(largest("sojourn_due_late_seconds"), "{{service}}"),), 300),
            Panel(
                "Oldest transaction", "s", (Query(largest("sojourn_oldest_transaction_seconds"), "{{service}}"),), 120
            ),
        ),
        (
            Panel(
                "Waits for an operator",
                "short",
                (
                    Query(largest("sojourn_dead_letters_open"), "dead letters, {{service}}"),
                    Query(largest("sojourn_due_parked"), "parked work, {{service}}"),
                    Query(largest("sojourn_halted"), "halted, {{service}}"),
                ),
                0,
            ),
            Panel("Requests", "reqps", (Query(rate("sojourn_http_requests_total"), "{{service}}"),)),
            Panel("Events and due work handled", "short", (Query(rate("sojourn_handled_total"), "{{service}}"),)),
            Panel("Processes", "short", (Query("count by (service) (sojourn_halted)", "{{service}}"),)),
        ),
    ),
)

KAFKA_AND_OUTBOX = Dashboard(
    "sojourn-kafka-and-outbox",
    "Sojourn: Kafka and outbox",
    (
        (
            OUTBOX,
            Panel("Events in the outbox", "short", (Query(largest("sojourn_outbox_size"), "{{service}}"),)),
            Panel(
                "Events in the log",
                "short",
                (Query("max by (service) (rate(sojourn_log_position[$__rate_interval]))", "{{service}}, a second"),),
            ),
            Panel(
                "In the log, not on Kafka",
                "short",
                (
                    Query(
                        "max by (service) (sojourn_log_position) - max by (service) (sojourn_published_position >= 0)",
                        "{{service}}",
                    ),
                ),
            ),
        ),
        (
            LAG,
            Panel(
                "Events that wait", "short", (Query("sum by (service) (sojourn_consumer_lag_records)", "{{service}}"),)
            ),
            Panel(
                "From emission to handled, 99 of 100",
                "s",
                (Query(quantile("sojourn_delivery_seconds", "", "service"), "{{service}}"),),
                5,
            ),
            Panel(
                "Events skipped as handled before", "short", (Query(rate("sojourn_duplicates_total"), "{{service}}"),)
            ),
        ),
        (
            Panel(
                "Attempts that failed",
                "short",
                (Query(rate("sojourn_failed_total", "", "service, kind"), "{{service}}, {{kind}}"),),
            ),
            Panel(
                "Dead letters and parked work, new",
                "short",
                (Query(rate("sojourn_dead_letters_total", "", "service, event"), "{{service}}, {{event}}"),),
            ),
            Panel(
                "Leads the relay",
                "short",
                (Query("count by (service) (sojourn_published_position >= 0)", "{{service}}"),),
            ),
            Panel(
                "Oldest transaction", "s", (Query(largest("sojourn_oldest_transaction_seconds"), "{{service}}"),), 120
            ),
        ),
    ),
)


def of_service(service: str, *more: Sequence[Panel]) -> Dashboard:
    """What every service has, and rows of its own."""
    own = f'{{service="{service}"}}'
    return Dashboard(
        f"sojourn-{service}",
        f"Sojourn: {service}",
        (
            (
                Panel(
                    "Requests",
                    "reqps",
                    (Query(rate("sojourn_http_requests_total", own, "method, route"), "{{method}} {{route}}"),),
                ),
                Panel(
                    "Requests that failed",
                    "reqps",
                    (
                        Query(
                            rate("sojourn_http_requests_total", f'{own[:-1]}, status=~"5..|0"}}', "route, status"),
                            "{{status}} {{route}}",
                        ),
                    ),
                ),
                Panel(
                    "Time to answer, 99 of 100",
                    "s",
                    (Query(quantile("sojourn_http_request_seconds", own, "route"), "{{route}}"),),
                ),
            ),
            (
                Panel("Handled", "short", (Query(rate("sojourn_handled_total", own, "event"), "{{event}}"),)),
                Panel(
                    "Time in handlers, 99 of 100",
                    "s",
                    (Query(quantile("sojourn_handler_seconds", own, "event"), "{{event}}"),),
                ),
                Panel(
                    "Attempts that failed",
                    "short",
                    (Query(rate("sojourn_failed_total", own, "event, kind"), "{{event}}, {{kind}}"),),
                ),
            ),
            (
                Panel(
                    "What waits, since when",
                    "s",
                    (
                        Query(largest("sojourn_consumer_lag_seconds", own), "events"),
                        Query(largest("sojourn_due_late_seconds", own), "due work"),
                        Query(largest("sojourn_outbox_age_seconds", own), "outbox"),
                    ),
                ),
                Panel(
                    "CPU",
                    "percentunit",
                    (
                        Query(
                            f"rate(process_cpu_seconds_total[$__rate_interval]) * on (instance) (sojourn_halted{own} >= bool 0)",
                            "{{instance}}",
                        ),
                    ),
                ),
                Panel(
                    "Memory",
                    "bytes",
                    (
                        Query(
                            f"process_resident_memory_bytes * on (instance) (sojourn_halted{own} >= bool 0)",
                            "{{instance}}",
                        ),
                    ),
                ),
            ),
            *more,
        ),
    )


DASHBOARDS = (
    OVERVIEW,
    KAFKA_AND_OUTBOX,
    of_service(
        "registration",
        (
            Panel(
                "Mails",
                "short",
                (
                    Query(rate("sojourn_mails_accepted_total"), "accepted"),
                    Query(rate("sojourn_mails_refused_total"), "refused"),
                ),
            ),
            Panel(
                "Erasures",
                "short",
                (
                    Query(largest("sojourn_erasures_open"), "not answered"),
                    Query(largest("sojourn_erasures_overdue"), "overdue"),
                ),
                0,
            ),
            Panel("Oldest erasure", "s", (Query(largest("sojourn_erasure_age_seconds"), "{{service}}"),), 86_400),
        ),
    ),
    of_service(
        "matching",
        (
            Panel(
                "From what led to it to a proposal, 99 of 100",
                "s",
                (Query(quantile("sojourn_proposal_seconds", "", "service"), "{{service}}"),),
                60,
            ),
            Panel(
                "Index behind by",
                "s",
                (Query(largest("sojourn_index_age_seconds", "", "instance"), "{{instance}}"),),
                60,
            ),
            Panel("Planner silent for", "s", (Query(largest("sojourn_planner_silent_seconds"), "{{service}}"),), 1800),
        ),
        (
            Panel(
                "Open placements",
                "short",
                (
                    Query("sum by (country) (max by (country, section) (sojourn_open_placements))", "{{country}}"),
                    Query("sum(max by (country, section) (sojourn_without_hosts))", "without hosts"),
                ),
            ),
            Panel(
                "Hosts that a placement fits",
                "short",
                (Query("avg by (country) (max by (country, section) (sojourn_hosts_per_placement))", "{{country}}"),),
            ),
            Panel(
                "Days that placements have waited",
                "short",
                (
                    Query(largest("sojourn_median_days_waited"), "median"),
                    Query(largest("sojourn_p90_days_waited"), "nine of ten"),
                ),
            ),
        ),
        (
            Panel(
                "Placements and offers in the index",
                "short",
                (Query(largest("sojourn_index_ends", "", "instance"), "{{instance}}"),),
            ),
            Panel("Skills that are not known", "short", (Query(rate("sojourn_unknown_skills_total"), "{{service}}"),)),
        ),
    ),
    of_service("exchange"),
    of_service(
        "survey",
        (
            Panel("The sink works", "short", (Query("min by (service) (sojourn_sink_working)", "{{service}}"),)),
            Panel(
                "Rows in the table",
                "short",
                (
                    Query(largest("sojourn_sink_table_rows"), "rows"),
                    Query(rate("sojourn_sink_rows_total"), "new, a second"),
                ),
            ),
            Panel("Set aside by the sink", "short", (Query(largest("sojourn_sink_set_aside_open"), "{{service}}"),), 0),
        ),
        (
            Panel(
                "Newest snapshot, age",
                "s",
                (Query("time() - max by (service) (sojourn_sink_snapshot_timestamp_seconds)", "{{service}}"),),
            ),
            Panel(
                "The sink's oldest record that waits",
                "s",
                (Query(largest("sojourn_consumer_lag_seconds", '{service="survey-sink"}'), "{{service}}"),),
            ),
        ),
    ),
)


def drawn(dashboard: Dashboard) -> dict[str, Any]:
    """As Grafana's JSON model."""
    panels: list[dict[str, Any]] = []
    for y, row in enumerate(dashboard.rows):
        width = COLUMNS // len(row)
        panels += [
            _panel(panel, len(panels) + x + 1, {"h": HEIGHT, "w": width, "x": x * width, "y": y * HEIGHT})
            for x, panel in enumerate(row)
        ]
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["sojourn"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [source]},
        "links": [
            {"type": "dashboards", "title": "Sojourn", "tags": ["sojourn"], "asDropdown": True, "keepTime": True}
        ],
        "panels": panels,
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.at_most is not None:
        steps.append({"color": "red", "value": panel.at_most})
    least = {"min": 0} | ({"max": 1} if panel.unit == "percentunit" and "last hour" in panel.title else {})
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                **least,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "off" if panel.at_most is None else "line"}},
            },
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": query.expr, "legendFormat": query.legend}
            for n, query in enumerate(panel.queries)
        ],
    }


def text(dashboard: Dashboard) -> str:
    """What stands in the dashboard's file."""
    return json.dumps(drawn(dashboard), indent=2) + "\n"


def write() -> None:
    """All of them, and no other."""
    for former in FOLDER.glob("*.json"):
        former.unlink()
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.uid}.json").write_text(text(dashboard))


if __name__ == "__main__":
    write()
