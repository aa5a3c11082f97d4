"""What operators look at and are woken by: it asks for what there is, fires when it should, and leads to what can be done."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from chassis.metrics import Metrics
from chassis.settings import MigrateSettings
from exchange.main import command as exchange_command
from exchange.main import service as exchange
from matching.main import command as matching_command
from matching.main import service as matching
from prometheus_client import Counter, Histogram
from registration.main import command as registration_command
from registration.main import service as registration
from survey.command import command as survey_command
from survey.main import service as survey
from survey.sink.process import COUNTERS, GAUGES, GROUP
from survey.sink.settings import SinkSettings

from deploy.monitoring import drawn
from tests.conftest import Driving
from tests.deploy.alerting import ABOVE, ALERTS, MONITORING, needs_promtool, promtool, rules_of, sooner, unit_tests

SERVICES = {each.name: each for each in (registration, matching, exchange, survey)}
COMMANDS = {
    "registration": registration_command,
    "matching": matching_command,
    "exchange": exchange_command,
    "survey": survey_command,
}
SETTINGS = {
    name.upper()
    for kind in (*(each.settings for each in SERVICES.values()), MigrateSettings, SinkSettings)
    for name in kind.model_fields
}
TOOLS = {"psql", "curl", "kubectl", "kafka-consumer-groups.sh", "jq", "read", "true", "tail", "kill"}
OUTSIDE = {"instance"}
"""Labels that Prometheus adds."""
RUNBOOKS = {path.stem: path for path in sorted((MONITORING / "runbooks").glob("*.md"))}
EACH_ALERT = pytest.mark.parametrize("name", ALERTS)
EACH_RUNBOOK = pytest.mark.parametrize("name", RUNBOOKS)
EACH_DASHBOARD = pytest.mark.parametrize("board", drawn.DASHBOARDS, ids=lambda board: board.uid)


def exposed() -> dict[str, set[str]]:
    """The labels of each series that some process of ours tells, by the series' name."""
    of_each = [Metrics(each.name, each.counters, each.durations, each.gauges) for each in SERVICES.values()]
    found: dict[str, set[str]] = {}
    for metrics in (*of_each, Metrics(GROUP, COUNTERS, gauges=GAUGES)):
        for metric, names in metrics.registry._collector_to_names.items():
            labels = set(getattr(metric, "_labelnames", ())) | OUTSIDE
            for name in names:
                counted = isinstance(metric, Counter) and not name.endswith("_total")
                if counted or name.endswith("_created") or (isinstance(metric, Histogram) and name == names[0]):
                    continue
                found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
        ends = {"counter": ("_total",), "gauge": ("",)}
        for name, kind in re.findall(r"^# TYPE (process_\w+) (\w+)", metrics.exposition().decode(), re.MULTILINE):
            found |= {name.removesuffix("_total") + end: OUTSIDE for end in ends[kind]}
    return found


EXPOSED = exposed()


def strangers(promql: str) -> list[str]:
    """What a query asks for and nobody tells: names, and labels of them."""
    found, known = [], set[str]()
    for name, selector in re.findall(r"\b((?:sojourn|process)_\w+)(\{[^\"}]*(?:\"[^\"]*\"[^\"}]*)*\})?", promql):
        known |= EXPOSED.get(name, set())
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", selector))
        found += [name] * (name not in EXPOSED) + [f"{name}: {label}" for label in asked - EXPOSED.get(name, asked)]
    assert known or found, f"nothing is asked for by {promql}"
    for listed in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", promql):
        found += [label for label in re.split(r"\s*,\s*", listed) if label not in known]
    return found


def test_a_query_for_what_nobody_tells_is_found():
    assert strangers('sum by (service) (rate(sojourn_handled_total{event="x"}[5m]))') == []
    assert strangers("sojourn_handled > 0") == ["sojourn_handled"]
    assert strangers('sojourn_outbox_size{queue="x"}') == ["sojourn_outbox_size: queue"]
    assert strangers("max by (pod) (sojourn_outbox_size)") == ["pod"]
    assert strangers('sojourn_http_requests_total{route="/a/{b}", code="1"}') == ["sojourn_http_requests_total: code"]


async def test_what_is_taken_for_told_is_what_processes_tell(driving: Driving):
    """And the SQL of runbooks is such that PostgreSQL takes it."""
    told = set[str]()
    for service in SERVICES.values():
        driver = await driving(service)
        text = (await driver.http.get("/metrics")).text
        told |= set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
        for gauge in (name for name, gauged in service.gauges.items() if not gauged.labels):
            assert f'sojourn_{gauge}{{service="{service.name}"}} ' in text
        for name in RUNBOOKS:
            for statement in statements(name, service.name):
                await driver.rows(f"explain {statement}")
    of_sink = {f"sojourn_{name}" for name in (*GAUGES, *(f"{name}_total" for name in COUNTERS))}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in EXPOSED} <= told | of_sink


@EACH_DASHBOARD
def test_a_dashboard_asks_for_what_there_is_and_is_drawn_as_it_stands(board: drawn.Dashboard):
    path = MONITORING / "dashboards" / f"{board.uid}.json"
    assert path.read_text() == drawn.text(board), "make dashboards draws it anew"
    shown = json.loads(path.read_text())
    queries = [target["expr"] for panel in shown["panels"] for target in panel["targets"]]
    assert queries
    assert [found for query in queries for found in strangers(query)] == []
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in shown["panels"]]
    assert len(set(places)) == len({panel["id"] for panel in shown["panels"]}) == len(places)
    titles = [panel["title"] for panel in shown["panels"]]
    assert len(set(titles)) == len(titles)


def test_there_is_a_dashboard_of_everything_of_the_ways_between_and_of_each_service_each_under_its_own_name():
    files = {path.stem: json.loads(path.read_text()) for path in (MONITORING / "dashboards").glob("*.json")}
    assert set(files) == {f"sojourn-{name}" for name in ("overview", "kafka-and-outbox", *SERVICES)}
    assert {stem: shown["uid"] for stem, shown in files.items()} == {stem: stem for stem in files}
    assert len({shown["title"] for shown in files.values()}) == len(files)


@needs_promtool
def test_prometheus_takes_every_query_of_every_dashboard(tmp_path: Path):
    exprs = [query.expr for board in drawn.DASHBOARDS for row in board.rows for panel in row for query in panel.queries]
    rules = [{"record": f"q:{n}", "expr": expr.replace("$__rate_interval", "5m")} for n, expr in enumerate(exprs)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", tmp_path / "rules.yaml")
    assert checked.returncode == 0, checked.stderr
    assert f"{len(exprs)} rules found" in checked.stdout


@EACH_ALERT
def test_an_alert_asks_for_what_there_is_and_says_what_to_do(name: str):
    rules = rules_of(ALERTS[name])
    assert rules
    for rule in rules:
        assert rule["alert"] == name
        assert strangers(rule["expr"]) == []
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"].endswith(f"/runbooks/{name}.md")
        assert "for" in rule
        told = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert told <= {"service", "instance"}
        kept = set(re.split(r"\W+", ",".join(re.findall(r"by \(([^)]*)\)", rule["expr"])))) or {""}
        assert told <= kept or "absent(" in rule["expr"]


def test_every_alert_has_its_runbook_and_its_unit_test_and_there_are_no_others():
    assert set(ALERTS) == set(RUNBOOKS) == {path.stem for path in (MONITORING / "tests").glob("*.yaml")}


@EACH_ALERT
def test_a_unit_test_is_of_its_alert_firing_and_of_its_not_firing(name: str):
    tested = yaml.safe_load((MONITORING / "tests" / f"{name}.yaml").read_text())
    assert tested["rule_files"] == [f"../alerts/{name}.yaml"]
    looks = [look for test in tested["tests"] for look in test["alert_rule_test"]]
    assert {look["alertname"] for look in looks} == {name}
    expected = [alert["exp_labels"] for look in looks for alert in look["exp_alerts"]]
    assert {each.get("window") for each in expected} == {
        rule["labels"].get("window") for rule in rules_of(ALERTS[name])
    }
    assert [] in [look["exp_alerts"] for look in looks]


@needs_promtool
def test_every_alert_fires_when_it_should_and_only_then():
    checked = promtool("check", "rules", *ALERTS.values())
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", *sorted((MONITORING / "tests").glob("*.yaml")))
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert tested.stdout.count("SUCCESS") == len(ALERTS)


@needs_promtool
@pytest.mark.parametrize("change", ["never fires", "always fires", "fires at once"])
def test_each_unit_test_fails_where_its_alert(change: str, tmp_path: Path):
    changed = {name: yaml.safe_load(path.read_text()) for name, path in ALERTS.items()}
    for alerts in changed.values():
        for rule in (rule for group in alerts["groups"] for rule in group["rules"]):
            if change == "never fires":
                rule["expr"] = f"({rule['expr']}) and on () vector(0) > 0"
            elif change == "always fires":
                rule["expr"], rule["for"] = "vector(1)", "0s"
            else:
                rule["for"] = "0s"
    # an error budget that burns is told by windows, not by how long that lasts
    names = [name for name in ALERTS if change != "fires at once" or not name.endswith("Burn")]
    tested = unit_tests(names, tmp_path, {name: yaml.safe_dump(alerts) for name, alerts in changed.items()})
    passed = re.findall(r"Unit Testing:  \S*/(\w+)\.yaml\n  SUCCESS", tested.stdout)
    assert tested.stdout.count("Unit Testing") == len(names)
    assert passed == []


@needs_promtool
def test_a_test_can_have_an_alert_fire_sooner_and_below_its_threshold(tmp_path: Path):
    (tmp_path / "lag.yaml").write_text(sooner(ALERTS["SojournConsumerLag"], "5s", above=2))
    (tmp_path / "test.yaml").write_text(
        yaml.safe_dump(
            {
                "rule_files": ["lag.yaml"],
                "evaluation_interval": "1s",
                "tests": [
                    {
                        "interval": "1s",
                        "input_series": [
                            {"series": 'sojourn_consumer_lag_seconds{service="survey"}', "values": "0+1x20"}
                        ],
                        "promql_expr_test": [
                            {
                                "expr": 'ALERTS{alertstate="firing"}',
                                "eval_time": "8s",
                                "exp_samples": [
                                    {
                                        "labels": 'ALERTS{alertname="SojournConsumerLag", alertstate="firing",'
                                        ' service="survey", severity="critical"}',
                                        "value": 1,
                                    }
                                ],
                            }
                        ],
                    }
                ],
            }
        )
    )
    tested = promtool("test", "rules", tmp_path / "test.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_alerts_are_on_budgets_or_on_thresholds_that_a_test_can_lower():
    lower = {name for name, path in ALERTS.items() if all(ABOVE.search(rule["expr"]) for rule in rules_of(path))}
    burning = {name for name in ALERTS if name.endswith("Burn")}
    assert set(ALERTS) == lower | burning | {"SojournMissing"}
    for name in burning:
        shapes = [re.findall(r"\[(\w+)\]|> ([\d.]+) \*", rule["expr"]) for rule in rules_of(ALERTS[name])]
        fast, slow = ([first or second for first, second in shape] for shape in shapes)
        assert sorted(set(fast)) == ["14.4", "1h", "5m"]
        assert sorted(set(slow)) == ["30m", "6", "6h"]


def commands(name: str) -> Iterator[list[str]]:
    """The commands of a runbook's blocks, and those of our services that its text names; each part of a pipe by itself."""
    text = RUNBOOKS[name].read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`((?:\$SERVICE|registration|matching|exchange|survey) [^`]+|kubectl [^`]+)`", text)
    for line in lines:
        for words in split(line):
            if words and not re.fullmatch(r"SERVICE=\w+", words[0]):
                yield words


def split(line: str) -> list[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word in ("|", "||", ";"):
            parts.append([])
        elif word not in ("do", "done", "while"):
            parts[-1].append(word)
    return [part for part in parts if part[:1] != ["for"]]


def statements(name: str, service: str) -> list[str]:
    """The SQL of a runbook, as ``service`` asks it; none that is about another one."""
    found = [
        words[words.index("-c") + 1].replace("$SERVICE", service) for words in commands(name) if words[0] == "psql"
    ]
    schemas = {*SERVICES, "survey_sink"} - {service, f"{service}_sink"}
    return [each for each in found if not any(f"{schema}." in each for schema in schemas)]


def understood(service: str, words: list[str]) -> str | None:
    """None when the command line takes these words; else what it does not know."""
    command: Any = typer.main.get_command(COMMANDS[service])
    for word in words:
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        if word.startswith("-"):
            if word not in known:
                return word
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return word
            command = command.commands[word]
    return "more words" if hasattr(command, "commands") else None


def test_a_command_that_does_not_exist_is_found():
    assert understood("matching", ["dead-letters", "list"]) is None
    assert understood("matching", ["dead-letters", "burn", "ID"]) == "burn"
    assert understood("matching", ["plan", "--now"]) == "--now"
    assert understood("matching", ["due"]) == "more words"


@EACH_RUNBOOK
def test_a_runbook_says_what_is_meant_and_what_to_do_and_names_what_there_is(name: str):
    text = RUNBOOKS[name].read_text()
    assert re.findall(r"^#+ .*", text, re.MULTILINE) == [
        f"# {name}",
        *(f"## {part}" for part in ("Meaning", "Impact", "Diagnosis", "Mitigation")),
    ]
    assert re.search(r"## Diagnosis.*```sh\n.+?```.*## Mitigation", text, re.DOTALL), "no command to look with"
    unknown: list[Any] = []
    for words in commands(name):
        services = list(SERVICES) if words[0] == "$SERVICE" else [words[0]] if words[0] in SERVICES else []
        unknown += [found for service in services if (found := understood(service, words[1:]))]
        unknown += [] if services or words[0] in TOOLS | {"grep"} else [words[0]]
    assert all("--tail" in " ".join(words) for words in commands(name) if words[:3] == ["kubectl", "logs", "-l"]), (
        "of pods that are selected by a label, kubectl shows the last ten lines"
    )
    unknown += [each for each in re.findall(r"`([A-Z][A-Z_]+_[A-Z_]+)`", text) if each not in SETTINGS]
    unknown += [
        each for each in re.findall(r"\bsojourn_\w+", text) if each not in EXPOSED and f"{each}_count" not in EXPOSED
    ]
    unknown += [each for each in re.findall(r"\]\(([^)#]+)", text) if not (RUNBOOKS[name].parent / each).exists()]
    assert unknown == []
