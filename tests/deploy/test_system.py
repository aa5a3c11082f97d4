"""The whole system comes up, its services can be ended and brought back, and nothing is left when it goes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
from laptop.main import FOLDER
from laptop.process import Process, StartError, until
from laptop.roles import Database
from laptop.system import System, UncleanStopError, terminated_like_ctrl_c
from sojourn_contracts.catalogue import SERVICES

from tests.deploy.test_embedded import processes_that_mention

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
async def system(backing_folder: Path) -> AsyncIterator[System]:
    system = System(backing_folder / "system", stopped_at=NOON, replicas={"exchange": 2})
    async with system:
        yield system
    assert processes_that_mention(system.folder) == []
    assert not any(process.alive for process in system.processes.values())


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10) as client:
        return await client.get(url)


async def test_every_process_of_every_service_is_ready(system: System):
    assert set(system.urls) == {*SERVICES, "exchange-2"}
    for url in system.urls.values():
        assert (await get(url + "/ready")).status_code == 200


async def test_the_sink_of_the_survey_is_ready_beside_the_services_with_its_table_in_the_folder(system: System):
    assert (await get(system.sink_url + "/ready")).status_code == 200
    status = (await get(system.sink_url + "/status")).json()
    assert (status["waiting_for"], status["lag"], status["rows"]) == (None, 0, 0)
    assert list(system.warehouse.rglob("*.metadata.json"))


async def test_all_services_go_by_the_clock_that_is_set(system: System):
    for hour in (13, 14):
        system.clock.set(NOON.replace(hour=hour))
        for url in system.urls.values():
            status = (await get(url + "/status")).json()
            assert datetime.fromisoformat(status["clock"]) == NOON.replace(hour=hour)


async def test_a_service_comes_back_at_its_address_after_a_restart_and_after_a_kill(system: System):
    before = system.processes["survey"].pid
    await system.restart("survey")
    assert system.processes["survey"].pid != before
    assert (await get(system.urls["survey"] + "/ready")).status_code == 200
    await system.kill("survey")
    with pytest.raises(httpx.TransportError):
        await get(system.urls["survey"] + "/ready")
    await system.start_service("survey")
    assert (await get(system.urls["survey"] + "/ready")).status_code == 200


async def test_services_get_no_password_but_their_own_and_only_registration_signs(system: System):
    passwords = system.database.passwords
    for name, process in system.processes.items():
        service = name.removesuffix("-2")
        environment = psutil.Process(process.pid).environ()
        assert ("SIGNING_KEY" in environment) == (service == "registration")
        for role, password in passwords.items():
            assert (password in str(environment)) == (role == f"sojourn_{service}")


async def test_logs_hold_no_password(system: System):
    secrets = [*system.database.passwords.values(), system.database.admin_url.split(":")[2].split("@")[0]]
    for log in system.logs.iterdir():
        written = log.read_text(errors="replace")
        assert not any(secret in written for secret in secrets), log


async def test_a_token_that_a_command_gives_is_accepted(system: System):
    token = (await system.run("registration", "token", "--role", "operator")).strip()
    async with httpx.AsyncClient(timeout=10, headers={"authorization": f"Bearer {token}"}) as client:
        assert (await client.get(system.urls["exchange"] + "/exchanges")).status_code == 200
        assert (
            await client.get(system.urls["exchange"] + "/exchanges", headers={"authorization": ""})
        ).status_code == 401


async def test_a_command_that_fails_says_why(system: System):
    with pytest.raises(StartError, match="`survey nonsense` ended with 2"):
        await system.run("survey", "nonsense")


async def test_a_service_that_cannot_start_is_named_with_the_end_of_its_log(
    server_folder: Path, kafka: str, postgres: Database
):
    server_folder.mkdir()
    (server_folder / "passwords.json").write_text(json.dumps(dict(postgres.passwords)))
    backing = {"kafka": kafka, "database_url": postgres.admin_url, "database_name": "system"}
    system = System(server_folder, environment={"POOL_SIZE": "none"}, services=["survey"], **backing)
    with pytest.raises(StartError, match=r"(?s)survey ended with 2.*POOL_SIZE"):
        await system.start()
    assert not any(process.alive for process in system.processes.values())


def shell(name: str, script: str, folder: Path) -> Process:
    environment = {"PATH": "/bin:/usr/bin"}
    return Process(name, ["/bin/sh", "-c", script], log=folder / f"{name}.log", environment=environment)


async def test_services_that_did_not_stop_cleanly_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("laptop.system.STOP_WITHIN", 0.5)
    scripts = {
        "clean": "trap 'exit 0' TERM; echo ready; while true; do sleep 0.05; done",
        "dirty": "trap 'echo broken; exit 3' TERM; echo ready; while true; do sleep 0.05; done",
        "stubborn": "trap '' TERM; echo ready; while true; do sleep 0.05; done",
        "dead": "echo ready; exit 4",
    }

    async def start(self: System) -> None:
        for name, script in scripts.items():
            self.processes[name] = shell(name, script, tmp_path)
            self.processes[name].spawn()
        assert await until(lambda: all("ready" in process.log_end() for process in self.processes.values()), 10)
        assert await until(lambda: not self.processes["dead"].alive, 10)

    monkeypatch.setattr(System, "start", start)
    with pytest.raises(UncleanStopError) as unclean:
        async with System(tmp_path, kafka="elsewhere:9092", database_url="postgresql://elsewhere/db"):
            pass
    said = str(unclean.value)
    assert "dead had ended with 4 before it was told to stop" in said
    assert "dirty did not stop cleanly, but with 3" in said
    assert "broken" in said
    assert "stubborn did not stop within" in said
    assert not any(line.startswith("clean") for line in said.splitlines())


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.full), signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing(server_folder: Path, number: int):
    folder = ["--folder", str(server_folder)]
    with subprocess.Popen(
        [LAPTOP, "up", *folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as starting:
        assert starting.stdout is not None
        assert starting.stderr is not None
        assert "starting Kafka" in starting.stdout.readline()
        while not any("kafka.Kafka" in command for command in processes_that_mention(server_folder)):
            assert starting.poll() is None
        starting.send_signal(number)
        assert starting.wait(60) == 1
        assert "Interrupted" in starting.stderr.read()
    assert processes_that_mention(server_folder) == []
    assert not (server_folder / "system.json").exists()


LAPTOP = str(Path(sys.executable).parent / "laptop")


def test_a_system_that_a_shell_started_in_the_background_can_be_ended():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with terminated_like_ctrl_c(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_up_leaves_the_system_running_and_down_stops_it(server_folder: Path):
    def laptop(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [LAPTOP, *arguments, "--folder", str(server_folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=180)

    try:
        up = laptop("up")
        assert up.returncode == 0, up.stderr
        recorded = json.loads((server_folder / "system.json").read_text())
        assert {entry["name"] for entry in recorded} == {*SERVICES, "Kafka", "PostgreSQL", "mails", "survey-sink"}
        for service in SERVICES:
            url = next(line.split()[1] for line in up.stdout.splitlines() if line.startswith(f"{service} "))
            assert httpx.get(url).status_code == 200
        assert laptop("up").returncode == 1
        assert not any(
            secret in up.stdout for secret in json.loads((server_folder / "passwords.json").read_text()).values()
        )
    finally:
        down = laptop("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert processes_that_mention(server_folder) == []
    assert "Nothing is running" in laptop("down").stdout


def test_data_stays_in_an_ignored_folder_of_the_repository():
    assert Path(__file__).parents[2] / ".run" == FOLDER
    ignored = subprocess.run(["git", "check-ignore", "-q", str(FOLDER) + "/x"], cwd=FOLDER.parent, env=os.environ)
    assert ignored.returncode == 0
