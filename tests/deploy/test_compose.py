"""The compose file gives every process what it needs, in the right order, and lets it do no more than a cluster would."""

import re
from os import environ
from typing import Any

import pytest
import yaml
from chassis.settings import MigrateSettings
from laptop import versions
from laptop.kafka import settings_of
from sojourn_contracts.catalogue import SERVICES

from deploy.helm.written import COMPONENTS, Component, names
from tests.conftest import REPOSITORY

PASSWORD = re.compile(r"\$\{SOJOURN_PASSWORD:\?choose one\}")
COMPOSED: dict[str, Any] = yaml.safe_load((REPOSITORY / "deploy" / "compose.yaml").read_text())["services"]
OURS = {name: of for name, of in COMPOSED.items() if name not in ("kafka", "postgres")}
PROCESSES = {
    name: component
    for component in COMPONENTS.values()
    for name, of in OURS.items()
    if of["image"] == f"sojourn/{component.service}" and tuple(of.get("command", ["serve"])) == component.command[1:]
}


def environment(name: str) -> dict[str, str]:
    return {key: PASSWORD.sub("secret", value) for key, value in COMPOSED[name]["environment"].items()}


def test_it_has_all_processes_but_the_one_that_is_off_by_default():
    assert {*PROCESSES, *(f"migrate-{service}" for service in SERVICES), "provision"} == OURS.keys()
    assert set(map(id, COMPONENTS.values())) - set(map(id, PROCESSES.values())) == {id(COMPONENTS["surveyFiles"])}


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_each_process_takes_the_environment_it_is_given(name: str, monkeypatch: pytest.MonkeyPatch):
    component: Component = PROCESSES[name]
    given = environment(name)
    assert given.keys() <= set(names(component.settings)), "none that it does not know"
    for variable in environ:
        monkeypatch.delenv(variable)
    for variable, value in given.items():
        if not value.startswith(("/data/", "${")):  # files of a volume
            monkeypatch.setenv(variable, value)
    left_out = {"SIGNING_KEY"} & given.keys()
    made = component.settings.model_construct() if left_out else component.settings()
    assert made is not None


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_when_its_schema_is_there_and_that_when_all_is_provisioned(service: str):
    assert COMPOSED[service]["depends_on"] == {f"migrate-{service}": {"condition": "service_completed_successfully"}}
    migration = COMPOSED[f"migrate-{service}"]
    assert (migration["image"], migration["command"]) == (f"sojourn/{service}", ["migrate"])
    assert environment(f"migrate-{service}").keys() <= set(names(MigrateSettings))
    assert migration["depends_on"] == {"provision": {"condition": "service_completed_successfully"}}
    waits = COMPOSED["provision"]["depends_on"]
    assert waits == {name: {"condition": "service_healthy"} for name in ("kafka", "postgres")}
    assert COMPOSED[service]["build"]["args"] == {"SERVICE": service}


@pytest.mark.parametrize("name", sorted(OURS))
def test_none_of_ours_may_write_gain_rights_or_be_reached_from_outside(name: str):
    of = OURS[name]
    assert (of["read_only"], of["cap_drop"], of["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    assert of["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in of.get("ports", ()))
    assert ("healthcheck" in of) is (of["restart"] == "unless-stopped")


def test_kafka_and_postgresql_are_those_of_the_laptop():
    assert COMPOSED["kafka"]["image"] == f"apache/kafka:{versions.KAFKA}"
    assert COMPOSED["postgres"]["image"] == f"postgres:{versions.POSTGRES}"
    said = COMPOSED["kafka"]["environment"]
    ours = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings_of(1, 1).items()}
    for name in said.keys() & ours.keys():
        assert said[name] == ours[name]
    assert {name for name in ours if "REPLICATION" in name or "ISR" in name} - said.keys() == {
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR",
    }
