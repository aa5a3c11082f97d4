"""The one table holds together."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sojourn_contracts import catalogue, company, erasure, exchange, manifest, match, notice, survey
from sojourn_contracts.catalogue import SERVICES, TABLE, TOPICS, Cleanup, Visibility
from sojourn_contracts.event import Event

INBOX_KEEPS = timedelta(days=30)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

DESIGN = {
    "CompanyRegistered": ({"registration"}, {"matching", "exchange", "survey"}),
    "CompanyUpdated": ({"registration"}, {"matching", "exchange", "survey"}),
    "CompanyWithdrawn": ({"registration"}, {"matching", "exchange", "survey"}),
    "MatchProposed": ({"matching"}, {"exchange", "survey"}),
    "MatchDeclined": ({"exchange"}, {"matching", "survey"}),
    "ExchangeUpdated": ({"exchange"}, {"survey"}),
    "ExchangeAgreed": ({"exchange"}, {"matching", "survey"}),
    "ExchangeCancelled": ({"exchange"}, {"matching", "survey"}),
    "ExchangeCompleted": ({"exchange"}, {"matching", "survey"}),
    "SurveySubmitted": ({"survey"}, set()),
    "ManifestIssued": ({"registration", "matching", "exchange"}, set()),
    "SurveyManifestIssued": ({"survey"}, set()),
    "NoticeDue": ({"exchange", "survey"}, {"registration"}),
    "NoticeSent": ({"registration"}, {"survey"}),
    "ErasureRequested": ({"registration"}, {"matching", "exchange", "survey"}),
    "ErasureDone": ({"matching", "exchange", "survey"}, {"registration"}),
}
PLANNED: set[str] = set()
ALL = pytest.mark.parametrize("topic", TABLE, ids=lambda topic: topic.name)


def test_each_event_stands_in_the_table_once():
    defined = {
        thing
        for module in (company, match, exchange, survey, manifest, notice, erasure)
        for name, thing in vars(module).items()
        if isinstance(thing, type) and issubclass(thing, Event) and thing is not Event and not name.startswith("_")
    }
    assert sorted(topic.event.__name__ for topic in TABLE) == sorted(event.__name__ for event in defined)
    assert {topic.event for topic in TABLE} == defined


def test_topics_have_names_of_their_own():
    assert len({topic.name for topic in TABLE}) == len(TABLE)


def test_the_table_says_what_the_design_says():
    assert {topic.event.__name__: (set(topic.producers), set(topic.consumers)) for topic in TABLE} == DESIGN


def test_what_is_planned_has_no_topic_yet_and_nobody_writes_or_reads_it():
    assert {topic.event.__name__ for topic in TABLE if topic.planned} == PLANNED
    there = {topic.name for topic in TOPICS}
    assert there == DESIGN.keys() - PLANNED
    for service in SERVICES:
        assert {topic.name for topic in (*catalogue.emitted_by(service), *catalogue.consumed_by(service))} <= there


def test_what_is_planned_can_be_read_already():
    assert set(catalogue.BY_NAME) == DESIGN.keys()


def test_producers_and_consumers_are_services_and_nobody_consumes_its_own():
    for topic in TABLE:
        assert topic.producers
        assert {*topic.producers, *topic.consumers} <= set(SERVICES)
        assert set(topic.producers).isdisjoint(topic.consumers)
        assert len({*topic.producers, *topic.consumers}) == len(topic.producers) + len(topic.consumers)


def test_producers_that_share_a_topic_do_not_compact_each_others_events_away():
    shared = [topic for topic in TABLE if len(topic.producers) > 1]
    assert {topic.cleanup for topic in shared if not topic.is_of_manifests} == {Cleanup.DELETE}
    ids = {
        manifest.id_of(manifest.statement("X", f"sojourn/{source}", 1, NOON, 1, 2, 2, "00", None))
        for source in SERVICES
    }
    assert len(ids) == len(SERVICES), "a manifest's key is made of its source"


@ALL
def test_a_key_is_a_required_id_of_the_event(topic):
    field = topic.event.model_fields[topic.key]
    assert (field.annotation, field.is_required()) == (UUID, True)


def test_partitions_are_equal_so_that_a_subjects_events_meet_one_member():
    assert len({topic.partitions for topic in TABLE}) == 1


def test_internal_topics_are_forgotten_before_the_inbox_forgets_and_all_others_are_compacted():
    assert catalogue.INTERNAL_RETENTION < INBOX_KEEPS
    for topic in TABLE:
        assert topic.cleanup is (Cleanup.DELETE if topic.visibility is Visibility.INTERNAL else Cleanup.COMPACT)


def test_the_stream_of_survey_records_is_for_analysts_with_its_manifests_and_nothing_else_is():
    for_analysts = [topic.name for topic in TABLE if topic.visibility is Visibility.ANALYSTS]
    assert for_analysts == ["SurveySubmitted", "SurveyManifestIssued"]


def test_a_compacted_topic_keeps_a_week_of_everything_and_erases_within_two():
    configuration = TOPICS[0].configuration
    assert configuration["cleanup.policy"] == "compact"
    assert configuration["min.compaction.lag.ms"] == str(7 * 86_400_000)
    assert configuration["max.compaction.lag.ms"] == str(14 * 86_400_000)


def test_an_internal_topic_is_deleted_by_age():
    configuration = catalogue.BY_NAME["NoticeDue"].configuration
    assert configuration["cleanup.policy"] == "delete"
    assert configuration["retention.ms"] == str(21 * 86_400_000)


def test_a_topic_takes_the_largest_record_that_may_be_emitted():
    for topic in TABLE:
        assert int(topic.configuration["max.message.bytes"]) > catalogue.MAX_RECORD_BYTES


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_given_its_topics(service):
    assert [topic.name for topic in catalogue.emitted_by(service)] == [
        name for name, (producers, _) in DESIGN.items() if service in producers and name not in PLANNED
    ]
    assert [topic.name for topic in catalogue.consumed_by(service)] == [
        name for name, (_, consumers) in DESIGN.items() if service in consumers and name not in PLANNED
    ]


@ALL
def test_names_carry_the_major_version_where_it_matters(topic):
    assert topic.name == topic.event.__name__
    assert topic.event.type() == f"{topic.name}.v1"
    assert topic.event.dataschema() == f"urn:sojourn:schema:{topic.name}:1.{topic.event.minor}"


def test_a_second_major_version_has_a_topic_of_its_own():
    successor = type("CompanyWithdrawn", (company.CompanyWithdrawn,), {"major": 2, "__module__": __name__})
    assert (successor.topic(), successor.type()) == ("CompanyWithdrawn.v2", "CompanyWithdrawn.v2")
