"""One journey through the four services as processes, over real Kafka and PostgreSQL, by the public HTTP API alone."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from laptop.system import System
from laptop.vies import Register, answered
from pilot.choices import Choices
from pilot.demo import SETTINGS, judged, played
from pilot.population import START
from pilot.steps import Steps, TopicEnds
from sojourn_contracts.catalogue import SERVICES

from tests.chassis.waiting import until
from tests.journeys.pair import EVERYBODY_DOES, HOST, SENDER, UNTIL

NUMBER, MISTYPED = "DE136695976", "DE527946657"
THE_HOST = replace(HOST, first=HOST.first | {"vat": MISTYPED}, form=HOST.form | {"vat": NUMBER})


@pytest.fixture
async def system(backing_folder: Path) -> AsyncIterator[System]:
    register = Register(frozenset({MISTYPED}), away=(START, START + timedelta(days=30)))
    async with System(backing_folder / "journey", stopped_at=START, environment=SETTINGS, vies=register) as started:
        yield started


async def test_two_companies_meet_agree_travel_complete_and_are_surveyed(system: System):
    progress, evaluated = await played(system, [SENDER, THE_HOST], Choices(7, EVERYBODY_DOES), UNTIL)

    assert progress.acts.pop("sign") >= 3
    assert progress.acts.pop("record") >= 2
    assert progress.acts == {
        "register": 2,
        "submit": 3,
        "review": 1,
        "review: needs_changes": 1,
        "oversee": 4 * 34,
        "tick": 5,
        "confirm": 2,
        "renew": 1,
        "accept": 2,
        "draft": 2,
        "approve": 2,
        "arrive": 2,
        "fit": 2,
        "acknowledge": 4,
        "complete": 2,
        "answer": 6,
    }
    assert progress.refusals.keys() == {"sign: stale_version", "answer: already_submitted"}
    assert progress.refusals["sign: stale_version"] >= 3

    asked = answered(system.folder)
    out = ["MS_UNAVAILABLE", "MS_UNAVAILABLE"]
    assert asked == {MISTYPED: [*out, "INVALID"], NUMBER: [*out, "VALID"]}
    assert len(progress.interest.asked) == len(progress.interest.confirmed) == 2

    (exchange,) = evaluated.exchanges
    assert exchange["stage"] == "completed"
    assert exchange["agreement_version"] == 2
    assert sorted(exchange["signed_by"]) == ["host", "sender", "traveller"]
    assert 14 <= exchange["days"] <= 30
    assert exchange["training"] == {"direction": "traveller", "skills": ["welding"]}

    evaluation = evaluated.evaluation
    funnel = {each["stage"]: each["number"] for each in evaluation["programme"]["funnel"]}
    assert (funnel["registered"], funnel["completed"]) == (2, 1)
    responses = [each for each in evaluation["programme"]["responses"] if each["wave"] == 1]
    assert {(each["party"], each["invited"], each["complete"]) for each in responses} == {
        ("sender", 1, 1),
        ("host", 1, 1),
        ("traveller", 1, 1),
    }
    assert {each["code"]: each["count"] for each in evaluation["indicators"]}.keys() == {
        "SEND_MATCH",
        "HOST_MATCH",
        "XBORDER",
        "NEWPROD",
        "EMP_PROFDEV",
    }

    await three_hours_pass(system)
    assert await proven(system, "registration", "matching", "exchange") == (0, len(PROVEN))
    assert await proven(system, "survey", topic="SurveySubmitted") == (0, 1)

    verdicts, world = await judged(system, progress, evaluated)
    assert {verdict.invariant: verdict.breaches for verdict in verdicts if not verdict.holds} == {}
    assert [event.type for event in world.logs["matching"]] == ["MatchProposed.v1", "ManifestIssued.v1"]
    told = [event.type for event in world.logs["exchange"]]
    told = [kind for kind in told if kind not in ("NoticeDue.v1", "ManifestIssued.v1")]
    assert told[-1] == "ExchangeCompleted.v1"
    assert [kind for kind in told if kind != "ExchangeUpdated.v1"] == ["ExchangeAgreed.v1", "ExchangeCompleted.v1"]
    assert len(world.said("SurveySubmitted")) == 6


PROVEN = {
    "CompanyRegistered",
    "CompanyUpdated",
    "MatchProposed",
    "ExchangeUpdated",
    "ExchangeAgreed",
    "ExchangeCompleted",
}
"""The public topics that the journey comes by."""


async def three_hours_pass(system: System) -> None:
    """By the time of day, for the logs: manifests are issued, and a step of the programme's clock does not wait for them."""
    connection = await asyncpg.connect(system.database.owner_url)
    try:
        for service in SERVICES:
            await connection.execute(
                f"update {service}.event_log set written_at = written_at - interval '3 hours';"
                f" update {service}.due set not_before = null where kind = 'manifests'"
            )

        async def all_are_issued() -> bool:
            issued = [await connection.fetchval(f"select count(*) from {service}.manifest") for service in SERVICES]
            return sum(issued) == len(PROVEN) + 1

        await until(all_are_issued, within=30)
    finally:
        await connection.close()
    async with TopicEnds(system.kafka) as ends, Steps(system.clock.set, system.urls, ends) as steps:
        await steps.settled(system.clock.now)


async def proven(system: System, *services: str, topic: str | None = None) -> tuple[int | None, int]:
    """The command's exit status, and how many sources' events it has proven whole."""
    options = [option for service in services for option in ("--service", system.urls[service])]
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("sojourn-contracts"),
        *("verify", "--kafka", system.kafka, "--json", *options, *(["--topic", topic] if topic else [])),
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    streams = json.loads(out)["streams"]
    return process.returncode, sum(found["received"] == found["proven"] for found in streams)
