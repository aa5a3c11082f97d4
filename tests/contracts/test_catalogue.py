"""The one table holds together."""

from datetime import timedelta
from uuid import UUID

import pytest
from sojourn_contracts import catalogue, company, exchange, match, survey
from sojourn_contracts.catalogue import SERVICES, TOPICS, Cleanup, Topic, Visibility
from sojourn_contracts.event import Event

INBOX_KEEPS = timedelta(days=30)

DESIGN = {
    "CompanyRegistered": ("registration", {"matching", "exchange", "survey"}),
    "CompanyUpdated": ("registration", {"matching", "exchange", "survey"}),
    "CompanyWithdrawn": ("registration", {"matching", "exchange", "survey"}),
    "MatchProposed": ("matching", {"exchange", "survey"}),
    "MatchDeclined": ("exchange", {"matching", "survey"}),
    "ExchangeUpdated": ("exchange", {"survey"}),
    "ExchangeAgreed": ("exchange", {"matching", "survey"}),
    "ExchangeCancelled": ("exchange", {"matching", "survey"}),
    "ExchangeCompleted": ("exchange", {"matching", "survey"}),
    "SurveySubmitted": ("survey", set()),
}


def test_each_event_stands_in_the_table_once():
    defined = {
        thing
        for module in (company, match, exchange, survey)
        for name, thing in vars(module).items()
        if isinstance(thing, type) and issubclass(thing, Event) and thing is not Event and not name.startswith("_")
    }
    assert sorted(topic.event.__name__ for topic in TOPICS) == sorted(event.__name__ for event in defined)
    assert {topic.event for topic in TOPICS} == defined


def test_topics_have_names_of_their_own():
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_the_table_says_what_the_design_says():
    assert {topic.event.__name__: (topic.producer, set(topic.consumers)) for topic in TOPICS} == DESIGN


def test_producers_and_consumers_are_services_and_nobody_consumes_its_own():
    for topic in TOPICS:
        assert {topic.producer, *topic.consumers} <= set(SERVICES)
        assert topic.producer not in topic.consumers
        assert len(set(topic.consumers)) == len(topic.consumers)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_key_is_a_required_id_of_the_event(topic):
    field = topic.event.model_fields[topic.key]
    assert (field.annotation, field.is_required()) == (UUID, True)


def test_partitions_are_equal_so_that_a_subjects_events_meet_one_member():
    assert len({topic.partitions for topic in TOPICS}) == 1


def test_public_topics_are_compacted_and_internal_ones_are_forgotten_before_the_inbox_forgets():
    assert catalogue.INTERNAL_RETENTION < INBOX_KEEPS
    for topic in TOPICS:
        assert topic.cleanup is (Cleanup.COMPACT if topic.visibility is Visibility.PUBLIC else Cleanup.DELETE)


def test_a_compacted_topic_keeps_a_week_of_everything_and_erases_within_two():
    configuration = TOPICS[0].configuration
    assert configuration["cleanup.policy"] == "compact"
    assert configuration["min.compaction.lag.ms"] == str(7 * 86_400_000)
    assert configuration["max.compaction.lag.ms"] == str(14 * 86_400_000)


def test_an_internal_topic_would_be_deleted_by_age():
    internal = Topic(TOPICS[0].event, "survey", (), Visibility.INTERNAL, Cleanup.DELETE)
    assert internal.configuration["cleanup.policy"] == "delete"
    assert internal.configuration["retention.ms"] == str(21 * 86_400_000)


def test_a_topic_takes_the_largest_record_that_may_be_emitted():
    for topic in TOPICS:
        assert int(topic.configuration["max.message.bytes"]) > catalogue.MAX_RECORD_BYTES


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_given_its_topics(service):
    assert [topic.name for topic in catalogue.emitted_by(service)] == [
        name for name, (producer, _) in DESIGN.items() if producer == service
    ]
    assert [topic.name for topic in catalogue.consumed_by(service)] == [
        name for name, (_, consumers) in DESIGN.items() if service in consumers
    ]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_names_carry_the_major_version_where_it_matters(topic):
    assert topic.name == topic.event.__name__
    assert topic.event.type() == f"{topic.name}.v1"
    assert topic.event.dataschema() == f"urn:sojourn:schema:{topic.name}:1.0"


def test_a_second_major_version_has_a_topic_of_its_own():
    successor = type("CompanyWithdrawn", (company.CompanyWithdrawn,), {"major": 2, "__module__": __name__})
    assert (successor.topic(), successor.type()) == ("CompanyWithdrawn.v2", "CompanyWithdrawn.v2")
