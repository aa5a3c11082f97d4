"""One journey through the four services as processes, over real Kafka and PostgreSQL, by the public HTTP API alone."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid5

import pytest
from laptop.system import System
from pilot.choices import Choices, Parameters, Reply
from pilot.demo import SETTINGS, judged, played
from pilot.population import NAMESPACE, START, Company

UNTIL = datetime(2017, 12, 31, tzinfo=UTC)
ENGLISH = [{"language": "en", "level": "C1"}]
STAY = {
    "languages": ENGLISH,
    "window": {"first": "2016-12-15", "last": "2017-02-28"},
    "min_days": 14,
    "max_days": 30,
    "preferred_sectors": [],
}
EVERYBODY_DOES = replace(
    Parameters(),
    reply={side: {Reply.ACCEPT: 1} for side in ("sender", "host")},
    redraft=1.0,
    sign_a_stale_version=1.0,
    cancel=0.0,
    forget_completion=0.0,
    answer_survey=dict.fromkeys(("sender", "host", "traveller"), 1.0),
    answer_twice=1.0,
    skip_optional=0.0,
    update=0.0,
    withdraw=0.0,
)


def a_company(index: int, country: str, region: str, nace: str, **stays: object) -> Company:
    return Company(
        index=index,
        key=str(uuid5(NAMESPACE, f"journey/{index}")),
        form={
            "name": f"Company {index}",
            "country": country,
            "region": region,
            "nace": nace,
            "size_class": "small",
            "languages": ENGLISH,
            "placements": [],
            "offers": [],
            **stays,
        },
        registers_at=START + timedelta(hours=index),
        looks_every=timedelta(days=1),
    )


SENDER = a_company(
    0,
    "ES",
    "ES3",
    "62.10",
    placements=[
        STAY
        | {
            "traveller_name": "Ana",
            "destinations": ["DE", "FR"],
            "skills_brought": ["web-development"],
            "skills_sought": ["welding"],
        }
    ],
)
HOST = a_company(
    1,
    "DE",
    "DE2",
    "25.53",
    offers=[STAY | {"capacity": 1, "skills_taught": ["welding"], "skills_needed": ["web-development"]}],
)


@pytest.fixture
async def system(backing_folder: Path) -> AsyncIterator[System]:
    async with System(backing_folder / "journey", stopped_at=START, environment=SETTINGS) as started:
        yield started


async def test_two_companies_meet_agree_travel_complete_and_are_surveyed(system: System):
    progress, evaluated = await played(system, [SENDER, HOST], Choices(7, EVERYBODY_DOES), UNTIL)

    assert progress.acts.pop("sign") >= 3
    assert progress.acts == {"register": 2, "accept": 2, "draft": 2, "complete": 1, "answer": 3}
    assert progress.refusals.keys() == {"sign: stale_version", "answer: already_submitted"}
    assert progress.refusals["sign: stale_version"] >= 3

    (exchange,) = evaluated.exchanges
    assert exchange["stage"] == "completed"
    assert exchange["agreement_version"] == 2
    assert sorted(exchange["signed_by"]) == ["host", "sender", "traveller"]
    assert 14 <= exchange["days"] <= 30
    assert exchange["training"] == {"direction": "traveller", "skills": ["welding"]}

    evaluation = evaluated.evaluation
    assert evaluation["funnel"]["registered"] == 2
    assert evaluation["funnel"]["completed"] == 1
    assert {(each["party"], each["invited"], each["submitted"]) for each in evaluation["responses"]} == {
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
    assert [event.type for event in world.logs["exchange"]][-3:] == [
        "ExchangeAgreed.v1",
        "ExchangeUpdated.v1",
        "ExchangeCompleted.v1",
    ]
    assert len(world.said("SurveySubmitted")) == 3
