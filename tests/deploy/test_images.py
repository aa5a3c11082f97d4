"""The images: built, looked at, and run as a cluster would run them; in the end, a journey is played on nothing but them."""

import json
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker
import pytest
from laptop.vies import Register
from pilot.choices import Choices
from pilot.demo import SETTINGS, played
from pilot.population import START
from sojourn_contracts.catalogue import SERVICES

from deploy.helm.written import COMPONENTS
from tests.conftest import REPOSITORY
from tests.deploy.images import ContainedSystem, base, build, ran, require_engine, tag
from tests.deploy.rendered import pods, rendered
from tests.journeys.pair import EVERYBODY_DOES, UNTIL
from tests.journeys.test_journey import (  # the journey's own test, on the system below
    GRANTS,
    MISTYPED,
    THE_HOST,
    THE_SENDER,
    Journey,
    test_two_companies_meet_agree_travel_complete_and_are_surveyed,
)

__all__ = ["test_two_companies_meet_agree_travel_complete_and_are_surveyed"]

pytestmark = pytest.mark.installed

INSTALLED = """
import importlib.metadata, json, sysconfig
found = importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
print(json.dumps([each.name.lower().replace("_", "-").replace(".", "-") for each in found]))
print(open("/app/sbom.cdx.json").read())
"""


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    """All of them."""
    require_engine()
    for service in SERVICES:
        build(service)


def inspected(image: str) -> dict[str, Any]:
    client = docker.from_env()
    try:
        return client.images.get(image).attrs
    finally:
        client.close()


def layers(image: str) -> list[str]:
    return inspected(image)["RootFS"]["Layers"]


@pytest.fixture(scope="module")
async def journey(images: None, backing_folder: Path) -> AsyncIterator[Journey]:
    register = Register(frozenset({MISTYPED}), away=(START, START + timedelta(days=30)))
    folder = backing_folder / "contained"
    folder.mkdir()
    grants = folder / "grants.yaml"
    grants.write_text(GRANTS)
    settings = SETTINGS | {"LOG_LEVEL": "info"}
    async with ContainedSystem(folder, stopped_at=START, environment=settings, vies=register, grants=grants) as system:
        yield Journey(system, *await played(system, [THE_SENDER, THE_HOST], Choices(7, EVERYBODY_DOES), UNTIL))


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_its_service_and_what_that_needs_and_its_bill_of_materials_says_so(service: str):
    code, said = ran(tag(service), "-c", INSTALLED, entrypoint="python")
    assert code == 0, said
    first, bill = said.split("\n", 1)
    installed = set(json.loads(first))
    assert installed & {*SERVICES, "pilot", "laptop", "pytest", "uv"} == {service}
    materials = json.loads(bill)
    assert (materials["bomFormat"], materials["metadata"]["component"]["name"]) == ("CycloneDX", service)
    listed = {each["name"]: each for each in materials["components"]} | {service: {}}
    assert installed <= listed.keys()
    elsewhere = {name for name in listed.keys() - installed if "uv:package:marker" in str(listed[name])}
    assert listed.keys() - installed == elsewhere, "but for what other systems need"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_as_nobody_special_without_a_shell_or_a_file_to_write_to(service: str):
    code, said = ran(tag(service), "--help")
    assert code == 0, said
    assert f"The {service} service" in said
    code, said = ran(tag(service), "-c", "import os; os.getuid() or exit(3); open('/app/x', 'w')", entrypoint="python")
    assert code == 1
    assert "Read-only file system" in said


def test_an_image_names_its_user_command_and_origin():
    config = inspected(tag("matching"))["Config"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["/app/bin/service"], ["serve"])
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels.items() >= {"title": "matching", "licenses": "Apache-2.0", "base.name": base()}.items()
    assert {"version", "revision", "description"} <= labels.keys()


def test_the_chart_runs_what_is_in_the_images_as_who_they_are_for():
    for component in COMPONENTS.values():
        program, *arguments = component.command
        code, said = ran(tag(component.service), *arguments, "--help", entrypoint=program)
        assert code == 0, f"{component.command}: {said}"
    for name, spec, container in pods(rendered({}, "production")):
        user = spec["securityContext"]
        assert f"{user['runAsUser']}:{user['runAsGroup']}" == inspected(tag("survey"))["Config"]["User"], name
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_the_same_sources_make_the_same_image_bit_by_bit():
    assert layers(build("exchange", "--no-cache", named="sojourn-test/again")) == layers(tag("exchange"))


def test_a_new_version_of_our_own_code_leaves_the_layer_of_dependencies_alone(tmp_path: Path):
    copy = sources(tmp_path / "newer")
    domain = copy / "services" / "exchange" / "exchange" / "domain.py"
    domain.write_text(domain.read_text() + "NEWER = True\n")
    newer = layers(build("exchange", named="sojourn-test/newer", sources=copy))
    *base_and_dependencies, own, volume = layers(tag("exchange"))
    assert (newer[:-2], newer[-1]) == (base_and_dependencies, volume)
    assert newer[-2] != own


def sources(folder: Path) -> Path:
    """A copy of what images are made from."""
    left_out = shutil.ignore_patterns(".git", ".venv", ".tools", ".hypothesis", "build", "__pycache__")
    return Path(shutil.copytree(REPOSITORY, folder, ignore=left_out))
