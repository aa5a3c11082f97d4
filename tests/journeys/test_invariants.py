"""Each invariant is seen broken: a check that never fails would say nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from pilot.invariants import Leftovers, Surveys, World, judged
from pilot.logs import Logged, Published
from sojourn_contracts.catalogue import BY_NAME, SERVICES, TOPICS

START = datetime(2016, 11, 1, tzinfo=UTC)
SPACE = UUID("11111111-1111-5111-8111-111111111111")


def an_id(name: str) -> str:
    return str(uuid5(SPACE, name))


SIGNED = ["sender", "host", "traveller"]
STORY: list[tuple[str, str, str, int, dict[str, Any]]] = [
    ("registration", "CompanyRegistered", "sender", 0, {"offers": []}),
    ("registration", "CompanyRegistered", "host", 0, {"offers": [{"offer_id": "offer", "capacity": 1}]}),
    ("matching", "MatchProposed", "first", 1, {"placement_id": "placement", "offer_id": "offer"}),
    ("exchange", "MatchDeclined", "first", 2, {}),
    ("matching", "MatchProposed", "second", 2, {"placement_id": "placement", "offer_id": "offer"}),
    (
        "exchange",
        "ExchangeAgreed",
        "second",
        4,
        {"traveller_id": "t", "first_day": "2016-12-01", "last_day": "2016-12-20", "signed_by": SIGNED},
    ),
    ("exchange", "ExchangeCompleted", "second", 60, {}),
    ("survey", "SurveySubmitted", "record", 70, {}),
]


def a_world(story: list[tuple[str, str, str, int, dict[str, Any]]] = STORY) -> World:
    """Each event of a story: who says it, its name, its subject, its day, its data."""
    logs: dict[str, list[Logged]] = {service: [] for service in SERVICES}
    topics: dict[str, list[Published]] = {topic.name: [] for topic in TOPICS}
    for service, name, subject, day, data in story:
        topic = BY_NAME[name].name
        event = Logged(
            position=len(logs[service]) + 1,
            generation=1,
            topic=topic,
            sequence=len(topics[topic]) + 1,
            event_id=UUID(an_id(f"{service} {name} {subject} {day}")),
            type=f"{name}.v1",
            subject=UUID(an_id(subject)),
            time=START + timedelta(days=day),
            data=json.dumps(data | {"key": subject}),
        )
        logs[service].append(event)
        topics[topic].append(a_record(event, offset=len(topics[topic])))
    nothing_left = {service: Leftovers(outbox=0, dead_letters=0, parked=0) for service in SERVICES}
    return World(logs, topics, nothing_left, Surveys(submitted=2, released=1, withheld=1))


def a_record(event: Logged, offset: int) -> Published:
    headers = {
        "ce_id": str(event.event_id),
        "ce_type": event.type,
        "ce_subject": str(event.subject),
        "ce_sequence": str(event.sequence),
        "ce_generation": str(event.generation),
    }
    return Published(event.topic, 0, offset, str(event.subject), event.data, headers)


def broken(world: World) -> dict[str, tuple[str, ...]]:
    return {verdict.invariant: verdict.breaches for verdict in judged(world) if not verdict.holds}


def with_records(world: World, name: str, change: Any) -> World:
    topic = BY_NAME[name].name
    return replace(world, topics={**world.topics, topic: change(list(world.topics[topic]))})


def test_the_story_of_an_exchange_breaks_nothing():
    assert broken(a_world()) == {}


def test_a_placement_that_is_proposed_again_while_its_match_lives_is_told():
    story = [event for event in STORY if event[1] != "MatchDeclined"]
    assert "No placement is in two exchanges at a time" in broken(a_world(story))


def test_a_placement_that_travels_twice_is_told():
    again = ("matching", "MatchProposed", "third", 80, {"placement_id": "placement", "offer_id": "offer"})
    agreed = (*STORY[5][:2], "third", 81, STORY[5][4] | {"first_day": "2017-05-01", "last_day": "2017-05-20"})
    story = [*STORY, again, agreed, ("exchange", "ExchangeCompleted", "third", 90, {})]
    assert list(broken(a_world(story))) == ["No placement is in two exchanges at a time"]


def test_an_offer_that_holds_more_than_it_has_room_for_is_told():
    other = ("matching", "MatchProposed", "other", 3, {"placement_id": "other placement", "offer_id": "offer"})
    assert list(broken(a_world([*STORY, other]))) == ["No offer holds more travellers than it has room for"]


def test_a_place_that_became_free_can_be_taken_at_the_same_instant():
    other = ("matching", "MatchProposed", "other", 60, {"placement_id": "other placement", "offer_id": "offer"})
    assert broken(a_world([*STORY, other])) == {}


def test_a_traveller_in_two_places_is_told():
    again = ("exchange", "ExchangeAgreed", "third", 5, STORY[5][4] | {"first_day": "2016-12-20"})
    assert list(broken(a_world([*STORY, again]))) == ["No traveller is in two places on a day"]


def test_a_completed_exchange_without_agreement_is_told():
    story = [event for event in STORY if event[1] != "ExchangeAgreed"]
    assert list(broken(a_world(story))) == ["Every completed exchange was agreed by all three before"]


def test_an_agreement_with_two_signatures_is_told():
    story = [(*event[:4], event[4] | {"signed_by": ["sender", "host"]}) for event in STORY]
    assert list(broken(a_world(story))) == ["Every completed exchange was agreed by all three before"]


def test_an_event_that_is_not_on_its_topic_is_told():
    world = with_records(a_world(), "ExchangeCompleted", lambda records: [])
    (breach,) = broken(world)["Every event of a log stands exactly once on its topic, as it was written"]
    assert "is missing" in breach


def test_an_event_that_is_twice_on_its_topic_is_told():
    world = with_records(a_world(), "MatchProposed", lambda records: [*records, records[-1]])
    assert "stands there 2 times" in str(broken(world))


def test_a_topic_may_have_events_of_several_services():
    others = [("exchange", "SurveySubmitted", f"record {day}", day, {}) for day in (71, 72)]
    assert broken(a_world([*STORY, *others])) == {}
    world = with_records(a_world([*STORY, *others]), "SurveySubmitted", lambda records: records[:2])
    assert "position 5 of exchange, is missing" in str(broken(world))


def test_a_record_that_stands_in_no_log_is_told():
    stranger = {"ce_id": an_id("stranger")}
    world = with_records(a_world(), "MatchProposed", lambda records: [*records, replace(records[-1], headers=stranger)])
    assert "stands in no log" in str(broken(world))
    assert "position 0 of no log follows 0" in str(broken(world))


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("data", {"value": "{}"}),
        ("data", {"value": None}),
        ("key", {"key": "somebody"}),
        ("sequence", {"headers": "ce_sequence"}),
        ("generation", {"headers": "ce_generation"}),
    ],
)
def test_a_record_that_differs_from_its_log_is_told(part: str, change: dict[str, Any]):
    def changed(records: list[Published]) -> list[Published]:
        headers = {"headers": records[0].headers | {change["headers"]: "7"}} if "headers" in change else change
        return [replace(records[0], **headers), *records[1:]]

    assert f"has another {part} than in the log" in str(broken(with_records(a_world(), "MatchProposed", changed)))


def test_events_out_of_the_order_of_their_log_are_told():
    world = with_records(a_world(), "MatchProposed", lambda records: records[::-1])
    assert list(broken(world)) == ["Topics keep the order of the log, the newest event of each key last"]


def test_a_key_in_two_partitions_is_told():
    twice = ("exchange", "ExchangeAgreed", "second", 6, STORY[5][4])
    world = with_records(
        a_world([*STORY, twice]), "ExchangeAgreed", lambda records: [records[0], replace(records[1], partition=1)]
    )
    assert "also stands in partition 0" in str(broken(world))


def test_what_is_left_over_is_told_with_the_command_that_lists_it():
    left = Leftovers(outbox=3, dead_letters=1, parked=2)
    world = a_world()
    found = broken(replace(world, leftovers={**world.leftovers, "matching": left}))
    assert found["Every outbox is empty"] == ("matching has 3 events in its outbox",)
    assert "matching dead-letters list" in str(found)
    assert "matching due list" in str(found)


@pytest.mark.parametrize("surveys", [Surveys(2, 1, 0), Surveys(3, 2, 1)])
def test_surveys_that_differ_are_told(surveys: Surveys):
    found = broken(replace(a_world(), surveys=surveys))
    assert list(found) == ["Every survey that was submitted is released or withheld"]
