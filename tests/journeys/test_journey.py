"""One journey through the four services as processes, over real Kafka and PostgreSQL, by the public HTTP API alone.

At the broker, each of them may do what follows from the catalogue and nothing else.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import TopicAuthorizationFailedError
from laptop.system import System
from laptop.vies import Register, answered
from pilot.choices import Choices
from pilot.demo import SETTINGS, judged, played
from pilot.population import START

from tests.journeys.pair import EVERYBODY_DOES, HOST, SENDER, UNTIL

NUMBER, MISTYPED = "DE136695976", "DE527946657"
THE_HOST = replace(HOST, first=HOST.first | {"vat": MISTYPED}, form=HOST.form | {"vat": NUMBER})


CLIENT = "labour-ministry"
GRANTS = """
clients:
  labour-ministry:
    topics: [ExchangeCompleted]
    scopes: [events:ExchangeCompleted]
"""


@pytest.fixture(scope="module")
async def system(backing_folder: Path) -> AsyncIterator[System]:
    register = Register(frozenset({MISTYPED}), away=(START, START + timedelta(days=30)))
    grants = backing_folder / "grants.yaml"
    grants.write_text(GRANTS)
    folder = backing_folder / "journey"
    async with System(folder, stopped_at=START, environment=SETTINGS, vies=register, grants=grants) as started:
        yield started


async def test_another_system_gets_at_what_it_was_granted_and_at_nothing_else(system: System):
    secret = (await system.run("registration", "clients", "new-secret", CLIENT)).strip()
    async with httpx.AsyncClient(base_url=system.urls["registration"]) as http:
        answer = await http.post("/token", data={"grant_type": "client_credentials"}, auth=(CLIENT, secret))
    assert answer.json()["scope"] == "events:ExchangeCompleted"

    given = system.kafka_of(CLIENT)
    client = {
        "bootstrap_servers": given["KAFKA_BOOTSTRAP_SERVERS"],
        "security_protocol": given["KAFKA_SECURITY_PROTOCOL"],
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": given["KAFKA_USERNAME"],
        "sasl_plain_password": given["KAFKA_PASSWORD"],
    }
    async with AIOKafkaConsumer("ExchangeCompleted", group_id=CLIENT, **client) as consumer:
        assert await consumer.getmany(timeout_ms=200) == {}
    refused = AIOKafkaConsumer("ErasureDone", group_id=CLIENT, **client)
    with pytest.raises(TopicAuthorizationFailedError, match="ErasureDone"):
        await refused.start()
    await refused.stop()


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

    verdicts, world = await judged(system, progress, evaluated)
    assert {verdict.invariant: verdict.breaches for verdict in verdicts if not verdict.holds} == {}
    assert [event.type for event in world.logs["matching"]] == ["MatchProposed.v1"]
    told = [event.type for event in world.logs["exchange"]]
    told = [kind for kind in told if kind != "NoticeDue.v1"]
    assert told[-1] == "ExchangeCompleted.v1"
    assert [kind for kind in told if kind != "ExchangeUpdated.v1"] == ["ExchangeAgreed.v1", "ExchangeCompleted.v1"]
    assert len(world.said("SurveySubmitted")) == 6
