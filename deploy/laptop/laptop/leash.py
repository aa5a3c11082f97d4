"""Ends what we started when we are gone without having ended it: killed, crashed, or the CI machine lost patience.

A small process of its own reads from us what it is to hold, processes and containers. When we end, however that comes about, its
input ends, and it kills whatever it still holds. It runs as a script, so that it depends on nothing of ours.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil

_keeper: "subprocess.Popen[str] | None" = None


def hold(pid: int, started: float) -> None:
    """From now on that process ends with us at the latest."""
    _tell("hold", "process", pid, started)


def release(pid: int) -> None:
    """It has ended, or may outlive us."""
    _tell("release", "process", pid)


def hold_container(name: str, engine: str) -> None:
    """From now on a container of that name ends with us at the latest, even one that the engine is yet to make."""
    _tell("hold", "container", name, engine)


def release_container(name: str) -> None:
    """It is gone, or may outlive us."""
    _tell("release", "container", name)


def _tell(*message: str | float) -> None:
    global _keeper
    if _keeper is None or _keeper.poll() is not None:
        command = [sys.executable, "-P", __file__]
        _keeper = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)  # noqa: S603
        atexit.register(_close, _keeper)
    assert _keeper.stdin is not None  # noqa: S101 - for the type checker
    _keeper.stdin.write(json.dumps(message) + "\n")
    _keeper.stdin.flush()


def _close(keeper: "subprocess.Popen[str]") -> None:
    assert keeper.stdin is not None  # noqa: S101 - for the type checker
    with contextlib.suppress(OSError):
        keeper.stdin.close()
    keeper.wait()


def _keep() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes: dict[int, float] = {}
    containers: dict[str, str] = {}
    for line in sys.stdin:
        verb, kind, which, *known_by = json.loads(line)
        held = processes if kind == "process" else containers
        held.pop(which, None)
        if verb == "hold":
            held[which] = known_by[0]
    for pid, started in processes.items():
        _end_process(pid, started)
    for name, engine in containers.items():
        _end_container(name, engine)


def _end_process(pid: int, started: float) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if abs(process.create_time() - started) < 2:
            for member in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()


def _end_container(name: str, engine: str) -> None:
    """Look for it for a while: the engine may just be making it."""
    import docker
    from docker.errors import DockerException, NotFound

    with contextlib.suppress(DockerException, OSError):  # the engine is gone
        client = docker.from_env(environment={**os.environ, "DOCKER_HOST": engine})
        for _ in range(20):
            try:
                container = client.containers.get(name)
            except NotFound:
                time.sleep(0.25)
                continue
            if container.status == "paused":
                container.unpause()
            container.remove(force=True, v=True)
            return


if __name__ == "__main__":
    _keep()
