"""Each invariant is seen broken: a check that never fails would say nothing."""

from dataclasses import replace
from typing import Any

import pytest
from pilot.invariants import Leftovers, Surveys, World, judged
from pilot.logs import Published
from pilot.surveys import counts_agree
from sojourn_contracts.catalogue import BY_NAME

from tests.journeys.worlds import MAILS, STORY, a_world, agreed, an_evaluation, an_id


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
    later = (*STORY[5][:2], "third", 81, agreed("2017-05-01", "2017-05-20"))
    completed = ("exchange", "ExchangeCompleted", "third", 90, {"last_day": "2017-05-20"})
    story = [*STORY, again, later, completed]
    assert list(broken(a_world(story))) == ["No placement is in two exchanges at a time"]


def test_an_offer_that_holds_more_than_it_has_room_for_is_told():
    other = ("matching", "MatchProposed", "other", 3, {"placement_id": "other placement", "offer_id": "offer"})
    assert list(broken(a_world([*STORY, other]))) == ["No offer holds more travellers than it has room for"]


def test_a_place_that_became_free_can_be_taken_at_the_same_instant():
    other = ("matching", "MatchProposed", "other", 60, {"placement_id": "other placement", "offer_id": "offer"})
    assert broken(a_world([*STORY, other])) == {}


def test_a_traveller_in_two_places_is_told():
    again = (
        "exchange",
        "ExchangeAgreed",
        "third",
        5,
        agreed("2016-12-20", "2017-01-20", offer_id="another", sender_id="x"),
    )
    found = broken(a_world([STORY[0], *STORY, again]))
    assert "No traveller is in two places on a day" in found


def test_parts_of_stays_may_lie_between_each_other_and_what_ended_early_leaves_room():
    parts = [{"first": "2016-11-01", "last": "2016-11-10"}, {"first": "2016-12-18", "last": "2016-12-30"}]
    around = ("exchange", "ExchangeAgreed", "third", 5, agreed("2016-11-01", "2016-12-30", parts=parts))
    assert "No traveller is in two places on a day" in broken(a_world([*STORY, around]))
    early = [(*event[:4], event[4] | {"last_day": "2016-12-17"}) if event[3] == 60 else event for event in STORY]
    assert "No traveller is in two places on a day" not in broken(a_world([*early, around]))


def test_a_company_with_three_people_away_and_an_offer_with_too_many_guests_are_told():
    others = [
        ("exchange", "ExchangeAgreed", name, 5, agreed("2016-12-20", "2017-01-20", traveller_id=name))
        for name in ("third", "fourth")
    ]
    sent, hosted = (
        "No company has more than two people away on a day",
        "No offer has more guests on a day than it has room for",
    )
    assert list(broken(a_world([*STORY, *others[:1]]))) == [hosted]
    assert list(broken(a_world([*STORY, *others]))) == [sent, hosted]
    cancelled = ("exchange", "ExchangeCancelled", "fourth", 6, {})
    assert list(broken(a_world([*STORY, *others, cancelled]))) == [hosted]


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


TOLD = "Every notice that was asked for was accepted or refused, and was told so once"


@pytest.mark.parametrize("revisions", [[], [1, 1]], ids=str)
def test_a_notice_that_was_not_told_or_twice_is_told(revisions: list[int]):
    others = [event for event in STORY if event[1] != "NoticeSent"]
    answers = [
        ("registration", "NoticeSent", "notice", 60 + day, {"revision": revision})
        for day, revision in enumerate(revisions)
    ]
    assert list(broken(a_world([*others, *answers]))) == [TOLD]


def test_a_mail_that_still_waits_is_told():
    waiting = replace(MAILS, by_template={"admitted": {"notices": 1, "waiting": 1, "accepted": 0, "refused": 0}})
    assert broken(replace(a_world(), mails=waiting)) == {
        TOLD: ("1 mails of admitted were neither accepted nor refused",)
    }


def test_a_mail_that_was_accepted_and_not_caught_is_told():
    assert list(broken(replace(a_world(), mails=replace(MAILS, caught={})))) == [
        "Every mail that was accepted was caught"
    ]


def differing(world: World, answered: int = 2, **evaluated: Any) -> str:
    verdict = counts_agree(world, answered, an_evaluation(**evaluated))
    assert verdict.holds == (not verdict.breaches)
    return "; ".join(verdict.breaches)


def test_survey_counts_that_agree_everywhere_break_nothing():
    assert differing(a_world()) == ""


@pytest.mark.parametrize("answered", [1, 3])
def test_another_count_over_http_than_in_the_store_is_told(answered: int):
    assert differing(a_world(), answered) == f"{answered} answered over HTTP, but 2 are stored"


def test_another_count_in_the_evaluation_than_in_the_store_is_told():
    world = replace(a_world(), surveys=Surveys(submitted=3, released=1, withheld=2))
    assert differing(world, answered=3) == "3 are stored, but 2 evaluated"


def test_another_count_on_the_topic_than_released_is_told():
    told = differing(with_records(a_world(), "SurveySubmitted", lambda records: [*records, records[0]]))
    assert "1 are released, but 2 stand on" in told


@pytest.mark.parametrize("part", ["count", "valid", "dont_know", "not_applicable"])
def test_an_indicator_that_differs_from_what_a_subscriber_counts_is_told(part: str):
    assert differing(a_world(), **{part: 7}).startswith("SEND_MATCH is evaluated as")


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        ("4", {"count": 1, "valid": 1}),
        ("3", {"count": 0, "valid": 1}),
        ("98", {"count": 0, "valid": 0, "dont_know": 1}),
        ("99", {"count": 0, "valid": 0, "not_applicable": 1}),
        ("97", {"count": 0, "valid": 0}),
    ],
)
def test_answers_are_counted_as_the_survey_counts_them(answer: str, counted: dict[str, int]):
    story = [*STORY[:-1], (*STORY[-1][:4], {"wave": 1, "answers": {"SEND_MATCH": answer}})]
    assert differing(a_world(story), **counted) == ""


def test_an_erasure_that_a_service_did_not_answer_is_told():
    erasure: dict[str, str] = {
        "erasure_id": an_id("erasure"),
        "erased_id": an_id("nobody"),
        "kind": "person",
        "requested_at": "2017-02-01T00:00:00Z",
        "done_at": "2017-02-01T00:00:00Z",
    }
    asked = ("registration", "ErasureRequested", "erasure", 90, erasure)
    done = [
        (service, "ErasureDone", "erasure", 91, erasure | {"done_by": service}) for service in ("matching", "survey")
    ]
    assert broken(a_world([*STORY, asked, *done])) == {
        "Every erasure that was asked for was done by every service": (
            f"erasure {an_id('erasure')} was not done by exchange",
        )
    }
