"""The whole system on this machine: how soon and how large its processes are, what a quiet step costs, and how long a
registration takes to its proposal on Kafka at a steady rate.

Beside the latter, in the same run: how long a bare record takes from an idempotent producer to a ``read_committed`` consumer.
"""

import asyncio
import os
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psutil
from aiokafka import AIOKafkaConsumer
from backing import percentile, report
from bench_relay import producer
from laptop.system import System
from pilot.load import SETTINGS, Timings, listening, register
from pilot.population import START, population
from pilot.steps import Steps, TopicEnds
from sojourn_contracts.catalogue import SERVICES
from sojourn_contracts.survey import SurveySubmitted

RATE = float(os.environ.get("RATE", "50"))
COMPANIES = int(os.environ.get("COMPANIES", "1500"))
WARM_UP = 300
"""Companies that register before those that are timed, as a system that runs for longer than a minute is warm."""
STEPS = int(os.environ.get("STEPS", "100"))
TARGETS = {"proposal_p99_ms": 250, "ready_s": 3, "idle_mib": 120, "idle_matching_mib": 220, "quiet_step_ms": 100}


async def ready_seconds(system: System) -> dict[str, float]:
    """By service, from the start of its process until it says that it is ready; one at a time."""
    found: dict[str, float] = {}
    for service in SERVICES:
        await system.processes[service].stop()
        began = time.perf_counter()
        await system.start_service(service)
        found[service] = time.perf_counter() - began
    return found


def idle_mib(system: System) -> dict[str, float]:
    return {service: psutil.Process(system.processes[service].pid).memory_info().rss / 2**20 for service in SERVICES}


async def quiet_steps(system: System, steps: Steps) -> list[float]:
    """Milliseconds, each for a step of an hour at which nothing happens."""
    found: list[float] = []
    for _ in range(STEPS):
        began = time.perf_counter()
        at = system.clock.now + timedelta(hours=1)
        steps.to(at)
        await steps.settled(at)
        found.append(1000 * (time.perf_counter() - began))
    return found


async def bare_milliseconds(bootstrap: str, count: int) -> list[float]:
    """From a send to its reading; on a topic that nobody of ours consumes, afterwards: the system is over by then."""
    consumer = AIOKafkaConsumer(
        SurveySubmitted.topic(), bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    sender = producer(bootstrap)
    await asyncio.gather(consumer.start(), sender.start())
    found: list[float] = []
    try:
        await consumer.seek_to_end()
        for number in range(count):
            began = time.perf_counter()
            await sender.send(SurveySubmitted.topic(), value=b"x" * 600, key=b"%d" % number)
            await consumer.getone()
            found.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(max(0.0, 1 / RATE - (time.perf_counter() - began)))
    finally:
        await asyncio.gather(consumer.stop(), sender.stop())
    return found


async def main() -> None:
    timings = Timings()
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with System(folder, stopped_at=START, environment=SETTINGS, services=SERVICES) as system:
            ready = await ready_seconds(system)
            async with TopicEnds(system.kafka) as ends, Steps(system.clock.set, system.urls, ends) as steps:
                await steps.settled(system.clock.now)
                quiet = await quiet_steps(system, steps)
                memory = idle_mib(system)
                async with listening(system.kafka, timings):
                    companies = population(WARM_UP + COMPANIES, 7)
                    await register(system.urls["registration"], companies[:WARM_UP], Timings(), RATE)
                    await register(system.urls["registration"], companies[WARM_UP:], timings, RATE)
                    await steps.settled(system.clock.now, 600)
            await system.stop_services()
            bare = await bare_milliseconds(system.kafka, 300)
    proposals = [1000 * (at - timings.asked[key]) for key, at in timings.proposed.items() if key in timings.asked]
    report(
        "system",
        {
            **{f"ready_{service}_s": seconds for service, seconds in ready.items()}, "target_ready_s": TARGETS["ready_s"],
            **{f"idle_{service}_mib": size for service, size in memory.items()},
            "target_idle_mib": TARGETS["idle_mib"], "target_idle_matching_mib": TARGETS["idle_matching_mib"],
            "quiet_step_p50_ms": statistics.median(quiet), "quiet_step_p99_ms": percentile(quiet, 0.99),
            "target_quiet_step_ms": TARGETS["quiet_step_ms"],
            "registrations": COMPANIES, "registrations_per_s": timings.registrations_per_second, "proposals": len(proposals),
            "proposal_p50_ms": percentile(proposals, 0.5), "proposal_p99_ms": percentile(proposals, 0.99),
            "target_proposal_p99_ms": TARGETS["proposal_p99_ms"],
            "bare_record_p50_ms": percentile(bare, 0.5), "bare_record_p99_ms": percentile(bare, 0.99),
            "proposal_to_bare_p50": percentile(proposals, 0.5) / percentile(bare, 0.5),
        },
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
