"""`pilot demo` when it cannot end well: a clear line, nothing left running, and where to look."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pilot.main import command
from typer.testing import CliRunner

PILOT = str(Path(sys.executable).parent / "pilot")
REPOSITORY = Path(__file__).parents[2]
IMPOSSIBLE = [
    ("COMPANIES", "0"),
    ("COMPANIES", "-1"),
    ("COMPANIES", "100001"),
    ("COMPANIES", "many"),
    ("SEED", "x"),
    ("SEED", "1.5"),
    ("UNTIL", "2016-10-31"),
    ("UNTIL", "2016-11-01"),
    ("UNTIL", "soon"),
]


@pytest.mark.parametrize("how", ["environment", "option"])
@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_impossible_parameters_end_with_one_clear_line(tmp_path: Path, name: str, value: str, how: str):
    folder = tmp_path / "demo"
    option = [f"--{name.lower()}={value}"] if how == "option" else []
    environment = {name: value} if how == "environment" else {}
    result = CliRunner().invoke(command, ["demo", "--folder", str(folder), *option], env=environment)
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert re.match(rf"{name} must be a .*{re.escape(value)}", line)
    assert "--" not in line
    assert not folder.exists()


def test_make_demo_names_the_parameter_as_it_was_given():
    ended = subprocess.run(
        ["make", "--no-print-directory", "-o", "sync", "demo", "COMPANIES=0"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[0] == 'COMPANIES must be a whole number from 1 to 100,000, not "0".'


@contextmanager
def a_demo(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    demo = subprocess.Popen(
        [PILOT, "demo", "--companies", "3", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS")
        },
    )
    with demo:
        try:
            yield demo
        finally:
            if demo.poll() is None:
                demo.kill()


def wait_for(demo: "subprocess.Popen[str]", text: str) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if text in line:
            return
    raise AssertionError(f"{text!r} was not said; it ended with {demo.wait()}: {demo.stderr and demo.stderr.read()}")


def ended(demo: "subprocess.Popen[str]") -> tuple[int, str]:
    _, errors = demo.communicate(timeout=120)
    return demo.returncode, errors


def serving(demo: "subprocess.Popen[str]", service: str) -> psutil.Process:
    return next(
        child
        for child in psutil.Process(demo.pid).children(recursive=True)
        if child.cmdline()[-2:] and child.cmdline()[-1] == "serve" and child.cmdline()[-2].endswith(f"/{service}")
    )


def processes_that_mention(folder: Path) -> list[str]:
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [command for command in commands if str(folder) in command]


MOMENTS = {
    "starting Kafka": pytest.mark.full,
    "starting the services": pytest.mark.full,
    "2016-11": (),
}


@pytest.mark.parametrize("moment", [pytest.param(moment, marks=marks) for moment, marks in MOMENTS.items()])
def test_ctrl_c_stops_everything_and_says_what_is_left_where(backing_folder: Path, moment: str):
    folder = backing_folder / f"interrupted {moment}".replace(" ", "-")
    folder.mkdir()
    (folder / "report.json").write_text("of an earlier demo")
    with a_demo(folder) as demo:
        wait_for(demo, moment)
        time.sleep(0.3)
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGINT)
        code, errors = ended(demo)
    assert code == 130
    assert errors == f"Interrupted; everything that was started is stopped. Data and logs: {folder / 'run'}.\n"
    assert (folder / "run" / "logs").is_dir()
    assert not (folder / "report.json").exists()
    assert not any(child.is_running() for child in children)
    assert processes_that_mention(folder) == []


def test_a_service_that_dies_is_named_with_the_end_of_its_log(backing_folder: Path):
    folder = backing_folder / "killed"
    with a_demo(folder) as demo:
        wait_for(demo, "2016-11")
        serving(demo, "matching").kill()
        code, errors = ended(demo)
    assert code == 1
    assert "everything that was started is stopped" in errors
    assert f"matching ended with -9; the end of {folder / 'run' / 'logs' / 'matching.log'}:\n" in errors
    assert errors.count("the end of") == 1
    assert processes_that_mention(folder) == []
