"""One journey through the four services as processes, over real Kafka and PostgreSQL, by the public HTTP API alone.

At the broker, each of them may do what follows from the catalogue and nothing else. Afterwards the journey's traveller and its
host are forgotten, by the commands: nothing of them is found in any table, on any topic, in any line.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import TopicAuthorizationFailedError
from laptop.process import Process, together
from laptop.process import until as held
from laptop.system import System
from laptop.vies import Register, answered
from pilot.choices import Choices
from pilot.demo import SETTINGS, judged, played
from pilot.logs import published
from pilot.population import START
from pilot.replay import Progress
from pilot.report import Evaluated
from pilot.steps import Steps, TopicEnds
from sojourn_contracts.catalogue import SERVICES, TOPICS

from tests.chassis.waiting import until
from tests.journeys.pair import EVERYBODY_DOES, HOST, SENDER, UNTIL
from tests.journeys.remains import (
    IN_THIS_STORY,
    compact,
    compacted,
    done,
    found_in_logs,
    found_in_tables,
    found_on_topics,
    newest,
    outboxes_are_empty,
    rows,
    said_of_anybody,
)
from tests.subscribers.programs import CURL, java, kept, pages, python, typescript

NUMBER, MISTYPED = "DE136695976", "DE527946657"
TRAVELLER = {"name": "Zsuzsanna Quittenbaum", "email": "zsuzsanna@quittenbaum.example", "reads": "de"}
COMPANY = {
    "name": "Ochsenfrosch Werke",
    "contact": {"name": "Ottokar Wunderlich", "email": "ottokar@ochsenfrosch.example", "reads": "de"},
}
NAMES = ("Zsuzsanna", "Quittenbaum", "zsuzsanna@", "Ochsenfrosch", "ochsenfrosch", "Ottokar", "Wunderlich")
(PLACEMENT,) = SENDER.form["placements"]
SENDING = SENDER.form | {"placements": [PLACEMENT | {"traveller": TRAVELLER}]}
THE_SENDER = replace(SENDER, first=SENDING, form=SENDING)
THE_HOST = replace(HOST, first=HOST.first | COMPANY | {"vat": MISTYPED}, form=HOST.form | COMPANY | {"vat": NUMBER})

CLIENT = "labour-ministry"
PUBLISHED = {"ExchangeCompleted": 1, "SurveySubmitted": 6}
SCOPE = "events:ExchangeCompleted events:ManifestIssued events:SurveyManifestIssued events:SurveySubmitted"
GRANTS = """
clients:
  labour-ministry:
    topics: [ExchangeCompleted, SurveySubmitted]
    scopes: [events:ExchangeCompleted, events:SurveySubmitted]
"""


@dataclass(frozen=True)
class Journey:
    """What was played, on a system that still runs."""

    system: System
    progress: Progress
    evaluated: Evaluated


@pytest.fixture(scope="module")
async def journey(backing_folder: Path) -> AsyncIterator[Journey]:
    register = Register(frozenset({MISTYPED}), away=(START, START + timedelta(days=30)))
    grants = backing_folder / "grants.yaml"
    grants.write_text(GRANTS)
    settings = SETTINGS | {"LOG_LEVEL": "info"}
    async with System(
        backing_folder / "journey", stopped_at=START, environment=settings, vies=register, grants=grants
    ) as system:
        played_out = await played(system, [THE_SENDER, THE_HOST], Choices(7, EVERYBODY_DOES), UNTIL)
        yield Journey(system, *played_out)


async def test_two_companies_meet_agree_travel_complete_and_are_surveyed(journey: Journey):
    system, progress, evaluated = journey.system, journey.progress, journey.evaluated

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


async def awake(journey: Journey) -> System:
    """Its system with all services running: who judged the journey stopped them."""
    ended = [name for name, process in journey.system.processes.items() if not process.alive]
    await together(*map(journey.system.start_service, ended))
    return journey.system


async def test_another_system_gets_at_what_it_was_granted_and_at_nothing_else(journey: Journey):
    system = await awake(journey)
    secret = (await system.run("registration", "clients", "new-secret", CLIENT)).strip()
    async with httpx.AsyncClient(base_url=system.urls["registration"]) as http:
        answer = await http.post("/token", data={"grant_type": "client_credentials"}, auth=(CLIENT, secret))
    assert answer.json()["scope"] == SCOPE

    given = system.kafka_of(CLIENT)
    over_kafka = [reading(system, program, given) for program in (python, java, typescript)]
    over_http = reading(system, curl, {"CLIENT_ID": CLIENT, "CLIENT_SECRET": secret, **feeds(system)})
    try:
        for subscriber, _ in (*over_kafka, over_http):
            subscriber.spawn()
        for _, store in over_kafka:
            assert await held(lambda store=store: counted(row[0] for row in kept(store)) == PUBLISHED, 60), kept(store)
        _, store = over_http
        assert await held(lambda: counted(event["type"].split(".")[0] for event in pages(store)) == PUBLISHED, 60)
    finally:
        await together(*(subscriber.kill() for subscriber, _ in (*over_kafka, over_http)))
    ids = [sorted(row[2] for row in kept(store)) for _, store in over_kafka]
    assert ids == [sorted(event["id"] for event in pages(over_http[1]))] * 3

    refused = AIOKafkaConsumer(
        "ErasureDone",
        group_id=CLIENT,
        bootstrap_servers=given["KAFKA_BOOTSTRAP_SERVERS"],
        security_protocol=given["KAFKA_SECURITY_PROTOCOL"],
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=given["KAFKA_USERNAME"],
        sasl_plain_password=given["KAFKA_PASSWORD"],
    )
    with pytest.raises(TopicAuthorizationFailedError, match="ErasureDone"):
        await refused.start()
    await refused.stop()


def reading(system: System, program: Callable[[], list[str]], given: dict[str, str]) -> tuple[Process, Path]:
    """An example subscriber, not yet started, and where it keeps what it reads."""
    name = program.__name__
    store = system.folder / f"{name}.kept"
    environment = os.environ | given | {"STORE": str(store)}
    return Process(name, program(), log=system.logs / f"{name}.log", environment=environment), store


def curl() -> list[str]:
    return ["sh", str(CURL)]


def feeds(system: System) -> dict[str, str]:
    of = {"exchange": "ExchangeCompleted", "survey": "SurveySubmitted"}
    return {
        "TOKEN_URL": f"{system.urls['registration']}/token",
        "FEEDS": " ".join(f"{system.urls[service]}/events?topics={topic}" for service, topic in of.items()),
    }


def counted(topics: Iterable[str]) -> dict[str, int]:
    return dict(Counter(topics))


async def test_nothing_is_found_of_a_traveller_and_a_company_but_bare_ids(journey: Journey):
    system = await awake(journey)
    (exchange,) = journey.evaluated.exchanges
    ids = {UUID(exchange["traveller_id"]), UUID(exchange["host_id"])}
    people = await rows(system, "select person_id from registration.person where company_id = $1", exchange["host_id"])
    ids |= {row["person_id"] for row in people}
    before = await found_in_tables(system, [*NAMES, *map(str, ids)])
    assert {"registration.person", "registration.company", "matching.matches", "exchange.exchange"} <= before.keys()

    erasures = [
        json.loads(await system.run("registration", "erase", "person", exchange["traveller_id"])),
        json.loads(await system.run("registration", "erase", "company", exchange["host_id"])),
    ]
    for erasure in erasures:
        await until(lambda: done(system, erasure["erasure_id"]), within=60)  # noqa: B023
        shown = json.loads(await system.run("registration", "erasures", "show", erasure["erasure_id"]))
        assert shown["answers"].keys() == set(SERVICES)
        assert shown["outstanding"] == []
    assert await system.run("registration", "erasures", "list") == ""
    again = json.loads(await system.run("registration", "erase", "person", exchange["traveller_id"]))
    assert again["erasure_id"] == erasures[0]["erasure_id"]

    await until(lambda: outboxes_are_empty(system), within=30)
    assert await system.stop_services() == []
    assert await found_in_tables(system, [*NAMES, *map(str, ids)]) == {}
    records = await published(system.kafka, [topic.name for topic in TOPICS])
    assert found_on_topics(newest(records), [*NAMES, *map(str, ids)]) == []
    everything = [record for of_topic in records.values() for record in of_topic]
    assert found_on_topics(everything, NAMES) == [], "nor on those that the broker empties by age"
    assert found_on_topics(newest(records), [exchange["placement_id"], exchange["offer_id"]]) == [], (
        "nor what they offered"
    )
    assert {record.topic for record in everything} >= IN_THIS_STORY
    assert said_of_anybody(everything) == []
    assert {record.topic for record in newest(records) if record.value is None} >= {
        "CompanyRegistered",
        "MatchProposed",
        "ExchangeCompleted",
    }
    assert found_in_logs(system.logs, NAMES) == []

    await compact(system.kafka)
    await until(lambda: compacted(system, [*NAMES, *map(str, ids)]), within=90)

    payments = await rows(system, "select exchange_id, payee_id, amount_cents from exchange.payment")
    assert {(str(row["exchange_id"]), str(row["payee_id"])) for row in payments} == {
        (exchange["exchange_id"], exchange["sender_id"])
    }
    assert sum(row["amount_cents"] for row in payments) == exchange["allowance_cents"]
    (grounds,) = await rows(system, "select string_agg(content, '') as text from registration.decision")
    assert not any(name in grounds["text"] for name in NAMES)
