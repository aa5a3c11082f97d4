"""Every process of every service is replaced, one after the other, under a steady rate of requests: how many fail, how many
events are lost, and how much longer an answer takes meanwhile.

Two processes of each service; a new one is started and ready before an old one goes, as a Deployment does it. A tenth of the
requests register companies, whose events all services hear; the rest reads, evenly at all services. Each request is sent at its
time whatever became of those before it, is timed from that moment, and is sent once. Beside the restarts, in the same run: the
same load while nothing is restarted.
"""

import asyncio
import itertools
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from backing import percentile, report
from laptop.rolling import Balancer, roll
from laptop.system import System
from pilot.load import SETTINGS
from pilot.population import START, population
from sojourn_contracts.catalogue import SERVICES, consumed_by

from pilot import invariants

RATE = float(os.environ.get("RATE", "200"))
REPLICAS = int(os.environ.get("REPLICAS", "2"))
QUIET = float(os.environ.get("QUIET", "20"))
"""Seconds of load before the restarts, and after them."""
WARM_UP = 10.0
PATIENCE = 30.0
"""Seconds without any progress after which an event counts as lost."""
COMPANIES = 6_000
"""Enough of them, at a tenth of the rate."""
OF_TWENTY_REQUESTS = [
    "register",
    "submit",
    *(["company", "exchanges", "matches", "invitations", "questionnaires", "page"] * 3),
]
CONCERNING = ("events_lost_or_repeated", "events_out_of_order", "dead_letters", "outboxes_not_empty")


@dataclass
class Load:
    """What was asked and what became of it."""

    balancer: Balancer
    http: aiohttp.ClientSession
    answers: list[tuple[float, float]] = field(default_factory=list)
    """When a request was to be sent, in monotonic seconds, and how many seconds later its answer was there."""
    failed: Counter[str] = field(default_factory=Counter)
    admitted: set[str] = field(default_factory=set)
    not_heard_of: list[float] = field(default_factory=list)
    """Seconds since the admission of a company of whose stays matching knew nothing yet: its event was on its way."""
    over: bool = False
    late: float = 0
    """Seconds by which a request was sent too late, at most."""
    _made: list[dict[str, Any]] = field(default_factory=list)
    _drafts: list[dict[str, Any]] = field(default_factory=list)

    async def ask(
        self,
        at: float,
        service: str,
        method: str,
        path: str,
        token: str = "",
        headers: Mapping[str, str] = {},
        body: Any = None,
        since: float = 0,
    ) -> Any:
        sent = dict(headers) | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            async with self.http.request(method, self.balancer.url(service) + path, headers=sent, data=body) as answer:
                text, status = await answer.read(), answer.status
        except (aiohttp.ClientError, TimeoutError, LookupError) as error:
            self.failed[f"{service}: {type(error).__name__}"] += 1
            return None
        self.answers.append((at, time.monotonic() - at))
        if service == "matching" and status == 404:
            self.not_heard_of.append(at - since)
            return None
        if status >= 400:
            self.failed[f"{service}: {status}"] += 1
            return None
        return json.loads(text) if "json" in answer.content_type else text

    async def send(self, at: float, kind: str, company: Any, number: int) -> None:
        if kind == "register":
            headers = {"Idempotency-Key": company.key, "Content-Type": "application/json"}
            made = await self.ask(
                at, "registration", "POST", "/companies", headers=headers, body=json.dumps(company.form)
            )
            if made:
                self._drafts.append(made)
            return
        if kind == "submit" and self._drafts:
            made = self._drafts.pop(0)
            path = f"/companies/{made['company_id']}/submission"
            answer = await self.ask(at, "registration", "POST", path, made["access_token"])
            if answer:
                self.admitted.add(made["company_id"])
                self._made.append(made | answer | {"since": at})
            return
        if not self._made:
            await self.ask(at, "survey", "GET", "/questionnaires")
            return
        who = self._made[number % len(self._made)]
        id_, token = who["company_id"], who["access_token"]
        stays = [("placements", each["placement_id"]) for each in who["placements"]]
        stays += [("offers", each["offer_id"]) for each in who["offers"]]
        reads = {
            "company": ("registration", f"/companies/{id_}"),
            "exchanges": ("exchange", "/exchanges"),
            "matches": ("matching", f"/{stays[0][0]}/{stays[0][1]}/matches") if stays else ("matching", "/contracts/"),
            "invitations": ("survey", "/invitations"),
            "questionnaires": ("survey", "/questionnaires"),
            "page": ("exchange", "/contracts/"),
        }
        service, path = reads.get(kind, reads["company"])
        await self.ask(at, service, "GET", path, token, since=who["since"])

    async def run(self) -> None:
        """At the rate, until it is over; then what is under way is waited for."""
        companies = iter(population(COMPANIES, 7))
        began = time.monotonic()
        async with asyncio.TaskGroup() as sending:
            for number in itertools.count():
                if self.over:
                    break
                at = began + number / RATE
                await asyncio.sleep(at - time.monotonic())
                self.late = max(self.late, time.monotonic() - at)
                kind = OF_TWENTY_REQUESTS[number % len(OF_TWENTY_REQUESTS)]
                company = next(companies) if kind == "register" else None
                sending.create_task(self.send(at, kind, company, number))


@asynccontextmanager
async def loaded(system: System) -> AsyncGenerator[Load]:
    """Around the block; at its end, all that was sent is answered or has failed."""
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        Balancer(system).probing() as balancer,
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(30)) as http,
    ):
        load = Load(balancer, http)
        running = asyncio.create_task(load.run())
        try:
            yield load
        finally:
            load.over = True
            await running


async def unheard(system: System) -> int:
    """Events that a consumer has not handled, or handled and no log has, once that is none or does not get less."""
    connection = await asyncpg.connect(system.database.owner_url)
    counts = []
    for service in SERVICES:
        logs = " union ".join(
            f"select event_id from {producer}.event_log where topic = '{topic.name}'"
            for topic in consumed_by(service)
            for producer in topic.producers
        )
        counts.append(
            f"(select count(*) from {service}.outbox)"
            f" + (select count(*) from ({logs}) said full join {service}.inbox heard on heard.event_id = said.event_id"
            " where said.event_id is null or heard.event_id is null)"
        )
    try:
        left, latest, changed = -1, None, time.monotonic()
        while left != 0 and time.monotonic() - changed < PATIENCE:
            await asyncio.sleep(0.5)
            left = await connection.fetchval(f"select {' + '.join(counts)}")
            if left != latest:
                latest, changed = left, time.monotonic()
        return left
    finally:
        await connection.close()


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        replicas = dict.fromkeys(SERVICES, REPLICAS)
        async with System(
            folder, stopped_at=START, environment=SETTINGS, services=SERVICES, replicas=replicas
        ) as system:
            lasted: dict[str, float] = {}
            async with loaded(system) as load:
                await asyncio.sleep(WARM_UP)
                first = time.monotonic()
                await asyncio.sleep(QUIET)
                began = time.monotonic()
                for service in SERVICES:
                    before = time.monotonic()
                    await roll(system, load.balancer, service)
                    lasted[service] = time.monotonic() - before
                ended = time.monotonic()
                await asyncio.sleep(QUIET)
                last = time.monotonic()
            missing = await unheard(system)
            await system.stop_services()
            world = await invariants.read(system.database.owner_url, system.kafka, system.folder)
    breaches = [breach for judge in CONCERNING for breach in getattr(invariants, judge)(world)]
    registered = {str(event.subject) for event in world.said("CompanyRegistered")}
    during = [1000 * took for at, took in load.answers if began <= at < ended]
    outside = [1000 * took for at, took in load.answers if first <= at < began or ended <= at < last]
    for what in (*breaches[:5], *load.failed.items()):
        print(what)
    report(
        "rolling_restart",
        {
            "replicas": REPLICAS, "rate": RATE,
            "rate_reached": sum(first <= at < last for at, _ in load.answers) / (last - first),
            "requests": len(load.answers), "failed_requests": load.failed.total(), "target_failed_requests": 0,
            "not_heard_of": len(load.not_heard_of), "not_heard_of_for_s": max(load.not_heard_of, default=0.0),
            "events": sum(map(len, world.logs.values())), "companies": len(load.admitted),
            "lost_or_repeated_events": len(breaches) + missing + len(load.admitted ^ registered),
            "target_lost_or_repeated_events": 0,
            "during_p50_ms": percentile(during, 0.5), "during_p99_ms": percentile(during, 0.99),
            "outside_p50_ms": percentile(outside, 0.5), "outside_p99_ms": percentile(outside, 0.99),
            "during_to_outside_p99": percentile(during, 0.99) / percentile(outside, 0.99),
            "sent_late_ms": 1000 * load.late,
            **{f"{service}_rolled_s": seconds for service, seconds in lasted.items()},
        },
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
