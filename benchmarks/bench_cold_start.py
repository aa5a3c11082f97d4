"""Cold start: seconds from the start of each service's process until `/ready` says 200, on a system whose schemas are there.

In three states: warm, as after a restart on the same node; with none of the Python installation in the page cache, as the first
pod of an image on a node; and without compiled code, neither Python's nor numba's, as in an image that has none. Beside each, in
the same state and in turn, a Python that only imports what every service stands on: the ratio is to that.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from backing import report
from laptop.ports import HOST, free_port
from laptop.process import Process
from laptop.system import System
from sojourn_contracts.catalogue import SERVICES

ROUNDS = int(os.environ.get("ROUNDS", "3"))
PLAIN = [sys.executable, "-c", "import fastapi, faststream, asyncpg"]
SOURCES = [str(Path(__file__).parent.parent / name) for name in ("chassis", "contracts", "services")]
INSTALLED = (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), *SOURCES)
WITHIN = 600.0
"""Seconds, as the chart gives a start."""

State = Callable[[Path], Mapping[str, str]]
"""Brings it about, and returns what a process needs in its environment besides."""


def warm(folder: Path) -> Mapping[str, str]:
    return {"NUMBA_CACHE_DIR": str(folder / "numba")}


def no_pages(folder: Path) -> Mapping[str, str]:
    """Nothing of them is in the page cache but what some process has mapped."""
    for place in (*INSTALLED, folder / "numba"):
        for path, _, files in os.walk(place):
            for name in files:
                file = os.open(os.path.join(path, name), os.O_RDONLY)  # noqa: PTH118 - a hundred thousand of them
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)
    return warm(folder)


def nothing_compiled(folder: Path) -> Mapping[str, str]:
    shutil.rmtree(folder / "none", ignore_errors=True)
    return {"PYTHONPYCACHEPREFIX": str(folder / "none" / "python"), "NUMBA_CACHE_DIR": str(folder / "none" / "numba")}


STATES: dict[str, State] = {"warm": warm, "no_pages": no_pages, "nothing_compiled": nothing_compiled}


def plainly(environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(PLAIN, env=os.environ | dict(environment), check=True)
    return time.perf_counter() - began


async def ready(system: System, service: str, environment: Mapping[str, str]) -> float:
    port = free_port()
    given = system.environment(service) | {"HTTP_HOST": HOST, "HTTP_PORT": str(port)} | dict(environment)
    command = [str(Path(sys.executable).parent / service), "serve"]
    process = Process(service, command, log=system.logs / f"cold-{service}.log", environment=given)
    began = time.perf_counter()
    process.spawn()
    try:
        async with httpx.AsyncClient() as client:
            while time.perf_counter() < began + WITHIN:
                process.require_alive()
                try:
                    if (await client.get(f"http://{HOST}:{port}/ready")).status_code == httpx.codes.OK:
                        return time.perf_counter() - began
                except httpx.TransportError:
                    await asyncio.sleep(0.01)
        raise process.failure(f"was not ready within {WITHIN:.0f} s")
    finally:
        await process.stop()


async def main() -> None:
    seconds: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with System(folder, services=SERVICES) as system:
            await system.stop_services()
            for service in SERVICES:  # whatever is compiled once is compiled
                await ready(system, service, warm(folder))
            for _ in range(ROUNDS):
                for state, brought_about in STATES.items():
                    plain = plainly(brought_about(folder))
                    seconds.setdefault(("plain", state), []).append(plain)
                    for service in SERVICES:
                        took = await ready(system, service, brought_about(folder))
                        seconds.setdefault((service, state), []).append(took)
                        print(f"{service} {state}: {took:.2f} s, {took / plain:.1f} of a plain import", flush=True)
    medians = {key: statistics.median(taken) for key, taken in seconds.items()}
    figures: dict[str, float | int | None] = {"rounds": ROUNDS}
    figures |= {f"{service}_{state}_seconds": taken for (service, state), taken in medians.items()}
    figures |= {
        f"{service}_{state}_ratio": medians[service, state] / medians["plain", state]
        for service in SERVICES
        for state in STATES
    }
    report("cold_start", figures)


if __name__ == "__main__":
    asyncio.run(main())
