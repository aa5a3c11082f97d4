"""Ends what we started when we are gone without having ended it: killed, crashed, or the CI machine lost patience.

A small process of its own reads from us what it is to hold. When we end, however that comes about, its input ends, and it kills
whatever it still holds. It runs as a script, so that it depends on nothing of ours.
"""

import atexit
import contextlib
import signal
import subprocess
import sys

import psutil

_keeper: "subprocess.Popen[str] | None" = None


def hold(pid: int, started: float) -> None:
    """From now on that process ends with us at the latest."""
    _tell(f"hold {pid} {started}")


def release(pid: int) -> None:
    """It has ended, or may outlive us."""
    _tell(f"release {pid} 0")


def _tell(line: str) -> None:
    global _keeper
    if _keeper is None or _keeper.poll() is not None:
        command = [sys.executable, __file__]
        _keeper = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)  # noqa: S603
        atexit.register(_close, _keeper)
    assert _keeper.stdin is not None  # noqa: S101 - for the type checker
    _keeper.stdin.write(line + "\n")
    _keeper.stdin.flush()


def _close(keeper: "subprocess.Popen[str]") -> None:
    assert keeper.stdin is not None  # noqa: S101 - for the type checker
    with contextlib.suppress(OSError):
        keeper.stdin.close()
    keeper.wait()


def _keep() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    held: dict[int, float] = {}
    for line in sys.stdin:
        verb, pid, started = line.split()
        held.pop(int(pid), None)
        if verb == "hold":
            held[int(pid)] = float(started)
    for pid, started in held.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if abs(process.create_time() - started) < 2:
                family = [process, *process.children(recursive=True)]
                for member in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        member.kill()


if __name__ == "__main__":
    _keep()
